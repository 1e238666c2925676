//! The event log's port: one small trait over plain data, and what its backends must promise.
//!
//! A backend moves [`Envelope`]s and knows nothing of what they mean. Revisions and positions are opaque:
//! a revision is handed back and compared, a position is ordered and printable. `tests/backends` holds one contract
//! suite that every backend passes.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::{BoxStream, StreamExt};
use gatebook_events::envelope::{CommitId, Envelope, Position, Revision, StoredEvent, StreamName};

mod chain;
pub mod jetstream;
pub mod kurrentdb;
pub mod memory;
mod merkle;
pub mod shared;
pub mod sqlite;
pub mod watched;

pub use chain::{BrokenChain, ChainHash, Wrong};
pub use merkle::{Root, Tree};

/// Where events are kept for ever.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// All events of one stream, in order. A stream that nobody wrote to has no events and no revision.
    async fn read(&self, stream: &StreamName) -> Result<StreamEvents, LogError>;

    /// The events of a stream after a revision that was read or written before. None where the stream has no such revision: then
    /// all of it has to be read.
    async fn read_after(&self, stream: &StreamName, known: Revision) -> Result<Option<StreamEvents>, LogError> {
        let StreamEvents { mut events, revision } = self.read(stream).await?;
        let place = events.iter().position(|event| event.revision == known);
        Ok(place.map(|place| StreamEvents { events: events.split_off(place + 1), revision }))
    }

    /// Appends the events of one commit: all or none, durable before this returns `Ok`, never half visible to a reader.
    ///
    /// A commit that already stands in the log, as told by its id and its events' ids, is
    /// [`Appended`] with `duplicate: true` whatever `expected` says, and nothing is written twice.
    async fn append(&self, append: Append) -> Result<Appended, AppendError>;

    /// The names of all streams that begin with this, in no particular order. For kinds of which there are few.
    async fn streams(&self, prefix: &str) -> Result<Vec<StreamName>, LogError>;

    /// Every event of every stream after `after`, in order and without end. Says each time when it has caught up.
    ///
    /// What was read is verified against the hash chain; a break ends the stream with [`LogError::Broken`].
    fn follow(&self, after: Position) -> BoxStream<'static, Result<Followed, LogError>>;

    /// The position of the last event that a reader can see; the start when there is none.
    async fn head(&self) -> Result<Position, LogError>;

    /// What the event at a position and all before it hash to; [`BrokenChain`] where there is no such event. Backends that keep
    /// hashes look it up; others read from the first event on.
    async fn hash_at(&self, position: Position) -> Result<ChainHash, LogError> {
        let (mut hash, mut last) = (ChainHash::START, Position::START);
        let mut following = self.follow(Position::START);
        while last < position {
            let Some(Followed::Events(events)) = following.next().await.transpose()? else { break };
            for envelope in events.iter().take_while(|envelope| envelope.position <= position) {
                (hash, last) = (hash.then(envelope), envelope.position);
            }
            if events.last().is_some_and(|end| end.position > position) {
                break;
            }
        }
        if last == position { Ok(hash) } else { Err(BrokenChain::missing(position).into()) }
    }

    /// Whether an append would be taken now. Asked after one was not; backends that can tell write something that is no event.
    async fn probe(&self) -> Result<(), AppendError> {
        self.head().await.map(drop).map_err(|error| AppendError::Unavailable(Box::new(error)))
    }

    /// Waits until a reader can see a position, which another node may have named. False if that takes longer than `bound`.
    async fn reached(&self, position: Position, bound: Duration) -> Result<bool, LogError> {
        let head = self.head().await?;
        if head >= position {
            return Ok(true);
        }
        let arrived = async {
            let mut following = self.follow(head);
            while let Some(followed) = following.next().await {
                match followed? {
                    Followed::Events(events) if events.last().is_some_and(|last| last.position >= position) => return Ok(true),
                    Followed::Events(_) | Followed::CaughtUp(_) => {}
                }
            }
            Ok(false)
        };
        tokio::time::timeout(bound, arrived).await.unwrap_or(Ok(false))
    }
}

/// One stream's events, with the revision to append at.
#[derive(Debug, Clone, Default)]
pub struct StreamEvents {
    /// The events, oldest first.
    pub events: Vec<Envelope>,
    /// The stream's revision; none while it is empty.
    pub revision: Option<Revision>,
}

/// A request to append.
#[derive(Debug, Clone)]
pub struct Append {
    /// The stream to append to.
    pub stream: StreamName,
    /// What the writer believes about the stream.
    pub expected: Expected,
    /// The same for every try of the same write.
    pub commit: CommitId,
    /// One event or more.
    pub events: Vec<StoredEvent>,
}

impl Append {
    /// The append as every backend takes it: refused if it can never succeed, its times cut to the microseconds that are stored.
    pub fn checked(mut self) -> Result<Self, AppendError> {
        if self.events.is_empty() {
            return Err(AppendError::Refused("it has no events".to_owned()));
        }
        let mut ids = HashSet::with_capacity(self.events.len());
        for event in &mut self.events {
            if !ids.insert(event.id) {
                return Err(AppendError::Refused(format!("it has the event {} twice", event.id.0)));
            }
            event.recorded_at = microseconds(event.recorded_at);
        }
        Ok(self)
    }
}

/// The same moment without what is finer than a microsecond.
fn microseconds(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}

/// What a writer believes about a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nobody wrote to it.
    Empty,
    /// Its last write left this revision.
    At(Revision),
}

impl From<Option<Revision>> for Expected {
    fn from(revision: Option<Revision>) -> Self {
        revision.map_or(Self::Empty, Self::At)
    }
}

/// An append that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The stream's revision after the commit's last event.
    pub revision: Revision,
    /// The position of the commit's last event.
    pub position: Position,
    /// Whether an earlier try had already landed.
    pub duplicate: bool,
}

/// What [`EventLog::follow`] yields.
#[derive(Debug, Clone)]
pub enum Followed {
    /// One event or more, in order.
    Events(Vec<Envelope>),
    /// There is nothing after this position at the moment.
    CaughtUp(Position),
}

/// Why an append does not stand, or may not.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody else wrote to the stream first. Nothing was written.
    #[error("the stream {stream} has moved on")]
    Conflict {
        /// The stream in question.
        stream: StreamName,
        /// Its revision now, as far as the backend knows.
        current: Option<Revision>,
    },
    /// The answer was lost: the commit stands or it does not. Retrying with the same ids finds out.
    #[error("the outcome of the append is not known")]
    Indeterminate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The log cannot be written to now. Nothing was written.
    #[error("the event log is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The request can never succeed: no events, an event id used twice, or more than the backend takes at once.
    #[error("the append is not acceptable: {0}")]
    Refused(String),
}

/// Why the log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The log cannot be reached now.
    #[error("the event log is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is stored is not what was written.
    #[error(transparent)]
    Broken(#[from] BrokenChain),
}

/// The log was closed in this process, or is open for reading only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event log is closed")]
pub struct Closed;
