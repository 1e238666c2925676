//! What authorization servers and gateways ask, and what they may hold of the answer.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::house::{DEFAULT, House, client};

const HERE: &str = "https://app.example/cb";
const THERE: &str = "https://app.example/new";

async fn ask(house: &House, question: Value) -> Answer {
    house.decider("default").post("/oauth/decisions", question).await.is(200)
}

/// Has a client's other redirect URI approved, or its first one withdrawn.
async fn serve(house: &House, own: &Answer, uris: &[&str]) {
    let id = own.text("client_id");
    let body = json!({ "client_id": id, "client_name": "App", "redirect_uris": uris });
    house.holder(&own.text("registration_access_token")).put(&format!("/oauth/register/{id}"), body).await.is(200);
    house.admin("default").put(&format!("{}/approve-redirects", client(DEFAULT, &id)), json!({})).await;
}

#[tokio::test]
async fn a_question_that_goes_on_from_an_answer_gets_nothing_that_came_in_between() {
    let house = House::open().await;
    let own = house.registered("App").await;
    let id = own.text("client_id");
    let consent = ask(&house, json!({ "client_id": id, "redirect_uri": HERE })).await.text("registration_version");
    let later = |uri: &str, version: &str| ask(&house, json!({ "client_id": id, "redirect_uri": uri, "registration_version": version }));
    let calm = later(HERE, &consent).await;
    assert_eq!((&calm["reason"], &calm["warnings"], &calm["registration_version"]), (&json!("approved"), &json!([]), &json!(consent)));
    serve(&house, &own, &[HERE, THERE]).await;
    let new = later(THERE, &consent).await;
    assert_eq!((&new["decision"], &new["reason"]), (&json!("deny"), &json!("registration_changed")));
    let old = later(HERE, &consent).await;
    assert_eq!((&old["reason"], &old["warnings"]), (&json!("approved"), &json!(["registration_changed"])));
    assert_eq!(later(THERE, &old.text("registration_version")).await["reason"], "approved");
    serve(&house, &own, &[THERE]).await;
    assert_eq!(later(HERE, &consent).await["reason"], "redirect_uri_not_registered");
    house.admin("default").post(&format!("{}/suspend", client(DEFAULT, &id)), json!({})).await.is(200);
    assert_eq!(later(HERE, &consent).await["reason"], "suspended", "what was answered once does not outlive the registration");
    assert_eq!(later(THERE, "99.99.0").await["reason"], "suspended");
    let bad = json!({ "client_id": id, "registration_version": "yesterday" });
    house.decider("default").post("/oauth/decisions", bad).await.refuses(400, "invalid_request");
}

#[tokio::test]
async fn a_version_that_was_never_given_allows_nothing() {
    let house = House::open().await;
    let id = house.registered("App").await.text("client_id");
    for version in ["99.99.0", "1.0.0", "0.0.0"] {
        assert_eq!(
            ask(&house, json!({ "client_id": id, "redirect_uri": HERE, "registration_version": version })).await["reason"],
            "registration_changed"
        );
    }
}

#[tokio::test]
async fn many_questions_are_answered_in_their_order_each_for_itself() {
    let house = House::open().await;
    let id = house.registered("App").await.text("client_id");
    let single = ask(&house, json!({ "client_id": id, "redirect_uri": HERE })).await;
    let questions = json!([
        { "client_id": id, "redirect_uri": HERE }, { "client_id": "" }, { "client_id": "nobody" }, 7,
        { "client_id": id, "resource": "https://nowhere.example/" }, { "client_id": id, "redirect_uri": THERE }
    ]);
    let many = ask(&house, json!({ "questions": questions })).await;
    let answers = many["answers"].as_array().unwrap();
    assert_eq!(answers[0], single.body);
    let said: Vec<_> = answers[1..].iter().map(|answer| answer.get("error").unwrap_or(&answer["reason"]).as_str().unwrap()).collect();
    assert_eq!(said, ["invalid_request", "not_registered", "invalid_request", "invalid_target", "redirect_uri_not_registered"]);
    let one = json!({ "client_id": id });
    for refused in [json!([]), json!({}), json!("x"), json!(vec![one.clone(); 101])] {
        house.decider("default").post("/oauth/decisions", json!({ "questions": refused })).await.refuses(400, "invalid_request");
    }
    let beside = json!({ "questions": [one.clone()], "client_id": id });
    house.decider("default").post("/oauth/decisions", beside).await.refuses(400, "invalid_request");
    assert_eq!(ask(&house, json!({ "questions": vec![one; 100] })).await["answers"].as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn a_client_that_is_held_is_sent_again_only_when_it_changed_and_never_after_it_was_revoked() {
    let house = House::open().await;
    let own = house.registered("App").await;
    let (id, decider) = (own.text("client_id"), house.decider("default"));
    let path = format!("/oauth/clients/{id}");
    let first = decider.get(&path).await.is(200);
    let tag = first.header("etag").to_owned();
    assert_eq!((first["gatebook"]["decision"].as_str(), first["gatebook"]["status"].as_str()), (Some("allow"), Some("approved")));
    let version = ask(&house, json!({ "client_id": id })).await.text("registration_version");
    assert_eq!(first["gatebook"]["registration_version"], version);
    for held in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let same = decider.clone().with("if-none-match", &held).get(&path).await.is(304);
        assert_eq!((same.text.as_str(), same.header("etag")), ("", tag.as_str()), "{held}");
    }
    decider.clone().with("if-none-match", "\"other\"").get(&path).await.is(200);
    serve(&house, &own, &[HERE, THERE]).await;
    let changed = decider.clone().with("if-none-match", &tag).get(&path).await.is(200);
    assert_ne!(changed.header("etag"), tag);
    house.admin("default").post(&format!("{}/revoke", client(DEFAULT, &id)), json!({})).await.is(200);
    decider.clone().with("if-none-match", changed.header("etag")).get(&path).await.refuses(404, "invalid_client");
}
