//! A reason has one bound, wherever one is given.

use reqwest::Method;
use serde_json::{Value, json};

use crate::house::{DEFAULT, House, client};

/// The body of a call that gives this reason.
type Body<'a> = &'a dyn Fn(Value) -> Value;

#[tokio::test]
async fn r11_a_reason_is_at_most_1024_characters_wherever_one_is_given() {
    let house = House::open().await;
    let admin = house.admin("default");
    let agent = house.registered("Agent").await.text("client_id");
    let agent = client(DEFAULT, &agent);
    let server = house.server("default", json!({ "name": "Files" })).await;
    let tokens = format!("/authsec/resource-servers/{DEFAULT}/registration-tokens");
    let token = format!("{tokens}/{}", admin.post(&tokens, json!({ "label": "a" })).await.is(201).text("id"));
    let service = json!({ "label": "as", "scopes": ["gatebook:decide"] });
    let service = format!("/authsec/service-tokens/{}", admin.post("/authsec/service-tokens", service).await.is(201).text("id"));
    let hook = json!({ "label": "ops", "url": "https://ops.example/hook" });
    let hook = format!("/authsec/webhooks/{}", admin.post("/authsec/webhooks", hook).await.is(201).text("id"));
    let event = house.auditor("default").get("/authsec/audit/events?limit=1").await.is(200)["events"][0]["event_id"].clone();
    let of_event = |more: Value| json!({ "event_id": event, "reason": more });
    let because = |reason: Value| json!({ "reason": reason });

    // Each with what it answers to a reason that is not too long.
    let calls: Vec<(Method, String, Body<'_>, u16)> = vec![
        (Method::POST, format!("{agent}/approve"), &because, 200),
        (Method::POST, format!("{agent}/suspend"), &because, 200),
        (Method::POST, format!("{agent}/reinstate"), &because, 200),
        (Method::POST, format!("{agent}/deny"), &because, 409),
        (Method::POST, format!("{agent}/revoke"), &because, 200),
        (Method::POST, format!("{agent}/restore"), &because, 200),
        (Method::PUT, format!("{agent}/reject-redirects"), &because, 409),
        (Method::POST, format!("{agent}/roll-back"), &|reason| json!({ "version": 1, "reason": reason }), 409),
        (Method::DELETE, agent.clone(), &because, 204),
        (Method::DELETE, token, &because, 204),
        (Method::DELETE, service, &because, 204),
        (Method::POST, format!("{hook}/disable"), &because, 200),
        (Method::DELETE, format!("{hook}/dead-letters/{}", event.as_str().unwrap()), &because, 404),
        (Method::DELETE, hook, &because, 204),
        (Method::POST, "/authsec/projections/directory/skip".to_owned(), &of_event, 409),
        (Method::POST, "/authsec/projections/directory/unskip".to_owned(), &of_event, 202),
        (Method::DELETE, format!("/authsec/resource-servers/{server}"), &because, 204),
    ];
    let (longest, longer) = ("é".repeat(1024), "é".repeat(1025));
    for (method, path, body, status) in calls {
        let before = house.head().await;
        let refused = admin.call(method.clone(), &path, Some(body(json!(longer)))).await.problem(400, "invalid-request");
        let detail = refused.text("detail");
        assert!(detail.contains("reason is 1025 characters long") && detail.contains("1024"), "{method} {path}: {detail}");
        assert_eq!(house.head().await, before, "{method} {path}");
        admin.call(method, &path, Some(body(json!(longest)))).await.is(status);
    }
}
