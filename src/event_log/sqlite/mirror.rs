//! A mirror of a shared log in a file of this node: what reads, follows and is asked for positions asks the mirror.
//!
//! Positions and revisions are the mirror's own and count events from 1, like those of any log in a file. Every node reads the
//! same entries in the same order, so they are the same on all nodes, and so is the hash chain.
//!
//! An append is published, and answered by what becomes of its entry here: so it is in this node's file when it is answered. A node
//! that has not heard of the shared log's head for some time reads nothing any more, rather than decide by what may be past.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use gatebook_events::envelope::{Position, Revision, StreamName};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use crate::event_log::shared::{Commit, PublishError, Published, SharedLog};
use crate::event_log::{
    Append, AppendError, Appended, BrokenChain, ChainHash, Closed, EventLog, Expected, Followed, LogError, StreamEvents, Wrong,
};

mod feed;
mod file;
mod follow;
mod load;
mod waiting;

use file::{MirrorFile, Prepared};
use waiting::Waiting;

/// How long an append is published again and again before its caller hears that this comes to nothing.
const PATIENCE: Duration = Duration::from_secs(4);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// How often an append is published behind entries that are no events.
const MOST_TRIES: usize = 8;
/// A mirror that takes in nothing for so long while it is opened or filled is not going to.
const OPENING: Duration = Duration::from_secs(60);

/// Why a mirror cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] super::OpenError),
    /// SQLite cannot use the file.
    #[error("the mirror's file cannot be used")]
    Sqlite(#[from] rusqlite::Error),
    /// The system refuses.
    #[error("the mirror's file cannot be used")]
    Io(#[from] std::io::Error),
    /// The file mirrors another log than the one that is configured.
    #[error("{} mirrors another event log than the one that is configured: use another data folder", .0.display())]
    OfAnother(PathBuf),
    /// The shared log does not answer.
    #[error("the event log could not be read to its head")]
    Unreachable,
}

/// The node has not heard of the shared log for too long.
#[derive(Debug, thiserror::Error)]
#[error("the cluster's event log was last heard of more than {} s ago", .0.as_secs())]
struct Stale(Duration);

/// What was published and did not come back in time.
#[derive(Debug, thiserror::Error)]
#[error("the append did not come back from the event log in time")]
struct Late;

/// A mirror of a shared log, and the way to write to it.
pub struct Mirror {
    parts: Arc<Parts>,
    tasks: [AbortHandle; 2],
}

struct Parts {
    shared: Arc<dyn SharedLog>,
    path: PathBuf,
    /// The oldest that what is read may be.
    bound: Duration,
    /// None while it is replaced, and once all is closed.
    file: watch::Sender<Option<Arc<MirrorFile>>>,
    /// How far the shared log was read.
    upto: watch::Sender<Position>,
    /// Since when nothing is known to be missing: the moment before the head was asked for that is in the file now.
    fresh: watch::Sender<Option<Instant>>,
    /// The shared log's head when it was last heard of.
    head: watch::Sender<Position>,
    waiting: Waiting,
    /// Has the head asked for at once.
    asked: Notify,
    /// What was found broken in the file.
    doubt: watch::Sender<Option<BrokenChain>>,
    story: Mutex<Story>,
    closed: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Story {
    put_aside: Vec<PathBuf>,
    trouble: Option<Arc<str>>,
}

/// How a mirror does.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Its last event; none while the file is replaced.
    pub end: Option<(Position, ChainHash)>,
    /// How many entries of the shared log it has not taken in, as far as it knows.
    pub lag: u64,
    /// How long ago it was known to have everything; none before the first time.
    pub age: Option<Duration>,
    /// Files that were found broken since the start, and are kept for whoever wants to know why.
    pub put_aside: Vec<PathBuf>,
    /// What keeps it from taking in anything; none while nothing does.
    pub trouble: Option<Arc<str>>,
}

impl Mirror {
    /// Opens the mirror at `path`, or makes it, and reads the shared log to its head. A file that is not what was written is put aside
    /// and fetched anew. From then on it follows the shared log until it is closed.
    pub async fn open(path: &Path, shared: Arc<dyn SharedLog>, bound: Duration) -> Result<Self, OpenError> {
        let (at, of) = (path.to_owned(), shared.identity().to_owned());
        let opened = tokio::task::spawn_blocking(move || feed::open_whole(&at, &of)).await;
        let (file, put_aside) = opened.map_err(|_| OpenError::Unreachable)??;
        let upto = *file.upto.borrow();
        let parts = Arc::new(Parts {
            shared,
            path: path.to_owned(),
            bound,
            upto: watch::Sender::new(upto),
            file: watch::Sender::new(Some(Arc::new(file))),
            fresh: watch::Sender::new(None),
            head: watch::Sender::new(Position::START),
            waiting: Waiting::default(),
            asked: Notify::new(),
            doubt: watch::Sender::new(None),
            story: Mutex::new(Story { put_aside, trouble: None }),
            closed: watch::Sender::new(false),
        });
        let tasks = [tokio::spawn(feed::feed(parts.clone())), tokio::spawn(feed::watch_head(parts.clone()))];
        let mirror = Self { parts, tasks: tasks.map(|task| task.abort_handle()) };
        mirror.catch_up().await?;
        Ok(mirror)
    }

    /// Waits until everything is in that there is, for as long as something comes in.
    async fn catch_up(&self) -> Result<(), OpenError> {
        let (mut fresh, mut upto) = (self.parts.fresh.subscribe(), self.parts.upto.subscribe());
        loop {
            let arrived = async {
                tokio::select! {
                    _ = fresh.wait_for(Option::is_some) => true,
                    _ = upto.changed() => false,
                }
            };
            match tokio::time::timeout(OPENING, arrived).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(_) => return Err(OpenError::Unreachable),
            }
        }
    }

    /// How it does.
    pub async fn standing(&self) -> Standing {
        let file = self.parts.file.borrow().clone();
        let end = match file {
            Some(file) => file.log.end().await.ok(),
            None => None,
        };
        let story = self.parts.story.lock().unwrap_or_else(PoisonError::into_inner);
        let (upto, head) = (*self.parts.upto.borrow(), *self.parts.head.borrow());
        Standing {
            end,
            lag: head.to_backend().saturating_sub(upto.to_backend()),
            age: self.parts.fresh.borrow().map(|since| since.elapsed()),
            put_aside: story.put_aside.clone(),
            trouble: story.trouble.clone(),
        }
    }

    /// What the event at a position and all before it hash to; none if it has not come here yet, whether or not the file is recent.
    pub async fn known_hash_at(&self, position: Position) -> Option<ChainHash> {
        let file = self.parts.file.borrow().clone()?;
        file.log.hash_at(position).await.ok()
    }

    /// Follows no further. Followers end.
    pub async fn close(&self) {
        self.parts.closed.send_replace(true);
        for task in &self.tasks {
            task.abort();
        }
        let file = self.parts.file.send_replace(None);
        if let Some(file) = file {
            file.close().await;
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.parts.closed.send_replace(true);
        for task in &self.tasks {
            task.abort();
        }
        // Tasks end a moment later, and whoever opens the file next must not wait for them.
        if let Some(file) = self.parts.file.send_replace(None) {
            file.shut();
        }
    }
}

#[async_trait]
impl EventLog for Mirror {
    async fn read(&self, stream: &StreamName) -> Result<StreamEvents, LogError> {
        let read = self.parts.read(stream).await?;
        if read.revision.is_some() {
            return Ok(read);
        }
        // What this node has never heard of may have begun on another one a moment ago.
        self.parts.ask_for_head().await?;
        self.parts.read(stream).await
    }

    async fn read_after(&self, stream: &StreamName, known: Revision) -> Result<Option<StreamEvents>, LogError> {
        self.parts.noticing(self.parts.file()?.log.read_after(stream, known).await)
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.parts.append(append.checked()?).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<StreamName>, LogError> {
        self.parts.file()?.log.streams(prefix).await
    }

    fn follow(&self, after: Position) -> BoxStream<'static, Result<Followed, LogError>> {
        follow::follow(self.parts.clone(), after)
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.parts.file()?.log.head().await
    }

    async fn hash_at(&self, position: Position) -> Result<ChainHash, LogError> {
        let found = self.parts.file()?.log.hash_at(position).await;
        match found {
            // An event that is not here yet is no damage.
            Err(LogError::Broken(BrokenChain { wrong: Wrong::Missing, .. })) => found,
            found => self.parts.noticing(found),
        }
    }
}

impl Parts {
    /// The file, if it is recent enough to decide by.
    fn file(&self) -> Result<Arc<MirrorFile>, LogError> {
        let unavailable = |error: Box<dyn std::error::Error + Send + Sync>| Err(LogError::Unavailable(error));
        if self.fresh.borrow().is_none_or(|since| since.elapsed() > self.bound) {
            return unavailable(Box::new(Stale(self.bound)));
        }
        let file = self.file.borrow().clone();
        file.map_or_else(|| unavailable(Box::new(Closed)), Ok)
    }

    async fn read(&self, stream: &StreamName) -> Result<StreamEvents, LogError> {
        self.noticing(self.file()?.log.read(stream).await)
    }

    /// Has a break looked after.
    fn noticing<T>(&self, outcome: Result<T, LogError>) -> Result<T, LogError> {
        if let Err(LogError::Broken(broken)) = &outcome {
            self.doubt.send_replace(Some(broken.clone()));
        }
        outcome
    }

    /// Waits until everything is in that is in the shared log now.
    async fn ask_for_head(&self) -> Result<(), LogError> {
        let now = Instant::now();
        let mut fresh = self.fresh.subscribe();
        self.asked.notify_one();
        let heard = tokio::time::timeout(PATIENCE, fresh.wait_for(|since| since.is_some_and(|since| since >= now))).await;
        heard.map(drop).map_err(|_| LogError::Unavailable(Box::new(Stale(PATIENCE))))
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let mut waiter = self.waiting.for_commit(append.commit);
        for tried in 0..MOST_TRIES {
            let expected = match self.prepare(&append).await {
                Ok(Prepared::Expect(expected)) => expected,
                Ok(Prepared::Answered(answer)) => return answer,
                Err(error) if tried == 0 => return Err(AppendError::Unavailable(Box::new(error))),
                Err(error) => return Err(AppendError::Indeterminate(Box::new(error))),
            };
            let commit = Commit { stream: append.stream.clone(), expected, id: append.commit, events: append.events.clone() };
            let begun = Instant::now();
            let published = tokio::select! {
                biased;
                answer = waiter.told() => return answer,
                published = self.publish(&commit) => published?,
            };
            let arrived = tokio::select! {
                biased;
                answer = waiter.told() => {
                    if matches!(published, Outcome::Now(_)) {
                        // Whatever was in the shared log when it was published stands before it, so all of that is here too.
                        self.know_all_since(begun);
                    }
                    return answer;
                }
                arrived = tokio::time::timeout(PATIENCE, self.has(&published)) => arrived.unwrap_or_default(),
            };
            if !arrived {
                return Err(AppendError::Indeterminate(Box::new(Late)));
            }
            // An earlier try was in already, or somebody else was quicker: the file knows. Where neither is so, what came between is no
            // event, and it is tried again behind that.
        }
        Err(AppendError::Conflict { stream: append.stream, current: None })
    }

    /// What is to be expected of the stream. A writer who knows of more than has come here was told so by another node.
    async fn prepare(&self, append: &Append) -> Result<Prepared, LogError> {
        let prepared = self.noticing(self.file()?.prepare(append.clone()).await)?;
        let ahead = match (&prepared, append.expected) {
            (Prepared::Answered(Err(AppendError::Conflict { current, .. })), Expected::At(expected)) => {
                current.is_none_or(|current| current.to_backend() < expected.to_backend())
            }
            _ => false,
        };
        if !ahead {
            return Ok(prepared);
        }
        self.ask_for_head().await?;
        self.noticing(self.file()?.prepare(append.clone()).await)
    }

    /// Waits until what a commit came to can be told from the file. False if it will not be.
    async fn has(&self, published: &Outcome) -> bool {
        match published {
            Outcome::Now(position) | Outcome::Earlier(position) => {
                let mut upto = self.upto.subscribe();
                upto.wait_for(|upto| upto >= position).await.is_ok()
            }
            Outcome::Conflict => self.ask_for_head().await.is_ok(),
        }
    }

    /// Notes that nothing is missing that was in the shared log at this moment.
    fn know_all_since(&self, moment: Instant) {
        self.fresh.send_if_modified(|since| {
            let later = since.is_none_or(|since| since < moment);
            if later {
                *since = Some(moment);
            }
            later
        });
    }

    /// Publishes until somebody says what came of it, for as long as there is patience.
    async fn publish(&self, commit: &Commit) -> Result<Outcome, AppendError> {
        let until = Instant::now() + PATIENCE;
        let mut unknown = None;
        loop {
            let (error, pause) = match self.shared.publish(commit).await {
                Ok(Published { position, duplicate: false }) => return Ok(Outcome::Now(position)),
                Ok(Published { position, .. }) => return Ok(Outcome::Earlier(position)),
                Err(PublishError::Conflict) => return Ok(Outcome::Conflict),
                Err(PublishError::Never(why)) => return Err(AppendError::Refused(why)),
                // What is on its way may be our own; that is known once it has arrived.
                Err(PublishError::Busy) if unknown.is_none() && Instant::now() >= until => return Ok(Outcome::Conflict),
                Err(PublishError::Busy) => (None, PAUSE / 10),
                Err(PublishError::Unknown(error)) => (Some((true, error)), PAUSE),
                Err(PublishError::NotTaken(error)) => (Some((false, error)), PAUSE),
            };
            if let Some((maybe_in, error)) = error {
                match (&unknown, maybe_in) {
                    (None, true) => unknown = Some(error),
                    (None, false) if Instant::now() >= until => return Err(AppendError::Unavailable(error)),
                    (Some(_), _) | (None, false) => {}
                }
            }
            if Instant::now() >= until
                && let Some(error) = unknown
            {
                return Err(AppendError::Indeterminate(error));
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// What the shared log made of a commit.
enum Outcome {
    /// It has got in now.
    Now(Position),
    /// An earlier try is in; its entry may have come here before anybody waited for it.
    Earlier(Position),
    /// The stream has moved on, maybe by an earlier try.
    Conflict,
}
