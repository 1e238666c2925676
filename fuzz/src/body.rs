//! A registration's body: read strictly, parsed, stored, answered, sent back, and admitted by the policy of a fresh instance.

use chrono::DateTime;
use gatebook_events::admission::{Admission, RegistrationType};
use gatebook_events::clamps::Clamps;
use gatebook_events::client::{ClientEvent, MetadataUpdated, Registered};
use gatebook_events::identity::{ClientId, ClientKey};
use gatebook_events::json;
use gatebook_events::metadata::{self, ClientMetadata, GrantType, Parsed, ResponseType};
use gatebook_events::redirect::RedirectUri;
use gatebook_events::resource_server::Policy;
use gatebook_events::stored::Stored;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::is_a_sentence_for_anybody;

/// What must hold for any body of a registration.
pub fn registration_body(bytes: &[u8]) {
    let request = match json::object(bytes) {
        Ok(request) => request,
        Err(problem) => return is_a_sentence_for_anybody(&problem.to_string()),
    };
    // Where the strict reader says yes it says the same as one that is lenient: it refuses, it never interprets.
    let lenient: Value = serde_json::from_slice(bytes).unwrap();
    assert_eq!(lenient, Value::Object(request.clone()));

    let Parsed { metadata, ignored } = match metadata::parse(request) {
        Ok(parsed) => parsed,
        Err(error) => return is_a_sentence_for_anybody(&error.to_string()),
    };
    assert!(ignored.len() <= 50 && ignored.is_sorted(), "{ignored:?}");
    assert!(ignored.iter().all(|name| name.len() <= 64 && name.bytes().all(|byte| (0x20..0x7f).contains(&byte))), "{ignored:?}");
    for uri in &metadata.redirect_uris {
        assert_eq!(RedirectUri::parse(uri.as_str()).as_ref(), Ok(uri));
        assert!(metadata.redirect_uris.matching(uri.as_str()).is_some());
    }
    comes_back_from_storage(&metadata, &ignored);
    comes_back_from_the_client(&metadata);
    is_admitted_or_not(&metadata);
}

/// What is stored is read back as what it was, and written again in the same bytes: the hash chain commits to them.
fn comes_back_from_storage(metadata: &ClientMetadata, ignored: &[Box<str>]) {
    let registered = ClientEvent::Registered(Registered {
        client_id: ClientId::of_key(ClientKey(Uuid::from_u128(7))),
        registration_type: RegistrationType::Dcr,
        home: None,
        issued_at: DateTime::UNIX_EPOCH,
        metadata: metadata.clone(),
        secret: None,
        registration_token: None,
        ignored: ignored.to_vec(),
        initial_access_token: None,
        clamps: Clamps::default(),
        imported_from: None,
        entered_for: None,
    });
    let updated = ClientEvent::MetadataUpdated(MetadataUpdated {
        metadata: metadata.clone(),
        secret: None,
        keeps_secret: false,
        ignored: ignored.to_vec(),
    });
    for event in [registered, updated] {
        let (name, version) = event.shape();
        let stored = event.encode().unwrap();
        let read = ClientEvent::decode(name, version, &stored).unwrap();
        assert_eq!(read, event);
        assert_eq!(read.encode().unwrap(), stored);
    }
}

/// A client that replaces its metadata with what it was answered changes nothing (RFC 7592 §2.2).
fn comes_back_from_the_client(metadata: &ClientMetadata) {
    let answered = metadata.members();
    assert!(answered.values().all(|value| !has_null(value) && value.as_str() != Some("")), "{answered:?}");
    let sent_back: Map<String, Value> = json::object(&serde_json::to_vec(&answered).unwrap()).unwrap();
    assert_eq!(sent_back, answered);
    let parsed = metadata::parse_replacement(sent_back, metadata).unwrap();
    assert_eq!(parsed, Parsed { metadata: metadata.clone(), ignored: Vec::new() });
}

/// A fresh instance's policy narrows what was asked for and never widens it, and has no second thoughts.
fn is_admitted_or_not(asked: &ClientMetadata) {
    let policy = Policy::default();
    let (admitted, admission) = match policy.admit(RegistrationType::Dcr, asked.clone()) {
        Ok(admitted) => admitted,
        Err(rejection) => return is_a_sentence_for_anybody(&rejection.to_string()),
    };
    assert_eq!(admission, Admission::Auto);
    assert_eq!(admitted.redirect_uris, asked.redirect_uris);
    assert_eq!(admitted.token_endpoint_auth_method, asked.token_endpoint_auth_method);
    assert!(admitted.grant_types.iter().all(|grant| asked.grant_types.contains(grant) && policy.self_registered_grants.contains(grant)));
    let (grant, response) = (GrantType::AuthorizationCode, ResponseType::Code);
    assert_eq!(admitted.grant_types.contains(&grant), admitted.response_types.contains(&response));
    assert!(!admitted.grant_types.contains(&grant) || !admitted.redirect_uris.is_empty());
    assert_eq!(policy.admit(RegistrationType::Dcr, admitted.clone()).unwrap(), (admitted.clone(), Admission::Auto));
    comes_back_from_the_client(&admitted);
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
