//! The feed: every event in a JetStream stream, once and in order, on real servers.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

#[allow(dead_code, reason = "the house of the API's own tests; not every part of it is needed here")]
#[path = "../api/answer.rs"]
mod answer;
#[allow(dead_code, reason = "the house of the API's own tests; not every part of it is needed here")]
#[path = "../api/house.rs"]
mod house;
#[path = "../nats/mod.rs"]
mod nats;

mod events;
mod trouble;

use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::{self, message::StreamMessage};
use gatebook::config::Settings;
use serde_json::Value;

use house::House;

/// The longest that anything here may take before the test says what it waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// As many servers; none where there is no program for them, which is then said.
pub fn servers(what: &str, count: usize) -> Option<nats::Nats> {
    match nats::Nats::start(count) {
        Ok(nats) => Some(nats),
        Err(reason) => {
            nats::not_run(what, &reason);
            None
        }
    }
}

/// Settings of a house that publishes to these servers.
pub fn to(nats: &nats::Nats, name: &str) -> impl FnOnce(&mut Settings) + use<> {
    let uri = nats.uri(name);
    move |settings| settings.feed = Some(uri)
}

/// A client of the servers.
pub async fn jetstream(nats: &nats::Nats) -> jetstream::Context {
    let uri = nats.uri("x");
    let servers: Vec<_> = uri.split('?').next().unwrap().trim_start_matches("nats://").split(',').map(str::to_owned).collect();
    jetstream::new(async_nats::connect(servers).await.unwrap())
}

/// The stream of a feed, once it is there.
pub async fn stream(jetstream: &jetstream::Context, name: &str) -> Stream {
    let started = Instant::now();
    loop {
        if let Ok(stream) = jetstream.get_stream(format!("{name}-events")).await {
            return stream;
        }
        assert!(started.elapsed() < PATIENCE, "there is no stream");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Every message of the stream.
pub async fn messages(stream: &Stream) -> Vec<StreamMessage> {
    let state = stream.get_info().await.unwrap().state;
    let mut all = Vec::new();
    for sequence in state.first_sequence.max(1)..=state.last_sequence {
        all.push(stream.get_raw_message(sequence).await.unwrap());
    }
    all
}

/// Waits until the feed has everything that the log has.
pub async fn caught_up(house: &House) -> Value {
    let started = Instant::now();
    loop {
        let health = house.anyone().get("/health").await.body;
        if health["feed"]["position"] == house.head().await.to_string() && health["feed"]["trouble"].is_null() {
            return health;
        }
        assert!(started.elapsed() < PATIENCE, "the feed does not catch up: {health}");
        tokio::task::yield_now().await;
    }
}

/// Waits until the feed says what is wrong.
pub async fn trouble(house: &House) -> String {
    let started = Instant::now();
    loop {
        let health = house.anyone().get("/health").await.is(200).body;
        if let Some(trouble) = health["feed"]["trouble"].as_str() {
            return trouble.to_owned();
        }
        assert!(started.elapsed() < PATIENCE, "nothing is wrong: {health}");
        tokio::task::yield_now().await;
    }
}

/// The ids of the log's events in order.
pub async fn log(house: &House) -> Vec<String> {
    use futures_util::StreamExt;
    use gatebook::event_log::Followed;
    use gatebook_events::envelope::Position;
    let mut following = house.app.log.follow(Position::START);
    let mut ids = Vec::new();
    while let Followed::Events(events) = following.next().await.unwrap().unwrap() {
        ids.extend(events.iter().map(|one| one.event.id.0.to_string()));
    }
    ids
}

/// The message ids of a stream in order.
pub async fn ids(stream: &Stream) -> Vec<String> {
    messages(stream).await.iter().map(|message| message.headers.get("Nats-Msg-Id").unwrap().to_string()).collect()
}
