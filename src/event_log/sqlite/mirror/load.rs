//! Many appends at a time, into a shared log that nobody else writes to: what a migration adds.

use std::collections::HashSet;

use super::file::{self, Prepared};
use super::{Late, Mirror, OPENING, Outcome, PAUSE, Parts};
use crate::event_log::shared::{Commit, PublishError};
use crate::event_log::{Append, AppendError, Expected};

/// How often appends are added again that were not confirmed.
const MOST_TRIES: u32 = 20;

impl Mirror {
    /// Adds appends in this order and waits until they are here. What is in already is left as it is; what is not in at the end can
    /// be added again.
    pub async fn load(&self, appends: &[Append]) -> Result<(), AppendError> {
        let parts = &self.parts;
        let mut tries = 0;
        loop {
            // Before it is asked what is missing: what comes in between then has the first one refused, and is looked at again.
            let behind = *parts.upto.borrow();
            let commits = parts.missing(appends.to_vec()).await?;
            if commits.is_empty() {
                return Ok(());
            }
            tries += 1;
            match parts.shared.load(commits, behind).await {
                Ok(last) => {
                    let arrived = tokio::time::timeout(OPENING, parts.has(&Outcome::Now(last))).await;
                    return if arrived == Ok(true) { Ok(()) } else { Err(AppendError::Indeterminate(Box::new(Late))) };
                }
                Err(PublishError::Never(why)) => return Err(AppendError::Refused(why)),
                Err(error) if tries == MOST_TRIES => return Err(AppendError::Indeterminate(Box::new(error))),
                Err(error) => {
                    tracing::warn!(%error, "some appends were not confirmed; what is in is left, and the rest is added again");
                    tokio::time::sleep(PAUSE * 10).await;
                    // Whether it is reachable is found out by the next try.
                    let _either = parts.ask_for_head().await;
                }
            }
        }
    }
}

impl Parts {
    /// Those that are not in yet, as the shared log has to take them. Behind the first that is not in none is, since each is let in
    /// only behind the one before it; so what a stream is to expect is looked up for the first of its commits alone.
    async fn missing(&self, appends: Vec<Append>) -> Result<Vec<Commit>, AppendError> {
        let file = self.file().map_err(|error| AppendError::Unavailable(Box::new(error)))?;
        let work = file.log.shared.readers.with(move |reader| {
            let (mut commits, mut begun) = (Vec::with_capacity(appends.len()), HashSet::new());
            for append in appends {
                let expected = if begun.contains(&append.stream) {
                    Expected::Empty
                } else {
                    match file::prepare(reader, &append)? {
                        Prepared::Expect(expected) => expected,
                        Prepared::Answered(Ok(_)) => continue,
                        Prepared::Answered(Err(refused)) => return Ok(Err(refused)),
                    }
                };
                begun.insert(append.stream.clone());
                commits.push(Commit { stream: append.stream, expected, id: append.commit, events: append.events });
            }
            Ok(Ok(commits))
        });
        self.noticing(work.await).map_err(|error| AppendError::Unavailable(Box::new(error)))?
    }
}
