//! The shared log in a NATS JetStream stream: one message per append, on a subject per stream of events.
//!
//! The order is the stream's sequence. A message is let in only behind the one that its writer knew (the expected last sequence of
//! its subject), and its commit's id is its message id. Which of the two the server looks at first differs from version to version,
//! so a conflict may be our own earlier try; the mirror compares ids.

use async_nats::jetstream::stream::Stream;
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use gatebook_events::envelope::{Position, Revision};

use super::LogError;
use super::shared::{Commit, Entry, PublishError, Published, SharedLog};
use crate::cluster::nats::Nats;

mod follow;
mod publish;
mod settings;
mod wire;

pub use settings::OpenError;

/// A log in a JetStream stream.
#[derive(Debug, Clone)]
pub struct JetStreamLog {
    nats: Nats,
    stream: Stream,
    /// What stands before a stream's name in its subject.
    prefix: String,
    identity: String,
}

impl JetStreamLog {
    /// Finds the log in the cluster, or makes it. Refuses one whose settings would lose events.
    pub async fn open(nats: Nats) -> Result<Self, OpenError> {
        let prefix = format!("{}.log.", nats.name);
        let (stream, identity) = settings::find_or_make(&nats, &prefix).await?;
        Ok(Self { nats, stream, prefix, identity })
    }
}

#[async_trait]
impl SharedLog for JetStreamLog {
    fn identity(&self) -> &str {
        &self.identity
    }

    async fn publish(&self, commit: &Commit) -> Result<Published, PublishError> {
        publish::publish(&self.nats, &self.prefix, commit).await
    }

    /// The server knows a subject's last message by its place among all.
    fn left_by(&self, _: &Commit, position: Position) -> Revision {
        Revision::from_backend(position.to_backend())
    }

    async fn load(&self, commits: Vec<Commit>, behind: Position) -> Result<Position, PublishError> {
        publish::load(&self.nats, &self.prefix, commits, behind).await
    }

    fn follow(&self, after: Position) -> BoxStream<'static, Result<Vec<Entry>, LogError>> {
        follow::follow(self.stream.clone(), self.prefix.clone(), after)
    }

    async fn head(&self) -> Result<Position, LogError> {
        let info = self.stream.get_info().await.map_err(|error| LogError::Unavailable(Box::new(error)))?;
        Ok(Position::from_backend(info.state.last_sequence))
    }
}
