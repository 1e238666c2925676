//! The shared log in KurrentDB: a stream for each stream, an event for each event, one append for each commit.
//!
//! The order is that of `$all`, among the streams that begin with the log's name. KurrentDB itself lets an append in only behind the
//! event that its writer knew, and knows an append again by its events' ids. What belongs to one commit stands in the events'
//! metadata, so that a reader never sees half of it.

use std::sync::Arc;

use async_trait::async_trait;
use eventstore::{AppendToStreamOptions, Error, EventData, ReadStreamOptions, StreamPosition, StreamState};
use futures_util::stream::BoxStream;
use gatebook_events::envelope::{Position, Revision};
use tokio::sync::watch;
use uuid::Uuid;

use super::shared::{Commit, Entry, PublishError, Published, SharedLog};
use super::{Expected, LogError};
use crate::cluster::kurrentdb::{ANSWER, Kurrent};

/// How many events are read at a time.
const PAGE: usize = 1024;

mod follow;
mod known;
mod read;
mod wire;

use known::Known;

/// A log in `KurrentDB`.
#[derive(Debug, Clone)]
pub struct KurrentDbLog(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    kurrent: Kurrent,
    /// What stands before a stream's name.
    prefix: String,
    identity: String,
    /// Counts this node's appends, so that each is read without waiting.
    written: watch::Sender<u64>,
    /// How far `$all` was read, by whoever of this node read furthest.
    known: Known,
}

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The cluster does not answer, or does not let us in.
    #[error("KurrentDB does not let the event log {name} be read or made")]
    Unavailable {
        /// Which log.
        name: String,
        /// What it says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// No answer came in time.
#[derive(Debug, thiserror::Error)]
#[error("KurrentDB did not answer in time")]
struct Silent;

impl KurrentDbLog {
    /// Finds the log in the cluster, or makes it.
    pub async fn open(kurrent: Kurrent) -> Result<Self, OpenError> {
        let name = kurrent.name.to_string();
        let identity = identity(&kurrent).await.map_err(|source| OpenError::Unavailable { name: name.clone(), source })?;
        let prefix = format!("{name}.");
        let (end, last) = read::last(&kurrent, &prefix).await.map_err(|error| OpenError::Unavailable { name, source: Box::new(error) })?;
        Ok(Self(Arc::new(Parts { kurrent, prefix, identity, written: watch::Sender::new(0), known: Known::new(end, last) })))
    }
}

#[async_trait]
impl SharedLog for KurrentDbLog {
    fn identity(&self) -> &str {
        &self.0.identity
    }

    async fn publish(&self, commit: &Commit) -> Result<Published, PublishError> {
        let events = wire::encode(commit).map_err(|error| PublishError::Never(error.to_string()))?;
        let state = match commit.expected {
            Expected::Empty => StreamState::NoStream,
            Expected::At(revision) => StreamState::StreamRevision(revision.to_backend()),
        };
        let stream = format!("{}{}", self.0.prefix, commit.stream);
        let position = append(&self.0.kurrent, stream, state, events).await?;
        self.0.written.send_modify(|number| *number += 1);
        // KurrentDB does not say whether it knew the append, so it has to be taken for one that it did.
        Ok(Published { position, duplicate: true })
    }

    /// KurrentDB counts a stream's events from 0.
    fn left_by(&self, commit: &Commit, _: Position) -> Revision {
        let before = match commit.expected {
            Expected::Empty => 0,
            Expected::At(revision) => revision.to_backend() + 1,
        };
        Revision::from_backend((before + commit.events.len() as u64).saturating_sub(1))
    }

    fn follow(&self, after: Position) -> BoxStream<'static, Result<Vec<Entry>, LogError>> {
        follow::follow(self.0.clone(), after)
    }

    async fn head(&self) -> Result<Position, LogError> {
        let end = read::end(&self.0.kurrent).await?;
        // Others write to the cluster too, and it to itself. What they wrote since may be much: whoever waits for this may give up and
        // ask again, and then it goes on from where it was, or from where a follower is by then.
        loop {
            let (upto, last) = self.0.known.all();
            if end <= upto {
                return Ok(last);
            }
            if read::page(&self.0, upto, PAGE).await?.all {
                self.0.known.read(upto, end, None);
            }
        }
    }
}

/// Appends, once, and says where the last event stands.
async fn append(kurrent: &Kurrent, stream: String, state: StreamState, events: Vec<EventData>) -> Result<Position, PublishError> {
    let (client, number) = kurrent.client();
    let options = AppendToStreamOptions::default().stream_state(state).requires_leader(true).deadline(ANSWER);
    // The driver looks for a node for longer than that.
    let answer = tokio::time::timeout(ANSWER * 2, client.append_to_stream(stream, &options, events)).await;
    match answer {
        Ok(Ok(result)) => Ok(Position::from_backend(result.position.commit)),
        Ok(Err(error)) => {
            kurrent.failed(number, Some(&error));
            Err(judged(error))
        }
        Err(_) => {
            kurrent.failed(number, None);
            Err(PublishError::Unknown(Box::new(Silent)))
        }
    }
}

fn judged(error: Error) -> PublishError {
    match error {
        Error::WrongExpectedVersion { .. } => PublishError::Conflict,
        // Nobody was reached, nobody may, or whoever was asked does not decide.
        Error::GrpcConnectionError(_) | Error::AccessDenied | Error::NotLeaderException(_) => PublishError::NotTaken(Box::new(error)),
        Error::ResourceDeleted => PublishError::Never("somebody deleted the stream in KurrentDB".to_owned()),
        Error::Grpc { code, ref message } if i32::from(code) == INVALID_ARGUMENT => PublishError::Never(message.clone()),
        _ => PublishError::Unknown(Box::new(error)),
    }
}

/// What is too large is answered with this status (gRPC, `INVALID_ARGUMENT`).
const INVALID_ARGUMENT: i32 = 3;

/// What tells this log from one that somebody made anew under the same name: drawn by whoever made it, beside its streams.
async fn identity(kurrent: &Kurrent) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let stream = format!("{}:identity", kurrent.name);
    if let Some(found) = first(kurrent, &stream).await? {
        return Ok(found);
    }
    let drawn = EventData::json("gatebook.log-made", &serde_json::json!({}))?.id(Uuid::now_v7());
    match append(kurrent, stream.clone(), StreamState::NoStream, vec![drawn]).await {
        // Another node may have been quicker.
        Ok(_) | Err(PublishError::Conflict) => first(kurrent, &stream).await?.ok_or_else(|| "it is not there once it was made".into()),
        Err(error) => Err(Box::new(error)),
    }
}

async fn first(kurrent: &Kurrent, stream: &str) -> Result<Option<String>, Box<dyn std::error::Error + Send + Sync>> {
    let (client, number) = kurrent.client();
    let options = ReadStreamOptions::default().position(StreamPosition::Start).max_count(1).requires_leader(true).deadline(ANSWER);
    let read = async { client.read_stream(stream, &options).await?.next().await };
    match tokio::time::timeout(ANSWER * 2, read).await {
        Ok(Ok(found)) => Ok(found.map(|event| event.get_original_event().id.to_string())),
        Ok(Err(Error::ResourceNotFound)) => Ok(None),
        Ok(Err(error)) => {
            kurrent.failed(number, Some(&error));
            Err(Box::new(error))
        }
        Err(_) => {
            kurrent.failed(number, None);
            Err(Box::new(Silent))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_landed_is_told_from_what_has_not() {
        let grpc = |code: i32| Error::Grpc { code: code.into(), message: "no".to_owned() };
        assert!(matches!(judged(grpc(3)), PublishError::Never(_)));
        for unknown in [grpc(14), grpc(2), Error::DeadlineExceeded, Error::ConnectionClosed, Error::ServerError("gone".to_owned())] {
            assert!(matches!(judged(unknown), PublishError::Unknown(_)));
        }
        assert!(matches!(judged(Error::AccessDenied), PublishError::NotTaken(_)));
        assert!(matches!(judged(Error::ResourceDeleted), PublishError::Never(_)));
    }
}
