//! Administrators: who they are, how their tokens are checked, and how Gatebook makes such tokens itself.

use std::fmt;
use std::str::FromStr;

use gatebook_events::identity::TenantId;

mod claims;
mod jwks;
mod key;
mod mint;
mod provider;
#[cfg(test)]
pub(crate) mod signer;
mod verifier;

pub(crate) use claims::in_time;
pub(crate) use jwks::{Fetching, NotTried, Place, RemoteKeys};
pub use key::AdminKeyError;
pub(crate) use key::VerifyingKey;
pub use mint::{AdminMinter, MintError};
pub use provider::{Attempt, Provider, SignInRefusal};
pub use verifier::AdminVerifier;
pub(crate) use verifier::{open, read_header};

/// Somebody who may look at, or change, what belongs to one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// The tenant, and the only one.
    pub tenant: TenantId,
    /// Who it is, in the words of whoever signed the token.
    pub subject: String,
    /// What they may do.
    pub role: Role,
}

/// What an administrator may do. A higher role may do all that a lower one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Asks whether clients may come in, as an authorization server or a gateway does. Sees nothing else.
    Decider,
    /// Looks at clients and resource servers.
    Viewer,
    /// Reads the history too.
    Auditor,
    /// Changes things.
    Admin,
}

impl Role {
    /// The name in tokens and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decider => "decider",
            Self::Viewer => "viewer",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Decider, Self::Viewer, Self::Auditor, Self::Admin].into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

/// A text that is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role is decider, viewer, auditor or admin")]
pub struct UnknownRole;

/// Why somebody is not let in. Holds no part of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdminRefusal {
    /// There is no token.
    #[error("no admin token")]
    Missing,
    /// What there is cannot be read as a JWT, or asks for an extension that is not known here.
    #[error("the token is not a JWT")]
    Malformed,
    /// Two readers could take it for two tokens (RFC 7519 §4).
    #[error("the token has a claim twice, or claims that are no JSON object")]
    Ambiguous,
    /// The token's algorithm is not the one that is configured, or does not fit the key.
    #[error("the token's algorithm is not admitted")]
    WrongAlgorithm,
    /// The signer's key set has no such key.
    #[error("the token names a key that is not known")]
    UnknownKey,
    /// Somebody else signed it, or it was changed on the way.
    #[error("the token's signature is wrong")]
    WrongSignature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Somebody else issued it.
    #[error("the token has another issuer")]
    WrongIssuer,
    /// It was made for another service.
    #[error("the token is for another audience")]
    WrongAudience,
    /// It lacks what every token needs.
    #[error("the token has no usable {0} claim")]
    MissingClaim(&'static str),
    /// It names no tenant, or something that is not a tenant's name.
    #[error("the token names no tenant")]
    NoTenant,
    /// It names another tenant than the one that all administrators belong to.
    #[error("the token names another tenant than the one that is configured")]
    OtherTenant,
    /// It is in order, but gives none of the roles. The only refusal that another token of the same kind does not cure.
    #[error("the token gives none of the roles that are needed")]
    NoRole,
    /// The signer's keys cannot be fetched; nothing is known about the token.
    #[error("the keys of the token's signer are not available")]
    Unavailable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_ordered_and_written_in_one_way_only() {
        assert!(Role::Decider < Role::Viewer && Role::Viewer < Role::Auditor && Role::Auditor < Role::Admin);
        assert_eq!("auditor".parse(), Ok(Role::Auditor));
        for text in ["", "Admin", "root", "admin "] {
            assert_eq!(text.parse::<Role>(), Err(UnknownRole));
        }
    }
}
