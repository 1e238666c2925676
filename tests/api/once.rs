//! What is shown once: a request that is sent again under its key gets the same answer, and promises of old secrets are kept.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::house::{Caller, DEFAULT, House, client, clients};

/// A call that shows something once.
struct Shows {
    path: String,
    body: Value,
    /// The same call, asked for otherwise.
    other: Value,
    member: &'static str,
    status: u16,
}

async fn calls(house: &House, admin: &Caller<'_>) -> Vec<Shows> {
    let entered = house.entered("ci").await.text("client_id");
    let hook = json!({ "label": "ops", "url": "https://ops.example/hook" });
    let hook = admin.post("/authsec/webhooks", hook).await.is(201).text("id");
    let shows = |path: &str, body: Value, other: Value, member, status| Shows { path: path.to_owned(), body, other, member, status };
    let rotate = format!("{}/rotate-secret", client(DEFAULT, &entered));
    let tokens = format!("/authsec/resource-servers/{DEFAULT}/registration-tokens");
    let of_hook = format!("/authsec/webhooks/{hook}/rotate-secret");
    let (hour, day) = (json!({ "overlap_seconds": 3600 }), json!({ "overlap_seconds": 86_400 }));
    let named = |label: &str| json!({ "label": label, "url": "https://siem.example/hook", "types": ["client."] });
    vec![
        shows(&clients(DEFAULT), json!({ "client_name": "a" }), json!({ "client_name": "b" }), "client_secret", 201),
        shows(&rotate, hour.clone(), day.clone(), "client_secret", 200),
        shows(&tokens, json!({ "label": "a", "max_uses": 3 }), json!({ "label": "b" }), "initial_access_token", 201),
        shows(
            "/authsec/service-tokens",
            json!({ "label": "a", "scopes": ["gatebook:decide"] }),
            json!({ "label": "a", "scopes": ["gatebook:authenticate"] }),
            "service_token",
            201,
        ),
        shows("/authsec/webhooks", named("a"), named("b"), "signing_secret", 201),
        shows(&of_hook, hour, day, "signing_secret", 200),
    ]
}

#[tokio::test]
async fn t7_every_call_that_shows_something_once_shows_it_again_to_the_same_key() {
    let house = House::open().await;
    let admin = house.admin("default");
    for Shows { path, body, other, member, status } in calls(&house, &admin).await {
        let keyed = |key: &str| house.admin("default").with("Idempotency-Key", key);
        let first = keyed("a").post(&path, body.clone()).await.is(status);
        let after = house.head().await;
        let again = keyed("a").post(&path, body.clone()).await.is(status);
        assert_eq!(again.body, first.body, "{path}");
        assert_eq!(house.head().await, after, "{path}: nothing happened the second time");
        keyed("a").post(&path, other).await.problem(409, "idempotency-key-used");
        assert_eq!(house.head().await, after, "{path}");
        for unusable in ["", &"k".repeat(256)] {
            keyed(unusable).post(&path, body.clone()).await.problem(400, "invalid-request");
        }
        assert_eq!(house.head().await, after, "{path}");
        let ended = if path.ends_with("rotate-secret") { json!({ "overlap_seconds": 3600, "end_overlap": true }) } else { body.clone() };
        let next = keyed("b").post(&path, ended).await.is(status);
        assert_ne!(next.text(member), first.text(member), "{path}");
        if path.ends_with("rotate-secret") {
            keyed("a").post(&path, body.clone()).await.problem(409, "idempotency-key-used");
        } else {
            house.clock.advance(TimeDelta::hours(25));
            house.admin("default").with("Idempotency-Key", "a").post(&path, body).await.problem(409, "idempotency-key-used");
        }
    }
}

#[tokio::test]
async fn t7_a_key_is_its_tenants_own_and_its_secret_works() {
    let house = House::open().await;
    let theirs = house.server("b", json!({ "name": "B" })).await;
    let asks = json!({ "label": "as", "scopes": ["gatebook:decide"] });
    let mine = house.admin("default").with("Idempotency-Key", "k").post("/authsec/service-tokens", asks.clone()).await.is(201);
    let other = house.admin("b").with("Idempotency-Key", "k").post("/authsec/service-tokens", asks).await.is(201);
    assert_ne!(mine.text("service_token"), other.text("service_token"));
    let question = json!({ "client_id": "nobody", "resource": format!("https://gate.example/rs/{theirs}") });
    house.holder(&mine.text("service_token")).post("/oauth/decisions", json!({ "client_id": "nobody" })).await.is(200);
    assert!(house.holder(&other.text("service_token")).post("/oauth/decisions", question).await.status != 401);
    let entered = house.entered("ci").await.text("client_id");
    let path = format!("{}/rotate-secret", client(DEFAULT, &entered));
    let rotated = house.admin("default").with("Idempotency-Key", "k").post(&path, json!({})).await.is(200);
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("grant_type", "client_credentials"), ("client_id", &entered), ("client_secret", &rotated.text("client_secret"))])
        .finish();
    let kind = Some("application/x-www-form-urlencoded");
    house.anyone().send(reqwest::Method::POST, "/oauth/token", kind, form.into_bytes()).await.is(200);
}

#[tokio::test]
async fn t7_a_rotation_within_an_overlap_is_refused_until_it_may_end_it() {
    let house = House::open().await;
    let admin = house.admin("default");
    let entered = house.entered("ci").await;
    let hook = json!({ "label": "ops", "url": "https://ops.example/hook" });
    let hook = admin.post("/authsec/webhooks", hook).await.is(201).text("id");
    let of_client = format!("{}/rotate-secret", client(DEFAULT, &entered.text("client_id")));
    for path in [of_client, format!("/authsec/webhooks/{hook}/rotate-secret")] {
        let promised = admin.post(&path, json!({ "overlap_seconds": 3600 })).await.is(200).text("old_secret_valid_until");
        let before = house.head().await;
        for overlap in [0, 60] {
            let refused = admin.post(&path, json!({ "overlap_seconds": overlap })).await.problem(409, "overlap-under-way");
            let detail = refused.text("detail");
            assert!(detail.contains(&promised[..16]) && detail.contains("end_overlap"), "{promised}: {detail}");
        }
        assert_eq!(house.head().await, before);
        admin.post(&path, json!({ "overlap_seconds": 60, "end_overlap": true })).await.is(200);
        house.clock.advance(TimeDelta::seconds(61));
        admin.post(&path, json!({})).await.is(200);
    }
}
