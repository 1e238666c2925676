//! What can be asked of the history.

use gatebook_events::envelope::{ActorKind, EventId, Position};
use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId, TenantId};
use rusqlite::{Connection, OptionalExtension, Row, ToSql};

use super::{History, HistoryPage, HistoryQuery, HistoryRow, Told};
use crate::column::{At, Id, Word};
use crate::page::Room;
use crate::read_model::{QueryError, Reader};

const COLUMNS: &str = "events.position, id, name, version, recorded_at, events.tenant, resource_server, client_key, \
    (SELECT client_id FROM client_ids WHERE key = client_key), actor_kind, actor_id, actor_via, request_id, causation_id, origin, stream, data";

/// What belongs to a tenant, or to none and is shown to it.
const VISIBLE: &str = "(+events.tenant = ?2 OR events.tenant IS NULL \
    AND EXISTS (SELECT 1 FROM shown_to WHERE shown_to.tenant = ?2 AND shown_to.position = events.position))";

impl Reader<History> {
    /// One page of a tenant's history.
    pub fn events(&self, query: &HistoryQuery) -> Result<HistoryPage, QueryError> {
        self.with(|connection| {
            let (mut rows, mut more) = rows(connection, query, query.limit.saturating_add(1))?;
            if rows.len() > query.limit {
                rows.truncate(query.limit);
                more = true;
            }
            let next_cursor = if more { rows.last().map(|row| row.position) } else { None };
            Ok(HistoryPage { rows, next_cursor })
        })
    }

    /// One event of a tenant's history.
    pub fn event(&self, tenant: &TenantId, id: EventId) -> Result<Option<HistoryRow>, QueryError> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM events WHERE id = ?1 AND {VISIBLE}"))?;
            Ok(statement.query_row((Id(id.0), tenant.as_str()), history_row).optional()?)
        })
    }

    /// The tenant's events after a position, for a stream that goes on.
    pub fn after(&self, tenant: &TenantId, position: Position, limit: usize) -> Result<Vec<HistoryRow>, QueryError> {
        let query = HistoryQuery { cursor: Some(position), newest_first: false, ..HistoryQuery::all(tenant.clone(), limit) };
        self.with(|connection| Ok(rows(connection, &query, limit)?.0))
    }

    /// The same for whoever passes each event on once. What happened to a client of no tenant before it came to this one is not
    /// at its own place, where it may not have been shown yet, but right before the client comes.
    pub fn told(&self, tenant: &TenantId, position: Position, limit: usize) -> Result<Told, QueryError> {
        let query = HistoryQuery { cursor: Some(position), newest_first: false, ..HistoryQuery::all(tenant.clone(), limit) };
        self.with(|connection| {
            let mut told = Told { rows: Vec::new(), position };
            for row in rows(connection, &query, limit)?.0 {
                told.position = row.position;
                if let Some(key) = row.client_key.filter(|_| row.tenant.is_none() || row.name == CAME) {
                    let came = came(connection, tenant, key)?;
                    if row.tenant.is_none() && came.is_none_or(|came| row.position < came) {
                        continue;
                    }
                    if came == Some(row.position) {
                        told.rows.extend(before(connection, key, row.position)?);
                    }
                }
                told.rows.push(row);
            }
            Ok(told)
        })
    }

    /// Every tenant's events after a position, and those of none.
    pub fn everything_after(&self, position: Position, limit: usize) -> Result<Vec<HistoryRow>, QueryError> {
        self.with(|connection| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let sql = format!("SELECT {COLUMNS} FROM events WHERE position > ?1 ORDER BY position LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let found = statement.query_map((position.to_backend().cast_signed(), limit), history_row)?;
            Ok(page(found)?.0)
        })
    }

    /// The event at a position.
    pub fn at(&self, position: Position) -> Result<Option<HistoryRow>, QueryError> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM events WHERE position = ?1"))?;
            Ok(statement.query_row([position.to_backend().cast_signed()], history_row).optional()?)
        })
    }
}

/// With this event a client comes to a resource server.
const CAME: &str = "registration.requested";

/// When a client first came to one of the tenant's resource servers.
fn came(connection: &Connection, tenant: &TenantId, client: ClientKey) -> rusqlite::Result<Option<Position>> {
    const FIRST: &str = "SELECT min(position) FROM events INDEXED BY events_of_client WHERE client_key = ?1 AND tenant = ?2 AND name = ?3";
    let parameters = (Id(client.0), tenant.as_str(), CAME);
    let first = connection.prepare_cached(FIRST)?.query_row(parameters, |row| row.get::<_, Option<i64>>(0))?;
    Ok(first.map(|position| Position::from_backend(position.cast_unsigned())))
}

/// What happened to a client of no tenant before this position.
fn before(connection: &Connection, client: ClientKey, position: Position) -> rusqlite::Result<Vec<HistoryRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM events INDEXED BY events_of_client WHERE client_key = ?1 AND tenant IS NULL AND position < ?2 ORDER BY position"
    );
    connection.prepare_cached(&sql)?.query_map((Id(client.0), position.to_backend().cast_signed()), history_row)?.collect()
}

/// As many rows as fit into a page, and whether there are more.
fn page(found: impl Iterator<Item = rusqlite::Result<HistoryRow>>) -> rusqlite::Result<(Vec<HistoryRow>, bool)> {
    let (mut rows, mut room) = (Vec::new(), Room::default());
    for row in found {
        let row = row?;
        if !room.takes(row.data.len()) {
            return Ok((rows, true));
        }
        rows.push(row);
    }
    Ok((rows, false))
}

fn rows(connection: &Connection, query: &HistoryQuery, limit: usize) -> rusqlite::Result<(Vec<HistoryRow>, bool)> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let server = query.resource_server.map(|id| Id(id.0));
    let client = query.client_id.as_ref().map(|client_id| Id(client_id.key().0));
    let (since, until) = (query.since.map(At), query.until.map(At));
    let [cursor, up_to] = [query.cursor, query.up_to].map(|position| position.map(|position| position.to_backend().cast_signed()));
    let tenant = query.tenant.as_str();
    let mut parameters: Vec<(&str, &dyn ToSql)> = vec![(":tenant", &tenant), (":limit", &limit)];
    // The narrowest index there is; without the hints SQLite would have to guess how many events a client or a tenant has.
    let index = match (client, server) {
        (Some(_), _) => "events_of_client",
        (None, Some(_)) => "events_of_resource_server",
        (None, None) => "events_of_tenant",
    };
    let (actor, name) = (query.actor.as_deref(), query.event_name.as_deref());
    let past = if query.newest_first { " AND events.position < :cursor" } else { " AND events.position > :cursor" };
    let mut filter = String::new();
    for (condition, parameter, value) in [
        (" AND client_key = :client", ":client", client.as_ref().map(|value| value as &dyn ToSql)),
        (" AND resource_server = :server", ":server", server.as_ref().map(|value| value as &dyn ToSql)),
        (" AND (actor_id = :actor OR actor_kind = :actor)", ":actor", actor.as_ref().map(|value| value as &dyn ToSql)),
        (" AND substr(name, 1, length(:name)) = :name", ":name", name.as_ref().map(|value| value as &dyn ToSql)),
        (" AND recorded_at >= :since", ":since", since.as_ref().map(|value| value as &dyn ToSql)),
        (" AND recorded_at < :until", ":until", until.as_ref().map(|value| value as &dyn ToSql)),
        (" AND events.position <= :up_to", ":up_to", up_to.as_ref().map(|value| value as &dyn ToSql)),
        (past, ":cursor", cursor.as_ref().map(|value| value as &dyn ToSql)),
    ] {
        if let Some(value) = value {
            filter.push_str(condition);
            parameters.push((parameter, value));
        }
    }
    let direction = if query.newest_first { "DESC" } else { "ASC" };
    // Two ranges that are each in order, merged: what belongs to the tenant, and what belongs to none and is shown to it.
    let sql = format!(
        "SELECT {COLUMNS} FROM events INDEXED BY {index} WHERE tenant = :tenant{filter} \
         UNION ALL SELECT {} FROM shown_to CROSS JOIN events ON events.position = shown_to.position WHERE shown_to.tenant = :tenant{} \
         ORDER BY 1 {direction} LIMIT :limit",
        COLUMNS.replacen("events.position", "shown_to.position", 1),
        filter.replace("events.position", "shown_to.position"),
    );
    let mut statement = connection.prepare_cached(&sql)?;
    page(statement.query_map(parameters.as_slice(), history_row)?)
}

fn history_row(row: &Row<'_>) -> rusqlite::Result<HistoryRow> {
    let id = |column: usize| row.get::<_, Option<Id>>(column).map(|id| id.map(|id| id.0));
    let client_key = id(7)?.map(ClientKey);
    let other_name = row.get::<_, Option<Word<ClientId>>>(8)?.map(|word| word.0);
    Ok(HistoryRow {
        position: Position::from_backend(row.get::<_, i64>(0)?.cast_unsigned()),
        id: EventId(row.get::<_, Id>(1)?.0),
        name: row.get(2)?,
        version: row.get(3)?,
        recorded_at: row.get::<_, At>(4)?.0,
        tenant: row.get::<_, Option<Word<TenantId>>>(5)?.map(|word| word.0),
        resource_server: id(6)?.map(ResourceServerId),
        client_key,
        client_id: other_name.or(client_key.map(ClientId::of_key)),
        actor_kind: row.get::<_, Word<ActorKind>>(9)?.0,
        actor_id: row.get(10)?,
        actor_via: row.get(11)?,
        request_id: row.get(12)?,
        causation_id: id(13)?.map(EventId),
        origin: row.get(14)?,
        stream: row.get(15)?,
        data: row.get(16)?,
    })
}
