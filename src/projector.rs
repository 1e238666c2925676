//! Follows the log into one projection, and says how far it has come.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use gatebook_events::envelope::{Envelope, Position};
use gatebook_projections::read_model::{Projection, ProjectionError, ReadModel, Reader};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use crate::log::{EventLog, Followed, LogError};

/// How long a projection rests after each transaction, so that under load one transaction takes in many appends: it costs about
/// as much as bringing in fifty events. Nobody waits for it: whoever asks for a position ends the rest.
const REST: Duration = Duration::from_millis(20);
/// Who brought in as many events at once is behind, and does not rest.
const BEHIND: usize = 1024;

/// How far a projection has come, and whether it goes on.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// The last event that its tables show.
    pub position: Position,
    /// Why it stopped; it shows what it has and nothing newer.
    pub stopped: Option<Arc<str>>,
}

/// A projection that follows the log in the background.
#[derive(Clone)]
pub struct Projector<P: Projection> {
    reader: Reader<P>,
    progress: watch::Receiver<Progress>,
    asked: Arc<Notify>,
    task: AbortHandle,
}

/// What every projector can be asked, whatever it projects.
pub trait Follower: Send + Sync {
    /// The projection's name and version.
    fn identity(&self) -> (&'static str, u32);
    /// How far it has come.
    fn progress(&self) -> Progress;
    /// Follows no further, for a service that stops: a log that is closed is then nothing to complain about.
    fn end(&self);
}

impl<P: Projection> Follower for Projector<P> {
    fn identity(&self) -> (&'static str, u32) {
        (P::NAME, P::VERSION)
    }

    fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    fn end(&self) {
        self.task.abort();
    }
}

impl<P: Projection> Projector<P> {
    /// Follows `log` from where the tables are. Stops with the process, or with what it cannot read.
    pub fn start(log: Arc<dyn EventLog>, model: ReadModel<P>) -> Self {
        let reader = model.reader();
        let (sender, progress) = watch::channel(Progress { position: model.position(), stopped: None });
        let asked = Arc::new(Notify::new());
        let waking = asked.clone();
        let following = tokio::spawn(async move {
            let stopped: Arc<str> = match follow(log, model, &sender, &waking).await {
                Ok(()) => return,
                Err(error) => Arc::from(chain_of(&error)),
            };
            tracing::error!(projection = P::NAME, version = P::VERSION, cause = %stopped, "the projection stopped and shows what it has");
            sender.send_modify(|progress| progress.stopped = Some(stopped));
        });
        Self { reader, progress, asked, task: following.abort_handle() }
    }

    /// The tables.
    pub fn reader(&self) -> &Reader<P> {
        &self.reader
    }

    /// Waits until the tables show `position`. False if they do not within `bound`, or will not because the projection stopped.
    pub async fn reached(&self, position: Position, bound: Duration) -> bool {
        let mut progress = self.progress.clone();
        if progress.borrow_and_update().position < position {
            self.asked.notify_one();
        }
        let arrived = progress.wait_for(|progress| progress.position >= position || progress.stopped.is_some());
        match tokio::time::timeout(bound, arrived).await {
            Ok(Ok(progress)) => progress.position >= position,
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// Waits for anything newer than `position`.
    pub async fn moved_past(&self, position: Position) -> bool {
        let mut progress = self.progress.clone();
        progress.wait_for(|progress| progress.position > position).await.is_ok()
    }
}

#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("failed to follow the event log")]
    Log(#[from] LogError),
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    #[error("the projection's thread ended early")]
    Thread,
}

async fn follow<P: Projection>(
    log: Arc<dyn EventLog>,
    model: ReadModel<P>,
    progress: &watch::Sender<Progress>,
    asked: &Notify,
) -> Result<(), Stop> {
    let mut following = log.follow(model.position());
    let mut model = Some(model);
    while let Some(followed) = following.next().await {
        let events = match followed? {
            Followed::Events(events) => events,
            Followed::CaughtUp(_) => continue,
        };
        let behind = events.len() >= BEHIND;
        let Some(mut own) = model.take() else { return Err(Stop::Thread) };
        // SQLite blocks; the async threads must not.
        let (own, applied) =
            tokio::task::spawn_blocking(move || apply(&mut own, &events).map_or_else(|e| (None, Err(e)), |p| (Some(own), Ok(p))))
                .await
                .map_err(|_| Stop::Thread)?;
        let position = applied?;
        model = own;
        progress.send_modify(|progress| progress.position = position);
        if !behind {
            // Rested, or asked for more than is shown; which of the two makes no difference.
            let _ = tokio::time::timeout(REST, asked.notified()).await;
        }
    }
    Ok(())
}

fn apply<P: Projection>(model: &mut ReadModel<P>, events: &[Envelope]) -> Result<Position, ProjectionError> {
    model.apply(events)
}

/// An error with what it came from, in one line.
fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
