//! What can have happened to a service token.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ServiceScope;
use crate::identity::{ResourceServerId, TenantId};
use crate::secret::TokenHash;
use crate::stored::stored;

stored! {
    /// What can have happened to a service token.
    ServiceTokenEvent {
        "service_token.created" 1 => Created,
        "service_token.revoked" 1 => Revoked,
    }
}

/// An administrator created it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Created {
    /// Whose clients it asks about.
    pub tenant: TenantId,
    /// The name for people to read.
    pub label: String,
    /// The hash of the token.
    pub token: TokenHash,
    /// What may be done with it.
    pub scopes: Vec<ServiceScope>,
    /// At which of the tenant's resource servers only; at all of them, if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_servers: Vec<ResourceServerId>,
    /// When it stops working; never, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// It works no longer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Revoked {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
