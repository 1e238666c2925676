//! The port of a log that several nodes share: an order of commits that some engine keeps for all of them.
//!
//! It is smaller than [`EventLog`](super::EventLog). Each node keeps a mirror of it in a file of its own, and what reads, follows
//! and is asked for a position asks the mirror. Whether an entry stands is decided where it is mirrored, in the order that all
//! nodes see: so every node decides alike, and an engine that lets two writers through where one should be makes no difference.

use std::collections::HashMap;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use gatebook_events::envelope::{CommitId, Position, Revision, StoredEvent, StreamName};

use super::{Expected, LogError};

/// A log that several nodes share. Positions and revisions are the engine's own; a mirror counts its events by itself.
#[async_trait]
pub trait SharedLog: Send + Sync + 'static {
    /// Which log it is: the same for all nodes, and another once somebody made it anew.
    fn identity(&self) -> &str;

    /// Adds an entry behind all others, if the stream's last entry is the expected one.
    ///
    /// One and the same commit may be published again and again.
    async fn publish(&self, commit: &Commit) -> Result<Published, PublishError>;

    /// What a stream's last entry is known by once this commit is in at this position.
    fn left_by(&self, commit: &Commit, position: Position) -> Revision;

    /// Adds entries behind the one at a position, in this order, for a log that nobody else writes to: none of them is in unless those
    /// before it are. One whose stream has an earlier one among them is expected behind that one, whatever it says itself, because
    /// that could not be known before. Says where the last one stands.
    async fn load(&self, commits: Vec<Commit>, behind: Position) -> Result<Position, PublishError> {
        let (mut last, mut left) = (behind, HashMap::new());
        for mut commit in commits {
            if let Some(revision) = left.get(&commit.stream) {
                commit.expected = Expected::At(*revision);
            }
            last = self.publish(&commit).await?.position;
            left.insert(commit.stream.clone(), self.left_by(&commit, last));
        }
        Ok(last)
    }

    /// Every entry after a position, in order and without end. Ends with an error, after which it can be followed anew.
    fn follow(&self, after: Position) -> BoxStream<'static, Result<Vec<Entry>, LogError>>;

    /// The position of the last entry, as whoever orders the entries knows it now.
    async fn head(&self) -> Result<Position, LogError>;
}

/// What is to be published: one append.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The stream.
    pub stream: StreamName,
    /// The revision that the stream's last entry left, in the engine's own terms.
    pub expected: Expected,
    /// The same for every try.
    pub id: CommitId,
    /// One event or more.
    pub events: Vec<StoredEvent>,
}

/// A commit with its place in the order.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its place.
    pub position: Position,
    /// What the stream's last entry is known by from now on.
    pub revision: Revision,
    /// What was published.
    pub commit: Commit,
}

/// An entry that is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Where the entry stands; where an earlier try stands, if there was one.
    pub position: Position,
    /// Whether it was an earlier try that got in.
    pub duplicate: bool,
}

/// Why an entry is not in, or may not be.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The stream's last entry is another one. It may be an earlier try of this very commit.
    #[error("the stream has moved on")]
    Conflict,
    /// Something else is on its way into the stream, maybe an earlier try of this very commit. Worth another try soon.
    #[error("another entry of the stream is on its way")]
    Busy,
    /// No answer came: the entry may be in.
    #[error("the outcome is not known")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nobody took it.
    #[error("nobody takes entries now")]
    NotTaken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It can never be taken.
    #[error("the engine never takes it: {0}")]
    Never(String),
}
