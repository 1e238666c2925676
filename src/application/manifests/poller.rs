//! Reads documents again when they are due, a bounded number at a time, and lets soaking changes serve when they are ripe.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatebook_events::envelope::Position;
use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId};
use gatebook_events::manifest::Trouble;
use gatebook_projections::approvals::Approvals;
use gatebook_projections::directory::Directory;
use gatebook_projections::read_model::Reader;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use super::queue::Queue;
use super::{Documents, Due, cause};
use crate::aggregates::CommandError;

/// The most documents that are taken from the schedule at a time.
const BATCH: usize = 1024;
/// How many clients are looked up at a time when the schedule is compared with the directory.
const PAGE: usize = 1000;
/// Between two looks at what has become due or ripe.
const TICK: Duration = Duration::from_secs(5);
/// The least time between two looks while documents of busy hosts wait.
const BREATH: Duration = Duration::from_millis(500);
/// After so many ticks the schedule is compared with the directory again.
const TICKS_PER_COMPARISON: u32 = 720;
/// The longest that a host is left alone at its wish; each document keeps a pause of its own besides.
const LONGEST_REST: Duration = Duration::from_secs(300);

/// What came of a poll.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Polled {
    /// Whether anything was recorded.
    pub changed: bool,
    /// Why the document could not be read, if it could not.
    pub trouble: Option<Trouble>,
    /// Where the last event stands; none if nothing changed.
    pub position: Option<Position>,
    /// For how long its host is to be left alone.
    pub rest: Option<Duration>,
    /// If its host was not asked: after how many seconds it may be.
    pub retry_after: Option<u64>,
}

/// Polls in the background until the task is aborted. `directory` says which clients host a document and where they are
/// registered, once it is `complete`; `approvals` which changes have ripened.
pub fn start(
    documents: Documents,
    directory: Reader<Directory>,
    approvals: Reader<Approvals>,
    complete: impl Future<Output = ()> + Send + 'static,
) -> AbortHandle {
    let poller = Arc::new(Poller { documents, directory: Arc::new(directory), approvals: Arc::new(approvals) });
    tokio::spawn(async move {
        complete.await;
        tokio::join!(poller.clone().poll_for_ever(), poller.keep_house())
    })
    .abort_handle()
}

struct Poller {
    documents: Documents,
    directory: Arc<Reader<Directory>>,
    approvals: Arc<Reader<Approvals>>,
}

impl Poller {
    /// Starts a poll whenever there is a place for it. Each is a task of its own, which ends with this one.
    async fn poll_for_ever(self: Arc<Self>) {
        let at_once = self.documents.0.rhythm.at_once;
        let mut queue = Queue::new(at_once, self.documents.0.manifests.at_once_per_host());
        let (mut under_way, mut keys) = (JoinSet::new(), HashMap::new());
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut looked_at, mut look, mut more) = (Instant::now(), true, false);
        loop {
            if look {
                let due = self.documents.due(BATCH).await;
                more = due.len() == BATCH;
                looked_at = Instant::now();
                queue.refill(due, looked_at);
            }
            while let Some(due) = queue.next(Instant::now()) {
                let (key, poller) = (due.client_id.key(), self.clone());
                keys.insert(under_way.spawn(async move { poller.poll(&due).await }).id(), key);
            }
            let rested = queue.rested_at(Instant::now());
            look = tokio::select! {
                Some(ended) = under_way.join_next_with_id() => {
                    let (id, rest) = ended.unwrap_or_else(|stopped| (stopped.id(), None));
                    if let Some(key) = keys.remove(&id) {
                        queue.ended(key, rest, Instant::now());
                    }
                    more && queue.has_room() && (queue.is_empty() || looked_at.elapsed() > BREATH)
                }
                _ = tick.tick() => true,
                () = self.documents.0.woken.notified() => true,
                () = at(rested) => false,
            };
        }
    }

    /// Lets ripe changes serve, and enters what the schedule lacks.
    async fn keep_house(&self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticks = 0_u32;
        loop {
            tick.tick().await;
            if ticks.is_multiple_of(TICKS_PER_COMPARISON) {
                self.enter_what_is_missing().await;
            }
            ticks = ticks.wrapping_add(1);
            self.ripen().await;
        }
    }

    /// The schedule may have been lost, or a crash have come between the event and the entry.
    async fn enter_what_is_missing(&self) {
        let mut after: Option<ClientKey> = None;
        loop {
            let directory = self.directory.clone();
            let page = tokio::task::spawn_blocking(move || directory.clients_with_documents(after, PAGE)).await;
            let Ok(Ok(page)) = page else {
                tracing::warn!("the directory cannot say which clients host a document");
                return;
            };
            after = page.last().map(|(key, _)| *key);
            let ids: Vec<ClientId> = page.into_iter().map(|(_, client_id)| client_id).collect();
            let all = ids.len() < PAGE;
            self.documents.0.schedule.add(ids, self.documents.0.commands.clock().now()).await;
            if all {
                return;
            }
        }
    }

    /// Polls one document, and says for how long its host is to be left alone.
    async fn poll(&self, due: &Due) -> Option<Duration> {
        let schedule = &self.documents.0.schedule;
        let key = due.client_id.key();
        let later = |pause: Duration| self.documents.0.commands.clock().now() + super::delta(pause);
        let Ok(url) = self.documents.0.manifests.url(due.client_id.as_str()) else {
            // Its URL was acceptable under other settings; it is looked at again when they may have changed.
            schedule.put_off(key, later(self.documents.0.rhythm.most)).await;
            return None;
        };
        let servers = self.registered_at(key).await;
        match self.documents.poll(&url, &servers, Some(due)).await {
            Ok(polled) => polled.rest.map(|rest| rest.min(LONGEST_REST)),
            Err(CommandError::Rejected(rejection)) => {
                tracing::info!(client_id = %due.client_id, %rejection, "a document is no longer read");
                schedule.remove(key).await;
                None
            }
            Err(error) => {
                tracing::warn!(client_id = %due.client_id, %error, "the document of a client could not be taken note of");
                schedule.put_off(key, later(TICK * 6)).await;
                None
            }
        }
    }

    async fn registered_at(&self, key: ClientKey) -> Vec<ResourceServerId> {
        let directory = self.directory.clone();
        let found = tokio::task::spawn_blocking(move || directory.registrations_of(key)).await;
        found.ok().and_then(Result::ok).unwrap_or_default().into_iter().map(|(server, _)| server).collect()
    }

    async fn ripen(&self) {
        let (approvals, now) = (self.approvals.clone(), self.documents.0.commands.clock().now());
        let ripe = tokio::task::spawn_blocking(move || approvals.ripe(now, BATCH)).await;
        for (server, key) in ripe.ok().and_then(Result::ok).unwrap_or_default() {
            if let Err(error) = self.documents.0.commands.ripen(&cause(), server, key).await {
                tracing::warn!(%server, %key, %error, "a change that is ripe could not be let serve");
            }
        }
    }
}

/// Returns at this moment, or never.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}
