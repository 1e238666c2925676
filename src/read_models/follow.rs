//! The one who writes a projection's tables: brings events in as they come, swaps in what was built beside, stands still at
//! what cannot be read, and takes orders all the while.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use gatebook_events::envelope::{Envelope, Position};
use gatebook_projections::read_model::{Found, Projection, ProjectionError, ReadModel, Reader};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::build::{self, BEHIND, Begin, Failed, Stop, blocking};
use super::progress::{Building, Pace, Progress};
use super::{Order, OtherVersions, Place};
use crate::event_log::{ChainHash, Followed, LogError};
use crate::platform::backoff::Pauses;

/// How long a projection rests after each transaction, so that under load one transaction takes in many appends: it costs about
/// as much as bringing in fifty events. Nobody waits for it: whoever asks for a position ends the rest.
const REST: Duration = Duration::from_millis(20);

/// The first and the longest pause between two attempts at what the surroundings refuse.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(10)];

/// What is tried again by itself.
struct Again {
    at: Option<Instant>,
    pauses: Pauses,
}

impl Again {
    fn new() -> Self {
        let [first, longest] = PAUSES;
        Self { at: None, pauses: Pauses::new(first, longest) }
    }

    fn later(&mut self) {
        self.at = Some(Instant::now() + self.pauses.next());
    }

    fn went_well(&mut self) {
        self.at = None;
        self.pauses.reset();
    }
}

/// A projection at work.
pub(super) struct Task<P: Projection> {
    place: Place,
    /// The tables that answer; none where their file has to be opened again.
    model: Option<ReadModel<P>>,
    /// What queries hold, whichever file it leads to.
    reader: Reader<P>,
    found: Found,
    /// None while it stands still, or has nothing to serve yet.
    following: Option<BoxStream<'static, Result<Followed, LogError>>>,
    /// The build that is under way, if there is one.
    builds: JoinSet<Result<ReadModel<P>, Failed<P>>>,
    /// When it is tried again to follow, and to build.
    follow_again: Again,
    build_again: Again,
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
        let version = match found {
            Found::Older(version) => version,
            Found::Current | Found::Nothing => P::VERSION,
        };
        let (progress, receiver) = watch::channel(Progress {
            position,
            // Before they were held against the log they answer nobody.
            serves: false,
            version,
            stopped: None,
            retrying: None,
            behind_since: None,
            pace: Pace::from(position),
            building: None,
            build_failed: None,
        });
        let task = Self {
            place,
            reader: model.reader(),
            model: Some(model),
            found,
            following: None,
            builds: JoinSet::new(),
            follow_again: Again::new(),
            build_again: Again::new(),
            alone: false,
            orders,
            asked,
            progress,
        };
        (task, receiver)
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
                    let stop = self.looked_into(stop).await;
                    self.stop(&stop);
                },
                () = due(self.follow_again.at) => {
                    self.follow_again.at = None;
                    self.follow().await;
                }
                () = due(self.build_again.at) => {
                    self.build_again.at = None;
                    self.build(Begin::WhereItWas);
                }
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
            (progress.stopped.is_some() || self.follow_again.at.is_some(), progress.build_failed.is_some())
        };
        if stopped {
            self.follow_again.at = None;
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
        let mut model = match self.model.take() {
            Some(model) => model,
            None => self.open_again().await?,
        };
        if self.found == Found::Nothing {
            self.model = Some(model);
            self.build(Begin::WhereItWas);
            return Ok(());
        }
        let agreed = build::agree(&self.place.log, &mut model).await;
        model.leave_out(left_out);
        let position = model.position();
        self.model = Some(model);
        agreed?;
        self.following = Some(self.place.log.follow(position));
        self.progress.send_modify(|progress| progress.serves = true);
        Ok(())
    }

    /// Opens what serves, after whatever became of its file. Where nothing is left of it, it is built.
    async fn open_again(&mut self) -> Result<ReadModel<P>, Stop> {
        let (folder, reader) = (self.place.folder.clone(), self.reader.clone());
        let (model, found) = blocking(move || ReadModel::open_to_serve_again(&folder, &reader)).await??;
        self.found = found;
        self.progress.send_modify(|progress| {
            progress.position = model.position();
            progress.serves &= found != Found::Nothing;
        });
        Ok(model)
    }

    /// The surroundings refuse: what there is goes on answering, and it is tried again by itself. No event is blamed.
    fn refused(&mut self, stop: &Stop) {
        let trouble = Arc::new(stop.trouble());
        let known = self.progress.borrow().retrying.as_ref().is_some_and(|known| known.cause == trouble.cause);
        if !known {
            let cause = &*trouble.cause;
            tracing::error!(projection = P::NAME, version = P::VERSION, cause, "the projection cannot go on and tries again by itself");
        }
        if matches!(stop, Stop::OfAnotherLog(_)) {
            // What no event made is shown to nobody.
            self.found = Found::Nothing;
            self.progress.send_modify(|progress| (progress.serves, progress.position) = (false, Position::START));
        }
        // A file that was refused is opened anew: it may have been opened for reading only, or be another one by then.
        self.model = None;
        self.following = None;
        self.progress.send_modify(|progress| (progress.stopped, progress.retrying) = (None, Some(trouble)));
        if stop.asks_for_a_build() {
            return self.build(Begin::Anew);
        }
        self.follow_again.later();
    }

    /// Something came in, or there was nothing that had not.
    fn went_well(&mut self) {
        self.follow_again.went_well();
        if self.progress.borrow().retrying.is_some() {
            tracing::info!(projection = P::NAME, version = P::VERSION, "the projection goes on");
            self.progress.send_modify(|progress| progress.retrying = None);
        }
    }

    /// A log that is broken where the tables end may be another one, put in the place of the one that they were made from.
    async fn looked_into(&mut self, stop: Stop) -> Stop {
        if let (Stop::Log(LogError::Broken(_)), Some(model)) = (&stop, &mut self.model)
            && let Err(another @ Stop::OfAnotherLog(_)) = build::agree(&self.place.log, model).await
        {
            return another;
        }
        stop
    }

    fn stop(&mut self, stop: &Stop) {
        if stop.may_pass() || stop.asks_for_a_build() {
            return self.refused(stop);
        }
        self.follow_again.went_well();
        let (trouble, cause) = (Arc::new(stop.trouble()), stop.chain());
        tracing::error!(projection = P::NAME, version = P::VERSION, %cause, "the projection stopped and shows what it has");
        self.following = None;
        self.progress.send_modify(|progress| {
            progress.behind_since = trouble.poison.as_ref().map(|poison| poison.recorded_at).or(progress.behind_since);
            (progress.stopped, progress.retrying) = (Some(trouble), None);
            progress.serves |= self.found != Found::Nothing;
        });
    }

    async fn take(&mut self, followed: Option<Result<Followed, LogError>>) -> Result<(), Stop> {
        let events = match followed.transpose()? {
            Some(Followed::Events(events)) => events,
            Some(Followed::CaughtUp(_)) => {
                self.went_well();
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
        self.went_well();
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
            let outcome = bring_in(&mut model, &events).map(drop);
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
        self.build_again.at = None;
        self.progress.send_modify(|progress| {
            progress.building = Some(Building::new());
            // What the surroundings refuse is known to be over once a build succeeds.
            progress.build_failed = progress.build_failed.take().filter(|failed| failed.passes);
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
                    self.build_again.went_well();
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
        if trouble.passes {
            self.build_again.later();
        }
        if !trouble.passes || self.progress.borrow().build_failed.as_ref().is_none_or(|known| known.cause != trouble.cause) {
            let again = trouble.passes;
            tracing::error!(projection = P::NAME, version = P::VERSION, %cause, again, "a build of the projection failed");
        }
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
                let applied = bring_in(&mut built, &events);
                (built, applied)
            })
            .await?;
            applied?;
        }
        self.serve_from(built).await
    }

    async fn serve_from(&mut self, built: ReadModel<P>) -> Result<(), Stop> {
        let mut model = match self.model.take() {
            Some(model) => model,
            None => self.open_again().await?,
        };
        let swapping = blocking(move || model.replace_with(built).map(|()| model));
        let model = match swapping.await? {
            Ok(model) => model,
            Err(error) => {
                // What is in place is nearly always what was; if it is less, the rest comes in again.
                if self.following.take().is_some() {
                    self.follow_again.at = Some(Instant::now());
                }
                return Err(error.into());
            }
        };
        let position = model.position();
        self.model = Some(model);
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

/// Brings events in, with what the log hashes to after them.
fn bring_in<P: Projection>(model: &mut ReadModel<P>, events: &[Envelope]) -> Result<Position, ProjectionError> {
    let known = model.hash().and_then(|hash| ChainHash::from_stored(&hash));
    let hash_after = |news: &[Envelope]| known.map(|hash| *news.iter().fold(hash, ChainHash::then).as_bytes());
    model.apply_hashed(events, &hash_after)
}

/// The moment of the next attempt; never where there is none to be made.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What comes next, for who follows; nothing ever for who does not.
async fn next(following: &mut Option<BoxStream<'static, Result<Followed, LogError>>>) -> Option<Result<Followed, LogError>> {
    match following {
        Some(following) => following.next().await,
        None => std::future::pending().await,
    }
}
