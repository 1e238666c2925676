//! The events that were committed last, kept in memory for the followers that wait at the head.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use gatebook_events::envelope::{Envelope, Position};

use super::reader::Stretch;
use crate::event_log::ChainHash;

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

    /// What follows on `after`, whole commits until there are `limit` events or no more; none if that is no longer kept.
    pub fn after(&self, after: Position, limit: usize) -> Option<Stretch> {
        let mut commits: Vec<Arc<Commit>> = Vec::new();
        {
            let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let first = kept.commits.partition_point(|commit| commit.last() <= after);
            for commit in kept.commits.range(first..) {
                commits.push(commit.clone());
                if commit.last().to_backend() - after.to_backend() >= limit as u64 {
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

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use gatebook_events::envelope::{EventId, Revision, StoredEvent, StreamName};
    use uuid::Uuid;

    use super::*;

    fn at(position: u64) -> Position {
        Position::from_backend(position)
    }

    fn event(position: u64, data: &str) -> Envelope {
        let event = StoredEvent {
            id: EventId(Uuid::from_u128(u128::from(position))),
            name: Arc::from("client.registered"),
            version: 1,
            recorded_at: DateTime::UNIX_EPOCH,
            meta: Arc::from("{}"),
            data: Arc::from(data),
        };
        let stream = StreamName(Arc::from("client-1"));
        Envelope { position: at(position), stream, revision: Revision::from_backend(position), event }
    }

    fn hash(of: u8) -> ChainHash {
        ChainHash::from_stored(&[of; 32]).unwrap()
    }

    /// Events 5 to 10 in three commits; the first four are only in the file.
    fn tail() -> Tail {
        let tail = Tail::default();
        tail.push(vec![event(5, ""), event(6, ""), event(7, "")], hash(7));
        tail.push(vec![event(8, "")], hash(8));
        tail.push(vec![event(9, ""), event(10, "")], hash(10));
        tail
    }

    #[test]
    fn what_follows_is_found_from_between_commits_and_from_within_one() {
        for (after, limit, first, last) in
            [(4, 100, 5, 10), (5, 100, 6, 10), (6, 1, 7, 7), (7, 1, 8, 8), (6, 2, 7, 8), (8, 100, 9, 10), (9, 100, 10, 10)]
        {
            let found = tail().after(at(after), limit).unwrap();
            let positions: Vec<_> = found.events.iter().map(|one| one.position.to_backend()).collect();
            assert_eq!(positions, (first..=last).collect::<Vec<_>>(), "after {after}, at least {limit}");
            assert_eq!(found.hash, hash(u8::try_from(last).unwrap()));
        }
    }

    #[test]
    fn what_is_not_kept_is_not_made_up() {
        assert!(tail().after(at(3), 100).is_none());
        assert!(tail().after(at(10), 100).is_none());
        let tail = tail();
        tail.clear();
        assert!(tail.after(at(9), 100).is_none());
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let tail = tail();
        let half = "x".repeat(KEPT / 2 - 2 * OVERHEAD);
        tail.push(vec![event(11, &half)], hash(11));
        tail.push(vec![event(12, &half)], hash(12));
        assert!(tail.after(at(9), 1).is_none());
        assert!(tail.after(at(10), 1).is_some());
        tail.push(vec![event(13, &half), event(14, &half), event(15, &half)], hash(15));
        assert!(tail.after(at(14), 1).is_none(), "an append that is too large is read from the file");
        tail.push(vec![event(16, "")], hash(16));
        assert_eq!(tail.after(at(15), 1).unwrap().events.len(), 1);
    }
}
