//! How an append is written as events of KurrentDB, and read out of them.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use chrono::DateTime;
use eventstore::{EventData, RecordedEvent};
use gatebook_events::envelope::{CommitId, EventId, Revision, StoredEvent, StreamName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::read::Place;
use crate::event_log::Expected;
use crate::event_log::shared::{Commit, Entry};

/// The shape of metadata that this build writes, and the newest that it reads.
const VERSION: u16 = 1;

/// What an event's metadata says beside its own.
#[derive(Serialize, Deserialize)]
struct About<'a> {
    v: u16,
    commit: Uuid,
    /// Which event of the commit, counted from 0, and of how many.
    index: u32,
    of: u32,
    version: u16,
    /// Microseconds since 1970.
    recorded_at: i64,
    /// JSON inside a string: it is kept as the bytes that it is.
    #[serde(borrow)]
    meta: Cow<'a, str>,
}

/// An event in one of the log's streams that no Gatebook wrote, or a later one.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// It is something else.
    #[error("its metadata is none of ours")]
    NotOurs(#[source] serde_json::Error),
    /// A later build wrote it.
    #[error("its metadata has shape {0}, and this build reads shapes up to {VERSION}: use a newer gatebook")]
    Newer(u16),
    /// It does not follow on the one before, or has a text or time that is none.
    #[error("it is no part of an append")]
    Malformed,
}

/// The events of an append. The name is the event's type and its data the payload, so that others can read them too.
pub fn encode(commit: &Commit) -> Result<Vec<EventData>, serde_json::Error> {
    let of = u32::try_from(commit.events.len()).unwrap_or(u32::MAX);
    let event = |(index, event): (u32, &StoredEvent)| {
        let about = About {
            v: VERSION,
            commit: commit.id.0,
            index,
            of,
            version: event.version,
            recorded_at: event.recorded_at.timestamp_micros(),
            meta: Cow::Borrowed(&event.meta),
        };
        // As the bytes that they are, and called JSON only where they are.
        let data = match serde_json::from_str::<&RawValue>(&event.data) {
            Ok(raw) if raw.get() == &*event.data => EventData::json(&event.name, &raw)?,
            _ => EventData::binary(&event.name, Bytes::copy_from_slice(event.data.as_bytes())),
        };
        data.id(event.id.0).metadata_as_json(&about)
    };
    (0..of).zip(&commit.events).map(event).collect()
}

/// The append that events are, if they are all of it; none while some are missing.
pub fn decode(prefix: &str, events: &[RecordedEvent]) -> Result<Option<Entry>, WireError> {
    let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(None) };
    let newest: About<'_> = serde_json::from_slice(&last.custom_metadata).map_err(WireError::NotOurs)?;
    if newest.v > VERSION {
        return Err(WireError::Newer(newest.v));
    }
    let number = u32::try_from(events.len()).unwrap_or(u32::MAX);
    let in_order = newest.index + 1 == number && number <= newest.of && last.stream_id() == first.stream_id();
    if !in_order || last.revision != first.revision + u64::from(number - 1) {
        return Err(WireError::Malformed);
    }
    if number < newest.of {
        return Ok(None);
    }
    let mut stored = Vec::with_capacity(events.len());
    for event in events {
        let about: About<'_> = serde_json::from_slice(&event.custom_metadata).map_err(WireError::NotOurs)?;
        if about.commit != newest.commit || about.of != newest.of {
            return Err(WireError::Malformed);
        }
        let data = std::str::from_utf8(&event.data).map_err(|_| WireError::Malformed)?;
        stored.push(StoredEvent {
            id: EventId(event.id),
            name: Arc::from(event.event_type.as_str()),
            version: about.version,
            recorded_at: DateTime::from_timestamp_micros(about.recorded_at).ok_or(WireError::Malformed)?,
            meta: Arc::from(&*about.meta),
            data: Arc::from(data),
        });
    }
    let stream = StreamName(first.stream_id().strip_prefix(prefix).ok_or(WireError::Malformed)?.into());
    let expected = first.revision.checked_sub(1).map_or(Expected::Empty, |before| Expected::At(Revision::from_backend(before)));
    let commit = Commit { stream, expected, id: CommitId(newest.commit), events: stored };
    Ok(Some(Entry { position: Place::of(last).position(), revision: Revision::from_backend(last.revision), commit }))
}
