//! How far this node knows the feed to be, for when the stream itself no longer says.

use std::path::Path;

use gatebook_events::envelope::Position;
use rusqlite::{OptionalExtension, params};

use crate::side_table::{NotKept, OpenError, SideTable};

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS feed (stream TEXT PRIMARY KEY NOT NULL, position INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

/// A file with one position for each stream. Cheap to clone.
#[derive(Clone)]
pub struct Checkpoint(SideTable);

impl Checkpoint {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        SideTable::open(path, "how far the feed is", SCHEMA).map(Self)
    }

    /// How far a stream was.
    pub async fn of(&self, stream: &str) -> Result<Option<Position>, NotKept> {
        let stream = stream.to_owned();
        let read = self.0.with(move |connection| {
            connection.query_row("SELECT position FROM feed WHERE stream = ?1", [stream], |row| row.get::<_, i64>(0)).optional()
        });
        Ok(read.await?.map(|position| Position::from_backend(position.cast_unsigned())))
    }

    /// Notes how far a stream is.
    pub async fn note(&self, stream: &str, position: Position) -> Result<(), NotKept> {
        const NOTE: &str = "INSERT INTO feed (stream, position) VALUES (?1, ?2) \
            ON CONFLICT DO UPDATE SET position = excluded.position WHERE position <> excluded.position";
        let (stream, position) = (stream.to_owned(), position.to_backend().cast_signed());
        self.0.with(move |connection| connection.prepare_cached(NOTE)?.execute(params![stream, position]).map(drop)).await
    }
}
