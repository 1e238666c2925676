//! Clients whose name looks like that of an approved one from elsewhere: who is told, and of whom.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::house::{DEFAULT, House, client, clients};

const LOOPBACK: &str = "http://localhost:33417/oauth/callback";
const EVIL: &str = "https://evil.example/cb";

/// A client that registered itself, at a time of its own.
async fn comes(house: &House, name: &str, uri: &str) -> String {
    let body = json!({ "client_name": name, "redirect_uris": [uri], "token_endpoint_auth_method": "none" });
    house.clock.advance(chrono::TimeDelta::milliseconds(1));
    house.anyone().post("/oauth/register", body).await.is(201).text("client_id")
}

async fn decision(house: &House, client_id: &str) -> Answer {
    house.decider("default").post("/oauth/decisions", json!({ "client_id": client_id })).await.is(200)
}

/// What both an administrator and a door are told.
async fn told(house: &House, client_id: &str) -> (bool, Value) {
    let shown = house.shown(client_id).await;
    // The page waited for the directory, so the door's is at least as new.
    let answer = decision(house, client_id).await;
    let flagged = |answer: &Answer| answer["warnings"].as_array().unwrap().contains(&json!("look_alike"));
    assert_eq!((flagged(&shown), &shown["resembles"]), (flagged(&answer), &answer["resembles"]), "{} {}", shown.text, answer.text);
    (flagged(&shown), shown["resembles"].clone())
}

#[tokio::test]
async fn a_newcomer_that_looks_like_an_approved_client_is_shown_with_whom_and_why() {
    let house = House::open().await;
    let first = comes(&house, "Claude Code", LOOPBACK).await;
    let evil = comes(&house, "CIaude\u{a0}C\u{43e}de", EVIL).await;
    let looks_like_first = |likeness| json!({ "client_id": first, "client_name": "Claude Code", "hosts": [], "likeness": likeness });
    assert_eq!(told(&house, &evil).await, (true, looks_like_first("same_name")));
    assert_eq!(told(&house, &first).await, (false, Value::Null), "who was approved first looks like nobody");
    let plural = comes(&house, "Claude Codes", "https://plural.example/cb").await;
    assert_eq!(told(&house, &plural).await, (true, looks_like_first("similar_name")));
    let other = comes(&house, "Cursor", EVIL).await;
    assert_eq!(told(&house, &other).await, (false, Value::Null));
    let looked_up = house.decider("default").get(&format!("/oauth/clients/{evil}")).await.is(200);
    assert_eq!(looked_up["gatebook"]["resembles"], looks_like_first("same_name"));
    assert!(looked_up["gatebook"]["warnings"].as_array().unwrap().contains(&json!("look_alike")));
}

#[tokio::test]
async fn instances_of_one_program_and_clients_of_one_host_never_look_alike() {
    let house = House::open().await;
    for port in 40_000..40_030 {
        let id = comes(&house, "Claude Code", &format!("http://127.0.0.1:{port}/callback")).await;
        assert_eq!(told(&house, &id).await, (false, Value::Null));
    }
    let web = comes(&house, "Dashboard", "https://app.example/cb").await;
    let body = json!({ "client_name": "dash-board", "redirect_uris": ["https://app.example/other"] });
    let entered = house.admin("default").post(&clients(DEFAULT), body).await.is(201).text("client_id");
    assert_eq!((told(&house, &web).await.0, told(&house, &entered).await.0), (false, false));
}

#[tokio::test]
async fn what_waits_is_shown_with_whom_it_looks_like() {
    let house = House::open().await;
    let first = comes(&house, "Claude Code", LOOPBACK).await;
    house.edit_default(json!({ "policy": { "admission": { "dcr": "review" } } })).await;
    let evil = comes(&house, "claude_code", EVIL).await;
    house.clock.advance(chrono::TimeDelta::seconds(1));
    let honest = comes(&house, "Cursor", LOOPBACK).await;
    let waiting = house.viewer("default").get("/authsec/approvals").await.is(200);
    let (wish, other) = (&waiting["approvals"][0], &waiting["approvals"][1]);
    assert_eq!((&wish["client_id"], &wish["warnings"]), (&json!(evil), &json!(["look_alike"])));
    assert_eq!(wish["resembles"], json!({ "client_id": first, "client_name": "Claude Code", "hosts": [], "likeness": "same_name" }));
    assert_eq!((&other["client_id"], &other["warnings"]), (&json!(honest), &json!(["loopback_only"])));
    assert!(other.get("resembles").is_none());
    assert!(told(&house, &evil).await.0, "one that waits is told of at doors too");
    house.admin("default").post(&format!("{}/approve", client(DEFAULT, &evil)), json!({})).await.is(200);
    assert_eq!((told(&house, &evil).await.0, told(&house, &first).await.0), (true, false), "an approval does not make it the first");
}

#[tokio::test]
async fn a_client_that_wants_to_move_away_is_shown_with_the_others_of_its_name() {
    let house = House::open().await;
    let first = comes(&house, "Claude Code", LOOPBACK).await;
    house.clock.advance(chrono::TimeDelta::seconds(1));
    let body = json!({ "client_name": "Claude Code", "redirect_uris": [LOOPBACK], "token_endpoint_auth_method": "none" });
    let second = house.anyone().post("/oauth/register", body.clone()).await.is(201);
    let id = second.text("client_id");
    let mut wider = body;
    (wider["client_id"], wider["redirect_uris"]) = (json!(id), json!([LOOPBACK, EVIL]));
    house.holder(&second.text("registration_access_token")).put(&format!("/oauth/register/{id}"), wider).await.is(200);
    let waiting = house.viewer("default").get("/authsec/approvals").await.is(200);
    assert_eq!(
        (&waiting["approvals"][0]["kind"], &waiting["approvals"][0]["resembles"]["client_id"]),
        (&json!("redirects"), &json!(first))
    );
    assert!(!told(&house, &id).await.0, "what serves is as it was");
    house.admin("default").put(&format!("{}/approve-redirects", client(DEFAULT, &id)), json!({})).await.is(200);
    assert!(told(&house, &id).await.0);
}

#[tokio::test]
async fn a_name_in_one_tenant_says_nothing_in_another() {
    let house = House::open().await;
    let theirs = house.server("acme", json!({ "name": "theirs" })).await;
    let first = comes(&house, "Claude Code", LOOPBACK).await;
    let body = json!({ "client_name": "Claude Code", "redirect_uris": [EVIL] });
    house.clock.advance(chrono::TimeDelta::milliseconds(1));
    let there = house.anyone().post(&format!("/rs/{theirs}/oauth/register"), body).await.is(201).text("client_id");
    let shown = house.admin("acme").get(&client(&theirs, &there)).await.is(200);
    assert_eq!((&shown["warnings"], shown.body.get("resembles")), (&json!([]), None));
    let answer = house.decider("acme").post("/oauth/decisions", json!({ "client_id": there })).await.is(200);
    assert!(answer["decision"] == "allow" && answer["warnings"] == json!([]) && !answer.text.contains(&first), "{}", answer.text);
    // At another resource server of the same tenant it does.
    let ours = house.server("default", json!({ "name": "ours" })).await;
    let body = json!({ "client_name": "Claude Code", "redirect_uris": [EVIL] });
    let here = house.anyone().post(&format!("/rs/{ours}/oauth/register"), body).await.is(201).text("client_id");
    assert_eq!(house.admin("default").get(&client(&ours, &here)).await.is(200)["resembles"]["client_id"], *first);
}
