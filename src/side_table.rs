//! SQLite files beside the log: they survive a restart, and no event depends on them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

/// A file of its own with tables in it. Cheap to clone.
#[derive(Clone)]
pub struct SideTable {
    connection: Arc<Mutex<Connection>>,
    what: &'static str,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to open {path}")]
pub struct SideTableError {
    path: PathBuf,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// The tables cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("failed to keep {what}")]
pub struct NotKept {
    what: &'static str,
    source: Option<rusqlite::Error>,
}

impl SideTable {
    /// Opens the file, or makes it. `what` is in it, for the log's lines.
    pub fn open(path: &Path, what: &'static str, schema: &str) -> Result<Self, SideTableError> {
        let open = || -> Result<Connection, Box<dyn std::error::Error + Send + Sync>> {
            // SQLite would let everybody read it; what it puts beside the file takes over the file's mode.
            create_private(path)?;
            let connection = Connection::open(path)?;
            // Losing the last moments of it has things done again that were done, so nobody waits for the disk.
            connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")?;
            connection.execute_batch(schema)?;
            Ok(connection)
        };
        let connection = open().map_err(|source| SideTableError { path: path.to_owned(), source })?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), what })
    }

    /// Does something with the tables, on a thread that may block.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, NotKept> {
        let (connection, what) = (self.connection.clone(), self.what);
        let done = tokio::task::spawn_blocking(move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))).await;
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
