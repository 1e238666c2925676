//! The mirror's file: a log like any other, and beside it how far the shared log was read and where each of its streams stands.
//!
//! All of it can be fetched again, so nothing waits for the disk here. What stands beside the events is not in their chain, so
//! each row of it has a seal of its own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use gatebook_events::envelope::{Envelope, Position, Revision, StreamName};
use rusqlite::{Connection, OptionalExtension, Row, ffi, params};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot, watch};

use crate::event_log::shared::Entry;
use crate::event_log::sqlite::check_append::{Judged, find_stream, judge};
use crate::event_log::sqlite::reader::{self, Reader, Readers};
use crate::event_log::sqlite::row;
use crate::event_log::sqlite::tail::Tail;
use crate::event_log::sqlite::verify::{self, Summary};
use crate::event_log::sqlite::writer::{Answer, End, Writer};
use crate::event_log::sqlite::{Shared, SqliteLog, schema};
use crate::event_log::{Append, AppendError, Appended, BrokenChain, Closed, Expected, LogError, Wrong};

use super::OpenError;

/// `mirrored` has the shared log's revision that each stream's last entry left, and the one that the last of them left that is events
/// here: those that came second are not. -1 is before the first.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS mirror (
        one  INTEGER PRIMARY KEY CHECK (one = 1),
        of   TEXT NOT NULL,
        upto INTEGER NOT NULL,
        seal BLOB NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS mirrored (
        stream   TEXT PRIMARY KEY,
        revision INTEGER NOT NULL,
        stands   INTEGER NOT NULL,
        seal     BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Before a stream's first entry.
const BEFORE: i64 = -1;

/// How many batches may wait to be written.
const QUEUE: usize = 4;

/// A mirror's file, open.
#[derive(Debug)]
pub struct MirrorFile {
    /// The events.
    pub log: SqliteLog,
    /// How far the shared log was read.
    pub upto: watch::Receiver<Position>,
    keeping: Mutex<Option<Keeping>>,
}

/// The way to the thread that writes.
#[derive(Debug)]
struct Keeping {
    requests: mpsc::Sender<Request>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Request {
    entries: Vec<Entry>,
    answer: oneshot::Sender<Result<Vec<Answer>, LogError>>,
}

/// An append before it is published.
pub enum Prepared {
    /// It stands, or can never stand, or its writer is wrong about the stream.
    Answered(Answer),
    /// What the shared log has to expect.
    Expect(Expected),
}

impl MirrorFile {
    /// Opens the mirror of the shared log with this identity, or makes it. Blocks.
    pub fn open(path: &Path, of: &str) -> Result<Self, OpenError> {
        let lock = schema::lock(path)?;
        let connection = schema::open_writer(path)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute_batch(TABLES)?;
        let sealed = seal(&[of.as_bytes(), &0_u64.to_be_bytes()]);
        connection.execute("INSERT OR IGNORE INTO mirror (one, of, upto, seal) VALUES (1, ?1, 0, ?2)", params![of, sealed])?;
        let found: String = connection.query_row("SELECT of FROM mirror", [], |row| row.get(0))?;
        let upto = upto(&connection)?;
        if found != of {
            return Err(OpenError::OfAnother(path.to_owned()));
        }
        let (told, head) = watch::channel(Position::START);
        let (read, upto) = watch::channel(upto);
        let shared = Arc::new(Shared { readers: Readers::new(path), tail: Tail::default(), head });
        let writer = Writer::try_new(connection, lock, shared.clone(), told)?;
        let keeper = Keeper { writer, of: of.to_owned(), upto: read };
        let (requests, queue) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new().name("mirror-writer".to_owned()).spawn(move || keeper.run(queue))?;
        let log = SqliteLog { shared, writing: Mutex::new(None), _standing: None };
        Ok(Self { log, upto, keeping: Mutex::new(Some(Keeping { requests, thread })) })
    }

    /// Walks all of it: the events, their order, what stands beside them, and SQLite's own structure. Blocks.
    pub fn check(&self) -> Result<Summary, LogError> {
        let path = self.log.shared.readers.path();
        let head = *self.log.shared.head.borrow();
        let summary = verify::verify(path, head, |_, _| (), |_| ())?;
        let broken = |wrong| LogError::Broken(BrokenChain { position: summary.head, event: None, stream: None, wrong });
        let connection = schema::open_reader(path).map_err(|error| LogError::Unavailable(Box::new(error)))?;
        let check = || -> rusqlite::Result<Option<Wrong>> {
            let structure: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
            if structure != "ok" {
                return Ok(Some(Wrong::Unreadable));
            }
            let (of, upto, sealed): (String, i64, Vec<u8>) =
                connection.query_row("SELECT of, upto, seal FROM mirror", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            if sealed != seal(&[of.as_bytes(), &upto.to_be_bytes()]) {
                return Ok(Some(Wrong::Changed));
            }
            let mut all = connection.prepare("SELECT revision, stands, seal, stream FROM mirrored")?;
            let mut rows = all.query([])?;
            while let Some(row) = rows.next()? {
                let stream: String = row.get(3)?;
                if Place::of(row, &stream)?.is_err() {
                    return Ok(Some(Wrong::Changed));
                }
            }
            Ok(None)
        };
        match check() {
            Ok(None) => Ok(summary),
            Ok(Some(wrong)) => Err(broken(wrong)),
            Err(error) => Err(reader::unreadable(error, summary.head.to_backend())),
        }
    }

    /// Takes in entries that follow on the last ones, and says of each what became of it.
    pub async fn keep(&self, entries: Vec<Entry>) -> Result<Vec<Answer>, LogError> {
        let requests = self.lock().as_ref().map(|keeping| keeping.requests.clone());
        let closed = || LogError::Unavailable(Box::new(Closed));
        let (answer, outcome) = oneshot::channel();
        requests.ok_or_else(closed)?.send(Request { entries, answer }).await.map_err(|_| closed())?;
        outcome.await.map_err(|_| closed())?
    }

    /// What becomes of an append as far as this node knows, and what the shared log has to expect for it.
    pub async fn prepare(&self, append: Append) -> Result<Prepared, LogError> {
        self.log.shared.readers.with(move |reader| prepare(reader, &append)).await
    }

    /// Waits until there are as many events. False if it was closed before.
    pub async fn reached(&self, position: Position) -> bool {
        self.log.shared.head.clone().wait_for(|head| *head >= position).await.is_ok()
    }

    /// Takes nothing more in and leaves the file in order.
    pub async fn close(&self) {
        let keeping = self.lock().take();
        if let Some(Keeping { requests, thread }) = keeping {
            drop(requests);
            // A thread that failed has said so.
            let _joined = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    /// The same, but blocks.
    pub fn shut(&self) {
        let keeping = self.lock().take();
        if let Some(Keeping { requests, thread }) = keeping {
            drop(requests);
            let _joined = thread.join();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Keeping>> {
        self.keeping.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for MirrorFile {
    fn drop(&mut self) {
        self.shut();
    }
}

/// In one transaction, so that the revision belongs to what was judged.
pub fn prepare(reader: &mut Reader, append: &Append) -> Result<Prepared, LogError> {
    let (connection, names) = reader.parts();
    let mut known = || -> rusqlite::Result<(Judged, Result<Place, Unsealed>)> {
        let moment = connection.unchecked_transaction()?;
        let judged = judge(&moment, names, append)?;
        let place = place(&moment, &append.stream)?;
        moment.commit()?;
        Ok((judged, place))
    };
    match known().map_err(|error| reader::unreadable(error, 0))? {
        (Judged::Answered(answer), _) => Ok(Prepared::Answered(answer)),
        (Judged::Fits(_), Ok(Place { revision: BEFORE, .. })) => Ok(Prepared::Expect(Expected::Empty)),
        (Judged::Fits(_), Ok(place)) => Ok(Prepared::Expect(Expected::At(Revision::from_backend(place.revision.cast_unsigned())))),
        (Judged::Fits(_), Err(Unsealed)) => Err(unsealed(&append.stream)),
    }
}

/// Where a stream stands in the shared log.
#[derive(Clone, Copy)]
struct Place {
    /// What its last entry left.
    revision: i64,
    /// What the last of its entries left that is events here.
    stands: i64,
}

/// What is kept of a stream's place is not what was written.
struct Unsealed;

impl Place {
    const NONE: Self = Self { revision: BEFORE, stands: BEFORE };

    /// A row of revision, stands and seal.
    fn of(row: &Row<'_>, stream: &str) -> rusqlite::Result<Result<Self, Unsealed>> {
        let place = Self { revision: row.get(0)?, stands: row.get(1)? };
        Ok(if row.get::<_, Vec<u8>>(2)? == place.seal(stream) { Ok(place) } else { Err(Unsealed) })
    }

    fn seal(self, stream: &str) -> Vec<u8> {
        seal(&[stream.as_bytes(), &self.revision.to_be_bytes(), &self.stands.to_be_bytes()])
    }

    /// Whether a writer who expected this knew of all that stands.
    fn fits(self, expected: Expected) -> bool {
        let believed = match expected {
            Expected::Empty => BEFORE,
            Expected::At(revision) => row::to_sql(revision.to_backend()),
        };
        (self.stands..=self.revision).contains(&believed)
    }
}

fn place(connection: &Connection, stream: &StreamName) -> rusqlite::Result<Result<Place, Unsealed>> {
    let found = connection
        .prepare_cached("SELECT revision, stands, seal FROM mirrored WHERE stream = ?1")?
        .query_row([stream.as_str()], |row| Place::of(row, stream.as_str()))
        .optional()?;
    Ok(found.unwrap_or(Ok(Place::NONE)))
}

fn unsealed(stream: &StreamName) -> LogError {
    BrokenChain { position: Position::START, event: None, stream: Some(stream.clone()), wrong: Wrong::Changed }.into()
}

fn upto(connection: &Connection) -> rusqlite::Result<Position> {
    connection.query_row("SELECT upto FROM mirror", [], |row| Ok(Position::from_backend(row::number(row, 0).unwrap_or_default())))
}

/// Eight bytes that a flipped bit does not agree with. Whoever rewrites a row on purpose can rewrite its seal; that is found when
/// nodes compare their chains.
fn seal(parts: &[&[u8]]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(8).copied().collect()
}

/// The one who writes a mirror's file.
struct Keeper {
    writer: Writer,
    of: String,
    upto: watch::Sender<Position>,
}

impl Keeper {
    fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(Request { entries, answer }) = requests.blocking_recv() {
            // Whoever no longer waits asks anew from where the file is.
            let _ = answer.send(self.keep(entries));
        }
        self.writer.leave_in_order();
    }

    fn keep(&mut self, entries: Vec<Entry>) -> Result<Vec<Answer>, LogError> {
        let Some(upto) = entries.last().map(|last| last.position) else { return Ok(Vec::new()) };
        let of = self.of.clone();
        let kept = self.writer.in_one(|writer, end, written| {
            let mut answers = Vec::with_capacity(entries.len());
            for entry in entries {
                answers.push(keep(writer, entry, end, written)?);
            }
            let number = row::to_sql(upto.to_backend());
            let sealed = seal(&[of.as_bytes(), &number.to_be_bytes()]);
            writer.connection().prepare_cached("UPDATE mirror SET upto = ?1, seal = ?2")?.execute(params![number, sealed])?;
            Ok(answers)
        });
        let answers = kept.map_err(|error| reader::unreadable(error, upto.to_backend()))?;
        self.upto.send_replace(upto);
        Ok(answers)
    }
}

/// Takes in one entry, if it stands: if it is no repetition, and its writer knew of all that stood. Every node judges so by
/// what came before it, and all see the same.
fn keep(writer: &mut Writer, entry: Entry, end: &mut End, written: &mut Vec<Envelope>) -> rusqlite::Result<Answer> {
    let Entry { revision, commit, .. } = entry;
    let stream = commit.stream;
    let Ok(known) = place(writer.connection(), &stream)? else {
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), None));
    };
    let current = find_stream(writer.connection(), &stream)?.map(|(_, revision)| revision);
    // A revision that no stream has: whatever else there is to say of the append is said first.
    let nowhere = Expected::At(Revision::from_backend(u64::MAX));
    let expected = if known.fits(commit.expected) { Expected::from(current) } else { nowhere };
    let append = Append { stream: stream.clone(), expected, commit: commit.id, events: commit.events };
    let answer = writer.apply(append, end, written)?;
    match &answer {
        Err(AppendError::Conflict { .. } | AppendError::Refused(_)) => {
            tracing::warn!(%stream, commit = %commit.id.0, position = %entry.position, "an entry of the shared log came second and is no event");
        }
        Err(AppendError::Indeterminate(_) | AppendError::Unavailable(_)) | Ok(_) => {}
    }
    let revision = row::to_sql(revision.to_backend());
    let stands = if matches!(answer, Ok(Appended { duplicate: false, .. })) { revision } else { known.stands };
    let place = Place { revision, stands };
    writer
        .connection()
        .prepare_cached("INSERT OR REPLACE INTO mirrored (stream, revision, stands, seal) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![stream.as_str(), revision, stands, place.seal(stream.as_str())])?;
    Ok(answer)
}

/// So many broken files are kept; the last of them is written over.
const MOST_ASIDE: u32 = 100;

/// Puts a broken file aside, with what lies beside it, and says where.
pub fn put_aside(path: &Path) -> std::io::Result<PathBuf> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let free = |number: &u32| !beside(&format!(".broken-{number}")).exists();
    let aside = beside(&format!(".broken-{}", (1..=MOST_ASIDE).find(free).unwrap_or(MOST_ASIDE)));
    std::fs::rename(path, &aside)?;
    for suffix in ["-wal", "-shm"] {
        match std::fs::remove_file(beside(suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(aside)
}
