//! Turns in a key-value bucket of NATS: whoever writes at the revision that it read has the turn.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::kv::{Config, Operation, Store};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use gatebook_events::identity::ClientKey;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Held, LASTS, Noted, Turn, Turns, Why};
use crate::nats::Nats;

/// Between two extensions of a turn.
const EXTEND: Duration = Duration::from_secs(2);
/// When to look again where the bucket does not answer.
const AGAIN: TimeDelta = TimeDelta::seconds(5);
/// When to look again where somebody was quicker.
const SOON: TimeDelta = TimeDelta::seconds(1);

/// Turns that nodes share.
#[derive(Debug, Clone)]
pub struct SharedTurns {
    bucket: Store,
    node: Uuid,
}

/// The bucket cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("JetStream does not find or make the bucket of the documents' turns")]
pub struct OpenError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// What stands in the bucket for a document.
#[derive(Serialize, Deserialize, Default)]
struct Entry {
    /// Who is at it, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<Holder>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    noted: Option<Noted>,
}

#[derive(Serialize, Deserialize)]
struct Holder {
    node: Uuid,
    until: DateTime<Utc>,
}

impl SharedTurns {
    /// Finds the bucket, or makes it.
    pub async fn open(nats: &Nats, node: Uuid) -> Result<Self, OpenError> {
        let name = format!("{}-documents", nats.name);
        if let Ok(bucket) = nats.jetstream.get_key_value(&name).await {
            return Ok(Self { bucket, node });
        }
        let config = Config { bucket: name.clone(), history: 1, num_replicas: nats.replicas, ..Config::default() };
        let made = nats.jetstream.create_key_value(config).await;
        let bucket = match made {
            Ok(bucket) => bucket,
            // Another node was quicker.
            Err(error) => nats.jetstream.get_key_value(&name).await.map_err(|_| OpenError(Box::new(error)))?,
        };
        Ok(Self { bucket, node })
    }

    /// What stands in the bucket, and the revision to write at.
    async fn read(&self, key: ClientKey) -> Option<(Entry, u64)> {
        match self.bucket.entry(key.to_string()).await {
            Ok(Some(found)) if found.operation == Operation::Put => {
                Some((serde_json::from_slice(&found.value).unwrap_or_default(), found.revision))
            }
            Ok(Some(gone)) => Some((Entry::default(), gone.revision)),
            Ok(None) => Some((Entry::default(), 0)),
            Err(error) => {
                tracing::warn!(%key, %error, "whose turn it is to read a document could not be asked");
                None
            }
        }
    }

    async fn write(&self, key: ClientKey, entry: &Entry, revision: u64) -> Option<u64> {
        let value = serde_json::to_vec(entry).ok()?;
        self.bucket.update(key.to_string(), value.into(), revision).await.ok()
    }

    fn mine(&self, now: DateTime<Utc>) -> Holder {
        Holder { node: self.node, until: now + LASTS }
    }

    /// Extends a turn until it is aborted.
    async fn extend(self, key: ClientKey, revision: Arc<tokio::sync::Mutex<u64>>, noted: Option<Noted>, mut now: DateTime<Utc>) {
        loop {
            tokio::time::sleep(EXTEND).await;
            now += EXTEND;
            let mut revision = revision.lock().await;
            let entry = Entry { held: Some(self.mine(now)), noted: noted.clone() };
            match self.write(key, &entry, *revision).await {
                Some(next) => *revision = next,
                None => return,
            }
        }
    }
}

#[async_trait]
impl Turns for SharedTurns {
    async fn take(&self, key: ClientKey, why: Why, now: DateTime<Utc>) -> Turn {
        let Some((entry, revision)) = self.read(key).await else { return Turn::Later(now + AGAIN) };
        if let Some(held) = entry.held.filter(|held| held.until > now) {
            return Turn::Later(held.until);
        }
        if let Some(noted) = entry.noted.as_ref().filter(|noted| why == Why::Due && noted.next_at > now) {
            return Turn::Later(noted.next_at);
        }
        let taken = Entry { held: Some(self.mine(now)), noted: entry.noted };
        let Some(revision) = self.write(key, &taken, revision).await else { return Turn::Later(now + SOON) };
        let revision = Arc::new(tokio::sync::Mutex::new(revision));
        let extending = tokio::spawn(self.clone().extend(key, revision.clone(), taken.noted.clone(), now)).abort_handle();
        Turn::Mine(Held { revision, extending: Some(extending) }, taken.noted)
    }

    async fn end(&self, key: ClientKey, turn: Held, noted: Option<Noted>) {
        let revision = turn.revision.lock().await;
        if let Some(extending) = &turn.extending {
            extending.abort();
        }
        // One that cannot be written ends by itself.
        let _later = self.write(key, &Entry { held: None, noted }, *revision).await;
    }
}
