//! What can be asked of a service token.

use chrono::{DateTime, Utc};

use super::Created;

/// What can be asked of a service token.
#[derive(Debug, Clone)]
pub enum ServiceTokenCommand {
    /// Create it.
    Create {
        /// What it is to be.
        created: Created,
        /// Now.
        at: DateTime<Utc>,
    },
    /// End it.
    Revoke {
        /// Why, for the history.
        reason: Option<String>,
    },
}
