//! Documents whose hosts cannot be reached from here: nothing is said about them, and administrators can enter their text.

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

fn path(what: &str) -> String {
    format!("/authsec/resource-servers/{DEFAULT}/clients/{what}")
}

#[tokio::test]
async fn w15_a_host_that_cannot_be_reached_is_no_verdict_about_the_document() {
    let (house, author) = (open().await, Author::publish(&[HERE]).await);
    author.answers(503);
    let head = house.head().await;
    let answer = ask(&house, &author, json!({})).await;
    assert_eq!((&answer["decision"], &answer["reason"]), (&json!("pending"), &json!("document_not_reached")), "{}", answer.text);
    // What was read and is of no use stays a verdict.
    let broken = Author::publish(&["/cb"]).await;
    assert_eq!(ask(&house, &broken, json!({})).await["reason"], "document_unusable");
    assert_eq!(house.head().await, head, "neither leaves anything behind");
}

#[tokio::test]
async fn w15_an_administrator_enters_the_text_and_it_serves_until_the_host_answers() {
    let (house, author) = (open().await, Author::publish(&[HERE]).await);
    author.answers(503);
    let text = author.document(&[HERE, THERE]).to_string();
    let preview = admin(&house).post(&path("cimd/preview"), json!({ "client_id": author.url(), "document": text })).await.is(200);
    assert_eq!((&preview["entered"], &preview["metadata"]["redirect_uris"]), (&json!(true), &json!([HERE, THERE])));
    let entered = admin(&house).post(&path("cimd"), json!({ "client_id": author.url(), "document": text })).await.is(201);
    assert_eq!(entered["status"], "approved");
    let answer = ask(&house, &author, json!({ "redirect_uri": THERE })).await;
    assert_eq!(answer["decision"], "allow", "{}", answer.text);
    assert!(answer["warnings"].as_array().unwrap().contains(&json!("document_unreachable")));
    let event = versioned(&house, &author).await;
    assert_eq!((&event["data"]["entered_for"], &event["actor"]["kind"]), (&json!("default"), &json!("admin")), "{event}");
    // A host that stays silent takes nothing away, and is no news.
    let head = house.head().await;
    refresh(&house, &author).await;
    assert_eq!(
        (ask(&house, &author, json!({ "redirect_uri": THERE })).await["decision"].clone(), house.head().await),
        (json!("allow"), head)
    );
    // Once it answers, it speaks for itself.
    author.answers(200);
    author.claims(&[HERE]);
    refresh(&house, &author).await;
    assert_eq!(shown(&house, &author).await["redirect_uris"], json!([HERE]));
    assert!(versioned(&house, &author).await["data"].get("entered_for").is_none());
    author.answers(503);
    let other = author.document(&[THERE]);
    let again = admin(&house).post(&path("cimd"), json!({ "client_id": author.url(), "document": other })).await;
    again.problem(409, "document-known");
}

#[tokio::test]
async fn w15_what_is_entered_is_checked_as_if_it_had_been_fetched_and_heeded_less_than_the_host() {
    let (house, author) = (open().await, Author::publish(&[HERE]).await);
    let document = |members: Value| json!({ "client_id": author.url(), "document": members });
    author.answers(503);
    let mut secret = author.document(&[HERE]);
    secret["client_secret"] = json!("s");
    let refused = admin(&house).post(&path("cimd"), document(secret)).await.problem(400, "document-unusable");
    assert_eq!(refused["trouble"], "secret_in_document");
    let long = json!({ "client_id": author.url(), "document": " ".repeat(6000) });
    assert_eq!(admin(&house).post(&path("cimd"), long).await.problem(400, "document-unusable")["trouble"], "too_long");
    house.viewer("default").post(&path("cimd"), document(author.document(&[HERE]))).await.problem(403, "forbidden");
    author.answers(404);
    let gone = admin(&house).post(&path("cimd"), document(author.document(&[HERE]))).await.problem(400, "document-unusable");
    assert_eq!(gone["trouble"], "not_found", "the host answered");
    author.answers(200);
    admin(&house).post(&path("cimd"), document(author.document(&[THERE]))).await.is(201);
    assert_eq!(shown(&house, &author).await["redirect_uris"], json!([HERE]), "what the host says counts");
}

#[tokio::test]
async fn w15_a_text_that_one_tenant_entered_means_nothing_to_another() {
    let (house, author) = (open().await, Author::publish(&[HERE]).await);
    house.server("acme", json!({ "name": "acme", "resource": "https://acme.example/mcp" })).await;
    author.answers(503);
    let entered = json!({ "client_id": author.url(), "document": author.document(&[THERE]) });
    admin(&house).post(&path("cimd"), entered).await.is(201);
    let question = json!({ "client_id": author.url(), "resource": "https://acme.example/mcp" });
    let there = house.decider("acme").post("/oauth/decisions", question.clone()).await.is(200);
    assert_eq!(there["reason"], "document_not_reached", "{}", there.text);
    author.answers(200);
    // Not before the pause after a failure is over does a stranger's question ask the host again; an administrator's does.
    refresh(&house, &author).await;
    let there = house.decider("acme").post("/oauth/decisions", question).await.is(200);
    assert_eq!((&there["decision"], &there["client"]["redirect_uris"]), (&json!("allow"), &json!([HERE])), "{}", there.text);
}

#[tokio::test]
async fn w15_a_resource_server_stops_announcing_documents_and_still_takes_them() {
    let mut house = crate::house::House::with(|settings| {
        settings.allow_loopback_manifests = Some(true);
        settings.upstream_authorization_endpoint = Some("https://as.example/authorize".to_owned());
        settings.upstream_token_endpoint = Some("https://as.example/token".to_owned());
    })
    .await;
    let announced = async |house: &crate::house::House, place: &str| {
        let document = house.anyone().get(&format!("/.well-known/oauth-authorization-server{place}")).await.is(200);
        document.body.get("client_id_metadata_document_supported").is_some()
    };
    let own = format!("/rs/{DEFAULT}");
    assert_eq!((announced(&house, "").await, announced(&house, &own).await), (true, true));
    rules(&house, json!({ "manifests": { "announce": false } })).await;
    assert_eq!((announced(&house, "").await, announced(&house, &own).await), (false, false));
    let author = Author::publish(&[HERE]).await;
    assert_eq!(ask(&house, &author, json!({})).await["decision"], "allow");
    rules(&house, json!({ "manifests": { "announce": null } })).await;
    assert!(announced(&house, &own).await);
    house = crate::house::House::with(|settings| {
        settings.announce_manifests = Some(false);
        settings.upstream_authorization_endpoint = Some("https://as.example/authorize".to_owned());
        settings.upstream_token_endpoint = Some("https://as.example/token".to_owned());
    })
    .await;
    assert_eq!((announced(&house, "").await, announced(&house, &own).await), (false, false), "for the whole instance");
}

/// The newest event that a version of the document made.
async fn versioned(house: &crate::house::House, author: &Author) -> Value {
    let path = format!("/authsec/audit/events?client_id={}&type=client.manifest_versioned&order=newest", author.encoded());
    let events = house.auditor("default").get(&path).await.is(200);
    events["events"].as_array().unwrap().iter().max_by_key(|event| event["data"]["number"].as_u64()).unwrap().clone()
}

/// Of the documents of one host, too: at first contact the family is asked for.
#[tokio::test]
async fn w16_another_document_of_a_suspended_programs_host_is_suspended() {
    let (house, author) = crate::with_a_client().await;
    let body = json!({ "family": true, "reason": "it leaks" });
    admin(&house).post(&format!("{}/suspend", author.path()), body).await.is(200);
    let other = Author::publish(&[HERE]).await;
    assert_eq!(ask(&house, &other, json!({})).await["reason"], "suspended", "all of them are on one host here");
    // An administrator who enters a client has decided about it.
    let third = Author::publish(&[HERE]).await;
    let entered = admin(&house).post(&path("cimd"), json!({ "client_id": third.url() })).await.is(201);
    assert_eq!(entered["status"], "approved");
}
