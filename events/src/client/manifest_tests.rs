//! The life of a client that hosts its own document, as scenes.

use chrono::TimeZone;
use serde_json::json;

use crate::clamps::Clamps;

use super::*;
use crate::metadata;
use crate::scenario;

const URL: &str = "https://app.example/client.json";

fn noon(day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, day, 12, 0, 0).unwrap()
}

fn id() -> ClientId {
    ClientId::parse(URL).unwrap()
}

/// A document that says this; its hash is that of a fingertip.
fn document(fingertip: u8, name: &str, uris: &[&str]) -> Document {
    let said = json!({ "client_name": name, "redirect_uris": uris, "token_endpoint_auth_method": "none" });
    Document {
        content_hash: ContentHash::of_digest([fingertip; 32]),
        text: said.to_string().into(),
        metadata: metadata::parse(said.as_object().unwrap().clone()).unwrap().metadata,
        warnings: vec![],
        left_out: vec![],
        ignored: vec![],
    }
}

fn first() -> Document {
    document(1, "App", &["https://app.example/cb"])
}

fn see(document: Document) -> ClientCommand {
    ClientCommand::SeeDocument { client_id: id(), document: Box::new(document), at: noon(1) }
}

fn versioned(number: u32, document: Document, differences: impl IntoIterator<Item = Difference>) -> ClientEvent {
    ClientEvent::ManifestVersioned(ManifestVersioned {
        number,
        content_hash: document.content_hash,
        document: document.text,
        metadata: document.metadata,
        differences: differences.into_iter().collect(),
        warnings: document.warnings,
        left_out: document.left_out,
        entered_for: None,
        ignored: document.ignored,
    })
}

fn registered() -> ClientEvent {
    ClientEvent::Registered(Registered {
        client_id: id(),
        registration_type: RegistrationType::Cimd,
        home: None,
        issued_at: noon(1),
        metadata: first().metadata,
        secret: None,
        registration_token: None,
        ignored: vec![],
        initial_access_token: None,
        clamps: Clamps::default(),
        imported_from: None,
        entered_for: None,
    })
}

fn known() -> Vec<ClientEvent> {
    vec![registered(), versioned(1, first(), [])]
}

fn miss() -> ClientCommand {
    ClientCommand::MissDocument { last_read: noon(2), failure: "timeout".into() }
}

fn unreachable() -> ClientEvent {
    ClientEvent::ManifestUnreachable(ManifestUnreachable { since: noon(2), failure: "timeout".into() })
}

fn lose() -> ClientCommand {
    ClientCommand::LoseDocument { cause: Withdrawal::Gone, failure: "status_404".into(), detail: None }
}

fn withdrawn() -> ClientEvent {
    ClientEvent::ManifestWithdrawn(ManifestWithdrawn { cause: Withdrawal::Gone, failure: "status_404".into(), detail: None })
}

fn recovered() -> ClientEvent {
    ClientEvent::ManifestRecovered(ManifestRecovered {})
}

fn and(mut history: Vec<ClientEvent>, event: ClientEvent) -> Vec<ClientEvent> {
    history.push(event);
    history
}

#[test]
fn a_document_that_is_seen_first_enters_its_client_and_the_same_one_again_is_no_news() {
    let client = scenario::given::<Client>([]).when(&see(first())).then(known()).when(&see(first())).then_nothing().state();
    assert_eq!(client.registered().unwrap().home, None);
}

#[test]
fn a_document_that_differs_is_a_version_and_its_differences_are_named() {
    let second = document(2, "App", &["https://app.example/cb", "https://evil.example/cb"]);
    let third = document(3, "Application", &["https://evil.example/cb"]);
    let spaced = Document { content_hash: ContentHash::of_digest([4; 32]), text: " {}".into(), ..third.clone() };
    let client = scenario::given::<Client>(known())
        .when(&see(second.clone()))
        .then([versioned(2, second.clone(), [Difference::RedirectsWidened])])
        .when(&see(third.clone()))
        .then([versioned(3, third.clone(), [Difference::RedirectsNarrowed, Difference::DisplayIdentity])])
        .when(&see(spaced.clone()))
        .then([versioned(4, spaced, [Difference::Cosmetic])])
        .state();
    let manifest = client.registered().unwrap().manifest.clone().unwrap();
    assert_eq!(manifest.current().unwrap().number, 4);
    assert_eq!(manifest.version(2).unwrap().redirect_uris, second.metadata.redirect_uris);
    assert_eq!(client.registered().unwrap().metadata, third.metadata);
}

#[test]
fn a_document_that_reverts_is_one_more_version_for_versions_are_never_taken_away() {
    let second = document(2, "Other", &["https://app.example/cb"]);
    let history = and(known(), versioned(2, second, [Difference::DisplayIdentity]));
    scenario::given::<Client>(history).when(&see(first())).then([versioned(3, first(), [Difference::DisplayIdentity])]);
}

#[test]
fn keys_method_grants_and_scope_are_told_apart() {
    let of = |said: serde_json::Value| metadata::parse(said.as_object().unwrap().clone()).unwrap().metadata;
    let plain = || json!({ "redirect_uris": ["https://app.example/cb"], "token_endpoint_auth_method": "none" });
    let with = |member: &str, value: serde_json::Value| {
        let mut said = plain();
        said[member] = value;
        of(said)
    };
    let table = [
        (with("scope", json!("read")), Difference::Scope),
        (with("grant_types", json!(["authorization_code", "refresh_token"])), Difference::Grants),
        (with("jwks_uri", json!("https://app.example/jwks")), Difference::Keys),
        (with("token_endpoint_auth_method", json!("client_secret_basic")), Difference::AuthMethod),
        (with("client_name#de", json!("Programm")), Difference::DisplayIdentity),
        (with("contacts", json!(["ada@app.example"])), Difference::Cosmetic),
    ];
    for (new, difference) in table {
        assert_eq!(differences(&of(plain()), &new), [difference].into(), "{difference:?}");
    }
}

#[test]
fn trouble_is_told_once_and_so_is_its_end() {
    scenario::given::<Client>(known())
        .when(&miss())
        .then([unreachable()])
        .when(&miss())
        .then_nothing()
        .when(&see(first()))
        .then([recovered()])
        .when(&see(first()))
        .then_nothing();
}

#[test]
fn a_document_that_was_taken_away_stays_so_until_it_is_read_again() {
    let client = scenario::given::<Client>(known())
        .when(&lose())
        .then([withdrawn()])
        .when(&lose())
        .then_nothing()
        .when(&miss())
        .then_nothing()
        .state();
    assert_eq!(client.life, Life::Withdrawn);
    assert!(client.registered().is_some());
    let other = document(2, "App", &["https://app.example/two"]);
    let client = scenario::given::<Client>(and(known(), withdrawn()))
        .when(&see(other.clone()))
        .then([recovered(), versioned(2, other, [Difference::RedirectsWidened, Difference::RedirectsNarrowed])])
        .state();
    assert_eq!(client.life, Life::Registered);
}

#[test]
fn what_could_not_be_reached_may_turn_out_to_be_taken_away() {
    let after = scenario::given::<Client>(and(known(), unreachable())).when(&lose()).then([withdrawn()]).state();
    assert_eq!(after.life, Life::Withdrawn);
}

#[test]
fn a_client_without_a_document_has_none_to_miss_and_one_that_nobody_knows_is_not_missed() {
    let client_id = ClientId::parse("11111111-1111-4111-8111-111111111111").unwrap();
    let other = ClientEvent::Registered(Registered {
        client_id: client_id.clone(),
        registration_type: RegistrationType::Dcr,
        home: None,
        issued_at: noon(1),
        metadata: first().metadata,
        secret: None,
        registration_token: None,
        ignored: vec![],
        initial_access_token: None,
        clamps: Clamps::default(),
        imported_from: None,
        entered_for: None,
    });
    for command in [miss(), lose(), ClientCommand::SeeDocument { client_id, document: Box::new(first()), at: noon(1) }] {
        scenario::given::<Client>([other.clone()]).when(&command).then_refused(Rejection::NoDocument);
    }
    for command in [miss(), lose()] {
        scenario::given::<Client>([]).when(&command).then_refused(Rejection::NoSuchClient);
    }
}
