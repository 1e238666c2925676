//! The client lists as they were: what the log says up to a moment, folded into tables of its own, which are asked as the live
//! ones are. Rebuilt equals live, so the answer is the one that was given then.
//!
//! Tables of few moments are kept, for the next page and for whoever asks again; one is made at a time, and none of it touches the
//! tables that serve. A tenant has one made at a time at most, so that tenants take turns, however much one of them asks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gatebook_events::envelope::Position;
use gatebook_events::identity::TenantId;
use gatebook_projections::directory::Directory;
use gatebook_projections::read_model::Projection;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::timeout;

use crate::event_log::{EventLog, LogError};
use crate::platform::disk_space;
use crate::platform::spans::on_behalf;
use crate::read_models::build::Stop;

pub(crate) mod builds;
pub(crate) mod cache;
pub(crate) mod point;
pub(crate) mod snapshot;

mod fold;

use crate::application::audit::as_of::builds::Makings;
use crate::application::audit::as_of::cache::Shelf;
pub use crate::application::audit::as_of::point::AsOf;
use crate::application::audit::as_of::snapshot::Folder;
pub use crate::application::audit::as_of::snapshot::Moment;

/// For how long a moment is kept that nobody asks for.
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
    /// Where the tables lie that serve, whose size tells how large a moment may become.
    read_models: PathBuf,
    kept: Mutex<Shelf>,
    /// What is being made or waits for its turn, at most one moment of each tenant.
    makings: Mutex<Makings>,
    /// Whose turn it is to make a moment; closed once the service stops.
    turn: Semaphore,
    /// Names folders.
    made: AtomicU64,
    /// Whether it was said that there is too little room.
    cramped: AtomicBool,
}

/// Why the past cannot be shown. Whoever waited for the same moment is told the same.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PastError {
    /// This moment, or another one that the same tenant asked for, takes longer than anybody waits.
    #[error("the directory as it was then is being built: {percent} % are done")]
    UnderWay {
        /// How much of what is being made there is.
        percent: u64,
    },
    /// The disk is needed for what serves.
    #[error("there is too little room on the disk to build the directory as it was then")]
    NoRoom,
    /// The service stops.
    #[error("the service is about to stop")]
    Ended,
    /// The log cannot be read.
    #[error("failed to read the event log")]
    Log(#[source] Arc<LogError>),
    /// An event or a file is at fault.
    #[error("failed to bring back the directory as it was")]
    Fold(#[source] Arc<Stop>),
}

impl PastError {
    /// Whether nothing failed, and the past is only not to be had now.
    pub const fn is_expected(&self) -> bool {
        match self {
            Self::UnderWay { .. } | Self::NoRoom | Self::Ended => true,
            Self::Log(_) | Self::Fold(_) => false,
        }
    }
}

impl From<LogError> for PastError {
    fn from(error: LogError) -> Self {
        Self::Log(Arc::new(error))
    }
}

impl From<Stop> for PastError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Log(error) => error.into(),
            other => Self::Fold(Arc::new(other)),
        }
    }
}

impl Past {
    /// The past of a log, made in a folder beside the tables that serve. What an earlier process left in the folder goes.
    pub fn open(log: Arc<dyn EventLog>, folder: &Path, read_models: &Path) -> io::Result<Self> {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        Ok(Self(Arc::new(Parts {
            log,
            folder: folder.to_owned(),
            read_models: read_models.to_owned(),
            kept: Mutex::default(),
            makings: Mutex::default(),
            turn: Semaphore::new(1),
            made: AtomicU64::new(0),
            cramped: AtomicBool::new(false),
        })))
    }

    /// What a tenant's lists rest on as it was then: found if it is kept, else made, which reads the log from its first event on.
    ///
    /// While one of a tenant's moments is made or waits for its turn, whoever of them means another one is not kept waiting.
    pub async fn at(&self, tenant: &TenantId, as_of: AsOf) -> Result<Arc<Moment>, PastError> {
        if let Some(found) = self.find(tenant, as_of).await? {
            return Ok(found);
        }
        let mut waiting = self.have_made(tenant, as_of)?;
        match timeout(PATIENCE, waiting.outcome()).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) if self.0.turn.is_closed() => Err(PastError::Ended),
            Ok(None) => Err(Stop::Thread.into()),
            Err(_) => Err(PastError::UnderWay { percent: waiting.percent() }),
        }
    }

    /// Lets go of what nobody asked for in a while, until the process ends.
    pub fn start(&self) -> AbortHandle {
        let past = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let gone = lock(&past.0.kept).take_unasked(KEPT_FOR);
                drop(gone);
            }
        })
        .abort_handle()
    }

    /// Lets go of everything, for a service that stops.
    pub async fn end(&self) {
        self.0.turn.close();
        let makings = std::mem::take(&mut *lock(&self.0.makings));
        makings.end().await;
        let (kept, folder) = (std::mem::take(&mut *lock(&self.0.kept)), self.0.folder.clone());
        let removing = spawn_blocking(move || {
            drop(kept);
            // Whatever is left is removed at the next start.
            let _left = fs::remove_dir_all(folder);
        });
        let _ended = removing.await;
    }

    async fn find(&self, tenant: &TenantId, as_of: AsOf) -> Result<Option<Arc<Moment>>, PastError> {
        let head = self.0.log.head().await?;
        Ok(lock(&self.0.kept).find(tenant, as_of, head))
    }

    /// Makes a moment when it is its turn, and keeps it.
    async fn make(&self, tenant: TenantId, as_of: AsOf, told: impl Fn(u64)) -> Result<Arc<Moment>, PastError> {
        let _turn = self.0.turn.acquire().await.map_err(|_| PastError::Ended)?;
        // It may have been finished between the caller's look at what is kept and now.
        if let Some(found) = self.find(&tenant, as_of).await? {
            return Ok(found);
        }
        let past = self.clone();
        let folder = spawn_blocking(on_behalf(move || past.new_folder())).await.map_err(|_| Stop::Thread)??;
        let goal = match as_of {
            AsOf::Position(position) => position,
            AsOf::Time(_) => self.0.log.head().await?,
        };
        let percent = |at: Position| (at.to_backend().saturating_mul(100) / goal.to_backend().max(1)).min(100);
        let made = Arc::new(fold::fold(&self.0.log, folder, tenant, as_of, |at| told(percent(at))).await?);
        let gone = lock(&self.0.kept).put(made.clone());
        drop(gone);
        Ok(made)
    }

    /// An empty folder for a moment, if there is room for it.
    fn new_folder(&self) -> Result<Folder, PastError> {
        let needed = self.largest().saturating_mul(2);
        let free = disk_space::free(&self.0.read_models).filter(|free| *free < needed);
        let said = self.0.cramped.swap(free.is_some(), Ordering::Relaxed);
        if let Some(free) = free {
            if !said {
                tracing::warn!(free, needed, "there is too little room on the disk to show the past");
            }
            return Err(PastError::NoRoom);
        }
        let folder = self.0.folder.join(self.0.made.fetch_add(1, Ordering::Relaxed).to_string());
        Folder::make(folder).map_err(|error| LogError::Unavailable(Box::new(error)).into())
    }

    /// The bytes of the largest directory that lies with the tables that serve: a moment takes no more, and a rebuild as much again.
    fn largest(&self) -> u64 {
        let files = fs::read_dir(&self.0.read_models).into_iter().flatten().flatten();
        let directories = files.filter(|file| file.file_name().to_string_lossy().starts_with(&format!("{}@", Directory::NAME)));
        directories.filter_map(|file| Some(file.metadata().ok()?.len())).max().unwrap_or(0)
    }
}

/// A panic elsewhere leaves at worst fewer moments.
fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
