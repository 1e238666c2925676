//! The one who writes a projection's tables: brings events in as they come, swaps in what was built beside, stands still at
//! what cannot be read, and takes orders all the while.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use gatebook_events::envelope::{Envelope, Position};
use gatebook_projections::read_model::{Found, Projection, ProjectionError, ReadModel};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use super::build::{self, BEHIND, Begin, Failed, Stop, blocking};
use super::progress::{Building, Pace, Progress};
use super::{Order, OtherVersions, Place};
use crate::log::{Followed, LogError};

/// How long a projection rests after each transaction, so that under load one transaction takes in many appends: it costs about
/// as much as bringing in fifty events. Nobody waits for it: whoever asks for a position ends the rest.
const REST: Duration = Duration::from_millis(20);

/// A projection at work.
pub(super) struct Task<P: Projection> {
    place: Place,
    /// The tables that answer; none only after a thread was lost.
    model: Option<ReadModel<P>>,
    found: Found,
    /// None while it stands still, or has nothing to serve yet.
    following: Option<BoxStream<'static, Result<Followed, LogError>>>,
    /// The build that is under way, if there is one.
    builds: JoinSet<Result<ReadModel<P>, Failed<P>>>,
    /// Whether the files of other versions were seen to.
    alone: bool,
    orders: mpsc::Receiver<Order>,
    asked: Arc<Notify>,
    progress: watch::Sender<Progress>,
}

impl<P: Projection> Task<P> {
    pub fn new(
        place: Place,
        (model, found): (ReadModel<P>, Found),
        orders: mpsc::Receiver<Order>,
        asked: Arc<Notify>,
    ) -> (Self, watch::Receiver<Progress>) {
        let position = model.position();
        let (serves, version) = match found {
            Found::Current => (true, P::VERSION),
            Found::Older(version) => (true, version),
            Found::Nothing => (false, P::VERSION),
        };
        let (progress, receiver) = watch::channel(Progress {
            position,
            serves,
            version,
            stopped: None,
            behind_since: None,
            pace: Pace::from(position),
            building: None,
            build_failed: None,
        });
        let builds = JoinSet::new();
        (Self { place, model: Some(model), found, following: None, builds, alone: false, orders, asked, progress }, receiver)
    }

    pub async fn run(mut self) {
        if self.found != Found::Current || ReadModel::<P>::has_unfinished_build(&self.place.folder) {
            self.build(Begin::WhereItWas);
        }
        if self.found != Found::Nothing {
            self.follow().await;
        }
        loop {
            tokio::select! {
                order = self.orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => return,
                },
                Some(built) = self.builds.join_next() => self.built(built.unwrap_or_else(|_| Err(Stop::Thread.into()))).await,
                followed = next(&mut self.following) => if let Err(stop) = self.take(followed).await {
                    self.stop(&stop);
                },
            }
        }
    }

    async fn obey(&mut self, order: Order) {
        let begun = match order {
            Order::Rebuild(begun) => {
                self.build(Begin::Anew);
                begun
            }
            Order::Retry(begun) => {
                self.retry().await;
                begun
            }
        };
        // Whoever asked may have gone.
        let _told = begun.send(());
    }

    async fn retry(&mut self) {
        let (stopped, failed) = {
            let progress = self.progress.borrow();
            (progress.stopped.is_some(), progress.build_failed.is_some())
        };
        if stopped {
            self.follow().await;
        }
        if failed {
            self.build(Begin::WhereItWas);
        }
    }

    /// Follows from where the tables are.
    async fn follow(&mut self) {
        match self.set_out().await {
            Ok(()) => self.progress.send_modify(|progress| progress.stopped = None),
            Err(stop) => self.stop(&stop),
        }
    }

    async fn set_out(&mut self) -> Result<(), Stop> {
        let left_out = build::left_out::<P>(&self.place.log).await?;
        let mut model = if let Some(model) = self.model.take() {
            model
        } else {
            let folder = self.place.folder.clone();
            blocking(move || ReadModel::open(&folder)).await??
        };
        model.leave_out(left_out);
        self.following = Some(self.place.log.follow(model.position()));
        self.model = Some(model);
        Ok(())
    }

    fn stop(&mut self, stop: &Stop) {
        let (trouble, cause) = (Arc::new(stop.trouble()), stop.chain());
        tracing::error!(projection = P::NAME, version = P::VERSION, %cause, "the projection stopped and shows what it has");
        self.following = None;
        self.progress.send_modify(|progress| {
            progress.behind_since = trouble.poison.as_ref().map(|poison| poison.recorded_at).or(progress.behind_since);
            progress.stopped = Some(trouble);
        });
    }

    async fn take(&mut self, followed: Option<Result<Followed, LogError>>) -> Result<(), Stop> {
        let events = match followed.transpose()? {
            Some(Followed::Events(events)) => events,
            Some(Followed::CaughtUp(_)) => {
                self.progress.send_modify(|progress| progress.behind_since = None);
                if self.found == Found::Current {
                    self.remove_others().await;
                }
                return Ok(());
            }
            None => return Err(Stop::Thread),
        };
        let (first, behind) = (events.first().map(|first| first.event.recorded_at), events.len() >= BEHIND);
        if behind {
            self.progress.send_modify(|progress| progress.behind_since = first);
        }
        let Applied { position, waits, outcome } = self.apply(events).await?;
        self.progress.send_modify(|progress| {
            progress.position = progress.position.max(position);
            progress.pace.moved_to(position);
            progress.behind_since = waits.or(first.filter(|_| behind));
        });
        outcome?;
        if !behind {
            // Rested, or asked for more than is shown; which of the two makes no difference.
            let _ = tokio::time::timeout(REST, self.asked.notified()).await;
        }
        Ok(())
    }

    async fn apply(&mut self, events: Vec<Envelope>) -> Result<Applied, Stop> {
        let mut model = self.model.take().ok_or(Stop::Thread)?;
        // SQLite blocks; the async threads must not.
        let (model, applied) = blocking(move || {
            let outcome = model.apply(&events).map(drop);
            let position = model.position();
            let waits = events.iter().find(|one| one.position > position).map(|one| one.event.recorded_at);
            (model, Applied { position, waits, outcome })
        })
        .await?;
        self.model = Some(model);
        Ok(applied)
    }

    /// Begins to build, unless that is under way.
    fn build(&mut self, begin: Begin) {
        if !self.builds.is_empty() {
            return;
        }
        self.progress.send_modify(|progress| {
            progress.building = Some(Building::new());
            progress.build_failed = None;
        });
        let (place, progress) = (self.place.clone(), self.progress.clone());
        let told = move |position| {
            progress.send_modify(|progress| {
                if let Some(building) = &mut progress.building {
                    building.moved_to(position);
                }
            });
        };
        self.builds.spawn(async move { build::build(&place.log, &place.folder, begin, told).await });
    }

    async fn built(&mut self, built: Result<ReadModel<P>, Failed<P>>) {
        let stop = match built {
            Ok(model) => match self.swap(model).await {
                Ok(()) => {
                    tracing::info!(projection = P::NAME, version = P::VERSION, "the projection was built and serves");
                    self.remove_others().await;
                    return self.follow().await;
                }
                Err(stop) => stop,
            },
            Err(Failed { model, stop }) => {
                // Where nothing else could answer, what there is does, and says that it is stale.
                if let Some(model) = model
                    && stop.trouble().poison.is_some()
                    && !self.progress.borrow().serves
                    && self.serve_from(*model).await.is_ok()
                {
                    return self.stop(&stop);
                }
                stop
            }
        };
        let (trouble, cause) = (Arc::new(stop.trouble()), stop.chain());
        tracing::error!(projection = P::NAME, version = P::VERSION, %cause, "a build of the projection failed");
        self.progress.send_modify(|progress| {
            progress.building = None;
            progress.build_failed = Some(trouble);
        });
    }

    /// Brings what was built up to what serves, so that nobody sees the position go back, and puts it in its place.
    async fn swap(&mut self, mut built: ReadModel<P>) -> Result<(), Stop> {
        let shown = self.progress.borrow().position;
        let mut following = self.place.log.follow(built.position());
        while built.position() < shown {
            let Some(Followed::Events(events)) = following.next().await.transpose()? else { break };
            let applied;
            (built, applied) = blocking(move || {
                let applied = built.apply(&events);
                (built, applied)
            })
            .await?;
            applied?;
        }
        self.serve_from(built).await
    }

    async fn serve_from(&mut self, built: ReadModel<P>) -> Result<(), Stop> {
        let mut model = self.model.take().ok_or(Stop::Thread)?;
        let (model, swapped) = blocking(move || {
            let swapped = model.replace_with(built);
            (model, swapped)
        })
        .await?;
        let position = model.position();
        self.model = Some(model);
        if let Err(error) = swapped {
            // What is in place is nearly always what was; if it is less, the rest comes in again.
            let shown = self.progress.borrow().position;
            if position < shown {
                self.progress.send_modify(|progress| progress.position = position);
                self.following = self.following.take().map(|_| self.place.log.follow(position));
            }
            return Err(error.into());
        }
        self.found = Found::Current;
        self.progress.send_modify(|progress| {
            progress.position = position;
            (progress.serves, progress.version) = (true, P::VERSION);
            (progress.building, progress.build_failed) = (None, None);
            progress.pace = Pace::from(position);
        });
        Ok(())
    }

    /// The files of other versions have done their duty.
    async fn remove_others(&mut self) {
        if std::mem::replace(&mut self.alone, true) || self.place.others == OtherVersions::Kept {
            return;
        }
        let folder = self.place.folder.clone();
        match blocking(move || ReadModel::<P>::remove_older_versions(&folder)).await {
            Ok(Ok(removed)) => removed.iter().for_each(|path| tracing::info!(path = %path.display(), "removed another version's tables")),
            Ok(Err(error)) => tracing::warn!(projection = P::NAME, %error, "the tables of other versions stay"),
            Err(stop) => tracing::warn!(projection = P::NAME, %stop, "the tables of other versions stay"),
        }
    }
}

/// What came of events that were to be brought in.
struct Applied {
    /// How far the tables are.
    position: Position,
    /// When the first event was recorded that is not in them.
    waits: Option<DateTime<Utc>>,
    outcome: Result<(), ProjectionError>,
}

/// What comes next, for who follows; nothing ever for who does not.
async fn next(following: &mut Option<BoxStream<'static, Result<Followed, LogError>>>) -> Option<Result<Followed, LogError>> {
    match following {
        Some(following) => following.next().await,
        None => std::future::pending().await,
    }
}
