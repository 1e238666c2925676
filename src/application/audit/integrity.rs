//! How far the log's hash chain is known to hold: walked from its first event, when somebody asks.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use gatebook_events::envelope::Position;

use crate::application::error::UseCaseError;
use crate::platform::clock::Clock;

/// What the last walk along the chain found.
#[derive(Debug, Clone)]
pub struct Walked {
    /// When.
    pub at: DateTime<Utc>,
    /// The last event that it came to, and what all of them hash to; or where the chain is broken.
    pub found: Result<(Position, String), String>,
}

/// Walks along the whole chain of the log: where it ends and what all events hash to, or where it is broken; none where the log cannot
/// be opened for that. It blocks.
pub type Walk = Arc<dyn Fn() -> Option<Result<(Position, String), String>> + Send + Sync>;

/// The last walk along the chain of a log; none since the start, if there was none.
pub struct LogIntegrity {
    walk: Walk,
    last: Mutex<Option<Walked>>,
    walking: tokio::sync::Mutex<()>,
}

impl LogIntegrity {
    /// Of the log that a walk goes along.
    pub fn new(walk: Walk) -> Self {
        Self { walk, last: Mutex::default(), walking: tokio::sync::Mutex::default() }
    }

    /// What the last walk found.
    pub fn last(&self) -> Option<Walked> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Walks the whole chain. One walk at a time: a caller that comes meanwhile waits for it, and then takes what it found.
    pub async fn walk(&self, clock: &Clock) -> Result<Walked, UseCaseError> {
        let begun = clock.now();
        let _one = self.walking.lock().await;
        if let Some(walked) = self.last().filter(|walked| walked.at > begun) {
            return Ok(walked);
        }
        let walk = self.walk.clone();
        let found = tokio::task::spawn_blocking(move || walk()).await;
        let found = found.map_err(|_| UseCaseError::Internal("the walk along the chain was stopped"))?;
        let found = found.ok_or(UseCaseError::Internal("the log cannot be opened to walk along its chain"))?;
        let walked = Walked { at: clock.now(), found };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(walked.clone());
        Ok(walked)
    }
}
