//! The hash chain: each event's hash covers the one before it, so that no past event changes unseen.

use std::fmt;

use gatebook_events::envelope::{Envelope, EventId, Position, StreamName};
use sha2::{Digest, Sha256};

/// What an event and all events before it hash to (SHA-256).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainHash([u8; 32]);

impl ChainHash {
    /// The hash before the first event.
    pub const START: Self = Self([0; 32]);

    /// A hash as a backend stored it; none if it has another length than 32 bytes.
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash once `next` follows.
    ///
    /// SHA-256 over this hash and then position, stream, revision, event id, name, version, `recorded_at` in microseconds,
    /// meta and data. Each is preceded by its length, so that no two different events are the same sequence of bytes.
    /// Numbers are big-endian; lengths have 8 bytes.
    pub fn then(self, next: &Envelope) -> Self {
        let mut hash = Sha256::new();
        // The previous hash has a fixed length and needs no prefix.
        hash.update(self.0);
        each_field(next, |field| {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        });
        Self(hash.finalize().into())
    }
}

/// Every member of an event as bytes, in the order in which they are hashed.
pub(super) fn each_field(event: &Envelope, mut field: impl FnMut(&[u8])) {
    field(&event.position.to_backend().to_be_bytes());
    field(event.stream.as_str().as_bytes());
    field(&event.revision.to_backend().to_be_bytes());
    field(event.event.id.0.as_bytes());
    field(event.event.name.as_bytes());
    field(&event.event.version.to_be_bytes());
    field(&event.event.recorded_at.timestamp_micros().to_be_bytes());
    field(event.event.meta.as_bytes());
    field(event.event.data.as_bytes());
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is stored is not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenChain {
    /// Where the first thing wrong stands, or should stand.
    pub position: Position,
    /// The event there, as far as it can be told.
    pub event: Option<EventId>,
    /// The stream it belongs to, as far as it can be told.
    pub stream: Option<StreamName>,
    /// What is wrong.
    pub wrong: Wrong,
}

/// The ways in which a log can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// The event does not hash to what was stored with it: it, its hash or the hash before it was changed.
    Changed,
    /// There should be an event here and there is none.
    Missing,
    /// The event cannot be read back as an event.
    Unreadable,
    /// The events of the stream are not as many as the log has counted.
    Miscounted,
}

impl std::error::Error for BrokenChain {}

impl BrokenChain {
    /// There is no event at a position.
    pub const fn missing(position: Position) -> Self {
        Self { position, event: None, stream: None, wrong: Wrong::Missing }
    }
}

impl fmt::Display for BrokenChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the event log is broken at position {}", self.position)?;
        if let Some(event) = self.event {
            write!(f, ", event {}", event.0)?;
        }
        if let Some(stream) = &self.stream {
            write!(f, ", stream {stream}")?;
        }
        f.write_str(match self.wrong {
            Wrong::Changed => ": what is stored does not match its hash",
            Wrong::Missing => ": the event is missing",
            Wrong::Unreadable => ": what is stored cannot be read as an event",
            Wrong::Miscounted => ": the stream has not as many events as were written to it",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;
    use gatebook_events::envelope::{Revision, StoredEvent};
    use uuid::Uuid;

    use super::*;

    fn envelope() -> Envelope {
        Envelope {
            position: Position::from_backend(1),
            stream: StreamName(Arc::from("client-1")),
            revision: Revision::from_backend(1),
            event: StoredEvent {
                id: EventId(Uuid::from_u128(1)),
                name: Arc::from("client.registered"),
                version: 1,
                recorded_at: DateTime::from_timestamp_micros(1_700_000_000_000_001).unwrap(),
                meta: Arc::from("{}"),
                data: Arc::from("{\"a\":1}"),
            },
        }
    }

    #[test]
    fn the_hash_of_an_event_never_changes_from_one_build_to_the_next() {
        let hash = ChainHash::START.then(&envelope());
        assert_eq!(hash.to_string(), "0a12bee9bb0d24fb74dd20f89fd8266b30cb33e4bde25f95a329f9951296aea2");
        assert_eq!(ChainHash::from_stored(hash.as_bytes()), Some(hash));
    }

    #[test]
    fn every_member_of_an_event_and_the_event_before_it_count() {
        let hash = |change: &dyn Fn(&mut Envelope)| {
            let mut changed = envelope();
            change(&mut changed);
            ChainHash::START.then(&changed)
        };
        let mut hashes = vec![
            hash(&|_| ()),
            ChainHash::START.then(&envelope()).then(&envelope()),
            hash(&|e| e.position = Position::from_backend(2)),
            hash(&|e| e.stream = StreamName(Arc::from("client-2"))),
            hash(&|e| e.revision = Revision::from_backend(2)),
            hash(&|e| e.event.id = EventId(Uuid::from_u128(2))),
            hash(&|e| e.event.name = Arc::from("client.deleted")),
            hash(&|e| e.event.version = 2),
            hash(&|e| e.event.recorded_at += chrono::TimeDelta::microseconds(1)),
            hash(&|e| e.event.meta = Arc::from("{} ")),
            hash(&|e| e.event.data = Arc::from("{\"a\":2}")),
            // A byte that moves from one member to its neighbour is another event.
            hash(&|e| (e.event.meta, e.event.data) = (Arc::from("{}{"), Arc::from("\"a\":1}"))),
        ];
        let all = hashes.len();
        hashes.sort_by_key(|hash| *hash.as_bytes());
        hashes.dedup();
        assert_eq!(hashes.len(), all);
    }
}
