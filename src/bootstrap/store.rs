//! Which event log it is: opened as the settings say, and closed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use gatebook_events::envelope::Position;

use crate::cluster::kurrentdb::Kurrent;
use crate::cluster::nats::{self, Nats, NatsError, NatsSettings};
use crate::cluster::shared_kv::{self, JetStreamNotes, KurrentDbNotes, Notes};
use crate::config::{Config, LogBackend, data_dir};
use crate::event_log::EventLog;
use crate::event_log::jetstream::{self, JetStreamLog};
use crate::event_log::kurrentdb::{self, KurrentDbLog};
use crate::event_log::shared::SharedLog;
/// The newest format of the event log that this build knows.
pub use crate::event_log::sqlite::FORMAT as LOG_FORMAT;
use crate::event_log::sqlite::mirror::Mirror;
use crate::event_log::sqlite::{Backup, BackupError, Copied, SqliteLog, Vacant};

use super::StartError;

/// Between two attempts to reach a cluster that comes up.
const PAUSE: Duration = Duration::from_millis(500);

/// The event log. Cheap to clone.
#[derive(Clone)]
pub enum Store {
    /// A file, of which this process is the only writer.
    File(Arc<SqliteLog>),
    /// A log that nodes share, by this node's mirror of it.
    Shared(Arc<Mirror>, Keeper),
}

/// Who keeps a log that nodes share.
#[derive(Clone)]
pub enum Keeper {
    /// NATS, by which nodes talk to each other too.
    JetStream(Box<Nats>),
    /// `KurrentDB`, where they leave each other notes.
    KurrentDb(Box<Kurrent>),
}

impl Keeper {
    /// What kind of log it is.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::JetStream(_) => "jetstream",
            Self::KurrentDb(_) => "kurrentdb",
        }
    }

    async fn notes(&self) -> Result<Arc<dyn Notes>, shared_kv::OpenError> {
        match self {
            Self::JetStream(nats) => Ok(Arc::new(JetStreamNotes::open(nats).await?)),
            Self::KurrentDb(kurrent) => Ok(Arc::new(KurrentDbNotes::new(Kurrent::clone(kurrent)))),
        }
    }
}

impl Store {
    /// Opens the log that is configured. A shared one is waited for, and read to its head.
    pub async fn open(config: &Config) -> Result<Self, StartError> {
        let path = data_dir::log(config);
        match &config.log {
            LogBackend::Sqlite => Ok(Self::File(Arc::new(SqliteLog::open(&path)?))),
            shared => {
                crate::credentials::key_files::create_data_folder(path.parent().unwrap_or(&config.data))?;
                let (log, keeper) = connect_to(shared).await?;
                Ok(Self::Shared(Arc::new(Mirror::open(&path, log, config.max_staleness).await?), keeper))
            }
        }
    }

    /// What kind of log it is.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "sqlite",
            Self::Shared(_, keeper) => keeper.kind(),
        }
    }

    /// The log, as everything else knows it.
    pub fn log(&self) -> Arc<dyn EventLog> {
        match self {
            Self::File(log) => log.clone(),
            Self::Shared(mirror, _) => mirror.clone(),
        }
    }

    /// What nodes share beside the log; none where there is one node.
    pub async fn notes(&self) -> Result<Option<Arc<dyn Notes>>, shared_kv::OpenError> {
        match self {
            Self::File(_) => Ok(None),
            Self::Shared(_, keeper) => keeper.notes().await.map(Some),
        }
    }

    /// Whether other nodes may write to it too.
    pub const fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(..))
    }

    /// Ends it, once everything that was accepted is answered.
    pub async fn close(&self) {
        match self {
            Self::File(log) => log.close().await,
            Self::Shared(mirror, _) => mirror.close().await,
        }
    }
}

/// The log that nodes share, waited for, and who keeps it.
pub(super) async fn connect_to(backend: &LogBackend) -> Result<(Arc<dyn SharedLog>, Keeper), StartError> {
    match backend {
        LogBackend::Sqlite => Err(StartError::NotShared),
        LogBackend::JetStream(settings) => {
            let (nats, log) = reached(async || connect(settings).await).await?;
            Ok((Arc::new(log), Keeper::JetStream(Box::new(nats))))
        }
        LogBackend::KurrentDb(settings) => {
            let kurrent = Kurrent::try_new(settings)?;
            let log = reached(async || Ok(KurrentDbLog::open(kurrent.clone()).await?)).await?;
            Ok((Arc::new(log), Keeper::KurrentDb(Box::new(kurrent))))
        }
    }
}

/// The whole cluster may have been started a moment ago, so it gets some time to agree on who leads.
async fn reached<T>(attempt: impl AsyncFn() -> Result<T, StartError>) -> Result<T, StartError> {
    let until = Instant::now() + nats::START;
    loop {
        let error = match attempt().await {
            Ok(found) => return Ok(found),
            Err(
                error @ (StartError::Nats(NatsError::Connect(_))
                | StartError::Stream(jetstream::OpenError::Unavailable { .. })
                | StartError::KurrentLog(kurrentdb::OpenError::Unavailable { .. })),
            ) => error,
            Err(error) => return Err(error),
        };
        if Instant::now() >= until {
            return Err(error);
        }
        let cause = innermost(&error);
        tracing::warn!(%error, %cause, "the cluster is waited for");
        tokio::time::sleep(PAUSE).await;
    }
}

/// What it all came from, which is what an operator can do something about.
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

async fn connect(settings: &NatsSettings) -> Result<(Nats, JetStreamLog), StartError> {
    let nats = Nats::connect(settings).await?;
    let log = JetStreamLog::open(nats.clone()).await?;
    Ok((nats, log))
}

/// Opens the event log, or this node's mirror of it, to read it as it is now; a service may be writing to it.
pub fn open_log_read_only(config: &Config) -> Result<SqliteLog, StartError> {
    Ok(SqliteLog::open_read_only(&data_dir::log(config))?)
}

/// Copies the event log, or this node's mirror of it, as it stands now, into a new file, with some small files beside it.
pub fn back_up(
    config: &Config,
    to: &Path,
    with: (DateTime<Utc>, &[(String, String)]),
    progress: impl FnMut(Position, Position),
) -> Result<Copied, BackupError> {
    SqliteLog::back_up(&data_dir::log(config), to, with, progress)
}

/// What is in a backup, once every event of it was verified.
pub fn inspect_backup(file: &Path, progress: impl FnMut(Position, Position)) -> Result<Backup, BackupError> {
    SqliteLog::inspect_backup(file, progress)
}

/// The place of the event log in a data folder that has none.
pub fn vacant_log(config: &Config) -> Result<Vacant, BackupError> {
    Vacant::take(&data_dir::log(config))
}

/// Whether a service or a command writes to the event log in the data folder.
pub fn log_in_use(config: &Config) -> bool {
    SqliteLog::in_use(&data_dir::log(config))
}

/// How the log is called where somebody looks for it.
pub fn describe(config: &Config) -> String {
    let path: PathBuf = data_dir::log(config);
    match &config.log {
        LogBackend::Sqlite => format!("{} (sqlite)", path.display()),
        LogBackend::JetStream(settings) => {
            format!("{} on {} (jetstream), mirrored in {}", settings.name, settings.servers.join(", "), path.display())
        }
        LogBackend::KurrentDb(settings) => {
            format!("{} on {} (kurrentdb), mirrored in {}", settings.name, settings.hosts.join(", "), path.display())
        }
    }
}
