//! Receivers that fail: what is sent again, when, and what waits for it.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::TimeDelta;
use serde_json::json;

use crate::HOOKS;
use crate::failed_now;
use crate::hook;
use crate::house::{DEFAULT, House, client};
use crate::open;
use crate::receiver::{Receiver, taken};
use crate::trail;
use crate::until;

#[tokio::test]
async fn what_was_not_taken_is_sent_again_with_the_same_id_while_other_streams_go_on() {
    let house = open().await;
    let receiver = Receiver::open().await;
    let made = hook(&house, &receiver, json!({ "types": ["registration."] })).await;
    let unlucky = house.registered("Unlucky").await.text("client_id");
    receiver.taken(2).await;
    let name = unlucky.clone();
    receiver.answers(move |got| if got.event["clientid"] == name { (500, "") } else { (204, "") });
    house.admin("default").post(&format!("{}/suspend", client(DEFAULT, &unlucky)), json!({})).await.is(200);
    receiver.wait(1, |got| got.status == 500).await;
    house.admin("default").post(&format!("{}/reinstate", client(DEFAULT, &unlucky)), json!({})).await.is(200);
    house.registered("Lucky").await;
    receiver.taken(4).await;
    let waiting = until(&house, &made, |shown| shown["waiting"] == 2).await;
    assert_eq!(waiting.body.get("trouble"), None, "the last thing was taken");
    assert_eq!(receiver.so_far().iter().filter(|got| got.status == 500).count(), 1, "not before its time");
    receiver.answers(taken);
    house.clock.advance(TimeDelta::seconds(7));
    let got = receiver.taken(6).await;
    assert_eq!(got[4..].iter().map(|one| one.text("type")).collect::<Vec<_>>(), ["registration.suspended", "registration.reinstated"]);
    let first = receiver.wait(1, |got| got.status == 500).await.remove(0);
    assert_eq!((first.header("webhook-id"), &first.body), (got[4].header("webhook-id"), &got[4].body));
    let seconds = |text: &str| text.parse::<i64>().unwrap();
    assert_eq!(seconds(got[4].header("webhook-timestamp")) - seconds(first.header("webhook-timestamp")), 7);
    assert!(got[4].is_signed_with(&made.text("signing_secret")));
    until(&house, &made, |shown| shown["waiting"] == 0).await;
}

#[tokio::test]
async fn a_receiver_that_asks_for_a_pause_gets_it() {
    let house = open().await;
    let receiver = Receiver::open().await;
    receiver.answers(|_| (429, "Retry-After: 3600\r\n"));
    let made = hook(&house, &receiver, json!({ "types": ["resource_server."] })).await;
    house.server("default", json!({ "name": "files" })).await;
    until(&house, &made, |shown| shown["trouble"] == "status_429").await;
    house.clock.advance(TimeDelta::seconds(3599));
    house.server("default", json!({ "name": "more" })).await;
    // Woken by hand, it does not wake the receiver.
    let page = format!("{HOOKS}/{}", made.text("id"));
    house.admin("default").patch(&page, json!({ "label": "siem" })).await.is(200);
    receiver.answers(taken);
    assert_eq!(receiver.so_far().len(), 1);
    house.clock.advance(TimeDelta::seconds(1));
    let names: Vec<_> = receiver.taken(2).await.iter().map(|one| one.event["data"]["name"].clone()).collect();
    assert_eq!((names, receiver.so_far().len()), (vec![json!("files"), json!("more")], 3));
}

#[tokio::test]
async fn a_receiver_that_is_down_is_tried_with_one_message_and_nothing_is_lost() {
    let house = open().await;
    let receiver = Receiver::open().await;
    receiver.answers(|_| (503, ""));
    let made = hook(&house, &receiver, json!({ "types": ["client."] })).await;
    for number in 0..40 {
        house.registered(&format!("App {number}")).await;
    }
    failed_now(&house, &made).await;
    let first = receiver.so_far().len();
    assert!(first <= 10, "{first} messages were sent before it was left alone");
    for _ in 0..5 {
        let before = receiver.so_far().len();
        house.clock.advance(TimeDelta::minutes(13));
        receiver.wait(before + 1, |_| true).await;
        failed_now(&house, &made).await;
    }
    assert!(receiver.so_far().len() <= first + 10, "{first} {}", receiver.so_far().len());
    receiver.answers(taken);
    house.clock.advance(TimeDelta::minutes(13));
    let got = catch_up(&house, &receiver, 40).await;
    assert_eq!(got, 40);
    let shown = until(&house, &made, |shown| shown["waiting"] == 0).await;
    assert_eq!((shown.body.get("failing_since"), &shown["state"]), (None, &json!("active")));
}

/// Lets time pass until so many different events were taken.
async fn catch_up(house: &House, receiver: &Receiver, number: usize) -> usize {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let got = receiver.so_far();
        let ids: BTreeSet<_> = got.iter().filter(|one| one.status == 204).map(|one| one.text("id")).collect();
        if ids.len() >= number {
            return ids.len();
        }
        assert!(std::time::Instant::now() < end, "{} of {number} were taken", ids.len());
        house.clock.advance(TimeDelta::minutes(5));
        // A call, so that everybody else has a turn.
        house.anyone().get("/health").await;
    }
}

#[tokio::test]
async fn whatever_fails_every_event_is_taken_and_each_streams_in_order() {
    let house = open().await;
    let receiver = Receiver::open().await;
    let number = AtomicUsize::new(0);
    receiver.answers(move |_| if number.fetch_add(1, Ordering::SeqCst).is_multiple_of(3) { (500, "") } else { (204, "") });
    hook(&house, &receiver, json!({ "start": "beginning" })).await;
    let mut ids = Vec::new();
    for number in 0..8 {
        ids.push(house.registered(&format!("App {number}")).await.text("client_id"));
    }
    for verb in ["suspend", "reinstate", "revoke", "restore"] {
        for id in &ids {
            house.admin("default").post(&format!("{}/{verb}", client(DEFAULT, id)), json!({})).await.is(200);
        }
        house.clock.advance(TimeDelta::seconds(6));
    }
    let trail = trail(&house).await;
    assert_eq!(catch_up(&house, &receiver, trail.len()).await, trail.len());
    let mut last: HashMap<String, u64> = HashMap::new();
    for one in receiver.so_far().iter().filter(|one| one.status == 204) {
        let position: u64 = one.text("position").parse().unwrap();
        assert!(last.insert(one.text("subject").to_owned(), position).is_none_or(|before| before < position), "{}", one.body);
    }
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_disabled_and_one_that_is_enabled_misses_nothing() {
    let house = open().await;
    let receiver = Receiver::open().await;
    receiver.answers(|_| (410, ""));
    let made = hook(&house, &receiver, json!({ "types": ["resource_server."] })).await;
    house.server("default", json!({ "name": "files" })).await;
    let shown = until(&house, &made, |shown| shown["state"] == "disabled").await;
    assert_eq!(shown["disabled_because"], "gone");
    house.server("default", json!({ "name": "more" })).await;
    receiver.answers(taken);
    let page = format!("{HOOKS}/{}", made.text("id"));
    assert_eq!(house.admin("default").post(&format!("{page}/enable"), json!({})).await.is(200)["state"], "active");
    let names: Vec<_> = receiver.taken(2).await.iter().map(|one| one.event["data"]["name"].clone()).collect();
    assert_eq!(names, ["files", "more"]);

    let disabled = house.admin("default").post(&format!("{page}/disable"), json!({ "reason": "it moves" })).await.is(200);
    assert_eq!((&disabled["disabled_because"], &disabled["disabled_reason"]), (&json!("administrator"), &json!("it moves")));
    house.server("default", json!({ "name": "meanwhile" })).await;
    let there = Receiver::open().await;
    house.admin("default").patch(&page, json!({ "url": there.url() })).await.is(200);
    house.admin("default").post(&format!("{page}/enable"), json!({})).await.is(200);
    assert_eq!(there.taken(1).await[0].event["data"]["name"], "meanwhile");
    let names: Vec<_> = trail(&house).await.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    let hooks: Vec<_> = names.iter().filter(|name| name.starts_with("webhook.")).collect();
    let expected = ["created", "disabled", "enabled", "disabled", "edited", "enabled"].map(|name| format!("webhook.{name}"));
    assert_eq!(hooks, expected.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_receiver_that_takes_nothing_for_five_days_is_disabled() {
    let house = open().await;
    let receiver = Receiver::open().await;
    receiver.answers(|_| (500, ""));
    let made = hook(&house, &receiver, json!({ "types": ["resource_server."] })).await;
    house.server("default", json!({ "name": "files" })).await;
    let since = until(&house, &made, |shown| shown["trouble"] == "status_500").await;
    assert_eq!(since["state"], "active");
    house.clock.advance(TimeDelta::days(5) - TimeDelta::seconds(1));
    receiver.wait(2, |_| true).await;
    until(&house, &made, |shown| shown["waiting"] == 1).await;
    assert_eq!(crate::shown(&house, &made).await["state"], "active");
    house.clock.advance(TimeDelta::hours(10));
    let shown = until(&house, &made, |shown| shown["state"] == "disabled").await;
    assert_eq!((&shown["disabled_because"], &shown["failing_since"]), (&json!("failing"), &since["failing_since"]));
}
