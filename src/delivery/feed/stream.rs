//! The JetStream stream that the feed is in: found or made, and published to.

use std::collections::HashMap;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::context::{GetStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RawMessageErrorKind, RetentionPolicy, StorageType, Stream};
use async_nats::jetstream::{Error, ErrorCode, context::PublishError};
use gatebook_events::envelope::Position;
use gatebook_projections::history::HistoryRow;
use uuid::Uuid;

use super::subject::subject;
use crate::cluster::nats::Nats;
use crate::delivery::cloud_event;

/// Under which name the stream says whose events it holds.
const INSTANCE: &str = "gatebook-instance";
/// Where an event stands in the log.
const POSITION: &str = "Gatebook-Position";
/// Which node published it.
const NODE: &str = "Gatebook-Node";
/// For how long the server knows event ids, so that an event that is published again is no second message.
const REMEMBERED: std::time::Duration = std::time::Duration::from_secs(600);
/// An answer to a message that its expectation is wrong, also said of messages that are on their way to the replicas.
const WRONG_LAST_SEQUENCE_IN_FLIGHT: ErrorCode = ErrorCode(10164);

/// The stream.
pub struct Target {
    nats: Nats,
    stream: Stream,
    identity: String,
}

/// Why there is no stream to publish to.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The cluster does not answer, or has no room.
    #[error("JetStream does not find or make the stream {stream}")]
    Unavailable {
        /// Which stream.
        stream: String,
        /// What it says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The stream is not what a feed needs.
    #[error("the JetStream stream {stream} {problem}")]
    Unfit {
        /// Which stream.
        stream: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Why a message is not in the stream, or may not be.
#[derive(Debug, thiserror::Error)]
pub enum PublishFailure {
    /// The stream's last message is another one.
    #[error("another node published")]
    Overtaken,
    /// The event with this index is in the stream already, and so no more of them were let in.
    #[error("it was published before")]
    Known(usize),
    /// Anything else.
    #[error("JetStream did not confirm it")]
    Unconfirmed(#[source] PublishError),
    /// It cannot be written.
    #[error("it cannot be rendered")]
    Event(#[from] serde_json::Error),
}

/// What the stream ends with.
pub enum Last {
    /// Nothing was ever published.
    Empty,
    /// What was published last is not there any more.
    Gone,
    /// A message that is not of the feed.
    Foreign,
    /// An event.
    Ours {
        /// Where it stands in the log.
        position: Position,
        /// Its id.
        event: String,
    },
}

impl Target {
    /// Finds the stream, or makes it. Refuses one that holds another instance's events.
    pub async fn find_or_make(nats: Nats, instance: &str) -> Result<Self, TargetError> {
        let name = format!("{}-events", nats.name);
        let unavailable = |source: Box<dyn std::error::Error + Send + Sync>| TargetError::Unavailable { stream: name.clone(), source };
        let stream = match nats.jetstream.get_stream(&name).await {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), GetStreamErrorKind::JetStream(ref why) if why.error_code() == ErrorCode::STREAM_NOT_FOUND) =>
            {
                match nats.jetstream.create_stream(wanted(&nats, &name, instance)).await {
                    Ok(stream) => stream,
                    // Another node was quicker.
                    Err(error) => nats.jetstream.get_stream(&name).await.map_err(|_| unavailable(Box::new(error)))?,
                }
            }
            Err(error) => return Err(unavailable(Box::new(error))),
        };
        let (found, subjects) = (&stream.cached_info().config, subjects(&nats.name));
        let problem = if !found.subjects.contains(&subjects) {
            Some(format!("does not take {subjects}"))
        } else if found.no_ack {
            Some("confirms nothing".to_owned())
        } else if found.metadata.get(INSTANCE).is_some_and(|other| other != instance) {
            Some("holds the events of another instance: give one of them another ?name=".to_owned())
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(TargetError::Unfit { stream: name, problem });
        }
        let identity = format!("{name} {}", stream.cached_info().created.unix_timestamp_nanos());
        Ok(Self { nats, stream, identity })
    }

    /// Which stream it is: another one once somebody made it anew.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The sequence of the last message, and what it is. The leader is asked.
    pub async fn last(&self) -> Result<(u64, Last), TargetError> {
        let unavailable = |source: Box<dyn std::error::Error + Send + Sync>| {
            let stream = self.stream.cached_info().config.name.clone();
            TargetError::Unavailable { stream, source }
        };
        let info = self.stream.get_info().await.map_err(|error| unavailable(Box::new(error)))?;
        let sequence = info.state.last_sequence;
        if sequence == 0 {
            return Ok((0, Last::Empty));
        }
        let message = match self.stream.get_raw_message(sequence).await {
            Ok(message) => message,
            Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => return Ok((sequence, Last::Gone)),
            Err(error) => return Err(unavailable(Box::new(error))),
        };
        let text = |name: &str| message.headers.get(name).map(async_nats::HeaderValue::as_str);
        let last = match (text(POSITION).and_then(|text| text.parse().ok()), text(NATS_MESSAGE_ID.as_ref())) {
            (Some(position), Some(event)) => Last::Ours { position, event: event.to_owned() },
            _ => Last::Foreign,
        };
        Ok((sequence, last))
    }

    /// Publishes events behind the message with this sequence, all in order, and says which sequence the last one has.
    pub async fn publish(&self, rows: &[HistoryRow], behind: u64, (source, node): (&str, Uuid)) -> Result<u64, PublishFailure> {
        let mut confirmations = Vec::with_capacity(rows.len());
        let mut last = behind;
        for row in rows {
            let mut headers = HeaderMap::new();
            headers.insert("Content-Type", cloud_event::MEDIA_TYPE);
            headers.insert(POSITION, row.position.to_string());
            headers.insert(NODE, node.to_string());
            // `Nats-Expected-Last-Msg-Id` is never sent: a wrong one stops a replicated stream for good (seen with 2.15.1).
            let message = PublishMessage::build().headers(headers).message_id(row.id.0.to_string()).expected_last_sequence(last);
            let message = message.payload(cloud_event::render(row, source)?.into());
            confirmations.push(self.nats.jetstream.send_publish(subject(&self.nats.name, row), message).await.map_err(judged)?);
            last += 1;
        }
        for (index, confirmation) in confirmations.into_iter().enumerate() {
            if confirmation.await.map_err(judged)?.duplicate {
                return Err(PublishFailure::Known(index));
            }
        }
        Ok(last)
    }
}

fn judged(error: PublishError) -> PublishFailure {
    let code = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<Error>()).map(Error::error_code);
    if error.kind() == PublishErrorKind::WrongLastSequence || code == Some(WRONG_LAST_SEQUENCE_IN_FLIGHT) {
        PublishFailure::Overtaken
    } else {
        PublishFailure::Unconfirmed(error)
    }
}

fn subjects(name: &str) -> String {
    format!("{name}.events.>")
}

/// Without limits, like the log: who wants less says so with the tools of NATS, and nobody takes it back.
fn wanted(nats: &Nats, name: &str, instance: &str) -> Config {
    Config {
        name: name.to_owned(),
        description: Some("Gatebook's feed; every message is one event".to_owned()),
        subjects: vec![subjects(&nats.name)],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::Old,
        num_replicas: nats.replicas,
        duplicate_window: REMEMBERED,
        allow_direct: true,
        metadata: HashMap::from([(INSTANCE.to_owned(), instance.to_owned())]),
        ..Config::default()
    }
}
