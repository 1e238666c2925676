//! Webhooks: each is told of its tenant's events by signed messages (Standard Webhooks 1.0), at least once and in the order of each
//! stream, from where it began and on from where it was after a restart.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gatebook_events::identity::WebhookId;
use gatebook_projections::history::History;
use ipnet::IpNet;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use crate::clock::Clock;
use crate::command::Commands;
use crate::manifest::SetUpError;
use crate::metrics::Counts;
use crate::projector::Projector;
use crate::secrets::{InstanceKey, WebhookSecret};
use crate::side_table::OpenError;

mod courier;
mod outbox;
mod post;

use courier::Courier;
pub use outbox::{Letter, Outbox, Standing};
use post::Post;

/// Between two looks at which webhooks there are: other nodes create them too.
const TICK: Duration = Duration::from_secs(5);

/// What is sent to webhooks. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks(Arc<Inner>);

struct Inner {
    office: Arc<Office>,
    couriers: Arc<Couriers>,
    task: AbortHandle,
}

/// What all couriers share.
struct Office {
    commands: Commands,
    history: Projector<History>,
    outbox: Outbox,
    post: Post,
    key: InstanceKey,
    /// The instance, as messages name it.
    source: String,
    sent: Counts<1>,
}

impl Office {
    fn clock(&self) -> &Clock {
        self.commands.clock()
    }

    fn count(&self, outcome: &'static str) {
        self.sent.get_or_create(&[("outcome", outcome)]).inc();
    }
}

/// Whom to wake.
#[derive(Default)]
struct Couriers {
    bells: Mutex<HashMap<WebhookId, Arc<Bell>>>,
    new: Notify,
}

/// What one courier listens to.
#[derive(Default)]
struct Bell {
    woken: Notify,
    /// Whether somebody wishes that the receiver is tried now, whatever went wrong before.
    insisted: AtomicBool,
}

impl Couriers {
    fn bell(&self, id: WebhookId) -> Arc<Bell> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().clone()
    }
}

/// Why webhooks cannot be sent anything.
#[derive(Debug, thiserror::Error)]
pub enum WebhookStartError {
    /// The outbox cannot be kept.
    #[error(transparent)]
    Outbox(#[from] OpenError),
    /// Nothing can be sent.
    #[error(transparent)]
    Post(#[from] SetUpError),
}

/// What webhooks need of the instance.
pub struct Means<'a> {
    /// Who reads and writes them.
    pub commands: Commands,
    /// What they are told of.
    pub history: Projector<History>,
    /// What their secrets are derived from.
    pub key: InstanceKey,
    /// The public URL.
    pub source: String,
    /// The outbox's file.
    pub outbox: &'a Path,
    /// Where they may be beside the public internet.
    pub networks: Vec<IpNet>,
    /// Certificate authorities to trust beside the system's.
    pub extra_ca_file: Option<&'a Path>,
}

impl Webhooks {
    /// Sends in the background until it is ended.
    pub fn start(means: Means<'_>) -> Result<Self, WebhookStartError> {
        let outbox = Outbox::open(means.outbox)?;
        let post = Post::try_new(means.networks, means.extra_ca_file)?;
        let Means { commands, history, key, source, .. } = means;
        let office = Arc::new(Office { commands, history, outbox, post, key, source, sent: Counts::default() });
        let couriers = Arc::new(Couriers::default());
        let task = tokio::spawn(employ(office.clone(), couriers.clone())).abort_handle();
        Ok(Self(Arc::new(Inner { office, couriers, task })))
    }

    /// Says that something about a webhook has changed.
    pub fn changed(&self, id: WebhookId) {
        self.0.couriers.bell(id).woken.notify_one();
        self.0.couriers.new.notify_one();
    }

    /// Has a receiver tried now that is left alone for a while.
    pub fn insist(&self, id: WebhookId) {
        self.0.couriers.bell(id).insisted.store(true, Ordering::Relaxed);
        self.changed(id);
    }

    /// How far each has come, and what it has not taken.
    pub fn outbox(&self) -> &Outbox {
        &self.0.office.outbox
    }

    /// A webhook's secret, to be shown once.
    pub fn secret(&self, id: WebhookId, generation: u32) -> WebhookSecret {
        self.0.office.key.derive_webhook_secret(id, generation)
    }

    /// Attempts by how they ended: `taken`, `failed`.
    pub fn sent(&self) -> &Counts<1> {
        &self.0.office.sent
    }

    /// How many letters wait and how many are dead; none if that cannot be read.
    pub async fn letters(&self) -> Option<BTreeMap<&'static str, u64>> {
        self.0.office.outbox.counts().await.ok()
    }

    /// Sends nothing more. What is under way is sent again after the next start.
    pub fn end(&self) {
        self.0.task.abort();
    }
}

/// Has one courier for each webhook, until the task is aborted, and theirs with it.
async fn employ(office: Arc<Office>, couriers: Arc<Couriers>) {
    let mut running: JoinSet<WebhookId> = JoinSet::new();
    let mut employed = HashSet::new();
    loop {
        match office.commands.webhook_ids().await {
            Ok(ids) => {
                for id in ids {
                    if employed.insert(id) {
                        running.spawn(Courier::new(id, office.clone(), couriers.bell(id)).run());
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "it cannot be said which webhooks there are"),
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = couriers.new.notified() => {}
            // Deleted: it stays among those that are known, so that nobody looks at it again.
            Some(_over) = running.join_next() => {}
        }
    }
}
