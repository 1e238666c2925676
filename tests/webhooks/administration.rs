//! Who may have webhooks, and what they may not be.

use serde_json::json;

use crate::HOOKS;
use crate::hook;
use crate::open;
use crate::receiver::Receiver;

#[tokio::test]
async fn what_is_no_webhook_is_refused_and_leaves_nothing_behind() {
    let house = open().await;
    let head = house.head().await;
    let admin = house.admin("default");
    let good = json!({ "label": "siem", "url": "https://siem.example/hook" });
    for (member, bad, status) in [
        ("url", json!("ftp://siem.example/"), 400),
        ("url", json!("https://user:password@siem.example/"), 400),
        ("url", json!("https://0x7f.1/"), 400),
        ("url", json!(null), 400),
        ("label", json!(""), 400),
        ("types", json!(["Client"]), 400),
        ("types", json!((0..51).map(|number| format!("a{number}")).collect::<Vec<_>>()), 400),
        ("resource_servers", json!(["67617465-626f-4f6b-8000-0000000000ff"]), 404),
        ("start", json!("yesterday"), 400),
        ("tenant", json!("b"), 400),
        ("signing_secret", json!("whsec_AAAA"), 400),
    ] {
        let mut body = good.clone();
        body[member] = bad;
        admin.post(HOOKS, body).await.is(status);
    }
    house.auditor("default").post(HOOKS, good.clone()).await.problem(403, "forbidden");
    house.viewer("default").get(HOOKS).await.problem(403, "forbidden");
    house.anyone().get(HOOKS).await.problem(401, "unauthorized");
    assert_eq!(house.head().await, head);
}

#[tokio::test]
async fn a_webhook_is_its_tenants_own() {
    let house = open().await;
    let receiver = Receiver::open().await;
    let theirs = house.server("b", json!({ "name": "B" })).await;
    let made = hook(&house, &receiver, json!({})).await;
    let page = format!("{HOOKS}/{}", made.text("id"));
    let head = house.head().await;
    let other = house.admin("b");
    other.get(&page).await.problem(404, "not-found");
    other.patch(&page, json!({ "label": "mine" })).await.problem(404, "not-found");
    other.delete(&page).await.problem(404, "not-found");
    for verb in ["enable", "disable", "rotate-secret", "dead-letters/retry"] {
        other.post(&format!("{page}/{verb}"), json!({})).await.problem(404, "not-found");
    }
    assert_eq!(other.get(HOOKS).await.is(200)["webhooks"], json!([]));
    let asked = json!({ "label": "x", "url": receiver.url(), "resource_servers": [theirs] });
    house.admin("default").post(HOOKS, asked).await.problem(404, "not-found");
    house.admin("default").patch(&page, json!({ "resource_servers": [theirs] })).await.problem(404, "not-found");
    assert_eq!(house.head().await, head);
    let listed = house.auditor("default").get(HOOKS).await.is(200);
    assert_eq!((listed["webhooks"].as_array().unwrap().len(), &listed["webhooks"][0]["id"]), (1, &made["id"]));
}

#[tokio::test]
async fn an_edit_changes_what_it_names_and_a_repeated_one_nothing() {
    let house = open().await;
    let receiver = Receiver::open().await;
    let made = hook(&house, &receiver, json!({ "types": ["client.", "client."] })).await;
    assert_eq!(made["types"], json!(["client."]));
    let page = format!("{HOOKS}/{}", made.text("id"));
    let edited = house.admin("default").patch(&page, json!({ "label": "audit" })).await.is(200);
    assert_eq!((&edited["label"], &edited["url"], &edited["types"]), (&json!("audit"), &made["url"], &made["types"]));
    let head = house.head().await;
    house.admin("default").patch(&page, json!({ "label": "audit" })).await.is(200);
    house.admin("default").post(&format!("{page}/enable"), json!({})).await.is(200);
    house.admin("default").patch(&page, json!({ "start": "beginning" })).await.problem(400, "invalid-request");
    assert_eq!(house.head().await, head);
    house.admin("default").delete(&page).await.is(204);
    house.admin("default").delete(&page).await.is(204);
    house.admin("default").patch(&page, json!({ "label": "x" })).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_tenant_has_as_many_webhooks_as_it_may_have_and_no_more() {
    let house = open().await;
    let body = json!({ "label": "siem", "url": "https://siem.example/hook" });
    let mut last = String::new();
    for _ in 0..50 {
        last = house.admin("default").post(HOOKS, body.clone()).await.is(201).text("id");
    }
    house.admin("default").post(HOOKS, body.clone()).await.problem(409, "too-many-webhooks");
    house.admin("b").post(HOOKS, body.clone()).await.is(201);
    house.admin("default").delete(&format!("{HOOKS}/{last}")).await.is(204);
    house.admin("default").post(HOOKS, body).await.is(201);
}
