//! Following: a consumer that nobody keeps, made anew whenever anything is out of order. Making one takes a leader of the whole
//! cluster, so until there is one, messages are asked for one by one: any replica answers that.

use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt};
use gatebook_events::envelope::{Position, StreamName};

use super::wire;
use crate::event_log::shared::Entry;
use crate::event_log::{BrokenChain, LogError, Wrong};

/// How many messages are asked for, and handed on, at a time.
const BATCH: usize = 1024;
/// A consumer that says nothing for twice as long has gone with its server.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How long one request for messages stands.
const EXPIRES: Duration = Duration::from_secs(20);
/// A consumer that nobody asks any more goes by itself.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// How long a consumer may take before messages are asked for one by one, and the pause where there is none yet.
const MEANWHILE: Duration = Duration::from_millis(50);

/// Messages were skipped; whoever follows anew gets them.
#[derive(Debug, thiserror::Error)]
#[error("messages after {0} did not arrive")]
struct Skipped(u64);

pub fn follow(stream: Stream, prefix: String, after: Position) -> BoxStream<'static, Result<Vec<Entry>, LogError>> {
    let follower =
        Follower { stream, prefix, last: after.to_backend(), messages: None, coming: None, one_by_one: false, failed: None, ended: false };
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

type Messages = stream::ReadyChunks<pull::Stream>;

struct Follower {
    stream: Stream,
    prefix: String,
    /// The last sequence that was handed on.
    last: u64,
    messages: Option<Messages>,
    /// The consumer that is being made.
    coming: Option<BoxFuture<'static, Result<Messages, LogError>>>,
    /// Whether the last message came by itself, and so the next one may be there.
    one_by_one: bool,
    /// What went wrong after what was handed on last.
    failed: Option<LogError>,
    ended: bool,
}

impl Follower {
    async fn next(&mut self) -> Result<Vec<Entry>, LogError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.messages.is_none() {
            let coming = self.coming.get_or_insert_with(|| consume(self.stream.clone(), self.last).boxed());
            let made = tokio::select! {
                biased;
                made = coming => made,
                message = one(&self.stream, self.last + 1, self.one_by_one) => {
                    self.one_by_one = true;
                    return Ok(vec![self.entry(message.sequence, &message.subject, &message.payload)?]);
                }
            };
            (self.coming, self.one_by_one) = (None, false);
            self.messages = Some(made?);
        }
        let Some(messages) = &mut self.messages else { return Err(unavailable(Skipped(self.last))) };
        let Some(arrived) = messages.next().await else { return Err(unavailable(Skipped(self.last))) };
        let mut entries = Vec::with_capacity(arrived.len());
        for message in arrived {
            match message {
                Ok(message) => match self.received(&message).await {
                    Ok(entry) => entries.extend(entry),
                    Err(error) => self.failed = Some(error),
                },
                Err(error) => self.failed = Some(unavailable(error)),
            }
            if self.failed.is_some() {
                break;
            }
        }
        match self.failed.take() {
            Some(error) if entries.is_empty() => Err(error),
            // What came before is handed on first.
            failed => {
                self.failed = failed;
                Ok(entries)
            }
        }
    }

    /// Sequences have no gaps, because nothing is ever deleted: one that is skipped on the way is asked for, and one that is gone
    /// is a break in the log.
    ///
    /// None for one that was handed on already, while the consumer was being made.
    async fn received(&mut self, message: &Message) -> Result<Option<Entry>, LogError> {
        let sequence = message.info().map_err(LogError::Unavailable)?.stream_sequence;
        let wanted = self.last + 1;
        if sequence < wanted {
            return Ok(None);
        }
        if sequence > wanted {
            let gone = match self.stream.get_raw_message(wanted).await {
                Err(error) => matches!(error.kind(), RawMessageErrorKind::NoMessageFound),
                Ok(_) => false,
            };
            return Err(if gone { broken(wanted, None, Wrong::Missing) } else { unavailable(Skipped(self.last)) });
        }
        self.entry(sequence, &message.subject, &message.payload).map(Some)
    }

    fn entry(&mut self, sequence: u64, subject: &str, payload: &[u8]) -> Result<Entry, LogError> {
        let entry = wire::decode(&self.prefix, subject, sequence, payload).map_err(|error| {
            tracing::error!(sequence, subject, %error, "a message in the event log is none of ours");
            let stream = subject.strip_prefix(&self.prefix).map(|name| StreamName(name.into()));
            broken(sequence, stream, Wrong::Unreadable)
        })?;
        self.last = sequence;
        Ok(entry)
    }
}

async fn consume(stream: Stream, last: u64) -> Result<Messages, LogError> {
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: last + 1 },
        ack_policy: AckPolicy::None,
        inactive_threshold: FORGOTTEN,
        num_replicas: 1,
        memory_storage: true,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.map_err(unavailable)?;
    let messages = consumer.stream().max_messages_per_batch(BATCH).heartbeat(HEARTBEAT).expires(EXPIRES).messages();
    Ok(messages.await.map_err(unavailable)?.ready_chunks(BATCH))
}

/// A message, once some replica has it.
async fn one(stream: &Stream, sequence: u64, at_once: bool) -> StreamMessage {
    let mut at_once = at_once;
    loop {
        if !std::mem::take(&mut at_once) {
            tokio::time::sleep(MEANWHILE).await;
        }
        if let Ok(message) = stream.direct_get(sequence).await {
            return message;
        }
    }
}

fn broken(sequence: u64, stream: Option<StreamName>, wrong: Wrong) -> LogError {
    BrokenChain { position: Position::from_backend(sequence), event: None, stream, wrong }.into()
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> LogError {
    LogError::Unavailable(Box::new(error))
}
