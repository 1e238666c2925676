//! How far each webhook has come, and what it has not taken yet. A side table: lost, everything is sent again from where the webhook
//! began, or from what nodes that share a log have noted.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use chrono::{DateTime, Utc};
use gatebook_events::envelope::{EventId, Position};
use gatebook_events::identity::WebhookId;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::delivery::webhooks::state::Change;
use crate::platform::side_db::{NotKept, OpenError, SideTable};

mod marks;

/// A letter is an event that was not taken at the first attempt, or that waits behind one of its stream.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS webhooks (
    webhook BLOB PRIMARY KEY NOT NULL,
    position INTEGER NOT NULL,
    taken_at INTEGER,
    failed_at INTEGER,
    failing_since INTEGER,
    trouble TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS letters (
    webhook BLOB NOT NULL,
    position INTEGER NOT NULL,
    stream TEXT NOT NULL,
    event_id BLOB NOT NULL,
    name TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    tried_at INTEGER,
    trouble TEXT,
    dead_at INTEGER,
    PRIMARY KEY (webhook, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS letters_of_stream ON letters (webhook, stream, position);
CREATE TABLE IF NOT EXISTS marks (
    position INTEGER PRIMARY KEY NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS returns (
    webhook BLOB PRIMARY KEY NOT NULL,
    at INTEGER NOT NULL,
    came_from INTEGER NOT NULL,
    went_to INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Nobody of the same stream stands before it.
const FIRST: &str = "NOT EXISTS (SELECT 1 FROM letters AS earlier WHERE earlier.webhook = letters.webhook \
    AND earlier.stream = letters.stream AND earlier.position < letters.position)";

const COLUMNS: &str = "position, stream, event_id, name, attempts, next_at, tried_at, trouble, dead_at";

/// The table. Cheap to clone.
#[derive(Clone)]
pub struct Outbox(SideTable);

/// An event that a webhook has not taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Letter {
    /// Where it stands in the log.
    #[serde(with = "place")]
    pub position: Position,
    /// In which stream; the stream's later events wait behind it.
    pub stream: String,
    /// Its id.
    pub event_id: EventId,
    /// Its stored name.
    pub name: String,
    /// How often it was sent.
    pub attempts: u32,
    /// When it is sent again.
    pub next_at: DateTime<Utc>,
    /// When it was last sent; none for one that waits behind another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried_at: Option<DateTime<Utc>>,
    /// What went wrong then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Since when it is not sent again unless somebody wishes so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_at: Option<DateTime<Utc>>,
}

/// How far a webhook has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// Everything up to here was taken or is a letter; none before anything was read.
    #[serde(with = "place::optional", skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Letters that are sent again, and those behind them. Like those below, counted and not kept.
    #[serde(skip)]
    pub waiting: u64,
    /// Letters that are not.
    #[serde(skip)]
    pub dead: u64,
    /// Letters behind those.
    #[serde(skip)]
    pub held: u64,
    /// When something was last taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<DateTime<Utc>>,
    /// When something was last not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<DateTime<Utc>>,
    /// Since when nothing was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<DateTime<Utc>>,
    /// What went wrong last, while nothing is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// When this node last found that the log is not the one that the webhook was told of, and what it went back to.
    #[serde(skip)]
    pub went_back: Option<WentBack>,
}

/// A webhook that is told again what the log says since the last position at which it was the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WentBack {
    /// When that was found.
    pub at: DateTime<Utc>,
    /// How far it had been.
    pub from: Position,
    /// Where it goes on.
    pub to: Position,
}

/// What came of a round of sending.
#[derive(Debug, Clone, Default)]
pub struct Round {
    /// How far was read, if anything new was.
    pub position: Option<Position>,
    /// What the log hashes to there.
    pub hash: Option<[u8; 32]>,
    /// Letters that were taken.
    pub taken: Vec<Position>,
    /// Letters that were not, as they are now.
    pub letters: Vec<Letter>,
    /// Why something that was sent was not taken.
    pub trouble: Option<String>,
}

impl Outbox {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        SideTable::open(path, "what webhooks were sent", SCHEMA).map(Self)
    }

    /// Where it is kept.
    pub fn table(&self) -> &SideTable {
        &self.0
    }

    /// Changes what is kept of a webhook. Says how many letters somebody's wish was about.
    pub async fn change(&self, webhook: WebhookId, change: &Change, now: DateTime<Utc>) -> Result<usize, NotKept> {
        match change {
            Change::None => Ok(0),
            Change::Round(round) => self.note(webhook, round.clone(), now).await.map(|()| 0),
            Change::Hasten => self.hasten(webhook, now).await,
            Change::Revive(event) => self.revive(webhook, *event, now).await,
            Change::GoBack(to) => self.go_back(webhook, *to, now).await,
            Change::Drop(event) => self.drop_dead(webhook, *event).await,
        }
    }

    /// All that is kept of a webhook.
    pub async fn all(&self, webhook: WebhookId) -> Result<(Standing, Vec<Letter>), NotKept> {
        let read = move |connection: &mut Connection| {
            let sql = format!("SELECT {COLUMNS} FROM letters WHERE webhook = ?1 ORDER BY position");
            let letters = connection.prepare_cached(&sql)?.query_map([webhook.0.as_bytes()], letter)?.collect::<Result<_, _>>()?;
            Ok((standing(connection, webhook)?, letters))
        };
        self.0.with(read).await
    }

    /// Has this be all that is kept of a webhook.
    pub async fn replace(&self, webhook: WebhookId, standing: Standing, letters: Vec<Letter>) -> Result<(), NotKept> {
        const KNOW: &str = "INSERT INTO webhooks (webhook, position, taken_at, failed_at, failing_since, trouble) \
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.0
            .with(move |connection| {
                let (tx, id) = (connection.transaction()?, webhook.0.as_bytes().as_slice());
                tx.execute("DELETE FROM letters WHERE webhook = ?1", [id])?;
                tx.execute("DELETE FROM webhooks WHERE webhook = ?1", [id])?;
                if let Some(position) = standing.position {
                    let micros = |time: Option<DateTime<Utc>>| time.map(|time| time.timestamp_micros());
                    let (taken_at, failed_at, since) =
                        (micros(standing.taken_at), micros(standing.failed_at), micros(standing.failing_since));
                    tx.execute(KNOW, params![id, number(position), taken_at, failed_at, since, standing.trouble])?;
                }
                for letter in letters {
                    put(&tx, webhook, &letter)?;
                }
                tx.commit()
            })
            .await
    }

    /// How far a webhook has come.
    pub async fn standing(&self, webhook: WebhookId) -> Result<Standing, NotKept> {
        self.0.with(move |connection| standing(connection, webhook)).await
    }

    /// The letters that are due, no stream's second one before its first. One that was tried by a clock that was ahead is due too.
    pub async fn due(&self, webhook: WebhookId, now: DateTime<Utc>, limit: usize) -> Result<Vec<Letter>, NotKept> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = move |connection: &mut Connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM letters WHERE webhook = ?1 AND dead_at IS NULL AND (next_at <= ?2 OR tried_at > ?2) AND {FIRST} \
                 ORDER BY next_at, position LIMIT ?3"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let found = statement.query_map(params![webhook.0.as_bytes(), now.timestamp_micros(), limit], letter)?;
            found.collect()
        };
        self.0.with(read).await
    }

    /// When the next letter is due.
    pub async fn next_at(&self, webhook: WebhookId) -> Result<Option<DateTime<Utc>>, NotKept> {
        let read = move |connection: &mut Connection| {
            let sql = format!("SELECT min(next_at) FROM letters WHERE webhook = ?1 AND dead_at IS NULL AND {FIRST}");
            connection.prepare_cached(&sql)?.query_row([webhook.0.as_bytes()], |row| row.get::<_, Option<i64>>(0))
        };
        Ok(self.0.with(read).await?.and_then(DateTime::from_timestamp_micros))
    }

    /// The streams that have letters: what else happens there has to wait behind them.
    pub async fn streams(&self, webhook: WebhookId) -> Result<HashSet<String>, NotKept> {
        let read = move |connection: &mut Connection| {
            let mut statement = connection.prepare_cached("SELECT DISTINCT stream FROM letters WHERE webhook = ?1")?;
            statement.query_map([webhook.0.as_bytes()], |row| row.get(0))?.collect()
        };
        self.0.with(read).await
    }

    /// Notes what came of a round, all of it or nothing. The position never goes back.
    pub async fn note(&self, webhook: WebhookId, round: Round, now: DateTime<Utc>) -> Result<(), NotKept> {
        const KNOW: &str = "INSERT INTO webhooks (webhook, position) VALUES (?1, ?2) \
            ON CONFLICT DO UPDATE SET position = max(position, excluded.position)";
        const FAILED: &str =
            "UPDATE webhooks SET failed_at = ?2, failing_since = coalesce(failing_since, ?2), trouble = ?3 WHERE webhook = ?1";
        const TAKEN: &str = "UPDATE webhooks SET taken_at = ?2, failing_since = NULL, trouble = NULL WHERE webhook = ?1";
        self.0
            .with(move |connection| {
                let (tx, id, now) = (connection.transaction()?, webhook.0.as_bytes().as_slice(), now.timestamp_micros());
                let any_taken = !round.taken.is_empty();
                if let Some(position) = round.position {
                    tx.prepare_cached(KNOW)?.execute(params![id, number(position)])?;
                    if let Some(hash) = round.hash {
                        marks::mark(&tx, position, hash)?;
                    }
                }
                for position in round.taken {
                    tx.prepare_cached("DELETE FROM letters WHERE webhook = ?1 AND position = ?2")?
                        .execute(params![id, number(position)])?;
                }
                for letter in round.letters {
                    put(&tx, webhook, &letter)?;
                }
                if let Some(trouble) = round.trouble {
                    tx.prepare_cached(FAILED)?.execute(params![id, now, trouble])?;
                }
                if any_taken {
                    tx.prepare_cached(TAKEN)?.execute(params![id, now])?;
                }
                tx.commit()
            })
            .await
    }

    /// Has everything that waits sent now, and forgets for how long nothing was taken. Says how many letters and troubles there were.
    pub async fn hasten(&self, webhook: WebhookId, now: DateTime<Utc>) -> Result<usize, NotKept> {
        self.0
            .with(move |connection| {
                let (tx, id) = (connection.transaction()?, webhook.0.as_bytes().as_slice());
                let hasten = "UPDATE letters SET next_at = ?2 WHERE webhook = ?1 AND dead_at IS NULL AND next_at > ?2";
                let letters = tx.execute(hasten, params![id, now.timestamp_micros()])?;
                let forget = "UPDATE webhooks SET failing_since = NULL, trouble = NULL WHERE webhook = ?1 AND failing_since IS NOT NULL";
                let troubles = tx.execute(forget, [id])?;
                tx.commit()?;
                Ok(letters + troubles)
            })
            .await
    }

    /// One page of the dead letters in the order of the log, each with how many letters wait behind it.
    pub async fn dead(&self, webhook: WebhookId, after: Position, limit: usize) -> Result<Vec<(Letter, u64)>, NotKept> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = move |connection: &mut Connection| {
            let sql = format!(
                "SELECT {COLUMNS}, (SELECT count(*) FROM letters AS later WHERE later.webhook = letters.webhook \
                 AND later.stream = letters.stream AND later.position > letters.position) \
                 FROM letters WHERE webhook = ?1 AND dead_at IS NOT NULL AND position > ?2 ORDER BY position LIMIT ?3"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let found = statement.query_map(params![webhook.0.as_bytes(), number(after), limit], |row| {
                Ok((letter(row)?, row.get::<_, i64>(9)?.unsigned_abs()))
            })?;
            found.collect()
        };
        self.0.with(read).await
    }

    /// One dead letter.
    pub async fn dead_letter(&self, webhook: WebhookId, event: EventId) -> Result<Option<Letter>, NotKept> {
        let read = move |connection: &mut Connection| {
            let sql = format!("SELECT {COLUMNS} FROM letters WHERE webhook = ?1 AND event_id = ?2 AND dead_at IS NOT NULL");
            connection.prepare_cached(&sql)?.query_row(params![webhook.0.as_bytes(), event.0.as_bytes()], letter).optional()
        };
        self.0.with(read).await
    }

    /// Has a dead letter sent again, or all of them. Says how many there were.
    pub async fn revive(&self, webhook: WebhookId, event: Option<EventId>, now: DateTime<Utc>) -> Result<usize, NotKept> {
        let revive = move |connection: &mut Connection| {
            let event = event.map(|id| id.0.into_bytes());
            let sql = "UPDATE letters SET dead_at = NULL, attempts = 0, next_at = ?3 \
                WHERE webhook = ?1 AND dead_at IS NOT NULL AND (?2 IS NULL OR event_id = ?2)";
            connection.execute(sql, params![webhook.0.as_bytes(), event, now.timestamp_micros()])
        };
        self.0.with(revive).await
    }

    /// Takes a dead letter out for good. Says whether it was there, as their number.
    pub async fn drop_dead(&self, webhook: WebhookId, event: EventId) -> Result<usize, NotKept> {
        let remove = "DELETE FROM letters WHERE webhook = ?1 AND event_id = ?2 AND dead_at IS NOT NULL";
        self.0.with(move |connection| connection.execute(remove, params![webhook.0.as_bytes(), event.0.as_bytes()])).await
    }

    /// Forgets a webhook.
    pub async fn forget(&self, webhook: WebhookId) -> Result<(), NotKept> {
        self.0
            .with(move |connection| {
                let tx = connection.transaction()?;
                tx.execute("DELETE FROM letters WHERE webhook = ?1", [webhook.0.as_bytes()])?;
                tx.execute("DELETE FROM webhooks WHERE webhook = ?1", [webhook.0.as_bytes()])?;
                tx.execute("DELETE FROM returns WHERE webhook = ?1", [webhook.0.as_bytes()])?;
                tx.commit()
            })
            .await
    }

    /// How many letters there are of all webhooks: that wait, and that are dead.
    pub async fn counts(&self) -> Result<BTreeMap<&'static str, u64>, NotKept> {
        let sql = "SELECT count(*) - count(dead_at), count(dead_at) FROM letters";
        let read =
            move |connection: &mut Connection| connection.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
        let (waiting, dead) = self.0.with(read).await?;
        Ok(BTreeMap::from([("waiting", waiting.unsigned_abs()), ("dead", dead.unsigned_abs())]))
    }
}

fn standing(connection: &Connection, webhook: WebhookId) -> rusqlite::Result<Standing> {
    const KNOWN: &str = "SELECT position, taken_at, failed_at, failing_since, trouble FROM webhooks WHERE webhook = ?1";
    const COUNTS: &str = "SELECT count(dead_at), count(CASE WHEN dead_at IS NULL AND held THEN 1 END), \
        count(CASE WHEN dead_at IS NULL AND NOT held THEN 1 END) FROM (SELECT dead_at, EXISTS (SELECT 1 FROM letters AS earlier \
        WHERE earlier.webhook = letters.webhook AND earlier.stream = letters.stream AND earlier.position < letters.position \
        AND earlier.dead_at IS NOT NULL) AS held FROM letters WHERE webhook = ?1)";
    let id = webhook.0.as_bytes().as_slice();
    let known = |row: &Row<'_>| {
        Ok(Standing {
            position: Some(Position::from_backend(row.get::<_, i64>(0)?.cast_unsigned())),
            taken_at: time(row, 1)?,
            failed_at: time(row, 2)?,
            failing_since: time(row, 3)?,
            trouble: row.get(4)?,
            ..Standing::default()
        })
    };
    let mut standing = connection.prepare_cached(KNOWN)?.query_row([id], known).optional()?.unwrap_or_default();
    let back = |row: &Row<'_>| {
        let place = |column| Ok::<_, rusqlite::Error>(Position::from_backend(row.get::<_, i64>(column)?.cast_unsigned()));
        Ok(WentBack { at: time(row, 0)?.unwrap_or_default(), from: place(1)?, to: place(2)? })
    };
    let sql = "SELECT at, came_from, went_to FROM returns WHERE webhook = ?1";
    standing.went_back = connection.prepare_cached(sql)?.query_row([id], back).optional()?;
    let count = |row: &Row<'_>, column| row.get::<_, i64>(column).map(i64::unsigned_abs);
    (standing.dead, standing.held, standing.waiting) =
        connection.prepare_cached(COUNTS)?.query_row([id], |row| Ok((count(row, 0)?, count(row, 1)?, count(row, 2)?)))?;
    Ok(standing)
}

fn put(tx: &Transaction<'_>, webhook: WebhookId, letter: &Letter) -> rusqlite::Result<()> {
    const PUT: &str = "INSERT OR REPLACE INTO letters \
        (webhook, position, stream, event_id, name, attempts, next_at, tried_at, trouble, dead_at) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    tx.prepare_cached(PUT)?.execute(params![
        webhook.0.as_bytes(),
        number(letter.position),
        letter.stream,
        letter.event_id.0.as_bytes(),
        letter.name,
        letter.attempts,
        letter.next_at.timestamp_micros(),
        letter.tried_at.map(|at| at.timestamp_micros()),
        letter.trouble,
        letter.dead_at.map(|at| at.timestamp_micros()),
    ])?;
    Ok(())
}

fn letter(row: &Row<'_>) -> rusqlite::Result<Letter> {
    Ok(Letter {
        position: Position::from_backend(row.get::<_, i64>(0)?.cast_unsigned()),
        stream: row.get(1)?,
        event_id: EventId(Uuid::from_bytes(row.get(2)?)),
        name: row.get(3)?,
        attempts: row.get(4)?,
        next_at: time(row, 5)?.unwrap_or_default(),
        tried_at: time(row, 6)?,
        trouble: row.get(7)?,
        dead_at: time(row, 8)?,
    })
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<DateTime<Utc>>> {
    Ok(row.get::<_, Option<i64>>(column)?.and_then(DateTime::from_timestamp_micros))
}

fn number(position: Position) -> i64 {
    position.to_backend().cast_signed()
}

/// A place in the log as notes have it: a number.
mod place {
    use gatebook_events::envelope::Position;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub fn serialize<S: Serializer>(position: &Position, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(position.to_backend())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Position, D::Error> {
        u64::deserialize(deserializer).map(Position::from_backend)
    }

    pub mod optional {
        use super::{Deserialize, Deserializer, Position, Serializer};

        #[expect(clippy::ref_option, reason = "serde calls it so")]
        pub fn serialize<S: Serializer>(position: &Option<Position>, serializer: S) -> Result<S::Ok, S::Error> {
            match position {
                Some(position) => super::serialize(position, serializer),
                None => serializer.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Position>, D::Error> {
            Ok(Option::<u64>::deserialize(deserializer)?.map(Position::from_backend))
        }
    }
}

#[cfg(test)]
mod tests;
