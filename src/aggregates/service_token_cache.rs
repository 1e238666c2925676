//! The service tokens that were presented last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use gatebook_events::identity::ServiceTokenId;
use gatebook_events::service_token::ServiceToken;

/// The tokens that were presented last, so that a decision need not read one from the log.
#[derive(Default)]
pub(crate) struct KnownTokens(Mutex<Known>);

#[derive(Default)]
pub(crate) struct Known {
    pub(crate) held: HashMap<ServiceTokenId, (Arc<ServiceToken>, DateTime<Utc>)>,
    /// How often a token was revoked here: what was read before a revocation is not held after it.
    pub(crate) revocations: u64,
}

impl KnownTokens {
    /// Somebody wrote to it, or may have.
    pub fn forget(&self, id: ServiceTokenId) {
        let mut known = self.known();
        known.revocations += 1;
        known.held.remove(&id);
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
