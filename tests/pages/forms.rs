//! Forms that are ours, and forms that are not.

use gatebook::credentials::admin::Role;
use reqwest::Method;

use crate::guest::Guest;
use crate::house::House;

const CLIENTS: &str = "/ui/servers/67617465-626f-4f6b-8000-000000000001/clients";

#[tokio::test]
async fn a_form_from_elsewhere_changes_nothing() {
    let house = House::open().await;
    let client = house.registered("Claude Code").await.text("client_id");
    let path = format!("{CLIENTS}/{client}/decide");
    let mut guest = Guest::signed_in(&house, &house.token("default", Role::Admin, "ada")).await;
    let mut other = Guest::signed_in(&house, &house.token("default", Role::Admin, "ada")).await;
    let (guard, others) = (guest.get("/ui").await.guard(), other.get("/ui").await.guard());
    assert_ne!(guard, others, "each session has its own");
    let before = house.head().await;
    let host = guest.host();
    let own = format!("http://{host}");
    let version = house.shown(&client).await.text("registration_version");
    let good: &[(&str, &str)] = &[("action", "suspend"), ("guard", &guard), ("version", &version)];
    for (headers, fields) in [
        (vec![], vec![("action", "suspend")]),
        (vec![], vec![("action", "suspend"), ("guard", "")]),
        (vec![], vec![("action", "suspend"), ("guard", others.as_str())]),
        (vec![("origin", "https://evil.example")], good.to_vec()),
        (vec![("origin", "null")], good.to_vec()),
        (vec![("origin", "http://127.0.0.1:1")], good.to_vec()),
        (vec![("sec-fetch-site", "cross-site"), ("origin", own.as_str())], good.to_vec()),
        (vec![("sec-fetch-site", "same-site")], good.to_vec()),
    ] {
        let shown = guest.send(Method::POST, &path, &headers, Some(&fields)).await;
        assert_eq!(shown.status, 403, "{headers:?} {fields:?}");
    }
    assert_eq!(house.head().await, before);
    for headers in [vec![("origin", own.as_str()), ("sec-fetch-site", "same-origin")], vec![("origin", "https://gate.example")], vec![]] {
        assert_eq!(guest.send(Method::POST, &path, &headers, Some(good)).await.status, 303, "{headers:?}");
    }
    assert_eq!(house.shown(&client).await.text("status"), "suspended");
}

#[tokio::test]
async fn what_is_no_form_or_too_long_is_refused() {
    let house = House::open().await;
    let mut guest = Guest::signed_in(&house, &house.token("default", Role::Admin, "ada")).await;
    let guard = guest.get("/ui").await.guard();
    let long = "x".repeat(600 * 1024);
    assert_eq!(guest.post("/ui/servers", &[("guard", &guard), ("name", &long)]).await.status, 413);
    assert_eq!(guest.send(Method::POST, "/ui/servers", &[("content-type", "application/json")], None).await.status, 415);
    assert_eq!(
        guest.send(Method::POST, "/ui/sign-in", &[], Some(&[("token", "x")])).await.status,
        200,
        "a form without its cookie is shown again"
    );
    for path in [
        "/ui/approvals?cursor=zz",
        &format!("{CLIENTS}?sort=best"),
        &format!("{CLIENTS}?type=x"),
        &format!("{CLIENTS}?cursor=00"),
        "/ui/audit?since=x",
        "/ui/audit?cursor=x",
    ] {
        assert_eq!(guest.get(path).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn what_was_done_is_said_once() {
    let house = House::open().await;
    let mut guest = Guest::signed_in(&house, &house.token("default", Role::Admin, "ada")).await;
    let guard = guest.get("/ui").await.guard();
    let done = guest.post("/ui/servers", &[("guard", &guard), ("name", "Payments"), ("resource", "https://pay.example/mcp")]).await;
    assert!(guest.get(&done.location).await.text.contains("The resource server was added."));
    assert!(!guest.get(&done.location).await.text.contains("The resource server was added."));
    let taken = guest.post("/ui/servers", &[("guard", &guard), ("name", "Again"), ("resource", "https://pay.example/mcp")]).await;
    assert_eq!(taken.location, "/ui/servers/new");
    assert!(guest.get(&taken.location).await.text.contains("Another resource server has this resource identifier."));
}
