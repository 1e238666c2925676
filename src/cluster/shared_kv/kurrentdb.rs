//! Notes in KurrentDB: a stream for each, of which only the newest event counts and is kept.
//!
//! No stream's name begins as those of the log do, so that nobody takes a note for an event.

use async_trait::async_trait;
use bytes::Bytes;
use eventstore::{AppendToStreamOptions, Error, EventData, ReadStreamOptions, StreamMetadataBuilder, StreamPosition, StreamState};
use gatebook_events::envelope::Revision;
use uuid::Uuid;

use super::{NotWritten, Note, Notes, Unavailable};
use crate::cluster::kurrentdb::{ANSWER, Kurrent, Unanswered};

/// What the events are called.
const WRITTEN: &str = "gatebook.note-written";

/// Notes in `KurrentDB`.
#[derive(Debug, Clone)]
pub struct KurrentDbNotes(Kurrent);

impl KurrentDbNotes {
    /// Notes beside the log that this connection is for.
    pub fn new(kurrent: Kurrent) -> Self {
        Self(kurrent)
    }

    fn stream(&self, key: &str) -> String {
        format!("{}:note-{key}", self.0.name)
    }

    async fn append(&self, stream: String, state: StreamState, event: EventData) -> Result<Revision, Unanswered> {
        let options = AppendToStreamOptions::default().stream_state(state).requires_leader(true).deadline(ANSWER);
        let written = self.0.ask(async move |client| client.append_to_stream(stream, &options, event).await).await?;
        Ok(Revision::from_backend(written.next_expected_version))
    }

    /// Has KurrentDB keep one event of a stream, before there is any.
    async fn keep_one(&self, stream: &str) -> Result<(), Unavailable> {
        let metadata = StreamMetadataBuilder::new().max_count(1).build();
        let event = EventData::json("$metadata", &metadata).map_err(|error| Unavailable(Box::new(error)))?;
        match self.append(format!("$${stream}"), StreamState::NoStream, event).await {
            // Somebody has said so before.
            Ok(_) | Err(Unanswered::Refused(Error::WrongExpectedVersion { .. })) => Ok(()),
            Err(Unanswered::Refused(Error::AccessDenied)) => {
                tracing::warn!(stream, "KurrentDB does not let us say that one event of this stream is enough, so it keeps all of them");
                Ok(())
            }
            Err(error) => Err(Unavailable(Box::new(error))),
        }
    }
}

#[async_trait]
impl Notes for KurrentDbNotes {
    async fn read(&self, key: &str) -> Result<Option<Note>, Unavailable> {
        let stream = self.stream(key);
        let options = ReadStreamOptions::default().position(StreamPosition::End).max_count(1).requires_leader(true).deadline(ANSWER);
        match self.0.ask(async move |client| client.read_stream(stream, &options).await?.next().await).await {
            Ok(Some(found)) => {
                let event = found.get_original_event();
                Ok(Some(Note { text: event.data.clone(), revision: Revision::from_backend(event.revision) }))
            }
            Ok(None) | Err(Unanswered::Refused(Error::ResourceNotFound)) => Ok(None),
            Err(error) => Err(Unavailable(Box::new(error))),
        }
    }

    async fn write(&self, key: &str, text: Bytes, known: Option<Revision>) -> Result<Revision, NotWritten> {
        let stream = self.stream(key);
        let state = if let Some(known) = known {
            StreamState::StreamRevision(known.to_backend())
        } else {
            self.keep_one(&stream).await?;
            StreamState::NoStream
        };
        let event = EventData::binary(WRITTEN, text).id(Uuid::now_v7());
        self.append(stream, state, event).await.map_err(|error| match error {
            Unanswered::Refused(Error::WrongExpectedVersion { .. }) => NotWritten::Conflict,
            error => Unavailable(Box::new(error)).into(),
        })
    }
}
