//! What the doors answer: may this client do this at this resource server, and why. One function, asked by every door.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

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
    /// It comes without an initial access token, and the resource server wants one of those that come this way.
    TokenRequired,
    /// It has not come yet, and as many came in the last minute as the resource server takes.
    TooManyRegistrations,
    /// It registered itself before, and the resource server's rules do not welcome what it says.
    RulesNotMet,
    /// The document at `client_id` cannot be used, or the resource server's rules do not welcome what it says.
    DocumentUnusable,
    /// The host of the document at `client_id` could not be reached, now or a short while ago; that says nothing about the document.
    DocumentNotReached,
    /// The host of the document at `client_id` was not asked now, because as much was asked for lately as may be.
    DocumentNotTried,
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
    pub const ALL: [Self; 24] = [
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
        Self::TokenRequired,
        Self::TooManyRegistrations,
        Self::RulesNotMet,
        Self::DocumentUnusable,
        Self::DocumentNotReached,
        Self::DocumentNotTried,
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
            // Nothing was decided about it.
            Self::DocumentNotReached | Self::DocumentNotTried | Self::TooManyRegistrations => Decision::Pending,
            Self::ModeNotAdmitted
            | Self::RegisterFull
            | Self::TokenRequired
            | Self::RulesNotMet
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
            Self::DocumentNotReached => Some(
                "the host of the client's document cannot be reached from here; ask again later, or have an administrator of the resource \
                 server enter the document's text",
            ),
            Self::DocumentNotTried => Some(
                "the host of the client's document was not asked, because too much is being fetched at the moment; nothing is wrong with \
                 the client: ask again after the seconds in retry_after",
            ),
            Self::TokenRequired => {
                Some("it has to register with an initial access token of the resource server, or be entered by an administrator")
            }
            Self::TooManyRegistrations => Some("ask again in a minute"),
            Self::RulesNotMet => Some("it has to register with the resource server named, and is told there what is not welcome"),
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
            Self::TokenRequired => "initial_access_token_required",
            Self::TooManyRegistrations => "too_many_registrations",
            Self::RulesNotMet => "rules_not_met",
            Self::DocumentUnusable => "document_unusable",
            Self::DocumentNotReached => "document_not_reached",
            Self::DocumentNotTried => "document_not_tried",
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
    /// A change of its redirect URIs or other metadata waits for an administrator; what is answered here is what serves.
    StagedChangeWaiting,
    /// Its document cannot be reached now; the last good one serves, or the one that an administrator entered.
    DocumentUnreachable,
    /// What serves is not what served when the answer was given that the caller refers to.
    RegistrationChanged,
    /// What it says about itself, or what serves of that, is not what it was approved with.
    MetadataChanged,
}

impl Warning {
    /// Every warning.
    pub const ALL: [Self; 8] = [
        Self::LoopbackOnly,
        Self::HostDiffers,
        Self::LookAlike,
        Self::NewHost,
        Self::StagedChangeWaiting,
        Self::DocumentUnreachable,
        Self::RegistrationChanged,
        Self::MetadataChanged,
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
            Self::MetadataChanged => "metadata_changed",
        }
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
    /// Whether an administrator entered its text, and nobody ever read it at its host.
    pub document_entered: bool,
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
        (Warning::DocumentUnreachable, known.unreachable_since.is_some() || known.document_entered),
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
mod tests;
