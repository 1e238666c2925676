//! The initial access tokens that were used last, so that uses of one wait here for each other.

use gatebook_events::envelope::Revision;
use gatebook_events::identity::InitialAccessTokenId;
use gatebook_events::initial_access_token::InitialAccessToken;
use gatebook_events::stream::Stream;
use tokio::sync::{Mutex, MutexGuard};

/// How many tokens can be in use at once without standing in each other's way.
const SLOTS: usize = 64;

/// The tokens that were used last. Those of one slot are used one after the other on this node: callers wait here for
/// each other rather than conflict in the log, and a token that is used often is not read from its first event each time.
///
/// What is held may be older than the log. No matter: a use is appended at the held revision, so an old one is a conflict, and a
/// token that an old state refuses is refused by every later one.
pub(crate) struct InUse([Mutex<Option<Held>>; SLOTS]);

impl Default for InUse {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

pub(crate) struct Held {
    pub(crate) stream: Stream,
    pub(crate) token: InitialAccessToken,
    pub(crate) revision: Option<Revision>,
}

impl InUse {
    pub(crate) async fn slot(&self, id: InitialAccessTokenId) -> Option<MutexGuard<'_, Option<Held>>> {
        // The last byte of an id is random.
        let [.., last] = *id.0.as_bytes();
        Some(self.0.get(usize::from(last) % SLOTS)?.lock().await)
    }
}
