//! Hosts that others have asked for too much: each caller has its share of one, and what was not asked is no verdict.

use serde_json::{Value, json};

use crate::HERE;
use crate::admin;
use crate::ask;
use crate::author::Author;
use crate::house::{DEFAULT, House};
use crate::refresh;

fn path(what: &str) -> String {
    format!("/authsec/resource-servers/{DEFAULT}/clients/{what}")
}

/// Whether an answer says when to come back, within a minute.
fn within_a_minute(seconds: &str) -> bool {
    seconds.parse::<u64>().is_ok_and(|seconds| (1..=60).contains(&seconds))
}

#[tokio::test]
async fn b6_one_source_leaves_a_documents_host_to_other_tenants_sources_and_administrators() {
    let house = House::with(|settings| {
        settings.allow_loopback_manifests = Some(true);
        settings.trusted_proxies = Some(vec!["127.0.0.1".to_owned()]);
    })
    .await;
    house.server("acme", json!({ "name": "acme", "resource": "https://acme.example/mcp" })).await;
    let author = Author::publish(&[HERE]).await;
    let host = author.url().replace("/client.json", "");
    let register = async |source: &str, name: &str| {
        let body = json!({ "client_id": format!("{host}/{name}.json") });
        house.anyone().with("x-forwarded-for", source).post("/oauth/register", body).await
    };
    let mut refused = 0;
    for number in 0..60 {
        let answer = register("192.0.2.1", &format!("no{number}")).await;
        if answer.status == 503 {
            assert!(within_a_minute(answer.header("retry-after")), "{:?}", answer.headers);
            refused += 1;
        } else {
            answer.refuses(400, "invalid_client_metadata");
        }
    }
    assert!(refused > 0, "a quarter of the host's 60 is one source's");
    let question = json!({ "client_id": author.url(), "resource": "https://acme.example/mcp" });
    let decided = house.decider("acme").post("/oauth/decisions", question).await.is(200);
    assert_eq!(decided["decision"], "allow", "{}", decided.text);
    admin(&house).post(&path("cimd"), json!({ "client_id": author.url() })).await.is(201);
    assert_eq!(refresh(&house, &author).await["refresh"], json!({ "changed": false }));
    register("192.0.2.2", "no60").await.refuses(400, "invalid_client_metadata");
}

/// A house that asks a host once in a minute, and has done so.
async fn spent() -> (House, Author) {
    let house = House::with(|settings| {
        settings.allow_loopback_manifests = Some(true);
        settings.manifests_per_host_per_minute = Some(1);
    })
    .await;
    let author = Author::publish(&[HERE]).await;
    admin(&house).post(&path("cimd"), json!({ "client_id": author.url() })).await.is(201);
    (house, author)
}

#[tokio::test]
async fn b6_what_was_not_asked_is_no_verdict_at_any_call_and_says_when_to_come_back() {
    let (house, author) = spent().await;
    let head = house.head().await;
    let other = author.url().replace("client", "other");
    for what in ["cimd", "cimd/preview"] {
        let answer = admin(&house).post(&path(what), json!({ "client_id": other })).await.problem(503, "temporarily-unavailable");
        assert!(within_a_minute(answer.header("retry-after")), "{:?}", answer.headers);
    }
    let answer = house.decider("default").post("/oauth/decisions", json!({ "client_id": other })).await.is(200);
    assert_eq!((&answer["decision"], &answer["reason"]), (&json!("pending"), &json!("document_not_tried")), "{}", answer.text);
    assert!(answer.text("cure").contains("ask again") && !answer.text("cure").contains("enter"), "{}", answer.text);
    let seconds = answer.header("retry-after");
    assert!(
        within_a_minute(seconds) && seconds.parse() == Ok(answer["retry_after"].as_u64().unwrap()),
        "{:?} {}",
        answer.headers,
        answer.text
    );
    let several = house.decider("default").post("/oauth/decisions", json!({ "questions": [{ "client_id": other }] })).await.is(200);
    assert!(within_a_minute(&several["answers"][0]["retry_after"].to_string()), "{}", several.text);
    let encoded = other.replace(':', "%3A").replace('/', "%2F");
    let looked = house.decider("default").get(&format!("/oauth/clients/{encoded}")).await.refuses(503, "temporarily_unavailable");
    assert!(within_a_minute(looked.header("retry-after")), "{:?}", looked.headers);
    let shown = house.decider("default").post("/oauth/authenticate", json!({ "client_id": other })).await.is(200);
    assert_eq!((&shown["decision"], &shown["reason"]), (&json!("pending"), &json!("document_not_tried")), "{}", shown.text);
    assert!(within_a_minute(&shown["retry_after"].to_string()), "{}", shown.text);
    let refreshed = refresh(&house, &author).await["refresh"].clone();
    assert_eq!((&refreshed["trouble"], &refreshed["tried"]), (&json!("too_often"), &Value::Bool(false)));
    assert!(within_a_minute(&refreshed["retry_after"].to_string()), "{refreshed}");
    assert_eq!(ask(&house, &author, json!({})).await["decision"], "allow", "a known client is not touched");
    assert_eq!((house.head().await, author.asked().0), (head, 1));
}

#[tokio::test]
async fn w15_no_text_is_taken_for_a_document_whose_host_was_only_not_asked() {
    let (house, author) = spent().await;
    let head = house.head().await;
    let other = author.url().replace("client", "other");
    let mut document = author.document(&[HERE]);
    document["client_id"] = other.as_str().into();
    for what in ["cimd/preview", "cimd"] {
        let body = json!({ "client_id": other, "document": document });
        let answer = admin(&house).post(&path(what), body).await.problem(503, "temporarily-unavailable");
        assert!(within_a_minute(answer.header("retry-after")), "{:?}", answer.headers);
    }
    assert_eq!(house.head().await, head);
}
