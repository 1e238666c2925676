//! What is being made of the past: one moment of each tenant at most, shared by all who mean it, whether or not they still wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gatebook_events::identity::TenantId;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{AsOf, Moment, Past, PastError, lock};
use tracing::Instrument;

type Outcome = Result<Arc<Moment>, PastError>;

/// What is being made or waits for its turn.
#[derive(Default)]
pub struct Makings(HashMap<TenantId, Making>);

struct Making {
    as_of: AsOf,
    waiting: Waiting,
    task: JoinHandle<()>,
}

impl Makings {
    /// How many tenants have something made.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Stops all of it.
    pub async fn end(self) {
        for making in self.0.into_values() {
            making.task.abort();
            let _aborted = making.task.await;
        }
    }
}

/// Somebody's place among those who wait for a moment.
#[derive(Clone)]
pub struct Waiting {
    percent: Arc<AtomicU64>,
    outcome: watch::Receiver<Option<Outcome>>,
}

impl Waiting {
    /// What came of it; nothing if it was stopped.
    pub async fn outcome(&mut self) -> Option<Outcome> {
        self.outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone())
    }

    /// How much of it there is.
    pub fn percent(&self) -> u64 {
        self.percent.load(Ordering::Relaxed)
    }
}

impl Past {
    /// Has a moment made by a task of its own, because the caller may hang up or lose patience and come again.
    pub(super) fn have_made(&self, tenant: &TenantId, as_of: AsOf) -> Result<Waiting, PastError> {
        let mut makings = lock(&self.0.makings);
        if self.0.turn.is_closed() {
            return Err(PastError::Ended);
        }
        if let Some(making) = makings.0.get(tenant) {
            let same = making.as_of == as_of;
            return if same { Ok(making.waiting.clone()) } else { Err(PastError::UnderWay { percent: making.waiting.percent() }) };
        }
        let (tell, outcome) = watch::channel(None);
        let waiting = Waiting { percent: Arc::default(), outcome };
        let (percent, place) = (waiting.percent.clone(), Place { past: self.clone(), tenant: tenant.clone() });
        let making = async move {
            let made = place.past.make(place.tenant.clone(), as_of, |done| percent.store(done, Ordering::Relaxed)).await;
            // Whoever is told may ask for the next one at once.
            drop(place);
            tell.send_replace(Some(made));
        };
        let task = tokio::spawn(making.in_current_span());
        makings.0.insert(tenant.clone(), Making { as_of, waiting: waiting.clone(), task });
        Ok(waiting)
    }
}

/// A tenant's place among the makings, which is free again however the making ends.
struct Place {
    past: Past,
    tenant: TenantId,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.past.0.makings).0.remove(&self.tenant);
    }
}
