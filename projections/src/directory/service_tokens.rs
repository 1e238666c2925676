//! Service tokens in the directory: their table's fold and its queries.

use chrono::{DateTime, Utc};
use gatebook_events::Aggregate;
use gatebook_events::envelope::Envelope;
use gatebook_events::identity::{ResourceServerId, ServiceTokenId, TenantId};
use gatebook_events::service_token::{Life, ServiceScope, ServiceToken, ServiceTokenEvent};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params};
use uuid::Uuid;

use super::Directory;
use crate::column::{At, Id, Json, Word};
use crate::cursor::{Cursor, InvalidCursor};
use crate::read_model::{QueryError, Reader};

/// A service token of a tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceTokenRow {
    /// Its id.
    pub id: ServiceTokenId,
    /// As it is, without its hash.
    pub token: ServiceToken,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Why.
    pub revoked_because: Option<String>,
}

/// One page of a tenant's tokens, the newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceTokenPage {
    /// The tokens in order.
    pub rows: Vec<ServiceTokenRow>,
    /// Where to go on; none on the last page.
    pub next_cursor: Option<Cursor>,
}

/// What marks a cursor as one of this list.
const LIST: &str = "service";

const SELECT: &str = "SELECT id, tenant, label, scopes, resource_servers, created_at, expires_at, revoked_at, revoked_because \
    FROM service_tokens";

pub(super) fn apply(tx: &Transaction<'_>, id: ServiceTokenId, envelope: &Envelope, event: &ServiceTokenEvent) -> rusqlite::Result<()> {
    const INSERT: &str = "INSERT INTO service_tokens (id, tenant, label, scopes, resource_servers, created_at, expires_at) \
        VALUES (:id, :tenant, :label, :scopes, :servers, :at, :expires_at) ON CONFLICT DO NOTHING";
    const REVOKE: &str = "UPDATE service_tokens SET revoked_at = ?2, revoked_because = ?3 WHERE id = ?1 AND revoked_at IS NULL";
    let at = At(envelope.event.recorded_at);
    match event {
        ServiceTokenEvent::Created(_) => {
            let token = ServiceToken::default().evolve(event);
            tx.prepare_cached(INSERT)?.execute(named_params! {
                ":id": Id(id.0),
                ":tenant": token.tenant.as_ref().map(TenantId::as_str),
                ":label": token.label,
                ":scopes": Json(&token.scopes),
                ":servers": Json(&token.resource_servers),
                ":at": at,
                ":expires_at": token.expires_at.map(At),
            })
        }
        ServiceTokenEvent::Revoked(revoked) => tx.prepare_cached(REVOKE)?.execute((Id(id.0), at, &revoked.reason)),
    }
    .map(drop)
}

impl Reader<Directory> {
    /// One page of the tenant's service tokens, revoked and expired ones too.
    pub fn service_tokens(&self, tenant: &TenantId, cursor: Option<&Cursor>, limit: usize) -> Result<ServiceTokenPage, QueryError> {
        let (time, id) = cursor.map(place).transpose()?.unzip();
        self.with(|connection| {
            let sql = format!(
                "{SELECT} WHERE tenant = ?1 AND (?2 IS NULL OR (created_at, id) < (?2, ?3)) ORDER BY created_at DESC, id DESC LIMIT ?4"
            );
            let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
            let mut statement = connection.prepare_cached(&sql)?;
            let found = statement.query_map((tenant.as_str(), time, id.map(Id), one_more), token)?;
            let mut rows = found.collect::<Result<Vec<_>, _>>()?;
            let mut next_cursor = None;
            if rows.len() > limit {
                rows.truncate(limit);
                let mark =
                    |row: &ServiceTokenRow| Cursor::of_parts([LIST, &row.id.to_string(), &row.created_at.timestamp_micros().to_string()]);
                next_cursor = rows.last().map(mark);
            }
            Ok(ServiceTokenPage { rows, next_cursor })
        })
    }

    /// One of the tenant's service tokens.
    pub fn service_token(&self, tenant: &TenantId, id: ServiceTokenId) -> Result<Option<ServiceTokenRow>, QueryError> {
        self.with(|connection| Ok(load(connection, id)?.filter(|row| row.token.tenant.as_ref() == Some(tenant))))
    }
}

fn load(connection: &Connection, id: ServiceTokenId) -> rusqlite::Result<Option<ServiceTokenRow>> {
    connection.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?.query_row((Id(id.0),), token).optional()
}

fn token(row: &Row<'_>) -> rusqlite::Result<ServiceTokenRow> {
    let time = |column: usize| row.get::<_, Option<At>>(column).map(|at| at.map(|at| at.0));
    let revoked_at = time(7)?;
    Ok(ServiceTokenRow {
        id: ServiceTokenId(row.get::<_, Id>(0)?.0),
        token: ServiceToken {
            life: if revoked_at.is_some() { Life::Revoked } else { Life::Created },
            tenant: Some(row.get::<_, Word<TenantId>>(1)?.0),
            label: row.get(2)?,
            token: None,
            scopes: row.get::<_, Json<Vec<ServiceScope>>>(3)?.0,
            resource_servers: row.get::<_, Json<Vec<ResourceServerId>>>(4)?.0,
            expires_at: time(6)?,
        },
        created_at: row.get::<_, At>(5)?.0,
        revoked_at,
        revoked_because: row.get(8)?,
    })
}

/// Where the list goes on.
fn place(cursor: &Cursor) -> Result<(i64, Uuid), InvalidCursor> {
    let [list, id, time] = cursor.parts()?;
    let parsed = time.parse().ok().zip(Uuid::try_parse(id).ok()).filter(|_| list == LIST);
    parsed.ok_or(InvalidCursor)
}

#[cfg(test)]
mod tests {
    use gatebook_events::secret::TokenHash;
    use gatebook_events::service_token::{Created, Revoked, Usability};
    use gatebook_events::stream::Stream;

    use super::*;
    use crate::scene::{Folder, at, one_client, second, server, tenant};

    fn of(number: u128) -> Stream {
        Stream::ServiceToken(ServiceTokenId(Uuid::from_u128(number)))
    }

    fn created(whose: &str) -> ServiceTokenEvent {
        ServiceTokenEvent::Created(Created {
            tenant: tenant(whose),
            label: "as".to_owned(),
            token: TokenHash([7; 32]),
            scopes: vec![ServiceScope::Decide, ServiceScope::Authenticate],
            resource_servers: vec![server(1)],
            expires_at: Some(second(90)),
        })
    }

    #[test]
    fn a_service_token_is_listed_for_its_tenant_and_shows_its_end() {
        let folder = Folder::new();
        let mut log = one_client();
        log.extend((5..9).map(|number| at(number, of(number.into()), &created("acme"))));
        log.push(at(9, of(9), &created("other")));
        log.push(at(10, of(7), &ServiceTokenEvent::Revoked(Revoked { reason: Some("it leaked".to_owned()) })));
        log.push(at(11, of(7), &ServiceTokenEvent::Revoked(Revoked { reason: None })));
        let reader = folder.given::<Directory>(&log).reader();
        let first = reader.service_tokens(&tenant("acme"), None, 3).unwrap();
        let rest = reader.service_tokens(&tenant("acme"), first.next_cursor.as_ref(), 3).unwrap();
        let ids: Vec<_> = first.rows.iter().chain(&rest.rows).map(|row| row.id.0.as_u128()).collect();
        assert_eq!((ids, rest.next_cursor), (vec![8, 7, 6, 5], None));
        let ended = reader.service_token(&tenant("acme"), ServiceTokenId(Uuid::from_u128(7))).unwrap().unwrap();
        assert_eq!((ended.revoked_at, ended.revoked_because.as_deref()), (Some(second(10)), Some("it leaked")));
        assert_eq!(ended.token.usability(second(11)), Usability::Revoked);
        assert_eq!((ended.token.token, ended.token.resource_servers), (None, vec![server(1)]));
        assert_eq!(reader.service_token(&tenant("acme"), ServiceTokenId(Uuid::from_u128(9))).unwrap(), None);
    }
}
