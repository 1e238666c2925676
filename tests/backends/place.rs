//! Where a backend under test keeps its log, and the few words that the tests are written with.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use futures_util::StreamExt;
use gatebook::event_log::{Append, AppendError, Appended, EventLog, Expected, Followed, LogError};
use gatebook_events::envelope::{CommitId, Envelope, EventId, Position, StoredEvent, StreamName};
use uuid::Uuid;

/// A fresh, empty place for one log. Dropping it removes what was kept there.
#[async_trait]
pub trait Place: Send + Sync {
    /// Opens the log in this place. A second opening comes after the first log was dropped.
    async fn open(&self) -> Arc<dyn EventLog>;

    /// Whether the second opening finds what the first one kept.
    fn keeps(&self) -> bool;
}

/// A place, or why the backend cannot be tried here and now.
pub type Found = Result<Box<dyn Place>, String>;

/// The longest that anything here may take before the test says what it waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An event with a new id.
pub fn event(data: &str) -> StoredEvent {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = i64::try_from(COUNT.fetch_add(1, Ordering::Relaxed)).unwrap();
    StoredEvent {
        id: EventId(Uuid::now_v7()),
        name: Arc::from("client.registered"),
        version: 1,
        recorded_at: DateTime::from_timestamp_micros(1_800_000_000_000_000 + count).unwrap(),
        meta: Arc::from(r#"{"actor":{"kind":"system"}}"#),
        data: Arc::from(data),
    }
}

/// As many events as asked for.
pub fn events(count: usize) -> Vec<StoredEvent> {
    (0..count).map(|n| event(&format!(r#"{{"n":{n}}}"#))).collect()
}

/// A stream that nothing else uses.
pub fn stream() -> StreamName {
    named(&format!("client-{}", Uuid::now_v7()))
}

pub fn named(name: &str) -> StreamName {
    StreamName(Arc::from(name))
}

/// An append with a new commit id.
pub fn append(stream: &StreamName, expected: impl Into<Expected>, events: Vec<StoredEvent>) -> Append {
    Append { stream: stream.clone(), expected: expected.into(), commit: CommitId(Uuid::now_v7()), events }
}

/// Appends to whatever revision the stream has, which nobody else writes to.
pub async fn write(log: &dyn EventLog, stream: &StreamName, events: Vec<StoredEvent>) -> Appended {
    let before = log.read(stream).await.unwrap().revision;
    log.append(append(stream, before, events)).await.unwrap()
}

/// The events of a stream as they were handed to the log.
pub async fn stored(log: &dyn EventLog, stream: &StreamName) -> Vec<StoredEvent> {
    log.read(stream).await.unwrap().events.into_iter().map(|one| one.event).collect()
}

/// Everything after a position, up to the first time that the log says that this is all, or the first error.
pub async fn followed(log: &dyn EventLog, after: Position) -> Result<(Vec<Envelope>, Position), LogError> {
    let reading = async {
        let mut following = log.follow(after);
        let mut all = Vec::new();
        loop {
            match following.next().await.expect("a log's stream does not end by itself")? {
                Followed::Events(events) => {
                    assert!(!events.is_empty(), "a batch has events");
                    all.extend(events);
                }
                Followed::CaughtUp(at) => return Ok((all, at)),
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the log says when it has caught up")
}

/// Everything from the start up to a position that is known to be there.
pub async fn everything(log: &dyn EventLog, upto: Position) -> Vec<Envelope> {
    loop {
        let (all, at) = followed(log, Position::START).await.unwrap();
        if at >= upto {
            assert_eq!(at, all.last().map(|last| last.position).unwrap_or_default());
            assert!(all.is_sorted_by_key(|one| one.position), "positions only grow");
            return all;
        }
    }
}

pub fn is_conflict(answer: &Result<Appended, AppendError>) -> bool {
    matches!(answer, Err(AppendError::Conflict { .. }))
}

pub fn is_refused(answer: &Result<Appended, AppendError>) -> bool {
    matches!(answer, Err(AppendError::Refused(_)))
}
