//! The log in one SQLite file: the default backend.
//!
//! One thread writes. It takes all appends that have queued up while the last commit reached the disk and commits them
//! together, so one fsync answers many. Readers have connections of their own and never wait for it.

pub(crate) mod check_append;

mod appends;
mod backup;
mod copy;
mod follow;
pub mod mirror;
mod reader;
mod row;
mod schema;
mod tail;
mod verify;
mod wal;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use gatebook_events::envelope::{Envelope, Position, Revision, StreamName};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Append, AppendError, Appended, ChainHash, Closed, EventLog, Followed, LogError, StreamEvents};
use reader::{Reader, Readers};
use tail::Tail;
use writer::{Request, Writer};

pub use appends::{Appends, AppendsError};
pub use backup::{Backup, BackupError, Restored, Vacant};
pub use copy::Copied;
pub use copy::CopyError;
pub use schema::{FORMAT, OpenError};
pub use verify::Summary;
pub use wal::DamagedWal;

/// How many appends may wait for the writer; one more waits outside.
const QUEUE: usize = 4096;

/// An event log in one SQLite file, of which this process is the only writer.
#[derive(Debug)]
pub struct SqliteLog {
    shared: Arc<Shared>,
    /// None once closed, and when open for reading only.
    writing: Mutex<Option<Writing>>,
    /// Held by a log that has no writer, so that its followers wait rather than end.
    _standing: Option<watch::Sender<Position>>,
}

/// What a follower keeps hold of.
#[derive(Debug)]
struct Shared {
    readers: Arc<Readers>,
    tail: Tail,
    head: watch::Receiver<Position>,
}

/// The way to the writer's thread.
#[derive(Debug)]
struct Writing {
    requests: mpsc::Sender<Request>,
    thread: JoinHandle<()>,
}

impl SqliteLog {
    /// Opens the log at `path`, or creates it, readable by its owner only. Blocks while the file is read.
    ///
    /// A file named like it with `.lock` at the end is locked for as long as the log is open: a second opener is refused.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let lock = schema::lock(path)?;
        let connection = schema::open_writer(path)?;
        let (requests, queue) = mpsc::channel(QUEUE);
        let (told, head) = watch::channel(Position::START);
        let shared = Arc::new(Shared { readers: Readers::new(path), tail: Tail::default(), head });
        let writer = Writer::try_new(connection, lock, shared.clone(), told)?;
        let thread = std::thread::Builder::new().name("log-writer".to_owned()).spawn(move || writer.run(queue))?;
        Ok(Self { shared, writing: Mutex::new(Some(Writing { requests, thread })), _standing: None })
    }

    /// Opens the log at `path` as it stands now, to read it only. Another process may be writing to it.
    ///
    /// What is appended later is not seen: a follower waits for ever once it has come to the end.
    pub fn open_read_only(path: &Path) -> Result<Self, OpenError> {
        let mut reader = Reader::open(path)?;
        let (standing, head) = watch::channel(reader.head()?.0);
        let shared = Arc::new(Shared { readers: Readers::new(path), tail: Tail::default(), head });
        Ok(Self { shared, writing: Mutex::new(None), _standing: Some(standing) })
    }

    /// Walks the whole log from its first event, up to its head as it is now, and says in which event it is broken, if it is.
    ///
    /// `progress` hears now and then how far it has come and how far there is to go. Blocks.
    pub fn verify(&self, progress: impl FnMut(Position, Position)) -> Result<Summary, LogError> {
        self.verify_and_look(progress, |_| ())
    }

    /// The same, and shows every event that was verified to `look`.
    pub fn verify_and_look(&self, progress: impl FnMut(Position, Position), look: impl FnMut(&[Envelope])) -> Result<Summary, LogError> {
        let head = *self.shared.head.borrow();
        verify::verify(self.shared.readers.path(), head, progress, look)
    }

    /// What SQLite finds wrong with the file's pages and indexes: what the chain does not cover. Blocks.
    pub fn damage(&self) -> Result<Vec<String>, OpenError> {
        Ok(Reader::open(self.shared.readers.path())?.damage()?)
    }

    /// Whether some process writes to the log at `path`.
    pub fn in_use(path: &Path) -> bool {
        schema::in_use(path)
    }

    /// Copies the log at `log`, as it stands now and with its chain verified, into the new file `to`, with some small files
    /// beside it. Another process may be writing to the log. Blocks.
    pub fn back_up(
        log: &Path,
        to: &Path,
        with: (DateTime<Utc>, &[(String, String)]),
        progress: impl FnMut(Position, Position),
    ) -> Result<Copied, BackupError> {
        backup::take(log, to, with, progress)
    }

    /// What is in a backup, once every event of it was verified. Blocks.
    pub fn inspect_backup(file: &Path, progress: impl FnMut(Position, Position)) -> Result<Backup, BackupError> {
        backup::inspect(file, progress)
    }

    /// Where the log ends, and what all of it hashes to.
    pub async fn end(&self) -> Result<(Position, ChainHash), LogError> {
        self.shared.readers.with(|reader| reader.head().map_err(|error| reader::unreadable(error, 0))).await
    }

    /// Appends many, in this order whatever else is asked for meanwhile, and says where each stands.
    pub async fn append_in_order(&self, appends: Vec<Append>) -> Result<Vec<Appended>, AppendError> {
        let mut outcomes = Vec::with_capacity(appends.len());
        let requests = self.requests().ok_or_else(closed)?;
        for append in appends {
            let (append, (answer, outcome)) = (append.checked()?, oneshot::channel());
            requests.send(Request::Append(append, answer)).await.map_err(|_| closed())?;
            outcomes.push(outcome);
        }
        drop(requests);
        let mut appended = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            appended.push(outcome.await.map_err(|lost| AppendError::Indeterminate(Box::new(lost)))??);
        }
        Ok(appended)
    }

    /// Takes no more appends, waits until those it took are answered, and leaves the file in order.
    ///
    /// Followers end. Dropping the log does the same, but blocks.
    pub async fn close(&self) {
        if let Some(Writing { requests, thread }) = self.stop() {
            drop(requests);
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            report(joined.is_ok_and(|joined| joined.is_ok()));
        }
    }

    fn stop(&self) -> Option<Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn requests(&self) -> Option<mpsc::Sender<Request>> {
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        writing.as_ref().map(|writing| writing.requests.clone())
    }
}

#[async_trait]
impl EventLog for SqliteLog {
    async fn read(&self, stream: &StreamName) -> Result<StreamEvents, LogError> {
        let stream = stream.clone();
        let read = self.shared.readers.with(move |reader| reader.stream(&stream, 0)).await?;
        Ok(read.unwrap_or_default())
    }

    async fn read_after(&self, stream: &StreamName, known: Revision) -> Result<Option<StreamEvents>, LogError> {
        let stream = stream.clone();
        self.shared.readers.with(move |reader| reader.stream(&stream, known.to_backend())).await
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let append = append.checked()?;
        let (answer, outcome) = oneshot::channel();
        let requests = self.requests().ok_or_else(closed)?;
        requests.send(Request::Append(append, answer)).await.map_err(|_| closed())?;
        // Without this the writer would have one more sender to wait for when it is asked to stop.
        drop(requests);
        outcome.await.map_err(|lost| AppendError::Indeterminate(Box::new(lost)))?
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<StreamName>, LogError> {
        let prefix = prefix.to_owned();
        self.shared.readers.with(move |reader| reader.streams(&prefix)).await
    }

    fn follow(&self, after: Position) -> BoxStream<'static, Result<Followed, LogError>> {
        follow::follow(self.shared.clone(), after)
    }

    async fn head(&self) -> Result<Position, LogError> {
        Ok(*self.shared.head.borrow())
    }

    async fn hash_at(&self, position: Position) -> Result<ChainHash, LogError> {
        self.shared.readers.with(move |reader| reader.hash_at(position)).await
    }

    async fn probe(&self) -> Result<(), AppendError> {
        let (answer, outcome) = oneshot::channel();
        let requests = self.requests().ok_or_else(closed)?;
        requests.send(Request::Probe(answer)).await.map_err(|_| closed())?;
        drop(requests);
        outcome.await.map_err(|lost| AppendError::Unavailable(Box::new(lost)))?
    }
}

impl Drop for SqliteLog {
    fn drop(&mut self) {
        if let Some(Writing { requests, thread }) = self.stop() {
            drop(requests);
            report(thread.join().is_ok());
        }
    }
}

fn closed() -> AppendError {
    AppendError::Unavailable(Box::new(Closed))
}

fn report(stopped_well: bool) {
    if !stopped_well {
        tracing::error!("the event log's writer failed while it was stopping");
    }
}
