//! How a row reads as an event, and what is said of a row that does not.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::DateTime;
use gatebook_events::envelope::{Envelope, EventId, Position, Revision, StoredEvent, StreamName};
use rusqlite::Row;
use uuid::Uuid;

use crate::event_log::{BrokenChain, ChainHash, LogError, Wrong};

/// What every query that reads events selects, in the order that [`Names::event`] expects.
///
/// A macro, because a query's text is put together while compiling.
macro_rules! select_events {
    ($rest:literal) => {
        concat!("SELECT e.position, s.name, e.revision, e.id, e.hash, e.name, e.version, e.recorded_at, e.meta, e.data ", $rest)
    };
}
pub(super) use select_events;

/// The names of events met so far, each kept once: there are few, and millions of events bear them.
#[derive(Debug, Default)]
pub struct Names {
    known: HashMap<Box<str>, Arc<str>>,
    /// What surrounded the event before: events of one append share it.
    meta: Option<Arc<str>>,
}

impl Names {
    /// No instance has nearly as many kinds of event; a file that was tampered with may.
    const MOST: usize = 1024;

    /// The event of a row, and the hash that was stored with it.
    pub fn event(&mut self, row: &Row<'_>) -> Result<(Envelope, ChainHash), LogError> {
        let position = number(row, 0).map(Position::from_backend);
        let stream = text(row, 1).map(|name| StreamName(Arc::from(name)));
        let id = bytes(row, 3).and_then(|id| Uuid::from_slice(id).ok()).map(EventId);
        let read = || {
            let revision = Revision::from_backend(number(row, 2)?);
            let hash = ChainHash::from_stored(bytes(row, 4)?)?;
            let event = StoredEvent {
                id: id?,
                name: self.name(text(row, 5)?),
                version: u16::try_from(number(row, 6)?).ok()?,
                recorded_at: DateTime::from_timestamp_micros(row.get_ref(7).ok()?.as_i64().ok()?)?,
                meta: self.meta(text(row, 8)?),
                data: Arc::from(text(row, 9)?),
            };
            Some((Envelope { position: position?, stream: stream.clone()?, revision, event }, hash))
        };
        let mut read = read;
        read().ok_or_else(|| {
            let position = position.unwrap_or_default();
            BrokenChain { position, event: id, stream: stream.clone(), wrong: Wrong::Unreadable }.into()
        })
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        if self.known.len() >= Self::MOST {
            self.known.clear();
        }
        let new: Arc<str> = Arc::from(name);
        self.known.insert(Box::from(name), new.clone());
        new
    }

    fn meta(&mut self, meta: &str) -> Arc<str> {
        match &self.meta {
            Some(last) if **last == *meta => last.clone(),
            _ => self.meta.insert(Arc::from(meta)).clone(),
        }
    }
}

/// The number as SQLite keeps it. There are fewer events than that.
pub fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub fn number(row: &Row<'_>, column: usize) -> Option<u64> {
    u64::try_from(row.get_ref(column).ok()?.as_i64().ok()?).ok()
}

pub fn bytes<'row>(row: &'row Row<'_>, column: usize) -> Option<&'row [u8]> {
    row.get_ref(column).ok()?.as_blob().ok()
}

fn text<'row>(row: &'row Row<'_>, column: usize) -> Option<&'row str> {
    row.get_ref(column).ok()?.as_str().ok()
}
