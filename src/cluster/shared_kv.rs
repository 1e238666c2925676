//! What nodes share beside the log: notes, which anybody reads, and which only somebody writes who knows how they stand. No event
//! depends on them.

use async_trait::async_trait;
use bytes::Bytes;
use gatebook_events::envelope::Revision;

mod jetstream;
mod kurrentdb;

pub use jetstream::{JetStreamNotes, OpenError};
pub use kurrentdb::KurrentDbNotes;

/// A note as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it says; nothing if somebody cleared it by hand.
    pub text: Bytes,
    /// Handed back by whoever writes it next.
    pub revision: Revision,
}

/// Nobody who keeps notes answers.
#[derive(Debug, thiserror::Error)]
#[error("what nodes share beside the event log cannot be read or written now")]
pub struct Unavailable(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Why a note was not written.
#[derive(Debug, thiserror::Error)]
pub enum NotWritten {
    /// It stands otherwise than the writer knew.
    #[error("somebody else wrote this first")]
    Conflict,
    /// There was no answer, so that it may be written all the same.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Keeps notes for all nodes.
#[async_trait]
pub trait Notes: Send + Sync + 'static {
    /// A note as it stands; none if nobody ever wrote it. A key consists of letters, digits and hyphens.
    async fn read(&self, key: &str) -> Result<Option<Note>, Unavailable>;

    /// Writes a note that still stands as `known` says; none: that nobody ever wrote. Of many who know the same one succeeds.
    async fn write(&self, key: &str, text: Bytes, known: Option<Revision>) -> Result<Revision, NotWritten>;
}
