//! The feed: every event of the history, of all tenants, as CloudEvents in a JetStream stream, on
//! `<name>.events.<tenant>.<resource server>.<type>`.
//!
//! Each message names the position of its event, and is let in only behind the message that its publisher saw last. So the stream
//! itself says where to go on, whoever published, and however many nodes do; each event is in it once and in the order of the log.
//! Only where the last message is gone, as past a limit of the stream, the position in the node's own file is what counts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gatebook_events::envelope::Position;
use gatebook_projections::history::History;
use gatebook_projections::read_model::QueryError;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::cluster::nats::{Nats, NatsError, NatsSettings};
use crate::event_log::{EventLog, LogError};
use crate::platform::side_db::{NotKept, OpenError, SideTable};
use crate::read_models::{Follower, Projector};

mod checkpoint;
mod stream;
mod subject;

use checkpoint::Checkpoint;
use stream::{Last, PublishFailure, Target, TargetError};

/// How many events are on their way at a time.
const BATCH: usize = 256;
/// Between two attempts while something is wrong; twice as long each time.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(30)];
/// A node beside one that publishes looks so often whether that one still does.
const STAND_BY: Duration = Duration::from_secs(1);

/// What publishes the feed. Cheap to clone.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

struct Inner {
    progress: watch::Receiver<Progress>,
    published: Counter,
    checkpoint: Checkpoint,
    task: AbortHandle,
}

/// How far the feed is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// Every event up to here is in the stream.
    pub position: Position,
    /// Why nothing is published now.
    pub trouble: Option<Arc<str>>,
}

/// What the feed needs.
pub struct Means {
    /// Where it goes.
    pub to: NatsSettings,
    /// What it tells.
    pub history: Projector<History>,
    /// The log that is told of, for what it hashes to.
    pub log: Arc<dyn EventLog>,
    /// The public URL.
    pub source: String,
    /// The same for all nodes of an instance, and for no other's.
    pub instance: String,
    /// This node.
    pub node: Uuid,
    /// Where the node notes how far it is.
    pub checkpoint: PathBuf,
}

/// Why nothing is published now.
#[derive(Debug, thiserror::Error)]
enum FeedTrouble {
    #[error("cannot connect")]
    Nats(#[from] NatsError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("an event was not taken")]
    Publish(#[from] PublishFailure),
    #[error("the history cannot be read")]
    History(#[from] QueryError),
    #[error("the position cannot be kept")]
    Checkpoint(#[from] NotKept),
    #[error("the event log cannot be read")]
    Log(#[from] LogError),
    #[error("an event cannot be rendered")]
    Event(#[from] serde_json::Error),
    #[error("the stream holds other events than this log: its last message is event {found} at position {position}")]
    OtherEvents { found: String, position: Position },
    #[error("a thread ended early")]
    Thread,
}

impl Feed {
    /// Publishes in the background until it is ended. Nobody waits for NATS: what it misses it gets later.
    pub fn start(means: Means) -> Result<Self, OpenError> {
        let checkpoint = Checkpoint::open(&means.checkpoint)?;
        let (progress, told) = watch::channel(Progress::default());
        let published = Counter::default();
        let told_by = Publisher { means, checkpoint: checkpoint.clone(), progress, published: published.clone() };
        let task = tokio::spawn(told_by.run()).abort_handle();
        Ok(Self(Arc::new(Inner { progress: told, published, checkpoint, task })))
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.0.progress.borrow().clone()
    }

    /// How many events this node published.
    pub fn published(&self) -> &Counter {
        &self.0.published
    }

    /// Where it is kept how far it is.
    pub fn side_table(&self) -> &SideTable {
        self.0.checkpoint.table()
    }

    /// Publishes nothing more.
    pub fn end(&self) {
        self.0.task.abort();
    }
}

struct Publisher {
    means: Means,
    checkpoint: Checkpoint,
    progress: watch::Sender<Progress>,
    published: Counter,
}

impl Publisher {
    async fn run(self) {
        let mut nats = None;
        let mut pause = PAUSES[0];
        loop {
            let before = self.progress.borrow().position;
            let Err(trouble) = self.session(&mut nats).await;
            let cause = std::error::Error::source(&trouble).map(ToString::to_string).unwrap_or_default();
            if matches!(trouble, FeedTrouble::Publish(_)) && self.progress.borrow().position > before {
                // A leader that changed, as they do: nothing is wrong before it fails again.
                pause = PAUSES[0];
            }
            tracing::warn!(error = %trouble, %cause, "the feed is behind");
            self.progress.send_modify(|progress| progress.trouble = Some(trouble.to_string().into()));
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES[1]);
        }
    }

    /// Publishes for as long as that goes well.
    async fn session(&self, nats: &mut Option<Nats>) -> Result<std::convert::Infallible, FeedTrouble> {
        let connected = match nats {
            Some(nats) => nats.clone(),
            None => nats.insert(Nats::connect(&self.means.to).await?).clone(),
        };
        let target = Target::find_or_make(connected, &self.means.instance).await?;
        let (mut at, mut last) = self.where_to_go_on(&target).await?;
        loop {
            self.reached(at, &target).await?;
            let shown = self.means.history.progress().position;
            let rows = self.after(at).await?;
            if rows.is_empty() {
                self.wait_past(at.max(shown)).await;
                continue;
            }
            match target.publish(&rows, last, (&self.means.source, self.means.node)).await {
                Ok(sequence) => {
                    self.published.inc_by(rows.len() as u64);
                    (at, last) = (rows.last().map_or(at, |row| row.position), sequence);
                }
                Err(PublishFailure::Known(index)) => {
                    (at, last) = (rows.get(index).map_or(at, |row| row.position), target.last().await?.0);
                }
                Err(PublishFailure::Overtaken) => {
                    (at, last) = self.stand_by(&target).await?;
                }
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    /// Another node publishes: looks on until that one leaves something undone for a while.
    async fn stand_by(&self, target: &Target) -> Result<(Position, u64), FeedTrouble> {
        loop {
            let due = self.means.history.progress().position;
            tokio::time::sleep(STAND_BY).await;
            let (at, last) = self.where_to_go_on(target).await?;
            self.reached(at, target).await?;
            if at < due && !self.after(at).await?.is_empty() {
                return Ok((at, last));
            }
        }
    }

    /// After which event to go on, behind which message.
    async fn where_to_go_on(&self, target: &Target) -> Result<(Position, u64), FeedTrouble> {
        let (sequence, found) = target.last().await?;
        let position = match found {
            Last::Ours { position, event } => {
                self.wait_until(position).await;
                let reader = self.means.history.reader().clone();
                let row = tokio::task::spawn_blocking(move || reader.at(position)).await.map_err(|_| FeedTrouble::Thread)??;
                if row.is_none_or(|row| row.id.0.to_string() != event) {
                    return Err(FeedTrouble::OtherEvents { found: event, position });
                }
                position
            }
            Last::Foreign | Last::Gone => self.noted(target).await?,
            Last::Empty => Position::START,
        };
        Ok((position, sequence))
    }

    /// How far this node knows the stream to be; its beginning, where what was told was another log's.
    async fn noted(&self, target: &Target) -> Result<Position, FeedTrouble> {
        let Some((position, hash)) = self.checkpoint.of(target.identity()).await? else { return Ok(Position::START) };
        let another = match hash {
            Some(_) if position > self.means.log.head().await? => true,
            Some(hash) => self.means.log.hash_at(position).await?.as_bytes().as_slice() != hash,
            None => false,
        };
        if another {
            tracing::error!(%position, "the event log is not the one that the feed told of: all of it is told");
            return Ok(Position::START);
        }
        Ok(position)
    }

    async fn after(&self, position: Position) -> Result<Vec<gatebook_projections::history::HistoryRow>, FeedTrouble> {
        // Tables that show another log, or none yet, are not what is told.
        self.means.history.until(|progress| progress.serves).await.ok_or(FeedTrouble::Thread)?;
        let reader = self.means.history.reader().clone();
        let read = tokio::task::spawn_blocking(move || reader.everything_after(position, BATCH)).await;
        Ok(read.map_err(|_| FeedTrouble::Thread)??)
    }

    async fn reached(&self, position: Position, target: &Target) -> Result<(), FeedTrouble> {
        if position > Position::START {
            let hash = *self.means.log.hash_at(position).await?.as_bytes();
            self.checkpoint.note(target.identity(), position, hash).await?;
        }
        self.progress.send_modify(|progress| *progress = Progress { position, trouble: None });
        Ok(())
    }

    /// Returns once the history shows this position: another node may have published what this one has not heard of.
    async fn wait_until(&self, position: Position) {
        if self.means.history.until(|progress| progress.shows(position)).await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    async fn wait_past(&self, position: Position) {
        if !self.means.history.moved_past(position).await {
            std::future::pending::<()>().await;
        }
    }
}
