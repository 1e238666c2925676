//! The words of admission, which every aggregate knows: by which way a client came, whether it is let in at once, how a change of it is
//! heard, and where its registration and its token stand.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How a client came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub enum RegistrationType {
    /// It registered itself (RFC 7591).
    #[serde(rename = "dcr")]
    Dcr,
    /// It is described by a document that it hosts (Client ID Metadata Document).
    #[serde(rename = "cimd")]
    Cimd,
    /// An administrator entered it.
    #[serde(rename = "prereg")]
    Prereg,
}

impl RegistrationType {
    /// Every type, in the order in which they are listed.
    pub const ALL: [Self; 3] = [Self::Dcr, Self::Cimd, Self::Prereg];

    /// The name on the wire and in storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dcr => "dcr",
            Self::Cimd => "cimd",
            Self::Prereg => "prereg",
        }
    }

    /// The type with this name.
    pub fn known(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Which registration types a resource server admits.
pub type Modes = BTreeSet<RegistrationType>;

/// Approved at once, or after an administrator looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Admission {
    /// Approved at once.
    #[default]
    Auto,
    /// Waits for an administrator.
    Review,
}

/// What becomes of a change of redirect URIs in a document that a client hosts. What a document no longer claims stops serving
/// at once in every lane but `pinned`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// It waits for an administrator.
    #[default]
    Staged,
    /// It serves at once.
    Live,
    /// It serves after some hours, unless an administrator objects before.
    Soak,
    /// Nothing changes, not even what is no longer claimed, until an administrator says so.
    Pinned,
}

/// How a client's wish for other redirect URIs is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// What it adds waits for an administrator.
    Staged,
    /// What it adds serves at once.
    Live,
    /// What it adds serves at this time, unless an administrator objects before.
    Soak(DateTime<Utc>),
    /// All of it waits for an administrator, what it takes away too.
    Pinned,
}

impl Heard {
    /// The same, but that nothing is added before an administrator says so.
    #[must_use]
    pub const fn at_most_staged(self) -> Self {
        match self {
            Self::Live | Self::Soak(_) | Self::Staged => Self::Staged,
            Self::Pinned => Self::Pinned,
        }
    }
}

impl From<Admission> for Heard {
    fn from(admission: Admission) -> Self {
        match admission {
            Admission::Auto => Self::Live,
            Admission::Review => Self::Staged,
        }
    }
}

/// How a dormant registration comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Revival {
    /// As soon as it is used, and nobody notices.
    #[default]
    AtNextUse,
    /// Once an administrator approved that; its next use has it wait for that.
    Review,
}

impl Revival {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Whose clients are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CapOf {
    /// Those of one resource server.
    ResourceServer,
    /// Those of all active resource servers of a tenant.
    Tenant,
}

impl CapOf {
    /// The name for people to read.
    pub const fn as_words(self) -> &'static str {
        match self {
            Self::ResourceServer => "resource server",
            Self::Tenant => "tenant",
        }
    }
}

/// Where a registration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nobody asked for it.
    #[default]
    None,
    /// It waits for an administrator.
    Pending,
    /// The client may act.
    Approved,
    /// An administrator said no.
    Denied,
    /// Nobody used it for a long time.
    Dormant,
    /// It was dormant, was asked about again, and waits for an administrator.
    Returning,
    /// The client may not act until an administrator reinstates it.
    Suspended,
    /// The client may not act any more.
    Revoked,
}

impl Status {
    /// Whether it was approved and is dormant now, asked about again or not.
    pub const fn is_dormant(self) -> bool {
        matches!(self, Self::Dormant | Self::Returning)
    }

    /// The name on the wire and in storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Dormant => "dormant",
            Self::Returning => "returning",
            Self::Suspended => "suspended",
            Self::Revoked => "revoked",
        }
    }
}

/// Whether a client may register with it at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Usability {
    /// It may.
    Active,
    /// Its time is over.
    Expired,
    /// As many came by it as may.
    UsedUp,
    /// An administrator revoked it.
    Revoked,
}

impl Usability {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::UsedUp => "used_up",
            Self::Revoked => "revoked",
        }
    }
}
