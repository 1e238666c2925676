//! What can have happened to a client.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::imported::ImportedFrom;
use super::manifest::{ContentHash, Difference, Withdrawal};
use crate::admission::RegistrationType;
use crate::clamps::Clamps;
use crate::identity::{ClientId, InitialAccessTokenId, TenantId};
use crate::metadata::{ClientMetadata, LeftOut};
use crate::secret::{KeptSecret, TokenHash};
use crate::stored::stored;

stored! {
    /// What can have happened to a client.
    ClientEvent {
        "client.registered" 1 => Registered,
        "client.metadata_updated" 1 => MetadataUpdated,
        "client.secret_rotated" 1 => SecretRotated,
        "client.secret_revoked" 1 => SecretRevoked,
        "client.registration_token_rotated" 1 => RegistrationTokenRotated,
        "client.manifest_versioned" 1 => ManifestVersioned,
        "client.manifest_unreachable" 1 => ManifestUnreachable,
        "client.manifest_recovered" 1 => ManifestRecovered,
        "client.manifest_withdrawn" 1 => ManifestWithdrawn,
        "client.deleted" 1 => Deleted,
    }
}

/// It was entered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Registered {
    /// Its public identifier.
    pub client_id: ClientId,
    /// How it came.
    pub registration_type: RegistrationType,
    /// The tenant that it belongs to; none for a client that is described by its own document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<TenantId>,
    /// When, as `client_id_issued_at` says it (RFC 7591 §3.2.1).
    pub issued_at: DateTime<Utc>,
    /// What it says about itself.
    pub metadata: ClientMetadata,
    /// The secret's hash, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<KeptSecret>,
    /// The registration access token's hash, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_token: Option<TokenHash>,
    /// The names of members of the request that were ignored (RFC 7591 §2); their values are not kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<Box<str>>,
    /// The initial access token that it came by (RFC 7591 §3); one of the resource server that it first asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_access_token: Option<InitialAccessTokenId>,
    /// What that token allows it, for as long as it lives.
    #[serde(default, skip_serializing_if = "Clamps::is_empty")]
    pub clamps: Clamps,
    /// Where it was registered before, if it was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported_from: Option<ImportedFrom>,
    /// The tenant that it exists for, where an administrator entered the text of its document before the host ever answered. Absent
    /// of those that older builds entered: `client.manifest_versioned` says it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered_for: Option<TenantId>,
}

/// What it says about itself was replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct MetadataUpdated {
    /// All of it.
    pub metadata: ClientMetadata,
    /// A first secret, where the new method needs one and there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<KeptSecret>,
    /// Whether it keeps the secret that the new method does not need: somewhere it is still admitted with the old one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps_secret: bool,
    /// The names of members of the request that were ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<Box<str>>,
}

/// It has a new secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct SecretRotated {
    /// The new one.
    pub secret: KeptSecret,
    /// Until when the old one works too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_valid_until: Option<DateTime<Utc>>,
    /// By which the same request is known when it is sent again. It says nothing about the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat_key: Option<Box<str>>,
}

/// Its old secret ended before its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct SecretRevoked {}

/// It has a new registration access token; the old one is void.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct RegistrationTokenRotated {
    /// The new one.
    pub registration_token: TokenHash,
}

/// Its document was seen for the first time, or differs from the version before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ManifestVersioned {
    /// Counted from 1, for each tenant whose administrators entered texts; the first one of the host is above all of those.
    pub number: u32,
    /// Names the bytes.
    pub content_hash: ContentHash,
    /// The bytes.
    pub document: Box<str>,
    /// What they say, after every default.
    pub metadata: ClientMetadata,
    /// In what it differs from the version before; empty for the first.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub differences: BTreeSet<Difference>,
    /// What was passed over or put right in it, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Box<str>>,
    /// What was left out because it cannot be used, by member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// The tenant whose administrator entered the text, and for which alone it holds; absent where the host answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered_for: Option<TenantId>,
    /// The names of members that mean nothing here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<Box<str>>,
}

/// Its document cannot be reached any more; the last one that was read serves for a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ManifestUnreachable {
    /// Since when nobody has read it.
    pub since: DateTime<Utc>,
    /// What went wrong, as a name out of a closed list.
    pub failure: Box<str>,
}

/// Its document is there again, as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ManifestRecovered {}

/// Its document was taken away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ManifestWithdrawn {
    /// Why it counts as taken away.
    pub cause: Withdrawal,
    /// What went wrong, as a name out of a closed list.
    pub failure: Box<str>,
    /// Which member it is about and what is wrong with it, where a document was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<str>>,
}

/// It ended: identifier, secret and tokens are void.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Deleted {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
