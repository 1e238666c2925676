//! How an append is written into a message, and read out of one.

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use chrono::DateTime;
use gatebook_events::envelope::{CommitId, EventId, Position, Revision, StoredEvent, StreamName};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event_log::Expected;
use crate::event_log::shared::{Commit, Entry};

/// The shape of messages that this build writes, and the newest that it reads.
const VERSION: u16 = 1;

/// An append as JSON, so that operators can read it with any tool.
///
/// What the writer expected and the commit's id stand in the message's headers too, for the server; here they are for readers.
#[derive(Serialize, Deserialize)]
struct Message {
    v: u16,
    commit: Uuid,
    /// The sequence of the subject's last message as the writer knew it; absent in a subject's first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
    events: Vec<Event>,
}

/// The two texts are JSON inside a string: they are kept as the bytes that they are.
#[derive(Serialize, Deserialize)]
struct Event {
    id: Uuid,
    name: Arc<str>,
    version: u16,
    /// Microseconds since 1970.
    recorded_at: i64,
    meta: Arc<str>,
    data: Arc<str>,
}

/// A message on a subject of the log that no Gatebook wrote, or a later one.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// It is something else.
    #[error("the message is no append")]
    NotAnAppend(#[source] serde_json::Error),
    /// A later build wrote it.
    #[error("the message has shape {0}, and this build reads shapes up to {VERSION}: use a newer gatebook")]
    Newer(u16),
    /// No stream has such a subject, or an append without events or with a time that is none.
    #[error("the message is no append")]
    Malformed,
}

/// The payload of a message.
pub fn encode(commit: &Commit) -> Result<Bytes, serde_json::Error> {
    let event = |event: &StoredEvent| Event {
        id: event.id.0,
        name: event.name.clone(),
        version: event.version,
        recorded_at: event.recorded_at.timestamp_micros(),
        meta: event.meta.clone(),
        data: event.data.clone(),
    };
    let after = match commit.expected {
        Expected::Empty => None,
        Expected::At(revision) => Some(revision.to_backend()),
    };
    let message = Message { v: VERSION, commit: commit.id.0, after, events: commit.events.iter().map(event).collect() };
    serde_json::to_vec(&message).map(Bytes::from)
}

/// What a message says, with its place.
pub fn decode(prefix: &str, subject: &str, sequence: u64, payload: &[u8]) -> Result<Entry, WireError> {
    let message: Message = serde_json::from_slice(payload).map_err(WireError::NotAnAppend)?;
    if message.v > VERSION {
        return Err(WireError::Newer(message.v));
    }
    let stream = subject.strip_prefix(prefix).and_then(stream).ok_or(WireError::Malformed)?;
    let event = |event: Event| {
        let recorded_at = DateTime::from_timestamp_micros(event.recorded_at)?;
        let Event { id, name, version, meta, data, .. } = event;
        Some(StoredEvent { id: EventId(id), name, version, recorded_at, meta, data })
    };
    let events: Vec<_> = message.events.into_iter().map(event).collect::<Option<_>>().ok_or(WireError::Malformed)?;
    if events.is_empty() {
        return Err(WireError::Malformed);
    }
    let expected = message.after.map_or(Expected::Empty, |after| Expected::At(Revision::from_backend(after)));
    let commit = Commit { stream, expected, id: CommitId(message.commit), events };
    Ok(Entry { position: Position::from_backend(sequence), revision: Revision::from_backend(sequence), commit })
}

/// The subject of a stream: its name, in which everything but letters, digits, hyphens and underscores is written as `=` and two
/// digits, because a subject has parts and wildcards.
pub fn subject(prefix: &str, stream: &StreamName) -> String {
    let mut subject = prefix.to_owned();
    for byte in stream.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            subject.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _always = write!(subject, "={byte:02x}");
        }
    }
    subject
}

fn stream(token: &str) -> Option<StreamName> {
    let mut name = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'=', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                name.push(digit(high)? * 16 + digit(low)?);
                rest = after;
            }
            (b'=' | b'.', _) => return None,
            _ => name.push(*first),
        }
    }
    let name = String::from_utf8(name).ok().filter(|name| !name.is_empty())?;
    Some(StreamName(Arc::from(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit() -> Commit {
        let event = StoredEvent {
            id: EventId(Uuid::from_u128(2)),
            name: Arc::from("client.registered"),
            version: 3,
            recorded_at: DateTime::from_timestamp_micros(1_700_000_000_000_001).unwrap(),
            meta: Arc::from(r#"{"actor":{"kind":"system"}}"#),
            data: Arc::from("{ \"a\" : \"ü\\u0000\"\r\n}"),
        };
        let stream = StreamName(Arc::from("client-1"));
        Commit { stream, expected: Expected::At(Revision::from_backend(7)), id: CommitId(Uuid::from_u128(1)), events: vec![event] }
    }

    #[test]
    fn what_is_written_never_changes_from_one_build_to_the_next() {
        let expected = concat!(
            r#"{"v":1,"commit":"00000000-0000-0000-0000-000000000001","after":7,"events":[{"id":"00000000-0000-0000-0000-000000000002","#,
            r#""name":"client.registered","version":3,"recorded_at":1700000000000001,"meta":"{\"actor\":{\"kind\":\"system\"}}","#,
            r#""data":"{ \"a\" : \"ü\\u0000\"\r\n}"}]}"#
        );
        assert_eq!(encode(&commit()).unwrap(), expected.as_bytes());
        let entry = decode("g.log.", "g.log.client-1", 9, expected.as_bytes()).unwrap();
        assert_eq!((entry.position.to_backend(), entry.revision.to_backend()), (9, 9));
        let Commit { stream, expected, id, events } = commit();
        assert_eq!((entry.commit.stream, entry.commit.expected, entry.commit.id, entry.commit.events), (stream, expected, id, events));
    }

    #[test]
    fn what_no_gatebook_of_this_age_wrote_is_not_taken_for_an_append() {
        let payload = encode(&commit()).unwrap();
        let newer = String::from_utf8(payload.to_vec()).unwrap().replace(r#""v":1"#, r#""v":2"#);
        assert!(matches!(decode("g.log.", "g.log.client-1", 9, newer.as_bytes()), Err(WireError::Newer(2))));
        for (subject, payload) in [
            ("g.log.client-1", &b"hello"[..]),
            ("g.log.client-1", br#"{"v":1,"commit":"00000000-0000-0000-0000-000000000001","events":[]}"#),
            ("other.log.client-1", &payload[..]),
            ("g.log.a.b", &payload[..]),
            ("g.log.", &payload[..]),
            ("g.log.a=4", &payload[..]),
        ] {
            assert!(decode("g.log.", subject, 9, payload).is_err(), "{subject}");
        }
    }

    #[test]
    fn every_name_has_a_subject_of_its_own() {
        for (name, expected) in [
            ("client-1", "client-1"),
            ("a.b", "a=2eb"),
            ("a=2eb", "a=3d2eb"),
            ("*> ü", "=2a=3e=20=c3=bc"),
            ("resource_server-x", "resource_server-x"),
        ] {
            let given = StreamName(Arc::from(name));
            assert_eq!(subject("", &given), expected);
            assert_eq!(stream(expected), Some(given));
        }
    }
}
