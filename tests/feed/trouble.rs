//! What keeps the feed from going on, and what becomes of it.

use async_nats::jetstream::stream::Config;

use crate::caught_up;
use crate::house::House;
use crate::ids;
use crate::jetstream;
use crate::log;
use crate::servers;
use crate::stream;
use crate::to;
use crate::trouble;

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_while_the_servers_are_down_is_told_once_they_are_back() {
    let Some(mut nats) = servers("a feed whose servers are down", 1) else { return };
    let house = House::with(to(&nats, "gatebook")).await;
    house.registered("Before").await;
    caught_up(&house).await;
    nats.kill(0);
    for number in 0..20 {
        house.registered(&format!("App {number}")).await;
    }
    assert!(!trouble(&house).await.is_empty());
    nats.run(0);
    nats.until_ready();
    caught_up(&house).await;
    let stream = stream(&jetstream(&nats).await, "gatebook").await;
    assert_eq!(ids(&stream).await, log(&house).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_takes_no_event_with_it_and_leaves_none_twice() {
    let Some(mut nats) = servers("a feed whose leader dies", 3) else { return };
    let house = House::with(to(&nats, "gatebook")).await;
    house.registered("Before").await;
    caught_up(&house).await;
    for round in 0..3 {
        let leader = loop {
            if let Some(leader) = nats.leader("gatebook-events") {
                break leader;
            }
            tokio::task::yield_now().await;
        };
        for number in 0..30 {
            house.registered(&format!("App {round} {number}")).await;
            if number == 10 {
                nats.kill(leader);
            }
        }
        caught_up(&house).await;
        nats.run(leader);
        nats.until_ready();
    }
    let stream = stream(&jetstream(&nats).await, "gatebook").await;
    assert_eq!(ids(&stream).await, log(&house).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_limit_of_the_stream_took_away_is_not_told_again() {
    let Some(nats) = servers("a feed whose stream was emptied", 1) else { return };
    let house = House::with(to(&nats, "gatebook")).await;
    house.registered("Before").await;
    caught_up(&house).await;
    let jetstream = jetstream(&nats).await;
    let stream = stream(&jetstream, "gatebook").await;
    stream.purge().await.unwrap();
    let (time, known, folder) = (house.clock.now(), log(&house).await, house.end().await);
    let house = House::begin(folder, time, to(&nats, "gatebook")).await;
    house.registered("After").await;
    caught_up(&house).await;
    assert_eq!(ids(&stream).await, log(&house).await[known.len()..]);
    // A stream that somebody made anew gets everything.
    jetstream.delete_stream("gatebook-events").await.unwrap();
    let (time, folder) = (house.clock.now(), house.end().await);
    let house = House::begin(folder, time, to(&nats, "gatebook")).await;
    caught_up(&house).await;
    let stream = crate::stream(&jetstream, "gatebook").await;
    assert_eq!(ids(&stream).await, log(&house).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_somebody_elses_is_left_alone_and_named() {
    let Some(nats) = servers("a feed into another's stream", 1) else { return };
    let one = House::with(to(&nats, "gatebook")).await;
    caught_up(&one).await;
    let other = House::with(to(&nats, "gatebook")).await;
    let said = trouble(&other).await;
    assert!(said.contains("gatebook-events") && said.contains("another instance"), "{said}");
    let jetstream = jetstream(&nats).await;
    let config = Config { name: "other-events".to_owned(), subjects: vec!["orders.>".to_owned()], ..Config::default() };
    jetstream.create_stream(config).await.unwrap();
    let third = House::with(to(&nats, "other")).await;
    let said = trouble(&third).await;
    assert!(said.contains("does not take other.events.>"), "{said}");
    third.registered("App").await;
    assert_eq!(stream(&jetstream, "other").await.cached_info().state.messages, 0);
    let stream = stream(&jetstream, "gatebook").await;
    assert_eq!(ids(&stream).await, log(&one).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_went_back_is_not_mixed_with_what_was_told() {
    let Some(nats) = servers("a feed of a log that went back", 1) else { return };
    let house = House::with(to(&nats, "gatebook")).await;
    let (time, folder) = (house.clock.now(), house.end().await);
    let kept = std::fs::read(folder.path().join("data/log.db")).unwrap();
    let house = House::begin(folder, time, to(&nats, "gatebook")).await;
    house.registered("Lost").await;
    caught_up(&house).await;
    let folder = house.end().await;
    std::fs::write(folder.path().join("data/log.db"), kept).unwrap();
    std::fs::remove_dir_all(folder.path().join("data/read-models")).unwrap();
    let house = House::begin(folder, time, to(&nats, "gatebook")).await;
    house.registered("Other").await;
    let said = trouble(&house).await;
    assert!(said.contains("holds other events than this log"), "{said}");
}
