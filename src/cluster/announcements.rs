//! The nodes that share an event log: each tells the others how far it is and what its events hash to, and hears it of them.
//!
//! What is told is kept by nobody. A node that is not heard of for a while is silent, and later forgotten.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use gatebook_events::envelope::Position;
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;
use uuid::Uuid;

pub(crate) mod nats;
pub(crate) mod shared;

pub use crate::cluster::announcements::nats::{Deaf, announce};
pub use crate::cluster::announcements::shared::leave_notes;

/// Between two announcements.
const INTERVAL: Duration = Duration::from_secs(1);
/// A node that says something so often, and is not heard of for so long, is silent.
const SILENT: Duration = Duration::from_secs(5);
/// A node that is not heard of for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// The announcements of this node and what it hears, until it is dropped.
pub struct Announcing {
    others: Others,
    tasks: Vec<AbortHandle>,
}

impl Announcing {
    /// The nodes that were heard of.
    pub fn others(&self) -> &Others {
        &self.others
    }
}

impl Drop for Announcing {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// What a node says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Announcement {
    /// Which node; drawn once and kept in its data folder.
    pub node: Uuid,
    /// Where its own clients reach it.
    pub url: String,
    /// Which build it is.
    pub version: String,
    /// Its last event; none while its mirror is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
    /// How many entries of the shared log it has not taken in.
    pub lag: u64,
    /// By this nodes can tell that they derive the same secrets.
    pub key: String,
    /// What keeps it from following.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Files of its mirror that were found broken since it started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub put_aside: Vec<String>,
}

/// Where a node's log ends, and what all of it hashes to (SHA-256, in hexadecimal).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The last event.
    pub position: u64,
    /// The hash there.
    pub hash: String,
}

/// Who can say how this node's log does.
#[async_trait]
pub trait Own: Send + Sync + 'static {
    /// What this node says of itself now.
    async fn announcement(&self) -> Announcement;

    /// What the event at a position and all before it hash to here; none if it is not here yet.
    async fn hash_at(&self, position: Position) -> Option<String>;
}

/// Another node, as it was last heard.
#[derive(Debug, Clone)]
pub struct Heard {
    /// What it said.
    pub said: Announcement,
    /// When.
    pub at: Instant,
    /// After how long it is silent.
    silent_after: Duration,
    /// Where its events were last found to be ours.
    pub agreed: Option<u64>,
    /// The first event that differs from ours, or, where nodes cannot ask each other, the one at which it was noticed.
    pub differs_at: Option<u64>,
}

/// Where another node is in the life of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has everything.
    Live,
    /// It has not, yet.
    CatchingUp,
    /// Something keeps it from following.
    Stopped,
    /// Its events are not ours.
    Diverged,
    /// Nothing is heard of it.
    Silent,
}

impl State {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::CatchingUp => "catching_up",
            Self::Stopped => "stopped",
            Self::Diverged => "diverged",
            Self::Silent => "silent",
        }
    }

    /// The state of a node that says this of itself.
    pub const fn of(said: &Announcement) -> Self {
        match said {
            Announcement { trouble: Some(_), .. } | Announcement { end: None, .. } => Self::Stopped,
            Announcement { lag: 0, .. } => Self::Live,
            Announcement { .. } => Self::CatchingUp,
        }
    }
}

impl Heard {
    /// Where it is.
    pub fn state(&self) -> State {
        if self.differs_at.is_some() {
            State::Diverged
        } else if self.at.elapsed() > self.silent_after {
            State::Silent
        } else {
            State::of(&self.said)
        }
    }
}

/// The other nodes that were heard of. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Others(Arc<Mutex<BTreeMap<Uuid, Heard>>>);

impl Others {
    /// All of them, by id.
    pub fn all(&self) -> Vec<Heard> {
        self.lock().values().cloned().collect()
    }

    /// Notes what a node said, and after how long without another word it is silent.
    fn hear(&self, said: Announcement, silent_after: Duration) {
        let mut heard = self.lock();
        let before = heard.get(&said.node);
        let (agreed, differs_at) = before.map_or((None, None), |before| (before.agreed, before.differs_at));
        heard.insert(said.node, Heard { said, at: Instant::now(), silent_after, agreed, differs_at });
    }

    /// Holds what the others said against our own events, as far as we have them. Says whose differ: from where they were ours, and
    /// where they are not.
    async fn compare(&self, own: &dyn Own) -> Vec<(Uuid, u64, End)> {
        let (ours, mut differ) = (own.announcement().await, Vec::new());
        for heard in self.all() {
            let (Some(theirs), Some(end)) = (heard.said.end, &ours.end) else { continue };
            if heard.said.key != ours.key && heard.agreed.is_none() {
                tracing::error!(node = %heard.said.node, "this node has another instance key than ours: repeated requests get other secrets there");
            }
            if theirs.position > end.position || heard.agreed == Some(theirs.position) {
                continue;
            }
            match own.hash_at(Position::from_backend(theirs.position)).await {
                Some(hash) if hash == theirs.hash => self.change(heard.said.node, |heard| {
                    (heard.agreed, heard.differs_at) = (Some(theirs.position), None);
                }),
                Some(_) if heard.differs_at.is_none() => differ.push((heard.said.node, heard.agreed.unwrap_or_default(), theirs)),
                Some(_) | None => {}
            }
        }
        differ
    }

    fn forget_the_gone(&self) {
        self.lock().retain(|_, heard| heard.at.elapsed() < FORGOTTEN);
    }

    fn change(&self, node: Uuid, change: impl FnOnce(&mut Heard)) {
        if let Some(heard) = self.lock().get_mut(&node) {
            change(heard);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uuid, Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The id of the node that has this data folder, drawn the first time.
pub fn node_id(file: &Path) -> std::io::Result<Uuid> {
    match std::fs::read_to_string(file) {
        Ok(text) => text.trim().parse().map_err(|_| std::io::ErrorKind::InvalidData.into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let drawn = Uuid::now_v7();
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(file)?.write_all(format!("{drawn}\n").as_bytes())?;
            Ok(drawn)
        }
        Err(error) => Err(error),
    }
}
