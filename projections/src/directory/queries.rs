//! What can be asked of the directory about one thing; the list is in `list`.

use gatebook_events::admission::Status;
use gatebook_events::admission::{Modes, RegistrationType};
use gatebook_events::answer_version::AnswerVersion;
use gatebook_events::envelope::Position;
use gatebook_events::identity::{ClientId, ClientKey, InitialAccessTokenId, ResourceServerId, TenantId};
use gatebook_events::redirect::WebUri;
use gatebook_events::resource_server::{self, takes_room};
use gatebook_events::standing::{Facts, Reason, standing};
use gatebook_events::{client, metadata::ClientMetadata};
use rusqlite::{Connection, OptionalExtension, Row};
use uuid::Uuid;

use super::{Counts, Directory, ManifestRow, RegistrationRow, ResourceServerRow, Scope, unbound};
use crate::column::{At, ClientLife, Id, Json, ServerLife, Word};
use crate::read_model::{QueryError, Reader};
use crate::registration;

const SERVER: &str = "SELECT id, tenant, name, resource, life, modes, suspended_modes, policy, created_at, updated_at, \
     created_position FROM resource_servers";

impl Reader<Directory> {
    /// A tenant's resource servers, retired ones too, in the order in which they were created.
    pub fn resource_servers(&self, tenant: &TenantId) -> Result<Vec<ResourceServerRow>, QueryError> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(&format!("{SERVER} WHERE tenant = ?1 ORDER BY created_position"))?;
            let rows = statement.query_map([tenant.as_str()], server_row)?.collect::<Result<Vec<_>, _>>()?;
            rows.into_iter().map(|row| with_counts(connection, row)).collect()
        })
    }

    /// One of a tenant's resource servers, retired or not.
    pub fn resource_server(&self, tenant: &TenantId, id: ResourceServerId) -> Result<Option<ResourceServerRow>, QueryError> {
        self.with(|connection| {
            let server = server(connection, id)?.filter(|server| server.tenant == *tenant);
            server.map(|server| with_counts(connection, server)).transpose()
        })
    }

    /// How many registrations take up room, and the position up to which they are counted: at one resource server, or at all
    /// active ones of its tenant. Few rows are read, however many registrations there are.
    pub fn filled(&self, scope: &Scope) -> Result<(Position, u64), QueryError> {
        const OF_SERVER: &str = "SELECT position, client_life, status, number FROM checkpoint LEFT JOIN counts ON resource_server = ?1";
        const OF_TENANT: &str = "SELECT position, client_life, status, number FROM checkpoint LEFT JOIN (resource_servers JOIN counts \
            ON counts.resource_server = resource_servers.id) ON tenant = ?1 AND life = 'active'";
        let group = |row: &Row<'_>| {
            let takes = match row.get::<_, Option<Word<Status>>>(2)? {
                Some(status) => takes_room(status.0) && row.get::<_, ClientLife>(1)?.0 != client::Life::Deleted,
                None => false,
            };
            Ok((row.get::<_, i64>(0)?, if takes { row.get::<_, i64>(3)? } else { 0 }))
        };
        self.with(|connection| {
            let groups = match scope {
                Scope::Server(id) => connection.prepare_cached(OF_SERVER)?.query_map([Id(id.0)], group)?.collect::<Result<Vec<_>, _>>()?,
                Scope::Unbound => {
                    let position =
                        connection.prepare_cached("SELECT position FROM checkpoint")?.query_row([], |row| row.get::<_, i64>(0))?;
                    return Ok((Position::from_backend(position.cast_unsigned()), unbound::count(connection)?));
                }
                Scope::Tenant(tenant) => {
                    connection.prepare_cached(OF_TENANT)?.query_map([tenant.as_str()], group)?.collect::<Result<Vec<_>, _>>()?
                }
            };
            let position = groups.first().map_or(0, |(position, _)| *position);
            let number: i64 = groups.iter().map(|(_, number)| number).sum();
            Ok((Position::from_backend(position.cast_unsigned()), number.cast_unsigned()))
        })
    }

    /// A client's registration at one of the tenant's resource servers.
    pub fn client(&self, tenant: &TenantId, id: ResourceServerId, client_id: &ClientId) -> Result<Option<RegistrationRow>, QueryError> {
        self.with(|connection| {
            let Some(server) = server(connection, id)?.filter(|server| server.tenant == *tenant) else { return Ok(None) };
            let found = registration_row(connection, &server, client_id.key())?;
            Ok(found.filter(|row| row.client_id == *client_id))
        })
    }

    /// The clients that host their own document, in the order of their keys, from the one after `after` on.
    pub fn clients_with_documents(&self, after: Option<ClientKey>, limit: usize) -> Result<Vec<(ClientKey, ClientId)>, QueryError> {
        const SELECT: &str = "SELECT key, client_id FROM clients INDEXED BY clients_with_documents \
            WHERE manifest_version IS NOT NULL AND life <> 'deleted' AND key > ?1 GROUP BY key ORDER BY key LIMIT ?2";
        let after = Id(after.map_or(Uuid::nil(), |key| key.0));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.with(|connection| {
            let mut statement = connection.prepare_cached(SELECT)?;
            let rows =
                statement.query_map((after, limit), |row| Ok((ClientKey(row.get::<_, Id>(0)?.0), row.get::<_, Word<ClientId>>(1)?.0)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// How many clients there are whose document is good, out of reach and taken away, in that order. Texts that were entered for one
    /// count as good, those of each tenant apart.
    pub fn documents_by_health(&self) -> Result<[(&'static str, u64); 3], QueryError> {
        const SELECT: &str = "SELECT count(CASE WHEN life = 'registered' AND unreachable_since IS NULL THEN 1 END), \
            count(CASE WHEN life = 'registered' AND unreachable_since IS NOT NULL THEN 1 END), count(CASE WHEN life = 'withdrawn' THEN 1 END) \
            FROM clients INDEXED BY clients_with_documents WHERE manifest_version IS NOT NULL";
        self.with(|connection| {
            let counts = |row: &Row<'_>| Ok([row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?]);
            let [good, unreachable, withdrawn] = connection.prepare_cached(SELECT)?.query_row([], counts)?.map(i64::unsigned_abs);
            Ok([("good", good), ("unreachable", unreachable), ("withdrawn", withdrawn)])
        })
    }

    /// The same among those that are registered with a tenant.
    pub fn documents_by_health_of(&self, tenant: &TenantId) -> Result<[(&'static str, u64); 3], QueryError> {
        const SELECT: &str = "SELECT count(CASE WHEN life = 'registered' AND unreachable_since IS NULL THEN 1 END), \
            count(CASE WHEN life = 'registered' AND unreachable_since IS NOT NULL THEN 1 END), count(CASE WHEN life = 'withdrawn' THEN 1 END) \
            FROM clients INDEXED BY clients_with_documents WHERE manifest_version IS NOT NULL \
            AND EXISTS (SELECT 1 FROM registrations WHERE client_key = key AND tenant = ?1 AND registrations.entered_for = clients.entered_for)";
        self.with(|connection| {
            let counts = |row: &Row<'_>| Ok([row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?]);
            let mut statement = connection.prepare_cached(SELECT)?;
            let [good, unreachable, withdrawn] = statement.query_row([tenant.as_str()], counts)?.map(i64::unsigned_abs);
            Ok([("good", good), ("unreachable", unreachable), ("withdrawn", withdrawn)])
        })
    }

    /// The clients of a tenant's registrations that host their own document.
    pub fn documents_of(&self, tenant: &TenantId) -> Result<Vec<ClientId>, QueryError> {
        const SELECT: &str = "SELECT client_id FROM clients INDEXED BY clients_with_documents \
            WHERE manifest_version IS NOT NULL AND life <> 'deleted' \
            AND EXISTS (SELECT 1 FROM registrations WHERE client_key = key AND tenant = ?1 AND registrations.entered_for = clients.entered_for)";
        self.with(|connection| {
            let mut statement = connection.prepare_cached(SELECT)?;
            let rows = statement.query_map([tenant.as_str()], |row| Ok(row.get::<_, Word<ClientId>>(0)?.0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Where a client is registered, and whose resource servers those are.
    pub fn registrations_of(&self, key: ClientKey) -> Result<Vec<(ResourceServerId, TenantId)>, QueryError> {
        const SELECT: &str =
            "SELECT resource_server, tenant FROM registrations WHERE client_key = ?1 ORDER BY requested_at, resource_server";
        self.with(|connection| {
            let mut statement = connection.prepare_cached(SELECT)?;
            let rows = statement.query_map([Id(key.0)], |row| Ok((server_id(row)?, row.get::<_, Word<TenantId>>(1)?.0)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

pub(super) fn server(connection: &Connection, id: ResourceServerId) -> rusqlite::Result<Option<ResourceServerRow>> {
    connection.prepare_cached(&format!("{SERVER} WHERE id = ?1"))?.query_row([Id(id.0)], server_row).optional()
}

fn server_id(row: &Row<'_>) -> rusqlite::Result<ResourceServerId> {
    row.get::<_, Id>(0).map(|id| ResourceServerId(id.0))
}

fn server_row(row: &Row<'_>) -> rusqlite::Result<ResourceServerRow> {
    Ok(ResourceServerRow {
        id: server_id(row)?,
        tenant: row.get::<_, Word<TenantId>>(1)?.0,
        name: row.get(2)?,
        resource: row.get::<_, Option<Word<WebUri>>>(3)?.map(|word| word.0),
        life: row.get::<_, ServerLife>(4)?.0,
        registration_modes: row.get::<_, Json<Modes>>(5)?.0,
        suspended_modes: row.get::<_, Json<Modes>>(6)?.0,
        policy: row.get::<_, Json<resource_server::Policy>>(7)?.0,
        created_at: row.get::<_, At>(8)?.0,
        updated_at: row.get::<_, At>(9)?.0,
        created_position: Position::from_backend(row.get::<_, i64>(10)?.cast_unsigned()),
        counts: Counts::default(),
    })
}

fn with_counts(connection: &Connection, mut server: ResourceServerRow) -> Result<ResourceServerRow, QueryError> {
    server.counts = count(&server, &groups(connection, server.id)?);
    Ok(server)
}

/// The registrations of a resource server that stand alike.
pub(super) struct Group {
    pub(super) client: client::Life,
    pub(super) status: Status,
    pub(super) kind: RegistrationType,
    number: u64,
}

impl Group {
    /// Why those may or may not act.
    pub(super) fn reason(&self, server: &ResourceServerRow) -> Reason {
        reason(server, self.client, self.status, self.kind)
    }
}

fn reason(server: &ResourceServerRow, client: client::Life, registration: Status, kind: RegistrationType) -> Reason {
    standing(Facts {
        client,
        registration,
        resource_server: server.life,
        mode_suspended: server.suspended_modes.contains(&kind),
        on_withdrawal: server.policy.manifests.on_withdrawal,
    })
}

/// The groups that have members.
pub(super) fn groups(connection: &Connection, id: ResourceServerId) -> rusqlite::Result<Vec<Group>> {
    const SELECT: &str = "SELECT client_life, status, registration_type, number FROM counts WHERE resource_server = ?1";
    let mut statement = connection.prepare_cached(SELECT)?;
    let groups = statement.query_map([Id(id.0)], |row| {
        Ok(Group {
            client: row.get::<_, ClientLife>(0)?.0,
            status: row.get::<_, Word<Status>>(1)?.0,
            kind: row.get::<_, Word<RegistrationType>>(2)?.0,
            number: row.get::<_, i64>(3)?.cast_unsigned(),
        })
    })?;
    groups.collect()
}

pub(super) fn count(server: &ResourceServerRow, groups: &[Group]) -> Counts {
    let mut counts = Counts { by_type: RegistrationType::ALL.map(|kind| (kind, 0)).into(), ..Counts::default() };
    for group in groups {
        let reason = group.reason(server);
        if is_listed(reason, None) {
            counts.total += group.number;
            *counts.by_type.entry(group.kind).or_default() += group.number;
        }
        if is_listed(reason, Some(reason.status())) {
            *counts.by_status.entry(reason.status()).or_default() += group.number;
        }
    }
    counts
}

/// Whether a list with this status filter shows registrations that stand so.
pub(super) fn is_listed(reason: Reason, status: Option<&str>) -> bool {
    match (reason, status) {
        // Its client has not come yet.
        (Reason::NotRegistered, _) | (Reason::ClientDeleted, None) => false,
        (reason, Some(status)) => reason.status() == status,
        (_, None) => true,
    }
}

/// A client's registration; none while only one of the two has come.
pub(super) fn registration_row(
    connection: &Connection,
    server: &ResourceServerRow,
    key: ClientKey,
) -> rusqlite::Result<Option<RegistrationRow>> {
    let sql = format!(
        "SELECT {}, staged_at, note, requested_at, decided_at, max(registrations.updated_at, clients.updated_at), position, \
         client_id, life, home, issued_at, metadata, has_secret, secret_expires_at, \
         CASE WHEN family LIKE 'software:%' THEN family ELSE coalesce(admitted_family, family) END, initial_access_token, \
         manifest_version, manifest_hash, unreachable_since, \
         clients.events - (SELECT coalesce(sum(own_events), 0) FROM clients AS others WHERE others.key = ?1 AND others.entered_for NOT IN ('', tenant)), \
         registrations.events \
         FROM registrations JOIN clients ON clients.key = client_key AND clients.entered_for = registrations.entered_for \
         WHERE client_key = ?1 AND resource_server = ?2",
        registration::STATE.replace("registration_type", "registrations.registration_type")
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_row((Id(key.0), Id(server.id.0)), |row| {
        let state = registration::state(row, 0)?;
        let claimed = row.get::<_, Json<ClientMetadata>>(18)?.0;
        let document = manifest(row, 23)?;
        let kind = row.get::<_, Word<RegistrationType>>(1)?.0;
        let client_life = row.get::<_, ClientLife>(15)?.0;
        Ok(RegistrationRow {
            client_key: key,
            client_id: row.get::<_, Word<ClientId>>(14)?.0,
            tenant: row.get::<_, Word<TenantId>>(0)?.0,
            resource_server: server.id,
            registration_type: kind,
            reason: reason(server, client_life, state.status, kind),
            registration_status: state.status,
            client_life,
            note: row.get(9)?,
            denied_until: state.denied_until,
            metadata: ClientMetadata { redirect_uris: state.redirect_uris.clone(), ..state.admitted(&claimed) },
            claimed,
            version: AnswerVersion {
                client: row.get(26)?,
                registration: row.get(27)?,
                document: document.as_ref().map_or(0, |known| known.version),
            },
            redirect_uris: state.redirect_uris,
            staged: state.staged,
            staged_at: time(row, 8)?,
            has_secret: row.get(19)?,
            secret_expires_at: time(row, 20)?,
            manifest: document,
            home: row.get::<_, Option<Word<TenantId>>>(16)?.map(|word| word.0),
            family: row.get(21)?,
            initial_access_token: row.get::<_, Option<Id>>(22)?.map(|id| InitialAccessTokenId(id.0)),
            issued_at: row.get::<_, At>(17)?.0,
            requested_at: row.get::<_, At>(10)?.0,
            decided_at: time(row, 11)?,
            updated_at: row.get::<_, At>(12)?.0,
            position: Position::from_backend(row.get::<_, i64>(13)?.cast_unsigned()),
        })
    });
    found.optional()
}

/// The document's columns, from this one on.
fn manifest(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<ManifestRow>> {
    let Some(version) = row.get::<_, Option<u32>>(first)? else { return Ok(None) };
    Ok(Some(ManifestRow { version, content_hash: row.get(first + 1)?, unreachable_since: time(row, first + 2)? }))
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<chrono::DateTime<chrono::Utc>>> {
    row.get::<_, Option<At>>(column).map(|at| at.map(|at| at.0))
}
