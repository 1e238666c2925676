//! Announcing where nodes have no way to call each other: each keeps a note about itself, and looks at those of the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gatebook_events::envelope::Revision;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::{Announcement, Announcing, FORGOTTEN, Others, Own};
use crate::cluster::shared_kv::Notes;

/// The note of who there is: the ids of all nodes.
const ROSTER: &str = "nodes";
/// Between two announcements. Whoever keeps them keeps each of them for a while, so there are fewer than where they are only said.
const INTERVAL: Duration = Duration::from_secs(5);
/// Between two looks at those of the others: that writes nothing.
const LOOK: Duration = Duration::from_secs(2);
/// A node of which two announcements in a row were missed is silent. The nodes' clocks do not tick together, so the second one may be
/// seen a look later than it was due.
const SILENT: Duration = Duration::from_secs(13);

/// Announces this node, and hears the others.
pub fn leave_notes(notes: Arc<dyn Notes>, node: Uuid, own: Arc<dyn Own>) -> Announcing {
    let others = Others::default();
    let announcer = Announcer { notes, node, own, others: others.clone(), seen: HashMap::new() };
    Announcing { others, tasks: vec![tokio::spawn(announcer.run()).abort_handle()] }
}

struct Announcer {
    notes: Arc<dyn Notes>,
    node: Uuid,
    own: Arc<dyn Own>,
    others: Others,
    /// The last notes of others, and when they were new.
    seen: HashMap<Uuid, (Revision, Instant)>,
}

impl Announcer {
    async fn run(mut self) {
        let (mut tell, mut look) = (tokio::time::interval(INTERVAL), tokio::time::interval(LOOK));
        tell.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tell.tick() => {
                    self.tell().await;
                    continue;
                }
                _ = look.tick() => self.look().await,
            }
            self.others.forget_the_gone();
            for (node, _, theirs) in self.others.compare(&*self.own).await {
                // Nobody can be asked about the events before, so this need not be the first one: it is where it was noticed.
                tracing::error!(%node, position = theirs.position, "the events of this node differ from ours at this position");
                self.others.change(node, |heard| heard.differs_at = Some(theirs.position));
            }
        }
    }

    async fn tell(&self) {
        let said = self.own.announcement().await;
        let known = self.read::<serde_json::Value>(&note(self.node)).await.map(|(_, revision)| revision);
        // What is not heard this time is heard the next.
        self.write(&note(self.node), &said, known).await;
    }

    /// Looks at who there is and what they say. Who is not there is added, and who was silent for long is taken out.
    async fn look(&mut self) {
        let (mut roster, known) = match self.read::<Vec<Uuid>>(ROSTER).await {
            Some((roster, revision)) => (roster, Some(revision)),
            None => (Vec::new(), None),
        };
        for node in roster.iter().copied().filter(|node| *node != self.node) {
            let Some((said, revision)) = self.read::<Announcement>(&note(node)).await else { continue };
            match self.seen.insert(node, (revision, Instant::now())) {
                Some((before, since)) if before == revision => drop(self.seen.insert(node, (revision, since))),
                Some(_) => self.others.hear(said, SILENT),
                // It may have been written long ago.
                None => {}
            }
        }
        let before = roster.clone();
        roster.retain(|node| self.seen.get(node).is_none_or(|(_, since)| since.elapsed() < FORGOTTEN));
        if !roster.contains(&self.node) {
            roster.push(self.node);
        }
        if roster != before {
            self.write(ROSTER, &roster, known).await;
        }
    }

    async fn read<T: DeserializeOwned>(&self, key: &str) -> Option<(T, Revision)> {
        let found = self.notes.read(key).await.ok()??;
        match serde_json::from_slice(&found.text) {
            Ok(said) => Some((said, found.revision)),
            Err(error) => {
                tracing::debug!(key, %error, "a node noted something that this build does not read");
                None
            }
        }
    }

    async fn write<T: Serialize>(&self, key: &str, said: &T, known: Option<Revision>) {
        let Ok(text) = serde_json::to_vec(said) else { return };
        let _another_time = self.notes.write(key, Bytes::from(text), known).await;
    }
}

fn note(node: Uuid) -> String {
    format!("node-{node}")
}
