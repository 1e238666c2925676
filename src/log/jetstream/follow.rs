//! Following: a consumer that nobody keeps, made anew whenever anything is out of order.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::Message;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use gatebook_events::envelope::{Position, StreamName};

use super::wire;
use crate::log::shared::Entry;
use crate::log::{BrokenChain, LogError, Wrong};

/// How many messages are asked for, and handed on, at a time.
const BATCH: usize = 1024;
/// A consumer that says nothing for twice as long has gone with its server.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How long one request for messages stands.
const EXPIRES: Duration = Duration::from_secs(20);
/// A consumer that nobody asks any more goes by itself.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// Messages were skipped; whoever follows anew gets them.
#[derive(Debug, thiserror::Error)]
#[error("messages after {0} did not arrive")]
struct Skipped(u64);

pub fn follow(stream: Stream, prefix: String, after: Position) -> BoxStream<'static, Result<Vec<Entry>, LogError>> {
    let follower = Follower { stream, prefix, last: after.to_backend(), messages: None, failed: None, ended: false };
    stream::unfold(follower, |mut follower| async move {
        if follower.ended {
            return None;
        }
        let next = follower.next().await;
        follower.ended = next.is_err();
        Some((next, follower))
    })
    .boxed()
}

struct Follower {
    stream: Stream,
    prefix: String,
    /// The last sequence that was handed on.
    last: u64,
    messages: Option<stream::ReadyChunks<pull::Stream>>,
    /// What went wrong after what was handed on last.
    failed: Option<LogError>,
    ended: bool,
}

impl Follower {
    async fn next(&mut self) -> Result<Vec<Entry>, LogError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let messages = match self.messages.take() {
            Some(messages) => messages,
            None => self.consume().await?,
        };
        let arrived = self.messages.insert(messages).next().await.unwrap_or_default();
        let mut entries = Vec::with_capacity(arrived.len());
        for message in arrived {
            match message {
                Ok(message) => match self.entry(&message).await {
                    Ok(entry) => entries.push(entry),
                    Err(error) => self.failed = Some(error),
                },
                Err(error) => self.failed = Some(unavailable(error)),
            }
            if self.failed.is_some() {
                break;
            }
        }
        // What came before is handed on first.
        if entries.is_empty() { Err(self.failed.take().unwrap_or_else(|| unavailable(Skipped(self.last)))) } else { Ok(entries) }
    }

    async fn consume(&self) -> Result<stream::ReadyChunks<pull::Stream>, LogError> {
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.last + 1 },
            ack_policy: AckPolicy::None,
            inactive_threshold: FORGOTTEN,
            num_replicas: 1,
            memory_storage: true,
            ..pull::Config::default()
        };
        let consumer = self.stream.create_consumer(config).await.map_err(unavailable)?;
        let messages = consumer.stream().max_messages_per_batch(BATCH).heartbeat(HEARTBEAT).expires(EXPIRES).messages();
        Ok(messages.await.map_err(unavailable)?.ready_chunks(BATCH))
    }

    /// Sequences have no gaps, because nothing is ever deleted: one that is skipped on the way is asked for, and one that is gone
    /// is a break in the log.
    async fn entry(&mut self, message: &Message) -> Result<Entry, LogError> {
        let sequence = message.info().map_err(LogError::Unavailable)?.stream_sequence;
        let wanted = self.last + 1;
        if sequence != wanted {
            let gone = match self.stream.get_raw_message(wanted).await {
                Err(error) => matches!(error.kind(), RawMessageErrorKind::NoMessageFound),
                Ok(_) => false,
            };
            return Err(if gone { broken(wanted, None, Wrong::Missing) } else { unavailable(Skipped(self.last)) });
        }
        let entry = wire::decode(&self.prefix, &message.subject, sequence, &message.payload).map_err(|error| {
            tracing::error!(sequence, subject = %message.subject, %error, "a message in the event log is none of ours");
            let stream = message.subject.strip_prefix(&self.prefix).map(|name| StreamName(name.into()));
            broken(sequence, stream, Wrong::Unreadable)
        })?;
        self.last = sequence;
        Ok(entry)
    }
}

fn broken(sequence: u64, stream: Option<StreamName>, wrong: Wrong) -> LogError {
    BrokenChain { position: Position::from_backend(sequence), event: None, stream, wrong }.into()
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> LogError {
    LogError::Unavailable(Box::new(error))
}
