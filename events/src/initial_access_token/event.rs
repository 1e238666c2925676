//! What can have happened to an initial access token.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::clamps::Clamps;
use crate::identity::{ClientId, TenantId};
use crate::secret::TokenHash;
use crate::stored::stored;

stored! {
    /// What can have happened to an initial access token.
    InitialAccessTokenEvent {
        "initial_access_token.issued" 1 => Issued,
        "initial_access_token.used" 1 => Used,
        "initial_access_token.revoked" 1 => Revoked,
    }
}

/// It was issued for the resource server that its stream names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Issued {
    /// Whose resource server that is.
    pub tenant: TenantId,
    /// The name for people to read.
    pub label: String,
    /// The hash of the token.
    pub token: TokenHash,
    /// When it stops working; never, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// How many clients may register with it; any number, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u32>,
    /// What a client that registers with it may be at most.
    #[serde(default, skip_serializing_if = "Clamps::is_empty")]
    pub clamps: Clamps,
}

/// One of its uses was set aside for a client, which is registered next. A crash in between costs a use and grants none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Used {
    /// The client's identifier.
    pub client_id: ClientId,
    /// How many uses that makes.
    pub count: u32,
}

/// It works no longer. Clients that came by it stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Revoked {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
