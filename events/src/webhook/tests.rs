//! The life of a webhook as scenes.

use chrono::TimeZone;
use uuid::Uuid;

use super::*;
use crate::envelope::EventId;
use crate::scenario::{self, Scene};
use crate::secret::Rotation;
use WebhookCommand as Command;
use WebhookEvent as Event;

fn given(history: impl IntoIterator<Item = Event>) -> Scene<Webhook> {
    scenario::given(history)
}

fn noon(day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, day, 12, 0, 0).unwrap()
}

fn wish(label: &str) -> Wish {
    let url = WebhookUrl::parse("https://siem.example/hook").unwrap();
    Wish { label: label.to_owned(), url, types: Vec::new(), resource_servers: Vec::new() }
}

fn made() -> Created {
    Created { tenant: TenantId::parse("acme").unwrap(), wish: wish("siem"), start: Start::Beginning }
}

fn created() -> Event {
    Event::Created(made())
}

fn disabled(because: DisabledBecause) -> Disabled {
    Disabled { because, reason: None }
}

fn deleted() -> Event {
    Event::Deleted(Deleted { reason: None })
}

fn delete() -> Command {
    Command::Delete { reason: None }
}

#[test]
fn a_webhook_is_created_once_and_its_id_is_never_used_for_another() {
    given([]).when(&Command::Create(made())).then([created()]).when(&Command::Create(made())).then_nothing();
    let other = Created { start: Start::Now, ..made() };
    given([created()]).when(&Command::Create(other)).then_refused(Rejection::AlreadyExists);
    given([created(), deleted()]).when(&Command::Create(made())).then_refused(Rejection::AlreadyExists);
}

#[test]
fn a_webhook_is_edited_when_something_is_different_and_while_it_is_there() {
    let edit = Command::Edit(wish("audit"));
    given([created()]).when(&edit).then([Event::Edited(Edited { wish: wish("audit") })]).when(&edit).then_nothing();
    given([]).when(&edit).then_refused(Rejection::NoSuchWebhook);
    given([created(), deleted()]).when(&edit).then_refused(Rejection::NoSuchWebhook);
}

#[test]
fn a_webhook_is_disabled_enabled_and_deleted_once_each() {
    let (stop, because) = (Command::Disable(disabled(DisabledBecause::Gone)), Event::Disabled(disabled(DisabledBecause::Gone)));
    given([created()]).when(&stop).then([because.clone()]).when(&Command::Disable(disabled(DisabledBecause::Failing))).then_nothing();
    given([created(), because.clone()]).when(&Command::Enable).then([Event::Enabled(Enabled {})]).when(&Command::Enable).then_nothing();
    given([created(), because]).when(&delete()).then([deleted()]).when(&delete()).then_nothing();
    given([]).when(&delete()).then_refused(Rejection::NoSuchWebhook);
    given([created(), deleted()]).when(&Command::Enable).then_refused(Rejection::NoSuchWebhook);
}

#[test]
fn during_an_overlap_two_secrets_sign_and_afterwards_the_new_one_alone() {
    let rotate = Command::RotateSecret(rotation(3));
    let rotated = Event::SecretRotated(SecretRotated { generation: 2, old_valid_until: Some(noon(5)), repeat_key: None });
    given([created()]).when(&rotate).then([rotated.clone()]);
    let hook = Webhook::default().evolve(&created());
    assert_eq!(hook.generations(noon(4)).collect::<Vec<_>>(), [1]);
    let hook = hook.evolve(&rotated);
    assert_eq!(hook.generations(noon(4)).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(hook.generations(noon(5)).collect::<Vec<_>>(), [2]);
    given([created(), deleted()]).when(&rotate).then_refused(Rejection::NoSuchWebhook);
}

/// The old secret works until the fifth.
fn rotation(day: u32) -> Rotation {
    Rotation { at: noon(day), old_valid_until: Some(noon(5)), end_overlap: false, repeat_key: None }
}

#[test]
fn t7_a_rotation_within_an_overlap_keeps_the_promise_unless_it_may_end_it() {
    let rotated = |generation| Event::SecretRotated(SecretRotated { generation, old_valid_until: Some(noon(5)), repeat_key: None });
    let once = || given([created(), rotated(2)]);
    once().when(&Command::RotateSecret(rotation(4))).then_refused(Rejection::OverlapUnderWay(noon(5)));
    once().when(&Command::RotateSecret(Rotation { end_overlap: true, ..rotation(4) })).then([rotated(3)]);
    once().when(&Command::RotateSecret(rotation(5))).then([rotated(3)]);
}

#[test]
fn t7_the_same_rotation_sent_again_is_no_other() {
    let key = || Some(Box::from("a"));
    let repeated = Command::RotateSecret(Rotation { repeat_key: key(), ..rotation(3) });
    let rotated = Event::SecretRotated(SecretRotated { generation: 2, old_valid_until: Some(noon(5)), repeat_key: key() });
    given([created()]).when(&repeated).then([rotated]).when(&repeated).then_nothing();
}

#[test]
fn an_event_that_was_given_up_is_a_fact_of_its_own() {
    let dropped = EventDropped { event_id: EventId(Uuid::from_u128(7)), reason: Some("nobody needs it".to_owned()) };
    given([created()]).when(&Command::DropEvent(dropped.clone())).then([Event::EventDropped(dropped.clone())]);
    given([]).when(&Command::DropEvent(dropped)).then_refused(Rejection::NoSuchWebhook);
}

#[test]
fn a_wish_is_met_by_the_beginnings_of_names_and_by_resource_servers() {
    let (one, two) = (ResourceServerId(Uuid::from_u128(1)), ResourceServerId(Uuid::from_u128(2)));
    let prefix = |text: &str| TypePrefix::try_from(text.to_owned()).unwrap();
    let all = wish("all");
    assert!(all.wants("client.registered", None) && all.wants("registration.approved", Some(one)));
    let some = Wish { types: vec![prefix("registration."), prefix("client.deleted")], ..wish("some") };
    assert!(some.wants("registration.approved", Some(one)) && some.wants("client.deleted", None));
    assert!(!some.wants("client.registered", None));
    let there = Wish { resource_servers: vec![one], ..wish("there") };
    assert!(there.wants("registration.approved", Some(one)));
    assert!(!there.wants("registration.approved", Some(two)) && !there.wants("client.registered", None));
    for bad in ["", "Client", "client-", &"a".repeat(65)] {
        assert!(TypePrefix::try_from(bad.to_owned()).is_err(), "{bad}");
    }
}

#[test]
fn a_url_names_one_host_in_one_spelling() {
    for (text, host, port, path) in [
        ("https://siem.example/hook?a=1", "siem.example", 443, "/hook?a=1"),
        ("https://siem.example", "siem.example", 443, "/"),
        ("https://siem.example:8443?a", "siem.example", 8443, "/?a"),
        ("http://10.0.0.5:9000/in", "10.0.0.5", 9000, "/in"),
        ("http://[fd00::5]/in", "fd00::5", 80, "/in"),
        ("http://localhost:81/", "localhost", 81, "/"),
    ] {
        let url = WebhookUrl::parse(text).unwrap();
        assert_eq!((url.host(), url.port(), url.path_and_query().as_str(), url.as_str()), (host, port, path, text));
    }
    for bad in [
        "",
        "ftp://siem.example/",
        "HTTPS://siem.example/",
        "https://SIEM.example/",
        "https://user@siem.example/",
        "https://siem.example/#a",
        "https://siem.example:0/",
        "https://010.0.0.5/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://127.1/",
        "https://[::ffff:7f00:1]/",
        "https://siem..example/",
        "https://siem.example./",
        "https:///hook",
    ] {
        assert!(WebhookUrl::parse(bad).is_err(), "{bad}");
    }
    let shown = WebhookUrl::parse("https://siem.example:8443/secret?token=x").unwrap().to_string();
    assert_eq!(shown, "https://siem.example:8443");
}
