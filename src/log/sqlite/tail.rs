//! The events that were committed last, kept in memory for the followers that wait at the head.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use gatebook_events::envelope::{Envelope, Position};

use super::reader::Stretch;
use crate::log::ChainHash;

/// How much is kept, in bytes of events.
const KEPT: usize = 8 << 20;

/// What an event takes beside its texts, roughly.
const OVERHEAD: usize = 300;

/// The last commits, one after another without a gap. What is no longer in here is read from the file.
#[derive(Debug, Default)]
pub struct Tail(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    commits: VecDeque<Arc<Commit>>,
    bytes: usize,
}

#[derive(Debug)]
struct Commit {
    events: Vec<Envelope>,
    /// What the last of them leaves.
    hash: ChainHash,
    bytes: usize,
}

impl Commit {
    fn last(&self) -> Position {
        self.events.last().map(|last| last.position).unwrap_or_default()
    }
}

impl Tail {
    /// Adds what was committed just now.
    pub fn push(&self, events: Vec<Envelope>, hash: ChainHash) {
        let bytes = events.iter().map(|one| OVERHEAD + one.event.meta.len() + one.event.data.len()).sum();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.commits.push_back(Arc::new(Commit { events, hash, bytes }));
        kept.bytes += bytes;
        while kept.bytes > KEPT
            && let Some(oldest) = kept.commits.pop_front()
        {
            kept.bytes -= oldest.bytes;
        }
    }

    /// Forgets everything, because what comes next may not follow on it.
    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Kept::default();
    }

    /// What follows on `after`, at least `limit` events if there are as many; none if that is no longer kept.
    pub fn after(&self, after: Position, limit: usize) -> Option<Stretch> {
        let mut commits: Vec<Arc<Commit>> = Vec::new();
        {
            let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let first = kept.commits.partition_point(|commit| commit.last() <= after);
            let mut count = 0;
            for commit in kept.commits.range(first..) {
                count += commit.events.len();
                commits.push(commit.clone());
                if count >= limit {
                    break;
                }
            }
        }
        let hash = commits.last()?.hash;
        let mut events: Vec<Envelope> = Vec::with_capacity(commits.iter().map(|commit| commit.events.len()).sum());
        for commit in commits {
            events.extend(commit.events.iter().filter(|one| one.position > after).cloned());
        }
        let follows_on = events.first()?.position.to_backend() == after.to_backend() + 1;
        follows_on.then_some(Stretch { events, hash })
    }
}
