//! The one thread that writes: it commits together whatever has queued up, and answers when that is on the disk.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use gatebook_events::envelope::{Envelope, Position, Revision};
use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot, watch};

use super::row::{self, Names};
use super::schema::OpenError;
use super::{Shared, reader};
use crate::event_log::sqlite::check_append::{Judged, judge, size};
use crate::event_log::{Append, AppendError, Appended, ChainHash};

/// How many appends are committed together at most, and about how many bytes of events.
const MOST_APPENDS: usize = 2048;
const MOST_BYTES: usize = 8 << 20;

/// So many bytes have to be free before a disk that was full is not called so any more.
const ROOM: usize = 1 << 20;

/// What is asked of the writer, and whom to tell what came of it.
#[derive(Debug)]
pub enum Request {
    Append(Append, oneshot::Sender<Answer>),
    /// Write something that is no event.
    Probe(oneshot::Sender<Result<(), AppendError>>),
}

pub type Answer = Result<Appended, AppendError>;

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

/// Where the log ends.
#[derive(Debug, Clone, Copy)]
pub struct End {
    pub position: Position,
    pub hash: ChainHash,
}

/// Writes a file beside the log, and removes it.
fn room_beside(log: &Path) -> std::io::Result<()> {
    let scratch = log.with_extension("db.room");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&scratch).and_then(|mut file| {
        file.write_all(&vec![0; ROOM])?;
        file.sync_data()
    });
    let removed = std::fs::remove_file(&scratch);
    written.and(removed)
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
            let (mut bytes, mut batch, mut probes, mut next) = (0, Vec::new(), Vec::new(), Some(first));
            while let Some(request) = next.take() {
                match request {
                    Request::Append(append, answer) => {
                        bytes += size(&append);
                        batch.push((append, answer));
                    }
                    Request::Probe(answer) => probes.push(answer),
                }
                if batch.len() < MOST_APPENDS && bytes < MOST_BYTES {
                    next = requests.try_recv().ok();
                }
            }
            if !batch.is_empty() {
                self.commit(batch);
            }
            for answer in probes {
                // Whoever no longer waits asks again.
                let _ = answer.send(self.probe());
            }
        }
        self.leave_in_order();
    }

    /// Leaves one file, with nothing in those beside it.
    pub fn leave_in_order(&self) {
        if let Err(error) = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            tracing::warn!(%error, "the event log was closed without a checkpoint; the next start makes up for it");
        }
    }

    /// Whether there is room for more than a few appends: what a failed one left may have some. Then writes what stands there already,
    /// and waits until it is on the disk, as an append would.
    fn probe(&mut self) -> Result<(), AppendError> {
        if let Some(log) = self.connection.path().map(Path::new) {
            room_beside(log).map_err(|error| AppendError::Unavailable(Box::new(error)))?;
        }
        let written = self
            .connection
            .execute_batch("BEGIN IMMEDIATE; UPDATE streams SET revision = revision WHERE id = (SELECT max(id) FROM streams); COMMIT;");
        written.map_err(|error| {
            self.recover();
            AppendError::Unavailable(Box::new(error))
        })
    }

    fn commit(&mut self, batch: Vec<(Append, oneshot::Sender<Answer>)>) {
        let mut answers = Vec::with_capacity(batch.len());
        let mut written = Vec::with_capacity(batch.len());
        let mut waiting = Vec::with_capacity(batch.len());
        let mut end = None;
        let mut applied = self.find_end().and_then(|found| {
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            end = Some(found);
            Ok(())
        });
        for (append, answer) in batch {
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

    /// Does some work in one transaction. Followers hear of what was written once it is committed.
    pub fn in_one<T>(&mut self, work: impl FnOnce(&mut Self, &mut End, &mut Vec<Envelope>) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let mut end = self.find_end()?;
        let mut written = Vec::new();
        let begun = self.connection.execute_batch("BEGIN IMMEDIATE");
        let done = begun.and_then(|()| work(self, &mut end, &mut written)).and_then(|done| {
            self.connection.execute_batch("COMMIT")?;
            Ok(done)
        });
        if done.is_err() {
            self.recover();
            return done;
        }
        self.end = Some(end);
        if !written.is_empty() {
            self.shared.tail.push(written, end.hash);
            self.head.send_replace(end.position);
        }
        done
    }

    /// The connection, for what else is kept beside the events.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Does one append within the transaction. Everything that may refuse it comes before the first change, so an
    /// append that does not stand leaves no trace. An error of the outer kind is one of the whole batch.
    pub fn apply(&mut self, append: Append, end: &mut End, written: &mut Vec<Envelope>) -> rusqlite::Result<Answer> {
        let known = match judge(&self.connection, &mut self.names, &append)? {
            Judged::Fits(known) => known,
            Judged::Answered(answer) => return Ok(answer),
        };
        let Append { stream, commit, events, .. } = append;
        let current = known.map(|(_, revision)| revision);

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
