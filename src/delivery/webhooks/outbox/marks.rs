//! What the log hashed to where webhooks came to, and what becomes of a webhook where it is another one by now.

use chrono::{DateTime, Utc};
use gatebook_events::envelope::Position;
use gatebook_events::identity::WebhookId;
use rusqlite::{Connection, Row, Transaction, params};
use uuid::Uuid;

use super::{Outbox, number};
use crate::platform::side_db::NotKept;

/// So many marks are kept, the more the newer: by them it is found how far the log is still the one that webhooks were told of.
const MOST_MARKS: i64 = 64;

impl Outbox {
    /// Positions that webhooks came to, with what the log hashed to there; the newest first.
    pub async fn marks(&self) -> Result<Vec<(Position, Vec<u8>)>, NotKept> {
        let read = move |connection: &mut Connection| {
            let mut statement = connection.prepare_cached("SELECT position, hash FROM marks ORDER BY position DESC")?;
            let row = |row: &Row<'_>| Ok((Position::from_backend(row.get::<_, i64>(0)?.cast_unsigned()), row.get(1)?));
            statement.query_map([], row)?.collect()
        };
        self.0.with(read).await
    }

    /// Has no marks after a position.
    pub async fn forget_marks(&self, after: Position) -> Result<(), NotKept> {
        self.0.with(move |connection| connection.execute("DELETE FROM marks WHERE position > ?1", [number(after)]).map(drop)).await
    }

    /// The webhooks that came further than to a position.
    pub async fn further_than(&self, position: Position) -> Result<Vec<WebhookId>, NotKept> {
        let read = move |connection: &mut Connection| {
            let mut statement = connection.prepare_cached("SELECT webhook FROM webhooks WHERE position > ?1")?;
            let row = |row: &Row<'_>| Ok(WebhookId(Uuid::from_bytes(row.get(0)?)));
            statement.query_map([number(position)], row)?.collect()
        };
        self.0.with(read).await
    }

    /// Has a webhook go on after a position before that to which it came, and forgets what it was not told after it. Says whether it
    /// was further, as a number.
    pub(super) async fn go_back(&self, webhook: WebhookId, to: Position, now: DateTime<Utc>) -> Result<usize, NotKept> {
        const KEEP: &str = "INSERT OR REPLACE INTO returns (webhook, at, came_from, went_to) \
            SELECT webhook, ?3, position, ?2 FROM webhooks WHERE webhook = ?1 AND position > ?2";
        self.0
            .with(move |connection| {
                let (tx, id, to) = (connection.transaction()?, webhook.0.as_bytes().as_slice(), number(to));
                let further = tx.execute(KEEP, params![id, to, now.timestamp_micros()])?;
                tx.execute("UPDATE webhooks SET position = ?2 WHERE webhook = ?1 AND position > ?2", params![id, to])?;
                tx.execute("DELETE FROM letters WHERE webhook = ?1 AND position > ?2", params![id, to])?;
                tx.commit()?;
                Ok(further)
            })
            .await
    }
}

/// Keeps what the log hashes to at a position, and of older ones the fewer the older they are.
pub(super) fn mark(tx: &Transaction<'_>, position: Position, hash: [u8; 32]) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO marks (position, hash) VALUES (?1, ?2)")?.execute(params![number(position), hash])?;
    let count: i64 = tx.prepare_cached("SELECT count(*) FROM marks")?.query_row([], |row| row.get(0))?;
    if count <= MOST_MARKS {
        return Ok(());
    }
    let all: Vec<i64> = tx
        .prepare_cached("SELECT position FROM marks ORDER BY position DESC")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let newest = all.first().copied().unwrap_or_default();
    let mut kept = newest;
    for position in all.into_iter().skip(1) {
        // The next one that is kept is a quarter further from the newest.
        if newest - position > (newest - kept) + (newest - kept) / 4 {
            kept = position;
        } else {
            tx.prepare_cached("DELETE FROM marks WHERE position = ?1")?.execute([position])?;
        }
    }
    Ok(())
}
