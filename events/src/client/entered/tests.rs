//! Texts that administrators of several tenants entered for one document, as scenes.

use chrono::{DateTime, TimeZone, Utc};
use serde_json::json;

use super::*;
use crate::admission::RegistrationType;
use crate::clamps::Clamps;
use crate::client::{
    ClientCommand, ClientEvent, ContentHash, Document, ManifestRecovered, ManifestWithdrawn, Party, Registered, Withdrawal,
};
use crate::metadata;
use crate::scenario;
use crate::{Aggregate, Rejection};

fn noon() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).unwrap()
}

fn id() -> ClientId {
    ClientId::parse("https://app.example/client.json").unwrap()
}

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

fn document(number: u8, name: &str) -> Document {
    let said = json!({ "client_name": name, "redirect_uris": ["https://app.example/cb"], "token_endpoint_auth_method": "none" });
    Document {
        content_hash: ContentHash::of_digest([number; 32]),
        text: said.to_string().into(),
        metadata: metadata::parse(said.as_object().unwrap().clone()).unwrap().metadata,
        warnings: vec![],
        left_out: vec![],
        ignored: vec![],
    }
}

fn enter(owner: &str, document: Document) -> ClientCommand {
    ClientCommand::EnterDocument { client_id: id(), document: Box::new(document), tenant: tenant(owner), at: noon() }
}

fn see(document: Document) -> ClientCommand {
    ClientCommand::SeeDocument { client_id: id(), document: Box::new(document), at: noon() }
}

fn registered(document: &Document, entered_for: Option<&str>) -> ClientEvent {
    ClientEvent::Registered(Registered {
        client_id: id(),
        registration_type: RegistrationType::Cimd,
        home: None,
        issued_at: noon(),
        metadata: document.metadata.clone(),
        secret: None,
        registration_token: None,
        ignored: vec![],
        initial_access_token: None,
        clamps: Clamps::default(),
        imported_from: None,
        entered_for: entered_for.map(tenant),
    })
}

fn versioned(number: u32, document: &Document, entered_for: Option<&str>) -> ClientEvent {
    ClientEvent::ManifestVersioned(ManifestVersioned {
        number,
        content_hash: document.content_hash.clone(),
        document: document.text.clone(),
        metadata: document.metadata.clone(),
        differences: [].into(),
        warnings: vec![],
        left_out: vec![],
        entered_for: entered_for.map(tenant),
        ignored: vec![],
    })
}

fn entered(owner: &str, document: &Document) -> [ClientEvent; 2] {
    [registered(document, Some(owner)), versioned(1, document, Some(owner))]
}

fn name(client: &Client, owner: &str) -> Option<String> {
    client.seen_by(&tenant(owner)).registered().and_then(|profile| profile.metadata.client_name.as_deref().map(str::to_owned))
}

fn numbers(client: &Client, owner: &str) -> Vec<u32> {
    let seen = client.seen_by(&tenant(owner));
    let manifest = seen.registered().and_then(|profile| profile.manifest.clone()).unwrap_or_default();
    manifest.versions.iter().map(|version| version.number).collect()
}

fn lose(cause: Withdrawal) -> ClientCommand {
    ClientCommand::LoseDocument { cause, failure: "status_404".into(), detail: None }
}

#[test]
fn w15_each_tenant_enters_a_text_of_its_own_and_sees_no_other() {
    let (mine, theirs) = (document(1, "Mine"), document(2, "Theirs"));
    let client = scenario::given::<Client>([])
        .when(&enter("acme", mine.clone()))
        .then(entered("acme", &mine))
        .when(&enter("globex", theirs.clone()))
        .then(entered("globex", &theirs))
        .when(&enter("acme", mine.clone()))
        .then_nothing()
        .state();
    assert_eq!((name(&client, "acme"), name(&client, "globex")), (Some("Mine".to_owned()), Some("Theirs".to_owned())));
    assert_eq!((numbers(&client, "acme"), numbers(&client, "globex")), (vec![1], vec![1]), "neither counts the other's");
    assert_eq!(*client.seen_by(&tenant("third")), Client::default());
    assert!(client.registered().is_none(), "who does not say for which tenant sees no text at all");
    assert_eq!((client.hidden_from(&tenant("acme")), client.hidden_from(&tenant("third"))), (2, 4));
    assert_eq!(client.client_id(), Some(&id()));
}

#[test]
fn w15_what_the_host_answers_holds_for_every_tenant_and_no_text_is_entered_after_it() {
    let (mine, theirs, said) = (document(1, "Mine"), document(2, "Theirs"), document(3, "The host's"));
    let history = [entered("acme", &mine), entered("globex", &theirs)].concat();
    let client = scenario::given::<Client>(history)
        .when(&see(said.clone()))
        .then([registered(&said, None), versioned(2, &said, None)])
        .when(&see(said.clone()))
        .then_nothing()
        .state();
    for owner in ["acme", "globex", "third"] {
        assert_eq!(name(&client, owner).as_deref(), Some("The host's"), "{owner}");
    }
    assert_eq!((numbers(&client, "acme"), numbers(&client, "third")), (vec![1, 2], vec![2]));
    assert_eq!(client.decide(&enter("acme", document(4, "Mine"))), Err(Rejection::DocumentKnown));
}

#[test]
fn w15_a_host_without_such_a_document_withdraws_every_text_and_who_enters_one_again_has_it_for_itself() {
    let (mine, theirs) = (document(1, "Mine"), document(2, "Theirs"));
    let history = [entered("acme", &mine), entered("globex", &theirs)].concat();
    let client = scenario::given::<Client>(history)
        .when(&lose(Withdrawal::Expired))
        .then_nothing()
        .when(&ClientCommand::MissDocument { last_read: noon(), failure: "timeout".into() })
        .then_nothing()
        .when(&lose(Withdrawal::Gone))
        .then([ClientEvent::ManifestWithdrawn(ManifestWithdrawn { cause: Withdrawal::Gone, failure: "status_404".into(), detail: None })])
        .when(&lose(Withdrawal::Gone))
        .then_nothing()
        .state();
    let life = |client: &Client, owner: &str| client.seen_by(&tenant(owner)).life;
    assert_eq!((life(&client, "acme"), life(&client, "globex")), (Life::Withdrawn, Life::Withdrawn));
    let again = client.decide(&enter("acme", mine)).unwrap().iter().fold(client, Client::evolve);
    assert_eq!((life(&again, "acme"), life(&again, "globex")), (Life::Registered, Life::Withdrawn));
}

#[test]
fn w15_a_tenant_enters_a_hundred_texts_of_one_document_and_another_tenant_its_own() {
    let mut client = Client::default();
    for number in 0..=100_u8 {
        let text = document(number, &format!("Text {number}"));
        match client.decide(&enter("acme", text)) {
            Ok(events) => client = events.iter().fold(client, Client::evolve),
            Err(refusal) => assert_eq!((usize::from(number), refusal), (MOST_ENTERED, Rejection::TooManyTexts)),
        }
    }
    assert_eq!(numbers(&client, "acme").len(), MOST_ENTERED);
    assert_eq!(name(&client, "acme").as_deref(), Some("Text 99"));
    assert!(client.decide(&enter("globex", document(0, "Theirs"))).is_ok());
}

#[test]
fn w15_a_log_of_a_build_that_knew_one_text_only_gives_the_client_to_its_tenant() {
    let (mine, said) = (document(1, "Mine"), document(2, "The host's"));
    let old = || vec![registered(&mine, None), versioned(1, &mine, Some("acme"))];
    let client = scenario::given::<Client>(old()).when(&enter("globex", said.clone())).then(entered("globex", &said)).state();
    assert_eq!((name(&client, "acme"), name(&client, "globex")), (Some("Mine".to_owned()), Some("The host's".to_owned())));
    let fold = |events: Vec<ClientEvent>| events.iter().fold(Client::default(), Client::evolve);
    let changed = fold([old(), vec![versioned(2, &said, None)]].concat());
    assert_eq!((name(&changed, "acme"), name(&changed, "globex")), (Some("The host's".to_owned()), Some("The host's".to_owned())));
    assert_eq!((numbers(&changed, "acme"), numbers(&changed, "globex")), (vec![1, 2], vec![2]));
    let same = fold([old(), vec![ClientEvent::ManifestRecovered(ManifestRecovered {})]].concat());
    assert_eq!((name(&same, "globex").as_deref(), numbers(&same, "acme"), numbers(&same, "globex")), (Some("Mine"), vec![1], vec![1]));
    assert_eq!(same.decide(&see(mine.clone())), Ok(vec![]));
    assert_eq!(*fold(vec![registered(&mine, None)]).seen_by(&tenant("globex")), Client::default());
}

#[test]
fn w15_an_administrator_is_told_the_same_of_a_client_that_was_entered_as_of_one_that_was_read() {
    let mine = document(1, "Mine");
    let client = entered("acme", &mine).iter().fold(Client::default(), Client::evolve);
    let delete = |owner: &str| ClientCommand::Delete { by: Party::Admin(tenant(owner)), reason: None };
    assert_eq!(client.decide(&delete("acme")), Err(Rejection::NotHome));
    assert_eq!(client.decide(&delete("globex")), Err(Rejection::NoSuchClient));
}
