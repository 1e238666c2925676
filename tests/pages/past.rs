//! The clients as they were: asked for with a field, said at the top, and only looked at.

use chrono::TimeDelta;
use gatebook::credentials::admin::Role;
use serde_json::json;

use crate::guest::Guest;
use crate::house::{DEFAULT, House, client};

#[tokio::test]
async fn the_past_is_shown_as_the_past_with_nothing_to_decide() {
    let house = House::open().await;
    let id = house.registered("Claude Code").await.text("client_id");
    house.decider("default").post("/oauth/decisions", json!({ "client_id": id })).await.is(200);
    house.clock.advance(TimeDelta::days(7));
    house.admin("default").post(&format!("{}/suspend", client(DEFAULT, &id)), json!({})).await.is(200);
    house.registered("Latecomer").await;
    let mut guest = Guest::signed_in(&house, &house.token("default", Role::Admin, "ada")).await;
    let page = format!("/ui/servers/{DEFAULT}/clients");

    let now = guest.get(&page).await.text;
    assert!(
        now.contains("Latecomer")
            && now.contains("name=\"action\"")
            && now.contains("badge suspended")
            && !now.contains("You look at the past")
    );
    assert!(now.contains("type=\"datetime-local\" name=\"as_of\""), "the past cannot be asked for");
    for (query, at) in [("as_of=2027-01-16T00:00", "2027-01-16 00:00:00 UTC"), ("group=none&as_of=4", "2027-01-15 08:00:00 UTC")] {
        let shown = guest.get(&format!("{page}?{query}")).await;
        assert_eq!(shown.status, 200);
        let then = shown.text;
        assert!(then.contains("You look at the past") && then.contains(at) && then.contains("after event 4"), "{query}: {then}");
        assert!(then.contains("Claude Code") && !then.contains("Latecomer") && !then.contains("badge suspended"), "{query}: {then}");
        assert!(!then.contains("name=\"action\"") && !then.contains("type=\"checkbox\""), "something can be decided: {then}");
        assert!(then.contains("not known") && !then.contains(">never<"), "when it was seen is not known of then: {then}");
        assert!(then.contains(&format!("href=\"{page}")) && then.contains("Back to now"));
    }
    assert!(guest.get(&format!("{page}?as_of=2027-01-16T00:00&q=nobody")).await.text.contains("No client is like that"));
    for (query, status) in [("as_of=yesterday", 400), ("as_of=2027-02-01T00:00", 400), ("as_of=2001-01-01T00:00", 404)] {
        assert_eq!(guest.get(&format!("{page}?{query}")).await.status, status, "{query}");
    }
    let mut stranger = Guest::signed_in(&house, &house.token("acme", Role::Admin, "eve")).await;
    assert_eq!(stranger.get(&format!("{page}?as_of=4")).await.status, 404);
}
