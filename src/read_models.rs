//! Follows the log into one projection, builds it anew beside the tables that serve, and says how far both have come.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatebook_events::envelope::Position;
use gatebook_projections::read_model::{OpenError, Projection, ReadModel, Reader};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use crate::event_log::EventLog;

pub mod consistency;
pub(crate) mod follow;

pub mod build;
mod progress;

pub use crate::config::OtherVersions;
use crate::read_models::follow::Task;
pub use progress::{Building, Pace, Poison, Progress, Trouble};

/// How many orders may wait; whoever gives one waits for it to be taken anyway.
const ORDERS: usize = 16;

/// A projection that follows the log in the background.
#[derive(Clone)]
pub struct Projector<P: Projection> {
    reader: Reader<P>,
    progress: watch::Receiver<Progress>,
    asked: Arc<Notify>,
    orders: mpsc::Sender<Order>,
    task: AbortHandle,
}

/// What operators can have a projector do. It is answered once it was begun.
#[derive(Debug)]
enum Order {
    /// Build the tables anew, unless that is under way.
    Rebuild(oneshot::Sender<()>),
    /// Try again where it stands still: following, building or both.
    Retry(oneshot::Sender<()>),
}

/// What every projector can be asked, whatever it projects.
#[async_trait]
pub trait Follower: Send + Sync {
    /// The projection's name and version.
    fn identity(&self) -> (&'static str, u32);
    /// How far it has come.
    fn progress(&self) -> Progress;
    /// Builds the tables anew beside those that serve, and swaps them once they have caught up. Nothing while one is under way.
    /// False if the projector has ended.
    async fn rebuild(&self) -> bool;
    /// Goes on where it stands still, and with a build that failed. False if the projector has ended.
    async fn retry(&self) -> bool;
    /// Follows no further, for a service that stops: a log that is closed is then nothing to complain about.
    fn end(&self);
}

#[async_trait]
impl<P: Projection> Follower for Projector<P> {
    fn identity(&self) -> (&'static str, u32) {
        (P::NAME, P::VERSION)
    }

    fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    async fn rebuild(&self) -> bool {
        self.order(Order::Rebuild).await
    }

    async fn retry(&self) -> bool {
        self.order(Order::Retry).await
    }

    fn end(&self) {
        self.task.abort();
    }
}

impl<P: Projection> Projector<P> {
    /// Follows `log` from where the tables in a folder are, until the process ends. Where it comes to what it cannot read it stands
    /// still and waits for orders. Where there are no tables, or only an older version's, and where a build was interrupted, it
    /// builds.
    pub fn start(log: Arc<dyn EventLog>, folder: &Path, others: OtherVersions) -> Result<Self, OpenError> {
        let (model, found) = ReadModel::<P>::open_to_serve(folder)?;
        let reader = model.reader();
        let asked = Arc::new(Notify::new());
        let (orders, receiver) = mpsc::channel(ORDERS);
        let place = Place { log, folder: folder.to_owned(), others };
        let (task, progress) = Task::new(place, (model, found), receiver, asked.clone());
        let running = tokio::spawn(task.run());
        Ok(Self { reader, progress, asked, orders, task: running.abort_handle() })
    }

    /// The tables.
    pub fn reader(&self) -> &Reader<P> {
        &self.reader
    }

    /// Waits until the tables show `position`. False if they do not within `bound`, or not soon because the projection stopped or the
    /// surroundings refuse.
    pub async fn reached(&self, position: Position, bound: Duration) -> bool {
        let mut progress = self.progress.clone();
        if progress.borrow_and_update().position < position {
            self.asked.notify_one();
        }
        let arrived = progress.wait_for(|progress| progress.shows(position) || progress.stands_still() || progress.is_refused());
        match tokio::time::timeout(bound, arrived).await {
            Ok(Ok(progress)) => progress.shows(position),
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// Waits for anything newer than `position`.
    pub async fn moved_past(&self, position: Position) -> bool {
        let mut progress = self.progress.clone();
        progress.wait_for(|progress| progress.position > position).await.is_ok()
    }

    /// Waits for a state of things, and says what it is then; none if the projector has ended.
    pub async fn until(&self, state: impl FnMut(&Progress) -> bool) -> Option<Progress> {
        let mut progress = self.progress.clone();
        progress.wait_for(state).await.ok().map(|progress| progress.clone())
    }

    async fn order(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) -> bool {
        let (begun, answer) = oneshot::channel();
        self.orders.send(order(begun)).await.is_ok() && answer.await.is_ok()
    }
}

/// Where a projector works.
#[derive(Clone)]
struct Place {
    log: Arc<dyn EventLog>,
    folder: PathBuf,
    others: OtherVersions,
}
