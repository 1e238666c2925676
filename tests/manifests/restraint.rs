//! How often, and how many at a time.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use gatebook::config::Limits;
use gatebook::outbound::Urgency;
use gatebook_events::manifest::{Trouble, TroubleKind};
use tokio::sync::Semaphore;

use crate::host::{Asked, Deed, answer, json};
use crate::world::{World, document, roomy, url};

fn deed(asked: &Asked) -> Deed {
    Deed::Answer(json(document(&asked.url).to_string()))
}

/// A gate that nobody has opened yet, and a deed that waits behind it.
fn gate() -> (Arc<Semaphore>, impl Fn(&Asked) -> Deed) {
    let gate = Arc::new(Semaphore::new(0));
    let shared = gate.clone();
    (gate, move |asked: &Asked| Deed::Behind(shared.clone(), json(document(&asked.url).to_string())))
}

/// Until so many requests are open at the host.
async fn until_open(world: &World, count: usize) {
    let started = Instant::now();
    while world.host.open() < count {
        assert!(started.elapsed() < Duration::from_secs(20), "{} of {count} requests came", world.host.open());
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c25_a_url_that_failed_is_left_alone_unless_somebody_may_insist() {
    let limits = Limits { first_pause: Duration::from_secs(600), ..roomy() };
    let world = World::start(limits, |asked| if asked.number < 2 { Deed::Answer(json("{}")) } else { deed(asked) }).await;
    let anyone = || world.manifests.fetch(&world.url, None, Urgency::Anonymous);
    assert_eq!(anyone().await.unwrap_err().trouble, Trouble::ClientId);
    let left_alone = anyone().await.unwrap_err();
    assert_eq!((left_alone.trouble, left_alone.trouble.kind()), (Trouble::BackingOff, TroubleKind::NotTried));
    assert!(left_alone.retry_after.is_some_and(|pause| pause <= Duration::from_secs(600) && pause > Duration::from_secs(500)));
    assert_eq!(world.host.requests().len(), 1);
    // The second failure doubles the pause; a success ends it.
    assert_eq!(world.trouble().await, Trouble::ClientId);
    assert!(anyone().await.unwrap_err().retry_after.is_some_and(|pause| pause > Duration::from_secs(1100)));
    assert!(world.fetch().await.is_ok());
    assert!(anyone().await.is_ok());
    assert_eq!(world.host.requests().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn c25_a_host_that_asks_to_be_left_alone_is() {
    let world = World::with(Deed::Answer(answer("429 Too Many Requests", "Retry-After: 1800", ""))).await;
    assert_eq!(world.manifests.fetch(&world.url, None, Urgency::Anonymous).await.unwrap_err().trouble, Trouble::TooManyRequests);
    let failure = world.manifests.fetch(&world.url, None, Urgency::Anonymous).await.unwrap_err();
    assert!(failure.trouble == Trouble::BackingOff && failure.retry_after.is_some_and(|pause| pause > Duration::from_secs(1700)));
}

#[tokio::test(flavor = "multi_thread")]
async fn c25_one_host_is_asked_so_often_in_a_minute_and_no_more() {
    let limits = Limits { per_host_per_minute: NonZeroU32::new(3), ..roomy() };
    let world = World::start(limits, deed).await;
    for _ in 0..3 {
        assert!(world.fetch().await.is_ok());
    }
    let failure = world.fetch().await.unwrap_err();
    assert_eq!((failure.trouble, failure.trouble.kind()), (Trouble::TooOften, TroubleKind::NotTried));
    assert!(failure.retry_after.is_some_and(|pause| pause <= Duration::from_secs(20)));
    assert_eq!(world.host.requests().len(), 3);
    // Another host has its own count: here it has no address, which is found out by asking.
    let other = world.manifests.fetch(&url("https://other.example/client.json"), None, Urgency::Trusted).await.unwrap_err();
    assert_eq!(other.trouble, Trouble::Dns);
}

#[tokio::test(flavor = "multi_thread")]
async fn c25_what_anybody_may_ask_for_has_a_count_of_its_own() {
    let limits = Limits { anonymous_per_minute: NonZeroU32::new(2), ..roomy() };
    let world = World::start(limits, deed).await;
    for host in ["a.example", "b.example"] {
        let url = url(&format!("https://{host}/client.json"));
        assert_eq!(world.manifests.fetch(&url, None, Urgency::Anonymous).await.unwrap_err().trouble, Trouble::Dns);
    }
    assert_eq!(world.manifests.fetch(&world.url, None, Urgency::Anonymous).await.unwrap_err().trouble, Trouble::TooOften);
    assert!(world.fetch().await.is_ok(), "the poller is not kept out");
}

#[tokio::test(flavor = "multi_thread")]
async fn c25_one_host_has_so_many_requests_open_and_no_more() {
    let (gate, deed) = gate();
    let limits = Limits { at_once_per_host: 2, ..roomy() };
    let world = World::start(limits, deed).await;
    let calls = join_all((0..6).map(|_| world.fetch()));
    let open = async {
        until_open(&world, 2).await;
        gate.add_permits(6);
    };
    let (fetched, ()) = tokio::join!(calls, open);
    assert!(fetched.iter().all(Result::is_ok));
    assert_eq!((world.host.requests().len(), world.host.most_open()), (6, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn c25_who_waits_too_long_for_a_place_is_told_so() {
    let (gate, deed) = gate();
    let limits = Limits { at_once: 1, time: Duration::from_secs(2), ..roomy() };
    let world = World::start(limits, deed).await;
    let (manifests, url) = (world.manifests.clone(), world.url.clone());
    let first = tokio::spawn(async move { manifests.fetch(&url, None, Urgency::Trusted).await });
    until_open(&world, 1).await;
    // The first one started before and has no more time than the second has to wait.
    let (second, first) = tokio::join!(world.fetch(), first);
    assert_eq!(first.unwrap().unwrap_err().trouble, Trouble::TimedOut);
    assert!(second.is_err_and(|failure| matches!(failure.trouble, Trouble::Busy | Trouble::TimedOut)));
    gate.add_permits(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_document_that_is_on_its_way_gets_the_same_one() {
    let (gate, deed) = gate();
    let world = World::start(roomy(), deed).await;
    let calls = join_all((0..20).map(|_| world.manifests.fetch(&world.url, None, Urgency::Anonymous)));
    let open = async {
        until_open(&world, 1).await;
        gate.add_permits(1);
    };
    let (fetched, ()) = tokio::join!(calls, open);
    assert!(fetched.iter().all(Result::is_ok));
    assert_eq!(world.host.requests().len(), 1);
}
