//! The documents that clients host: read when somebody first names one, read again on a schedule, and followed by every
//! registration of their client.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use gatebook_events::client::{Client, ContentHash, Document, Withdrawal};
use gatebook_events::envelope::{Actor, ActorKind, Position};
use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId, Stream};
use gatebook_events::manifest::{ManifestUrl, Trouble, TroubleKind};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use crate::command::{Cause, CommandError, Commands};
use crate::manifest::{FetchFailure, Fetched, Manifests, Urgency, Validators};

mod poller;
mod schedule;

pub use poller::{Polled, start};
pub use schedule::{Due, Schedule, ScheduleError};

/// How often documents are read again, and for how long the last good one serves.
#[derive(Debug, Clone)]
pub struct Rhythm {
    /// A document is not read again sooner, whatever its host says.
    pub least: Duration,
    /// Nor later.
    pub most: Duration,
    /// Where its host says nothing.
    pub usual: Duration,
    /// For how long the last good document serves while its host cannot be reached.
    pub max_age: Duration,
    /// The most documents that are read at a time.
    pub at_once: usize,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self {
            least: Duration::from_secs(5 * 60),
            most: Duration::from_secs(24 * 3600),
            usual: Duration::from_secs(3600),
            max_age: Duration::from_secs(7 * 24 * 3600),
            at_once: 16,
        }
    }
}

/// Reads documents and carries what they say to the log. Cheap to clone.
#[derive(Clone)]
pub struct Documents(Arc<Parts>);

struct Parts {
    manifests: Manifests,
    commands: Commands,
    schedule: Schedule,
    rhythm: Rhythm,
    woken: Notify,
}

/// Why the document of a client is of no use to whoever asked.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It could not be fetched, or not be read.
    #[error(transparent)]
    Fetch(#[from] FetchFailure),
    /// It could not be carried to the log.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// What was read, before anything is recorded.
#[derive(Debug, Clone)]
pub struct Read {
    /// The document, as an event would keep it.
    pub document: Document,
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

/// What happens to a document happens to every tenant's registrations, so it is told of the service and of no caller.
pub fn cause() -> Cause {
    let actor = Actor { kind: ActorKind::System, id: Some("documents".to_owned()), via: None };
    Cause { actor, tenant: None, request_id: None, origin: None }
}

impl Documents {
    /// Reads by these means and keeps this schedule.
    pub fn new(manifests: Manifests, commands: Commands, schedule: Schedule, rhythm: Rhythm) -> Self {
        Self(Arc::new(Parts { manifests, commands, schedule, rhythm, woken: Notify::new() }))
    }

    /// What fetches.
    pub fn manifests(&self) -> &Manifests {
        &self.0.manifests
    }

    /// Makes these documents due now, and the poller look.
    pub async fn hasten(&self, client_ids: Vec<ClientId>) {
        self.0.schedule.make_due(client_ids, self.0.commands.clock().now()).await;
        self.0.woken.notify_one();
    }

    /// Reads a document without recording anything.
    pub async fn read(&self, url: &ManifestUrl, urgency: Urgency) -> Result<Read, FetchFailure> {
        match self.0.manifests.fetch(url, None, urgency).await? {
            Fetched::Document(fetched) => Ok(as_kept(*fetched)),
            // Nothing was known, so nothing can be as it was; a host that says so says nothing.
            Fetched::NotModified { .. } => Err(FetchFailure::of(Trouble::Status, "304 to a request without a condition")),
        }
    }

    /// Reads a document and takes note of it: its client is known from then on.
    pub async fn meet(&self, url: &ManifestUrl, urgency: Urgency) -> Result<Seen, DocumentError> {
        let read = self.read(url, urgency).await?;
        Ok(self.take_note(&url.client_id(), read).await?)
    }

    async fn take_note(&self, client_id: &ClientId, read: Read) -> Result<Seen, CommandError> {
        let done = self.0.commands.see_document(&cause(), client_id, read.document).await?;
        let now = self.0.commands.clock().now();
        let next_at = now + self.pause(client_id.key(), read.fresh_for);
        self.0.schedule.read_well(client_id, &read.validators, now, next_at).await;
        Ok(Seen { client: done.state, position: done.position })
    }

    /// Polls one document now, and lets every registration of its client hear what came of it. What an administrator asks for
    /// is done at once; the poller keeps to what a host said about coming back.
    pub async fn poll(&self, url: &ManifestUrl, registered_at: &[ResourceServerId], due: Option<&Due>) -> Result<Polled, CommandError> {
        let client_id = url.client_id();
        let key = client_id.key();
        let known = due.map(|due| &due.validators).filter(|known| **known != Validators::default());
        let outcome = self.0.manifests.fetch(url, known, Urgency::Trusted).await;
        let now = self.0.commands.clock().now();
        let (polled, client) = match outcome {
            Ok(Fetched::Document(fetched)) => {
                let seen = self.take_note(&client_id, as_kept(*fetched)).await?;
                (Polled { changed: seen.position.is_some(), trouble: None, position: seen.position }, seen.client)
            }
            Ok(Fetched::NotModified { validators, fresh_for }) => {
                self.0.schedule.read_well(&client_id, &validators, now, now + self.pause(key, fresh_for)).await;
                (Polled::default(), self.0.commands.load(Stream::Client(key)).await?)
            }
            Err(failure) => return self.note_trouble(&client_id, &failure, due, now).await,
        };
        let position = self.follow(&client, registered_at).await?;
        Ok(Polled { position: polled.position.max(position), ..polled })
    }

    /// Polls one document now, for an administrator.
    pub async fn refresh(&self, url: &ManifestUrl, registered_at: &[ResourceServerId]) -> Result<Polled, CommandError> {
        let due = self.0.schedule.of(url.client_id().key()).await;
        self.poll(url, registered_at, due.as_ref()).await
    }

    /// Lets every registration hear the newest version. One that cannot be heard does not keep the others from it.
    pub async fn follow(&self, client: &Client, registered_at: &[ResourceServerId]) -> Result<Option<Position>, CommandError> {
        let mut position = None;
        let mut failed = None;
        for server in registered_at {
            match self.0.commands.follow_document(&cause(), *server, client).await {
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
                let next_at = now + delta(failure.retry_after.unwrap_or(Duration::from_secs(30)));
                self.0.schedule.put_off(key, next_at).await;
                return Ok(Polled { trouble: Some(failure.trouble), ..Polled::default() });
            }
            TroubleKind::Transport if now >= give_up => self.0.commands.lose_document(&cause(), key, Withdrawal::Expired, name).await?,
            TroubleKind::Transport => self.0.commands.miss_document(&cause(), key, last_read, name).await?,
            TroubleKind::Withdrawn => self.0.commands.lose_document(&cause(), key, Withdrawal::Gone, name).await?,
            TroubleKind::Invalid => self.0.commands.lose_document(&cause(), key, Withdrawal::Invalid, name).await?,
        };
        let mut next_at = now + self.back_off(key, failures, failure.retry_after);
        if now < give_up {
            // The end of the last good document's time is not slept through.
            next_at = next_at.min(give_up);
        }
        self.0.schedule.read_badly(client_id, failures, last_read, next_at).await;
        Ok(Polled { changed: done.position.is_some(), trouble: Some(failure.trouble), position: done.position })
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

fn as_kept(fetched: crate::manifest::Document) -> Read {
    let digest: [u8; 32] = Sha256::digest(fetched.text.as_bytes()).into();
    let document = Document {
        content_hash: ContentHash::of_digest(digest),
        text: fetched.text,
        metadata: fetched.manifest.metadata,
        warnings: fetched.manifest.warnings.iter().map(|warning| warning.as_str().into()).collect(),
        ignored: fetched.manifest.ignored,
    };
    Read { document, validators: fetched.validators, fresh_for: fetched.fresh_for }
}
