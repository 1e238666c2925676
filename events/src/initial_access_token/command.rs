//! What can be asked of an initial access token.

use chrono::{DateTime, Utc};

use crate::clamps::Clamps;
use crate::identity::{ClientId, TenantId};
use crate::secret::TokenHash;

/// What can be asked of an initial access token.
#[derive(Debug, Clone)]
pub enum InitialAccessTokenCommand {
    /// Issue it.
    Issue {
        /// Whose resource server it is for.
        tenant: TenantId,
        /// The name for people to read.
        label: String,
        /// The hash of the token, which was drawn just now.
        token: TokenHash,
        /// When it stops working.
        expires_at: Option<DateTime<Utc>>,
        /// How many clients may register with it.
        max_uses: Option<u32>,
        /// What they may be at most.
        clamps: Clamps,
        /// Now.
        at: DateTime<Utc>,
    },
    /// Set one use aside for a client whose identifier was drawn just now, so that no two uses are the same one.
    Use {
        /// The client.
        client_id: ClientId,
        /// Now.
        at: DateTime<Utc>,
    },
    /// End it.
    Revoke {
        /// Why, for the history.
        reason: Option<String>,
    },
}
