//! Backups: a copy of the log in one file that says of itself what is in it, and the way back.

use std::fs::File;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use gatebook_events::envelope::Position;
use rusqlite::{Connection, OptionalExtension, Row};

use super::copy::{Copied, CopyError, copy};
use super::row;
use super::schema::{self, OpenError};
use super::verify::verify;
use crate::event_log::{ChainHash, LogError};
use crate::platform::atomic_file::{Draft, DraftError, with_ending};

/// Beside the log's own tables. The note is the last row that is written.
const TABLES: &str = "
    CREATE TABLE kept_files (
        name    TEXT PRIMARY KEY NOT NULL,
        content TEXT NOT NULL
    ) STRICT;
    CREATE TABLE backup (
        taken_at INTEGER NOT NULL,
        events   INTEGER NOT NULL,
        position INTEGER NOT NULL,
        hash     BLOB NOT NULL
    ) STRICT;
";

/// What the log's files may be called beside its own name. A new log must not find any of another one.
const COMPANIONS: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// When it was taken.
    pub taken_at: DateTime<Utc>,
    /// The log's events up to then.
    pub summary: Copied,
    /// Small files of the data folder that were kept with it: name and content.
    pub files: Vec<(String, String)>,
}

/// Why there is no backup, or none to go back to.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The log cannot be copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The file cannot be written.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// The file cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file is a log, but no backup of one.
    #[error("{} is not a backup: the note that `gatebook backup` leaves in it is missing", .0.display())]
    NoNote(PathBuf),
    /// The file cannot be read.
    #[error("the backup cannot be read")]
    Read(#[from] rusqlite::Error),
    /// What is in the backup is not what was written to the log.
    #[error("the backup is damaged")]
    Broken(#[from] LogError),
    /// The chain holds, and it is another one than the backup's note says.
    #[error("the backup's note speaks of {} events, and it has {found} with another head", .noted.events)]
    Other {
        /// What the note says.
        noted: Copied,
        /// How many events there are.
        found: u64,
    },
    /// There is a log, or a part of one.
    #[error("{} is there already, and a restore overwrites nothing: move it away first", .0.display())]
    Taken(PathBuf),
}

/// Copies the log at `log`, as it stands now, into a file that does not exist before all of it is on the disk.
pub fn take(
    log: &Path,
    to: &Path,
    (taken_at, files): (DateTime<Utc>, &[(String, String)]),
    progress: impl FnMut(Position, Position),
) -> Result<Copied, BackupError> {
    vacant(to).map_err(DraftError::Taken)?;
    let draft = Draft::begin(to)?;
    let summary = copy(log, draft.path(), progress, |copy, summary| note(copy, taken_at, summary, files))?;
    draft.finish()?;
    Ok(summary)
}

fn note(copy: &Connection, taken_at: DateTime<Utc>, summary: &Copied, files: &[(String, String)]) -> rusqlite::Result<()> {
    copy.execute_batch(TABLES)?;
    for (name, content) in files {
        copy.execute("INSERT INTO kept_files VALUES (?1, ?2)", (name, content))?;
    }
    let (events, position) = (row::to_sql(summary.events), row::to_sql(summary.head.to_backend()));
    let row = (taken_at.timestamp_micros(), events, position, summary.hash.as_bytes());
    copy.execute("INSERT INTO backup VALUES (?1, ?2, ?3, ?4)", row).map(drop)
}

/// What is in a backup, once every event of it was verified. Nothing is written.
pub fn inspect(file: &Path, progress: impl FnMut(Position, Position)) -> Result<Backup, BackupError> {
    let connection = schema::open_reader(file)?;
    let no_note = || BackupError::NoNote(file.to_owned());
    let tables = "SELECT count(*) = 2 FROM sqlite_schema WHERE type = 'table' AND name IN ('backup', 'kept_files')";
    if !connection.query_row(tables, [], |row| row.get(0))? {
        return Err(no_note());
    }
    let found = connection.query_row("SELECT taken_at, events, position, hash FROM backup", [], noted).optional()?;
    let (taken_at, noted) = found.flatten().ok_or_else(no_note)?;
    let mut files = connection.prepare("SELECT name, content FROM kept_files ORDER BY name")?;
    let files = files.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let head = super::reader::head(&connection)?.0;
    let found = verify(file, head, progress, |_| ())?;
    if (Copied { events: found.events, head: found.head, hash: found.hash }) != noted {
        return Err(BackupError::Other { noted, found: found.events });
    }
    Ok(Backup { taken_at, summary: noted, files })
}

fn noted(row: &Row<'_>) -> rusqlite::Result<Option<(DateTime<Utc>, Copied)>> {
    let taken_at = DateTime::from_timestamp_micros(row.get(0)?);
    let hash = row::bytes(row, 3).and_then(ChainHash::from_stored);
    let numbers = row::number(row, 1).zip(row::number(row, 2));
    Ok(taken_at
        .zip(hash)
        .zip(numbers)
        .map(|((taken_at, hash), (events, position))| (taken_at, Copied { events, head: Position::from_backend(position), hash })))
}

/// A place for a log where there is none, held until one is there.
#[derive(Debug)]
pub struct Vacant {
    path: PathBuf,
    lock: File,
}

/// A log that has everything and not yet its name.
#[derive(Debug)]
pub struct Restored {
    draft: Draft,
    _lock: File,
}

impl Vacant {
    /// The place at `path`, for this process alone.
    pub fn take(path: &Path) -> Result<Self, BackupError> {
        let lock = schema::lock(path)?;
        vacant(path).map_err(BackupError::Taken)?;
        Ok(Self { path: path.to_owned(), lock })
    }

    /// Copies a backup's events next to their place, verified once more.
    pub fn restore(self, backup: &Path, progress: impl FnMut(Position, Position)) -> Result<Restored, BackupError> {
        let draft = Draft::begin(&self.path)?;
        copy(backup, draft.path(), progress, |_, _| Ok(()))?;
        Ok(Restored { draft, _lock: self.lock })
    }
}

impl Restored {
    /// From here on there is a log.
    pub fn put_in_place(self) -> Result<(), BackupError> {
        self.draft.finish().map_err(BackupError::from)
    }
}

/// Whether a database could be put there; what is in the way, if not.
fn vacant(path: &Path) -> Result<(), PathBuf> {
    let taken = COMPANIONS.iter().map(|ending| with_ending(path, ending)).find(|path| path.symlink_metadata().is_ok());
    taken.map_or(Ok(()), Err)
}
