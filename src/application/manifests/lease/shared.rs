//! Turns by notes that nodes share: whoever writes a document's note as it read it has the turn.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use gatebook_events::envelope::Revision;
use gatebook_events::identity::ClientKey;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Held, LASTS, Noted, Turn, Turns, Why};
use crate::cluster::shared_kv::Notes;

/// Between two extensions of a turn.
const EXTEND: Duration = Duration::from_secs(2);
/// When to look again where nobody who keeps notes answers.
const AGAIN: TimeDelta = TimeDelta::seconds(5);
/// When to look again where somebody was quicker.
const SOON: TimeDelta = TimeDelta::seconds(1);

/// Turns that nodes share.
#[derive(Clone)]
pub struct SharedTurns {
    notes: Arc<dyn Notes>,
    node: Uuid,
}

/// What the note of a document says.
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
    /// Turns of this node, by these notes.
    pub fn new(notes: Arc<dyn Notes>, node: Uuid) -> Self {
        Self { notes, node }
    }

    /// What the note says, and how to write it next.
    async fn read(&self, key: ClientKey) -> Option<(Entry, Option<Revision>)> {
        match self.notes.read(&note(key)).await {
            Ok(Some(found)) => Some((serde_json::from_slice(&found.text).unwrap_or_default(), Some(found.revision))),
            Ok(None) => Some((Entry::default(), None)),
            Err(error) => {
                tracing::warn!(%key, %error, "whose turn it is to read a document could not be asked");
                None
            }
        }
    }

    async fn write(&self, key: ClientKey, entry: &Entry, known: Option<Revision>) -> Option<Revision> {
        let text = serde_json::to_vec(entry).ok()?;
        self.notes.write(&note(key), text.into(), known).await.ok()
    }

    fn mine(&self, now: DateTime<Utc>) -> Holder {
        Holder { node: self.node, until: now + LASTS }
    }

    /// Extends a turn until it is aborted.
    async fn extend(
        self,
        key: ClientKey,
        revision: Arc<tokio::sync::Mutex<Option<Revision>>>,
        noted: Option<Noted>,
        mut now: DateTime<Utc>,
    ) {
        loop {
            tokio::time::sleep(EXTEND).await;
            now += EXTEND;
            let mut revision = revision.lock().await;
            let entry = Entry { held: Some(self.mine(now)), noted: noted.clone() };
            match self.write(key, &entry, *revision).await {
                Some(next) => *revision = Some(next),
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
        let revision = Arc::new(tokio::sync::Mutex::new(Some(revision)));
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

fn note(key: ClientKey) -> String {
    format!("document-{key}")
}
