//! Who is named, as scenes, and which registrations are alike.

use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::metadata;
use crate::scenario::given;

fn key(number: u128) -> ClientKey {
    ClientKey(Uuid::from_u128(number))
}

fn take(client: u128, instead_of: Option<u128>) -> ReservationCommand {
    ReservationCommand::Take { client_key: key(client), instead_of: instead_of.map(key) }
}

fn taken(client: u128, instead_of: Option<u128>) -> ReservationEvent {
    ReservationEvent::Taken(Taken { client_key: key(client), instead_of: instead_of.map(key) })
}

#[test]
fn the_first_is_named_and_whoever_comes_later_is_not() {
    let after = given::<Reservation>([]).when(&take(1, None)).then([taken(1, None)]).when(&take(2, None)).then_nothing();
    assert_eq!(after.when(&take(1, None)).then_nothing().state().holder, Some(key(1)));
}

#[test]
fn another_is_named_only_instead_of_the_one_that_is() {
    let deleted = || given::<Reservation>([taken(1, None)]).when(&take(2, Some(1))).then([taken(2, Some(1))]);
    deleted().when(&take(3, Some(1))).then_nothing();
    assert_eq!(deleted().when(&take(3, Some(2))).then([taken(3, Some(2))]).state().holder, Some(key(3)));
    given::<Reservation>([]).when(&take(2, Some(1))).then_nothing();
}

#[test]
fn an_event_that_does_not_fit_leaves_the_state_as_it_was() {
    let state = given::<Reservation>([taken(1, None), taken(2, None), taken(3, Some(2))]).state();
    assert_eq!(state.holder, Some(key(1)));
}

fn fingerprint(members: Value) -> Option<Fingerprint> {
    let mut all =
        json!({ "client_name": "Claude Code", "redirect_uris": ["http://127.0.0.1:4000/cb"], "token_endpoint_auth_method": "none" });
    let (Value::Object(request), Value::Object(members)) = (&mut all, members) else { unreachable!() };
    request.extend(members);
    let parsed = metadata::parse(request.clone()).unwrap();
    Fingerprint::of(&parsed.metadata, &parsed.ignored)
}

#[test]
fn instances_that_differ_in_a_loopback_port_or_in_order_are_alike() {
    let one = fingerprint(json!({ "grant_types": ["authorization_code", "refresh_token"] })).unwrap();
    let alike = [
        json!({ "redirect_uris": ["http://127.0.0.1:4999/cb"], "grant_types": ["refresh_token", "authorization_code"] }),
        json!({ "redirect_uris": ["http://127.0.0.1/cb", "http://127.0.0.1:7/cb"], "grant_types": ["authorization_code", "refresh_token"] }),
        json!({ "grant_types": ["authorization_code", "refresh_token"], "favourite_colour": "blue" }),
    ];
    for members in alike {
        assert_eq!(fingerprint(members.clone()), Some(one), "{members}");
    }
}

#[test]
fn every_other_difference_is_another_program() {
    let one = fingerprint(json!({}));
    assert!(one.is_some());
    let others = [
        json!({ "client_name": "Claude" }),
        json!({ "client_name": null }),
        json!({ "client_name#fr": "Claude Code" }),
        json!({ "redirect_uris": ["http://localhost:4000/cb"] }),
        json!({ "redirect_uris": ["http://127.0.0.1:4000/CB"] }),
        json!({ "redirect_uris": ["http://127.0.0.1:4000/cb", "https://a.example/cb"] }),
        json!({ "grant_types": ["authorization_code", "refresh_token"] }),
        json!({ "scope": "a" }),
        json!({ "contacts": ["ops@example.com"] }),
        json!({ "client_uri": "https://a.example/" }),
        json!({ "logo_uri": "https://a.example/" }),
        json!({ "software_id": "claude-code" }),
        json!({ "software_version": "2" }),
        json!({ "jwks": { "keys": [{ "kty": "EC", "crv": "P-256", "x": "a", "y": "b" }] } }),
        json!({ "jwks_uri": "https://a.example/jwks" }),
    ];
    let mut seen = vec![one];
    for members in others {
        let other = fingerprint(members.clone());
        assert!(other.is_some() && !seen.contains(&other), "{members}");
        seen.push(other);
    }
    let https = |port: &str| fingerprint(json!({ "redirect_uris": [format!("https://a.example{port}/cb")] }));
    assert_ne!(https(""), https(":8443"), "a port is left out on loopback only");
}

#[test]
fn a_client_with_credentials_or_a_software_statement_is_like_no_other() {
    for method in ["client_secret_basic", "client_secret_post", "private_key_jwt"] {
        let keys = json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": "a", "y": "b" }] });
        assert_eq!(fingerprint(json!({ "token_endpoint_auth_method": method, "jwks": keys })), None, "{method}");
    }
    assert_eq!(fingerprint(json!({ "software_statement": "a.b.c" })), None);
}

#[test]
fn a_fingerprint_is_what_it_always_was_and_has_one_name() {
    let name = fingerprint(json!({})).unwrap().to_string();
    assert_eq!(name, "a5960d8c3a9f4d1b7ee5e100f67df7fd8c09f2665337c41806029c13682a70b4");
    assert_eq!(Fingerprint::parse(&name), fingerprint(json!({})));
    for other in ["", &name[1..], &format!("{name}0"), &name.to_uppercase(), &name.replace('a', "g")] {
        assert_eq!(Fingerprint::parse(other), None, "{other}");
    }
}
