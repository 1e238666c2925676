//! Webhooks: what receivers on loopback are sent by a running service, over HTTP and TLS, and by two that share a log.
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

#[allow(dead_code, reason = "the fake of the tests of backends; not every part of it is needed here")]
#[path = "../backends/kurrentdb"]
mod kurrentdb {
    pub mod fake;
    mod generated;
}
#[path = "../nats/mod.rs"]
mod nats;

mod addresses;
mod administration;
mod dead_letters;
mod delivery;
#[cfg(unix)]
mod nodes;
mod receiver;
mod setbacks;

use serde_json::{Value, json};

use answer::Answer;
use house::House;
use receiver::Receiver;

/// Where webhooks are administered.
pub const HOOKS: &str = "/authsec/webhooks";

/// A house whose webhooks may be on loopback.
pub async fn open() -> House {
    House::with(|settings| settings.webhook_networks = Some(vec!["127.0.0.0/8".to_owned()])).await
}

/// A webhook of the default tenant that leads to a receiver.
pub async fn hook(house: &House, receiver: &Receiver, members: Value) -> Answer {
    let mut body = json!({ "label": "siem", "url": receiver.url() });
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    house.admin("default").post(HOOKS, body).await.is(201)
}

/// A webhook as it is shown now.
pub async fn shown(house: &House, hook: &Answer) -> Answer {
    house.admin("default").get(&format!("{HOOKS}/{}", hook.text("id"))).await.is(200)
}

/// Waits until a webhook is shown in some way.
pub async fn until(house: &House, hook: &Answer, state: impl Fn(&Answer) -> bool) -> Answer {
    let mut last = shown(house, hook).await;
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !state(&last) {
        assert!(std::time::Instant::now() < end, "it did not come about: {}", last.text);
        tokio::task::yield_now().await;
        last = shown(house, hook).await;
    }
    last
}

/// Waits until it is noted that something was not taken, at the time at which the clock stands.
pub async fn failed_now(house: &House, hook: &Answer) -> Answer {
    let now = house.clock.now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    until(house, hook, |shown| shown["last_failed_at"] == now).await
}

/// Every event of the default tenant after a position, as its auditor reads them.
pub async fn trail(house: &House) -> Vec<Value> {
    let page = house.auditor("default").get("/authsec/audit/events?order=oldest&limit=500").await.is(200);
    page["events"].as_array().unwrap().clone()
}
