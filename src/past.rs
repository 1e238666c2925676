//! The client lists as they were: what the log says up to a moment, folded into tables of its own, which are asked as the live
//! ones are. Rebuilt equals live, so the answer is the one that was given then.
//!
//! Tables of few moments are kept, for the next page and for whoever asks again; one is made at a time, and none of it touches the
//! tables that serve.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gatebook_events::envelope::Position;
use gatebook_events::identity::TenantId;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use crate::log::{EventLog, LogError};
use crate::projector::build::Stop;

mod as_of;
mod fold;
mod moment;

pub use as_of::AsOf;
use moment::Folder;
pub use moment::Moment;

/// How many moments are kept.
const MOST_KEPT: usize = 4;
/// For how long one is kept that nobody asks for.
const KEPT_FOR: Duration = Duration::from_secs(600);
/// Between two looks at what is kept for too long.
const EVERY: Duration = Duration::from_secs(60);
/// The longest that somebody waits for a moment; making it goes on, so that they find it when they come again.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was. Cheap to clone.
#[derive(Clone)]
pub struct Past(Arc<Parts>);

struct Parts {
    log: Arc<dyn EventLog>,
    folder: PathBuf,
    kept: Mutex<Vec<Kept>>,
    /// Whose turn it is to make a moment.
    turn: Arc<Semaphore>,
    /// What makes it.
    making: Mutex<Option<AbortHandle>>,
    /// How much of it there is, in percent.
    done: AtomicU64,
    /// Names folders.
    made: AtomicU64,
}

struct Kept {
    moment: Arc<Moment>,
    asked: Instant,
}

/// Why the past cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// This moment, or one that somebody else asked for, takes longer than anybody waits.
    #[error("the directory as it was then is being built: {percent} % are done")]
    UnderWay {
        /// How much of what is being made there is.
        percent: u64,
    },
    /// The log cannot be read.
    #[error("failed to read the event log")]
    Log(#[from] LogError),
    /// An event or a file is at fault.
    #[error("failed to bring back the directory as it was")]
    Fold(#[source] Box<Stop>),
}

impl From<Stop> for PastError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Log(error) => Self::Log(error),
            other => Self::Fold(Box::new(other)),
        }
    }
}

impl Past {
    /// The past of a log. What an earlier process left in the folder goes.
    pub fn open(log: Arc<dyn EventLog>, folder: &Path) -> io::Result<Self> {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let (turn, making) = (Arc::new(Semaphore::new(1)), Mutex::default());
        let (done, made) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self(Arc::new(Parts { log, folder: folder.to_owned(), kept: Mutex::default(), turn, making, done, made })))
    }

    /// What a tenant's lists rest on as it was then: found if it is kept, else made, which reads the log from its first event on.
    pub async fn at(&self, tenant: &TenantId, as_of: AsOf) -> Result<Arc<Moment>, PastError> {
        let give_up = Instant::now() + PATIENCE;
        if let Some(found) = self.find(tenant, as_of, self.0.log.head().await?) {
            return Ok(found);
        }
        let under_way = || PastError::UnderWay { percent: self.0.done.load(Ordering::Relaxed) };
        let waited = timeout_at(give_up, self.0.turn.clone().acquire_owned()).await.map_err(|_| under_way())?;
        let turn = waited.map_err(|_| Stop::Thread)?;
        // Whoever had the turn before may have made this very moment.
        if let Some(found) = self.find(tenant, as_of, self.0.log.head().await?) {
            return Ok(found);
        }
        let (past, tenant) = (self.clone(), tenant.clone());
        // A task of its own, because the caller may hang up or lose patience and come again.
        let making = tokio::spawn(async move {
            let made = past.make(tenant, as_of).await;
            drop(turn);
            made
        });
        *lock(&self.0.making) = Some(making.abort_handle());
        let made = timeout_at(give_up, making).await.map_err(|_| under_way())?;
        made.map_err(|_| Stop::Thread)?
    }

    /// Lets go of what nobody asked for in a while, until the process ends.
    pub fn start(&self) -> AbortHandle {
        let past = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                past.let_go(|kept| kept.retain(|one| one.asked.elapsed() < KEPT_FOR)).await;
            }
        })
        .abort_handle()
    }

    /// Lets go of everything, for a service that stops.
    pub async fn end(&self) {
        self.0.turn.close();
        if let Some(making) = lock(&self.0.making).take() {
            making.abort();
        }
        self.let_go(Vec::clear).await;
        // Whatever is left is removed at the next start.
        let _left = fs::remove_dir_all(&self.0.folder);
    }

    fn find(&self, tenant: &TenantId, as_of: AsOf, head: Position) -> Option<Arc<Moment>> {
        let mut kept = lock(&self.0.kept);
        let found = kept.iter_mut().find(|one| one.moment.is(tenant, as_of, head))?;
        found.asked = Instant::now();
        Some(found.moment.clone())
    }

    async fn make(&self, tenant: TenantId, as_of: AsOf) -> Result<Arc<Moment>, PastError> {
        self.0.done.store(0, Ordering::Relaxed);
        let folder = self.0.folder.join(self.0.made.fetch_add(1, Ordering::Relaxed).to_string());
        let folder = Folder::make(folder).map_err(|error| LogError::Unavailable(Box::new(error)))?;
        let goal = match as_of {
            AsOf::Position(position) => position,
            AsOf::Time(_) => self.0.log.head().await?,
        };
        let told = |at: Position| {
            let percent = at.to_backend().saturating_mul(100) / goal.to_backend().max(1);
            self.0.done.store(percent.min(100), Ordering::Relaxed);
        };
        let made = Arc::new(fold::fold(&self.0.log, folder, tenant, as_of, told).await?);
        let asked = Kept { moment: made.clone(), asked: Instant::now() };
        self.let_go(move |kept| {
            kept.retain(|one| !one.moment.is_same(&asked.moment));
            kept.sort_by_key(|one| one.asked);
            kept.drain(..(kept.len() + 1).saturating_sub(MOST_KEPT));
            kept.push(asked);
        })
        .await;
        Ok(made)
    }

    /// Changes what is kept. Removing files blocks on the disk.
    async fn let_go(&self, change: impl FnOnce(&mut Vec<Kept>) + Send + 'static) {
        let past = self.clone();
        let _ended = tokio::task::spawn_blocking(move || change(&mut lock(&past.0.kept))).await;
    }
}

/// A panic elsewhere leaves at worst fewer moments.
fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
