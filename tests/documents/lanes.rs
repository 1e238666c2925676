//! The four lanes that a change of redirect URIs can take.

use chrono::TimeDelta;
use serde_json::json;

use crate::HERE;
use crate::THERE;
use crate::admin;
use crate::ask;
use crate::refresh;
use crate::rules;
use crate::serves;
use crate::shown;
use crate::story;
use crate::until;
use crate::with_a_client;

#[tokio::test]
async fn staged_a_widening_waits_while_the_old_set_serves_and_a_narrowing_serves_at_once() {
    let (house, author) = with_a_client().await;
    author.claims(&[HERE, THERE]);
    refresh(&house, &author).await;
    assert!(serves(&house, &author, HERE).await && !serves(&house, &author, THERE).await);
    let staged = shown(&house, &author).await["staged_change"].clone();
    assert_eq!((&staged["added"], &staged["manifest"]["version"], &staged["manifest"]["base"]), (&json!([THERE]), &json!(2), &json!(1)));
    let warned = crate::ask(&house, &author, json!({ "redirect_uri": HERE })).await;
    assert!(warned["warnings"].as_array().unwrap().contains(&json!("staged_change_waiting")), "{}", warned.text);
    let approve = format!("{}/approve-redirects", author.path());
    admin(&house).put(&approve, json!({ "change_id": "00000000-0000-4000-8000-000000000000" })).await.problem(409, "stale-change");
    admin(&house).put(&approve, json!({ "change_id": staged["change_id"] })).await.is(200);
    assert!(serves(&house, &author, THERE).await);
    author.claims(&[THERE]);
    refresh(&house, &author).await;
    assert!(!serves(&house, &author, HERE).await && serves(&house, &author, THERE).await);
}

#[tokio::test]
async fn a_rejected_change_is_not_staged_again_until_the_document_wishes_something_else() {
    let (house, author) = with_a_client().await;
    author.claims(&[HERE, THERE]);
    refresh(&house, &author).await;
    admin(&house).put(&format!("{}/reject-redirects", author.path()), json!({ "reason": "unknown host" })).await.is(200);
    let head = house.head().await;
    refresh(&house, &author).await;
    assert_eq!(house.head().await, head);
    author.claims(&[HERE, THERE, "https://third.example/cb"]);
    refresh(&house, &author).await;
    assert_eq!(shown(&house, &author).await["staged_change"]["added"], json!([THERE, "https://third.example/cb"]));
}

#[tokio::test]
async fn a_newer_document_supersedes_and_a_reverted_one_withdraws() {
    let (house, author) = with_a_client().await;
    author.claims(&[HERE, THERE]);
    refresh(&house, &author).await;
    let first = shown(&house, &author).await["staged_change"]["change_id"].clone();
    author.claims(&[HERE, "https://third.example/cb"]);
    refresh(&house, &author).await;
    admin(&house).put(&format!("{}/approve-redirects", author.path()), json!({ "change_id": first })).await.problem(409, "stale-change");
    author.claims(&[HERE]);
    refresh(&house, &author).await;
    assert!(shown(&house, &author).await.body.get("staged_change").is_none());
    let superseded = story(&house, &author).await.iter().filter(|name| *name == "registration.redirects_superseded").count();
    assert_eq!(superseded, 2);
}

#[tokio::test]
async fn live_a_widening_serves_at_once_unless_the_rules_want_a_review() {
    let (house, author) = with_a_client().await;
    rules(&house, json!({ "manifests": { "lane": "live" } })).await;
    author.claims(&[HERE, THERE]);
    refresh(&house, &author).await;
    assert!(serves(&house, &author, THERE).await);
    rules(&house, json!({ "redirect_rules": [{ "kind": "host", "host": "app.example" }], "outside_rules": "review" })).await;
    author.claims(&[HERE, THERE, "https://third.example/cb"]);
    refresh(&house, &author).await;
    assert!(!serves(&house, &author, "https://third.example/cb").await);
}

#[tokio::test]
async fn what_the_rules_refuse_is_left_out_of_a_documents_wish() {
    let (house, author) = with_a_client().await;
    rules(&house, json!({ "manifests": { "lane": "live" }, "redirect_rules": [{ "kind": "host", "host": "app.example" }] })).await;
    author.claims(&[HERE, THERE, "https://app.example/second"]);
    refresh(&house, &author).await;
    assert_eq!(shown(&house, &author).await["redirect_uris"], json!([HERE, "https://app.example/second"]));
}

#[tokio::test]
async fn soaking_a_widening_serves_after_its_hours_unless_somebody_objects() {
    let (house, author) = with_a_client().await;
    rules(&house, json!({ "manifests": { "lane": "soak", "soak_hours": 48 } })).await;
    author.claims(&[HERE, THERE]);
    refresh(&house, &author).await;
    let waiting = admin(&house).get("/authsec/approvals").await.is(200);
    assert!(waiting["approvals"][0]["serves_at"].is_string(), "{}", waiting.text);
    house.clock.advance(TimeDelta::hours(47));
    admin(&house).post("/authsec/manifests/poll", json!({})).await.is(202);
    until("a second poll", async || author.asked().0 >= 3).await;
    assert!(!serves(&house, &author, THERE).await);
    house.clock.advance(TimeDelta::hours(1));
    admin(&house).post("/authsec/manifests/poll", json!({})).await.is(202);
    until("a ripe change", async || serves(&house, &author, THERE).await).await;

    author.claims(&[HERE, THERE, "https://third.example/cb"]);
    refresh(&house, &author).await;
    admin(&house).put(&format!("{}/reject-redirects", author.path()), json!({})).await.is(200);
    house.clock.advance(TimeDelta::hours(72));
    let asked = author.asked().0;
    admin(&house).post("/authsec/manifests/poll", json!({})).await.is(202);
    until("another poll", async || author.asked().0 > asked).await;
    assert!(!serves(&house, &author, "https://third.example/cb").await);
}

#[tokio::test]
async fn pinned_nothing_changes_until_an_administrator_says_so() {
    let (house, author) = with_a_client().await;
    rules(&house, json!({ "manifests": { "lane": "pinned" } })).await;
    author.claims(&[THERE]);
    refresh(&house, &author).await;
    assert!(serves(&house, &author, HERE).await && !serves(&house, &author, THERE).await);
    assert_eq!(shown(&house, &author).await["staged_change"]["removed"], json!([HERE]));
    admin(&house).put(&format!("{}/approve-redirects", author.path()), json!({})).await.is(200);
    assert!(!serves(&house, &author, HERE).await && serves(&house, &author, THERE).await);
}

#[tokio::test]
async fn r3_where_documents_are_reviewed_another_name_waits_by_the_lane_and_an_earlier_version_takes_all_of_it_back() {
    let (house, author) = with_a_client().await;
    rules(&house, json!({ "admission": { "cimd": "review" } })).await;
    let named = |name: &str| {
        let mut document = author.document(&[HERE]);
        document["client_name"] = name.into();
        author.says(document);
    };
    let name = async || shown(&house, &author).await["client_name"].clone();
    named("Big Bank");
    refresh(&house, &author).await;
    let row = shown(&house, &author).await;
    assert_eq!((&row["client_name"], &row["claimed"]["client_name"]), (&json!("Example App"), &json!("Big Bank")));
    assert_eq!(row["staged_change"]["changes"], json!([{ "member": "client_name", "now": "Example App", "then": "Big Bank" }]));
    let asked = ask(&house, &author, json!({})).await;
    assert_eq!(asked["client"]["client_name"], "Example App");
    assert!(asked["warnings"].as_array().unwrap().contains(&json!("metadata_changed")), "{}", asked.text);
    admin(&house).put(&format!("{}/approve-redirects", author.path()), json!({})).await.is(200);
    assert_eq!(name().await, "Big Bank");
    admin(&house).post(&format!("{}/roll-back", author.path()), json!({ "version": 1 })).await.is(200);
    assert_eq!(name().await, "Example App");
    refresh(&house, &author).await;
    assert_eq!(name().await, "Example App", "what was overridden is not heard until it differs");
    rules(&house, json!({ "manifests": { "lane": "live" } })).await;
    named("Third Name");
    refresh(&house, &author).await;
    assert_eq!(name().await, "Third Name");
    rules(&house, json!({ "admission": { "cimd": "auto" }, "manifests": { "lane": "pinned" } })).await;
    named("Fourth Name");
    refresh(&house, &author).await;
    assert_eq!(
        (name().await, shown(&house, &author).await["staged_change"]["changes"][0]["then"].clone()),
        (json!("Third Name"), json!("Fourth Name"))
    );
}

#[tokio::test]
async fn r1_what_a_document_adds_waits_where_documents_may_not_come_any_more() {
    let (house, author) = with_a_client().await;
    rules(&house, json!({ "manifests": { "lane": "live" } })).await;
    house.edit_default(json!({ "registration_modes": ["dcr", "prereg"] })).await;
    author.claims(&[HERE, THERE]);
    refresh(&house, &author).await;
    assert!(serves(&house, &author, HERE).await && !serves(&house, &author, THERE).await);
    let staged = shown(&house, &author).await["staged_change"].clone();
    assert_eq!(staged["added"], json!([THERE]));
    let approve = format!("{}/approve-redirects", author.path());
    admin(&house).put(&approve, json!({ "change_id": staged["change_id"] })).await.is(200);
    assert!(serves(&house, &author, THERE).await);
    // What it takes away stops serving at once, as ever.
    author.claims(&[THERE]);
    refresh(&house, &author).await;
    assert!(!serves(&house, &author, HERE).await);
}
