//! What is sent, to whom, and how it is signed.

use std::collections::HashMap;

use chrono::TimeDelta;
use serde_json::json;

use crate::HOOKS;
use crate::hook;
use crate::house::{DEFAULT, House, client};
use crate::open;
use crate::receiver::{Authority, Receiver};
use crate::shown;
use crate::trail;
use crate::until;

#[tokio::test]
async fn a_webhook_is_told_of_every_event_of_its_tenant_from_the_first_one_on() {
    let house = open().await;
    house.registered("Early").await;
    house.server("other", json!({ "name": "theirs" })).await;
    let receiver = Receiver::open().await;
    let made = hook(&house, &receiver, json!({ "start": "beginning" })).await;
    house.registered("Late").await;
    let trail = trail(&house).await;
    let got = receiver.taken(trail.len()).await;
    let ids = |got: &[crate::receiver::Got]| got.iter().map(|one| one.text("id").to_owned()).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(ids(&got), trail.iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect());
    for one in &got {
        let told = trail.iter().find(|event| event["event_id"] == one.event["id"]).unwrap();
        assert_eq!(one.header("webhook-id"), one.text("id"));
        assert_eq!(one.header("content-type"), "application/cloudevents+json; charset=utf-8");
        assert!(one.head.starts_with("POST /hook?from=gatebook HTTP/1.1\r\n"), "{}", one.head);
        assert_eq!(one.header("host"), receiver.address.to_string());
        assert_eq!((one.text("specversion"), one.text("source"), one.text("tenant")), ("1.0", crate::house::PUBLIC, "default"));
        assert_eq!((&one.event["type"], &one.event["data"], &one.event["time"]), (&told["type"], &told["data"], &told["recorded_at"]));
        assert_eq!((&one.event["position"], one.event.get("clientid")), (&told["position"], told.get("client_id")));
        assert!(one.is_signed_with(&made.text("signing_secret")), "{}", one.head);
    }
    assert_eq!(got.iter().filter(|one| one.text("type") == "client.registered").count(), 2);
    assert!(got.iter().all(|one| !one.body.contains("gbs_") && !one.body.contains("argon2")));
    let shown = until(&house, &made, |shown| shown["position"] == trail.last().unwrap()["position"]).await;
    assert_eq!((&shown["state"], &shown["waiting"], &shown["dead_letters"]), (&json!("active"), &json!(0), &json!(0)));
    assert_eq!((shown.body.get("signing_secret"), shown.body.get("failing_since")), (None, None));
}

#[tokio::test]
async fn a_webhook_that_begins_now_or_at_a_position_hears_nothing_from_before() {
    let house = open().await;
    house.registered("Early").await;
    let (now, there) = (Receiver::open().await, Receiver::open().await);
    let head = house.head().await;
    hook(&house, &now, json!({})).await;
    hook(&house, &there, json!({ "start": head.to_string() })).await;
    let late = house.registered("Late").await;
    let got = now.taken(4).await;
    assert_eq!(got[0].text("type"), "webhook.created", "the one that was created after it");
    assert!(got[1..].iter().all(|one| one.event["clientid"] == late["client_id"]), "{got:#?}");
    let mut names: Vec<_> = there.taken(5).await.iter().map(|one| one.text("type").to_owned()).collect();
    names.sort();
    assert_eq!(names, ["client.registered", "registration.approved", "registration.requested", "webhook.created", "webhook.created"]);
}

#[tokio::test]
async fn a_webhook_hears_only_what_it_asks_for() {
    let house = open().await;
    let id = house.registered("App").await.text("client_id");
    let files = house.server("default", json!({ "name": "files" })).await;
    let (decisions, there) = (Receiver::open().await, Receiver::open().await);
    hook(&house, &decisions, json!({ "types": ["registration.suspended", "registration.re"] })).await;
    let filtered = hook(&house, &there, json!({ "resource_servers": [files] })).await;
    for verb in ["suspend", "reinstate", "revoke"] {
        house.admin("default").post(&format!("{}/{verb}", client(DEFAULT, &id)), json!({})).await.is(200);
    }
    house.anyone().post(&format!("/rs/{files}/oauth/register"), json!({ "redirect_uris": ["https://app.example/cb"] })).await.is(201);
    let names: Vec<_> = decisions.taken(4).await.iter().map(|one| one.text("type").to_owned()).collect();
    let count = |name: &str| names.iter().filter(|other| *other == name).count();
    let counts = ["registration.requested", "registration.suspended", "registration.reinstated", "registration.revoked"].map(count);
    assert_eq!(counts, [1, 1, 1, 1], "{names:?}");
    let got = there.taken(2).await;
    assert_eq!((got[0].text("type"), got[0].text("resourceserver")), ("registration.requested", files.as_str()));

    let path = format!("{HOOKS}/{}", filtered.text("id"));
    house.admin("default").patch(&path, json!({ "resource_servers": [], "types": ["resource_server."] })).await.is(200);
    house.server("default", json!({ "name": "more" })).await;
    assert_eq!(there.taken(3).await[2].text("type"), "resource_server.created");
    house.admin("default").delete(&path).await.is(204);
    house.server("default", json!({ "name": "even more" })).await;
    house.admin("default").get(&path).await.problem(404, "not-found");
    hook(&house, &there, json!({ "types": ["webhook.deleted"], "start": "beginning" })).await;
    assert_eq!(there.taken(4).await[3].text("type"), "webhook.deleted", "nothing came in between");
}

#[tokio::test]
async fn of_one_stream_everything_comes_in_order_while_many_are_sent_at_a_time() {
    let house = open().await;
    let receiver = Receiver::open().await;
    let made = hook(&house, &receiver, json!({ "types": ["registration."], "start": "beginning" })).await;
    let mut ids = Vec::new();
    for number in 0..12 {
        ids.push(house.registered(&format!("App {number}")).await.text("client_id"));
    }
    for verb in ["suspend", "reinstate", "revoke", "restore"] {
        for id in &ids {
            house.admin("default").post(&format!("{}/{verb}", client(DEFAULT, id)), json!({})).await.is(200);
        }
    }
    let got = receiver.taken(72).await;
    let mut last: HashMap<String, u64> = HashMap::new();
    for one in &got {
        let position: u64 = one.text("position").parse().unwrap();
        assert!(last.insert(one.text("subject").to_owned(), position).is_none_or(|before| before < position), "{}", one.body);
    }
    assert_eq!((last.len(), got.len()), (12, 72));
    assert_eq!(shown(&house, &made).await["waiting"], 0);
}

#[tokio::test]
async fn a_new_secret_signs_beside_the_old_one_until_the_overlap_ends() {
    let house = open().await;
    let receiver = Receiver::open().await;
    let made = hook(&house, &receiver, json!({ "types": ["client."] })).await;
    let old = made.text("signing_secret");
    let path = format!("{HOOKS}/{}/rotate-secret", made.text("id"));
    let rotated = house.admin("default").post(&path, json!({ "overlap_seconds": 60 })).await.is(200);
    let new = rotated.text("signing_secret");
    assert!(old != new && new.starts_with("whsec_"));
    house.registered("During").await;
    let during = receiver.taken(1).await.remove(0);
    assert!(during.is_signed_with(&old) && during.is_signed_with(&new));
    house.clock.advance(TimeDelta::seconds(60));
    house.registered("After").await;
    let after = receiver.taken(2).await.remove(1);
    assert!(!after.is_signed_with(&old) && after.is_signed_with(&new));
    house.admin("default").post(&path, json!({})).await.is(200);
    house.registered("Later").await;
    assert!(!receiver.taken(3).await[2].is_signed_with(&new), "without an overlap it ends at once");
}

#[tokio::test]
async fn over_tls_the_receiver_has_to_prove_who_it_is() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &ours.pem).unwrap();
    let house = House::with(|settings| {
        settings.webhook_networks = Some(vec!["127.0.0.0/8".to_owned(), "::1".to_owned()]);
        settings.extra_ca_file = Some(file.path().to_owned());
    })
    .await;
    let (good, bad) = (Receiver::open_tls(&ours, "localhost").await, Receiver::open_tls(&theirs, "localhost").await);
    let url = |receiver: &Receiver| format!("https://localhost:{}/hook", receiver.address.port());
    hook(&house, &good, json!({ "url": url(&good) })).await;
    let refused = hook(&house, &bad, json!({ "url": url(&bad) })).await;
    house.registered("App").await;
    assert!(good.taken(4).await.iter().all(|one| one.head.contains("host: localhost:")));
    assert_eq!(until(&house, &refused, |shown| shown["waiting"] != 0).await["trouble"], "tls_failed");
    assert_eq!(bad.so_far().len(), 0);
}

#[tokio::test]
async fn after_a_restart_it_goes_on_where_it_was_and_without_its_file_from_where_it_began() {
    let house = open().await;
    let receiver = Receiver::open().await;
    let made = hook(&house, &receiver, json!({ "types": ["client."], "start": "beginning" })).await;
    house.registered("First").await;
    receiver.taken(1).await;
    until(&house, &made, |shown| shown["position"].is_string()).await;
    let (time, mut folder) = (house.clock.now(), house.end().await);
    for (number, lost) in [(2, false), (4, true)] {
        let file = folder.path().join("data/webhooks.db");
        if lost {
            std::fs::remove_file(&file).unwrap();
        }
        let networks = Some(vec!["127.0.0.0/8".to_owned()]);
        let house = House::begin(folder, time, |settings| settings.webhook_networks = networks).await;
        if !lost {
            house.registered("Second").await;
        }
        let got = receiver.taken(number).await;
        let last = &got[number - 1];
        assert!(last.is_signed_with(&made.text("signing_secret")));
        assert_eq!(last.event["data"]["metadata"]["client_name"], "Second", "{}", last.body);
        until(&house, &made, |shown| shown["position"] == last.event["position"] || shown["position"].is_string()).await;
        folder = house.end().await;
    }
    assert_eq!(receiver.so_far().len(), 4, "the second time both were sent again");
}
