//! The shape of the file, its lock, and how connections to it are opened.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::wal::{self, DamagedWal};
use crate::platform::atomic_file::{folder, with_ending};

/// The format that this build writes and the newest that it reads; kept in the file's `user_version`.
pub const FORMAT: i64 = 1;

/// How long a lock may be held by somebody who only asks whether anybody holds it.
const PATIENCE: Duration = Duration::from_millis(50);

/// What the name of the lock ends with.
const LOCK: &str = ".lock";

/// "GATE", kept in the file's `application_id`: another program's database is never taken for a log.
pub const APPLICATION: i64 = 0x4741_5445;

/// `hash` stands before the two texts, so that following the chain does not walk the pages that long texts overflow into.
///
/// A stream's revision counts its events from 1. A commit's id stands with each of its events.
pub const TABLES: &str = "
    CREATE TABLE streams (
        id       INTEGER PRIMARY KEY,
        name     TEXT NOT NULL UNIQUE,
        revision INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE events (
        position    INTEGER PRIMARY KEY,
        stream      INTEGER NOT NULL,
        revision    INTEGER NOT NULL,
        id          BLOB NOT NULL UNIQUE,
        commit_id   BLOB NOT NULL,
        hash        BLOB NOT NULL,
        name        TEXT NOT NULL,
        version     INTEGER NOT NULL,
        recorded_at INTEGER NOT NULL,
        meta        TEXT NOT NULL,
        data        TEXT NOT NULL
    ) STRICT;
";

/// Apart from the tables, because a copy of many events makes them faster when all events are there.
pub const INDEXES: &str = "
    CREATE UNIQUE INDEX events_by_stream ON events (stream, revision);
    CREATE INDEX events_by_commit ON events (commit_id);
";

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Only one process may write to a log.
    #[error("{} is in use by another gatebook", .0.display())]
    InUse(PathBuf),
    /// A later build wrote the file.
    #[error("{} has format {found}, and this build knows formats up to {FORMAT}: use a newer gatebook", .path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// The file is a database, but not a log.
    #[error("{} is not an event log", .0.display())]
    NotALog(PathBuf),
    /// What was last written is damaged, and SQLite would go on without it.
    #[error(transparent)]
    DamagedWal(#[from] DamagedWal),
    /// The file, its folder or its lock cannot be used.
    #[error("the event log's file cannot be used")]
    Io(#[from] std::io::Error),
    /// SQLite cannot use the file.
    #[error("the event log's file cannot be opened")]
    Sqlite(#[from] rusqlite::Error),
}

/// Whether a process has the log open to write to it.
pub fn in_use(path: &Path) -> bool {
    // Let go of at once; whoever wants to write waits for so long.
    File::open(with_ending(path, LOCK)).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Takes the lock beside the log, held for as long as the file that is returned.
pub fn lock(path: &Path) -> Result<File, OpenError> {
    let file = private().open(with_ending(path, LOCK))?;
    let given_up = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < given_up => std::thread::sleep(PATIENCE / 10),
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}

/// The one connection that writes. Creates the log if there is none.
pub fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    // SQLite gives the files beside it the mode of the file itself, so creating that one is enough.
    private().open(path)?.sync_all()?;
    wal::inspect(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = connect(path, flags)?;
    let format = format(&connection, path)?;
    connection.pragma_update(None, "page_size", 8192)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // An answer promises that the event survives a power cut: the file is synchronised before each one.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.pragma_update(None, "wal_autocheckpoint", 8000)?;
    connection.set_prepared_statement_cache_capacity(32);
    // A process that was killed between writing and synchronising left events that can be read but are not yet safe from a
    // power cut. A retry will be told that they stand, so they are made safe first.
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    if format == 0 {
        let created =
            format!("BEGIN IMMEDIATE; {TABLES} {INDEXES} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT}; COMMIT;");
        connection.execute_batch(&created)?;
        // The file's name must survive a power cut as well as its content.
        #[cfg(unix)]
        File::open(folder(path))?.sync_all()?;
    }
    Ok(connection)
}

/// A connection that reads what was committed, whoever writes.
pub fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    // While somebody writes, the file changes under whoever looks at it, and the writer has looked already.
    if !in_use(path) {
        let looked = wal::inspect(path);
        if !in_use(path) {
            looked?;
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = connect(path, flags)?;
    if format(&connection, path)? == 0 {
        return Err(OpenError::NotALog(path.to_owned()));
    }
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "cache_size", -8192)?;
    Ok(connection)
}

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    // Without this guarantee SQLite plans a statement anew for other values, which costs more than our statements themselves.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// The format of the file; 0 if there is nothing in it yet.
fn format(connection: &Connection, path: &Path) -> Result<i64, OpenError> {
    let number = |pragma| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let application = number("PRAGMA application_id")?;
    let format = number("PRAGMA user_version")?;
    let things = number("SELECT count(*) FROM sqlite_schema")?;
    if things == 0 && application == 0 && format == 0 {
        return Ok(0);
    }
    if application != APPLICATION || format < 1 {
        return Err(OpenError::NotALog(path.to_owned()));
    }
    if format > FORMAT {
        return Err(OpenError::NewerFormat { path: path.to_owned(), found: format });
    }
    Ok(format)
}

/// How files are created here: with hashed secrets in them, they are for their owner only.
fn private() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
