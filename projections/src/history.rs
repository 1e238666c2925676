//! The history: one row an event, for auditors, exports and live streams. Hashes of secrets are kept out of what is shown.

use chrono::{DateTime, Utc};
use gatebook_events::envelope::{ActorKind, Envelope, EventId, Position};
use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId, TenantId};
use rusqlite::Transaction;

use crate::read_model::{ApplyError, Projection};

mod apply;
mod queries;

pub use apply::Change;

/// One row an event. Ask through `Reader<History>`.
#[derive(Debug, Clone, Copy)]
pub struct History;

/// A client that is described by its own document belongs to no tenant. Its events are shown to the tenants that it is
/// registered with, in `shown_to`, those from before it came to them too. So do those of a client that registered itself where no
/// resource server was meant: they are shown to the tenant that every instance has, until another one takes the client.
///
/// A Gatebook-drawn `client_id` is its key as text; `client_ids` holds only the others.
const SCHEMA: &str = "
CREATE TABLE events (
    position INTEGER PRIMARY KEY NOT NULL,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    tenant TEXT,
    resource_server BLOB,
    client_key BLOB,
    actor_kind TEXT NOT NULL,
    actor_id TEXT,
    actor_via TEXT,
    request_id TEXT,
    causation_id BLOB,
    origin TEXT,
    stream TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX events_of_client ON events (client_key, position) WHERE client_key IS NOT NULL;

CREATE TABLE registered_with (
    client_key BLOB NOT NULL,
    tenant TEXT NOT NULL,
    PRIMARY KEY (client_key, tenant)
) STRICT, WITHOUT ROWID;
CREATE TABLE shown_to (
    tenant TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (tenant, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE client_ids (
    key BLOB PRIMARY KEY NOT NULL,
    client_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What only queries look along.
const INDEXES: &str = "
CREATE INDEX events_by_id ON events (id);
CREATE INDEX events_of_tenant ON events (tenant, position) WHERE tenant IS NOT NULL;
CREATE INDEX events_of_resource_server ON events (resource_server, position) WHERE resource_server IS NOT NULL;
";

impl Projection for History {
    const NAME: &'static str = "history";
    const VERSION: u32 = 3;
    const SCHEMA: &'static str = SCHEMA;
    const INDEXES: &'static str = INDEXES;

    fn handles(_event_name: &str) -> bool {
        true
    }

    type Change = Change;

    fn read(envelope: &Envelope) -> Result<Change, ApplyError> {
        Change::of(envelope)
    }

    fn apply(tx: &Transaction<'_>, envelope: &Envelope, change: &Change) -> Result<(), ApplyError> {
        Ok(apply::apply(tx, envelope, change)?)
    }
}

/// An event as an auditor sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryRow {
    /// Where it stands among all events.
    pub position: Position,
    /// Its id.
    pub id: EventId,
    /// Its stored name.
    pub name: String,
    /// The version of its stored shape.
    pub version: u16,
    /// When the command was accepted.
    pub recorded_at: DateTime<Utc>,
    /// Whose history it belongs to.
    pub tenant: Option<TenantId>,
    /// The resource server that it is about.
    pub resource_server: Option<ResourceServerId>,
    /// The client that it is about.
    pub client_key: Option<ClientKey>,
    /// That client's public identifier.
    pub client_id: Option<ClientId>,
    /// The kind of party that caused it.
    pub actor_kind: ActorKind,
    /// Who that was.
    pub actor_id: Option<String>,
    /// The door that was used.
    pub actor_via: Option<String>,
    /// The `X-Request-Id` of the call.
    pub request_id: Option<String>,
    /// The event that it follows from.
    pub causation_id: Option<EventId>,
    /// The network that the call came from.
    pub origin: Option<String>,
    /// The stream that it stands in.
    pub stream: String,
    /// Its own members as a JSON object, with hashes of secrets kept out.
    pub data: String,
}

/// Which events, and in which order.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// Whose history.
    pub tenant: TenantId,
    /// Only about this resource server and registrations there.
    pub resource_server: Option<ResourceServerId>,
    /// Only about this client and its registrations.
    pub client_id: Option<ClientId>,
    /// Only caused by this party, given by its id or its kind.
    pub actor: Option<String>,
    /// Only with a stored name that is this or begins so.
    pub event_name: Option<String>,
    /// Only recorded then or later.
    pub since: Option<DateTime<Utc>>,
    /// Only recorded before then.
    pub until: Option<DateTime<Utc>>,
    /// Only up to the event at this position.
    pub up_to: Option<Position>,
    /// The position of the last event of the page before.
    pub cursor: Option<Position>,
    /// Whether the last event comes first.
    pub newest_first: bool,
    /// The most rows on a page.
    pub limit: usize,
}

impl HistoryQuery {
    /// The first page of all, newest first.
    pub fn all(tenant: TenantId, limit: usize) -> Self {
        Self {
            tenant,
            resource_server: None,
            client_id: None,
            actor: None,
            event_name: None,
            since: None,
            until: None,
            up_to: None,
            cursor: None,
            newest_first: true,
            limit,
        }
    }
}

/// One page of history.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryPage {
    /// The events in order.
    pub rows: Vec<HistoryRow>,
    /// The position to go on from; none on the last page.
    pub next_cursor: Option<Position>,
}

/// What a tenant is told of its history by whoever passes each event on once.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The events in the order in which they are passed on.
    pub rows: Vec<HistoryRow>,
    /// Where to go on.
    pub position: Position,
}

#[cfg(test)]
mod tests;
