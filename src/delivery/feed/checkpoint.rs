//! How far this node knows the feed to be, for when the stream itself no longer says.

use std::path::Path;

use gatebook_events::envelope::Position;
use rusqlite::{OptionalExtension, Row, params};

use crate::platform::side_db::{NotKept, OpenError, SideTable};

/// What the log hashes to stands beside the position, because files of earlier builds have no place for it.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS feed (stream TEXT PRIMARY KEY NOT NULL, position INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hashes (stream TEXT PRIMARY KEY NOT NULL, position INTEGER NOT NULL, hash BLOB NOT NULL) STRICT, WITHOUT ROWID;
";

/// A file with one position for each stream. Cheap to clone.
#[derive(Clone)]
pub struct Checkpoint(SideTable);

impl Checkpoint {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        SideTable::open(path, "how far the feed is", SCHEMA).map(Self)
    }

    /// Where it is kept.
    pub fn table(&self) -> &SideTable {
        &self.0
    }

    /// How far a stream was, and what the log hashed to there; none where an earlier build noted it.
    pub async fn of(&self, stream: &str) -> Result<Option<(Position, Option<Vec<u8>>)>, NotKept> {
        const OF: &str = "SELECT feed.position, hash FROM feed LEFT JOIN hashes USING (stream, position) WHERE stream = ?1";
        let stream = stream.to_owned();
        let row = |row: &Row<'_>| Ok((Position::from_backend(row.get::<_, i64>(0)?.cast_unsigned()), row.get(1)?));
        self.0.with(move |connection| connection.query_row(OF, [stream], row).optional()).await
    }

    /// Notes how far a stream is.
    pub async fn note(&self, stream: &str, position: Position, hash: [u8; 32]) -> Result<(), NotKept> {
        const NOTE: &str = "INSERT INTO feed (stream, position) VALUES (?1, ?2) \
            ON CONFLICT DO UPDATE SET position = excluded.position WHERE position <> excluded.position";
        let (stream, position) = (stream.to_owned(), position.to_backend().cast_signed());
        self.0
            .with(move |connection| {
                let tx = connection.transaction()?;
                if tx.prepare_cached(NOTE)?.execute(params![stream, position])? > 0 {
                    let keep = "INSERT OR REPLACE INTO hashes VALUES (?1, ?2, ?3)";
                    tx.prepare_cached(keep)?.execute(params![stream, position, hash])?;
                }
                tx.commit()
            })
            .await
    }
}
