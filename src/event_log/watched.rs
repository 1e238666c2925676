//! A log that remembers what it refused last, so that health tells of it until that is over.
//!
//! A refusal to append is over once an append stands, or once the log took a write that is no event: after a refusal that is tried
//! in the background, because nobody may be left who appends to a service that is unwell. A refusal to read is over once something is
//! read; damage, which refuses one stream and no other, once that stream is read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::{BoxStream, StreamExt};
use gatebook_events::envelope::{Position, Revision, StreamName};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::{Append, AppendError, Appended, ChainHash, Closed, EventLog, Followed, LogError, StreamEvents};
use crate::platform::backoff::Pauses;
use crate::platform::clock::Clock;

/// Between two attempts to write after an append was refused.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(10)];
/// Of so many damaged streams it is remembered which they are.
const MOST_DAMAGED: usize = 16;

/// What the log refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `append` or `read`.
    pub of: &'static str,
    /// What the file or the cluster says, which quotes no event.
    pub cause: Arc<str>,
    /// When it began.
    pub since: DateTime<Utc>,
}

/// Refusals by what was asked for.
pub type Refusals = Family<[(&'static str, &'static str); 1], Counter>;

/// The log. Cheap to clone.
#[derive(Clone)]
pub struct Watched(Arc<Inner>);

struct Inner {
    log: Arc<dyn EventLog>,
    seen: Arc<Seen>,
}

struct Seen {
    clock: Clock,
    state: Mutex<State>,
    refusals: Refusals,
}

#[derive(Default)]
struct State {
    append: Option<Refusal>,
    read: Option<Refusal>,
    damaged: BTreeMap<StreamName, Refusal>,
}

impl Watched {
    /// Watches a log.
    pub fn new(log: Arc<dyn EventLog>, clock: Clock) -> Self {
        Self(Arc::new(Inner { log, seen: Arc::new(Seen { clock, state: Mutex::default(), refusals: Family::default() }) }))
    }

    /// What is refused now. Streams that were damaged are read once more, for somebody may have mended them.
    pub async fn refused(&self) -> Vec<Refusal> {
        let damaged: Vec<StreamName> = self.0.seen.lock().damaged.keys().cloned().collect();
        for stream in damaged {
            drop(self.read(&stream).await);
        }
        let state = self.0.seen.lock();
        state.append.iter().chain(&state.read).chain(state.damaged.values()).cloned().collect()
    }

    /// How often it refused.
    pub fn refusals(&self) -> &Refusals {
        &self.0.seen.refusals
    }
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refusal(&self, of: &'static str, error: &(dyn std::error::Error + 'static)) -> Refusal {
        self.refusals.get_or_create(&[("of", of)]).inc();
        let mut last = error;
        while let Some(cause) = last.source() {
            last = cause;
        }
        Refusal { of, cause: last.to_string().into(), since: self.clock.now() }
    }

    /// Whether this is the first refusal after all was well.
    fn appended(&self, outcome: &Result<Appended, AppendError>) -> bool {
        let mut state = self.lock();
        match outcome {
            // An append that is answered shows that the log answers, and only one that stands shows that it can be written to.
            Ok(appended) if !appended.duplicate => state.append = None,
            Err(error @ (AppendError::Unavailable(_) | AppendError::Indeterminate(_))) if !is_closed(error) => {
                let (refusal, first) = (self.refusal("append", error), state.append.is_none());
                state.append.get_or_insert(refusal);
                return first;
            }
            Ok(_) | Err(_) => {}
        }
        false
    }

    fn read<T>(&self, stream: Option<&StreamName>, outcome: &Result<T, LogError>) {
        let mut state = self.lock();
        match outcome {
            Ok(_) => {
                state.read = None;
                if let Some(stream) = stream {
                    state.damaged.remove(stream);
                }
            }
            Err(error) if is_closed(error) => {}
            Err(error) => {
                let refusal = self.refusal("read", error);
                match (error, stream) {
                    (LogError::Broken(_), Some(stream)) if state.damaged.len() < MOST_DAMAGED => {
                        state.damaged.entry(stream.clone()).or_insert(refusal);
                    }
                    _ => drop(state.read.get_or_insert(refusal)),
                }
            }
        }
    }
}

fn is_closed(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(<dyn std::error::Error>::is::<Closed>)
}

/// Tries to write until that goes well, somebody's append stands, or the service is gone.
async fn probe(inner: Weak<Inner>) {
    let [first, longest] = PAUSES;
    let mut pauses = Pauses::new(first, longest);
    loop {
        tokio::time::sleep(pauses.next()).await;
        let Some(inner) = inner.upgrade() else { return };
        if inner.seen.lock().append.is_none() {
            return;
        }
        match inner.log.probe().await {
            Ok(()) => {
                inner.seen.lock().append = None;
                tracing::info!("the event log can be written to again");
                return;
            }
            Err(error) if is_closed(&error) => return,
            Err(_) => {}
        }
    }
}

#[async_trait]
impl EventLog for Watched {
    async fn read(&self, stream: &StreamName) -> Result<StreamEvents, LogError> {
        let outcome = self.0.log.read(stream).await;
        self.0.seen.read(Some(stream), &outcome);
        outcome
    }

    async fn read_after(&self, stream: &StreamName, known: Revision) -> Result<Option<StreamEvents>, LogError> {
        let outcome = self.0.log.read_after(stream, known).await;
        // What is damaged before it is not read here, so this says nothing about that.
        self.0.seen.read(outcome.is_err().then_some(stream), &outcome);
        outcome
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let outcome = self.0.log.append(append).await;
        if self.0.seen.appended(&outcome) {
            tokio::spawn(probe(Arc::downgrade(&self.0)));
        }
        outcome
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<StreamName>, LogError> {
        let outcome = self.0.log.streams(prefix).await;
        self.0.seen.read(None, &outcome);
        outcome
    }

    fn follow(&self, after: Position) -> BoxStream<'static, Result<Followed, LogError>> {
        let seen = self.0.seen.clone();
        self.0.log.follow(after).inspect(move |followed| seen.read(None, followed)).boxed()
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.0.log.head().await
    }

    async fn hash_at(&self, position: Position) -> Result<ChainHash, LogError> {
        self.0.log.hash_at(position).await
    }

    async fn probe(&self) -> Result<(), AppendError> {
        self.0.log.probe().await
    }

    async fn reached(&self, position: Position, bound: Duration) -> Result<bool, LogError> {
        self.0.log.reached(position, bound).await
    }
}
