//! Whose turn it is to poll a document, where several nodes could.
//!
//! A turn is taken before a document is fetched and ends when all is noted, or some seconds after its holder died. What is known of
//! the document goes with the turn, so that whoever takes the next one asks with the right validators, and at the right time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gatebook_events::envelope::Revision;
use gatebook_events::identity::ClientKey;
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;

use crate::outbound::Validators;

mod shared;

pub use shared::SharedTurns;

/// A turn whose holder does not extend it for so long is anybody's.
pub const LASTS: Duration = Duration::from_secs(6);

/// What is known of a document, whoever read it last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// When it is due.
    pub next_at: DateTime<Utc>,
    /// When it was last read.
    pub last_read: DateTime<Utc>,
    /// How often it could not be read since.
    pub failures: u32,
    /// What to ask with.
    pub validators: Validators,
}

/// Why a document is polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is due, as far as this node knows.
    Due,
    /// Somebody wants to know now.
    Asked,
}

/// Whether one may poll.
pub enum Turn {
    /// Yes, and this is what is known; none if nobody has read it yet.
    Mine(Held, Option<Noted>),
    /// It is not due, or somebody else is at it: this is when to look again.
    Later(DateTime<Utc>),
}

/// Somebody's turn.
pub struct Held {
    /// How to write its note next.
    revision: Arc<tokio::sync::Mutex<Option<Revision>>>,
    /// Extends it; none where nobody else could take it.
    extending: Option<AbortHandle>,
}

impl Held {
    /// A turn that nobody else could take.
    fn alone() -> Self {
        Self { revision: Arc::default(), extending: None }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(extending) = &self.extending {
            extending.abort();
        }
    }
}

/// Gives turns.
#[async_trait]
pub trait Turns: Send + Sync + 'static {
    /// Asks for a turn.
    async fn take(&self, key: ClientKey, why: Why, now: DateTime<Utc>) -> Turn;

    /// Ends a turn, with what is known now; with nothing, where nothing came of it.
    async fn end(&self, key: ClientKey, turn: Held, noted: Option<Noted>);
}

/// There is one node, and every turn is its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

#[async_trait]
impl Turns for Alone {
    async fn take(&self, _: ClientKey, _: Why, _: DateTime<Utc>) -> Turn {
        Turn::Mine(Held::alone(), None)
    }

    async fn end(&self, _: ClientKey, _: Held, _: Option<Noted>) {}
}
