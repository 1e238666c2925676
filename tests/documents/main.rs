//! Clients that host their own document, from outside: met at a door, followed in four lanes, lost and found again.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

#[allow(dead_code, reason = "the house of the API's own tests; not every part of it is needed here")]
#[path = "../api/answer.rs"]
mod answer;
#[allow(dead_code, reason = "the house of the API's own tests; not every part of it is needed here")]
#[path = "../api/house.rs"]
mod house;

mod administrators;
mod admission;
mod author;
mod entered;
mod figures;
mod first_sight;
mod flood;
mod informing;
mod lanes;
mod look_alikes;
mod poller;
mod refused;
mod tenants;
mod trouble;
mod turns;
mod widening;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use answer::Answer;
use author::Author;
use house::{Caller, DEFAULT, House, client};

/// A redirect URI that the author's document claims from the start.
const HERE: &str = "https://app.example/cb";
/// One that it claims later.
const THERE: &str = "https://relay.example/cb";

/// A house that reads documents from this very host, as in development.
async fn open() -> House {
    House::with(|settings| settings.allow_loopback_manifests = Some(true)).await
}

/// A house, and an author whose client is registered and approved there.
async fn with_a_client() -> (House, Author) {
    let (house, author) = (open().await, Author::publish(&[HERE]).await);
    assert_eq!(ask(&house, &author, json!({ "redirect_uri": HERE })).await["decision"], "allow");
    (house, author)
}

/// What a door says about the author's client.
async fn ask(house: &House, author: &Author, mut question: Value) -> Answer {
    question["client_id"] = author.url().into();
    house.decider("default").post("/oauth/decisions", question).await.is(200)
}

/// Whether the door lets an answer go to this redirect URI.
async fn serves(house: &House, author: &Author, uri: &str) -> bool {
    ask(house, author, json!({ "redirect_uri": uri })).await["decision"] == "allow"
}

/// Has the document read again.
async fn refresh(house: &House, author: &Author) -> Answer {
    house.admin("default").post(&format!("{}/refresh", author.path()), json!({})).await.is(200)
}

/// What an administrator sees of the client.
async fn shown(house: &House, author: &Author) -> Answer {
    house.admin("default").get(&author.path()).await.is(200)
}

/// The names of the events that the tenant's auditor sees of the client, oldest first.
async fn story(house: &House, author: &Author) -> Vec<String> {
    house.names_of(&author.encoded()).await
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < Duration::from_secs(30), "{what} did not come to be");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Author {
    /// The path of the client at the default resource server.
    fn path(&self) -> String {
        client(DEFAULT, &self.encoded())
    }
}

/// A policy change at the default resource server.
async fn rules(house: &House, policy: Value) {
    house.edit_default(json!({ "policy": policy })).await;
}

fn admin(house: &House) -> Caller<'_> {
    house.admin("default")
}
