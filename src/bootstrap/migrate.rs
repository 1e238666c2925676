//! The event log, copied from one backend to another: append by append, in order, so that both end with the same chain and root.
//!
//! A log that nodes share is read and written by a mirror of its own in the data folder. What the target has already is compared
//! with the source and left, so that a migration that was cut off goes on where it was.

use std::path::{Path, PathBuf};

use gatebook_events::envelope::Position;

use super::store::connect_to;
use super::{Keeper, StartError};
use crate::config::{Config, LogBackend, data_dir};
use crate::event_log::sqlite::mirror::Mirror;
use crate::event_log::sqlite::{Appends, AppendsError, SqliteLog, Summary};
use crate::event_log::{Append, AppendError, ChainHash, EventLog, LogError};

/// About how many events are read at a time, and on their way to a shared log: what the slowest disk takes before an answer is late.
const STRETCH: usize = 1024;

/// One end of a migration.
#[derive(Debug, Clone)]
pub enum End {
    /// A file.
    File(PathBuf),
    /// A log that nodes share.
    Shared(LogBackend),
}

/// Why a migration came to nothing. What was copied is left for the next attempt.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// One end cannot be opened.
    #[error("failed to open the event log {which}")]
    Open {
        /// Which end.
        which: &'static str,
        /// Why.
        source: StartError,
    },
    /// The source cannot be read.
    #[error("failed to read the event log")]
    Read(#[from] AppendsError),
    /// One end is not what was written.
    #[error("failed to verify the event log")]
    Verify(#[from] LogError),
    /// The target does not take it.
    #[error("failed to append to the event log")]
    Append(#[from] AppendError),
    /// The target holds something else.
    #[error("the target holds other events than the source: they differ at position {0} or before")]
    Differs(Position),
    /// An append got another place than it had.
    #[error("an append stands at position {found} instead of {wanted}: somebody else writes to the target")]
    Misplaced {
        /// Where it stood.
        wanted: Position,
        /// Where it stands.
        found: Position,
    },
    /// A thread ended early.
    #[error("a thread ended early")]
    Thread,
}

/// What a migration came to.
#[derive(Debug, Clone, Copy)]
pub struct Migrated {
    /// How many events were in the target already.
    pub found: Position,
    /// What both ends hold now, by the walk through each.
    pub summary: Summary,
}

/// An end that is open.
enum Open {
    File(SqliteLog, PathBuf),
    Shared(Mirror, PathBuf),
}

impl Open {
    async fn open(end: &End, mirror: &Path, config: &Config) -> Result<Self, StartError> {
        match end {
            End::File(path) => Ok(Self::File(SqliteLog::open(path)?, path.clone())),
            End::Shared(backend) => {
                let (shared, _): (_, Keeper) = connect_to(backend).await?;
                let opened = Mirror::open(mirror, shared, config.max_staleness).await?;
                Ok(Self::Shared(opened, mirror.to_owned()))
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::File(_, path) | Self::Shared(_, path) => path,
        }
    }

    fn log(&self) -> &dyn EventLog {
        match self {
            Self::File(log, _) => log,
            Self::Shared(mirror, _) => mirror,
        }
    }

    async fn hash_at(&self, position: Position) -> Option<ChainHash> {
        match self {
            Self::File(log, _) => log.hash_at(position).await.ok(),
            Self::Shared(mirror, _) => mirror.known_hash_at(position).await,
        }
    }

    /// Appends in this order, each at its place.
    async fn take(&self, appends: Vec<(Append, Position)>) -> Result<(), MigrationError> {
        match self {
            Self::File(log, _) => {
                let (appends, wanted): (Vec<_>, Vec<_>) = appends.into_iter().unzip();
                let appended = log.append_in_order(appends).await?;
                match appended.iter().map(|one| one.position).zip(wanted).find(|(found, wanted)| found != wanted) {
                    Some((found, wanted)) => Err(MigrationError::Misplaced { wanted, found }),
                    None => Ok(()),
                }
            }
            Self::Shared(mirror, _) => {
                let wanted = appends.last().map(|(_, wanted)| *wanted).unwrap_or_default();
                let appends: Vec<_> = appends.into_iter().map(|(append, _)| append).collect();
                mirror.load(&appends).await?;
                let found = mirror.head().await?;
                if found == wanted { Ok(()) } else { Err(MigrationError::Misplaced { wanted, found }) }
            }
        }
    }

    async fn close(self) {
        match self {
            Self::File(log, _) => log.close().await,
            Self::Shared(mirror, _) => mirror.close().await,
        }
    }
}

/// Copies all events, and walks both ends to see that they hold the same. Both have to be left alone meanwhile: a file is locked, and
/// of a shared log no node may be running.
pub async fn migrate(config: &Config, from: &End, to: &End, progress: impl Fn(Position, Position)) -> Result<Migrated, MigrationError> {
    let mirrors = data_dir::migration(config);
    let opened = |which: &'static str| move |source| MigrationError::Open { which, source };
    crate::credentials::key_files::create_data_folder(&mirrors)
        .map_err(|error| MigrationError::Open { which: "", source: error.into() })?;
    let source = Open::open(from, &mirrors.join("from.db"), config).await.map_err(opened("to copy from"))?;
    let target = Open::open(to, &mirrors.join("to.db"), config).await.map_err(opened("to copy to"))?;
    let found = target.log().head().await?;
    if found > source.log().head().await? || source.hash_at(found).await != target.hash_at(found).await {
        return Err(MigrationError::Differs(found));
    }
    let mut appends = Appends::after(source.path(), found)?;
    let head = appends.head();
    let mut done = found;
    while done < head {
        let next = tokio::task::spawn_blocking(move || (appends.next(STRETCH), appends)).await.map_err(|_| MigrationError::Thread)?;
        appends = next.1;
        let next = next.0?;
        done = next.last().map_or(head, |(_, last)| *last);
        target.take(next).await?;
        progress(done, head);
    }
    let paths = [source.path().to_owned(), target.path().to_owned()];
    source.close().await;
    target.close().await;
    let walk = move || -> Result<[Summary; 2], MigrationError> {
        let verify = |path: &Path| {
            let log = SqliteLog::open_read_only(path).map_err(|error| opened("to verify it")(error.into()))?;
            log.verify(|_, _| ()).map_err(MigrationError::Verify)
        };
        let [from, to] = paths;
        Ok([verify(&from)?, verify(&to)?])
    };
    let [from_summary, summary] = tokio::task::spawn_blocking(walk).await.map_err(|_| MigrationError::Thread)??;
    if from_summary != summary {
        return Err(MigrationError::Differs(summary.head));
    }
    // The mirrors were for this only; the nodes make their own.
    if let Err(error) = std::fs::remove_dir_all(&mirrors) {
        tracing::warn!(path = %mirrors.display(), %error, "what was needed for the migration stays");
    }
    Ok(Migrated { found, summary })
}
