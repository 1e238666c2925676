//! Suspending a whole program: whoever registers as it later stands so too, by whichever way it comes, until an administrator decides.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::house::{DEFAULT, House, client, clients};

fn codex(port: u16) -> Value {
    json!({ "client_name": "Codex", "redirect_uris": [format!("http://127.0.0.1:{port}/callback")], "token_endpoint_auth_method": "none" })
}

async fn register(house: &House, body: Value) -> Answer {
    house.anyone().post("/oauth/register", body).await.is(201)
}

async fn suspend(house: &House, id: &str) {
    let body = json!({ "reason": "it leaks", "family": true });
    house.admin("default").post(&format!("{}/suspend", client(DEFAULT, id)), body).await.is(200);
}

async fn reason(house: &House, id: &str) -> String {
    let answer = house.decider("default").post("/oauth/decisions", json!({ "client_id": id })).await.is(200);
    answer.text("reason")
}

#[tokio::test]
async fn w16_a_suspended_program_that_registers_anew_is_suspended_and_the_cause_is_named() {
    let house = House::open().await;
    let first = register(&house, codex(1)).await.text("client_id");
    suspend(&house, &first).await;
    let second = register(&house, codex(2)).await;
    assert_eq!(second["gatebook"]["status"], "suspended", "{}", second.text);
    let second = second.text("client_id");
    assert_eq!(reason(&house, &second).await, "suspended");
    let events = house.events_of(&second).await;
    let told = events.iter().find(|event| event["type"] == "registration.suspended").unwrap();
    assert_eq!(told["data"]["reason"], format!("it is of the family of {first}, which is suspended"));
    assert!(house.names_of(&first).await.contains(&"resource_server.family_suspended".to_owned()));
    // Another program comes in as ever.
    let other = register(&house, json!({ "client_name": "Other", "redirect_uris": ["http://127.0.0.1:1/callback"] })).await;
    assert_eq!(other["gatebook"]["status"], "approved");
    // Reinstating lifts it.
    house.admin("default").post(&format!("{}/reinstate", client(DEFAULT, &first)), json!({})).await.is(200);
    assert_eq!((reason(&house, &first).await.as_str(), reason(&house, &second).await.as_str()), ("approved", "suspended"));
    assert_eq!(register(&house, codex(3)).await["gatebook"]["status"], "approved");
    house.admin("default").post(&format!("{}/reinstate", client(DEFAULT, &second)), json!({})).await.is(200);
    assert_eq!(reason(&house, &second).await, "approved");
}

#[tokio::test]
async fn w16_suspending_one_client_says_nothing_about_its_family() {
    let house = House::open().await;
    let first = register(&house, codex(1)).await.text("client_id");
    house.admin("default").post(&format!("{}/suspend", client(DEFAULT, &first)), json!({})).await.is(200);
    assert_eq!(register(&house, codex(2)).await["gatebook"]["status"], "approved");
}

#[tokio::test]
async fn w16_a_family_is_suspended_where_the_client_can_be_and_nowhere_else() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "admission": { "dcr": "review" }, "instances_under_review": "separate" } })).await;
    let waiting = register(&house, codex(1)).await.text("client_id");
    let path = |what: &str| format!("{}/{what}", client(DEFAULT, &waiting));
    let head = house.head().await;
    house.admin("default").post(&path("suspend"), json!({ "family": true })).await.problem(409, "wrong-status");
    house.admin("default").post(&path("deny"), json!({ "family": true })).await.problem(400, "invalid-request");
    house.admin("acme").post(&path("suspend"), json!({ "family": true })).await.problem(404, "not-found");
    assert_eq!(house.head().await, head);
    // Whoever would wait is suspended all the same, and another resource server's rules are its own.
    house.admin("default").post(&path("approve"), json!({})).await.is(200);
    suspend(&house, &waiting).await;
    assert_eq!(register(&house, codex(2)).await["gatebook"]["status"], "suspended");
    let elsewhere = house.server("default", json!({ "name": "elsewhere" })).await;
    let there = house.anyone().post(&format!("/rs/{elsewhere}/oauth/register"), codex(3)).await.is(201);
    assert_eq!(there["gatebook"]["status"], "approved");
}

#[tokio::test]
async fn w16_an_instance_of_a_shared_client_that_is_suspended_is_refused() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "instances": "share" } })).await;
    let first = register(&house, codex(1)).await.text("client_id");
    suspend(&house, &first).await;
    house.anyone().post("/oauth/register", codex(2)).await.refuses(403, "access_denied");
    // Alike by name and origin, and not to the letter.
    let mut other = codex(3);
    other["scope"] = json!("mcp:tools");
    assert_eq!(register(&house, other).await["gatebook"]["status"], "suspended");
}

fn program(name: &str) -> Value {
    json!({ "client_name": name, "redirect_uris": ["https://app.example/cb"] })
}

async fn put(house: &House, own: &Answer, mut body: Value) -> Answer {
    body["client_id"] = json!(own.text("client_id"));
    let path = format!("/oauth/register/{}", own.text("client_id"));
    house.holder(&own.text("registration_access_token")).put(&path, body).await.is(200)
}

async fn reviewed(house: &House) {
    house.edit_default(json!({ "policy": { "admission": { "dcr": "review" }, "redirect_changes": "review" } })).await;
}

async fn decide(house: &House, id: &str, what: &str) {
    house.admin("default").post(&format!("{}/{what}", client(DEFAULT, id)), json!({})).await.is(200);
}

async fn approved(house: &House, body: Value) -> Answer {
    let own = register(house, body).await;
    decide(house, &own.text("client_id"), "approve").await;
    own
}

async fn status(house: &House, body: Value) -> Value {
    register(house, body).await["gatebook"]["status"].clone()
}

#[tokio::test]
async fn w16_the_suspended_family_is_that_of_what_was_admitted_and_not_of_what_is_claimed() {
    let house = House::open().await;
    reviewed(&house).await;
    let evil = approved(&house, program("Evil")).await;
    put(&house, &evil, program("Codex")).await;
    for (name, number) in [("Codex", 0), ("Evil", 1)] {
        let path = format!("{}?family=name:{name}%20https://app.example/cb", clients(DEFAULT));
        let listed = house.admin("default").get(&path).await.is(200);
        assert_eq!(listed["clients"].as_array().unwrap().len(), number, "{name}: {}", listed.text);
    }
    suspend(&house, &evil.text("client_id")).await;
    assert_eq!(status(&house, program("Codex")).await, "pending");
    assert_eq!(status(&house, program("Evil")).await, "suspended");
}

#[tokio::test]
async fn w16_a_client_that_claims_to_be_of_a_suspended_family_does_not_lift_it_when_it_is_reinstated() {
    let house = House::open().await;
    reviewed(&house).await;
    let codex = approved(&house, program("Codex")).await.text("client_id");
    let evil = approved(&house, program("Evil")).await;
    let evil_id = evil.text("client_id");
    suspend(&house, &codex).await;
    decide(&house, &evil_id, "suspend").await;
    put(&house, &evil, program("Codex")).await;
    decide(&house, &evil_id, "reinstate").await;
    assert_eq!(status(&house, program("Codex")).await, "suspended");
    decide(&house, &codex, "reinstate").await;
    assert_eq!(status(&house, program("Codex")).await, "pending");
}

#[tokio::test]
async fn w16_a_client_keeps_the_software_id_that_it_came_with_for_its_family() {
    let house = House::open().await;
    let named = |software_id: &str| json!({ "client_name": "X", "redirect_uris": ["https://x.example/cb"], "software_id": software_id });
    let evil = register(&house, named("evil")).await;
    put(&house, &evil, named("codex")).await;
    suspend(&house, &evil.text("client_id")).await;
    assert_eq!(status(&house, named("codex")).await, "approved");
    assert_eq!(status(&house, named("evil")).await, "suspended");
}

#[tokio::test]
async fn w16_a_client_that_would_become_one_of_a_suspended_family_waits() {
    let house = House::open().await;
    let codex = register(&house, program("Codex")).await.text("client_id");
    let evil = register(&house, program("Evil")).await;
    suspend(&house, &codex).await;
    let answer = put(&house, &evil, program("Codex")).await;
    assert_eq!(answer["gatebook"]["staged_change"]["changes"][0]["member"], "client_name", "{}", answer.text);
    let body = json!({ "client_id": evil.text("client_id") });
    let shown = house.decider("default").post("/oauth/decisions", body).await.is(200);
    assert_eq!((&shown["reason"], &shown["client"]["client_name"]), (&json!("approved"), &json!("Evil")), "{}", shown.text);
    // Any other name serves at once, as a newcomer's would.
    let answer = put(&house, &evil, program("Notes")).await;
    assert!(answer["gatebook"]["staged_change"].is_null(), "{}", answer.text);
}

#[tokio::test]
async fn w16_a_suspended_family_holds_for_names_that_look_like_it_and_for_every_loopback_host() {
    let house = House::open().await;
    let first = register(&house, codex(1)).await.text("client_id");
    suspend(&house, &first).await;
    for (name, uri) in [
        ("CODEX", "http://127.0.0.1:7/callback"),
        ("Co dex", "http://localhost:7/callback"),
        ("C\u{43e}dex", "http://[::1]:7/callback"),
        ("Codex", "http://127.0.0.1:7/other"),
    ] {
        let body = json!({ "client_name": name, "redirect_uris": [uri], "token_endpoint_auth_method": "none" });
        assert_eq!(status(&house, body).await, "suspended", "{name} {uri}");
    }
    let elsewhere = json!({ "client_name": "Codex", "redirect_uris": ["https://codex.example/cb"] });
    assert_eq!(status(&house, elsewhere).await, "approved");
    assert_eq!(status(&house, json!({ "client_name": "Cortex", "redirect_uris": ["http://127.0.0.1:7/callback"] })).await, "approved");
}
