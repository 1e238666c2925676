//! The history to take along.

use gatebook::credentials::admin::Role;
use serde_json::{Value, json};

use crate::guest::Guest;
use crate::house::House;

#[tokio::test]
async fn an_export_has_every_event_that_the_filter_shows_across_all_pages() {
    let house = House::open().await;
    let formula = json!({ "client_name": "=cmd|' /C calc'!A0", "redirect_uris": ["https://app.example/cb"] });
    let client = house.anyone().post("/oauth/register", formula).await.is(201).text("client_id");
    for _ in 0..300 {
        house
            .admin("default")
            .post(
                &format!("/authsec/resource-servers/{}/clients/{client}/suspend", crate::house::DEFAULT),
                json!({ "reason": "a,\"b\"\nc" }),
            )
            .await
            .is(200);
        house
            .admin("default")
            .post(&format!("/authsec/resource-servers/{}/clients/{client}/reinstate", crate::house::DEFAULT), json!({}))
            .await
            .is(200);
    }
    let mut guest = Guest::signed_in(&house, &house.token("default", Role::Auditor, "otto")).await;
    let lines = guest.get(&format!("/ui/audit/export?client={client}&order=oldest")).await;
    assert_eq!(lines.headers["content-disposition"], "attachment; filename=\"history.ndjson\"");
    let mut events: Vec<Value> = lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = events.pop().unwrap();
    assert_eq!((&last["whole"], &last["events"]), (&json!(true), &json!(3 + 600)));
    assert_eq!(events.len(), 3 + 600);
    assert_eq!((&events[0]["type"], &events[602]["type"]), (&"client.registered".into(), &"registration.reinstated".into()));
    assert!(!lines.text.contains("argon2id"), "hashes stay inside");

    let table = guest.get(&format!("/ui/audit/export?format=csv&client={client}&type=registration.suspended")).await.text;
    assert_eq!(table.matches("registration.suspended").count(), 300);
    assert!(table.starts_with("position,recorded_at,type,") && table.contains("\"\"reason\"\":"), "{}", &table[..400]);
}

#[tokio::test]
async fn the_chain_is_walked_when_somebody_asks() {
    let house = House::open().await;
    house.registered("Claude Code").await;
    let mut guest = Guest::signed_in(&house, &house.token("default", Role::Auditor, "otto")).await;
    let page = guest.get("/ui/audit").await;
    assert!(page.text.contains("was not walked since the service started"));
    let done = guest.post("/ui/audit/walk", &[("guard", &page.guard())]).await;
    let page = guest.get(&done.location).await.text;
    assert!(
        page.contains(&format!("The chain holds, up to event {}.", house.head().await)) && page.contains("The hash chain holds"),
        "{page}"
    );
    let mut stranger = Guest::signed_in(&house, &house.token("acme", Role::Admin, "eve")).await;
    let page = stranger.get("/ui/audit").await;
    assert_eq!(stranger.post("/ui/audit/walk", &[("guard", &page.guard())]).await.status, 403);
}
