//! Queries: a small pool of connections that cannot write.

use std::fmt::Write;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    path: PathBuf,
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
        f.debug_struct("Reader").field("path", &self.pool.path).finish_non_exhaustive()
    }
}

impl<P> Reader<P> {
    pub(super) fn new(path: PathBuf) -> Self {
        let pool = Pool { path, generation: AtomicU64::new(0), idle: Mutex::default() };
        Self { pool: Arc::new(pool), projection: PhantomData }
    }

    pub(super) fn path(&self) -> &Path {
        &self.pool.path
    }

    /// Asks something. All statements of one call see the tables as they were at one moment. Blocks on the disk.
    pub fn with<T>(&self, ask: impl FnOnce(&Connection) -> Result<T, QueryError>) -> Result<T, QueryError> {
        let generation = self.pool.generation.load(Ordering::Acquire);
        let idle = self.pool.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.pool.connect()?,
        };
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

    /// Makes later queries open the file again.
    pub(super) fn forget_connections(&self) {
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

    fn connect(&self) -> Result<Connection, QueryError> {
        let connection = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        files::keep_statements(&connection)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        connection.execute_batch("PRAGMA cache_size = -8192; PRAGMA mmap_size = 268435456; PRAGMA temp_store = MEMORY;")?;
        Ok(connection)
    }
}

pub(super) fn dump(connection: &Connection) -> Result<Vec<String>, QueryError> {
    let mut names = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name")?;
    let names = names.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    let mut lines = Vec::new();
    for name in names {
        let mut statement = connection.prepare(&format!("SELECT * FROM {name}"))?;
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

fn write_value(line: &mut String, value: ValueRef<'_>) {
    // Writing to a String cannot fail.
    let _ = match value {
        ValueRef::Null => write!(line, "null"),
        ValueRef::Integer(number) => write!(line, "{number}"),
        ValueRef::Real(number) => write!(line, "{number}"),
        ValueRef::Text(text) => write!(line, "{:?}", String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => bytes.iter().try_for_each(|byte| write!(line, "{byte:02x}")),
    };
}
