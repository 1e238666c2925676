//! The documents that clients host: read when somebody first names one, read again on a schedule, and followed by every
//! registration of their client.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt, stream};
use gatebook_events::client::{Client, ContentHash, Document, Withdrawal};
use gatebook_events::envelope::Position;
use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId, TenantId};
use gatebook_events::manifest::{ManifestUrl, Trouble, TroubleKind};
use gatebook_events::stream::Stream;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard};

use crate::aggregates::{Cause, CommandError, Commands};
use crate::application::manifests::versions::reader_of_documents;
use crate::config::Rhythm;
use crate::event_log::LogError;
use crate::outbound::{FetchFailure, Fetched, Manifests, Urgency, Validators};
use crate::platform::side_db::SideTable;

pub mod lease;
pub mod versions;

mod poller;
mod queue;
mod schedule;

use crate::application::manifests::lease::{Alone, Held, Noted, Turn, Turns, Why};
pub use poller::{Polled, start};
pub use schedule::{Due, Schedule};

/// How many registrations of one client hear its document at a time.
const FOLLOWED_AT_ONCE: usize = 8;

/// Between two looks whether another node has ended its turn.
const ANOTHER_LOOK: Duration = Duration::from_millis(200);

/// Reads documents and carries what they say to the log. Cheap to clone.
#[derive(Clone)]
pub struct Documents(Arc<Parts>);

struct Parts {
    manifests: Manifests,
    commands: Commands,
    schedule: Schedule,
    rhythm: Rhythm,
    woken: Notify,
    /// Whose turn it is among the nodes.
    shared_turns: Arc<dyn Turns>,
    /// The documents that somebody wants read before they are due.
    asked: Mutex<HashSet<ClientKey>>,
    /// Which documents are being polled.
    turns: Mutex<HashMap<ClientKey, Weak<AsyncMutex<()>>>>,
}

/// What was read, before anything is recorded.
#[derive(Debug, Clone)]
pub struct Read {
    /// The document, as an event would keep it.
    pub document: Document,
    /// Whether an administrator entered it, because its host cannot be reached.
    pub entered: bool,
    validators: Validators,
    fresh_for: Option<Duration>,
}

/// A client after its document was read.
#[derive(Debug)]
pub struct Seen {
    /// The client.
    pub client: Client,
    /// Where the last event stands; none if nothing changed.
    pub position: Option<Position>,
}

/// What causes the events that a document leads to.
pub fn cause() -> Cause {
    Cause { actor: reader_of_documents(), tenant: None, request_id: None, origin: None }
}

impl Documents {
    /// Reads by these means and keeps this schedule.
    pub fn new(manifests: Manifests, commands: Commands, schedule: Schedule, rhythm: Rhythm) -> Self {
        Self::among_others(manifests, commands, (schedule, Arc::new(Alone)), rhythm)
    }

    /// The same where other nodes read documents too.
    pub fn among_others(
        manifests: Manifests,
        commands: Commands,
        (schedule, shared_turns): (Schedule, Arc<dyn Turns>),
        rhythm: Rhythm,
    ) -> Self {
        let (woken, asked, turns) = (Notify::new(), Mutex::default(), Mutex::default());
        Self(Arc::new(Parts { manifests, commands, schedule, rhythm, woken, shared_turns, asked, turns }))
    }

    /// What fetches.
    pub fn manifests(&self) -> &Manifests {
        &self.0.manifests
    }

    /// Makes these documents due now, and the poller look.
    pub async fn hasten(&self, client_ids: Vec<ClientId>) {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner).extend(client_ids.iter().map(ClientId::key));
        self.0.schedule.make_due(client_ids, self.0.commands.clock().now()).await;
        self.0.woken.notify_one();
    }

    /// Enters a document that another node has met, so that it is read here should that node be gone.
    pub async fn expect(&self, client_id: ClientId) {
        let next_at = self.0.commands.clock().now() + delta(self.0.rhythm.least);
        self.0.schedule.add(vec![client_id], next_at).await;
    }

    /// Takes note of the log as it is now that a document was read: what it said is in there.
    async fn mark(&self) {
        let log = self.0.commands.log();
        if let Ok(head) = log.head().await
            && let Ok(hash) = log.hash_at(head).await
        {
            self.0.schedule.mark(head, *hash.as_bytes()).await;
        }
    }

    /// Has every document read whole where the log is not the one that the schedule was kept for: an older one that was put back may
    /// not have what was read last, and a host that is asked whether anything changed since then would say no.
    pub(crate) async fn agree(&self) -> Result<(), LogError> {
        let Some((position, hash)) = self.0.schedule.marked().await else { return Ok(()) };
        let log = self.0.commands.log();
        if position > log.head().await? || log.hash_at(position).await?.as_bytes().as_slice() != hash {
            tracing::error!(%position, "the event log is not the one that clients' documents were read for: each is read anew");
            self.0.schedule.read_all_anew(self.0.commands.clock().now()).await;
        }
        Ok(())
    }

    /// Where it is kept when each document is read again.
    pub(crate) fn schedule(&self) -> &SideTable {
        self.0.schedule.table()
    }

    /// How many documents are due, and how many of them for longer than `patience`; none if the schedule cannot be read.
    pub async fn waiting(&self, patience: TimeDelta) -> Option<(u64, u64)> {
        let now = self.0.commands.clock().now();
        self.0.schedule.waiting(now, now - patience).await
    }

    /// Reads a document without recording anything.
    pub async fn read(&self, url: &ManifestUrl, urgency: Urgency) -> Result<Read, FetchFailure> {
        match self.0.manifests.fetch(url, None, urgency).await? {
            Fetched::Document(fetched) => Ok(as_kept(*fetched)),
            // Nothing was known, so nothing can be as it was; a host that says so says nothing.
            Fetched::NotModified { .. } => Err(FetchFailure::of(Trouble::Status, "304 to a request without a condition")),
        }
    }

    /// Reads a document; where its host was asked in vain, takes what an administrator says that it is, which the answer says.
    pub async fn read_or_take(&self, url: &ManifestUrl, text: Option<&str>) -> Result<Read, FetchFailure> {
        match (self.read(url, Urgency::Trusted).await, text) {
            (Err(failure), Some(text)) if failure.trouble.kind() == TroubleKind::Transport => {
                Ok(Read { entered: true, ..as_kept(self.0.manifests.judge(url, text)?) })
            }
            (outcome, _) => outcome,
        }
    }

    /// Takes note of what was read: its client is known from then on. A text that was entered is kept for the tenant; its host is asked
    /// again when every other document's is, and what it answers takes over.
    pub async fn keep(
        &self,
        cause: &Cause,
        tenant: &TenantId,
        client_id: &ClientId,
        registered_at: &[ResourceServerId],
        read: Read,
    ) -> Result<Seen, CommandError> {
        if read.entered {
            let done = self.0.commands.enter_document(cause, tenant, client_id, read.document).await?;
            self.expect(client_id.clone()).await;
            return Ok(Seen { client: done.state, position: done.position });
        }
        let seen = self.take_note(client_id, registered_at, read.document).await?;
        self.read_well(client_id, &read.validators, read.fresh_for).await;
        if seen.position.is_some() && (seen.client.document_versions() > 1 || !seen.client.entered.is_empty()) {
            // Others know it by what it said before or by a text that was entered, and hear of this at a poll.
            self.hasten(vec![client_id.clone()]).await;
        }
        Ok(seen)
    }

    async fn take_note(&self, client_id: &ClientId, registered_at: &[ResourceServerId], document: Document) -> Result<Seen, CommandError> {
        let done = self.0.commands.see_document(&cause(), client_id, registered_at, document).await?;
        Ok(Seen { client: done.state, position: done.position })
    }

    async fn read_well(&self, client_id: &ClientId, validators: &Validators, fresh_for: Option<Duration>) {
        let now = self.0.commands.clock().now();
        self.0.schedule.read_well(client_id, validators, now, now + self.pause(client_id.key(), fresh_for)).await;
        self.mark().await;
    }

    /// The documents that are due, none of them put off for longer than a document may be.
    async fn due(&self, limit: usize) -> Vec<Due> {
        let now = self.0.commands.clock().now();
        // A tenth is what jitter may add.
        self.0.schedule.bound(now + delta(self.0.rhythm.most + self.0.rhythm.most / 10)).await;
        self.0.schedule.due(now, limit).await
    }

    /// Waits until nobody else polls this document: of two answers the older one must not be taken note of last.
    async fn turn(&self, key: ClientKey) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let turn = turns.get(&key).and_then(Weak::upgrade).unwrap_or_default();
            turns.insert(key, Arc::downgrade(&turn));
            turn
        };
        turn.lock_owned().await
    }

    /// Polls one document now, if it is this node's turn, and lets every registration of its client hear what came of it. What an
    /// administrator asks for is done at once; the poller keeps to what a host said about coming back.
    pub async fn poll(&self, url: &ManifestUrl, registered_at: &[ResourceServerId], due: Option<&Due>) -> Result<Polled, CommandError> {
        let key = url.client_id().key();
        let _turn = self.turn(key).await;
        let asked = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        let why = if asked { Why::Asked } else { Why::Due };
        match self.0.shared_turns.take(key, why, self.0.commands.clock().now()).await {
            Turn::Mine(held, known) => self.poll_in_turn(url, registered_at, due, (held, known)).await,
            Turn::Later(at) => {
                self.0.schedule.put_off(key, at).await;
                Ok(Polled::default())
            }
        }
    }

    /// Polls one document now, for an administrator, once nobody else does.
    pub async fn refresh(&self, url: &ManifestUrl, registered_at: &[ResourceServerId]) -> Result<Polled, CommandError> {
        let key = url.client_id().key();
        let _turn = self.turn(key).await;
        let until = Instant::now() + 2 * crate::application::manifests::lease::LASTS;
        while Instant::now() < until {
            if let Turn::Mine(held, known) = self.0.shared_turns.take(key, Why::Asked, self.0.commands.clock().now()).await {
                let due = self.0.schedule.of(key).await;
                return self.poll_in_turn(url, registered_at, due.as_ref(), (held, known)).await;
            }
            tokio::time::sleep(ANOTHER_LOOK).await;
        }
        Err(CommandError::Contended)
    }

    async fn poll_in_turn(
        &self,
        url: &ManifestUrl,
        registered_at: &[ResourceServerId],
        due: Option<&Due>,
        (held, known): (Held, Option<Noted>),
    ) -> Result<Polled, CommandError> {
        let client_id = url.client_id();
        let key = client_id.key();
        // Another node may have read it since.
        let newer = known.as_ref().filter(|known| due.is_none_or(|due| due.last_read < known.last_read)).map(|known| Due {
            client_id: client_id.clone(),
            last_read: known.last_read,
            failures: known.failures,
            validators: known.validators.clone(),
        });
        let polled = self.fetch_and_tell(url, registered_at, newer.as_ref().or(due)).await;
        let noted = if polled.is_ok() { self.0.schedule.noted(key).await } else { None };
        self.0.shared_turns.end(key, held, noted.or(known)).await;
        polled
    }

    async fn fetch_and_tell(
        &self,
        url: &ManifestUrl,
        registered_at: &[ResourceServerId],
        due: Option<&Due>,
    ) -> Result<Polled, CommandError> {
        let client_id = url.client_id();
        let key = client_id.key();
        let known = due.map(|due| &due.validators).filter(|known| **known != Validators::default());
        let outcome = self.0.manifests.fetch(url, known, Urgency::Trusted).await;
        let (seen, validators, fresh_for) = match outcome {
            Ok(Fetched::Document(fetched)) => {
                let Read { document, validators, fresh_for, .. } = as_kept(*fetched);
                (self.take_note(&client_id, registered_at, document).await?, validators, fresh_for)
            }
            Ok(Fetched::NotModified { validators, fresh_for }) => {
                let client = self.0.commands.load(Stream::Client(key)).await?;
                (Seen { client, position: None }, validators, fresh_for)
            }
            Err(failure) => return self.note_trouble(&client_id, &failure, due, self.0.commands.clock().now()).await,
        };
        let position = self.follow(&seen.client, registered_at).await?;
        // Only now: what a crash keeps the registrations from hearing is due when the service is back.
        self.read_well(&client_id, &validators, fresh_for).await;
        Ok(Polled { changed: seen.position.is_some(), position: seen.position.max(position), ..Polled::default() })
    }

    /// Lets every registration hear the newest version. One that cannot be heard does not keep the others from it.
    pub async fn follow(&self, client: &Client, registered_at: &[ResourceServerId]) -> Result<Option<Position>, CommandError> {
        let (mut position, mut failed) = (None, None);
        let hear = |server: ResourceServerId| async move { (server, self.0.commands.follow_document(&cause(), server, client).await) };
        let mut heard = stream::iter(registered_at.iter().copied()).map(hear).buffer_unordered(FOLLOWED_AT_ONCE);
        while let Some((server, outcome)) = heard.next().await {
            match outcome {
                Ok(done) => position = position.max(done.position),
                Err(CommandError::Rejected(rejection)) => {
                    tracing::debug!(%server, %rejection, "a registration does not follow its document");
                }
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(position), Err)
    }

    async fn note_trouble(
        &self,
        client_id: &ClientId,
        failure: &FetchFailure,
        due: Option<&Due>,
        now: DateTime<Utc>,
    ) -> Result<Polled, CommandError> {
        let key = client_id.key();
        let name = failure.trouble.as_str();
        let failures = due.map_or(1, |due| due.failures.saturating_add(1));
        let last_read = due.map_or(now, |due| due.last_read);
        let give_up = last_read + delta(self.0.rhythm.max_age);
        let done = match failure.trouble.kind() {
            TroubleKind::NotTried => {
                let pause = failure.retry_after.unwrap_or(Duration::from_secs(30));
                self.0.schedule.put_off(key, now + delta(pause)).await;
                let rest = (failure.trouble == Trouble::TooOften).then_some(pause);
                let retry_after = failure.not_tried_for();
                return Ok(Polled { trouble: Some(failure.trouble), rest, retry_after, ..Polled::default() });
            }
            TroubleKind::Transport if now >= give_up => {
                self.0.commands.lose_document(&cause(), key, Withdrawal::Expired, (name, None)).await?
            }
            TroubleKind::Transport => self.0.commands.miss_document(&cause(), key, last_read, name).await?,
            TroubleKind::Withdrawn => self.0.commands.lose_document(&cause(), key, Withdrawal::Gone, (name, None)).await?,
            TroubleKind::Invalid => self.0.commands.lose_document(&cause(), key, Withdrawal::Invalid, (name, failure.about())).await?,
        };
        let mut next_at = now + self.back_off(key, failures, failure.retry_after);
        if now < give_up {
            // The end of the last good document's time is not slept through.
            next_at = next_at.min(give_up);
        }
        self.0.schedule.read_badly(client_id, failures, last_read, next_at).await;
        let rest = failure.retry_after.filter(|_| failure.trouble == Trouble::TooManyRequests);
        Ok(Polled { changed: done.position.is_some(), trouble: Some(failure.trouble), position: done.position, rest, retry_after: None })
    }

    /// Until a document that was read is read again.
    fn pause(&self, key: ClientKey, fresh_for: Option<Duration>) -> TimeDelta {
        let Rhythm { least, most, usual, .. } = self.0.rhythm;
        jittered(key, fresh_for.unwrap_or(usual).clamp(least, most))
    }

    /// Until a document that could not be read is tried again: twice as long after each failure.
    fn back_off(&self, key: ClientKey, failures: u32, retry_after: Option<Duration>) -> TimeDelta {
        let Rhythm { least, most, .. } = self.0.rhythm;
        let doubled = least.saturating_mul(1 << failures.saturating_sub(1).min(16));
        jittered(key, doubled.max(retry_after.unwrap_or_default()).min(most))
    }
}

/// Up to a tenth longer, by the client's key, so that what was met in one moment is not read again in one moment.
fn jittered(key: ClientKey, pause: Duration) -> TimeDelta {
    let share = u32::from(u16::from_be_bytes([key.0.as_bytes()[14], key.0.as_bytes()[15]]));
    delta(pause + pause / 10 * share / u32::from(u16::MAX))
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

fn as_kept(fetched: crate::outbound::Document) -> Read {
    let digest: [u8; 32] = Sha256::digest(fetched.text.as_bytes()).into();
    let document = Document {
        content_hash: ContentHash::of_digest(digest),
        text: fetched.text,
        metadata: fetched.manifest.metadata,
        warnings: fetched.manifest.warnings.iter().map(|warning| warning.as_str().into()).collect(),
        left_out: fetched.manifest.left_out,
        ignored: fetched.manifest.ignored,
    };
    Read { document, entered: false, validators: fetched.validators, fresh_for: fetched.fresh_for }
}
