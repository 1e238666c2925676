//! A log in another file: its events copied one by one, each verified before it is written, so that a copy holds nothing that
//! the chain does not vouch for. Indexes are made anew, so damage to those of the original stays behind.

use std::path::Path;

use gatebook_events::envelope::{Envelope, Position};
use rusqlite::{Connection, OpenFlags, params};

use super::reader::{self, Reader};
use super::row;
use super::schema::{APPLICATION, FORMAT, INDEXES, OpenError, TABLES};
use crate::event_log::{ChainHash, LogError, Wrong};

/// How many events are copied between two words of progress.
const BATCH: u64 = 8192;

/// Why a log cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The original cannot be opened.
    #[error("failed to open the event log")]
    Open(#[from] OpenError),
    /// The original is not what was written, or cannot be read.
    #[error("failed to read the event log")]
    Read(#[from] LogError),
    /// The copy cannot be written.
    #[error("failed to write the copy")]
    Write(#[from] rusqlite::Error),
}

/// How much of a log a copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// How many events.
    pub events: u64,
    /// The last of them.
    pub head: Position,
    /// What all of them hash to.
    pub hash: ChainHash,
}

/// Copies the log at `from`, as it stands now, into the empty file at `to`. Another process may be appending to it: what has
/// been appended never changes, so that nobody has to wait. `finish` may write more beside the events.
///
/// The copy is one file, which can be read where nothing can be written. It is not synchronised.
pub fn copy(
    from: &Path,
    to: &Path,
    mut progress: impl FnMut(Position, Position),
    finish: impl FnOnce(&Connection, &Copied) -> rusqlite::Result<()>,
) -> Result<Copied, CopyError> {
    let mut reader = Reader::open(from)?;
    let head = reader.head().map_err(OpenError::from)?.0;
    let mut copy = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // Nobody gets to see the file before it is whole, so it needs no way back.
    copy.execute_batch("PRAGMA page_size = 8192; PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;")?;
    copy.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(()))?;
    copy.execute_batch(TABLES)?;
    let mut summary = Copied { events: 0, head: Position::START, hash: ChainHash::START };
    while summary.head < head {
        let upto = head.to_backend().min(summary.head.to_backend() + BATCH);
        let tx = copy.transaction()?;
        let hash = some(&mut reader, &tx, &summary, upto)?;
        tx.commit()?;
        summary = Copied { events: upto, head: Position::from_backend(upto), hash };
        progress(summary.head, head);
    }
    // A log that lost its last events is whole as far as it goes; its streams know of more.
    if let Some(broken) = reader.miscounted()? {
        return Err(LogError::from(broken).into());
    }
    copy.execute_batch(INDEXES)?;
    finish(&copy, &summary)?;
    copy.execute_batch(&format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT};"))?;
    copy.close().map_err(|(_, error)| error)?;
    Ok(summary)
}

/// Copies the events up to a position.
fn some(reader: &mut Reader, copy: &Connection, done: &Copied, upto: u64) -> Result<ChainHash, CopyError> {
    const COUNT: &str = "INSERT INTO streams (name, revision) VALUES (?1, 1) \
        ON CONFLICT (name) DO UPDATE SET revision = revision + 1 RETURNING id, revision";
    const INSERT: &str = "INSERT INTO events (position, stream, revision, id, commit_id, hash, name, version, recorded_at, meta, data) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let mut count = copy.prepare_cached(COUNT)?;
    let mut insert = copy.prepare_cached(INSERT)?;
    reader.each((done.head.to_backend(), done.hash), upto, |envelope, hash, commit| {
        let Envelope { position, stream, revision, event } = &envelope;
        let (stream, counted) = count.query_row([stream.as_str()], |row| Ok((row.get::<_, i64>(0)?, row::number(row, 1))))?;
        if counted != Some(revision.to_backend()) {
            return Err(LogError::from(reader::broken(&envelope, Wrong::Miscounted)).into());
        }
        insert.execute(params![
            row::to_sql(position.to_backend()),
            stream,
            row::to_sql(revision.to_backend()),
            event.id.0.as_bytes(),
            commit,
            hash.as_bytes(),
            event.name,
            event.version,
            event.recorded_at.timestamp_micros(),
            event.meta,
            event.data,
        ])?;
        Ok(())
    })
}
