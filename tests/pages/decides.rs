//! The pages decide about what they showed: one client, and many.

use gatebook::credentials::admin::Role;
use serde_json::json;

use crate::guest::Guest;
use crate::house::{DEFAULT, House};

const CLIENTS: &str = "/ui/servers/67617465-626f-4f6b-8000-000000000001/clients";
const URI: &str = "https://app.example/cb";

async fn waiting(house: &House) -> (String, String) {
    house.edit_default(json!({ "policy": { "admission": { "dcr": "review" } } })).await;
    let first = json!({ "client_name": "Notes", "redirect_uris": [URI], "scope": "read" });
    let own = house.anyone().post("/oauth/register", first).await.is(201);
    (own.text("client_id"), own.text("registration_access_token"))
}

async fn change(house: &House, (id, token): &(String, String)) {
    let body = json!({ "client_id": id, "client_name": "Big Bank", "redirect_uris": [URI], "scope": "admin" });
    house.holder(token).put(&format!("/oauth/register/{id}"), body).await.is(200);
}

#[tokio::test]
async fn r4_a_page_approves_what_it_showed_and_nothing_else() {
    let house = House::open().await;
    let own = waiting(&house).await;
    let mut guest = Guest::signed_in(&house, &house.token("default", Role::Admin, "ada")).await;
    let page = guest.get(&format!("{CLIENTS}/{}", own.0)).await;
    let (guard, version) = (page.guard(), house.shown(&own.0).await.text("registration_version"));
    let hidden = format!("name=\"version\" value=\"{version}\"");
    assert!(page.text.contains(&hidden), "{}", page.text);
    let queue = guest.get("/ui/approvals").await.text;
    assert!(queue.contains(&hidden), "{queue}");
    for asked in ["<dt>Scope</dt>", "authorization_code", "client_secret_basic"] {
        assert!(queue.contains(asked), "a card shows what would be let in, {asked}: {queue}");
    }
    let path = format!("{CLIENTS}/{}/decide", own.0);
    let before = house.head().await;
    assert_eq!(guest.post(&path, &[("action", "approve"), ("guard", &guard)]).await.status, 400, "a page always says what it showed");
    assert_eq!(house.head().await, before);
    change(&house, &own).await;
    let fields: &[(&str, &str)] = &[("action", "approve"), ("guard", &guard), ("version", &version)];
    assert_eq!(guest.post(&path, fields).await.status, 303);
    assert_eq!(house.shown(&own.0).await.text("status"), "pending");
    assert!(guest.get(&format!("{CLIENTS}/{}", own.0)).await.text.contains("has changed since the page was shown"));
    let version = house.shown(&own.0).await.text("registration_version");
    let fields: &[(&str, &str)] = &[("action", "approve"), ("guard", &guard), ("version", &version)];
    guest.post(&path, fields).await;
    assert_eq!(house.shown(&own.0).await.text("status"), "approved");
}

#[tokio::test]
async fn r4_many_are_decided_about_as_their_preview_showed_them() {
    let house = House::open().await;
    let own = waiting(&house).await;
    let mut guest = Guest::signed_in(&house, &house.token("default", Role::Admin, "ada")).await;
    let guard = guest.get("/ui").await.guard();
    let version = house.shown(&own.0).await.text("registration_version");
    let preview = guest.post(&format!("{CLIENTS}/preview"), &[("guard", &guard), ("action", "approve"), ("client", &own.0)]).await;
    assert!(preview.text.contains(&format!("name=\"version\" value=\"{version}\"")), "{}", preview.text);
    let path = format!("{CLIENTS}/decide");
    let fields: &[(&str, &str)] = &[("guard", &guard), ("action", "approve"), ("client", &own.0)];
    assert_eq!(guest.post(&path, fields).await.status, 400);
    change(&house, &own).await;
    let fields: &[(&str, &str)] = &[("guard", &guard), ("action", "approve"), ("client", &own.0), ("version", &version)];
    assert_eq!(guest.post(&path, fields).await.status, 303);
    assert_eq!(house.shown(&own.0).await.text("status"), "pending");
}

#[tokio::test]
async fn r3_a_change_is_shown_member_by_member_before_it_is_approved() {
    let house = House::open().await;
    let own = waiting(&house).await;
    house.admin("default").post(&crate::house::client(DEFAULT, &format!("{}/approve", own.0)), json!({})).await.is(200);
    change(&house, &own).await;
    let mut guest = Guest::signed_in(&house, &house.token("default", Role::Admin, "ada")).await;
    for path in ["/ui/approvals".to_owned(), format!("{CLIENTS}/{}", own.0)] {
        let page = guest.get(&path).await.text;
        for part in ["asks for a change", "client_name", "Notes", "Big Bank", "scope", "admin"] {
            assert!(page.to_lowercase().contains(&part.to_lowercase()), "{part} on {path}: {page}");
        }
    }
}

#[tokio::test]
async fn r10_the_history_says_which_policy_approved() {
    let house = House::open().await;
    let id = house.registered("Notes").await.text("client_id");
    let mut guest = Guest::signed_in(&house, &house.token("default", Role::Admin, "ada")).await;
    for path in [format!("{CLIENTS}/{id}"), "/ui/audit".to_owned()] {
        let page = guest.get(&path).await.text;
        assert!(page.contains("the policy of") && page.contains("admission.dcr"), "{path}: {page}");
    }
}
