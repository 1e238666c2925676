//! Webhooks: each is told of its tenant's events by signed messages (Standard Webhooks 1.0), at least once and in the order of each
//! stream, from where it began and on from where it was after a restart, or where another node was that sent before.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gatebook_events::identity::WebhookId;
use gatebook_events::webhook::WebhookUrl;
use gatebook_projections::history::History;
use ipnet::IpNet;
use tokio::sync::{Mutex as AsyncMutex, Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

use crate::aggregates::Commands;
use crate::cluster::shared_kv::Notes;
use crate::credentials::secrets::{InstanceKey, WebhookSecret};
use crate::outbound::SetUpError;
use crate::platform::clock::Clock;
use crate::platform::counters::Counts;
use crate::platform::side_db::{OpenError, SideTable};
use crate::read_models::Projector;

pub mod commands;
pub(crate) mod lease;
pub(crate) mod log_identity;
pub(crate) mod sender;
pub(crate) mod state;
pub(crate) mod worker;

mod outbox;

use crate::delivery::webhooks::lease::Turns;
use crate::delivery::webhooks::sender::Post;
pub use crate::delivery::webhooks::state::{Change, LedgerError};
use crate::delivery::webhooks::state::{Ledger, Term};
use crate::delivery::webhooks::worker::Courier;
pub use outbox::{Letter, Outbox, Standing};

/// Between two looks at which webhooks there are: other nodes create them too.
const TICK: Duration = Duration::from_secs(5);
/// How long a turn may take to be given back when the service ends.
const LAST_WORD: Duration = Duration::from_secs(2);

/// What is sent to webhooks. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks(Arc<Inner>);

struct Inner {
    office: Arc<Office>,
    couriers: Arc<Couriers>,
    /// None where there is one node.
    turns: Option<Turns>,
    ending: watch::Sender<bool>,
    task: AsyncMutex<JoinHandle<()>>,
}

/// What all couriers share.
struct Office {
    commands: Commands,
    history: Projector<History>,
    ledger: Ledger,
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

    fn changed(&self, id: WebhookId) {
        self.bell(id).woken.notify_one();
        self.new.notify_one();
    }

    fn insist(&self, id: WebhookId) {
        self.bell(id).insisted.store(true, Ordering::Relaxed);
        self.changed(id);
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
    /// What nodes share beside the log, and which node this is; none where there is one.
    pub shared: Option<(Arc<dyn Notes>, Uuid)>,
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
        let Means { commands, history, key, source, shared, .. } = means;
        let ledger = match &shared {
            None => Ledger::alone(outbox),
            Some((notes, _)) => Ledger::shared(outbox, notes.clone()),
        };
        let turns = shared.map(|(notes, node)| Turns::new(notes, node));
        let office = Arc::new(Office { commands, history, ledger, post, key, source, sent: Counts::default() });
        let (couriers, (ending, mut ended)) = (Arc::new(Couriers::default()), watch::channel(false));
        let task = if let Some(turns) = turns.clone() {
            tokio::spawn(turns.take_them(office.clone(), couriers.clone(), ended))
        } else {
            let sending = employ(office.clone(), couriers.clone(), None);
            tokio::spawn(async move {
                tokio::select! {
                    () = sending => {}
                    _ = ended.wait_for(|ended| *ended) => {}
                }
            })
        };
        Ok(Self(Arc::new(Inner { office, couriers, turns, ending, task: AsyncMutex::new(task) })))
    }

    /// Says that something about a webhook has changed.
    pub fn changed(&self, id: WebhookId) {
        self.0.couriers.changed(id);
    }

    /// Has a receiver tried now that is left alone for a while, by whichever node sends.
    pub async fn insist(&self, id: WebhookId) {
        self.0.couriers.insist(id);
        if let Some(turns) = &self.0.turns {
            turns.insist(id).await;
        }
    }

    /// How far a webhook has come, and what it has not taken, by all that nodes know.
    pub async fn outbox(&self, id: WebhookId) -> Result<&Outbox, LedgerError> {
        self.0.office.ledger.of(id).await
    }

    /// How far a webhook has come, by all that nodes know, or by what this node does while they cannot share it.
    pub async fn standing(&self, id: WebhookId) -> Result<Standing, LedgerError> {
        let ledger = &self.0.office.ledger;
        let outbox = match ledger.of(id).await {
            Err(LedgerError::Unavailable(error)) => {
                tracing::warn!(webhook = %id, %error, "of a webhook only what this node knows is shown");
                ledger.copy()
            }
            found => found?,
        };
        Ok(outbox.standing(id).await?)
    }

    /// Changes what is known of a webhook, and says how many letters that was.
    pub async fn change(&self, id: WebhookId, change: Change) -> Result<usize, LedgerError> {
        self.0.office.ledger.change(id, change, self.0.office.clock().now()).await
    }

    /// Why messages to a URL would never be sent, as far as that can be said without a look-up. Completes "url …".
    pub fn never_dialled(&self, url: &WebhookUrl) -> Result<(), &'static str> {
        self.0.office.post.never_dialled(url)
    }

    /// A webhook's secret, to be shown once.
    pub fn secret(&self, id: WebhookId, generation: u32) -> WebhookSecret {
        self.0.office.key.derive_webhook_secret(id, generation)
    }

    /// Where it is kept what webhooks have not taken.
    pub fn side_table(&self) -> &SideTable {
        self.0.office.ledger.copy().table()
    }

    /// Attempts by how they ended: `taken`, `failed`.
    pub fn sent(&self) -> &Counts<1> {
        &self.0.office.sent
    }

    /// How many letters wait and how many are dead; none if that cannot be read, or another node sends and knows.
    pub async fn letters(&self) -> Option<BTreeMap<&'static str, u64>> {
        if self.0.turns.as_ref().is_some_and(|turns| !turns.holds()) {
            return None;
        }
        self.0.office.ledger.copy().counts().await.ok()
    }

    /// Sends nothing more. What is under way is sent again after the next start, or by another node.
    pub async fn end(&self) {
        self.0.ending.send_replace(true);
        let mut task = self.0.task.lock().await;
        if !task.is_finished() && tokio::time::timeout(LAST_WORD, &mut *task).await.is_err() {
            task.abort();
        }
    }
}

/// Has one courier for each webhook, until the task is aborted, and theirs with it.
async fn employ(office: Arc<Office>, couriers: Arc<Couriers>, term: Option<Term>) {
    let mut running: JoinSet<WebhookId> = JoinSet::new();
    let mut employed = HashMap::new();
    while let Err(error) = crate::delivery::webhooks::log_identity::agree(&office, term.is_none()).await {
        tracing::warn!(%error, "it cannot be said whether the event log is the one that webhooks were told of");
        tokio::time::sleep(TICK).await;
    }
    loop {
        match office.commands.webhook_ids().await {
            Ok(ids) => {
                for id in ids {
                    if let Entry::Vacant(place) = employed.entry(id) {
                        place.insert(running.spawn(Courier::new(id, office.clone(), couriers.bell(id), term).run()).id());
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "it cannot be said which webhooks there are"),
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = couriers.new.notified() => {}
            Some(over) = running.join_next_with_id() => {
                // A webhook that was deleted stays among those that are known, so that nobody looks at it again.
                if let Err(panicked) = over {
                    tracing::error!(error = %panicked, "a webhook's courier ended early, and begins anew");
                    employed.retain(|_, task| *task != panicked.id());
                    tokio::time::sleep(TICK).await;
                }
            }
        }
    }
}
