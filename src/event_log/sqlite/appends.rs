//! The appends that a log is made of, in order and as they were made: what another log can be made of.

use std::path::Path;

use gatebook_events::envelope::{CommitId, Position, Revision};
use uuid::Uuid;

use super::reader::Reader;
use super::schema::OpenError;
use crate::event_log::{Append, ChainHash, Expected, LogError};

/// Reads a log's file append by append, each event verified.
#[derive(Debug)]
pub struct Appends {
    reader: Reader,
    at: Position,
    hash: ChainHash,
    head: Position,
}

impl Appends {
    /// Those after a position at which an append ends, up to the head as it is now.
    pub fn after(path: &Path, position: Position) -> Result<Self, AppendsError> {
        let mut reader = Reader::open(path)?;
        let head = reader.head().map_err(OpenError::from)?.0;
        let hash = reader.hash_at(position)?;
        Ok(Self { reader, at: position, hash, head })
    }

    /// The head that it goes up to.
    pub fn head(&self) -> Position {
        self.head
    }

    /// The next appends, of about so many events, each with the position that its last event has; none at the end. Blocks.
    pub fn next(&mut self, events: usize) -> Result<Vec<(Append, Position)>, LogError> {
        let (mut appends, mut upto): (Vec<(Append, Position)>, u64) = (Vec::new(), self.at.to_backend() + events as u64);
        upto = upto.min(self.head.to_backend());
        if upto <= self.at.to_backend() {
            return Ok(appends);
        }
        // Where an append ends, so that none is cut in two.
        upto = self.reader.end_of_append(upto)?.min(self.head.to_backend());
        self.hash = self.reader.each((self.at.to_backend(), self.hash), upto, |envelope, _, commit| {
            let commit = CommitId(Uuid::from_slice(commit).unwrap_or(envelope.event.id.0));
            let position = envelope.position;
            match appends.last_mut() {
                Some((last, upto)) if last.commit == commit && last.stream == envelope.stream => {
                    last.events.push(envelope.event);
                    *upto = position;
                }
                _ => {
                    let before = envelope.revision.to_backend().saturating_sub(1);
                    let expected = if before == 0 { Expected::Empty } else { Expected::At(Revision::from_backend(before)) };
                    appends.push((Append { stream: envelope.stream, expected, commit, events: vec![envelope.event] }, position));
                }
            }
            Ok::<(), LogError>(())
        })?;
        self.at = Position::from_backend(upto);
        Ok(appends)
    }
}

/// Why the appends cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AppendsError {
    /// The file cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It is not what was written.
    #[error(transparent)]
    Log(#[from] LogError),
}
