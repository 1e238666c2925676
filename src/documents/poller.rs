//! Reads documents again when they are due, a bounded number at a time, and lets soaking changes serve when they are ripe.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use gatebook_events::envelope::Position;
use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId};
use gatebook_events::manifest::Trouble;
use gatebook_projections::approvals::Approvals;
use gatebook_projections::directory::Directory;
use gatebook_projections::read_model::Reader;
use tokio::task::AbortHandle;

use super::{Documents, Due, cause};

/// The most documents that are taken from the schedule at a time.
const BATCH: usize = 256;
/// How many clients are looked up at a time when the schedule is compared with the directory.
const PAGE: usize = 1000;
/// Between two looks at what has become due or ripe.
const TICK: Duration = Duration::from_secs(5);

/// What came of a poll.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Polled {
    /// Whether anything was recorded.
    pub changed: bool,
    /// Why the document could not be read, if it could not.
    pub trouble: Option<Trouble>,
    /// Where the last event stands; none if nothing changed.
    pub position: Option<Position>,
}

/// Polls in the background until the task is aborted. `directory` says which clients host a document and where they are
/// registered, once it is `complete`; `approvals` which changes have ripened.
pub fn start(
    documents: Documents,
    directory: Reader<Directory>,
    approvals: Reader<Approvals>,
    complete: impl Future<Output = ()> + Send + 'static,
) -> AbortHandle {
    let poller = Poller { documents, directory: Arc::new(directory), approvals: Arc::new(approvals) };
    tokio::spawn(async move {
        complete.await;
        poller.enter_what_is_missing().await;
        loop {
            let full = poller.poll_due().await;
            poller.ripen().await;
            if !full {
                tokio::select! {
                    () = tokio::time::sleep(TICK) => {}
                    () = poller.documents.0.woken.notified() => {}
                }
            }
        }
    })
    .abort_handle()
}

struct Poller {
    documents: Documents,
    directory: Arc<Reader<Directory>>,
    approvals: Arc<Reader<Approvals>>,
}

impl Poller {
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

    /// Whether there is more than was taken.
    async fn poll_due(&self) -> bool {
        let due = self.documents.0.schedule.due(self.documents.0.commands.clock().now(), BATCH).await;
        let full = due.len() == BATCH;
        stream::iter(due).for_each_concurrent(self.documents.0.rhythm.at_once, |due| async move { self.poll(&due).await }).await;
        full
    }

    async fn poll(&self, due: &Due) {
        let Ok(url) = self.documents.0.manifests.url(due.client_id.as_str()) else {
            // Its URL was acceptable under other settings; it is looked at again when they may have changed.
            let later = self.documents.0.commands.clock().now() + super::delta(self.documents.0.rhythm.most);
            return self.documents.0.schedule.put_off(due.client_id.key(), later).await;
        };
        let servers = self.registered_at(due.client_id.key()).await;
        if let Err(error) = self.documents.poll(&url, &servers, Some(due)).await {
            tracing::warn!(client_id = %due.client_id, %error, "the document of a client could not be taken note of");
            let later = self.documents.0.commands.clock().now() + super::delta(TICK * 6);
            self.documents.0.schedule.put_off(due.client_id.key(), later).await;
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
