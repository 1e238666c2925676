//! Builds a projection's tables from the log, beside whatever serves: one thread reads and verifies, another reads what the events
//! say, a third writes in large transactions, and the indexes that only queries need come last.

use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt;
use gatebook_events::envelope::{Envelope, EventId, Position};
use gatebook_events::projection::{ProjectionName, Upkeep};
use gatebook_events::stream::Stream;
use gatebook_projections::read_model::{Batch, Hash, Projection, ProjectionError, ReadModel};
use tokio::sync::mpsc;

pub use super::progress::Stop;
use crate::event_log::{EventLog, Followed};

/// Who brought in as many events at once is behind the log's head.
pub(super) const BEHIND: usize = 1024;
/// How many events are written in one transaction.
const LOAD: usize = 16 * 1024;
/// How many batches wait to be read: reading a log in small steps is no slower.
const UNREAD: usize = 2;
/// How many batches wait to be written: enough for the next transaction, and a bound for the memory.
const AHEAD: usize = 16;

/// Where a build begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// At the first event, whatever is left of an earlier build.
    Anew,
    /// Where an interrupted one came to; at the first event where there is none.
    WhereItWas,
}

/// A build that came to nothing, with what there is of it.
pub struct Failed<P> {
    /// The tables as far as they were filled; none where they could not be opened.
    pub model: Option<Box<ReadModel<P>>>,
    /// Why.
    pub stop: Stop,
}

impl<P> From<Stop> for Failed<P> {
    fn from(stop: Stop) -> Self {
        Self { model: None, stop }
    }
}

/// Builds until the tables have caught up with the log or are moments behind it. `told` hears now and then how far they are.
pub async fn build<P: Projection>(
    log: &Arc<dyn EventLog>,
    folder: &Path,
    begin: Begin,
    told: impl Fn(Position) + Clone + Send + 'static,
) -> Result<ReadModel<P>, Failed<P>> {
    let left_out = left_out::<P>(log).await?;
    let (folder, anew) = (folder.to_owned(), folder.to_owned());
    let opened = blocking(move || match begin {
        Begin::Anew => ReadModel::<P>::begin_building(&folder),
        Begin::WhereItWas => ReadModel::<P>::open_building(&folder),
    });
    let mut model = opened.await?.map_err(Stop::from)?;
    if let Err(stop) = agree(log, &mut model).await {
        let Stop::OfAnotherLog(_) = stop else { return Err(stop.into()) };
        // What was interrupted was a build from another log.
        drop(model);
        model = blocking({
            let folder = anew;
            move || ReadModel::<P>::begin_building(&folder)
        })
        .await?
        .map_err(Stop::from)?;
    }
    model.leave_out(left_out);
    told(model.position());
    let model = load(log, model, told.clone()).await?;
    let (model, indexed) = blocking(move || {
        let mut model = model;
        let indexed = model.index();
        (model, indexed)
    })
    .await?;
    if let Err(error) = indexed {
        return Err(Failed { model: Some(Box::new(model)), stop: error.into() });
    }
    // Indexes of many rows take their time, and events came in meanwhile.
    load(log, model, told).await
}

/// Holds tables against the log: whether the events that they show are those that it has. Where their hash is not known, as in a file
/// of an earlier build, it is taken from the log.
pub(super) async fn agree<P: Projection>(log: &Arc<dyn EventLog>, model: &mut ReadModel<P>) -> Result<(), Stop> {
    let position = model.position();
    let head = log.head().await?;
    if position > head {
        return Err(Stop::OfAnotherLog(position));
    }
    let hash = log.hash_at(position).await?;
    match model.hash() {
        Some(known) if known == *hash.as_bytes() => Ok(()),
        Some(_) if position > Position::START => {
            // A hash that was tampered with is no other log: then the event does not match it, and reading says so.
            let before = Position::from_backend(position.to_backend() - 1);
            log.follow(before).next().await.transpose()?;
            Err(Stop::OfAnotherLog(position))
        }
        _ => Ok(model.note_hash(*hash.as_bytes())?),
    }
}

/// What operators decided that this version of a projection leaves out.
pub(crate) async fn left_out<P: Projection>(log: &Arc<dyn EventLog>) -> Result<Vec<EventId>, Stop> {
    let Ok(name) = ProjectionName::parse(P::NAME) else { return Ok(Vec::new()) };
    let stream = Stream::Projection(name);
    let upkeep: Upkeep = crate::aggregates::fold(&**log, stream).await.map_err(Stop::Upkeep)?.0;
    Ok(upkeep.left_out(P::VERSION).collect())
}

/// Work that blocks on the disk.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stop> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Stop::Thread)
}

/// Fills the tables until there is little that they do not have: the log is read on one thread, its events on another, and written
/// on a third.
async fn load<P: Projection>(
    log: &Arc<dyn EventLog>,
    model: ReadModel<P>,
    told: impl Fn(Position) + Send + 'static,
) -> Result<ReadModel<P>, Failed<P>> {
    let (mut following, hashes) = (log.follow(model.position()), log.clone());
    let (events, unread) = mpsc::channel(UNREAD);
    let (batches, queue) = mpsc::channel(AHEAD);
    let (done, written) = std::sync::mpsc::channel();
    let understanding = tokio::task::spawn_blocking(move || understand::<P>(unread, &batches, &written));
    let mut filling = tokio::task::spawn_blocking(move || fill(model, queue, &done, told));
    let reading = async move {
        while let Some(followed) = following.next().await {
            let batch = match followed? {
                Followed::Events(events) => {
                    // What was read was verified a moment ago, up to this very hash.
                    let last = events.last().map_or(Position::START, |last| last.position);
                    (events, Some(*hashes.hash_at(last).await?.as_bytes()))
                }
                // Nothing more to come is the shortest batch.
                Followed::CaughtUp(_) => (Vec::new(), None),
            };
            if events.send(batch).await.is_err() {
                break;
            }
        }
        Ok::<(), Stop>(())
    };
    // Reading never ends by itself unless the log does; then its end of the queue is closed, and so ends the filling.
    let (filled, read) = tokio::select! {
        filled = &mut filling => (filled, Ok(())),
        read = reading => (filling.await, read),
    };
    let ((model, filled), ()) = (filled.map_err(|_| Stop::Thread)?, understanding.await.map_err(|_| Stop::Thread)?);
    match (filled, read) {
        (Ok(true), _) => Ok(model),
        (Err(error), _) => Err(Failed { model: Some(Box::new(model)), stop: error.into() }),
        (Ok(false), Err(stop)) => Err(Failed { model: Some(Box::new(model)), stop }),
        (Ok(false), Ok(())) => Err(Failed { model: Some(Box::new(model)), stop: Stop::Thread }),
    }
}

/// Reads events for whoever writes, until either side ends. What was written comes back: the memory of an event is given back where
/// it was taken, which leaves the other thread to its writing.
fn understand<P: Projection>(
    mut unread: mpsc::Receiver<(Vec<Envelope>, Option<Hash>)>,
    batches: &mpsc::Sender<Batch<P>>,
    written: &std::sync::mpsc::Receiver<Batch<P>>,
) {
    while let Some((events, end)) = unread.blocking_recv() {
        written.try_iter().for_each(drop);
        if batches.blocking_send(Batch::read(events).ending_in(end)).is_err() {
            break;
        }
    }
}

/// True once a batch was short, false where no more batches come.
fn fill<P: Projection>(
    mut model: ReadModel<P>,
    mut queue: mpsc::Receiver<Batch<P>>,
    done: &std::sync::mpsc::Sender<Batch<P>>,
    told: impl Fn(Position),
) -> (ReadModel<P>, Result<bool, ProjectionError>) {
    while let Some(mut batch) = queue.blocking_recv() {
        let mut near = batch.len() < BEHIND;
        while !near && batch.len() < LOAD {
            // What is there already, and no waiting: a transaction may be a short one.
            let Ok(more) = queue.try_recv() else { break };
            near = more.len() < BEHIND;
            batch.extend(more);
        }
        let applied = model.apply_batch(&mut batch);
        // Whoever read it may have ended.
        let _end = done.send(batch);
        told(model.position());
        match applied {
            Ok(_) if near => return (model, Ok(true)),
            Ok(_) => {}
            Err(error) => return (model, Err(error)),
        }
    }
    (model, Ok(false))
}
