//! The life of an initial access token as scenes, and what its clamps leave of a client.

use chrono::TimeZone;
use serde_json::{Value, json};

use super::*;
use crate::admission::RegistrationType;
use crate::identity::ClientId;
use crate::metadata::{self, ClientMetadata, GrantType};
use crate::redirect_rule::RedirectRule;
use crate::resource_server::Policy;
use crate::scenario::{self, Scene};
use crate::scope::Scope;
use InitialAccessTokenCommand as Command;
use InitialAccessTokenEvent as Event;

fn given(history: impl IntoIterator<Item = Event>) -> Scene<InitialAccessToken> {
    scenario::given(history)
}

fn noon(day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, day, 12, 0, 0).unwrap()
}

fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

fn client(number: u32) -> ClientId {
    ClientId::parse(&format!("client-{number}")).unwrap()
}

fn scope(text: &str) -> Option<Scope> {
    Scope::parse(text).unwrap()
}

fn issue(expires_at: Option<DateTime<Utc>>, max_uses: Option<u32>) -> Command {
    let (label, token) = ("ci".to_owned(), TokenHash([7; 32]));
    Command::Issue { tenant: acme(), label, token, expires_at, max_uses, clamps: Clamps::default(), at: noon(1) }
}

fn issued(expires_at: Option<DateTime<Utc>>, max_uses: Option<u32>) -> Event {
    let (label, token) = ("ci".to_owned(), TokenHash([7; 32]));
    Event::Issued(Issued { tenant: acme(), label, token, expires_at, max_uses, clamps: Clamps::default() })
}

fn used(number: u32) -> Event {
    Event::Used(Used { client_id: client(number), count: number })
}

fn use_for(number: u32, day: u32) -> Command {
    Command::Use { client_id: client(number), at: noon(day) }
}

fn revoke() -> Command {
    Command::Revoke { reason: Some("it leaked".to_owned()) }
}

fn revoked() -> Event {
    Event::Revoked(Revoked { reason: Some("it leaked".to_owned()) })
}

#[test]
fn a_token_is_issued_once_and_its_id_is_never_used_for_another() {
    given([]).when(&issue(None, Some(2))).then([issued(None, Some(2))]).when(&issue(None, Some(2))).then_nothing();
    given([issued(None, Some(2))]).when(&issue(None, Some(3))).then_refused(Rejection::AlreadyExists);
    given([issued(None, None), revoked()]).when(&issue(None, None)).then_refused(Rejection::AlreadyExists);
}

#[test]
fn a_token_that_nobody_could_ever_use_is_not_issued() {
    given([]).when(&issue(Some(noon(1)), None)).then_refused(Rejection::NeverUsable);
    given([]).when(&issue(None, Some(0))).then_refused(Rejection::NeverUsable);
}

#[test]
fn every_use_names_its_client_and_the_last_one_is_the_last() {
    given([issued(None, Some(2))])
        .when(&use_for(1, 1))
        .then([used(1)])
        .when(&use_for(2, 2))
        .then([used(2)])
        .when(&use_for(3, 2))
        .then_refused(Rejection::InitialAccessTokenOver(Usability::UsedUp));
    given([issued(None, None), used(1), used(2)]).when(&use_for(3, 9)).then([used(3)]);
}

#[test]
fn a_token_ends_at_its_time_and_at_once_when_it_is_revoked() {
    let ends = || issued(Some(noon(5)), Some(9));
    given([ends()]).when(&Command::Use { client_id: client(1), at: noon(5) - chrono::TimeDelta::microseconds(1) }).then([used(1)]);
    given([ends()]).when(&use_for(1, 5)).then_refused(Rejection::InitialAccessTokenOver(Usability::Expired));
    given([ends()]).when(&revoke()).then([revoked()]).when(&revoke()).then_nothing();
    given([ends(), revoked()]).when(&use_for(1, 2)).then_refused(Rejection::InitialAccessTokenOver(Usability::Revoked));
}

#[test]
fn nothing_can_be_done_with_a_token_that_nobody_issued() {
    given([]).when(&use_for(1, 1)).then_refused(Rejection::NoSuchInitialAccessToken);
    given([]).when(&revoke()).then_refused(Rejection::NoSuchInitialAccessToken);
    assert_eq!(given([used(1), revoked()]).state(), InitialAccessToken::default());
}

// ---------------------------------------------------------------- clamps

fn says(members: Value) -> ClientMetadata {
    let Value::Object(members) = members else { unreachable!() };
    metadata::parse(members).unwrap().metadata
}

fn asks(scope: &str) -> ClientMetadata {
    let grants = ["authorization_code", "refresh_token"];
    says(json!({ "redirect_uris": ["https://a.example/cb"], "scope": scope, "grant_types": grants }))
}

fn narrowed(policy: &Policy, clamps: &Clamps, metadata: ClientMetadata) -> Result<ClientMetadata, Rejection> {
    let metadata = policy.clamped(clamps)?.constrain(RegistrationType::Dcr, metadata)?;
    clamps.permit(&metadata).map(|()| metadata)
}

#[test]
fn scope_and_grants_are_narrowed_to_what_both_the_rules_and_the_token_allow() {
    let clamps = Clamps { scope: scope("b c"), grant_types: vec![GrantType::AuthorizationCode], ..Clamps::default() };
    let policy = Policy { scope_ceiling: scope("a b"), ..Policy::default() };
    for asked in ["", "a", "b", "a b c d"] {
        let metadata = narrowed(&policy, &clamps, asks(asked)).unwrap();
        assert_eq!((metadata.scope, metadata.grant_types), (scope("b"), vec![GrantType::AuthorizationCode]), "{asked}");
    }
    assert_eq!(narrowed(&Policy::default(), &clamps, asks("c d")).unwrap().scope, scope("c"));
}

#[test]
fn where_the_rules_and_the_token_have_nothing_in_common_nobody_is_registered() {
    let policy = Policy { scope_ceiling: scope("a"), ..Policy::default() };
    let clamps = Clamps { scope: scope("b"), ..Clamps::default() };
    assert_eq!(narrowed(&policy, &clamps, asks("")), Err(Rejection::OutsideClamps("scope")));
    let clamps = Clamps { grant_types: vec![GrantType::DeviceCode], ..Clamps::default() };
    assert_eq!(narrowed(&Policy::default(), &clamps, asks("")), Err(Rejection::GrantsNotAdmitted));
}

#[test]
fn a_token_never_gives_a_grant_that_the_rules_do_not() {
    let clamps = Clamps { grant_types: vec![GrantType::ClientCredentials], ..Clamps::default() };
    let job = says(json!({ "grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_basic" }));
    assert_eq!(narrowed(&Policy::default(), &clamps, job), Err(Rejection::GrantsNotAdmitted));
}

#[test]
fn redirect_uris_are_refused_and_not_narrowed() {
    let host = RedirectRule::Host { host: "a.example".to_owned(), path_prefix: "/".to_owned() };
    let clamps = Clamps { redirect_rules: vec![host, RedirectRule::Loopback], ..Clamps::default() };
    clamps.permit(&says(json!({ "redirect_uris": ["https://a.example/cb", "http://127.0.0.1:9/cb"] }))).unwrap();
    let outside = "https://b.example/cb".to_owned();
    let mixed = says(json!({ "redirect_uris": ["https://a.example/cb", outside] }));
    assert_eq!(clamps.permit(&mixed), Err(Rejection::RedirectOutsideClamps(outside)));
}

#[test]
fn what_was_not_narrowed_is_refused() {
    let clamps = Clamps { scope: scope("a b"), grant_types: vec![GrantType::AuthorizationCode], ..Clamps::default() };
    let code = |scope: &str| says(json!({ "redirect_uris": ["https://a.example/cb"], "scope": scope }));
    clamps.permit(&code("b")).unwrap();
    for wider in ["", "a b c"] {
        assert_eq!(clamps.permit(&code(wider)), Err(Rejection::OutsideClamps("scope")), "{wider}");
    }
    assert_eq!(clamps.permit(&asks("a")), Err(Rejection::OutsideClamps("list of grant types")));
}

#[test]
fn clamps_that_make_no_sense_are_told() {
    let bad = |rule| Clamps { redirect_rules: vec![rule], ..Clamps::default() }.check().unwrap_err();
    assert!(bad(RedirectRule::Exact { uri: "http://evil.example/".to_owned() }).contains("exact"));
    assert!(bad(RedirectRule::Host { host: "A.example".to_owned(), path_prefix: "/".to_owned() }).contains("host"));
    assert!(bad(RedirectRule::Scheme { scheme: "Com".to_owned() }).contains("scheme"));
    assert!(bad(RedirectRule::Preset { preset: "nobody".to_owned(), version: 1 }).contains("preset"));
    let twisted: Clamps = serde_json::from_value(json!({ "scope": "a  b" })).unwrap();
    assert!(twisted.check().is_err());
    assert_eq!(Clamps::default().check(), Ok(()));
}
