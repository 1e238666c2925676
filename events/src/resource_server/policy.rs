//! The rules by which a resource server admits clients.
//! Why this file is long: every rule stands here with its default and what it means.

use std::num::{NonZeroU16, NonZeroU32};

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use super::StatementIssuer;
use crate::Rejection;
use crate::admission::{Admission, Heard, Lane, Modes, RegistrationType, Revival};
use crate::clamps::Clamps;
use crate::metadata::{ClientMetadata, GrantType, ResponseType};
use crate::redirect::{RedirectUri, RedirectUris};
use crate::redirect_rule::RedirectRule;
use crate::scope::Scope;

/// The longest metadata of a client that an administrator did not enter, in bytes as stored, where the rules say nothing.
pub const USUAL_METADATA_BYTES: u32 = 16 * 1024;
/// The cap of a new resource server whose creator names none: with usual metadata about 400 MB on disk, and from one source at
/// the usual ceiling more than a day's registrations.
const FIRST_MAX_CLIENTS: u32 = 100_000;

/// The rules by which a resource server admits clients. A change applies to what comes, never to what is there.
///
/// Every rule is stored, the defaults too: what was decided once does not change with the defaults of a later build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Policy {
    /// Per type: approved at once, or after an administrator looked.
    pub admission: Admissions,
    /// Whether redirect URIs that a client adds later serve at once or wait. `review` by default.
    pub redirect_changes: Admission,
    /// Which redirect URIs are expected; empty means any that is acceptable at all.
    pub redirect_rules: Vec<RedirectRule>,
    /// What becomes of a registration with a redirect URI that no rule expects.
    pub outside_rules: OutsideRules,
    /// Private-use schemes without a period that are welcome nevertheless (RFC 8252 §7.1 asks for one).
    pub private_use_schemes: Vec<String>,
    /// The most scope that a client is registered with; a client that asks for none gets all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_ceiling: Option<Scope>,
    /// Scopes that belong to the authorization server and not to a resource server, so that the ceiling says nothing about them.
    /// Absent means those of OpenID Connect, in every build.
    #[serde(default = "usual_scopes", skip_serializing_if = "are_usual")]
    pub authorization_server_scopes: Vec<String>,
    /// The rules for clients that host their own document.
    pub manifests: ManifestRules,
    /// The grants that a client which nobody vouches for may have. Without `client_credentials` by default: a client that
    /// registers itself would otherwise be let in without any user having agreed.
    pub self_registered_grants: Vec<GrantType>,
    /// Whether some clients come with an initial access token only (RFC 7591 §3).
    pub require_initial_access_token: bool,
    /// Which clients that is: by default those that register themselves. Absent means those, in every build.
    #[serde(default = "those_that_register_themselves", skip_serializing_if = "is_those_that_register_themselves")]
    pub initial_access_token_for: Modes,
    /// Whose software statements are believed (RFC 7591 §2.3). While there is none, statements are ignored.
    pub software_statement_issuers: Vec<StatementIssuer>,
    /// Whether a client registers itself with a software statement only.
    pub require_software_statement: bool,
    /// How many self-registrations there may be in a minute, from all sources together; no ceiling, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registrations_per_minute: Option<NonZeroU32>,
    /// How many registrations that are not revoked, denied or deleted there may be; no cap, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_clients: Option<NonZeroU32>,
    /// The longest metadata of a client that an administrator did not enter, in bytes; [`USUAL_METADATA_BYTES`], if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_metadata_bytes: Option<NonZeroU32>,
    /// Whether identical public clients that register themselves are one client.
    pub instances: Instances,
    /// The same for those whose registration waits for an administrator: what is approved is then the program, and not one
    /// registration of it that perhaps never comes back. Absent means `separate`, as it was before there was this rule.
    #[serde(default, skip_serializing_if = "Instances::is_separate")]
    pub instances_under_review: Instances,
    /// After how many days without a use an approved registration becomes dormant; never, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dormant_after_days: Option<NonZeroU16>,
    /// How a dormant registration comes back. Absent means at its next use, in every build.
    #[serde(default, skip_serializing_if = "Revival::is_default")]
    pub revive: Revival,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            admission: Admissions::default(),
            redirect_changes: Admission::Review,
            redirect_rules: Vec::new(),
            outside_rules: OutsideRules::default(),
            private_use_schemes: vec!["cursor".to_owned()],
            scope_ceiling: None,
            authorization_server_scopes: usual_scopes(),
            manifests: ManifestRules::default(),
            self_registered_grants: vec![GrantType::AuthorizationCode, GrantType::RefreshToken, GrantType::DeviceCode],
            require_initial_access_token: false,
            initial_access_token_for: those_that_register_themselves(),
            software_statement_issuers: Vec::new(),
            require_software_statement: false,
            registrations_per_minute: None,
            max_clients: None,
            max_metadata_bytes: None,
            instances: Instances::default(),
            instances_under_review: Instances::Share,
            dormant_after_days: None,
            revive: Revival::default(),
        }
    }
}

impl Policy {
    /// The rules of a new resource server where its creator says nothing. Those that were stored without a cap have none.
    pub fn of_new_server() -> Self {
        Self { max_clients: NonZeroU32::new(FIRST_MAX_CLIENTS), ..Self::default() }
    }

    /// Whether the metadata of a client of this type is no longer than it may be.
    pub fn fits(&self, kind: RegistrationType, metadata: &ClientMetadata) -> Result<(), Rejection> {
        let most = self.max_metadata_bytes.map_or(USUAL_METADATA_BYTES, NonZeroU32::get);
        let bytes = if kind == RegistrationType::Prereg { 0 } else { metadata.bytes() };
        if bytes <= u64::from(most) { Ok(()) } else { Err(Rejection::MetadataTooLong { bytes, most }) }
    }

    /// The issuer of that very name, if its statements are believed (RFC 7591 §2.3).
    pub fn statement_issuer(&self, name: &str) -> Option<&StatementIssuer> {
        self.software_statement_issuers.iter().find(|issuer| issuer.issuer == name)
    }

    /// These rules for a client whose initial access token allows less. Its redirect URIs are for [`Clamps::permit`].
    pub fn clamped(&self, clamps: &Clamps) -> Result<Self, Rejection> {
        let mut rules = self.clone();
        if let Some(clamp) = &clamps.scope {
            let most = self.scope_ceiling.as_ref().map_or_else(|| Some(clamp.clone()), |ceiling| ceiling.common(clamp));
            // A scope that both grant does not exist, and a client registered without one would be bounded by nothing.
            rules.scope_ceiling = Some(most.ok_or(Rejection::OutsideClamps("scope"))?);
            // The token names all that it allows.
            rules.authorization_server_scopes.retain(|name| clamp.tokens().any(|token| token == name));
        }
        if !clamps.grant_types.is_empty() {
            rules.self_registered_grants.retain(|grant| clamps.grant_types.contains(grant));
        }
        Ok(rules)
    }

    /// What these rules make of a client of this type: its metadata as it will be registered, and whether it is approved at once.
    ///
    /// Of a document the redirect URIs come that are welcome: its host may speak for all of them, and one that is not welcome here
    /// says nothing about the others.
    pub fn admit(&self, kind: RegistrationType, mut metadata: ClientMetadata) -> Result<(ClientMetadata, Admission), Rejection> {
        self.fits(kind, &metadata)?;
        if kind == RegistrationType::Cimd {
            metadata.redirect_uris = self.welcome(&metadata.redirect_uris)?;
        }
        let by_rules = self.judge(&metadata.redirect_uris)?;
        let metadata = self.constrain(kind, metadata)?;
        let by_type = self.admission.of(kind);
        Ok((metadata, if by_rules == Admission::Review { by_rules } else { by_type }))
    }

    /// The metadata within what the rules grant a client of this type (RFC 7591 §2 lets the server leave out the rest).
    pub fn constrain(&self, kind: RegistrationType, mut metadata: ClientMetadata) -> Result<ClientMetadata, Rejection> {
        if kind != RegistrationType::Prereg {
            metadata.grant_types.retain(|grant| self.self_registered_grants.contains(grant));
            if metadata.grant_types.is_empty() {
                return Err(Rejection::GrantsNotAdmitted);
            }
            // RFC 7591 §2.1: `code` goes with the authorization_code grant.
            if !metadata.grant_types.contains(&GrantType::AuthorizationCode) {
                metadata.response_types.retain(|response| *response != ResponseType::Code);
            }
        }
        if kind == RegistrationType::Dcr && self.require_software_statement && metadata.software_statement.is_none() {
            return Err(Rejection::SoftwareStatementRequired);
        }
        if let Some(ceiling) = &self.scope_ceiling {
            metadata.scope = Some(ceiling.ceiling_for(metadata.scope.as_ref(), &self.authorization_server_scopes));
        }
        Ok(metadata)
    }

    /// The redirect URIs that a document may claim here, and how a change to them is heard. What the rules refuse is left out:
    /// the rest of the document's wish is heard. What they want reviewed waits in every lane.
    pub fn hear(&self, claimed: &RedirectUris, at: DateTime<Utc>) -> (RedirectUris, Heard) {
        let welcome = claimed.filter(|uri| self.judge_one(uri).is_ok());
        let review = welcome.iter().any(|uri| self.judge_one(uri) == Ok(Admission::Review));
        let heard = match self.manifests.lane {
            Lane::Pinned => Heard::Pinned,
            Lane::Live | Lane::Soak if review => Heard::Staged,
            Lane::Staged => Heard::Staged,
            Lane::Live => Heard::Live,
            Lane::Soak => Heard::Soak(at + Duration::hours(self.manifests.soak_hours.into())),
        };
        (welcome, heard)
    }

    /// Those of these redirect URIs that are welcome at once or after a review. Where none of them is, the refusal of the first.
    pub fn welcome(&self, claimed: &RedirectUris) -> Result<RedirectUris, Rejection> {
        let welcome = claimed.filter(|uri| self.judge_one(uri).is_ok());
        if welcome.is_empty() {
            self.judge(claimed)?;
        }
        Ok(welcome)
    }

    /// What the ceiling takes away of a scope that a client asks for.
    pub fn beyond_ceiling(&self, asked: &Scope) -> Option<Scope> {
        asked.beyond(self.scope_ceiling.as_ref()?, &self.authorization_server_scopes)
    }

    /// Whether identical public clients with these redirect URIs that register themselves are one client.
    pub fn are_shared(&self, uris: &RedirectUris) -> bool {
        let waits = self.admission.dcr == Admission::Review || self.judge(uris) == Ok(Admission::Review);
        self.instances == Instances::Share || waits && self.instances_under_review == Instances::Share
    }

    /// Whether these redirect URIs are welcome at once, after a review, or not at all.
    pub fn judge(&self, uris: &RedirectUris) -> Result<Admission, Rejection> {
        let mut admission = Admission::Auto;
        for uri in uris {
            if self.judge_one(uri)? == Admission::Review {
                admission = Admission::Review;
            }
        }
        Ok(admission)
    }

    fn judge_one(&self, uri: &RedirectUri) -> Result<Admission, Rejection> {
        if let Some(scheme) = uri.private_use_scheme()
            && !scheme.contains('.')
            && !self.private_use_schemes.contains(&scheme)
        {
            return Err(Rejection::SchemeNotListed(uri.to_string()));
        }
        if self.redirect_rules.is_empty() || self.redirect_rules.iter().any(|rule| rule.expects(uri)) {
            return Ok(Admission::Auto);
        }
        match self.outside_rules {
            OutsideRules::Refuse => Err(Rejection::RedirectOutsideRules(uri.to_string())),
            OutsideRules::Review => Ok(Admission::Review),
        }
    }
}

fn those_that_register_themselves() -> Modes {
    Modes::from([RegistrationType::Dcr])
}

fn is_those_that_register_themselves(types: &Modes) -> bool {
    *types == those_that_register_themselves()
}

/// Per type: approved at once, or after an administrator looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Admissions {
    /// Clients that register themselves.
    pub dcr: Admission,
    /// Clients that are described by their own document.
    pub cimd: Admission,
    /// Clients that an administrator enters.
    pub prereg: Admission,
}

impl Admissions {
    /// The admission of a type.
    pub const fn of(self, kind: RegistrationType) -> Admission {
        match kind {
            RegistrationType::Dcr => self.dcr,
            RegistrationType::Cimd => self.cimd,
            RegistrationType::Prereg => self.prereg,
        }
    }
}

/// The scopes of OpenID Connect (Core §3.1.2.1, §5.4, §11).
fn usual_scopes() -> Vec<String> {
    ["openid", "profile", "email", "address", "phone", "offline_access"].map(str::to_owned).to_vec()
}

fn are_usual(scopes: &[String]) -> bool {
    *scopes == *usual_scopes()
}

/// The rules for clients that host their own document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ManifestRules {
    /// What becomes of a change of redirect URIs in a document.
    pub lane: Lane,
    /// In the lane `soak`: after how many hours a change serves to which nobody objected.
    pub soak_hours: u16,
    /// What becomes of a registration whose client's document was taken away.
    pub on_withdrawal: WithdrawalRule,
    /// Whether the metadata say that such clients are welcome. Where the hosts of their documents cannot be reached from here, a
    /// client that was told so has no other way in; one that was not told registers itself. Absent means that they say so.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub announce: bool,
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
const fn is_yes(said: &bool) -> bool {
    *said
}

impl Default for ManifestRules {
    fn default() -> Self {
        Self { lane: Lane::default(), soak_hours: 24, on_withdrawal: WithdrawalRule::default(), announce: true }
    }
}

/// What becomes of a registration whose client's document was taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum WithdrawalRule {
    /// It stands suspended until the document is back.
    #[default]
    Suspend,
    /// It stands as it stood.
    Keep,
}

/// Whether identical public clients that register themselves are one client (RFC 7591 §5 allows it for instances of one).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Instances {
    /// Every registration is a client of its own.
    #[default]
    Separate,
    /// They have one `client_id`, and only administrators manage it.
    Share,
}

impl Instances {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
    fn is_separate(&self) -> bool {
        *self == Self::Separate
    }
}

/// What becomes of a registration with a redirect URI that no rule expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum OutsideRules {
    /// It is refused.
    #[default]
    Refuse,
    /// It waits for an administrator.
    Review,
}
