//! Reading: one stream for a decision, or a stretch of the whole log for a follower. Both verify what they read.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use gatebook_events::envelope::{Envelope, Position, Revision, StreamName};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use tokio::sync::Semaphore;

use super::row::{self, Names, select_events};
use super::schema::{self, OpenError};
use crate::event_log::{BrokenChain, ChainHash, Closed, LogError, StreamEvents, Wrong};

/// How many reads run at once. More would only take turns on the same disk and cores.
const READERS: usize = 8;

/// How many events one append may have.
pub const LONGEST: u64 = 4096;

/// One connection that reads.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    names: Names,
}

/// Events that follow one another, and the hash that the last of them leaves.
#[derive(Debug)]
pub struct Stretch {
    pub events: Vec<Envelope>,
    pub hash: ChainHash,
}

impl Reader {
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Ok(Self { connection: schema::open_reader(path)?, names: Names::default() })
    }

    /// The connection, for what is asked besides, and the names that it met.
    pub fn parts(&mut self) -> (&Connection, &mut Names) {
        (&self.connection, &mut self.names)
    }

    /// Where the log ends, and the hash there.
    pub fn head(&mut self) -> rusqlite::Result<(Position, ChainHash)> {
        head(&self.connection)
    }

    /// The events of a stream after the first `known`, each verified against the hash of the event before it in the log. None
    /// where it does not have so many.
    pub fn stream(&mut self, stream: &StreamName, known: u64) -> Result<Option<StreamEvents>, LogError> {
        // Damage is told from what may pass, and names the stream that cannot be read.
        let unavailable = |error: rusqlite::Error| match unreadable(error, 0) {
            LogError::Broken(broken) => BrokenChain { stream: Some(stream.clone()), ..broken }.into(),
            error @ LogError::Unavailable(_) => error,
        };
        let found: Option<(i64, i64)> = self
            .connection
            .prepare_cached("SELECT id, revision FROM streams WHERE name = ?1")
            .and_then(|mut query| query.query_row([stream.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional())
            .map_err(unavailable)?;
        let Some((id, count)) = found else {
            return Ok((known == 0).then(StreamEvents::default));
        };
        if row::to_sql(known) > count {
            return Ok(None);
        }
        // The count bounds the second query, so that both speak of the same moment without a transaction.
        let mut events = Vec::with_capacity(usize::try_from(count).unwrap_or_default().min(1024));
        let mut query = self
            .connection
            .prepare_cached(select_events!(
                ", p.hash FROM events e JOIN streams s ON s.id = e.stream LEFT JOIN events p ON p.position = e.position - 1
                 WHERE e.stream = ?1 AND e.revision <= ?2 AND e.revision > ?3 ORDER BY e.revision"
            ))
            .map_err(unavailable)?;
        let mut rows = query.query(params![id, count, row::to_sql(known)]).map_err(unavailable)?;
        while let Some(row) = rows.next().map_err(unavailable)? {
            let (envelope, stored) = self.names.event(row)?;
            let position = envelope.position.to_backend();
            let before = row::bytes(row, 10).and_then(ChainHash::from_stored);
            let Some(before) = before.or((position == 1).then_some(ChainHash::START)) else {
                return Err(missing(position.saturating_sub(1)).into());
            };
            if envelope.revision.to_backend() != known + events.len() as u64 + 1 {
                return Err(broken(&envelope, Wrong::Miscounted).into());
            }
            if before.then(&envelope) != stored {
                return Err(broken(&envelope, Wrong::Changed).into());
            }
            events.push(envelope);
        }
        if row::to_sql(known + events.len() as u64) != count {
            let position = events.last().map(|last| last.position).unwrap_or_default();
            let stream = Some(stream.clone());
            return Err(BrokenChain { position, event: None, stream, wrong: Wrong::Miscounted }.into());
        }
        let revision = events.last().map(|last| last.revision).or((known > 0).then(|| Revision::from_backend(known)));
        Ok(Some(StreamEvents { events, revision }))
    }

    /// The names that begin with this; a range of the index that keeps names unique.
    pub fn streams(&mut self, prefix: &str) -> Result<Vec<StreamName>, LogError> {
        let mut query = self
            .connection
            .prepare_cached("SELECT name FROM streams WHERE name >= ?1 AND name < ?1 || char(1114111)")
            .map_err(unavailable)?;
        let names = query.query_map([prefix], |row| row.get::<_, String>(0)).map_err(unavailable)?;
        names.map(|name| name.map(|name| StreamName(Arc::from(name))).map_err(unavailable)).collect()
    }

    /// The events after `after` up to `head`, about `limit` of them. `hash` is what `after` leaves, if that is known.
    ///
    /// A stretch ends where an append ends, so that nobody who works by stretches acts on half of one.
    /// `head` must be visible by now: an event missing before it is a break.
    pub fn stretch(&mut self, (after, hash): (Position, Option<ChainHash>), head: Position, limit: usize) -> Result<Stretch, LogError> {
        let hash = match hash {
            Some(hash) => hash,
            None => self.hash_at(after)?,
        };
        let (last, head) = (after.to_backend(), head.to_backend());
        let upto = match last.saturating_add(limit as u64) {
            cut if cut < head => self.end_of_append(cut)?.min(head),
            _ => head,
        };
        let mut events = Vec::with_capacity(usize::try_from(upto.saturating_sub(last)).unwrap_or_default().min(2 * limit));
        let hash = self.each((last, hash), upto, |envelope, _, _| {
            events.push(envelope);
            Ok::<(), LogError>(())
        })?;
        Ok(Stretch { events, hash })
    }

    /// Hands every event after a position, up to another that must be visible by now, to `take`: verified, with the hash that
    /// it leaves and its commit's id. Gives the hash that the last one leaves.
    pub fn each<E: From<LogError>>(
        &mut self,
        (mut last, mut hash): (u64, ChainHash),
        upto: u64,
        mut take: impl FnMut(Envelope, ChainHash, &[u8]) -> Result<(), E>,
    ) -> Result<ChainHash, E> {
        let mut query = self
            .connection
            .prepare_cached(select_events!(
                ", e.commit_id FROM events e LEFT JOIN streams s ON s.id = e.stream
                 WHERE e.position > ?1 AND e.position <= ?2 ORDER BY e.position"
            ))
            .map_err(unavailable)?;
        let mut rows = query.query(params![row::to_sql(last), row::to_sql(upto)]).map_err(unavailable)?;
        while let Some(row) = rows.next().map_err(|error| unreadable(error, last + 1))? {
            if row::number(row, 0) != Some(last + 1) {
                return Err(LogError::from(missing(last + 1)).into());
            }
            let (envelope, stored) = self.names.event(row)?;
            hash = hash.then(&envelope);
            if hash != stored {
                return Err(LogError::from(broken(&envelope, Wrong::Changed)).into());
            }
            last += 1;
            take(envelope, hash, row::bytes(row, 10).unwrap_or_default())?;
        }
        if last < upto {
            return Err(LogError::from(missing(last + 1)).into());
        }
        Ok(hash)
    }

    /// The first stream that does not have as many events as were counted, if there is one.
    pub fn miscounted(&mut self) -> Result<Option<BrokenChain>, LogError> {
        // Both sides read along an index and keep nothing in memory. A stream without events and events without a stream count.
        let found = self.connection.query_row(
            "SELECT s.name, max(e.highest, 0), e.last FROM streams s LEFT JOIN
                 (SELECT stream, count(*) AS events, max(revision) AS highest, max(position) AS last
                  FROM events INDEXED BY events_by_stream GROUP BY stream) e ON e.stream = s.id
             WHERE e.events IS NOT s.revision OR e.highest IS NOT s.revision
             UNION ALL
             SELECT NULL, 0, position FROM events WHERE NOT EXISTS (SELECT 1 FROM streams WHERE id = stream)
             LIMIT 1",
            [],
            |row| {
                let stream = row.get::<_, Option<String>>(0)?.map(|name| StreamName(Arc::from(name)));
                let position = Position::from_backend(row::number(row, 2).unwrap_or_default());
                Ok(BrokenChain { position, event: None, stream, wrong: Wrong::Miscounted })
            },
        );
        found.optional().map_err(unavailable)
    }

    /// What SQLite itself finds wrong with the file's pages and indexes, if anything; the first of it only. Takes its time.
    pub fn damage(&mut self) -> rusqlite::Result<Vec<String>> {
        let mut check = self.connection.prepare("PRAGMA integrity_check(8)")?;
        let found = check.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(found.into_iter().filter(|line| line != "ok").collect())
    }

    /// The position of the last event that was appended together with the one at `position`.
    pub fn end_of_append(&self, position: u64) -> Result<u64, LogError> {
        let last: Option<u64> = self
            .connection
            .prepare_cached("SELECT max(position) FROM events WHERE commit_id = (SELECT commit_id FROM events WHERE position = ?1)")
            .and_then(|mut query| query.query_row([row::to_sql(position)], |row| Ok(row::number(row, 0))))
            .map_err(|error| unreadable(error, position))?;
        // A commit's id is outside the chain. One that was tampered with may cut an append in two, but never stops or skips.
        Ok(last.unwrap_or(position).clamp(position, position.saturating_add(LONGEST)))
    }

    /// What an event and all before it hash to.
    pub fn hash_at(&mut self, position: Position) -> Result<ChainHash, LogError> {
        if position == Position::START {
            return Ok(ChainHash::START);
        }
        let stored = self
            .connection
            .prepare_cached("SELECT hash FROM events WHERE position = ?1")
            .and_then(|mut query| {
                let position = row::to_sql(position.to_backend());
                query.query_row([position], |row| Ok(row::bytes(row, 0).and_then(ChainHash::from_stored))).optional()
            })
            .map_err(unavailable)?;
        match stored {
            Some(Some(hash)) => Ok(hash),
            Some(None) => Err(BrokenChain { position, event: None, stream: None, wrong: Wrong::Unreadable }.into()),
            None => Err(missing(position.to_backend()).into()),
        }
    }
}

/// Where the log ends, and the hash there.
pub fn head(connection: &Connection) -> rusqlite::Result<(Position, ChainHash)> {
    let last = connection
        .query_row("SELECT position, hash FROM events ORDER BY position DESC LIMIT 1", [], |row| {
            let position = Position::from_backend(row::number(row, 0).unwrap_or_default());
            // A hash of another length cannot be continued; whoever reads the last event says that it is broken.
            Ok((position, row::bytes(row, 1).and_then(ChainHash::from_stored).unwrap_or(ChainHash::START)))
        })
        .optional()?;
    Ok(last.unwrap_or((Position::START, ChainHash::START)))
}

/// Connections that read, opened as they are needed and kept.
#[derive(Debug)]
pub struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Reader>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    pub fn new(path: &Path) -> Arc<Self> {
        Arc::new(Self { path: path.to_owned(), idle: Mutex::default(), turns: Arc::new(Semaphore::new(READERS)) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Does the work on a thread that may block, once it is its turn.
    pub async fn with<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Reader) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| LogError::Unavailable(Box::new(Closed)))?;
        let readers = self.clone();
        let working = tokio::task::spawn_blocking(move || {
            let idle = readers.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut reader = match idle {
                Some(reader) => reader,
                None => Reader::open(&readers.path).map_err(|error| LogError::Unavailable(Box::new(error)))?,
            };
            let done = work(&mut reader);
            readers.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
            drop(turn);
            done
        });
        working.await.map_err(|failed| LogError::Unavailable(Box::new(failed)))?
    }
}

pub fn missing(position: u64) -> BrokenChain {
    BrokenChain { position: Position::from_backend(position), event: None, stream: None, wrong: Wrong::Missing }
}

pub fn broken(envelope: &Envelope, wrong: Wrong) -> BrokenChain {
    let Envelope { position, stream, event, .. } = envelope;
    BrokenChain { position: *position, event: Some(event.id), stream: Some(stream.clone()), wrong }
}

fn unavailable(error: rusqlite::Error) -> LogError {
    LogError::Unavailable(Box::new(error))
}

/// A page that SQLite itself cannot make sense of is a break in the log, at the event that it was about to read.
pub fn unreadable(error: rusqlite::Error, position: u64) -> LogError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            let position = Position::from_backend(position);
            BrokenChain { position, event: None, stream: None, wrong: Wrong::Unreadable }.into()
        }
        _ => unavailable(error),
    }
}
