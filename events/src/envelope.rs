//! What surrounds every event on its way into the log and out of it. The log moves these and never looks inside.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::identity::TenantId;

/// An event the log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Where the event stands among all events.
    pub position: Position,
    /// The stream of one aggregate that the event belongs to.
    pub stream: StreamName,
    /// The stream's revision right after this event.
    pub revision: Revision,
    /// The event itself.
    pub event: StoredEvent,
}

/// An event in the shape in which it is stored: names, numbers and two JSON texts.
///
/// `meta` and `data` are kept as the bytes that were written, because the hash chain commits to those bytes
/// and because most readers skip most events without parsing them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Drawn by whoever caused the event; a retry of the same write carries the same ids.
    pub id: EventId,
    /// The literal stored name, such as `client.registered`.
    pub name: Arc<str>,
    /// The version of the shape of `data`, counted per name from 1.
    pub version: u16,
    /// When the command was accepted: UTC, microseconds.
    pub recorded_at: DateTime<Utc>,
    /// [`Meta`] as JSON.
    pub meta: Arc<str>,
    /// The event's own members as JSON.
    pub data: Arc<str>,
}

/// Who caused an event, in answer to what, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Meta {
    /// The tenant whose history the event belongs to; none for a client that is described by its own document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// Who caused the event.
    pub actor: Actor,
    /// The `X-Request-Id` of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The event that this one follows from, where one event led to another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<EventId>,
    /// The network the call came from, truncated to /24 or /48 unless configured otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// Who caused an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Actor {
    /// The kind of party.
    pub kind: ActorKind,
    /// The administrator's subject, the client's `client_id`, the name of the part of the system, or the resource server whose
    /// policy it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The door that was used, such as `dcr` or `admin-api`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
}

/// The kinds of party that can cause an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ActorKind {
    /// A person or program with an admin JWT.
    Admin,
    /// A client that presented its registration access token (RFC 7592 §2).
    Client,
    /// Open dynamic client registration (RFC 7591 §3).
    Anonymous,
    /// Gatebook itself: set-up, pollers, sweepers.
    System,
    /// The rules of a resource server, with no person asked. Its id is the resource server's, and the door names the rule and the
    /// version of the policy, such as `admission.dcr@3`.
    Policy,
}

impl ActorKind {
    /// The stored and printed name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Client => "client",
            Self::Anonymous => "anonymous",
            Self::System => "system",
            Self::Policy => "policy",
        }
    }
}

/// Identifies one event for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct EventId(pub Uuid);

/// Identifies one append; a retry of the same write carries the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommitId(pub Uuid);

/// The name of a stream. Opaque to the log; [`crate::stream::Stream`] gives it meaning.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName(pub Arc<str>);

impl StreamName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place in the global order of events: ordered, printable, and otherwise opaque.
///
/// Backends count differently; nobody may compute with one. The default is the place before the first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(u64);

impl Position {
    /// The place before the first event.
    pub const START: Self = Self(0);

    /// A backend's own number. Only adapters of the log and checkpoints call this.
    pub const fn from_backend(number: u64) -> Self {
        Self(number)
    }

    /// The number that the backend gave.
    pub const fn to_backend(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Position {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What a stream's last event is known by: handed back to the log and compared, never computed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision(u64);

impl Revision {
    /// A backend's own number. Only adapters of the log call this.
    pub const fn from_backend(number: u64) -> Self {
        Self(number)
    }

    /// The number that the backend gave.
    pub const fn to_backend(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
