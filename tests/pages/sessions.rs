//! Who is signed in, until when, and what a cookie is good for.

use chrono::TimeDelta;
use gatebook::credentials::admin::Role;
use reqwest::Method;
use serde_json::json;

use crate::guest::Guest;
use crate::house::{DEFAULT, House};

const CLIENTS: &str = "/ui/servers/67617465-626f-4f6b-8000-000000000001/clients";

#[tokio::test]
async fn nobody_sees_a_page_who_is_not_signed_in_and_everybody_comes_back_to_where_they_wanted_to_be() {
    let house = House::open().await;
    let mut guest = Guest::of(&house);
    for path in ["", "/approvals", "/audit", "/audit/export", "/servers/new", "/live"] {
        let shown = guest.get(&format!("/ui{path}")).await;
        assert!(shown.location.starts_with("/ui/sign-in"), "{path}: {} {}", shown.status, shown.text);
    }
    assert_eq!(
        guest.get(&format!("{CLIENTS}?q=a%20b")).await.location,
        format!("/ui/sign-in?next={}", "%2Fui%2Fservers%2F67617465-626f-4f6b-8000-000000000001%2Fclients%3Fq%3Da%2520b")
    );
    let token = house.token("default", Role::Admin, "ada");
    let shown = guest.sign_in(&token, "?next=%2Fui%2Fapprovals").await;
    assert_eq!((shown.status, shown.location.as_str()), (303, "/ui/approvals"));
    assert_eq!(guest.get("/ui/approvals").await.status, 200);
    // Nobody is led elsewhere.
    for elsewhere in ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example%2Fui", "%2Fui%2F%2Fevil.example", "%2Fui%5Cevil"] {
        let mut guest = Guest::of(&house);
        assert_eq!(guest.sign_in(&token, &format!("?next={elsewhere}")).await.location, "/ui", "{elsewhere}");
    }
}

#[tokio::test]
async fn w11_a_way_back_that_no_header_can_hold_leads_to_the_first_page() {
    let house = House::open().await;
    let token = house.token("default", Role::Admin, "ada");
    for next in ["%2Fui%2F%00", "%2Fui%3Fq=%00", "%2Fui%2Fa%0d%0ab", "%2Fui%2F%7f", "%2Fui%2Fa%20b", "%2Fui%2F%c3%a9", "%2Fui%2F%ff"] {
        let mut guest = Guest::of(&house);
        let shown = guest.sign_in(&token, &format!("?next={next}")).await;
        assert_eq!((shown.status, shown.location.as_str()), (303, "/ui"), "{next}");
        // The same for one who is signed in already.
        let shown = guest.get(&format!("/ui/sign-in?next={next}")).await;
        assert_eq!((shown.status, shown.location.as_str()), (303, "/ui"), "{next}");
    }
}

#[tokio::test]
async fn a_session_ends_with_its_token_with_signing_out_and_after_a_day_in_any_case() {
    let house = House::open().await;
    let token = house.token("default", Role::Admin, "ada");
    let mut guest = Guest::signed_in(&house, &token).await;
    let copy = guest.cookies.clone();
    house.clock.advance(TimeDelta::minutes(59));
    assert_eq!(guest.get("/ui").await.status, 200);
    house.clock.advance(TimeDelta::minutes(2));
    assert_eq!(guest.get("/ui").await.status, 303, "the token was good for an hour");

    let mut guest = Guest::signed_in(&house, &house.token("default", Role::Admin, "ada")).await;
    let kept = guest.cookies.clone();
    let guard = guest.get("/ui").await.guard();
    assert_eq!(guest.post("/ui/sign-out", &[("guard", &guard)]).await.location, "/ui/sign-in");
    assert!(!guest.cookies.contains_key("gatebook_session"));
    guest.cookies = kept;
    assert_eq!(guest.get("/ui").await.status, 303, "a copy of the cookie is worth nothing");

    // What was changed, or signed for something else, is nothing.
    let good = copy["gatebook_session"].clone();
    let (payload, signature) = good.split_once('.').unwrap();
    for forged in [format!("{payload}x.{signature}"), format!("{payload}.{signature}x"), payload.to_owned(), String::new(), "..".to_owned()]
    {
        let mut guest = Guest::of(&house);
        guest.cookies.insert("gatebook_session".to_owned(), forged.clone());
        assert_eq!(guest.get("/ui").await.status, 303, "{forged}");
    }
    let mut guest = Guest::of(&house);
    guest.get("/ui/sign-in").await;
    let other = guest.cookies["gatebook_guest"].clone();
    guest.cookies.insert("gatebook_session".to_owned(), other);
    assert_eq!(guest.get("/ui").await.status, 303, "another cookie's signature");
}

#[tokio::test]
async fn only_good_tokens_of_those_who_look_at_clients_open_a_session() {
    let house = House::open().await;
    for (token, sentence) in [
        ("", "Paste a token first."),
        ("garbage", "The token is not a JWT."),
        (house.token("default", Role::Decider, "as").as_str(), "none of the roles"),
    ] {
        let mut guest = Guest::of(&house);
        let shown = guest.sign_in(token, "").await;
        assert!(shown.text.contains(sentence) && !guest.cookies.contains_key("gatebook_session"), "{token}: {}", shown.text);
        assert!(token.is_empty() || !shown.text.contains(token), "a token is never shown again");
    }
}

#[tokio::test]
async fn every_page_forbids_what_is_not_its_own_and_is_kept_by_nobody() {
    let house = House::open().await;
    let mut guest = Guest::signed_in(&house, &house.token("default", Role::Admin, "ada")).await;
    for path in ["/ui", CLIENTS, "/ui/sign-in", "/ui/nowhere", "/ui/audit"] {
        let shown = guest.get(path).await;
        let header = |name: &str| shown.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert_eq!((header("cache-control"), header("x-content-type-options")), ("no-store".to_owned(), "nosniff".to_owned()), "{path}");
        assert!(!shown.text.contains("<script>") && !shown.text.contains(" style=") && !shown.text.contains(" onclick="), "{path}");
    }
    let page = guest.get("/ui/sign-in").await;
    assert_eq!(page.status, 303, "whoever is signed in has no business there");
    let page = guest.get("/ui").await.text;
    for ending in [".css", ".js"] {
        let at = page.find(ending).unwrap();
        let start = page[..at].rfind('"').unwrap() + 1;
        let asset = guest.get(&page[start..at + ending.len()]).await;
        assert_eq!((asset.status, asset.headers["cache-control"].to_str().unwrap()), (200, "public, max-age=31536000, immutable"));
    }
    assert_eq!(guest.get("/ui/assets/gatebook.css").await.status, 404);
    assert_eq!(guest.get("/").await.location, "/ui");
}

#[tokio::test]
async fn a_role_sees_and_does_what_it_may_and_no_more() {
    let house = House::open().await;
    let client = house.registered("Claude Code").await.text("client_id");
    let decide = format!("{CLIENTS}/{client}/decide");
    for (role, audits, changes) in [(Role::Viewer, false, false), (Role::Auditor, true, false), (Role::Admin, true, true)] {
        let mut guest = Guest::signed_in(&house, &house.token("default", role, "vera")).await;
        assert_eq!(guest.get("/ui/audit").await.status == 200, audits, "{role}");
        assert_eq!(guest.get("/ui/audit/export").await.status == 200, audits, "{role}");
        let page = guest.get(&format!("{CLIENTS}/{client}")).await;
        assert_eq!(page.text.contains("id=\"history\""), audits, "{role}");
        assert_eq!(page.text.contains("value=\"suspend\""), changes, "{role}");
        let before = house.head().await;
        let guard = page.guard();
        let forms: [(&str, &[(&str, &str)]); 6] = [
            (&decide, &[("action", "suspend")]),
            ("/ui/servers", &[("name", "New")]),
            ("/ui/servers/67617465-626f-4f6b-8000-000000000001/settings/modes", &[]),
            ("/ui/servers/67617465-626f-4f6b-8000-000000000001/settings/rules", &[("action", "save")]),
            ("/ui/servers/67617465-626f-4f6b-8000-000000000001/enter", &[("client_name", "x"), ("nonce", "n")]),
            ("/ui/servers/67617465-626f-4f6b-8000-000000000001/clients/decide", &[("action", "revoke"), ("client", &client)]),
        ];
        if changes {
            let version = page.field("version").unwrap();
            assert_eq!(guest.post(&decide, &[("guard", &guard), ("action", "suspend"), ("version", &version)]).await.status, 303);
            assert_eq!(house.shown(&client).await.text("status"), "suspended");
            continue;
        }
        for (path, fields) in forms {
            let shown = guest.post(path, &[&[("guard", guard.as_str())], fields].concat()).await;
            assert_eq!(shown.status, 403, "{role} {path}");
        }
        assert_eq!(house.head().await, before, "{role} left something behind");
    }
}

#[tokio::test]
async fn another_tenants_things_are_not_there() {
    let house = House::open().await;
    let theirs = house.server("acme", json!({ "name": "Secret project" })).await;
    let client = house
        .anyone()
        .post(&format!("/rs/{theirs}/oauth/register"), json!({ "client_name": "Hidden", "redirect_uris": ["https://a.example/cb"] }))
        .await;
    let client = client.is(201).text("client_id");
    let mut guest = Guest::signed_in(&house, &house.token("default", Role::Admin, "eve")).await;
    let own = guest.get("/ui").await;
    let guard = own.guard();
    let before = house.head().await;
    for path in ["", "/approvals", "/audit", "/audit/export"] {
        let shown = guest.get(&format!("/ui{path}")).await;
        assert!(shown.status == 200 && !shown.text.contains("Secret project") && !shown.text.contains(&client), "{path}");
    }
    for path in [
        format!("{theirs}/clients"),
        format!("{theirs}/settings"),
        format!("{theirs}/enter"),
        format!("{theirs}/clients/{client}"),
        format!("{DEFAULT}/clients/{client}"),
    ] {
        assert_eq!(guest.get(&format!("/ui/servers/{path}")).await.status, 404, "{path}");
    }
    for (path, fields) in [
        (format!("{theirs}/clients/{client}/decide"), vec![("action", "revoke"), ("version", "1.2.0")]),
        (format!("{theirs}/clients/{client}/redirects"), vec![("action", "approve"), ("change", DEFAULT)]),
        (format!("{theirs}/clients/{client}/rotate-secret"), vec![]),
        (format!("{theirs}/clients/preview"), vec![("action", "revoke"), ("client", client.as_str())]),
        (format!("{theirs}/settings/rules"), vec![("action", "rehearse")]),
        (format!("{theirs}/settings/retire"), vec![("name", "Secret project")]),
        (format!("{theirs}/enter"), vec![("client_name", "x"), ("nonce", "n")]),
        (format!("{theirs}/enter/check"), vec![("client_name", "x")]),
    ] {
        let shown = guest.post(&format!("/ui/servers/{path}"), &[&[("guard", guard.as_str())], fields.as_slice()].concat()).await;
        assert_eq!(shown.status, 404, "{path}: {}", shown.text);
    }
    let fields: &[(&str, &str)] = &[("guard", &guard), ("action", "revoke"), ("client", &client), ("version", "1.2.0")];
    let said = guest.post(&format!("/ui/servers/{theirs}/clients/decide"), fields).await;
    assert_eq!(said.status, 303);
    guest.post(&format!("/ui/servers/{theirs}/settings/modes"), &[("guard", &guard)]).await;
    assert_eq!(house.head().await, before, "nothing was changed");
}

#[tokio::test]
async fn a_page_that_is_open_hears_of_what_its_tenant_does_and_of_nothing_else() {
    let house = House::open().await;
    let guest = Guest::signed_in(&house, &house.token("default", Role::Viewer, "vera")).await;
    house.server("acme", json!({ "name": "Elsewhere" })).await;
    let position = house.head().await.to_string();
    house.registered("Claude Code").await;
    // A reader that says where it was is told at once; what it hears ends with the service.
    let mut stream = guest.request(Method::GET, "/ui/live", &[("last-event-id", &position)], None).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    let mut heard = String::new();
    let patience = std::time::Duration::from_secs(20);
    while let Some(chunk) = tokio::time::timeout(patience, stream.chunk()).await.unwrap().unwrap() {
        heard.push_str(std::str::from_utf8(&chunk).unwrap());
        assert!(heard.len() < 10_000 && heard.matches(": \n\n").count() < 3, "it only says that it is alive: {heard}");
        if heard.contains("event: changed") {
            house.app.stop();
        }
    }
    assert_eq!(heard.matches("event: changed").count(), 1, "{heard}");
    assert!(!heard.contains("Claude"), "it says that something changed, and not what: {heard}");
}
