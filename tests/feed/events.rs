//! What is published, and on which subject.

use serde_json::{Value, json};

use crate::caught_up;
use crate::house::{DEFAULT, House, PUBLIC, client};
use crate::ids;
use crate::jetstream;
use crate::log;
use crate::messages;
use crate::servers;
use crate::stream;
use crate::to;

#[tokio::test(flavor = "multi_thread")]
async fn every_event_of_every_tenant_is_a_cloud_event_on_a_subject_of_its_own() {
    let Some(nats) = servers("the feed", 1) else { return };
    let house = House::with(to(&nats, "gatebook")).await;
    let id = house.registered("App").await.text("client_id");
    house.admin("default").post(&format!("{}/suspend", client(DEFAULT, &id)), json!({ "reason": "for the test" })).await.is(200);
    house.server("acme.example", json!({ "name": "theirs" })).await;
    caught_up(&house).await;
    let stream = stream(&jetstream(&nats).await, "gatebook").await;
    assert_eq!(ids(&stream).await, log(&house).await);
    let messages = messages(&stream).await;
    let mut subjects = Vec::new();
    for message in &messages {
        let event: Value = serde_json::from_slice(&message.payload).unwrap();
        let header = |name: &str| message.headers.get(name).unwrap().to_string();
        assert_eq!((event["id"].as_str(), event["specversion"].as_str()), (Some(header("Nats-Msg-Id").as_str()), Some("1.0")));
        assert_eq!(
            (event["source"].as_str(), header("Content-Type").as_str()),
            (Some(PUBLIC), "application/cloudevents+json; charset=utf-8")
        );
        assert_eq!(event["position"], header("Gatebook-Position"));
        assert!(message.subject.ends_with(event["type"].as_str().unwrap()), "{}", message.subject);
        assert!(!String::from_utf8_lossy(&message.payload).contains("argon2"), "{event}");
        subjects.push(message.subject.to_string());
    }
    let at_default = |name: &str| format!("gatebook.events.default.{DEFAULT}.{name}");
    for expected in [
        at_default("resource_server.created"),
        "gatebook.events.default.-.client.registered".to_owned(),
        at_default("registration.requested"),
        at_default("registration.suspended"),
    ] {
        assert!(subjects.contains(&expected), "{expected} is not in {subjects:#?}");
    }
    assert!(subjects.iter().any(|subject| subject.starts_with("gatebook.events.acme%2Eexample.")), "{subjects:#?}");
    let metrics = gatebook::application::metrics::scrape(&house.app).await;
    assert!(metrics.contains(&format!("gatebook_feed_events_total {}", messages.len())), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_and_without_its_file_it_goes_on_where_the_stream_ends() {
    let Some(nats) = servers("the feed's restart", 1) else { return };
    let house = House::with(to(&nats, "gatebook")).await;
    house.registered("First").await;
    caught_up(&house).await;
    let (time, mut folder) = (house.clock.now(), house.end().await);
    for lost in [false, true] {
        if lost {
            std::fs::remove_file(folder.path().join("data/feed.db")).unwrap();
        }
        let house = House::begin(folder, time, to(&nats, "gatebook")).await;
        house.registered("Again").await;
        caught_up(&house).await;
        let stream = stream(&jetstream(&nats).await, "gatebook").await;
        assert_eq!(ids(&stream).await, log(&house).await);
        folder = house.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_comes_later_tells_everything_from_the_first_event_on() {
    let Some(nats) = servers("a feed that comes later", 3) else { return };
    let house = House::open().await;
    for number in 0..400 {
        house.registered(&format!("App {number}")).await;
    }
    let (time, folder) = (house.clock.now(), house.end().await);
    let house = House::begin(folder, time, to(&nats, "gatebook")).await;
    caught_up(&house).await;
    let stream = stream(&jetstream(&nats).await, "gatebook").await;
    let (told, known) = (ids(&stream).await, log(&house).await);
    assert!(known.len() > 1200);
    assert_eq!(told, known);
    assert_eq!(stream.cached_info().config.num_replicas, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_of_one_log_tell_each_event_once() {
    let Some(nats) = servers("two nodes and one feed", 1) else { return };
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), format!("{}\n", "A".repeat(43))).unwrap();
    let node = || {
        let (log, path, feed) = (nats.uri("gatebook"), key.path().to_owned(), to(&nats, "gatebook"));
        House::with(move |settings| {
            feed(settings);
            (settings.log, settings.instance_key_file) = (Some(log), Some(path));
        })
    };
    let (one, other) = (node().await, node().await);
    for turn in 0..40 {
        let house = if turn % 2 == 0 { &one } else { &other };
        house.registered(&format!("App {turn}")).await;
    }
    let head = one.head().await.max(other.head().await);
    caught_up(&one).await;
    assert!(other.head().await <= head);
    caught_up(&other).await;
    let stream = stream(&jetstream(&nats).await, "gatebook").await;
    assert_eq!(ids(&stream).await, log(&one).await);
    // The one that published ends, and the other takes over.
    let published = |house: &House| {
        let app = house.app.clone();
        async move { gatebook::application::metrics::scrape(&app).await.contains("gatebook_feed_events_total 0") }
    };
    let (first, second) = if published(&other).await { (one, other) } else { (other, one) };
    first.end().await;
    second.registered("After").await;
    caught_up(&second).await;
    assert_eq!(ids(&stream).await, log(&second).await);
}
