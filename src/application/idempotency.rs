//! What the log knows of a request that may be one that was sent before.

use chrono::{DateTime, Utc};
use gatebook_events::client::ClientEvent;
use gatebook_events::stored::Stored;
use gatebook_events::stream::Stream;
use gatebook_events::webhook::WebhookEvent;

use crate::aggregates::{CommandError, Commands};

/// A rotation that a request with a key asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotated {
    /// How many rotations were before it.
    pub number: usize,
    /// Whether none came after it.
    pub last: bool,
    /// When it was.
    pub at: DateTime<Utc>,
    /// What was promised of the old secret.
    pub old_valid_until: Option<DateTime<Utc>>,
    /// Of a webhook: which secret came with it.
    pub generation: u32,
}

/// The rotations of a thing's secret: how many, and the one that a request asked for, if it did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rotations {
    /// How many there were.
    pub count: usize,
    /// The one that is looked for.
    pub found: Option<Rotated>,
}

impl Commands {
    /// When the first event of a stream was recorded; none where there is none.
    pub async fn begun(&self, stream: Stream) -> Result<Option<DateTime<Utc>>, CommandError> {
        let read = self.log.read(&stream.name()).await?;
        Ok(read.events.first().map(|envelope| envelope.event.recorded_at))
    }

    /// The rotations of a client's or a webhook's secret, and the one by a request with this mark.
    pub async fn rotations(&self, stream: Stream, mark: &str) -> Result<Rotations, CommandError> {
        let read = self.log.read(&stream.name()).await?;
        let mut rotations = Rotations::default();
        for envelope in &read.events {
            let (name, version, data) = (&*envelope.event.name, envelope.event.version, &*envelope.event.data);
            let (old_valid_until, repeat_key, generation) = match name {
                "client.secret_rotated" => match ClientEvent::decode(name, version, data)? {
                    ClientEvent::SecretRotated(rotated) => (rotated.old_valid_until, rotated.repeat_key, 0),
                    _ => continue,
                },
                "webhook.secret_rotated" => match WebhookEvent::decode(name, version, data)? {
                    WebhookEvent::SecretRotated(rotated) => (rotated.old_valid_until, rotated.repeat_key, rotated.generation),
                    _ => continue,
                },
                _ => continue,
            };
            if let Some(found) = &mut rotations.found {
                found.last = false;
            }
            if repeat_key.as_deref() == Some(mark) {
                let (number, at) = (rotations.count, envelope.event.recorded_at);
                rotations.found = Some(Rotated { number, last: true, at, old_valid_until, generation });
            }
            rotations.count += 1;
        }
        Ok(rotations)
    }
}
