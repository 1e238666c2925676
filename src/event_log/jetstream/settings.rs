//! The stream's settings: made right, or refused when somebody made them otherwise.

use std::collections::HashMap;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream};
use uuid::Uuid;

use crate::cluster::nats::Nats;

/// Under this name the log's identity stands in the stream's metadata.
const IDENTITY: &str = "gatebook-log";
/// For how long the server remembers message ids. What is older is found by the mirror.
const REMEMBERED: std::time::Duration = std::time::Duration::from_secs(120);

/// Why a log in JetStream cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The cluster does not answer, or has no room.
    #[error("JetStream does not find or make the stream {stream}")]
    Unavailable {
        /// Which stream.
        stream: String,
        /// What it says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The stream is not what an event log needs.
    #[error("the JetStream stream {stream} {problem}: it would not keep events for ever")]
    Unfit {
        /// Which stream.
        stream: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The stream, and which log it holds.
pub async fn find_or_make(nats: &Nats, prefix: &str) -> Result<(Stream, String), OpenError> {
    let name = nats.name.to_string();
    let unavailable = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::Unavailable { stream: name.clone(), source };
    let stream = match nats.jetstream.get_stream(&name).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), GetStreamErrorKind::JetStream(ref why) if why.error_code() == ErrorCode::STREAM_NOT_FOUND) => {
            match nats.jetstream.create_stream(wanted(nats, prefix)).await {
                Ok(stream) => stream,
                // Another node was quicker, with another identity.
                Err(error) if taken(&error.kind()) => {
                    nats.jetstream.get_stream(&name).await.map_err(|error| unavailable(Box::new(error)))?
                }
                Err(error) => return Err(unavailable(Box::new(error))),
            }
        }
        Err(error) => return Err(unavailable(Box::new(error))),
    };
    let found = &stream.cached_info().config;
    if let Some(problem) = problem(found, prefix) {
        return Err(OpenError::Unfit { stream: name, problem });
    }
    if found.num_replicas < nats.replicas {
        tracing::warn!(stream = %name, replicas = found.num_replicas, wanted = nats.replicas, "the event log has fewer copies than it should");
    }
    let made = stream.cached_info().created.unix_timestamp_nanos().to_string();
    let identity = found.metadata.get(IDENTITY).cloned().unwrap_or(made);
    Ok((stream, identity))
}

fn taken(kind: &CreateStreamErrorKind) -> bool {
    matches!(kind, CreateStreamErrorKind::JetStream(why) if why.error_code() == ErrorCode::STREAM_NAME_EXIST)
}

fn wanted(nats: &Nats, prefix: &str) -> Config {
    Config {
        name: nats.name.to_string(),
        description: Some("Gatebook's event log; every message is one append, for ever".to_owned()),
        subjects: vec![format!("{prefix}>")],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        num_replicas: nats.replicas,
        max_messages: -1,
        max_bytes: -1,
        max_messages_per_subject: -1,
        max_message_size: -1,
        max_consumers: -1,
        duplicate_window: REMEMBERED,
        deny_delete: true,
        deny_purge: true,
        allow_direct: true,
        metadata: HashMap::from([(IDENTITY.to_owned(), Uuid::now_v7().to_string())]),
        ..Config::default()
    }
}

/// What would lose events or let others in, as the rest of a sentence. Older servers drop silently what they do not know, so it
/// is the server's own word that counts.
fn problem(found: &Config, prefix: &str) -> Option<String> {
    let subject = format!("{prefix}>");
    let unlimited = found.max_messages <= 0 && found.max_bytes <= 0 && found.max_messages_per_subject <= 0 && found.max_age.is_zero();
    let problem = if found.subjects != [subject.clone()] {
        format!("has other subjects than {subject}")
    } else if found.storage != StorageType::File {
        "is kept in memory".to_owned()
    } else if found.retention != RetentionPolicy::Limits {
        "removes messages that were read".to_owned()
    } else if !unlimited {
        "removes messages past a limit".to_owned()
    } else if !found.deny_delete || !found.deny_purge {
        "lets messages be deleted or purged".to_owned()
    } else if found.no_ack {
        "confirms nothing".to_owned()
    } else if found.allow_rollup {
        "lets messages replace others".to_owned()
    } else if found.mirror.is_some() || found.sources.is_some() || found.subject_transform.is_some() {
        "takes its messages from elsewhere".to_owned()
    } else {
        return None;
    };
    Some(problem)
}
