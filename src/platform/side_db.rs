//! SQLite files beside the log: they survive a restart, no event depends on them, and they may be thrown away.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use gatebook_projections::read_model::may_pass;
use rusqlite::{Connection, OpenFlags};

use crate::platform::spans::on_behalf;

/// A file of its own with tables in it. Cheap to clone.
#[derive(Clone)]
pub struct SideTable {
    connection: Arc<Mutex<Connection>>,
    what: &'static str,
    /// Why the tables could not be read or written the last time; none once they could.
    trouble: Arc<Mutex<Option<String>>>,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to open {path}")]
pub struct OpenError {
    path: PathBuf,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// Opens the file, or makes it, for its owner only.
pub fn open(path: &Path, schema: &str) -> Result<Connection, OpenError> {
    let open = || -> Result<Connection, Box<dyn std::error::Error + Send + Sync>> {
        // SQLite would let everybody read it; what it puts beside the file takes over the file's mode.
        create_private(path)?;
        let connection = Connection::open(path)?;
        // Losing the last seconds of it is no loss of facts, so nobody waits for the disk.
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")?;
        connection.execute_batch(schema)?;
        Ok(connection)
    };
    open().map_err(|source| OpenError { path: path.to_owned(), source })
}

/// What is wrong with the file at `path`, if it is there and something is.
pub fn damage(path: &Path) -> Option<String> {
    if !path.exists() {
        return None;
    }
    let check = || -> rusqlite::Result<String> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
    };
    match check() {
        Ok(sound) if sound == "ok" => None,
        Ok(damage) => Some(damage),
        Err(error) => Some(error.to_string()),
    }
}

/// The tables cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("failed to keep {what}")]
pub struct NotKept {
    what: &'static str,
    source: Option<rusqlite::Error>,
}

impl NotKept {
    /// Whether the surroundings refused and may give in.
    pub fn may_pass(&self) -> bool {
        self.source.as_ref().is_some_and(may_pass)
    }
}

impl SideTable {
    /// Opens the file, or makes it. `what` is in it, for the log's lines.
    pub fn open(path: &Path, what: &'static str, schema: &str) -> Result<Self, OpenError> {
        let connection = open(path, schema)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), what, trouble: Arc::default() })
    }

    /// What is in it.
    pub const fn what(&self) -> &'static str {
        self.what
    }

    /// Why the tables could not be read or written the last time. Each use is an attempt, so it passes by itself.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does something with the tables, on a thread that may block.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, NotKept> {
        let (connection, what) = (self.connection.clone(), self.what);
        let done =
            tokio::task::spawn_blocking(on_behalf(move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner)))).await;
        let trouble = done.as_ref().ok().and_then(|done| done.as_ref().err()).map(ToString::to_string);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        match done {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(NotKept { what, source: Some(error) }),
            Err(_) => Err(NotKept { what, source: None }),
        }
    }
}

fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
