//! Read-your-writes: a read waits, bounded, until the tables show the log's head as it was when it was asked, or a position that was
//! named.

use std::time::Duration;

use gatebook_events::envelope::Position;
use gatebook_projections::read_model::{Projection, QueryError, Reader};

use super::{Follower, Progress, Projector};
use crate::event_log::{EventLog, LogError};
use crate::platform::spans::on_behalf;

/// An answer of tables, with how fresh they were.
#[derive(Debug, Clone, Copy)]
pub struct Consistent<T> {
    /// The answer.
    pub body: T,
    /// The last event that it knows of.
    pub shown: Position,
    /// Whether it comes from tables that could not catch up in time.
    pub stale: bool,
}

/// The tables do not show yet what was written before the call.
#[derive(Debug, thiserror::Error)]
#[error("the lists have not caught up yet")]
pub struct Behind;

impl<T> Consistent<T> {
    /// The answer, where an old one would be a wrong one.
    pub fn unless_stale(self) -> Result<T, Behind> {
        if self.stale { Err(Behind) } else { Ok(self.body) }
    }
}

/// Why tables do not answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The log does not say where it ends.
    #[error("failed to read the event log")]
    Log(#[from] LogError),
    /// The query failed.
    #[error("failed to read the lists")]
    Query(#[from] QueryError),
    /// The tables are being built, and there are no others.
    #[error("the {projection} is being built: {percent} % are done")]
    Building {
        /// Which projection.
        projection: &'static str,
        /// How much of it there is.
        percent: u64,
        /// Seconds after which it is worth another attempt.
        retry_after: u64,
    },
    /// The thread of the query ended early.
    #[error("a query's thread ended early")]
    Ended,
}

/// Asks a projection's tables once they show the log's head and the named position, or once the wait is over.
pub async fn read<P, T>(
    log: &dyn EventLog,
    projector: &Projector<P>,
    named: Option<Position>,
    wait: Duration,
    query: impl FnOnce(&Reader<P>) -> Result<T, QueryError> + Send + 'static,
) -> Result<Consistent<T>, ReadError>
where
    P: Projection,
    T: Send + 'static,
{
    let wanted = log.head().await?.max(named.unwrap_or_default());
    let arrived = projector.reached(wanted, wait).await;
    let progress = projector.progress();
    if !progress.serves {
        return Err(building(projector.identity().0, &progress, wanted));
    }
    let (shown, reader) = (progress.position, projector.reader().clone());
    let body = tokio::task::spawn_blocking(on_behalf(move || query(&reader))).await.map_err(|_| ReadError::Ended)??;
    Ok(Consistent { body, shown, stale: !arrived })
}

/// The tables are built for the first time, or for the first time in this version: nothing can answer, and soon something will.
fn building(projection: &'static str, progress: &Progress, head: Position) -> ReadError {
    const UNKNOWN: u64 = 30;
    let (percent, left) = progress.building.map_or((0, None), |building| (building.percent(head), building.seconds_left(head)));
    ReadError::Building { projection, percent, retry_after: left.unwrap_or(UNKNOWN).clamp(1, 300) }
}
