//! What is known of the document that a client hosts (Client ID Metadata Document): its versions, and whether it is still there.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event::ManifestVersioned;
use crate::identity::TenantId;
use crate::metadata::{ClientMetadata, LeftOut};
use crate::redirect::RedirectUris;
use crate::secret::to_hexadecimal;

/// The SHA-256 of a document's bytes as hexadecimal text: two documents are the same if, and only if, their bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct ContentHash(Box<str>);

impl ContentHash {
    /// The text of a digest.
    pub fn of_digest(digest: [u8; 32]) -> Self {
        Self(to_hexadecimal(&digest).into())
    }

    /// The 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A document as it was fetched, and what was read in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Names the bytes.
    pub content_hash: ContentHash,
    /// The bytes: JSON, at most as long as a fetch may be.
    pub text: Box<str>,
    /// What it says, after every default.
    pub metadata: ClientMetadata,
    /// What was passed over or put right in it, by name.
    pub warnings: Vec<Box<str>>,
    /// What was left out because it cannot be used, by member.
    pub left_out: Vec<LeftOut>,
    /// The names of members that mean nothing here.
    pub ignored: Vec<Box<str>>,
}

/// What is known of a client's document.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Manifest {
    /// Every version, the oldest first. A version is never changed or taken away.
    pub versions: Vec<Version>,
    /// Since when it cannot be reached, while it cannot.
    pub unreachable_since: Option<DateTime<Utc>>,
    /// The tenant that sees this, where it is a text that its administrator entered because the host had not answered.
    pub entered_for: Option<TenantId>,
}

impl Manifest {
    /// The newest version.
    pub fn current(&self) -> Option<&Version> {
        self.versions.last()
    }

    /// The version with this number.
    pub fn version(&self, number: u32) -> Option<&Version> {
        self.versions.iter().find(|version| version.number == number)
    }
}

/// What is remembered of a version; the whole document is in its event.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// Counted from 1.
    pub number: u32,
    /// Names the bytes.
    pub content_hash: ContentHash,
    /// The redirect URIs that it claims.
    pub redirect_uris: RedirectUris,
}

impl Version {
    pub(super) fn of(versioned: &ManifestVersioned) -> Self {
        Self {
            number: versioned.number,
            content_hash: versioned.content_hash.clone(),
            redirect_uris: versioned.metadata.redirect_uris.clone(),
        }
    }
}

/// In what a document differs from the version before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// It claims redirect URIs that it did not claim.
    RedirectsWidened,
    /// It no longer claims some.
    RedirectsNarrowed,
    /// Its keys, or where they are.
    Keys,
    /// How it proves itself.
    AuthMethod,
    /// Its grants or response types.
    Grants,
    /// Its scope.
    Scope,
    /// What people see: name, logo, home page and their translations.
    DisplayIdentity,
    /// Anything else, down to a space.
    Cosmetic,
}

/// In what two documents differ that are not the same bytes.
pub fn differences(old: &ClientMetadata, new: &ClientMetadata) -> BTreeSet<Difference> {
    let display = |metadata: &ClientMetadata| {
        (metadata.client_name.clone(), metadata.logo_uri.clone(), metadata.client_uri.clone(), metadata.localized.clone())
    };
    let table = [
        (Difference::RedirectsWidened, !new.redirect_uris.without(&old.redirect_uris).is_empty()),
        (Difference::RedirectsNarrowed, !old.redirect_uris.without(&new.redirect_uris).is_empty()),
        (Difference::Keys, old.jwks != new.jwks || old.jwks_uri != new.jwks_uri),
        (Difference::AuthMethod, old.token_endpoint_auth_method != new.token_endpoint_auth_method),
        (Difference::Grants, old.grant_types != new.grant_types || old.response_types != new.response_types),
        (Difference::Scope, old.scope != new.scope),
        (Difference::DisplayIdentity, display(old) != display(new)),
    ];
    let found: BTreeSet<_> = table.into_iter().filter_map(|(difference, differs)| differs.then_some(difference)).collect();
    if found.is_empty() { BTreeSet::from([Difference::Cosmetic]) } else { found }
}

/// Why a document counts as taken away. A closed list; the names are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Withdrawal {
    /// Its host says that it is not there: 404 or 410.
    Gone,
    /// What is there is no acceptable document.
    Invalid,
    /// It could not be reached for longer than the last good one may serve.
    Expired,
}

impl Withdrawal {
    /// The name on the wire and in storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Invalid => "invalid",
            Self::Expired => "expired",
        }
    }
}
