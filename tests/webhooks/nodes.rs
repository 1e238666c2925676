//! Two nodes that share a log, and one receiver: what it has not taken is known at both, and either is told what to do about it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use gatebook::cluster::kurrentdb::{Kurrent, KurrentSettings};
use gatebook::cluster::nats::{Nats, NatsSettings};
use gatebook::cluster::shared_kv::{JetStreamNotes, KurrentDbNotes, Notes};
use serde_json::{Value, json};

use crate::HOOKS;
use crate::answer::Answer;
use crate::failed_now;
use crate::hook;
use crate::house::{DEFAULT, House, client};
use crate::kurrentdb::fake::Fake;
use crate::nats;
use crate::receiver::Receiver;
use crate::shown;
use crate::until;

#[tokio::test(flavor = "multi_thread")]
async fn on_jetstream_dead_letters_are_everybodys() {
    let servers = match nats::Nats::start(1) {
        Ok(servers) => servers,
        Err(reason) => return nats::not_run("dead letters at two nodes", &reason),
    };
    let uri = servers.uri("gatebook");
    let folder = tempfile::tempdir().unwrap();
    let one = node(&uri, folder.path()).await;
    let nats = Nats::connect(&NatsSettings::parse(&uri).unwrap()).await.unwrap();
    let notes = Arc::new(JetStreamNotes::open(&nats).await.unwrap());
    dead_letters_are_everybodys(one, node(&uri, folder.path()).await, notes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kurrentdb_dead_letters_are_everybodys() {
    let fake = Fake::start(1);
    let uri = fake.uri("kurrentdb", "gatebook");
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (node(&uri, folder.path()).await, node(&uri, folder.path()).await);
    let notes = KurrentDbNotes::new(Kurrent::try_new(&KurrentSettings::parse(&uri).unwrap()).unwrap());
    dead_letters_are_everybodys(one, other, Arc::new(notes)).await;
}

/// A node on a log that is shared, with the instance key that all have.
async fn node(uri: &str, keys: &Path) -> House {
    let key = keys.join("instance.key");
    fs::write(&key, format!("{}\n", "A".repeat(43))).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    House::with(|settings| {
        settings.log = Some(uri.to_owned());
        settings.instance_key_file = Some(key);
        settings.webhook_networks = Some(vec!["127.0.0.0/8".to_owned()]);
    })
    .await
}

async fn dead_letters_are_everybodys(one: House, other: House, notes: Arc<dyn Notes>) {
    sends(&notes, &one).await;
    let receiver = Receiver::open().await;
    let made = hook(&one, &receiver, json!({ "types": ["registration."] })).await;
    receiver.answers(|got| if got.event["type"] == "registration.suspended" { (422, "") } else { (204, "") });
    for name in ["One", "Two"] {
        let id = one.registered(name).await.text("client_id");
        one.admin("default").post(&format!("{}/suspend", client(DEFAULT, &id)), json!({})).await.is(200);
        one.admin("default").post(&format!("{}/reinstate", client(DEFAULT, &id)), json!({})).await.is(200);
    }
    receiver.taken(4).await;
    until_dead(&one, &other, &receiver, &made).await;

    let letters = same_at_both(&one, &other, &made).await;
    assert_eq!(letters.len(), 2, "{letters:?}");
    assert!(letters.iter().all(|letter| letter["attempts"] == 12 && letter["trouble"] == "status_422"), "{letters:?}");

    // Retried where nobody sends from.
    receiver.answers(crate::receiver::taken);
    let page = format!("{HOOKS}/{}/dead-letters", made.text("id"));
    let event = |letter: &Value| letter["event_id"].as_str().unwrap().to_owned();
    let asked = Instant::now();
    other.admin("default").post(&format!("{page}/{}/retry", event(&letters[0])), json!({})).await.is(204);
    let got = receiver.taken(6).await;
    let names: Vec<_> = got[4..].iter().map(|one| one.text("type")).collect();
    assert_eq!((got[4].text("id"), names), (event(&letters[0]).as_str(), vec!["registration.suspended", "registration.reinstated"]));
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    until(&one, &made, |shown| shown["dead_letters"] == 1 && shown["waiting"] == 0).await;
    let rest = same_at_both(&one, &other, &made).await;
    assert_eq!(rest.iter().map(event).collect::<Vec<_>>(), [event(&letters[1])]);
    sends(&notes, &one).await;

    // What one knew goes with it, and nothing is lost.
    let node = one.app.node.announcement().await.node.to_string();
    drop(one.end().await);
    assert_ne!(holder(&notes).await, json!(node), "a turn that was given back is not taken again");
    let list = other.admin("default").get(&page).await.is(200);
    assert_eq!(list["dead_letters"], json!(rest));
    other.registered("Three").await;
    let late = receiver.taken(8).await;
    assert!(late[6..].iter().all(|one| one.text("type") != "registration.suspended"), "{late:?}");
    sends(&notes, &other).await;
    other.admin("default").delete(&format!("{page}/{}", event(&letters[1]))).await.is(204);
    assert_eq!(receiver.taken(9).await[8].text("type"), "registration.reinstated");
    let end = until(&other, &made, |shown| shown["dead_letters"] == 0 && shown["held_behind_dead_letters"] == 0).await;
    assert_eq!(end["waiting"], 0);
    let mut ids: Vec<_> = receiver.so_far().iter().filter(|got| got.status == 204).map(|got| got.text("id").to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), receiver.taken(9).await.len(), "nothing was taken twice");
}

/// Lets time pass at both nodes until nothing is tried any more.
async fn until_dead(one: &House, other: &House, receiver: &Receiver, made: &Answer) {
    // Two that failed in a row have the receiver left alone, and then tried with one message at a time.
    failed_now(one, made).await;
    loop {
        let attempts = receiver.wait(2, |got| got.status == 422).await.len();
        if attempts == 24 {
            break;
        }
        let pause = 5 * 3_i64.pow(u32::try_from(attempts / 2).unwrap());
        let pause = TimeDelta::seconds((pause * 5 / 4).clamp(13 * 60, 36_000));
        other.clock.advance(pause);
        one.clock.advance(pause);
        failed_now(one, made).await;
    }
    until(one, made, |shown| shown["dead_letters"] == 2).await;
}

/// The dead letters, once both nodes are seen to say the same of the webhook and of them.
async fn same_at_both(one: &House, other: &House, made: &Answer) -> Vec<Value> {
    let page = format!("{HOOKS}/{}/dead-letters", made.text("id"));
    let (left, right) = (shown(one, made).await, shown(other, made).await);
    assert_eq!(left.body, right.body);
    let (left, right) = (one.admin("default").get(&page).await.is(200), other.admin("default").get(&page).await.is(200));
    assert_eq!(left.body, right.body);
    left["dead_letters"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_on_after_somebody_cleared_what_is_noted_of_a_webhook() {
    let fake = Fake::start(1);
    let uri = fake.uri("kurrentdb", "gatebook");
    let folder = tempfile::tempdir().unwrap();
    let house = node(&uri, folder.path()).await;
    let notes: Arc<dyn Notes> = Arc::new(KurrentDbNotes::new(Kurrent::try_new(&KurrentSettings::parse(&uri).unwrap()).unwrap()));
    sends(&notes, &house).await;
    let receiver = Receiver::open().await;
    let made = hook(&house, &receiver, json!({ "types": ["registration."] })).await;
    house.registered("One").await;
    receiver.taken(2).await;
    until(&house, &made, |shown| shown.body["last_taken_at"].is_string()).await;

    let key = format!("webhook-{}", made.text("id"));
    let before = notes.read(&key).await.unwrap().unwrap();
    notes.write(&key, bytes::Bytes::new(), Some(before.revision)).await.unwrap();
    house.registered("Two").await;
    // Sent, not noted, and sent again with all that was before it, because nobody knows what was taken.
    let mut ids: Vec<_> = receiver.taken(8).await.iter().map(|got| got.text("id").to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    until(&house, &made, |shown| shown.body["last_taken_at"].is_string() && shown["waiting"] == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_a_webhook_does_not_want_are_not_noted_one_by_one() {
    let fake = Fake::start(1);
    let uri = fake.uri("kurrentdb", "gatebook");
    let folder = tempfile::tempdir().unwrap();
    let house = node(&uri, folder.path()).await;
    let notes: Arc<dyn Notes> = Arc::new(KurrentDbNotes::new(Kurrent::try_new(&KurrentSettings::parse(&uri).unwrap()).unwrap()));
    sends(&notes, &house).await;
    let receiver = Receiver::open().await;
    let made = hook(&house, &receiver, json!({ "types": ["registration."] })).await;
    house.registered("One").await;
    receiver.taken(2).await;
    until(&house, &made, |shown| shown.body["last_taken_at"].is_string()).await;

    let key = format!("webhook-{}", made.text("id"));
    let before = notes.read(&key).await.unwrap().unwrap().revision.to_backend();
    for label in 0..20 {
        let path = format!("{HOOKS}/{}", made.text("id"));
        house.admin("default").patch(&path, json!({ "label": label.to_string() })).await.is(200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    house.registered("Two").await;
    receiver.taken(4).await;
    let after = notes.read(&key).await.unwrap().unwrap().revision.to_backend();
    assert!(after - before <= 4, "noted {} times", after - before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_webhooks_secret_is_shown_and_others_are_rendered_while_there_are_no_notes() {
    let servers = match nats::Nats::start(1) {
        Ok(servers) => servers,
        Err(reason) => return nats::not_run("webhooks without notes", &reason),
    };
    let uri = servers.uri("gatebook");
    let folder = tempfile::tempdir().unwrap();
    let house = node(&uri, folder.path()).await;
    let nats = Nats::connect(&NatsSettings::parse(&uri).unwrap()).await.unwrap();
    let receiver = Receiver::open().await;
    nats.jetstream.delete_key_value("gatebook-notes").await.unwrap();
    let made = hook(&house, &receiver, json!({})).await;
    assert!(made["signing_secret"].as_str().unwrap().starts_with("whsec_"), "{}", made.text);
    assert_eq!(shown(&house, &made).await["waiting"], 0);
    let list = house.admin("default").get(HOOKS).await.is(200);
    assert_eq!(list["webhooks"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_sees_nothing_of_the_log_gives_its_turn_back() {
    let servers = match nats::Nats::start(1) {
        Ok(servers) => servers,
        Err(reason) => return nats::not_run("turns without a log", &reason),
    };
    let uri = servers.uri("gatebook");
    let folder = tempfile::tempdir().unwrap();
    let house = node(&uri, folder.path()).await;
    let nats = Nats::connect(&NatsSettings::parse(&uri).unwrap()).await.unwrap();
    let notes: Arc<dyn Notes> = Arc::new(JetStreamNotes::open(&nats).await.unwrap());
    sends(&notes, &house).await;
    // Notes go on, and the copy of the log gets too old to decide by.
    nats.jetstream.delete_stream("gatebook").await.unwrap();
    let end = Instant::now() + Duration::from_secs(40);
    while !holder(&notes).await.is_null() {
        assert!(Instant::now() < end, "who sees nothing holds the turn");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(holder(&notes).await.is_null(), "and does not take it again");
}

/// Which node has the turn to send; null if none has.
async fn holder(notes: &Arc<dyn Notes>) -> Value {
    let found = notes.read("webhooks").await.unwrap();
    found.map(|found| serde_json::from_slice::<Value>(&found.text).unwrap()["holder"]["node"].clone()).unwrap_or_default()
}

/// Waits until this node has the turn to send.
async fn sends(notes: &Arc<dyn Notes>, house: &House) {
    let (node, end) = (house.app.node.announcement().await.node.to_string(), Instant::now() + Duration::from_secs(20));
    loop {
        let holder = holder(notes).await;
        if holder == json!(node) {
            return;
        }
        assert!(Instant::now() < end, "the turn is with {holder} and not with {node}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
