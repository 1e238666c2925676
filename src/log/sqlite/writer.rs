//! The one thread that writes: it commits together whatever has queued up, and answers when that is on the disk.

use std::fs::File;
use std::sync::Arc;

use gatebook_events::envelope::{Envelope, Position, Revision, StreamName};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::{mpsc, oneshot, watch};

use super::row::{self, Names, select_events};
use super::schema::OpenError;
use super::{Shared, reader};
use crate::log::{Append, AppendError, Appended, ChainHash, Expected, LogError};

/// How many appends are committed together at most, and about how many bytes of events.
const MOST_APPENDS: usize = 2048;
const MOST_BYTES: usize = 8 << 20;

/// The largest append, in bytes of events: far above any real one, far below what SQLite takes.
const LARGEST: usize = 16 << 20;

/// An append, and whom to tell what came of it.
#[derive(Debug)]
pub struct Request {
    pub append: Append,
    pub answer: oneshot::Sender<Answer>,
}

type Answer = Result<Appended, AppendError>;

pub struct Writer {
    connection: Connection,
    /// Let go of when the thread ends, and not before: until then nobody else may write.
    _lock: File,
    shared: Arc<Shared>,
    head: watch::Sender<Position>,
    names: Names,
    /// Where the log ends; none after a failure, until it was read from the file again.
    end: Option<End>,
}

#[derive(Debug, Clone, Copy)]
struct End {
    position: Position,
    hash: ChainHash,
}

impl Writer {
    pub fn try_new(connection: Connection, lock: File, shared: Arc<Shared>, head: watch::Sender<Position>) -> Result<Self, OpenError> {
        let mut writer = Self { connection, _lock: lock, shared, head, names: Names::default(), end: None };
        writer.find_end()?;
        Ok(writer)
    }

    /// Runs until nobody is left who could ask for anything.
    pub fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            // No timer: while one commit reaches the disk, the next one gathers.
            let mut bytes = size(&first.append);
            let mut batch = vec![first];
            while batch.len() < MOST_APPENDS
                && bytes < MOST_BYTES
                && let Ok(next) = requests.try_recv()
            {
                bytes += size(&next.append);
                batch.push(next);
            }
            self.commit(batch);
        }
        if let Err(error) = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            tracing::warn!(%error, "the event log was closed without a checkpoint; the next start makes up for it");
        }
    }

    fn commit(&mut self, batch: Vec<Request>) {
        let mut answers = Vec::with_capacity(batch.len());
        let mut written = Vec::with_capacity(batch.len());
        let mut waiting = Vec::with_capacity(batch.len());
        let mut end = None;
        let mut applied = self.find_end().and_then(|found| {
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            end = Some(found);
            Ok(())
        });
        for Request { append, answer } in batch {
            waiting.push(answer);
            if let (Ok(()), Some(end)) = (&applied, &mut end) {
                match self.apply(append, end, &mut written) {
                    Ok(outcome) => answers.push(outcome),
                    Err(error) => applied = Err(error),
                }
            }
        }
        let committed =
            applied.map_err(|error| (false, error)).and_then(|()| self.connection.execute_batch("COMMIT").map_err(|error| (true, error)));
        match committed {
            Ok(()) => {
                self.end = end;
                if let (Some(end), false) = (end, written.is_empty()) {
                    self.shared.tail.push(written, end.hash);
                    self.head.send_replace(end.position);
                }
                for (waiting, outcome) in waiting.into_iter().zip(answers) {
                    // Whoever no longer waits finds out by asking again with the same ids.
                    let _ = waiting.send(outcome);
                }
            }
            Err((while_committing, error)) => {
                tracing::error!(%error, appends = waiting.len(), "the event log could not be written to");
                self.recover();
                let error = Arc::new(error);
                let mut answers = answers.into_iter();
                for waiting in waiting {
                    let stood = matches!(answers.next(), Some(Ok(_)));
                    let _ = waiting.send(Err(if while_committing && stood {
                        AppendError::Indeterminate(Box::new(error.clone()))
                    } else {
                        AppendError::Unavailable(Box::new(error.clone()))
                    }));
                }
            }
        }
    }

    /// Does one append within the transaction. Everything that may refuse it comes before the first change, so an
    /// append that does not stand leaves no trace. An error of the outer kind is one of the whole batch.
    fn apply(&mut self, append: Append, end: &mut End, written: &mut Vec<Envelope>) -> rusqlite::Result<Answer> {
        let bytes = size(&append);
        if bytes > LARGEST {
            return Ok(Err(AppendError::Refused(format!("it has {bytes} bytes, and {LARGEST} is the most"))));
        }
        if append.events.len() as u64 > reader::LONGEST {
            return Ok(Err(AppendError::Refused(format!("it has more than {} events", reader::LONGEST))));
        }
        if let Some(answer) = self.find_commit(&append)? {
            return Ok(answer);
        }
        let Append { stream, expected, commit, events } = append;
        let mut used = self.connection.prepare_cached("SELECT 1 FROM events WHERE id = ?1")?;
        for event in &events {
            if used.exists([event.id.0.as_bytes()])? {
                return Ok(Err(AppendError::Refused(format!("the event id {} is in use", event.id.0))));
            }
        }
        let known = self.find_stream(&stream)?;
        let current = known.map(|(_, revision)| revision);
        if Expected::from(current) != expected {
            return Ok(Err(AppendError::Conflict { stream, current }));
        }

        let mut revision = current.map_or(0, Revision::to_backend);
        let left = row::to_sql(revision + events.len() as u64);
        let id = if let Some((id, _)) = known {
            self.connection.prepare_cached("UPDATE streams SET revision = ?2 WHERE id = ?1")?.execute(params![id, left])?;
            id
        } else {
            self.connection
                .prepare_cached("INSERT INTO streams (name, revision) VALUES (?1, ?2)")?
                .execute(params![stream.as_str(), left])?;
            self.connection.last_insert_rowid()
        };
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO events (position, stream, revision, id, commit_id, hash, name, version, recorded_at, meta, data)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?;
        for event in events {
            revision += 1;
            let position = Position::from_backend(end.position.to_backend() + 1);
            let revision = Revision::from_backend(revision);
            let envelope = Envelope { position, stream: stream.clone(), revision, event };
            let hash = end.hash.then(&envelope);
            let event = &envelope.event;
            insert.execute(params![
                row::to_sql(position.to_backend()),
                id,
                row::to_sql(revision.to_backend()),
                event.id.0.as_bytes(),
                commit.0.as_bytes(),
                hash.as_bytes(),
                event.name,
                event.version,
                event.recorded_at.timestamp_micros(),
                event.meta,
                event.data,
            ])?;
            *end = End { position, hash };
            written.push(envelope);
        }
        Ok(Ok(Appended { revision: Revision::from_backend(revision), position: end.position, duplicate: false }))
    }

    /// The answer to an append whose commit already stands: that it does, or that another one bears its id.
    fn find_commit(&mut self, append: &Append) -> rusqlite::Result<Option<Answer>> {
        let mut query = self.connection.prepare_cached(select_events!(
            "FROM events e LEFT JOIN streams s ON s.id = e.stream WHERE e.commit_id = ?1 ORDER BY e.position"
        ))?;
        let mut rows = query.query([append.commit.0.as_bytes()])?;
        let mut stands = Vec::new();
        while let Some(row) = rows.next()? {
            match self.names.event(row) {
                Ok((envelope, _)) => stands.push(envelope),
                Err(LogError::Broken(broken)) => {
                    return Ok(Some(Err(AppendError::Unavailable(Box::new(broken)))));
                }
                Err(LogError::Unavailable(error)) => return Ok(Some(Err(AppendError::Unavailable(error)))),
            }
        }
        let Some(last) = stands.last() else { return Ok(None) };
        let same = stands.iter().all(|one| one.stream == append.stream) && stands.iter().map(|one| &one.event).eq(append.events.iter());
        Ok(Some(if same {
            Ok(Appended { revision: last.revision, position: last.position, duplicate: true })
        } else {
            Err(AppendError::Refused(format!("its commit id {} stands for another append", append.commit.0)))
        }))
    }

    fn find_stream(&self, stream: &StreamName) -> rusqlite::Result<Option<(i64, Revision)>> {
        let mut query = self.connection.prepare_cached("SELECT id, revision FROM streams WHERE name = ?1")?;
        let found = query.query_row([stream.as_str()], |row| Ok((row.get(0)?, row::number(row, 1).unwrap_or(0))));
        Ok(found.optional()?.map(|(id, revision)| (id, Revision::from_backend(revision))))
    }

    /// Where the log ends: as remembered, or as the file says, which followers then hear of.
    fn find_end(&mut self) -> rusqlite::Result<End> {
        if let Some(end) = self.end {
            return Ok(end);
        }
        let (position, hash) = reader::head(&self.connection)?;
        self.head.send_if_modified(|told| std::mem::replace(told, position) != position);
        Ok(*self.end.insert(End { position, hash }))
    }

    /// After a failure nothing that was remembered is trusted.
    fn recover(&mut self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "the failed write to the event log could not be rolled back");
        }
        self.shared.tail.clear();
        self.end = None;
    }
}

fn size(append: &Append) -> usize {
    append.events.iter().map(|event| event.meta.len() + event.data.len()).sum()
}
