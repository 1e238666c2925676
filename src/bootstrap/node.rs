//! This node among others: what it says of itself, and what it does about what others wrote.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use gatebook_events::client::Client;
use gatebook_events::envelope::{Envelope, Position};
use gatebook_events::stream::Stream;
use uuid::Uuid;

use super::{Keeper, StartError, Store};
use crate::application::manifests::lease::{Alone, SharedTurns, Turns};
use crate::application::services::{Services, followers};
use crate::cluster::announcements::{self, Announcement, Announcing, End, Own};
use crate::cluster::shared_kv::Notes;
use crate::event_log::{EventLog, Followed};

/// A client's document was read, here or elsewhere, and said something new.
const DOCUMENT_READ: &str = "client.manifest_versioned";

/// Who this node is.
pub struct Me {
    /// Drawn once and kept in the data folder.
    pub id: Uuid,
    /// What clients reach it as.
    pub url: String,
    /// By this nodes can tell that they have the same instance key.
    pub key: String,
    /// Its log.
    pub store: Store,
}

/// Joins the other nodes, where there are any: tells them of this one, and takes turns with them.
pub async fn join(me: &Arc<Me>, notes: Option<Arc<dyn Notes>>) -> Result<(Option<Announcing>, Arc<dyn Turns>), StartError> {
    let Some(notes) = notes else { return Ok((None, Arc::new(Alone))) };
    let announcing = match &me.store {
        Store::Shared(_, Keeper::JetStream(nats)) => announcements::announce(nats, me.id, me.clone()).await?,
        Store::File(_) | Store::Shared(_, Keeper::KurrentDb(_)) => announcements::leave_notes(notes.clone(), me.id, me.clone()),
    };
    Ok((Some(announcing), Arc::new(SharedTurns::new(notes, me.id))))
}

#[async_trait]
impl Own for Me {
    async fn announcement(&self) -> Announcement {
        let (end, lag, trouble, put_aside) = match &self.store {
            Store::File(log) => (log.end().await.ok(), 0, None, Vec::new()),
            Store::Shared(mirror, _) => {
                let standing = mirror.standing().await;
                let put_aside = standing.put_aside.iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
                (standing.end, standing.lag, standing.trouble.map(|trouble| trouble.to_string()), put_aside.collect())
            }
        };
        Announcement {
            node: self.id,
            url: self.url.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            end: end.map(|(position, hash)| End { position: position.to_backend(), hash: hash.to_string() }),
            lag,
            key: self.key.clone(),
            trouble,
            put_aside,
        }
    }

    async fn hash_at(&self, position: Position) -> Option<String> {
        let hash = match &self.store {
            Store::File(log) => log.hash_at(position).await.ok(),
            Store::Shared(mirror, _) => mirror.known_hash_at(position).await,
        };
        hash.map(|hash| hash.to_string())
    }
}

/// Does what has to be done here about what others write, until the log ends: resource servers are known as they are now, and a
/// projection goes on that stands before an event that somebody has decided to leave out.
pub async fn hear_others(services: Services, log: Arc<dyn EventLog>, after: Position) {
    let mut following = log.follow(after);
    while let Some(followed) = following.next().await {
        match followed {
            Ok(Followed::Events(events)) => {
                observe(&services, &events).await;
                services.node.heard.send_replace(events.last().map(|last| last.position).unwrap_or_default());
            }
            Ok(Followed::CaughtUp(_)) => {}
            Err(error) => {
                tracing::debug!(%error, "what other nodes write is no longer followed");
                return;
            }
        }
    }
}

async fn observe(services: &Services, events: &[Envelope]) {
    // First of all what was read and kept is forgotten, so that the doors see what stands now.
    for one in events {
        services.commands.heard_of(&one.stream);
    }
    let mut streams: Vec<_> = events.iter().filter_map(|one| Stream::parse(&one.stream).ok()).collect();
    streams.dedup();
    for stream in streams {
        match stream {
            Stream::ResourceServer(id) => {
                if let Err(error) = services.commands.refresh_resource_server(id).await {
                    tracing::warn!(%id, %error, "what another node did to a resource server cannot be read now; whoever asks for it next tries again");
                }
            }
            // Created, edited or enabled elsewhere.
            Stream::Webhook(id) => services.webhooks.changed(id),
            Stream::Projection(name) => {
                for follower in followers(services).into_iter().filter(|follower| follower.identity().0 == name.to_string()) {
                    follower.retry().await;
                }
            }
            _ => {}
        }
    }
    for one in events.iter().filter(|one| &*one.event.name == DOCUMENT_READ) {
        let Ok(Stream::Client(key)) = Stream::parse(&one.stream) else { continue };
        // One that cannot be read now is found when the schedule is compared with the directory.
        if let Ok(client) = services.commands.load::<Client>(Stream::Client(key)).await
            && let Some(client_id) = client.client_id()
        {
            services.manifests.expect(client_id.clone()).await;
        }
    }
}
