//! Service tokens: what authorization servers and gateways ask with.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::house::{DEFAULT, House};

const TOKENS: &str = "/authsec/service-tokens";

async fn made(house: &House, tenant: &str, members: Value) -> Answer {
    let mut body = json!({ "label": "as", "scopes": ["gatebook:decide"] });
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    house.admin(tenant).post(TOKENS, body).await.is(201)
}

async fn ask(house: &House, token: &Answer, question: Value) -> Answer {
    house.holder(&token.text("service_token")).post("/oauth/decisions", question).await
}

#[tokio::test]
async fn a_service_token_asks_and_looks_up_until_it_is_revoked() {
    let house = House::open().await;
    let id = house.registered("App").await.text("client_id");
    let token = made(&house, "default", json!({})).await;
    assert!(token.text("service_token").starts_with("gbt_"));
    assert_eq!((&token["state"], &token["scopes"]), (&json!("active"), &json!(["gatebook:decide"])));
    assert_eq!(ask(&house, &token, json!({ "client_id": id })).await.is(200)["decision"], "allow");
    let holder = house.holder(&token.text("service_token"));
    holder.get(&format!("/oauth/clients/{id}")).await.is(200);
    holder.get("/authsec/resource-servers").await.problem(401, "unauthorized");
    let page = format!("{TOKENS}/{}", token.text("id"));
    house.admin("default").call(reqwest::Method::DELETE, &page, Some(json!({ "reason": "it leaked" }))).await.is(204);
    house.admin("default").delete(&page).await.is(204);
    let refused = ask(&house, &token, json!({ "client_id": id })).await.refuses(401, "invalid_token");
    assert_eq!(refused.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    let shown = house.viewer("default").get(&page).await.is(200);
    assert_eq!((&shown["state"], &shown["revoked_because"]), (&json!("revoked"), &json!("it leaked")));
    let trail = house.auditor("default").get("/authsec/audit/events?order=oldest&limit=500").await.is(200);
    let mut events: Vec<_> = trail["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    events.retain(|name| name.starts_with("service_token."));
    assert_eq!(events, ["service_token.created", "service_token.revoked"]);
}

#[tokio::test]
async fn a_service_token_ends_at_its_time() {
    let house = House::open().await;
    let id = house.registered("App").await.text("client_id");
    let end = house.clock.now() + chrono::TimeDelta::seconds(90);
    let token = made(&house, "default", json!({ "expires_at": end })).await;
    house.clock.advance(chrono::TimeDelta::seconds(89));
    ask(&house, &token, json!({ "client_id": id })).await.is(200);
    house.clock.advance(chrono::TimeDelta::seconds(1));
    ask(&house, &token, json!({ "client_id": id })).await.refuses(401, "invalid_token");
    assert_eq!(house.admin("default").get(&format!("{TOKENS}/{}", token.text("id"))).await["state"], "expired");
}

#[tokio::test]
async fn a_service_token_that_is_bound_to_resource_servers_sees_no_other() {
    let house = House::open().await;
    let id = house.registered("App").await.text("client_id");
    let files = house.server("default", json!({ "name": "files", "resource": "https://files.example/mcp" })).await;
    let bound = made(&house, "default", json!({ "resource_servers": [files] })).await;
    assert_eq!(bound["resource_servers"], json!([files]));
    let files_only = ask(&house, &bound, json!({ "client_id": id })).await.is(200);
    assert_eq!(files_only["reason"], "not_registered", "the one that it is bound to is meant");
    house.edit_default(json!({ "resource": "https://default.example/mcp" })).await;
    let elsewhere = json!({ "client_id": id, "resource": "https://default.example/mcp" });
    ask(&house, &bound, elsewhere.clone()).await.refuses(400, "invalid_target");
    let free = made(&house, "default", json!({})).await;
    assert_eq!(ask(&house, &free, elsewhere).await.is(200)["decision"], "allow");
    house
        .holder(&bound.text("service_token"))
        .get(&format!("/oauth/clients/{id}?resource=https://default.example/mcp"))
        .await
        .refuses(400, "invalid_target");
}

#[tokio::test]
async fn what_is_not_a_good_service_token_is_refused_alike_and_leaves_nothing_behind() {
    let house = House::open().await;
    let head = house.head().await;
    let admin = house.admin("default");
    for (bad, status) in [
        (json!({ "label": "as", "scopes": [] }), 400),
        (json!({ "label": "as", "scopes": ["gatebook:everything"] }), 400),
        (json!({ "label": "", "scopes": ["gatebook:decide"] }), 400),
        (json!({ "label": "as", "scopes": ["gatebook:decide"], "expires_at": "2001-01-01T00:00:00Z" }), 400),
        (json!({ "label": "as", "scopes": ["gatebook:decide"], "resource_servers": ["67617465-626f-4f6b-8000-0000000000ff"] }), 404),
        (json!({ "label": "as", "scopes": ["gatebook:decide"], "tenant": "b" }), 400),
    ] {
        admin.post(TOKENS, bad.clone()).await.is(status);
    }
    house.auditor("default").post(TOKENS, json!({ "label": "as", "scopes": ["gatebook:decide"] })).await.problem(403, "forbidden");
    assert_eq!(house.head().await, head);
    let token = made(&house, "default", json!({})).await.text("service_token");
    for forged in [format!("{token}x"), token[..token.len() - 1].to_owned(), format!("gbt_{}", "0".repeat(32)), "gbt_".to_owned()] {
        house.holder(&forged).post("/oauth/decisions", json!({ "client_id": "x" })).await.refuses(401, "invalid_token");
    }
    let authenticates = made(&house, "default", json!({ "scopes": ["gatebook:authenticate"] })).await;
    ask(&house, &authenticates, json!({ "client_id": "x" })).await.refuses(403, "insufficient_scope");
}

#[tokio::test]
async fn a_service_token_is_its_tenants_own() {
    let house = House::open().await;
    let theirs = house.server("b", json!({ "name": "B", "resource": "https://b.example/mcp" })).await;
    let token = made(&house, "b", json!({})).await;
    let page = format!("{TOKENS}/{}", token.text("id"));
    house.admin("default").get(&page).await.problem(404, "not-found");
    house.admin("default").delete(&page).await.problem(404, "not-found");
    assert_eq!(house.admin("default").get(TOKENS).await.is(200)["service_tokens"], json!([]));
    assert_eq!(house.admin("b").get(TOKENS).await.is(200)["service_tokens"].as_array().unwrap().len(), 1);
    let body = json!({ "label": "x", "scopes": ["gatebook:decide"], "resource_servers": [theirs] });
    house.admin("default").post(TOKENS, body).await.problem(404, "not-found");
    ask(&house, &token, json!({ "client_id": "x" })).await.is(200);
    let mine = made(&house, "default", json!({ "resource_servers": [DEFAULT] })).await;
    ask(&house, &mine, json!({ "client_id": "x", "resource": "https://b.example/mcp" })).await.refuses(400, "invalid_target");
}
