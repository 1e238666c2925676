//! A client that nobody here knew: it is met at a door, or registers itself by its URL.

use serde_json::{Value, json};

use crate::HERE;
use crate::THERE;
use crate::admin;
use crate::ask;
use crate::author::Author;
use crate::house::DEFAULT;
use crate::open;
use crate::rules;
use crate::shown;
use crate::story;

#[tokio::test]
async fn a_client_that_a_door_asks_about_is_read_registered_and_let_in() {
    let (house, author) = (open().await, Author::publish(&[HERE, "http://localhost/cb"]).await);
    let answer = ask(&house, &author, json!({ "redirect_uri": "http://localhost:4711/cb", "grant_type": "authorization_code" })).await;
    assert_eq!((&answer["decision"], &answer["reason"]), (&json!("allow"), &json!("approved")), "{}", answer.text);
    assert_eq!((&answer["redirect_uri"], &answer["redirect_host"]), (&json!("http://localhost:4711/cb"), &json!("localhost")));
    assert_eq!(answer["client"]["client_name"], "Example App");
    assert_eq!(answer["client"]["client_id"], author.url());
    assert_eq!(author.asked(), (1, 0));
    ask(&house, &author, json!({})).await;
    assert_eq!(author.asked(), (1, 0), "what is known is not read at a door");
    let row = shown(&house, &author).await;
    assert_eq!((&row["registration_type"], &row["status"]), (&json!("cimd"), &json!("approved")));
    assert_eq!((&row["manifest"]["version"], &row["manifest"]["health"]), (&json!(1), &json!("good")));
    let story = story(&house, &author).await;
    assert_eq!(story, ["client.registered", "client.manifest_versioned", "registration.requested", "registration.approved"]);
}

#[tokio::test]
async fn a_registration_that_names_the_documents_url_registers_what_the_document_says() {
    let (house, author) = (open().await, Author::publish(&[HERE]).await);
    let answer = house.anyone().post("/oauth/register", json!({ "client_id": author.url() })).await.is(201);
    assert_eq!((&answer["client_id"], &answer["redirect_uris"]), (&json!(author.url()), &json!([HERE])));
    assert_eq!((&answer["token_endpoint_auth_method"], &answer["gatebook"]["status"]), (&json!("none"), &json!("approved")));
    for member in ["client_secret", "registration_access_token", "registration_client_uri"] {
        assert!(answer.body.get(member).is_none(), "{member}");
    }
    let head = house.head().await;
    let again = house.anyone().post("/oauth/register", json!({ "client_id": author.url() })).await.is(201);
    assert_eq!((again.body, house.head().await), (answer.body, head), "registering again is no news");
}

#[tokio::test]
async fn other_members_beside_a_url_make_it_an_ordinary_registration() {
    let (house, author) = (open().await, Author::publish(&[HERE]).await);
    let body = json!({ "client_id": author.url(), "redirect_uris": [THERE] });
    let answer = house.anyone().post("/oauth/register", body).await.is(201);
    assert_ne!(answer["client_id"], author.url());
    assert_eq!(author.asked(), (0, 0));
}

#[tokio::test]
async fn where_documents_are_reviewed_the_client_waits_and_is_told_so() {
    let (house, author) = (open().await, Author::publish(&[HERE]).await);
    rules(&house, json!({ "admission": { "cimd": "review" } })).await;
    let answer = ask(&house, &author, json!({ "redirect_uri": HERE })).await;
    assert_eq!((&answer["decision"], &answer["reason"]), (&json!("pending"), &json!("approval_pending")));
    let waiting = admin(&house).get("/authsec/approvals").await.is(200);
    assert_eq!(waiting["approvals"][0]["client_id"], author.url());
    admin(&house).post(&format!("{}/approve", author.path()), json!({})).await.is(200);
    assert_eq!(ask(&house, &author, json!({ "redirect_uri": HERE })).await["decision"], "allow");
}

#[tokio::test]
async fn where_documents_are_not_admitted_nothing_is_even_read() {
    let (house, author) = (open().await, Author::publish(&[HERE]).await);
    house.edit_default(json!({ "registration_modes": ["dcr", "prereg"] })).await;
    let head = house.head().await;
    assert_eq!(ask(&house, &author, json!({})).await["reason"], "mode_not_admitted");
    house.anyone().post("/oauth/register", json!({ "client_id": author.url() })).await.refuses(403, "access_denied");
    admin(&house)
        .post(&format!("/authsec/resource-servers/{DEFAULT}/clients/cimd"), json!({ "client_id": author.url() }))
        .await
        .problem(403, "mode-not-admitted");
    assert_eq!((author.asked(), house.head().await), ((0, 0), head));
}

/// An author whose document cannot be used, for one of five causes.
async fn broken(cause: usize) -> Author {
    let author = Author::publish(&[HERE]).await;
    match cause {
        0 => author.answers(404),
        1 => author.says(json!({ "client_id": "https://other.example/client.json", "client_name": "x", "redirect_uris": [HERE] })),
        2 => author.says(json!({ "client_id": author.url(), "client_name": "x", "redirect_uris": ["javascript:alert(1)"] })),
        3 => author.says(json!({ "client_id": author.url(), "client_name": "x", "redirect_uris": [HERE], "client_secret": "s" })),
        _ => author.answers(500),
    }
    author
}

#[tokio::test]
async fn a_document_that_cannot_be_used_leaves_nothing_behind_and_every_cause_gets_the_same_answer() {
    let house = open().await;
    let head = house.head().await;
    let (mut said, mut decided): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    for break_it in 0..5 {
        // One document for each question: what was just asked for in vain is left alone for a while, which is no verdict.
        let (author, other) = (broken(break_it).await, broken(break_it).await);
        let answer = ask(&house, &author, json!({})).await;
        // A host that is in trouble says nothing about the document.
        let expected = if break_it == 4 { ("pending", "document_not_reached") } else { ("deny", "document_unusable") };
        assert_eq!((&answer["decision"], &answer["reason"]), (&json!(expected.0), &json!(expected.1)), "{break_it}");
        let refused =
            house.anyone().post("/oauth/register", json!({ "client_id": other.url() })).await.refuses(400, "invalid_client_metadata");
        said.push(refused["error_description"].clone());
        if break_it != 4 {
            decided.push(answer.body);
        }
    }
    assert!(said.iter().all(|one| *one == said[0]) && decided.iter().all(|one| *one == decided[0]), "{said:?} {decided:?}");
    assert_eq!(house.head().await, head);
}

#[tokio::test]
async fn a_document_whose_redirects_the_rules_refuse_is_not_let_in() {
    let (house, author) = (open().await, Author::publish(&[HERE]).await);
    rules(&house, json!({ "redirect_rules": [{ "kind": "host", "host": "other.example" }] })).await;
    assert_eq!(ask(&house, &author, json!({})).await["reason"], "document_unusable");
    house.anyone().post("/oauth/register", json!({ "client_id": author.url() })).await.refuses(400, "invalid_redirect_uri");
}

#[tokio::test]
async fn a_client_that_came_to_one_resource_server_comes_to_another_by_that_ones_rules() {
    let (house, author) = (open().await, Author::publish(&[HERE]).await);
    ask(&house, &author, json!({})).await;
    let strict = json!({ "name": "strict", "resource": "https://strict.example/mcp", "policy": { "admission": { "cimd": "review" } } });
    house.server("default", strict).await;
    let there = ask(&house, &author, json!({ "resource": "https://strict.example/mcp" })).await;
    assert_eq!((&there["decision"], author.asked()), (&json!("pending"), (1, 0)), "known, so not read again");
}

#[tokio::test]
async fn doors_are_for_those_who_guard_them() {
    let (house, author) = (open().await, Author::publish(&[HERE]).await);
    let question = json!({ "client_id": author.url() });
    house.anyone().post("/oauth/decisions", question.clone()).await.refuses(401, "invalid_token");
    house.viewer("default").post("/oauth/decisions", question.clone()).await.refuses(403, "insufficient_scope");
    house.decider("default").get("/authsec/resource-servers").await.problem(403, "forbidden");
    house.decider("acme").post("/oauth/decisions", question).await.refuses(400, "invalid_target");
    let dcr = house.registered("Plain").await.text("client_id");
    let found = house.decider("default").get(&format!("/oauth/clients/{dcr}")).await.is(200);
    assert_eq!((&found["gatebook"]["decision"], &found["redirect_uris"]), (&json!("allow"), &json!(["https://app.example/cb"])));
    house.decider("default").get("/oauth/clients/nobody").await.refuses(404, "invalid_client");
    admin(&house).post(&format!("/authsec/resource-servers/{DEFAULT}/clients/{dcr}/revoke"), json!({})).await.is(200);
    house.decider("default").get(&format!("/oauth/clients/{dcr}")).await.refuses(404, "invalid_client");
}
