//! What administrators do with clients that host their own document.

use serde_json::{Value, json};

use crate::HERE;
use crate::THERE;
use crate::admin;
use crate::ask;
use crate::author::Author;
use crate::house::DEFAULT;
use crate::open;
use crate::refresh;
use crate::rules;
use crate::shown;
use crate::story;
use crate::with_a_client;

fn clients(path: &str) -> String {
    format!("/authsec/resource-servers/{DEFAULT}/clients/{path}")
}

#[tokio::test]
async fn a_preview_shows_what_would_be_registered_and_registers_nothing() {
    let (house, author) = (open().await, Author::publish(&[HERE]).await);
    rules(&house, json!({ "admission": { "cimd": "review" } })).await;
    let head = house.head().await;
    let mut document = author.document(&[HERE]);
    document["grant_types"] = json!(["authorization_code", "urn:ietf:params:oauth:grant-type:jwt-bearer"]);
    document["x_unknown"] = json!(1);
    author.says(document);
    let preview = admin(&house).post(&clients("cimd/preview"), json!({ "client_id": author.url() })).await.is(200);
    assert_eq!(preview["metadata"]["redirect_uris"], json!([HERE]));
    assert_eq!(preview["metadata"]["grant_types"], json!(["authorization_code"]));
    assert_eq!((&preview["admission"], &preview["ignored"]), (&json!("review"), &json!(["x_unknown"])));
    assert!(preview["warnings"].as_array().unwrap().contains(&json!("grant_stripped")), "{}", preview.text);
    assert_eq!(house.head().await, head);
    admin(&house).get(&author.path()).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_preview_names_what_is_wrong_to_administrators_only() {
    let (house, author) = (open().await, Author::publish(&[HERE]).await);
    author.answers(404);
    let refused =
        admin(&house).post(&clients("cimd/preview"), json!({ "client_id": author.url() })).await.problem(400, "document-unusable");
    assert_eq!(refused["trouble"], "not_found");
    for wrong in ["", "https://app.example", "https://app.example/a/../b", "https://user@app.example/c", "http://app.example/c"] {
        admin(&house).post(&clients("cimd/preview"), json!({ "client_id": wrong })).await.problem(400, "invalid-client-id");
    }
    house.viewer("default").post(&clients("cimd/preview"), json!({ "client_id": author.url() })).await.problem(403, "forbidden");
}

#[tokio::test]
async fn an_administrator_vouches_for_a_client_where_others_would_wait() {
    let (house, author) = (open().await, Author::publish(&[HERE]).await);
    rules(&house, json!({ "admission": { "cimd": "review" } })).await;
    let entered = admin(&house).post(&clients("cimd"), json!({ "client_id": author.url() })).await.is(201);
    assert_eq!((&entered["status"], &entered["registration_type"]), (&json!("approved"), &json!("cimd")));
    let waits = Author::publish(&[HERE]).await;
    assert_eq!(ask(&house, &waits, json!({})).await["decision"], "pending");
    let entered = admin(&house).post(&clients("cimd"), json!({ "client_id": waits.url() })).await.is(201);
    assert_eq!(entered["status"], "approved");
}

#[tokio::test]
async fn every_version_is_kept_with_what_it_changed() {
    let (house, author) = with_a_client().await;
    author.claims(&[HERE, THERE]);
    assert_eq!(refresh(&house, &author).await["refresh"]["changed"], true);
    let mut renamed = author.document(&[HERE, THERE]);
    renamed["client_name"] = "Renamed App".into();
    author.says(renamed.clone());
    refresh(&house, &author).await;
    assert_eq!(refresh(&house, &author).await["refresh"]["changed"], false, "a poll that finds nothing new is no event");
    let versions = admin(&house).get(&format!("{}/manifest", author.path())).await.is(200);
    let versions = versions["versions"].as_array().unwrap().clone();
    let told: Vec<_> = versions.iter().map(|version| (version["version"].clone(), version["differences"].clone())).collect();
    assert_eq!(told, [(json!(3), json!(["display_identity"])), (json!(2), json!(["redirects_widened"])), (json!(1), json!([]))]);
    let newest: Value = serde_json::from_str(versions[0]["document"].as_str().unwrap()).unwrap();
    assert_eq!(newest, renamed);
    assert_eq!(shown(&house, &author).await["client_name"], "Renamed App");
}

#[tokio::test]
async fn an_administrator_goes_back_and_stays_there_until_the_document_differs() {
    let (house, author) = with_a_client().await;
    author.claims(&[THERE]);
    refresh(&house, &author).await;
    admin(&house).put(&format!("{}/approve-redirects", author.path()), json!({})).await.is(200);
    assert_eq!(shown(&house, &author).await["redirect_uris"], json!([THERE]));
    let back = admin(&house).post(&format!("{}/roll-back", author.path()), json!({ "version": 1, "reason": "not theirs" })).await.is(200);
    assert_eq!(back["redirect_uris"], json!([HERE]));
    let head = house.head().await;
    refresh(&house, &author).await;
    assert_eq!(house.head().await, head, "the same document is not heard again");
    author.claims(&[THERE, "https://third.example/cb"]);
    refresh(&house, &author).await;
    assert_eq!(shown(&house, &author).await["staged_change"]["added"], json!([THERE, "https://third.example/cb"]));
    admin(&house).post(&format!("{}/roll-back", author.path()), json!({ "version": 9 })).await.problem(404, "no-such-version");
    assert!(story(&house, &author).await.contains(&"registration.rolled_back".to_owned()));
}

#[tokio::test]
async fn another_tenants_administrator_sees_and_does_nothing_and_the_story_names_nobody() {
    let (house, author) = with_a_client().await;
    let server = house.server("acme", json!({ "name": "theirs" })).await;
    let (path, encoded) = (author.path(), author.encoded());
    let stranger = house.admin("acme");
    for (tail, body) in [("refresh", json!({})), ("roll-back", json!({ "version": 1 }))] {
        stranger.post(&format!("{path}/{tail}"), body.clone()).await.problem(404, "not-found");
        stranger.post(&format!("/authsec/resource-servers/{server}/clients/{encoded}/{tail}"), body).await.problem(404, "not-found");
    }
    stranger.get(&format!("{path}/manifest")).await.problem(404, "not-found");
    stranger.post(&clients("cimd"), json!({ "client_id": author.url() })).await.problem(404, "not-found");
    let theirs = format!("/authsec/audit/events?client_id={encoded}");
    assert_eq!(house.auditor("acme").get(&theirs).await.is(200)["events"], json!([]));
    // Once the client comes to them, they see what happened to it, and no other tenant's people.
    let question = json!({ "client_id": author.url() });
    house.decider("acme").post("/oauth/decisions", question).await.is(200);
    author.claims(&[HERE, THERE]);
    refresh(&house, &author).await;
    let events = house.auditor("acme").get(&theirs).await.is(200);
    let names: Vec<_> = events["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    assert!(names.contains(&"client.manifest_versioned".to_owned()), "{names:?}");
    assert!(!events.text.contains("\"ada\""), "{}", events.text);
}
