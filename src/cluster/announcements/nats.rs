//! Announcing over NATS, hearing the others, and finding the first event that is not theirs.

use std::sync::Arc;

use async_nats::{Client, Message, Subscriber};
use futures_util::StreamExt;
use gatebook_events::envelope::Position;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::{Announcement, Announcing, End, INTERVAL, Others, Own, SILENT};
use crate::cluster::nats::Nats;

/// Why nothing can be announced.
#[derive(Debug, thiserror::Error)]
#[error("NATS takes no subscription")]
pub struct Deaf(#[from] async_nats::SubscribeError);

/// Announces this node, and hears the others.
pub async fn announce(nats: &Nats, node: Uuid, own: Arc<dyn Own>) -> Result<Announcing, Deaf> {
    let (client, prefix) = (nats.client.clone(), format!("{}.nodes", nats.name));
    let heard = client.subscribe(format!("{prefix}.*")).await?;
    let asked = client.subscribe(format!("{prefix}.{node}.hash")).await?;
    let others = Others::default();
    let answering = tokio::spawn(answer(client.clone(), own.clone(), asked)).abort_handle();
    let announcing = tokio::spawn(Announcer { client, prefix, node, own, others: others.clone() }.run(heard)).abort_handle();
    Ok(Announcing { others, tasks: vec![announcing, answering] })
}

/// Says what our events hash to up to a position; nothing where we have none there. By itself, because two nodes that ask each other
/// must not wait for each other.
async fn answer(client: Client, own: Arc<dyn Own>, mut asked: Subscriber) {
    while let Some(asked) = asked.next().await {
        let position = std::str::from_utf8(&asked.payload).ok().and_then(|text| text.parse::<Position>().ok());
        let (Some(position), Some(reply)) = (position, asked.reply) else { continue };
        let hash = own.hash_at(position).await.unwrap_or_default();
        let _lost = client.publish(reply, hash.into()).await;
    }
}

struct Announcer {
    client: Client,
    prefix: String,
    node: Uuid,
    own: Arc<dyn Own>,
    others: Others,
}

impl Announcer {
    async fn run(self, mut heard: Subscriber) {
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    self.tell().await;
                    self.others.forget_the_gone();
                    for (node, agreed, theirs) in self.others.compare(&*self.own).await {
                        self.find_difference(node, agreed, &theirs).await;
                    }
                }
                Some(message) = heard.next() => self.hear(&message),
                else => return,
            }
        }
    }

    async fn tell(&self) {
        let Ok(payload) = serde_json::to_vec(&self.own.announcement().await) else { return };
        // Whoever does not hear this one hears the next.
        let _lost = self.client.publish(format!("{}.{}", self.prefix, self.node), payload.into()).await;
    }

    fn hear(&self, message: &Message) {
        match serde_json::from_slice::<Announcement>(&message.payload) {
            Ok(said) if said.node != self.node => self.others.hear(said, SILENT),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "a node announced something that this build does not read"),
        }
    }

    /// Looks for the first event that differs: since each hash covers all before it, halving finds it.
    async fn find_difference(&self, node: Uuid, agreed: u64, theirs: &End) {
        let (mut same, mut other) = (agreed.min(theirs.position - 1), theirs.position);
        while other - same > 1 {
            let middle = same + (other - same) / 2;
            let Some(ours) = self.own.hash_at(Position::from_backend(middle)).await else { return };
            let asked = self.client.request(format!("{}.{node}.hash", self.prefix), middle.to_string().into()).await;
            // It is found another time.
            let Ok(answer) = asked else { return };
            match std::str::from_utf8(&answer.payload) {
                Ok("") | Err(_) => return,
                Ok(hash) if hash == ours => same = middle,
                Ok(_) => other = middle,
            }
        }
        tracing::error!(%node, position = other, "the events of this node differ from ours from this position on");
        self.others.change(node, |heard| heard.differs_at = Some(other));
    }
}
