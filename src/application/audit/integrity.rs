//! How far the log's hash chain is known to hold: walked from its first event, when somebody asks.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use gatebook_events::envelope::Position;

use crate::bootstrap::{App, open_log_read_only};
use crate::http::error::Failure;

/// What the last walk along the chain found.
#[derive(Debug, Clone)]
pub struct Walked {
    /// When.
    pub at: DateTime<Utc>,
    /// The last event that it came to, and what all of them hash to; or where the chain is broken.
    pub found: Result<(Position, String), String>,
}

/// The last walk; none since the start, if there was none.
#[derive(Debug, Default)]
pub struct Chain {
    last: Mutex<Option<Walked>>,
    walking: tokio::sync::Mutex<()>,
}

impl Chain {
    /// What the last walk found.
    pub fn last(&self) -> Option<Walked> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl App {
    /// Walks the whole chain. One walk at a time: who comes meanwhile waits for it, and then takes what it found.
    pub async fn walk_chain(&self) -> Result<Walked, Failure> {
        let begun = self.commands().clock().now();
        let _one = self.chain().walking.lock().await;
        if let Some(walked) = self.chain().last().filter(|walked| walked.at > begun) {
            return Ok(walked);
        }
        let log = open_log_read_only(self.config()).map_err(|_| Failure::Internal("the log cannot be opened to walk along its chain"))?;
        let verified = tokio::task::spawn_blocking(move || log.verify(|_, _| {})).await;
        let verified = verified.map_err(|_| Failure::Internal("the walk along the chain was stopped"))?;
        let found = verified
            .map(|summary| (summary.head, summary.hash.to_string()))
            .map_err(|error| std::error::Error::source(&error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")));
        let walked = Walked { at: self.commands().clock().now(), found };
        *self.chain().last.lock().unwrap_or_else(PoisonError::into_inner) = Some(walked.clone());
        Ok(walked)
    }
}
