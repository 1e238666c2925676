//! Who may act, who decides about that, and who may not even ask.

use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::house::{Caller, DEFAULT, House, client, clients};

async fn decide(admin: &Caller<'_>, id: &str, decision: &str) -> Answer {
    admin.post(&format!("{}/{decision}", client(DEFAULT, id)), json!({ "reason": "because" })).await
}

#[tokio::test]
async fn every_decision_is_done_once_repeated_without_an_event_and_refused_where_it_does_not_fit() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "admission": { "dcr": "review" } } })).await;
    let admin = house.admin("default");
    // How to get there, what is done, what it leads to, and what is then refused.
    let scenes: [(&[&str], &str, &str, &[&str]); 7] = [
        (&[], "approve", "approved", &["deny"]),
        (&[], "deny", "denied", &["suspend", "reinstate", "restore"]),
        (&["deny"], "approve", "approved", &["deny"]),
        (&["approve"], "suspend", "suspended", &["approve", "deny"]),
        (&["approve", "suspend"], "reinstate", "approved", &["deny"]),
        (&["approve", "suspend"], "revoke", "revoked", &["approve", "deny", "suspend", "reinstate"]),
        (&["approve", "suspend", "revoke"], "restore", "suspended", &["approve"]),
    ];
    for (way, decision, status, refused) in scenes {
        let id = house.registered("Agent").await.text("client_id");
        for step in way {
            decide(&admin, &id, step).await.is(200);
        }
        let answer = decide(&admin, &id, decision).await.is(200);
        assert_eq!((&answer["status"], &answer["note"]), (&json!(status), &json!("because")), "{way:?} {decision}");
        let before = house.head().await;
        let again = decide(&admin, &id, decision).await.is(200);
        assert_eq!(again.body, answer.body);
        for other in refused {
            decide(&admin, &id, other).await.problem(409, "wrong-status");
        }
        assert_eq!(house.head().await, before, "{way:?} {decision}: neither a repeated nor a refused decision is an event");
    }
    let id = house.registered("Agent").await.text("client_id");
    admin.delete(&client(DEFAULT, &id)).await.is(204);
    admin.delete(&client(DEFAULT, &id)).await.is(204);
    assert_eq!(house.shown(&id).await["status"], "revoked");
    decide(&admin, &id, "promote").await.problem(404, "not-found");
    decide(&admin, "nobody", "approve").await.problem(404, "not-found");
    let long = json!({ "reason": "x".repeat(1025) });
    admin.post(&format!("{}/approve", client(DEFAULT, &id)), long).await.problem(400, "invalid-request");
}

#[tokio::test]
async fn the_approvals_are_what_waits_oldest_first() {
    let house = House::open().await;
    let dashboard = house.registered("Dashboard").await;
    let id = dashboard.text("client_id");
    let wider =
        json!({ "client_id": id, "client_name": "Dashboard", "redirect_uris": ["https://app.example/cb", "https://app.example/new"] });
    house.holder(&dashboard.text("registration_access_token")).put(&format!("/oauth/register/{id}"), wider).await.is(200);
    house.edit_default(json!({ "policy": { "admission": { "dcr": "review" } } })).await;
    house.clock.advance(chrono::TimeDelta::seconds(1));
    let agent = house.registered("Agent").await.text("client_id");
    let viewer = house.viewer("default");
    let all = viewer.get("/authsec/approvals").await.is(200);
    assert_eq!(all["count"], 2);
    let (change, wish) = (&all["approvals"][0], &all["approvals"][1]);
    assert_eq!((&change["kind"], &change["client_id"], &change["client_name"]), (&json!("redirects"), &json!(id), &json!("Dashboard")));
    assert_eq!((&change["added"], &change["origin"]), (&json!(["https://app.example/new"]), &json!("rfc7592")));
    assert_eq!((&wish["kind"], &wish["client_id"], &wish["origin"]), (&json!("registration"), &json!(agent), &json!("dcr")));
    let first = viewer.get("/authsec/approvals?limit=1").await.is(200);
    assert_eq!(first["approvals"], json!([change]));
    let second = viewer.get(&format!("/authsec/approvals?limit=1&cursor={}", first.text("next_cursor"))).await.is(200);
    assert_eq!(second["approvals"], json!([wish]));
    assert_eq!(house.admin("acme").get("/authsec/approvals").await.is(200).body, json!({ "approvals": [], "count": 0 }));
    let admin = house.admin("default");
    decide(&admin, &agent, "approve").await.is(200);
    admin.put(&format!("{}/approve-redirects", client(DEFAULT, &id)), json!({ "change_id": change["change_id"] })).await.is(200);
    assert_eq!(viewer.get("/authsec/approvals").await.is(200)["count"], 0);
}

#[tokio::test]
async fn a_mode_that_is_switched_off_suspends_who_came_by_it_until_it_is_on_again() {
    let house = House::open().await;
    let (dcr, prereg) = (house.registered("Agent").await.text("client_id"), house.entered("ci").await.text("client_id"));
    house.edit_default(json!({ "registration_modes": ["cimd", "prereg"] })).await;
    assert_eq!(house.shown(&dcr).await["status"], "approved", "those who are there are kept unless asked otherwise");
    house.edit_default(json!({ "registration_modes": ["dcr", "cimd", "prereg"] })).await;
    let off = json!({ "registration_modes": ["cimd", "prereg"], "effect_on_existing": "suspend" });
    assert_eq!(house.edit_default(off).await["suspended_modes"], json!(["dcr"]));
    let shown = house.shown(&dcr).await;
    assert_eq!((&shown["status"], &shown["reason"]), (&json!("suspended"), &json!("mode_suspended")));
    assert_eq!(house.shown(&prereg).await["status"], "approved");
    let listed = house.admin("default").get(&format!("{}?status=suspended", clients(DEFAULT))).await.is(200);
    assert_eq!(listed["clients"][0]["client_id"], *dcr);
    assert_eq!(listed["counts"]["by_status"], json!({ "approved": 1, "suspended": 1 }));
    house.edit_default(json!({ "registration_modes": ["dcr", "cimd", "prereg"] })).await;
    assert_eq!(house.shown(&dcr).await["status"], "approved");
}

#[tokio::test]
async fn at_a_retired_resource_server_nobody_acts_and_everything_can_still_be_read() {
    let house = House::open().await;
    let id = house.registered("Agent").await.text("client_id");
    house.admin("default").delete(&format!("/authsec/resource-servers/{DEFAULT}")).await.is(204);
    let shown = house.shown(&id).await;
    assert_eq!((&shown["status"], &shown["reason"]), (&json!("retired"), &json!("resource_server_retired")));
    let body = json!({ "redirect_uris": ["https://app.example/cb"] });
    house.anyone().post(&format!("/rs/{DEFAULT}/oauth/register"), body.clone()).await.refuses(404, "invalid_target");
    // There is no other one to be bound to.
    house.anyone().post("/oauth/register", body).await.refuses(400, "invalid_target");
}

/// Every page for administrators: method, path, body, and whether it changes something or reads the history.
fn pages(server: &str, id: &str, event: &str) -> Vec<(Method, String, Option<Value>, Kind)> {
    let base = format!("/authsec/resource-servers/{server}");
    let one = client(server, id);
    let mut pages = vec![
        (Method::GET, base.clone(), None, Kind::Looks),
        (Method::GET, clients(server), None, Kind::Looks),
        (Method::GET, one.clone(), None, Kind::Looks),
        (Method::GET, format!("/authsec/audit/events/{event}"), None, Kind::Audits),
        (Method::PATCH, base.clone(), Some(json!({ "name": "Mine" })), Kind::Changes),
        (Method::PATCH, base.clone(), Some(json!({ "policy": { "scope_ceiling": "a" } })), Kind::Changes),
        (Method::DELETE, base, None, Kind::Changes),
        (Method::POST, clients(server), Some(json!({ "client_name": "mine" })), Kind::Changes),
        (Method::DELETE, one.clone(), None, Kind::Changes),
    ];
    for verb in ["approve", "deny", "suspend", "reinstate", "revoke", "restore", "rotate-secret", "revoke-old-secret"] {
        pages.push((Method::POST, format!("{one}/{verb}"), Some(json!({})), Kind::Changes));
    }
    for verb in ["approve-redirects", "reject-redirects"] {
        pages.push((Method::PUT, format!("{one}/{verb}"), Some(json!({})), Kind::Changes));
    }
    pages
}

/// Pages that are about nothing in particular.
fn lists() -> Vec<(Method, String, Option<Value>, Kind)> {
    vec![
        (Method::GET, "/authsec/resource-servers".to_owned(), None, Kind::Looks),
        (Method::GET, "/authsec/approvals".to_owned(), None, Kind::Looks),
        (Method::GET, "/authsec/audit/events".to_owned(), None, Kind::Audits),
        (Method::GET, "/authsec/projections".to_owned(), None, Kind::Audits),
        (Method::GET, "/authsec/cluster".to_owned(), None, Kind::Audits),
        (Method::POST, "/authsec/resource-servers".to_owned(), Some(json!({ "name": "New" })), Kind::Changes),
    ]
}

#[derive(PartialEq)]
enum Kind {
    Looks,
    Audits,
    Changes,
}

async fn with_a_client(house: &House) -> (String, String) {
    let id = house.registered("Agent").await.text("client_id");
    let event = house.events_of(&id).await[0]["event_id"].as_str().unwrap().to_owned();
    (id, event)
}

#[tokio::test]
async fn another_tenants_things_do_not_exist_at_any_page() {
    let house = House::open().await;
    let (id, event) = with_a_client(&house).await;
    let stranger = house.admin("acme");
    let mine = house.server("acme", json!({ "name": "Mine" })).await;
    let before = house.head().await;
    for (method, path, body, _) in pages(DEFAULT, &id, &event) {
        stranger.call(method, &path, body).await.problem(404, "not-found");
    }
    for (method, path, body, kind) in pages(&mine, &id, &event) {
        if path.contains("/clients/") || kind == Kind::Audits {
            stranger.call(method, &path, body).await.problem(404, "not-found");
        }
    }
    let through_filter = stranger.get(&format!("/authsec/audit/events?client_id={id}")).await.is(200);
    assert_eq!(through_filter["events"], json!([]));
    let through_filter = stranger.get(&format!("/authsec/audit/events?resource_server={DEFAULT}")).await.is(200);
    assert_eq!(through_filter["events"], json!([]));
    assert_eq!(house.head().await, before);
}

#[tokio::test]
async fn a_viewer_looks_an_auditor_reads_the_history_and_neither_changes_anything() {
    let house = House::open().await;
    let (id, event) = with_a_client(&house).await;
    let before = house.head().await;
    for (method, path, body, kind) in pages(DEFAULT, &id, &event).into_iter().chain(lists()) {
        let seen = house.viewer("default").call(method.clone(), &path, body.clone()).await;
        if kind == Kind::Looks {
            seen.is(200)
        } else {
            seen.problem(403, "forbidden")
        };
        let seen = house.auditor("default").call(method, &path, body).await;
        if kind == Kind::Changes {
            seen.problem(403, "forbidden")
        } else {
            seen.is(200)
        };
    }
    house.viewer("default").get("/authsec/audit/stream").await.problem(403, "forbidden");
    assert_eq!(house.head().await, before);
}

#[tokio::test]
async fn without_a_good_token_there_is_nothing_to_see() {
    let house = House::open().await;
    let (id, event) = with_a_client(&house).await;
    let registered = house.registered("Agent").await.text("registration_access_token");
    let forged = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJldmUiLCJ0ZW5hbnQiOiJkZWZhdWx0Iiwicm9sZXMiOlsiYWRtaW4iXX0.";
    let expired = house.admin("default");
    house.clock.advance(chrono::TimeDelta::hours(2));
    let before = house.head().await;
    for (method, path, body, _) in pages(DEFAULT, &id, &event).into_iter().chain(lists()) {
        for caller in [house.anyone(), house.holder("nonsense"), house.holder(forged), house.holder(&registered), expired.clone()] {
            let answer = caller.call(method.clone(), &path, body.clone()).await.problem(401, "unauthorized");
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
        }
    }
    house.anyone().get("/authsec/audit/stream").await.problem(401, "unauthorized");
    assert_eq!(house.head().await, before);
}
