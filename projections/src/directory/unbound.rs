//! Clients that registered themselves where no resource server was meant, until one takes them.

use chrono::{DateTime, Utc};
use gatebook_events::identity::{ClientId, ClientKey};
use gatebook_events::metadata::ClientMetadata;
use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use uuid::Uuid;

use super::Directory;
use crate::column::{At, Id, Json, Word};
use crate::cursor::{Cursor, InvalidCursor};
use crate::read_model::{QueryError, Reader};

/// A client that no resource server took yet. It can do nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct UnboundRow {
    /// Its key.
    pub client_key: ClientKey,
    /// Its public identifier.
    pub client_id: ClientId,
    /// What it says about itself.
    pub metadata: ClientMetadata,
    /// When it registered itself.
    pub registered_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Whether it has a secret.
    pub has_secret: bool,
}

/// One page of them, the last one first.
#[derive(Debug, Clone, PartialEq)]
pub struct UnboundPage {
    /// The clients in order.
    pub rows: Vec<UnboundRow>,
    /// Where the next page begins; none on the last page.
    pub next_cursor: Option<Cursor>,
    /// How many there are.
    pub total: u64,
}

/// What marks a cursor as one of this list.
const LIST: &str = "unbound";

const ROW: &str = "SELECT key, client_id, metadata, registered_at, updated_at, has_secret FROM unbound \
    JOIN clients ON clients.key = unbound.client_key";

impl Reader<Directory> {
    /// Those that no resource server took yet.
    pub fn unbound(&self, cursor: Option<&Cursor>, limit: usize) -> Result<UnboundPage, QueryError> {
        let most = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
        let (at, key): (i64, Uuid) = match cursor {
            None => (i64::MAX, Uuid::max()),
            Some(cursor) => {
                let [list, at, key] = cursor.parts()?;
                (at.parse().ok().filter(|_| list == LIST).ok_or(InvalidCursor)?, key.parse().map_err(|_| InvalidCursor)?)
            }
        };
        self.with(|connection| {
            let sql = format!("{ROW} WHERE (registered_at, client_key) < (?1, ?2) ORDER BY registered_at DESC, client_key DESC LIMIT ?3");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query_map((at, Id(key), most), row)?.collect::<Result<Vec<_>, _>>()?;
            let mut next_cursor = None;
            if rows.len() > limit {
                rows.truncate(limit);
                next_cursor = rows.last().map(|last| {
                    let at = last.registered_at.timestamp_micros().to_string();
                    Cursor::of_parts([LIST, &at, &last.client_key.0.to_string()])
                });
            }
            Ok(UnboundPage { rows, next_cursor, total: count(connection)? })
        })
    }

    /// One of them.
    pub fn unbound_client(&self, client_id: &ClientId) -> Result<Option<UnboundRow>, QueryError> {
        self.with(|connection| {
            let found = connection.prepare_cached(&format!("{ROW} WHERE clients.key = ?1"))?.query_row([Id(client_id.key().0)], row);
            Ok(found.optional()?.filter(|row| row.client_id == *client_id))
        })
    }
}

/// How many there are.
pub(super) fn count(connection: &Connection) -> rusqlite::Result<u64> {
    let number = connection.prepare_cached("SELECT count(*) FROM unbound")?.query_row([], |row| row.get::<_, i64>(0))?;
    Ok(number.cast_unsigned())
}

/// A client registered itself and came to no resource server.
pub(super) fn came(tx: &Transaction<'_>, key: ClientKey, at: DateTime<Utc>) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR IGNORE INTO unbound (registered_at, client_key) VALUES (?1, ?2)")?.execute((At(at), Id(key.0))).map(drop)
}

/// A resource server took it, or it was deleted.
pub(super) fn went(tx: &Transaction<'_>, key: ClientKey) -> rusqlite::Result<()> {
    const DELETE: &str = "DELETE FROM unbound WHERE client_key = ?1 AND registered_at = (SELECT issued_at FROM clients WHERE key = ?1)";
    tx.prepare_cached(DELETE)?.execute([Id(key.0)]).map(drop)
}

fn row(row: &Row<'_>) -> rusqlite::Result<UnboundRow> {
    Ok(UnboundRow {
        client_key: ClientKey(row.get::<_, Id>(0)?.0),
        client_id: row.get::<_, Word<ClientId>>(1)?.0,
        metadata: row.get::<_, Json<ClientMetadata>>(2)?.0,
        registered_at: row.get::<_, At>(3)?.0,
        updated_at: row.get::<_, At>(4)?.0,
        has_secret: row.get(5)?,
    })
}
