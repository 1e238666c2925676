//! This node among the others that share its event log.

use std::sync::Arc;

use gatebook_events::envelope::Position;
use tokio::sync::watch;

use super::announcements::{Announcement, Announcing, Heard, Own};

/// This node.
pub struct Node {
    own: Arc<dyn Own>,
    announcing: Option<Announcing>,
    /// What kind of log it is: `sqlite`, `jetstream` or `kurrentdb`.
    pub log_kind: &'static str,
    /// Whether other nodes write to the same log.
    pub shares_its_log: bool,
    /// The last event of others that this node acted upon.
    pub heard: watch::Sender<Position>,
}

impl Node {
    /// A node that has heard of what the log holds up to a position. It announces itself where there are others.
    pub fn new(
        own: Arc<dyn Own>,
        announcing: Option<Announcing>,
        log_kind: &'static str,
        shares_its_log: bool,
        heard_from: Position,
    ) -> Self {
        Self { own, announcing, log_kind, shares_its_log, heard: watch::Sender::new(heard_from) }
    }

    /// What this node says of itself.
    pub async fn announcement(&self) -> Announcement {
        self.own.announcement().await
    }

    /// The other nodes that it has heard of.
    pub fn others(&self) -> Vec<Heard> {
        self.announcing.as_ref().map(|announcing| announcing.others().all()).unwrap_or_default()
    }
}
