//! Verifying a whole log: every event against the chain, and every stream against the events it has.

use std::path::Path;

use gatebook_events::envelope::{Envelope, Position};

use super::reader::{Reader, Stretch};
use crate::event_log::merkle::Tree;
use crate::event_log::{ChainHash, LogError, Root};

/// How many events are read between two words of progress.
const BATCH: usize = 8192;

/// What a log that is whole comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// How many events there are.
    pub events: u64,
    /// Where the last of them stands.
    pub head: Position,
    /// What all of them hash to. Two logs with the same hash hold the same events.
    pub hash: ChainHash,
    /// The root of the Merkle tree over them.
    pub root: Root,
}

pub fn verify(
    path: &Path,
    head: Position,
    mut progress: impl FnMut(Position, Position),
    mut look: impl FnMut(&[Envelope]),
) -> Result<Summary, LogError> {
    let mut reader = Reader::open(path).map_err(|error| LogError::Unavailable(Box::new(error)))?;
    let mut tree = Tree::default();
    let mut summary = Summary { events: 0, head: Position::START, hash: ChainHash::START, root: tree.root() };
    while summary.head < head {
        let Stretch { events, hash } = reader.stretch((summary.head, Some(summary.hash)), head, BATCH)?;
        let Some(last) = events.last() else { break };
        for event in &events {
            tree.push(event);
        }
        summary = Summary { events: summary.events + events.len() as u64, head: last.position, hash, root: tree.root() };
        look(&events);
        progress(summary.head, head);
    }
    match reader.miscounted()? {
        Some(broken) => Err(broken.into()),
        None => Ok(summary),
    }
}
