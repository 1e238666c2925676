//! When clients were used: seen by the doors, shown to administrators, and never an event.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::house::{DEFAULT, House, clients};

const HERE: &str = "https://app.example/cb";

async fn decide(house: &House, question: Value) -> Answer {
    house.decider("default").post("/oauth/decisions", question).await.is(200)
}

/// When the client's page says that it was seen first and last.
async fn seen(house: &House, id: &str) -> [Option<String>; 2] {
    let shown = house.shown(id).await;
    ["first_seen_at", "last_seen_at"].map(|member| shown[member].as_str().map(str::to_owned))
}

#[tokio::test]
async fn a_use_shows_in_the_list_and_on_the_clients_page_and_is_no_event() {
    let house = House::open().await;
    let (own, quiet) = (house.registered("App").await, house.registered("Quiet").await.text("client_id"));
    let id = own.text("client_id");
    let before = house.head().await;
    assert_eq!(seen(&house, &id).await, [None, None]);
    decide(&house, json!({ "client_id": id, "redirect_uri": HERE })).await;
    let first = Some("2027-01-15T08:00:00.000000Z".to_owned());
    assert_eq!(seen(&house, &id).await, [first.clone(), first.clone()]);
    house.clock.advance(TimeDelta::hours(2));
    decide(&house, json!({ "client_id": id })).await;
    assert_eq!(seen(&house, &id).await, [first.clone(), first.clone()], "a day is as fine as it gets");
    house.clock.advance(TimeDelta::days(1));
    house.decider("default").get(&format!("/oauth/clients/{id}")).await.is(200);
    let next_day = Some("2027-01-16T10:00:00.000000Z".to_owned());
    assert_eq!(seen(&house, &id).await, [first.clone(), next_day.clone()]);
    let all = house.admin("default").get(&clients(DEFAULT)).await.is(200);
    let rows = all["clients"].as_array().unwrap();
    let of = |id: &str| rows.iter().find(|row| row["client_id"] == *id).unwrap();
    assert_eq!((&of(&id)["first_seen_at"], &of(&id)["last_seen_at"]), (&json!(first), &json!(next_day)));
    assert!(of(&quiet).get("last_seen_at").is_none() && of(&quiet).get("first_seen_at").is_none());
    assert_eq!(house.head().await, before);
    let folder = house.end().await;
    let house = House::begin(folder, chrono::DateTime::from_timestamp(1_800_300_000, 0).unwrap(), |_| {}).await;
    assert_eq!(seen(&house, &id).await, [first, next_day], "a restart forgets nothing");
}

#[tokio::test]
async fn who_is_refused_or_proves_nothing_was_not_used() {
    let house = House::open().await;
    let own = house.registered("App").await;
    let id = own.text("client_id");
    let refused = decide(&house, json!({ "client_id": id, "redirect_uri": "https://evil.example/" })).await;
    assert_eq!(refused["decision"], "deny");
    let shown = |secret: String| json!({ "client_id": id, "client_secret": secret });
    let wrong = house.decider("default").post("/oauth/authenticate", shown("guess".to_owned())).await.is(200);
    assert_eq!(wrong["authenticated"], false);
    assert_eq!(seen(&house, &id).await, [None, None]);
    let right = house.decider("default").post("/oauth/authenticate", shown(own.text("client_secret"))).await.is(200);
    assert_eq!(right["authenticated"], true);
    let [first, last] = seen(&house, &id).await;
    assert!(first.is_some() && first == last);
}
