//! A document that was read, and whose client is refused by ceiling, cap or rules: nothing of it is stored.

use serde_json::json;

use crate::HERE;
use crate::admin;
use crate::ask;
use crate::author::Author;
use crate::house::{DEFAULT, House, clients};
use crate::open;
use crate::rules;

/// Asks for this document by every way in, of which each is refused.
async fn is_refused_everywhere(house: &House, author: &Author) {
    assert_ne!(ask(house, author, json!({})).await["decision"], "allow");
    assert!(house.anyone().post("/oauth/register", json!({ "client_id": author.url() })).await.status >= 400);
    entry_is_refused(house, author).await;
}

async fn entry_is_refused(house: &House, author: &Author) {
    let path = format!("{}/cimd", clients(DEFAULT));
    assert!(admin(house).post(&path, json!({ "client_id": author.url() })).await.status >= 400);
    author.answers(503);
    let text = json!({ "client_id": author.url(), "document": author.document(&[HERE]) });
    let refused = admin(house).post(&path, text).await;
    assert!(refused.status >= 400, "{}", refused.text);
}

#[tokio::test]
async fn t7_a_document_whose_client_the_rules_refuse_leaves_nothing_stored() {
    let (house, author) = (open().await, Author::publish(&[HERE]).await);
    rules(&house, json!({ "redirect_rules": [{ "kind": "host", "host": "other.example" }] })).await;
    let head = house.head().await;
    assert_eq!(ask(&house, &author, json!({})).await["reason"], "document_unusable");
    is_refused_everywhere(&house, &author).await;
    assert_eq!(house.head().await, head);
}

#[tokio::test]
async fn t7_a_document_whose_client_finds_no_room_leaves_nothing_stored() {
    let (house, first, author) = (open().await, Author::publish(&[HERE]).await, Author::publish(&[HERE]).await);
    rules(&house, json!({ "max_clients": 1 })).await;
    assert_eq!(ask(&house, &first, json!({})).await["decision"], "allow");
    // Administrators are told once that the register is full.
    assert_eq!(ask(&house, &Author::publish(&[HERE]).await, json!({})).await["reason"], "register_full");
    let head = house.head().await;
    assert_eq!(ask(&house, &author, json!({})).await["reason"], "register_full");
    is_refused_everywhere(&house, &author).await;
    assert_eq!(house.head().await, head);
}

#[tokio::test]
async fn t7_a_document_that_comes_above_the_ceiling_leaves_nothing_stored() {
    let (house, first, author) = (open().await, Author::publish(&[HERE]).await, Author::publish(&[HERE]).await);
    rules(&house, json!({ "registrations_per_minute": 1 })).await;
    assert_eq!(ask(&house, &first, json!({})).await["decision"], "allow");
    let head = house.head().await;
    assert_eq!(ask(&house, &author, json!({})).await["reason"], "too_many_registrations");
    house.anyone().post("/oauth/register", json!({ "client_id": author.url() })).await.refuses(429, "temporarily_unavailable");
    assert_eq!(house.head().await, head);
    // An administrator's entry is not below the ceiling.
    admin(&house).post(&format!("{}/cimd", clients(DEFAULT)), json!({ "client_id": author.url() })).await.is(201);
}
