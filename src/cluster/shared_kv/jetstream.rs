//! Notes in a key-value bucket of NATS JetStream.

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::kv::{Config, Store, UpdateError, UpdateErrorKind};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_trait::async_trait;
use bytes::Bytes;
use gatebook_events::envelope::Revision;

use super::{NotWritten, Note, Notes, Unavailable};
use crate::cluster::nats::Nats;

/// Notes in JetStream.
#[derive(Debug, Clone)]
pub struct JetStreamNotes(Store);

/// The bucket cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("JetStream does not find or make the bucket of what nodes share beside the log")]
pub struct OpenError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl JetStreamNotes {
    /// Finds the bucket, or makes it.
    pub async fn open(nats: &Nats) -> Result<Self, OpenError> {
        let name = format!("{}-notes", nats.name);
        if let Ok(bucket) = nats.jetstream.get_key_value(&name).await {
            return Ok(Self(bucket));
        }
        let config = Config { bucket: name.clone(), history: 1, num_replicas: nats.replicas, ..Config::default() };
        match nats.jetstream.create_key_value(config).await {
            Ok(bucket) => Ok(Self(bucket)),
            // Another node was quicker.
            Err(error) => nats.jetstream.get_key_value(&name).await.map(Self).map_err(|_| OpenError(Box::new(error))),
        }
    }
}

#[async_trait]
impl Notes for JetStreamNotes {
    async fn read(&self, key: &str) -> Result<Option<Note>, Unavailable> {
        // The driver's own way may ask a follower, which may not have heard yet of what this node has just written.
        let subject = format!("{}{key}", self.0.prefix);
        match self.0.stream.get_last_raw_message_by_subject(&subject).await {
            Ok(found) => Ok(Some(Note { text: found.payload, revision: Revision::from_backend(found.sequence) })),
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => Ok(None),
            Err(error) => Err(Unavailable(Box::new(error))),
        }
    }

    async fn write(&self, key: &str, text: Bytes, known: Option<Revision>) -> Result<Revision, NotWritten> {
        let known = known.map_or(0, Revision::to_backend);
        match self.0.update(key, text, known).await {
            Ok(revision) => Ok(Revision::from_backend(revision)),
            Err(error) if is_conflict(&error) => Err(NotWritten::Conflict),
            Err(error) => Err(Unavailable(Box::new(error)).into()),
        }
    }
}

/// The driver knows one of two codes for it: the other one (since 2.11) is said of what is on its way to the replicas.
fn is_conflict(error: &UpdateError) -> bool {
    let mut causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    error.kind() == UpdateErrorKind::WrongLastRevision
        || causes.any(|cause| {
            let refusal = cause.downcast_ref::<async_nats::jetstream::Error>();
            refusal.is_some_and(|refusal| refusal.error_code() == ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT)
        })
}
