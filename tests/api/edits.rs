//! What an edit of a resource server says takes effect, or is refused: nothing in it passes without a word.

use reqwest::Method;
use serde_json::json;

use crate::house::{DEFAULT, House, client, clients};

#[tokio::test]
async fn r5_who_came_by_a_mode_that_is_off_already_is_suspended_once_an_edit_says_so() {
    let house = House::open().await;
    let dcr = house.registered("Agent").await.text("client_id");
    house.edit_default(json!({ "registration_modes": ["cimd", "prereg"] })).await;
    assert_eq!(house.shown(&dcr).await["status"], "approved");
    let before = house.head().await;
    let off = json!({ "registration_modes": ["cimd", "prereg"], "effect_on_existing": "suspend" });
    assert_eq!(house.edit_default(off.clone()).await["suspended_modes"], json!(["dcr"]));
    let suspended = house.shown(&dcr).await;
    assert_eq!((&suspended["status"], &suspended["reason"]), (&json!("suspended"), &json!("mode_suspended")));
    let asked = house.decider("default").post("/oauth/decisions", json!({ "client_id": dcr })).await.is(200);
    assert_eq!((&asked["decision"], &asked["reason"]), (&json!("deny"), &json!("mode_suspended")));
    let after = house.head().await;
    assert!(after > before, "there is an event");
    let told = house.auditor("default").get("/authsec/audit/events?type=resource_server.modes_changed&limit=1").await.is(200);
    assert_eq!(told["events"][0]["data"]["also_suspended"], json!(["dcr"]));

    house.edit_default(off).await;
    house.edit_default(json!({ "registration_modes": ["cimd", "prereg"], "effect_on_existing": "keep" })).await;
    assert_eq!(house.head().await, after, "the second time nothing happens, and keep leaves everybody as they are");
    assert_eq!(house.shown(&dcr).await["status"], "suspended");
    house.edit_default(json!({ "registration_modes": ["dcr", "cimd", "prereg"] })).await;
    assert_eq!(house.shown(&dcr).await["status"], "approved");
}

#[tokio::test]
async fn r5_an_effect_without_modes_is_about_those_that_are_off_or_is_refused() {
    let house = House::open().await;
    let dcr = house.registered("Agent").await.text("client_id");
    let (admin, path) = (house.admin("default"), format!("/authsec/resource-servers/{DEFAULT}"));
    let before = house.head().await;
    let refused = admin.patch(&path, json!({ "effect_on_existing": "suspend" })).await.problem(409, "no-type-off");
    assert!(refused.text("detail").contains("effect_on_existing"), "{}", refused.text);
    assert_eq!(house.head().await, before);
    house.edit_default(json!({ "registration_modes": ["prereg"] })).await;
    assert_eq!(house.edit_default(json!({ "effect_on_existing": "suspend" })).await["suspended_modes"], json!(["dcr", "cimd"]));
    assert_eq!(house.shown(&dcr).await["reason"], "mode_suspended");
}

#[tokio::test]
async fn r5_no_member_of_an_edit_passes_without_a_word() {
    let house = House::open().await;
    let (admin, path) = (house.admin("default"), format!("/authsec/resource-servers/{DEFAULT}"));
    house.edit_default(json!({ "resource": "https://mcp.example.com/" })).await;
    let before = house.head().await;
    for (member, edit) in [
        ("name", json!({ "name": null })),
        ("registration_modes", json!({ "registration_modes": null })),
        ("effect_on_existing", json!({ "effect_on_existing": null })),
        ("policy", json!({ "policy": null })),
        ("reason", json!({ "reason": "because" })),
    ] {
        let refused = admin.patch(&path, edit).await.problem(400, "invalid-request");
        assert!(refused.text("detail").contains(member), "{}", refused.text);
    }
    let created = json!({ "name": "Files", "effect_on_existing": "suspend" });
    let refused = admin.post("/authsec/resource-servers", created).await.problem(400, "invalid-request");
    assert!(refused.text("detail").contains("effect_on_existing"), "{}", refused.text);
    let named = admin.call(Method::DELETE, &path, Some(json!({ "name": "x" }))).await.problem(400, "invalid-request");
    assert!(named.text("detail").contains("name"), "{}", named.text);
    assert_eq!(house.head().await, before);
    let edited = house.edit_default(json!({ "resource": null })).await;
    assert!(edited.body.get("resource").is_none(), "{}", edited.text);

    let hook = json!({ "label": "ops", "url": "https://ops.example/hook", "types": ["client."] });
    let hook = format!("/authsec/webhooks/{}", admin.post("/authsec/webhooks", hook).await.is(201).text("id"));
    for member in ["label", "url", "start"] {
        let refused = admin.patch(&hook, json!({ member: null })).await.problem(400, "invalid-request");
        assert!(refused.text("detail").contains(member), "{}", refused.text);
    }
    assert_eq!(admin.patch(&hook, json!({ "types": null })).await.is(200)["types"], json!([]));
}

#[tokio::test]
async fn r5_no_member_of_a_decision_passes_without_a_word() {
    let house = House::open().await;
    let admin = house.admin("default");
    let page = client(DEFAULT, &house.registered("Agent").await.text("client_id"));
    let (change, until) = (json!({ "change_id": DEFAULT }), json!({ "until": "2027-02-01T00:00:00Z" }));
    let before = house.head().await;
    for (method, path, body, member) in [
        (Method::POST, format!("{page}/suspend"), until.clone(), "until"),
        (Method::POST, format!("{page}/suspend"), change.clone(), "change_id"),
        (Method::DELETE, page.clone(), until.clone(), "until"),
        (Method::PUT, format!("{page}/approve-redirects"), until, "until"),
        (Method::PUT, format!("{page}/reject-redirects"), json!({ "registration_version": "x" }), "registration_version"),
    ] {
        let refused = admin.call(method, &path, Some(body)).await.problem(400, "invalid-request");
        assert!(refused.text("detail").contains(&format!("`{member}` means nothing")), "{}", refused.text);
    }
    assert_eq!(house.head().await, before);
}

#[tokio::test]
async fn r7_a_path_prefix_ends_at_a_segment_at_every_way_in() {
    let house = House::open().await;
    let admin = house.admin("default");
    let rules = |prefix: &str| json!([{ "kind": "host", "host": "app.example", "path_prefix": prefix }]);
    let asks = |path: &str| json!({ "client_name": "Agent", "redirect_uris": [format!("https://app.example{path}")] });
    for (prefix, welcome, refused) in [
        ("/app", ["/app", "/app/cb", "/app?next=/cb"], ["/application", "/app2/cb", "/App", "/app%2Fcb"]),
        ("/app/", ["/app/", "/app/cb", "/app/?x=1"], ["/app", "/app?next=/cb", "/application", "/app/../cb"]),
        ("/", ["/", "/cb", "/?x=1"], ["", "?x=1", "//../cb", "/%2e%2e/cb"]),
    ] {
        house.edit_default(json!({ "policy": { "redirect_rules": rules(prefix) } })).await;
        for path in welcome {
            house.anyone().post("/oauth/register", asks(path)).await.is(201);
            admin.post(&clients(DEFAULT), asks(path)).await.is(201);
        }
        for path in refused {
            house.anyone().post("/oauth/register", asks(path)).await.refuses(400, "invalid_redirect_uri");
            admin.post(&clients(DEFAULT), asks(path)).await.problem(400, "invalid-redirect-uri");
        }
    }
    house.edit_default(json!({ "policy": { "redirect_rules": null } })).await;
    let tokens = format!("/authsec/resource-servers/{DEFAULT}/registration-tokens");
    let token = admin
        .post(&tokens, json!({ "label": "a", "clamps": { "redirect_rules": rules("/app") } }))
        .await
        .is(201)
        .text("initial_access_token");
    house.holder(&token).post("/oauth/register", asks("/app/cb")).await.is(201);
    house.holder(&token).post("/oauth/register", asks("/application")).await.refuses(400, "invalid_redirect_uri");
    let with_query = json!({ "policy": { "redirect_rules": rules("/app?x=1") } });
    admin.patch(&format!("/authsec/resource-servers/{DEFAULT}"), with_query).await.problem(400, "invalid-request");
}
