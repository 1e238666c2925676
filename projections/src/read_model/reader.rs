//! Queries: a small pool of connections that cannot write.

use std::fmt::Write;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::QueryError;
use super::files;

/// The most idle connections that are kept for later queries. There may be more at once; they are closed after use.
const MOST_IDLE: usize = 8;

/// A handle for queries on one projection's tables. Cheap to clone; clones share their connections.
pub struct Reader<P> {
    pool: Arc<Pool>,
    projection: PhantomData<fn() -> P>,
}

#[derive(Debug)]
struct Pool {
    /// The file. Held while a connection is opened, so that a swap finds nobody half way in.
    path: RwLock<PathBuf>,
    /// Counts how often the file was swapped: a connection to an older file is not used again.
    generation: AtomicU64,
    idle: Mutex<Vec<Connection>>,
}

impl<P> Clone for Reader<P> {
    fn clone(&self) -> Self {
        Self { pool: Arc::clone(&self.pool), projection: PhantomData }
    }
}

impl<P> std::fmt::Debug for Reader<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("path", &*self.pool.path.read().unwrap_or_else(PoisonError::into_inner)).finish_non_exhaustive()
    }
}

impl<P> Reader<P> {
    pub(super) fn new(path: PathBuf) -> Self {
        let pool = Pool { path: RwLock::new(path), generation: AtomicU64::new(0), idle: Mutex::default() };
        Self { pool: Arc::new(pool), projection: PhantomData }
    }

    /// Asks something. All statements of one call see the tables as they were at one moment. Blocks on the disk.
    pub fn with<T>(&self, ask: impl FnOnce(&Connection) -> Result<T, QueryError>) -> Result<T, QueryError> {
        let (connection, generation) = self.pool.take()?;
        let moment = connection.unchecked_transaction()?;
        let answer = ask(&moment);
        let ended = moment.finish();
        let mut idle = self.pool.idle();
        // A connection that could not end its transaction would show later queries an old moment.
        if ended.is_ok() && idle.len() < MOST_IDLE && self.pool.generation.load(Ordering::Acquire) == generation {
            idle.push(connection);
        }
        answer
    }

    /// Every row of every table as text, in a canonical order.
    pub fn dump(&self) -> Result<Vec<String>, QueryError> {
        self.with(dump)
    }

    /// Nobody begins a query until the gate is dropped; those that are under way go on.
    pub(super) fn close_gate(&self) -> Gate<'_> {
        Gate { pool: &self.pool, path: self.pool.path.write().unwrap_or_else(PoisonError::into_inner) }
    }
}

/// The way to the file, while nobody takes it.
pub(super) struct Gate<'a> {
    pool: &'a Pool,
    path: RwLockWriteGuard<'a, PathBuf>,
}

impl Gate<'_> {
    /// Makes later queries open this file, also where it is another one of the same name.
    pub fn lead_to(&mut self, path: PathBuf) {
        *self.path = path;
        let mut idle = self.pool.idle();
        self.pool.generation.fetch_add(1, Ordering::AcqRel);
        idle.clear();
    }
}

impl Pool {
    /// A panic elsewhere leaves at worst fewer connections, so a poisoned lock is as good as any.
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to the file that serves now, and which one that is.
    fn take(&self) -> Result<(Connection, u64), QueryError> {
        let path = self.path.read().unwrap_or_else(PoisonError::into_inner);
        let generation = self.generation.load(Ordering::Acquire);
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&path)?,
        };
        Ok((connection, generation))
    }
}

fn connect(path: &Path) -> Result<Connection, QueryError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    files::keep_statements(&connection)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.execute_batch("PRAGMA cache_size = -8192; PRAGMA mmap_size = 268435456; PRAGMA temp_store = MEMORY;")?;
    // SQLite opens the companions of a file when it first reads it; later they might be another file's.
    connection.query_row("PRAGMA schema_version", [], |_| Ok(()))?;
    Ok(connection)
}

pub(super) fn dump(connection: &Connection) -> Result<Vec<String>, QueryError> {
    let mut names = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name")?;
    let names = names.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    let mut lines = Vec::new();
    for name in names {
        // The log's hash is no row of the projection's.
        let columns = if name == "checkpoint" { "position" } else { "*" };
        let mut statement = connection.prepare(&format!("SELECT {columns} FROM {name}"))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let mut line = name.clone();
            for column in 0..columns {
                line.push('|');
                write_value(&mut line, row.get_ref(column)?);
            }
            lines.push(line);
        }
    }
    lines.sort_unstable();
    Ok(lines)
}

/// A value as text, the same for the same value.
pub(super) fn write_value(line: &mut String, value: ValueRef<'_>) {
    // Writing to a String cannot fail.
    let _ = match value {
        ValueRef::Null => write!(line, "null"),
        ValueRef::Integer(number) => write!(line, "{number}"),
        ValueRef::Real(number) => write!(line, "{number}"),
        ValueRef::Text(text) => write!(line, "{:?}", String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => bytes.iter().try_for_each(|byte| write!(line, "{byte:02x}")),
    };
}
