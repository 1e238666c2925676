//! The log in memory: what every other backend is compared with. For tests; it forgets all when it is dropped.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use gatebook_events::envelope::{CommitId, Envelope, EventId, Position, Revision, StreamName};
use tokio::sync::watch;

use super::{Append, AppendError, Appended, Closed, EventLog, Expected, Followed, LogError, StreamEvents};

/// An event log in memory.
#[derive(Debug)]
pub struct MemoryLog {
    kept: Arc<Mutex<Kept>>,
    head: watch::Sender<Position>,
}

/// All that was appended, with what is needed to find it again. An event's position is its place in `events`, from 1.
#[derive(Debug, Default)]
struct Kept {
    events: Vec<Envelope>,
    streams: HashMap<StreamName, Vec<Envelope>>,
    commits: HashMap<CommitId, Range<usize>>,
    ids: HashSet<EventId>,
}

#[async_trait]
impl EventLog for MemoryLog {
    async fn read(&self, stream: &StreamName) -> Result<StreamEvents, LogError> {
        let events = lock(&self.kept).streams.get(stream).cloned().unwrap_or_default();
        let revision = events.last().map(|last| last.revision);
        Ok(StreamEvents { events, revision })
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let append = append.checked()?;
        let mut kept = lock(&self.kept);
        let appended = kept.append(append)?;
        self.head.send_replace(kept.head());
        Ok(appended)
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<StreamName>, LogError> {
        Ok(lock(&self.kept).streams.keys().filter(|name| name.as_str().starts_with(prefix)).cloned().collect())
    }

    fn follow(&self, after: Position) -> BoxStream<'static, Result<Followed, LogError>> {
        let follower = Follower { kept: self.kept.clone(), head: self.head.subscribe(), last: after, told: false, ended: false };
        stream::unfold(follower, |mut follower| async move {
            let next = follower.next().await?;
            Some((next, follower))
        })
        .boxed()
    }

    async fn head(&self) -> Result<Position, LogError> {
        Ok(*self.head.borrow())
    }
}

impl Kept {
    fn append(&mut self, append: Append) -> Result<Appended, AppendError> {
        let Append { stream, expected, commit, events } = append;
        if let Some(place) = self.commits.get(&commit) {
            let stands = self.events.get(place.clone()).unwrap_or_default();
            let same = stands.iter().all(|one| one.stream == stream) && stands.iter().map(|one| &one.event).eq(events.iter());
            return match stands.last() {
                Some(last) if same => Ok(Appended { revision: last.revision, position: last.position, duplicate: true }),
                _ => Err(AppendError::Refused(format!("its commit id {} stands for another append", commit.0))),
            };
        }
        if let Some(used) = events.iter().find(|event| self.ids.contains(&event.id)) {
            return Err(AppendError::Refused(format!("the event id {} is in use", used.id.0)));
        }
        let before = self.streams.get(&stream).and_then(|events| events.last()).map(|last| last.revision);
        if Expected::from(before) != expected {
            return Err(AppendError::Conflict { stream, current: before });
        }

        let first = self.events.len();
        let mut revision = before.map_or(0, Revision::to_backend);
        for event in events {
            revision += 1;
            let position = Position::from_backend(self.events.len() as u64 + 1);
            let revision = Revision::from_backend(revision);
            self.ids.insert(event.id);
            let envelope = Envelope { position, stream: stream.clone(), revision, event };
            self.streams.entry(stream.clone()).or_default().push(envelope.clone());
            self.events.push(envelope);
        }
        self.commits.insert(commit, first..self.events.len());
        Ok(Appended { revision: Revision::from_backend(revision), position: self.head(), duplicate: false })
    }

    fn head(&self) -> Position {
        Position::from_backend(self.events.len() as u64)
    }
}

/// One reader of everything, and how far it has come.
struct Follower {
    kept: Arc<Mutex<Kept>>,
    head: watch::Receiver<Position>,
    last: Position,
    /// Whether it was already said that there is nothing more.
    told: bool,
    ended: bool,
}

impl Follower {
    /// None once it was said that the log is gone.
    async fn next(&mut self) -> Option<Result<Followed, LogError>> {
        while !self.ended {
            self.head.mark_unchanged();
            let events: Vec<Envelope> = {
                let kept = lock(&self.kept);
                let done = usize::try_from(self.last.to_backend()).unwrap_or(usize::MAX);
                kept.events.iter().skip(done).cloned().collect()
            };
            if let Some(last) = events.last() {
                self.last = last.position;
                self.told = false;
                return Some(Ok(Followed::Events(events)));
            }
            if !self.told {
                self.told = true;
                return Some(Ok(Followed::CaughtUp(self.last)));
            }
            self.ended = self.head.changed().await.is_err();
            if self.ended {
                return Some(Err(LogError::Unavailable(Box::new(Closed))));
            }
        }
        None
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self { kept: Arc::default(), head: watch::Sender::new(Position::START) }
    }
}

/// A writer that panicked has left nothing half done: all that can fail in an append comes before its first change.
fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
