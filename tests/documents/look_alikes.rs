//! Documents that name themselves like a client that is approved already, or send answers elsewhere.

use serde_json::{Value, json};

use crate::admin;
use crate::ask;
use crate::author::Author;
use crate::house::{DEFAULT, House};
use crate::open;
use crate::refresh;
use crate::rules;
use crate::shown;

/// On the author's own host, so that nothing but the name is odd.
const OWN: &str = "http://127.0.0.1/cb";

/// A house with an approved client called `Example App` from a host of its own; its identifier.
async fn with_a_namesake() -> (House, String) {
    let house = open().await;
    let first = house.registered("Example App").await.text("client_id");
    house.shown(&first).await;
    house.clock.advance(chrono::TimeDelta::seconds(1));
    (house, first)
}

fn flagged(warnings: &Value) -> bool {
    warnings.as_array().unwrap().contains(&json!("look_alike"))
}

fn looks_like(first: &str) -> Value {
    json!({ "client_id": first, "client_name": "Example App", "hosts": ["app.example"], "likeness": "same_name" })
}

#[tokio::test]
async fn a_document_named_like_an_approved_client_is_flagged_wherever_somebody_decides() {
    let (house, first) = with_a_namesake().await;
    rules(&house, json!({ "admission": { "cimd": "review" } })).await;
    let author = Author::publish(&[OWN]).await;
    let preview = format!("/authsec/resource-servers/{DEFAULT}/clients/cimd/preview");
    let preview = admin(&house).post(&preview, json!({ "client_id": author.url() })).await.is(200);
    assert_eq!((flagged(&preview["warnings"]), &preview["resembles"]), (true, &looks_like(&first)));
    let answer = ask(&house, &author, json!({})).await;
    assert_eq!((&answer["decision"], flagged(&answer["warnings"])), (&json!("pending"), true), "{}", answer.text);
    assert_eq!(answer["resembles"], looks_like(&first));
    let waiting = admin(&house).get("/authsec/approvals").await.is(200);
    let wish = &waiting["approvals"][0];
    assert_eq!((&wish["client_id"], flagged(&wish["warnings"]), &wish["resembles"]), (&json!(author.url()), true, &looks_like(&first)));
    admin(&house).post(&format!("{}/approve", author.path()), json!({})).await.is(200);
    let row = shown(&house, &author).await;
    assert_eq!((flagged(&row["warnings"]), &row["resembles"]), (true, &looks_like(&first)));
    assert!(flagged(&ask(&house, &author, json!({ "redirect_uri": OWN })).await["warnings"]));
    let first = house.shown(&first).await;
    assert_eq!((&first["warnings"], first.body.get("resembles")), (&json!([]), None), "who was approved first is not flagged");
}

#[tokio::test]
async fn a_document_that_takes_a_name_in_a_later_version_is_flagged_then() {
    let (house, first) = with_a_namesake().await;
    let author = Author::publish(&[OWN]).await;
    let mut document = author.document(&[OWN]);
    document["client_name"] = "Notes".into();
    author.says(document.clone());
    assert!(!flagged(&ask(&house, &author, json!({})).await["warnings"]));
    document["client_name"] = "Ехample Арр".into();
    author.says(document);
    let row = refresh(&house, &author).await;
    assert_eq!((flagged(&row["warnings"]), &row["resembles"]), (true, &looks_like(&first)));
    let answer = ask(&house, &author, json!({})).await;
    assert_eq!((flagged(&answer["warnings"]), &answer["resembles"]), (true, &looks_like(&first)));
}

#[tokio::test]
async fn answers_that_go_to_another_host_than_the_documents_are_flagged_before_they_are_approved() {
    let house = open().await;
    rules(&house, json!({ "admission": { "cimd": "review" } })).await;
    let (elsewhere, here) = (Author::publish(&["https://app.example/cb"]).await, Author::publish(&[OWN]).await);
    for author in [&elsewhere, &here] {
        ask(&house, author, json!({})).await;
    }
    let waiting = admin(&house).get("/authsec/approvals").await.is(200);
    for wish in waiting["approvals"].as_array().unwrap() {
        let odd = wish["client_id"] == elsewhere.url();
        assert_eq!(wish["warnings"], if odd { json!(["host_differs"]) } else { json!(["loopback_only"]) }, "{wish}");
    }
    assert_eq!(shown(&house, &elsewhere).await["warnings"], json!(["host_differs"]));
    let preview = format!("/authsec/resource-servers/{DEFAULT}/clients/cimd/preview");
    let preview = admin(&house).post(&preview, json!({ "client_id": elsewhere.url() })).await.is(200);
    assert!(preview["warnings"].as_array().unwrap().contains(&json!("host_differs")), "{}", preview.text);
    // A change that would send them elsewhere is one too.
    admin(&house).post(&format!("{}/approve", here.path()), json!({})).await.is(200);
    here.claims(&[OWN, "https://relay.example/cb"]);
    refresh(&house, &here).await;
    let waiting = admin(&house).get("/authsec/approvals").await.is(200);
    let change = waiting["approvals"].as_array().unwrap().iter().find(|wish| wish["kind"] == "redirects").unwrap();
    assert_eq!(change["warnings"], json!(["host_differs"]));
}
