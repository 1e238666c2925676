//! What the doors answer: may this client do this at this resource server, and why. One function, asked by every door.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::identity::InvalidName;
use crate::look_alike::{Likeness, leaves_the_machine};
use crate::metadata::{ClientMetadata, GrantType};
use crate::redirect::{RedirectUri, RedirectUris};
use crate::registration::Registration;
use crate::scope::Scope;
use crate::standing::{self, Decision};

/// What a client wants to do. What is not said is not asked about.
#[derive(Debug, Clone, Default)]
pub struct Question<'a> {
    /// Where the answer is to be sent.
    pub redirect_uri: Option<&'a str>,
    /// With which grant.
    pub grant_type: Option<&'a str>,
    /// For which scope.
    pub scope: Option<&'a Scope>,
}

/// Why. A closed list; the names are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// How the client stands there.
    Standing(standing::Reason),
    /// The resource server does not admit clients that come this way, and this one has not come yet.
    ModeNotAdmitted,
    /// The resource server or its tenant has as many clients as it may have.
    RegisterFull,
    /// The document at `client_id` cannot be used, or the resource server's rules do not welcome what it says.
    DocumentUnusable,
    /// Several redirect URIs are registered, and none was named (RFC 6749 §3.1.2.3).
    RedirectUriRequired,
    /// The redirect URI is not one that serves.
    RedirectUriNotRegistered,
    /// The grant is not one that the client is registered with.
    GrantTypeNotRegistered,
    /// More scope than the client is registered with.
    ScopeNotRegistered,
    /// What is asked for was not so when the answer was given that the caller refers to.
    RegistrationChanged,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 19] = [
        Self::Standing(standing::Reason::Approved),
        Self::Standing(standing::Reason::ApprovalPending),
        Self::Standing(standing::Reason::Dormant),
        Self::Standing(standing::Reason::Denied),
        Self::Standing(standing::Reason::Suspended),
        Self::Standing(standing::Reason::Revoked),
        Self::Standing(standing::Reason::ModeSuspended),
        Self::Standing(standing::Reason::ManifestWithdrawn),
        Self::Standing(standing::Reason::ClientDeleted),
        Self::Standing(standing::Reason::ResourceServerRetired),
        Self::Standing(standing::Reason::NotRegistered),
        Self::ModeNotAdmitted,
        Self::RegisterFull,
        Self::DocumentUnusable,
        Self::RedirectUriRequired,
        Self::RedirectUriNotRegistered,
        Self::GrantTypeNotRegistered,
        Self::ScopeNotRegistered,
        Self::RegistrationChanged,
    ];

    /// What to do about it.
    pub const fn decision(self) -> Decision {
        match self {
            Self::Standing(reason) => reason.decision(),
            Self::ModeNotAdmitted
            | Self::RegisterFull
            | Self::DocumentUnusable
            | Self::RedirectUriRequired
            | Self::RedirectUriNotRegistered
            | Self::GrantTypeNotRegistered
            | Self::ScopeNotRegistered
            | Self::RegistrationChanged => Decision::Deny,
        }
    }

    /// What would help, for whoever operates the client to read.
    pub const fn cure(self) -> Option<&'static str> {
        match self {
            Self::Standing(reason) => reason.cure(),
            Self::ModeNotAdmitted
            | Self::RegisterFull
            | Self::DocumentUnusable
            | Self::RedirectUriRequired
            | Self::RedirectUriNotRegistered
            | Self::GrantTypeNotRegistered
            | Self::ScopeNotRegistered
            | Self::RegistrationChanged => None,
        }
    }

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standing(reason) => reason.as_str(),
            Self::ModeNotAdmitted => "mode_not_admitted",
            Self::RegisterFull => "register_full",
            Self::DocumentUnusable => "document_unusable",
            Self::RedirectUriRequired => "redirect_uri_required",
            Self::RedirectUriNotRegistered => "redirect_uri_not_registered",
            Self::GrantTypeNotRegistered => "grant_type_not_registered",
            Self::ScopeNotRegistered => "scope_not_registered",
            Self::RegistrationChanged => "registration_changed",
        }
    }
}

/// What whoever shows the user a consent page should know. A closed list; the names are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// Every redirect URI stays on the user's own machine, where any program could claim to be this client (RFC 8252 §8.6).
    LoopbackOnly,
    /// The answer goes to another host than the one that the client's document is on.
    HostDiffers,
    /// Its name looks like that of an approved client from elsewhere.
    LookAlike,
    /// The answer goes to a host that the client did not have when it came.
    NewHost,
    /// A change of its redirect URIs waits for an administrator; what is answered here is what serves.
    StagedChangeWaiting,
    /// Its document cannot be reached now; the last good one serves.
    DocumentUnreachable,
    /// What serves is not what served when the answer was given that the caller refers to.
    RegistrationChanged,
}

impl Warning {
    /// Every warning.
    pub const ALL: [Self; 7] = [
        Self::LoopbackOnly,
        Self::HostDiffers,
        Self::LookAlike,
        Self::NewHost,
        Self::StagedChangeWaiting,
        Self::DocumentUnreachable,
        Self::RegistrationChanged,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoopbackOnly => "loopback_only",
            Self::HostDiffers => "host_differs",
            Self::LookAlike => "look_alike",
            Self::NewHost => "new_host",
            Self::StagedChangeWaiting => "staged_change_waiting",
            Self::DocumentUnreachable => "document_unreachable",
            Self::RegistrationChanged => "registration_changed",
        }
    }
}

/// Which state of a client an answer was given from: how many events the client and its registration had, and which version of
/// its document served. Every node counts the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerVersion {
    /// Events of the client.
    pub client: u32,
    /// Events of the registration.
    pub registration: u32,
    /// The number of the document's version; 0 for a client that hosts none.
    pub document: u32,
}

impl fmt::Display for AnswerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.client, self.registration, self.document)
    }
}

impl FromStr for AnswerVersion {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        const UNKNOWN: InvalidName = InvalidName("registration_version is none that was given in an answer");
        let number = |text: &str| text.parse().ok().filter(|number: &u32| number.to_string() == text).ok_or(UNKNOWN);
        let mut parts = text.split('.').map(number);
        let mut part = || parts.next().ok_or(UNKNOWN)?;
        let version = Self { client: part()?, registration: part()?, document: part()? };
        if parts.next().is_some() { Err(UNKNOWN) } else { Ok(version) }
    }
}

/// A client at one resource server, as it stood at some moment.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// How it was registered.
    pub registration: &'a Registration,
    /// What the resource server's rules leave of what it said.
    pub metadata: &'a ClientMetadata,
}

impl Side<'_> {
    /// Whether a client that somebody consented to is still described alike.
    pub fn same(&self, other: Side<'_>) -> bool {
        self.registration.redirect_uris == other.registration.redirect_uris && {
            let without = |metadata: &ClientMetadata| ClientMetadata { redirect_uris: RedirectUris::default(), ..metadata.clone() };
            without(self.metadata) == without(other.metadata)
        }
    }

    fn proves_itself_like(&self, other: Side<'_>) -> bool {
        let proof = |side: Side<'_>| (side.metadata.token_endpoint_auth_method, side.metadata.jwks.clone(), side.metadata.jwks_uri.clone());
        proof(*self) == proof(other)
    }
}

/// Answers a question that goes on from an earlier answer, as a token request goes on from a consent. It is held against what
/// serves now and against what served then: what came in between was not consented to.
pub fn answer_since(standing: standing::Reason, now: Side<'_>, then: Option<Side<'_>>, question: &Question<'_>) -> Verdict {
    let verdict = answer(standing, now.registration, now.metadata, question);
    if verdict.reason.decision() != Decision::Allow {
        return verdict;
    }
    let was_so = then.is_some_and(|then| {
        then.proves_itself_like(now) && answer(standing::Reason::Approved, then.registration, then.metadata, question) == verdict
    });
    if was_so { verdict } else { Verdict { reason: Reason::RegistrationChanged, redirect_uri: None } }
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Why.
    pub reason: Reason,
    /// Where the answer is to be sent: as it was asked for, not as it was registered (RFC 8252 §7.3).
    pub redirect_uri: Option<String>,
}

/// Answers a question about a client that stands so. `metadata` is what the resource server's rules leave of what it says.
pub fn answer(standing: standing::Reason, registration: &Registration, metadata: &ClientMetadata, question: &Question<'_>) -> Verdict {
    let no = |reason| Verdict { reason, redirect_uri: None };
    let stands = Reason::Standing(standing);
    if stands.decision() != Decision::Allow {
        return no(stands);
    }
    if question.grant_type.is_some_and(|asked| !GrantType::known(asked).is_some_and(|grant| metadata.grant_types.contains(&grant))) {
        return no(Reason::GrantTypeNotRegistered);
    }
    if let (Some(asked), Some(most)) = (question.scope, &metadata.scope)
        && !asked.tokens().all(|token| most.tokens().any(|known| known == token))
    {
        return no(Reason::ScopeNotRegistered);
    }
    let redirects = question.grant_type == Some(GrantType::AuthorizationCode.as_str());
    let serving = &registration.redirect_uris;
    match question.redirect_uri {
        Some(asked) if serving.matching(asked).is_none() => no(Reason::RedirectUriNotRegistered),
        Some(asked) => Verdict { reason: stands, redirect_uri: Some(asked.to_owned()) },
        None if redirects && serving.len() != 1 => no(Reason::RedirectUriRequired),
        None if redirects => Verdict { reason: stands, redirect_uri: serving.iter().next().map(ToString::to_string) },
        None => no(stands),
    }
}

/// For which scope a client is given a token for itself (RFC 6749 §3.3, §4.4.2): what it asks for, else all that it has. One that
/// nobody bounded has none, for there is nothing to hold its wish against.
pub fn granted<'a>(metadata: &'a ClientMetadata, asked: Option<&'a Scope>) -> Result<Option<&'a Scope>, Reason> {
    match (asked, &metadata.scope) {
        (None, most) => Ok(most.as_ref()),
        (Some(asked), Some(most)) if asked.tokens().all(|token| most.tokens().any(|known| known == token)) => Ok(Some(asked)),
        (Some(_), _) => Err(Reason::ScopeNotRegistered),
    }
}

/// What is known of a client beside its registration.
#[derive(Debug, Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// The host that its document is on, if it has one.
    pub document_host: Option<&'a str>,
    /// Since when nobody could read that document.
    pub unreachable_since: Option<DateTime<Utc>>,
    /// How much it looks like an approved client from elsewhere.
    pub likeness: Option<Likeness>,
    /// The redirect URIs that it came with.
    pub came_with: Option<&'a RedirectUris>,
}

/// The warnings that follow from what serves, from where the document is, and from what else is known.
pub fn warnings(registration: &Registration, redirect_uri: Option<&str>, known: Surroundings<'_>) -> Vec<Warning> {
    let serving = &registration.redirect_uris;
    let asked = redirect_uri.and_then(|asked| serving.matching(asked));
    let mut warnings = warnings_of_appearance(serving, asked, known);
    let is_new = |uri: &RedirectUri| {
        let knew = |came: &RedirectUris| came.iter().any(|old| old.host().eq_ignore_ascii_case(uri.host()));
        leaves_the_machine(uri) && known.came_with.is_some_and(|came| !knew(came))
    };
    let others = [
        (Warning::NewHost, asked.map_or_else(|| serving.iter().any(is_new), is_new)),
        (Warning::StagedChangeWaiting, registration.staged.is_some()),
        (Warning::DocumentUnreachable, known.unreachable_since.is_some()),
    ];
    warnings.extend(others.into_iter().filter_map(|(warning, holds)| holds.then_some(warning)));
    warnings
}

/// Those of them that a client with these redirect URIs gives wherever it is shown, registered or not.
pub fn warnings_of_appearance(uris: &RedirectUris, asked: Option<&RedirectUri>, known: Surroundings<'_>) -> Vec<Warning> {
    let elsewhere =
        |uri: &RedirectUri| leaves_the_machine(uri) && known.document_host.is_some_and(|host| !uri.host().eq_ignore_ascii_case(host));
    let table = [
        (Warning::LoopbackOnly, !uris.is_empty() && uris.iter().all(RedirectUri::is_loopback)),
        (Warning::HostDiffers, asked.map_or_else(|| uris.iter().any(elsewhere), elsewhere)),
        (Warning::LookAlike, known.likeness.is_some()),
    ];
    table.into_iter().filter_map(|(warning, holds)| holds.then_some(warning)).collect()
}

/// Why a client is not authenticated. A closed list; the names are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It has no credentials of its own.
    PublicClient,
    /// It showed nothing.
    CredentialsMissing,
    /// It is registered to prove itself in another way.
    MethodNotRegistered,
    /// The secret is not, or no longer, one of its own.
    WrongSecret,
    /// The assertion is not one that it signed for this purpose.
    AssertionInvalid,
    /// The assertion is over, begins later, or lives for too long.
    AssertionExpired,
    /// The assertion was used before.
    AssertionReplayed,
    /// Its keys cannot be had.
    KeysUnavailable,
}

impl Refusal {
    /// Every refusal.
    pub const ALL: [Self; 8] = [
        Self::PublicClient,
        Self::CredentialsMissing,
        Self::MethodNotRegistered,
        Self::WrongSecret,
        Self::AssertionInvalid,
        Self::AssertionExpired,
        Self::AssertionReplayed,
        Self::KeysUnavailable,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PublicClient => "public_client",
            Self::CredentialsMissing => "credentials_missing",
            Self::MethodNotRegistered => "method_not_registered",
            Self::WrongSecret => "wrong_secret",
            Self::AssertionInvalid => "assertion_invalid",
            Self::AssertionExpired => "assertion_expired",
            Self::AssertionReplayed => "assertion_replayed",
            Self::KeysUnavailable => "keys_unavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
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
}
