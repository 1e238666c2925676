//! What is answered about a client that stands one way or another.

use serde_json::json;

use super::*;
use crate::answer_version::AnswerVersion;
use crate::metadata;

const APPROVED: standing::Reason = standing::Reason::Approved;

fn serving(uris: &[&str]) -> Registration {
    Registration { redirect_uris: RedirectUris::parse(uris.iter().copied()).unwrap(), ..Registration::default() }
}

fn said() -> ClientMetadata {
    let said = json!({ "redirect_uris": ["https://a.example/cb"], "scope": "read write", "token_endpoint_auth_method": "none" });
    metadata::parse(said.as_object().unwrap().clone()).unwrap().metadata
}

fn ask(registration: &Registration, question: &Question<'_>) -> (Reason, Option<String>) {
    let Verdict { reason, redirect_uri } = answer(APPROVED, registration, &said(), question);
    (reason, redirect_uri)
}

#[test]
fn the_uri_that_was_asked_for_is_the_one_that_is_answered() {
    let client = serving(&["http://localhost/cb", "https://a.example/cb"]);
    let question = |uri| Question { redirect_uri: Some(uri), ..Question::default() };
    let yes = Reason::Standing(APPROVED);
    let asked = "http://localhost:4711/cb";
    assert_eq!(ask(&client, &question(asked)), (yes, Some(asked.to_owned())));
    for no in ["http://127.0.0.1:4711/cb", "https://a.example/cb/", "https://A.example/cb", "https://evil.example/cb"] {
        assert_eq!(ask(&client, &question(no)), (Reason::RedirectUriNotRegistered, None), "{no}");
    }
}

#[test]
fn one_uri_need_not_be_named_and_of_several_one_must_be() {
    let code = Question { grant_type: Some("authorization_code"), ..Question::default() };
    let one = serving(&["https://a.example/cb"]);
    assert_eq!(ask(&one, &code), (Reason::Standing(APPROVED), Some("https://a.example/cb".to_owned())));
    let two = serving(&["https://a.example/cb", "https://b.example/cb"]);
    assert_eq!(ask(&two, &code), (Reason::RedirectUriRequired, None));
    assert_eq!(ask(&serving(&[]), &code), (Reason::RedirectUriRequired, None));
    assert_eq!(ask(&two, &Question::default()), (Reason::Standing(APPROVED), None));
}

#[test]
fn grants_and_scope_are_bounded_by_what_was_registered() {
    let client = serving(&["https://a.example/cb"]);
    let grant = |grant| Question { grant_type: Some(grant), ..Question::default() };
    for no in ["client_credentials", "password", "implicit", ""] {
        assert_eq!(ask(&client, &grant(no)).0, Reason::GrantTypeNotRegistered, "{no}");
    }
    let scope = |text| Scope::parse(text).unwrap();
    for (asked, reason) in [("read", Reason::Standing(APPROVED)), ("read admin", Reason::ScopeNotRegistered)] {
        assert_eq!(ask(&client, &Question { scope: scope(asked).as_ref(), ..Question::default() }).0, reason, "{asked}");
    }
}

#[test]
fn who_may_not_act_is_told_so_whatever_was_asked() {
    let question = Question { redirect_uri: Some("https://evil.example/"), ..Question::default() };
    let verdict = answer(standing::Reason::Revoked, &serving(&["https://a.example/cb"]), &said(), &question);
    assert_eq!(verdict, Verdict { reason: Reason::Standing(standing::Reason::Revoked), redirect_uri: None });
}

#[test]
fn what_came_after_the_consent_is_not_let_in_under_it() {
    let (one, other) = (serving(&["https://a.example/cb"]), serving(&["https://a.example/cb", "https://b.example/cb"]));
    let said = said();
    let side = |registration| Side { registration, metadata: &said };
    let question = |uri| Question { redirect_uri: Some(uri), ..Question::default() };
    let asked = |now, then, question: &Question<'_>| answer_since(APPROVED, now, then, question).reason;
    let (a, b) = (question("https://a.example/cb"), question("https://b.example/cb"));
    let yes = Reason::Standing(APPROVED);
    assert_eq!(asked(side(&other), Some(side(&one)), &a), yes);
    assert_eq!(asked(side(&other), Some(side(&one)), &b), Reason::RegistrationChanged, "it came later");
    assert_eq!(asked(side(&one), Some(side(&other)), &b), Reason::RedirectUriNotRegistered, "what was withdrawn stays withdrawn");
    assert_eq!(asked(side(&one), None, &a), Reason::RegistrationChanged, "no such answer was given");
    let unnamed = Question { grant_type: Some("authorization_code"), ..Question::default() };
    let moved = serving(&["https://c.example/cb"]);
    assert_eq!(asked(side(&moved), Some(side(&one)), &unnamed), Reason::RegistrationChanged, "the answer would go elsewhere");
    let keyed = ClientMetadata { token_endpoint_auth_method: metadata::AuthMethod::PrivateKeyJwt, ..said.clone() };
    let swapped = Side { registration: &one, metadata: &keyed };
    assert_eq!(asked(swapped, Some(side(&one)), &a), Reason::RegistrationChanged, "somebody else would prove to be it");
    assert!(side(&one).same(side(&one)) && !side(&one).same(side(&other)) && !side(&one).same(swapped));
}

#[test]
fn a_version_reads_back_as_itself_and_nothing_else_is_one() {
    let version = AnswerVersion { client: 4, registration: 2, document: 0 };
    assert_eq!(version.to_string().parse(), Ok(version));
    for other in ["", "4.2", "4.2.0.1", "04.2.0", "+4.2.0", "4.2.x", "4.2.99999999999"] {
        assert!(other.parse::<AnswerVersion>().is_err(), "{other}");
    }
}

#[test]
fn every_reason_and_warning_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    for warning in Warning::ALL {
        assert_eq!(json!(warning), warning.as_str());
    }
    let names: std::collections::BTreeSet<_> = Refusal::ALL.iter().map(|refusal| refusal.as_str()).collect();
    assert_eq!(names.len(), Refusal::ALL.len());
}

#[test]
fn warnings_say_what_a_consent_page_should_show() {
    let here = Surroundings { document_host: Some("app.example"), ..Surroundings::default() };
    let loopback = serving(&["http://localhost/cb", "http://127.0.0.1/cb"]);
    assert_eq!(warnings(&loopback, None, here), [Warning::LoopbackOnly]);
    let elsewhere = serving(&["https://app.example/cb", "https://relay.example/cb"]);
    assert_eq!(warnings(&elsewhere, Some("https://app.example/cb"), here), []);
    let troubled = Surroundings { unreachable_since: DateTime::from_timestamp(0, 0), likeness: Some(Likeness::Near), ..here };
    assert_eq!(
        warnings(&elsewhere, Some("https://relay.example/cb"), troubled),
        [Warning::HostDiffers, Warning::LookAlike, Warning::DocumentUnreachable]
    );
    assert_eq!(warnings(&elsewhere, None, Surroundings::default()), []);
}

#[test]
fn a_host_that_came_later_is_new_and_those_that_it_came_with_are_not() {
    let came = serving(&["https://app.example/cb"]).redirect_uris;
    let now = serving(&["https://app.example/cb", "https://relay.example/cb", "http://localhost/cb"]);
    let known = Surroundings { came_with: Some(&came), ..Surroundings::default() };
    let warned = |asked| warnings(&now, asked, known).contains(&Warning::NewHost);
    assert!(warned(None) && warned(Some("https://relay.example/cb")));
    assert!(!warned(Some("https://app.example/cb")) && !warned(Some("http://localhost:4711/cb")));
    assert!(!warnings(&now, None, Surroundings::default()).contains(&Warning::NewHost), "nobody said what it came with");
}

#[test]
fn a_token_has_the_scope_that_was_asked_for_within_what_is_registered() {
    let scope = |text: &str| Scope::parse(text).unwrap().unwrap();
    let (all, one, more) = (scope("a b"), scope("b"), scope("b c"));
    let bounded = ClientMetadata { scope: Some(all.clone()), ..said() };
    assert_eq!(granted(&bounded, None), Ok(Some(&all)));
    assert_eq!(granted(&bounded, Some(&one)), Ok(Some(&one)));
    assert_eq!(granted(&bounded, Some(&more)), Err(Reason::ScopeNotRegistered));
    let unbounded = ClientMetadata { scope: None, ..said() };
    assert_eq!(granted(&unbounded, None), Ok(None));
    assert_eq!(granted(&unbounded, Some(&one)), Err(Reason::ScopeNotRegistered));
}
