//! The approvals: what waits for an administrator, oldest first. Registrations that asked, and staged changes.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use gatebook_events::admission::RegistrationType;
use gatebook_events::admission::Status;
use gatebook_events::answer_version::AnswerVersion;
use gatebook_events::client::ClientEvent;
use gatebook_events::codec::{self, AnyEvent};
use gatebook_events::envelope::{Envelope, Meta};
use gatebook_events::identity::{ChangeId, ClientId, ClientKey, ResourceServerId, TenantId};
use gatebook_events::redirect::RedirectUris;
use gatebook_events::registration::{AdmittedMetadata, ManifestRef, RegistrationEvent, StagedChange};
use gatebook_events::resource_server::ResourceServerEvent;
use gatebook_events::stream::Stream;
use rusqlite::{Connection, Row, Transaction, named_params};
use uuid::Uuid;

use crate::column::{At, Id, Word};
use crate::cursor::{Cursor, InvalidCursor};
use crate::page::{self, Room};
use crate::read_model::{ApplyError, Projection, QueryError, Reader};
use crate::registration::{self, Step};

mod apply;

/// What waits for an administrator. Ask through `Reader<Approvals>`.
#[derive(Debug, Clone, Copy)]
pub struct Approvals;

/// `entered` has the texts of documents that administrators entered, for the tenant that alone sees them, until the host answers and
/// the client's `document` is a version; `events` counts those that no other tenant is told of.
///
/// `since` is set while a registration waits for anything, so the index holds only what is shown. What a decision may bring
/// back (a revocation that is undone) stays in the rows.
const SCHEMA: &str = "
CREATE TABLE clients (
    key BLOB PRIMARY KEY NOT NULL,
    client_id TEXT NOT NULL,
    name TEXT,
    life TEXT NOT NULL,
    events INTEGER NOT NULL,
    document INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE entered (
    client_key BLOB NOT NULL,
    tenant TEXT NOT NULL,
    name TEXT,
    document INTEGER NOT NULL,
    events INTEGER NOT NULL,
    PRIMARY KEY (client_key, tenant)
) STRICT, WITHOUT ROWID;

CREATE TABLE resource_servers (
    id BLOB PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    life TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE registrations (
    client_key BLOB NOT NULL,
    resource_server BLOB NOT NULL,
    tenant TEXT NOT NULL,
    registration_type TEXT NOT NULL,
    status TEXT NOT NULL,
    before_revocation TEXT,
    denied_until INTEGER,
    redirect_uris TEXT NOT NULL,
    staged TEXT,
    admitted TEXT,
    events INTEGER NOT NULL,
    asked_at INTEGER NOT NULL,
    asked_via TEXT,
    staged_at INTEGER,
    since INTEGER,
    serves_at INTEGER,
    PRIMARY KEY (client_key, resource_server)
) STRICT, WITHOUT ROWID;
CREATE INDEX waiting ON registrations (tenant, since, client_key, resource_server) WHERE since IS NOT NULL;
CREATE INDEX soaking ON registrations (serves_at, client_key, resource_server) WHERE serves_at IS NOT NULL AND since IS NOT NULL;
";

impl Projection for Approvals {
    const NAME: &'static str = "approvals";
    const VERSION: u32 = 4;
    const SCHEMA: &'static str = SCHEMA;

    /// Names are listed that change nothing here, so that a name nobody knows yet is looked at, and stops the projection. All events
    /// of clients count, because a decision names the state that it is about by how many there were.
    fn handles(event_name: &str) -> bool {
        !matches!(
            event_name,
            "resource_server.modes_changed"
                | "resource_server.policy_changed"
                | "initial_access_token.issued"
                | "initial_access_token.used"
                | "initial_access_token.revoked"
                | "service_token.created"
                | "service_token.revoked"
                | "webhook.created"
                | "webhook.edited"
                | "webhook.secret_rotated"
                | "webhook.disabled"
                | "webhook.enabled"
                | "webhook.event_dropped"
                | "webhook.deleted"
                | "resource_server.cap_neared"
                | "resource_server.cap_eased"
                | "resource_server.family_suspended"
                | "resource_server.family_reinstated"
                | "reservation.taken"
                | "projection.event_skipped"
                | "projection.skip_taken_back"
        )
    }

    type Change = Change;

    fn read(envelope: &Envelope) -> Result<Change, ApplyError> {
        Ok(match codec::decode(envelope)? {
            (Stream::Client(key), AnyEvent::Client(event)) => Change::Client(key, Box::new(event)),
            (Stream::Registration(server, key), AnyEvent::Registration(event)) => {
                let asks = matches!(Step::of(&event), Step::Asked);
                let via = if asks { serde_json::from_str::<Meta>(&envelope.event.meta).map_err(ApplyError::Meta)?.actor.via } else { None };
                Change::Registration(server, key, Box::new((event, via)))
            }
            (Stream::ResourceServer(id), AnyEvent::ResourceServer(event)) => Change::ResourceServer(id, Box::new(event)),
            // A token that is used leaves a client, and a client that was named for all instances shows once it is registered. The
            // codec reads an event by the kind of its stream, so no other pair comes out of it.
            (
                Stream::Client(_)
                | Stream::Registration(..)
                | Stream::ResourceServer(_)
                | Stream::InitialAccessToken(..)
                | Stream::Reservation(..)
                | Stream::Projection(_)
                | Stream::ServiceToken(_)
                | Stream::Webhook(_),
                AnyEvent::Client(_)
                | AnyEvent::Registration(_)
                | AnyEvent::ResourceServer(_)
                | AnyEvent::InitialAccessToken(_)
                | AnyEvent::Reservation(_)
                | AnyEvent::Projection(_)
                | AnyEvent::ServiceToken(_)
                | AnyEvent::Webhook(_),
            ) => Change::Nothing,
        })
    }

    fn apply(tx: &Transaction<'_>, envelope: &Envelope, change: &Change) -> Result<(), ApplyError> {
        match change {
            Change::Nothing => {}
            Change::Client(key, event) => apply::client(tx, *key, event)?,
            Change::Registration(server, key, step) => apply::registration(tx, (*server, *key), envelope, step)?,
            Change::ResourceServer(id, event) => apply::resource_server(tx, *id, event)?,
        }
        Ok(())
    }

    fn apply_both(
        tx: &Transaction<'_>,
        (first, asked): (&Envelope, &Change),
        (_, decided): (&Envelope, &Change),
    ) -> Result<bool, ApplyError> {
        let (Change::Registration(server, key, asked), Change::Registration(_, _, decided)) = (asked, decided) else { return Ok(false) };
        match (&**asked, &**decided) {
            ((RegistrationEvent::Requested(requested), via), (RegistrationEvent::Approved(approved), _)) => {
                Ok(apply::admitted_at_once(tx, (*server, *key), first, (requested, via.as_deref()), approved)?)
            }
            _ => Ok(false),
        }
    }
}

/// What an event changes here.
#[derive(Debug)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// A client.
    Client(ClientKey, Box<ClientEvent>),
    /// A registration, and by which door, if it was asked for.
    Registration(ResourceServerId, ClientKey, Box<(RegistrationEvent, Option<String>)>),
    /// A resource server.
    ResourceServer(ResourceServerId, Box<ResourceServerEvent>),
}

/// Something that waits for an administrator.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingRow {
    /// What it is.
    pub wish: Wish,
    /// At which resource server.
    pub resource_server: ResourceServerId,
    /// That resource server's name.
    pub resource_server_name: String,
    /// Of which client.
    pub client_key: ClientKey,
    /// Its public identifier.
    pub client_id: ClientId,
    /// Its name for people to read.
    pub client_name: Option<String>,
    /// How it came.
    pub registration_type: RegistrationType,
    /// The redirect URIs that serve, or would if the registration were approved.
    pub redirect_uris: RedirectUris,
    /// What else serves of what it says, or would; nobody wrote it down of what older builds left waiting.
    pub metadata: Option<Arc<AdmittedMetadata>>,
    /// Which state of the client this is; a decision about it names it.
    pub version: AnswerVersion,
    /// Since when it waits.
    pub since: DateTime<Utc>,
    /// Where the wish came from: the origin of a staged change, or the door through which the registration was asked for.
    pub origin: Option<String>,
}

impl WaitingRow {
    /// The redirect URIs that serve once it is approved.
    pub fn as_approved(&self) -> RedirectUris {
        match &self.wish {
            Wish::Registration | Wish::Revival => self.redirect_uris.clone(),
            Wish::Redirects { added, .. } => self.redirect_uris.with(added),
        }
    }

    /// The name that it bears once it is approved.
    pub fn name_as_approved(&self) -> Option<&str> {
        match &self.wish {
            Wish::Redirects { metadata: Some(metadata), .. } => metadata.client_name.as_deref(),
            Wish::Registration | Wish::Revival | Wish::Redirects { .. } => self.client_name.as_deref(),
        }
    }
}

/// What waits.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// A client asks to be let in.
    Registration,
    /// A client that was dormant is used again.
    Revival,
    /// A client that is registered asks for other redirect URIs or other metadata.
    Redirects {
        /// Names this very change.
        change_id: ChangeId,
        /// What would be added.
        added: RedirectUris,
        /// What the same wish already took away.
        removed: RedirectUris,
        /// All redirect URIs that would serve.
        result: RedirectUris,
        /// What else would serve of what it says; as it is, if absent.
        metadata: Option<Arc<AdmittedMetadata>>,
        /// The version of the client's document that wishes it, if it is one.
        manifest: Option<ManifestRef>,
        /// When it serves if nobody objects.
        serves_at: Option<DateTime<Utc>>,
    },
}

/// One page of what waits.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingPage {
    /// Oldest first.
    pub rows: Vec<WaitingRow>,
    /// Where the next page begins; none on the last page.
    pub next_cursor: Option<Cursor>,
    /// How much waits on all pages together.
    pub total: u64,
}

/// The client has to have come too: its registration may be known before it.
const WAITING: &str = "FROM registrations INDEXED BY waiting JOIN clients ON clients.key = registrations.client_key \
    LEFT JOIN entered ON entered.client_key = clients.key AND entered.tenant = registrations.tenant \
    WHERE registrations.tenant = :tenant AND since IS NOT NULL";

impl Reader<Approvals> {
    /// What waits for a tenant, oldest first.
    pub fn waiting(&self, tenant: &TenantId, cursor: Option<&Cursor>, limit: usize) -> Result<WaitingPage, QueryError> {
        let after = cursor.map(parse).transpose()?;
        self.with(|connection| {
            let total = total(connection, tenant)?;
            let (mut rows, mut more) = rows(connection, tenant, after, limit.saturating_add(1))?;
            if rows.len() > limit {
                rows.truncate(limit);
                more = true;
            }
            let next_cursor = if more { rows.last().map(cursor_after) } else { None };
            Ok(WaitingPage { rows, next_cursor, total })
        })
    }

    /// The changes of redirect URIs that serve by now if nobody objected: where, and whose. The one that is due longest first.
    pub fn ripe(&self, at: DateTime<Utc>, limit: usize) -> Result<Vec<(ResourceServerId, ClientKey)>, QueryError> {
        const SELECT: &str = "SELECT resource_server, client_key FROM registrations INDEXED BY soaking \
            WHERE serves_at <= ?1 AND since IS NOT NULL ORDER BY serves_at LIMIT ?2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.with(|connection| {
            let mut statement = connection.prepare_cached(SELECT)?;
            let rows = statement
                .query_map((At(at), limit), |row| Ok((ResourceServerId(row.get::<_, Id>(0)?.0), ClientKey(row.get::<_, Id>(1)?.0))))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// How much waits for a tenant.
    pub fn waiting_total(&self, tenant: &TenantId) -> Result<u64, QueryError> {
        self.with(|connection| Ok(total(connection, tenant)?))
    }
}

fn total(connection: &Connection, tenant: &TenantId) -> rusqlite::Result<u64> {
    let sql = format!("SELECT count(*) {WAITING}");
    let number: i64 = connection.prepare_cached(&sql)?.query_row(named_params! { ":tenant": tenant.as_str() }, |row| row.get(0))?;
    Ok(number.cast_unsigned())
}

type After = (i64, Id, Id);

/// As many rows as fit into a page, and whether there are more.
fn rows(connection: &Connection, tenant: &TenantId, after: Option<After>, limit: usize) -> rusqlite::Result<(Vec<WaitingRow>, bool)> {
    let sql = format!(
        "SELECT registrations.tenant, registration_type, status, before_revocation, denied_until, redirect_uris, staged, admitted, \
         registrations.client_key, resource_server, \
         since, asked_via, client_id, \
         CASE WHEN clients.document = 0 AND entered.tenant IS NOT NULL THEN entered.name ELSE clients.name END, \
         clients.events - (SELECT coalesce(sum(others.events), 0) FROM entered AS others \
         WHERE others.client_key = clients.key AND others.tenant <> registrations.tenant), registrations.events, \
         CASE WHEN clients.document = 0 THEN coalesce(entered.document, 0) ELSE clients.document END, coalesce((SELECT name FROM resource_servers WHERE id = resource_server), '') {WAITING} \
         AND (since, registrations.client_key, resource_server) > (:since, :client, :server) \
         ORDER BY since, registrations.client_key, resource_server LIMIT :limit"
    );
    // Before every row: no time is earlier.
    let (since, client, server) = after.unwrap_or((i64::MIN, Id(Uuid::nil()), Id(Uuid::nil())));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(
        named_params! { ":tenant": tenant.as_str(), ":since": since, ":client": client, ":server": server, ":limit": limit },
        waiting_row,
    )?;
    let (mut found, mut room) = (Vec::new(), Room::default());
    for row in rows {
        let row = row?;
        if !room.takes(text_of(&row)) {
            return Ok((found, true));
        }
        found.push(row);
    }
    Ok((found, false))
}

/// How much text there is in a row.
fn text_of(row: &WaitingRow) -> usize {
    let asked = match &row.wish {
        Wish::Redirects { added, removed, .. } => page::length(added) + page::length(removed),
        Wish::Registration | Wish::Revival => 0,
    };
    page::length(&row.redirect_uris) + asked
}

fn waiting_row(row: &Row<'_>) -> rusqlite::Result<WaitingRow> {
    let state = registration::state(row, 0)?;
    let (wish, origin) = match state.staged.filter(|_| !apply::waits_to_act(state.status)) {
        Some(change) => {
            let StagedChange { change_id, added, removed, result, metadata, manifest, serves_at, origin } = change;
            (Wish::Redirects { change_id, added, removed, result, metadata, manifest, serves_at }, Some(origin))
        }
        None if state.status == Status::Returning => (Wish::Revival, row.get(11)?),
        None => (Wish::Registration, row.get(11)?),
    };
    let claimed: Option<String> = row.get(13)?;
    Ok(WaitingRow {
        wish,
        resource_server: ResourceServerId(row.get::<_, Id>(9)?.0),
        resource_server_name: row.get(17)?,
        client_key: ClientKey(row.get::<_, Id>(8)?.0),
        client_id: row.get::<_, Word<ClientId>>(12)?.0,
        client_name: state.metadata.as_ref().map_or(claimed, |admitted| admitted.client_name.as_deref().map(str::to_owned)),
        registration_type: row.get::<_, Word<RegistrationType>>(1)?.0,
        redirect_uris: state.redirect_uris,
        metadata: state.metadata,
        version: AnswerVersion { client: row.get(14)?, registration: row.get(15)?, document: row.get(16)? },
        since: row.get::<_, At>(10)?.0,
        origin,
    })
}

fn cursor_after(row: &WaitingRow) -> Cursor {
    let (client, server) = (row.client_key.to_string(), row.resource_server.to_string());
    Cursor::of_parts(["waiting", &client, &server, &row.since.timestamp_micros().to_string()])
}

fn parse(cursor: &Cursor) -> Result<After, InvalidCursor> {
    let ["waiting", client, server, since] = cursor.parts()? else { return Err(InvalidCursor) };
    let id = |text| Uuid::try_parse(text).map(Id).map_err(|_| InvalidCursor);
    Ok((since.parse().map_err(|_| InvalidCursor)?, id(client)?, id(server)?))
}

#[cfg(test)]
mod tests;
