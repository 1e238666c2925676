//! Initial access tokens in the directory, and the clients that came by each: their tables' fold and their queries.

use chrono::{DateTime, Utc};
use gatebook_events::Aggregate;
use gatebook_events::clamps::Clamps;
use gatebook_events::envelope::Envelope;
use gatebook_events::identity::{ClientId, InitialAccessTokenId, ResourceServerId, TenantId};
use gatebook_events::initial_access_token::{InitialAccessToken, InitialAccessTokenEvent, Life};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params};
use uuid::Uuid;

use super::Directory;
use crate::column::{At, Id, Json, Word};
use crate::cursor::{Cursor, InvalidCursor};
use crate::read_model::{QueryError, Reader};

/// An initial access token of a resource server.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenRow {
    /// Its id.
    pub id: InitialAccessTokenId,
    /// The resource server that it is for.
    pub resource_server: ResourceServerId,
    /// As it is, without its hash.
    pub token: InitialAccessToken,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Why.
    pub revoked_because: Option<String>,
}

/// One page of a resource server's tokens, the newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenPage {
    /// The tokens in order, each with its latest uses.
    pub rows: Vec<(TokenRow, Vec<UseRow>)>,
    /// Where to go on; none on the last page.
    pub next_cursor: Option<Cursor>,
}

/// One use of a token.
#[derive(Debug, Clone, PartialEq)]
pub struct UseRow {
    /// Which one, counted from 1.
    pub number: u32,
    /// The client that came by it.
    pub client_id: ClientId,
    /// When.
    pub used_at: DateTime<Utc>,
}

/// One page of a token's uses, the latest first.
#[derive(Debug, Clone, PartialEq)]
pub struct UsePage {
    /// The token.
    pub token: TokenRow,
    /// Its uses in order.
    pub rows: Vec<UseRow>,
    /// Where to go on; none on the last page.
    pub next_cursor: Option<Cursor>,
}

/// What marks a cursor as one of either list.
const LIST: &str = "tokens";
const USES: &str = "uses";

const SELECT: &str = "SELECT id, tenant, label, issued_at, expires_at, max_uses, uses, clamps, revoked_at, revoked_because \
    FROM initial_access_tokens";

pub(super) fn apply(
    tx: &Transaction<'_>,
    (server, id): (ResourceServerId, InitialAccessTokenId),
    envelope: &Envelope,
    event: &InitialAccessTokenEvent,
) -> rusqlite::Result<()> {
    const INSERT: &str = "INSERT INTO initial_access_tokens (id, resource_server, tenant, label, issued_at, expires_at, max_uses, uses, \
        clamps) VALUES (:id, :server, :tenant, :label, :at, :expires_at, :max_uses, :uses, :clamps) ON CONFLICT DO NOTHING";
    let at = At(envelope.event.recorded_at);
    let before = load(tx, server, id)?.map(|row| row.token).unwrap_or_default();
    let after = before.clone().evolve(event);
    // An event that does not fit the token leaves it as it was.
    if after == before {
        return Ok(());
    }
    match event {
        InitialAccessTokenEvent::Issued(_) => tx.prepare_cached(INSERT)?.execute(named_params! {
            ":id": Id(id.0),
            ":server": Id(server.0),
            ":tenant": after.tenant.as_ref().map(TenantId::as_str),
            ":label": after.label,
            ":at": at,
            ":expires_at": after.expires_at.map(At),
            ":max_uses": after.max_uses,
            ":uses": after.uses,
            ":clamps": Json(&after.clamps),
        }),
        InitialAccessTokenEvent::Used(used) => {
            tx.prepare_cached("UPDATE initial_access_tokens SET uses = ?3 WHERE resource_server = ?1 AND id = ?2")?.execute((
                Id(server.0),
                Id(id.0),
                after.uses,
            ))?;
            tx.prepare_cached("INSERT OR REPLACE INTO initial_access_token_uses VALUES (?1, ?2, ?3, ?4, ?5)")?.execute((
                Id(server.0),
                Id(id.0),
                used.count,
                used.client_id.as_str(),
                at,
            ))
        }
        InitialAccessTokenEvent::Revoked(revoked) => tx
            .prepare_cached(
                "UPDATE initial_access_tokens SET revoked_at = ?3, revoked_because = ?4 WHERE resource_server = ?1 AND id = ?2",
            )?
            .execute((Id(server.0), Id(id.0), at, &revoked.reason)),
    }
    .map(drop)
}

impl Reader<Directory> {
    /// One page of the tokens of one of the tenant's resource servers, revoked and expired ones too; each with as many of its
    /// latest uses as `shown` says.
    pub fn initial_access_tokens(
        &self,
        tenant: &TenantId,
        server: ResourceServerId,
        cursor: Option<&Cursor>,
        (limit, shown): (usize, usize),
    ) -> Result<TokenPage, QueryError> {
        let after = cursor.map(place).transpose()?;
        self.with(|connection| {
            let sql = format!(
                "{SELECT} WHERE resource_server = ?1 AND tenant = ?2 AND (?3 IS NULL OR (issued_at, id) < (?3, ?4)) \
                 ORDER BY issued_at DESC, id DESC LIMIT ?5"
            );
            let (time, id) = after.unzip();
            let mut statement = connection.prepare_cached(&sql)?;
            let found =
                statement.query_map((Id(server.0), tenant.as_str(), time, id.map(Id), one_more(limit)), |row| token(row, server))?;
            let mut found = found.collect::<Result<Vec<_>, _>>()?;
            let mut next_cursor = None;
            if found.len() > limit {
                found.truncate(limit);
                let last = found.last();
                next_cursor = last.map(|row| Cursor::of_parts([LIST, &row.id.to_string(), &row.issued_at.timestamp_micros().to_string()]));
            }
            let with_uses = |row: TokenRow| uses(connection, &row, u32::MAX, shown).map(|uses| (row, uses));
            Ok(TokenPage { rows: found.into_iter().map(with_uses).collect::<Result<_, _>>()?, next_cursor })
        })
    }

    /// A token of one of the tenant's resource servers, with one page of its uses.
    pub fn initial_access_token(
        &self,
        tenant: &TenantId,
        (server, id): (ResourceServerId, InitialAccessTokenId),
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Option<UsePage>, QueryError> {
        let before = match cursor.map(Cursor::parts).transpose()? {
            None => u32::MAX,
            Some([USES, number]) => number.parse().map_err(|_| InvalidCursor)?,
            Some(_) => return Err(InvalidCursor.into()),
        };
        self.with(|connection| {
            let Some(token) = load(connection, server, id)?.filter(|row| row.token.tenant.as_ref() == Some(tenant)) else {
                return Ok(None);
            };
            let mut rows = uses(connection, &token, before, limit.saturating_add(1))?;
            let mut next_cursor = None;
            if rows.len() > limit {
                rows.truncate(limit);
                next_cursor = rows.last().map(|row| Cursor::of_parts([USES, &row.number.to_string()]));
            }
            Ok(Some(UsePage { token, rows, next_cursor }))
        })
    }
}

fn load(connection: &Connection, server: ResourceServerId, id: InitialAccessTokenId) -> rusqlite::Result<Option<TokenRow>> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE resource_server = ?1 AND id = ?2"))?;
    statement.query_row((Id(server.0), Id(id.0)), |row| token(row, server)).optional()
}

/// The latest uses before a number.
fn uses(connection: &Connection, token: &TokenRow, before: u32, limit: usize) -> rusqlite::Result<Vec<UseRow>> {
    const SELECT: &str = "SELECT number, client_id, used_at FROM initial_access_token_uses \
        WHERE resource_server = ?1 AND token = ?2 AND number < ?3 ORDER BY number DESC LIMIT ?4";
    let mut statement = connection.prepare_cached(SELECT)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map((Id(token.resource_server.0), Id(token.id.0), before, limit), |row| {
        Ok(UseRow { number: row.get(0)?, client_id: row.get::<_, Word<ClientId>>(1)?.0, used_at: row.get::<_, At>(2)?.0 })
    })?;
    rows.collect()
}

fn token(row: &Row<'_>, server: ResourceServerId) -> rusqlite::Result<TokenRow> {
    let time = |column: usize| row.get::<_, Option<At>>(column).map(|at| at.map(|at| at.0));
    let revoked_at = time(8)?;
    Ok(TokenRow {
        id: InitialAccessTokenId(row.get::<_, Id>(0)?.0),
        resource_server: server,
        token: InitialAccessToken {
            life: if revoked_at.is_some() { Life::Revoked } else { Life::Issued },
            tenant: Some(row.get::<_, Word<TenantId>>(1)?.0),
            label: row.get(2)?,
            token: None,
            expires_at: time(4)?,
            max_uses: row.get(5)?,
            uses: row.get(6)?,
            clamps: row.get::<_, Json<Clamps>>(7)?.0,
        },
        issued_at: row.get::<_, At>(3)?.0,
        revoked_at,
        revoked_because: row.get(9)?,
    })
}

/// Where a list of tokens goes on.
fn place(cursor: &Cursor) -> Result<(i64, Uuid), InvalidCursor> {
    let [list, id, time] = cursor.parts()?;
    let parsed = time.parse().ok().zip(Uuid::try_parse(id).ok()).filter(|_| list == LIST);
    parsed.ok_or(InvalidCursor)
}

fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use gatebook_events::admission::Usability;
    use gatebook_events::client::ClientEvent;
    use gatebook_events::initial_access_token::Revoked;

    use super::*;
    use crate::scene::{Folder, at, id, issued, of_client, of_token, one_client, registered, second, server, tenant, token, used};

    fn numbers(rows: &[UseRow]) -> Vec<u32> {
        rows.iter().map(|row| row.number).collect()
    }

    #[test]
    fn a_token_is_shown_with_who_came_by_it_and_how_it_stands() {
        let folder = Folder::new();
        let mut model = folder.given::<Directory>(&one_client());
        let reader = model.reader();
        let one =
            |limit, cursor: Option<&Cursor>| reader.initial_access_token(&tenant("acme"), (server(1), token(1)), cursor, limit).unwrap();
        assert_eq!(one(9, None), None);
        model.apply(&[at(5, of_token(1), &used(1, 1)), at(6, of_token(1), &issued("ci", Some(3)))]).unwrap();
        let page = one(9, None).unwrap();
        assert_eq!((page.token.token.uses, page.rows, page.token.issued_at), (0, vec![], second(6)), "a use before it was issued is none");
        model.apply(&[at(7, of_token(1), &used(1, 1)), at(8, of_token(1), &used(2, 2)), at(9, of_token(1), &used(3, 3))]).unwrap();
        let page = one(2, None).unwrap();
        assert_eq!((numbers(&page.rows), page.rows[0].client_id.clone(), page.rows[0].used_at), (vec![3, 2], id(3), second(9)));
        let rest = one(2, page.next_cursor.as_ref()).unwrap();
        assert_eq!((numbers(&rest.rows), rest.next_cursor), (vec![1], None));
        assert_eq!(page.token.token.usability(second(9)), Usability::UsedUp);
        let revoked = InitialAccessTokenEvent::Revoked(Revoked { reason: Some("it leaked".to_owned()) });
        model.apply(&[at(10, of_token(1), &revoked), at(11, of_token(1), &used(4, 4))]).unwrap();
        let page = one(9, None).unwrap();
        assert_eq!((page.token.revoked_at, page.token.token.usability(second(11))), (Some(second(10)), Usability::Revoked));
        assert_eq!((page.token.revoked_because.as_deref(), numbers(&page.rows)), (Some("it leaked"), vec![3, 2, 1]));
        assert_eq!(reader.initial_access_token(&tenant("other"), (server(1), token(1)), None, 9).unwrap(), None);
        assert_eq!(reader.initial_access_token(&tenant("acme"), (server(2), token(1)), None, 9).unwrap(), None);
    }

    #[test]
    fn tokens_are_listed_page_by_page_the_newest_first() {
        let folder = Folder::new();
        let mut log = one_client();
        log.extend((5..10).map(|number| at(number, of_token(number.into()), &issued("ci", None))));
        log.push(at(10, of_token(7), &used(1, 1)));
        let reader = folder.given::<Directory>(&log).reader();
        let (mut ids, mut cursor) = (Vec::new(), None);
        loop {
            let page = reader.initial_access_tokens(&tenant("acme"), server(1), cursor.as_ref(), (2, 5)).unwrap();
            assert!(page.rows.iter().all(|(row, uses)| uses.len() == usize::from(row.id == token(7))));
            ids.extend(page.rows.into_iter().map(|(row, _)| row.id));
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(ids, [token(9), token(8), token(7), token(6), token(5)]);
        assert_eq!(reader.initial_access_tokens(&tenant("other"), server(1), None, (2, 5)).unwrap().rows, []);
        let foreign = reader.initial_access_token(&tenant("acme"), (server(1), token(7)), cursor.as_ref(), 5);
        assert!(matches!(foreign, Err(QueryError::Cursor(_))));
    }

    #[test]
    fn a_client_names_the_token_that_it_came_by() {
        let folder = Folder::new();
        let mut log = one_client();
        let ClientEvent::Registered(mut by_token) = registered(1, "Claude Code") else { unreachable!() };
        by_token.initial_access_token = Some(token(1));
        log[1] = at(2, of_client(1), &ClientEvent::Registered(by_token));
        let row = folder.given::<Directory>(&log).reader().client(&tenant("acme"), server(1), &id(1)).unwrap().unwrap();
        assert_eq!(row.initial_access_token, Some(token(1)));
    }
}
