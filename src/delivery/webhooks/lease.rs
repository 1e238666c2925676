//! Whose turn it is to send, where several nodes could: one node's at a time, for all webhooks.
//!
//! Its holder gives a sign of life in a note. Who sees none for some seconds, by a clock of its own, takes the turn. Signs are not
//! compared with the time, because clocks of nodes differ.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gatebook_events::envelope::Revision;
use gatebook_events::identity::WebhookId;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Couriers, Office, employ};
use crate::cluster::shared_kv::{NotWritten, Notes, Unavailable};
use crate::delivery::webhooks::state::Term;
use crate::read_models::Follower;

/// The note.
const NOTE: &str = "webhooks";
/// Between two signs of life. At each the holder hears what is insisted on at other nodes.
const BEAT: Duration = Duration::from_secs(2);
/// Between two looks of those who do not have the turn.
const LOOK: Duration = Duration::from_secs(1);
/// A turn without a sign of life for so long is anybody's.
const LASTS: Duration = Duration::from_secs(6);
/// Its holder, which may be cut off, sends nothing more a little before that.
pub(super) const HOLDS: Duration = Duration::from_secs(5);
/// Between two attempts where nobody who keeps notes answers, or somebody was quicker.
const AGAIN: Duration = Duration::from_millis(200);
/// After so many looks in a row, one at each sign of life, at which it does not see which webhooks there are, a holder gives its turn back.
const BLIND: u32 = 3;
/// For how long somebody tries to be heard by the holder, while whoever asked for it waits.
const INSISTS: Duration = Duration::from_secs(3);
/// How often somebody tries to give a turn back.
const TRIES: u32 = 10;

/// What the note says.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Entry {
    /// Who sends; nobody, if the last one gave its turn back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    holder: Option<Holder>,
    /// The webhooks that somebody wants tried now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    insisted: Vec<WebhookId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    node: Uuid,
    term: Term,
    /// Counts the signs of life.
    beat: u64,
}

/// A turn that is ours, and when that was last known for sure.
struct Held {
    holder: Holder,
    since: Instant,
}

/// The turns of one node. Cheap to clone.
#[derive(Clone)]
pub(super) struct Turns {
    notes: Arc<dyn Notes>,
    node: Uuid,
    holding: Arc<AtomicBool>,
}

impl Turns {
    pub(super) fn new(notes: Arc<dyn Notes>, node: Uuid) -> Self {
        Self { notes, node, holding: Arc::default() }
    }

    /// Whether this node sends.
    pub(super) fn holds(&self) -> bool {
        self.holding.load(Ordering::Relaxed)
    }

    /// Has the holder hear that somebody wants a webhook tried now.
    pub(super) async fn insist(&self, webhook: WebhookId) {
        if tokio::time::timeout(INSISTS, self.try_to_insist(webhook)).await.is_err() {
            // Couriers look at their notes now and then, so that nothing lies for ever.
            tracing::warn!(%webhook, "whoever sends to a webhook does not hear at once that it is to be tried now");
        }
    }

    async fn try_to_insist(&self, webhook: WebhookId) {
        loop {
            if let Ok((mut entry, revision)) = self.read().await {
                // Whoever takes the turn next begins anew with every webhook, and this node has heard it.
                if entry.holder.is_none_or(|holder| holder.node == self.node) || entry.insisted.contains(&webhook) {
                    return;
                }
                entry.insisted.push(webhook);
                if self.write(&entry, revision).await.is_ok() {
                    return;
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Takes turns until that is ended, and gives a turn back at the end.
    pub(super) async fn take_them(self, office: Arc<Office>, couriers: Arc<Couriers>, mut ending: watch::Receiver<bool>) {
        let mut seen = None;
        loop {
            // A node that shows nothing has nothing to send.
            let ready = office.history.until(|progress| progress.serves && !progress.stands_still());
            tokio::select! {
                // First, so that a turn that was just given back because of the end is not taken again.
                biased;
                () = ended(&mut ending) => return,
                Some(_) = ready => {}
                else => return,
            }
            let taken = if sees(&office).await { self.try_to_take(&mut seen).await } else { None };
            if let Some(held) = taken {
                tracing::info!("this node sends to webhooks now");
                self.holding.store(true, Ordering::Relaxed);
                self.hold(held, &office, &couriers, &mut ending).await;
                self.holding.store(false, Ordering::Relaxed);
            } else {
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    () = ended(&mut ending) => return,
                }
            }
        }
    }

    /// `seen` is the last sign of life of somebody else, and when it was first seen.
    async fn try_to_take(&self, seen: &mut Option<(Holder, Instant)>) -> Option<Held> {
        let (entry, revision) = match self.read().await {
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(%error, "whose turn it is to send to webhooks could not be asked");
                return None;
            }
        };
        if let Some(holder) = entry.holder.filter(|holder| holder.node != self.node) {
            match *seen {
                Some((before, since)) if before == holder && since.elapsed() >= LASTS => {}
                Some((before, _)) if before == holder => return None,
                _ => {
                    *seen = Some((holder, Instant::now()));
                    return None;
                }
            }
        }
        let (holder, since) = (Holder { node: self.node, term: Term::draw(), beat: 0 }, Instant::now());
        self.write(&Entry { holder: Some(holder), insisted: Vec::new() }, revision).await.ok()?;
        Some(Held { holder, since })
    }

    /// Sends, until the turn is another's, or is given back because this node is ended or shows nothing more.
    async fn hold(&self, mut held: Held, office: &Arc<Office>, couriers: &Arc<Couriers>, ending: &mut watch::Receiver<bool>) {
        let mut sending = JoinSet::new();
        sending.spawn(employ(office.clone(), couriers.clone(), Some(held.holder.term)));
        let mut blind = 0;
        let give_back = loop {
            tokio::select! {
                () = tokio::time::sleep(BEAT) => {}
                () = ended(ending) => break true,
                Some(_panicked) = sending.join_next() => {
                    tracing::error!("whoever sends to webhooks at this node ended before its turn did");
                    break true;
                }
            }
            blind = if sees(office).await { 0 } else { blind + 1 };
            if blind >= BLIND || office.history.progress().stands_still() {
                tracing::warn!("this node sends to webhooks no more, because it does not see what happens");
                break true;
            }
            let end = held.since + HOLDS;
            match tokio::time::timeout_at(end.into(), self.extend(&mut held, couriers)).await {
                Ok(true) => {}
                Ok(false) | Err(_) => break false,
            }
        };
        sending.shutdown().await;
        if give_back {
            // One that cannot be given back ends by itself.
            self.give_back(held.holder.term).await;
        } else {
            tracing::warn!("another node may send to webhooks now");
        }
    }

    /// Gives a sign of life. False if the turn is another's.
    async fn extend(&self, held: &mut Held, couriers: &Couriers) -> bool {
        loop {
            let since = Instant::now();
            if let Ok((entry, revision)) = self.read().await {
                if entry.holder.is_none_or(|holder| holder.term != held.holder.term) {
                    return false;
                }
                entry.insisted.iter().for_each(|webhook| couriers.insist(*webhook));
                let holder = Holder { beat: held.holder.beat + 1, ..held.holder };
                if self.write(&Entry { holder: Some(holder), insisted: Vec::new() }, revision).await.is_ok() {
                    *held = Held { holder, since };
                    return true;
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn give_back(&self, term: Term) {
        for _ in 0..TRIES {
            let Ok((entry, revision)) = self.read().await else { return };
            if entry.holder.is_none_or(|holder| holder.term != term) || self.write(&Entry::default(), revision).await.is_ok() {
                return;
            }
        }
    }

    async fn read(&self) -> Result<(Entry, Option<Revision>), Unavailable> {
        let Some(found) = self.notes.read(NOTE).await? else { return Ok((Entry::default(), None)) };
        if found.text.is_empty() {
            return Ok((Entry::default(), Some(found.revision)));
        }
        let entry = serde_json::from_slice(&found.text).map_err(|error| Unavailable(Box::new(error)))?;
        Ok((entry, Some(found.revision)))
    }

    async fn write(&self, entry: &Entry, known: Option<Revision>) -> Result<Revision, NotWritten> {
        let text = serde_json::to_vec(entry).map_err(|error| Unavailable(Box::new(error)))?;
        self.notes.write(NOTE, text.into(), known).await
    }
}

/// Whether this node's copy of the log can be read: one that is stopped or too old cannot, and has nothing to send.
async fn sees(office: &Office) -> bool {
    matches!(tokio::time::timeout(LOOK, office.commands.webhook_ids()).await, Ok(Ok(_)))
}

/// Returns once the service is about to end.
async fn ended(ending: &mut watch::Receiver<bool>) {
    drop(ending.wait_for(|ending| *ending).await);
}
