//! When each document is read again. A side table: it survives a restart, is bounded by the number of clients, and may be
//! thrown away; no event depends on it.

use std::path::Path;

use chrono::{DateTime, Utc};
use gatebook_events::envelope::Position;
use gatebook_events::identity::{ClientId, ClientKey};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::application::manifests::lease::Noted;
use crate::outbound::Validators;
use crate::platform::side_db::{OpenError, SideTable};

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS documents (
    key BLOB PRIMARY KEY NOT NULL,
    client_id TEXT NOT NULL,
    host TEXT NOT NULL,
    next_at INTEGER NOT NULL,
    last_read INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    validators TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS documents_by_time ON documents (next_at);
CREATE TABLE IF NOT EXISTS mark (
    one INTEGER PRIMARY KEY NOT NULL CHECK (one = 1),
    position INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;
";

/// When each document is read again. Cheap to clone.
#[derive(Clone)]
pub struct Schedule(SideTable);

/// A document that is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// Whose it is; also its URL.
    pub client_id: ClientId,
    /// When it was last read.
    pub last_read: DateTime<Utc>,
    /// How often it could not be read since.
    pub failures: u32,
    /// What to ask with.
    pub validators: Validators,
}

impl Schedule {
    /// Opens the file, or makes it. What is lost of it costs a poll too early.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        SideTable::open(path, "the schedule of clients' documents", SCHEMA).map(Self)
    }

    /// Where it is kept.
    pub(crate) fn table(&self) -> &SideTable {
        &self.0
    }

    /// Enters documents that are not in it yet, to be read at `next_at`.
    pub async fn add(&self, client_ids: Vec<ClientId>, next_at: DateTime<Utc>) {
        const ADD: &str = "INSERT OR IGNORE INTO documents (key, client_id, host, next_at, last_read, failures, validators) \
            VALUES (?1, ?2, ?3, ?4, ?4, 0, '{}')";
        self.with("add", move |connection| {
            let tx = connection.transaction()?;
            for client_id in &client_ids {
                let at = next_at.timestamp_micros();
                tx.prepare_cached(ADD)?.execute(params![key_of(client_id), client_id.as_str(), host(client_id), at])?;
            }
            tx.commit()
        })
        .await;
    }

    /// Notes that a document was read.
    pub async fn read_well(&self, client_id: &ClientId, validators: &Validators, at: DateTime<Utc>, next_at: DateTime<Utc>) {
        self.note(client_id, 0, validators.clone(), at, next_at).await;
    }

    /// Notes that a document could not be read. It is asked for whole the next time, so that what is there then is read.
    pub async fn read_badly(&self, client_id: &ClientId, failures: u32, last_read: DateTime<Utc>, next_at: DateTime<Utc>) {
        self.note(client_id, failures, Validators::default(), last_read, next_at).await;
    }

    async fn note(&self, client_id: &ClientId, failures: u32, validators: Validators, last_read: DateTime<Utc>, next_at: DateTime<Utc>) {
        const NOTE: &str = "INSERT OR REPLACE INTO documents (key, client_id, host, next_at, last_read, failures, validators) \
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let client_id = client_id.clone();
        let validators = serde_json::to_string(&validators).unwrap_or_else(|_| "{}".to_owned());
        self.with("note", move |connection| {
            let (next_at, last_read) = (next_at.timestamp_micros(), last_read.timestamp_micros());
            let row = params![key_of(&client_id), client_id.as_str(), host(&client_id), next_at, last_read, failures, validators];
            connection.prepare_cached(NOTE)?.execute(row).map(drop)
        })
        .await;
    }

    /// Notes what the log hashed to when a document was last read.
    pub async fn mark(&self, position: Position, hash: [u8; 32]) {
        const MARK: &str = "INSERT OR REPLACE INTO mark VALUES (1, ?1, ?2)";
        self.with("mark", move |connection| {
            connection.prepare_cached(MARK)?.execute(params![position.to_backend().cast_signed(), hash]).map(drop)
        })
        .await;
    }

    /// What the log hashed to then; none before any was read.
    pub async fn marked(&self) -> Option<(Position, Vec<u8>)> {
        let row = |row: &Row<'_>| Ok((Position::from_backend(row.get::<_, i64>(0)?.cast_unsigned()), row.get(1)?));
        let read = self.with("read", move |connection| connection.query_row("SELECT position, hash FROM mark", [], row).optional());
        read.await.flatten()
    }

    /// Has every document read whole and soon: what was read last may not be in the log that there is now.
    pub async fn read_all_anew(&self, now: DateTime<Utc>) {
        self.with("begin anew", move |connection| {
            let tx = connection.transaction()?;
            tx.execute("UPDATE documents SET validators = '{}', next_at = min(next_at, ?1)", [now.timestamp_micros()])?;
            tx.execute("DELETE FROM mark", [])?;
            tx.commit()
        })
        .await;
    }

    /// Notes that nobody asked for a document; nothing else is known of it.
    pub async fn put_off(&self, key: ClientKey, next_at: DateTime<Utc>) {
        self.with("put off", move |connection| {
            let next_at = next_at.timestamp_micros();
            connection.prepare_cached("UPDATE documents SET next_at = ?2 WHERE key = ?1")?.execute((key.0.as_bytes(), next_at)).map(drop)
        })
        .await;
    }

    /// Forgets a document.
    pub async fn remove(&self, key: ClientKey) {
        self.with("remove", move |connection| {
            connection.prepare_cached("DELETE FROM documents WHERE key = ?1")?.execute([key.0.as_bytes()]).map(drop)
        })
        .await;
    }

    /// Lets no document wait for longer than until `latest`: a clock that was ahead, or longer pauses that were configured
    /// before, must not keep one from being read.
    pub async fn bound(&self, latest: DateTime<Utc>) {
        self.with("bound", move |connection| {
            let bound = "UPDATE documents SET next_at = ?1 WHERE next_at > ?1";
            connection.prepare_cached(bound)?.execute([latest.timestamp_micros()]).map(drop)
        })
        .await;
    }

    /// The documents that are due, no host's second one before every other host's first.
    pub async fn due(&self, now: DateTime<Utc>, limit: usize) -> Vec<Due> {
        const DUE: &str = "SELECT client_id, last_read, failures, validators FROM \
            (SELECT *, row_number() OVER (PARTITION BY host ORDER BY next_at) AS turn FROM documents WHERE next_at <= ?1) \
            ORDER BY turn, next_at LIMIT ?2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let due = self.with("read", move |connection| {
            let mut statement = connection.prepare_cached(DUE)?;
            statement.query_map((now.timestamp_micros(), limit), due)?.collect::<rusqlite::Result<Vec<_>>>()
        });
        due.await.unwrap_or_default()
    }

    /// What is known of one document.
    pub async fn of(&self, key: ClientKey) -> Option<Due> {
        const OF: &str = "SELECT client_id, last_read, failures, validators FROM documents WHERE key = ?1";
        self.with("read", move |connection| connection.prepare_cached(OF)?.query_row([key.0.as_bytes()], due).optional()).await.flatten()
    }

    /// All that stands here about one document.
    pub async fn noted(&self, key: ClientKey) -> Option<Noted> {
        const NOTED: &str = "SELECT client_id, last_read, failures, validators, next_at FROM documents WHERE key = ?1";
        let found = self.with("read", move |connection| {
            let row = |row: &Row<'_>| Ok((due(row)?, DateTime::from_timestamp_micros(row.get(4)?).unwrap_or_default()));
            connection.prepare_cached(NOTED)?.query_row([key.0.as_bytes()], row).optional()
        });
        let (Due { last_read, failures, validators, .. }, next_at) = found.await.flatten()?;
        Some(Noted { next_at, last_read, failures, validators })
    }

    /// When the next document is due.
    pub async fn next_at(&self) -> Option<DateTime<Utc>> {
        let least = self.with("read", |connection| {
            connection.prepare_cached("SELECT min(next_at) FROM documents")?.query_row([], |row| row.get::<_, Option<i64>>(0))
        });
        least.await.flatten().and_then(DateTime::from_timestamp_micros)
    }

    /// How many documents are due, and how many of them since before `long_ago`.
    pub async fn waiting(&self, now: DateTime<Utc>, long_ago: DateTime<Utc>) -> Option<(u64, u64)> {
        const WAITING: &str = "SELECT count(*), count(CASE WHEN next_at < ?2 THEN 1 END) FROM documents WHERE next_at <= ?1";
        let times = (now.timestamp_micros(), long_ago.timestamp_micros());
        let counts = self.with("count", move |connection| {
            connection.prepare_cached(WAITING)?.query_row(times, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
        });
        counts.await.map(|(due, overdue)| (due.unsigned_abs(), overdue.unsigned_abs()))
    }

    /// Makes these documents due now.
    pub async fn make_due(&self, client_ids: Vec<ClientId>, now: DateTime<Utc>) {
        self.add(client_ids.clone(), now).await;
        self.with("hasten", move |connection| {
            let tx = connection.transaction()?;
            for client_id in &client_ids {
                let hasten = "UPDATE documents SET next_at = ?2 WHERE key = ?1 AND next_at > ?2";
                tx.prepare_cached(hasten)?.execute((key_of(client_id), now.timestamp_micros()))?;
            }
            tx.commit()
        })
        .await;
    }

    /// A schedule that cannot be kept costs polls and no facts, so it is said in the log and nowhere else.
    async fn with<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Option<T> {
        match self.0.with(work).await {
            Ok(value) => Some(value),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::error!(%error, cause, what, "the schedule of clients' documents cannot be kept");
                None
            }
        }
    }
}

fn key_of(client_id: &ClientId) -> [u8; 16] {
    client_id.key().0.into_bytes()
}

/// The host of a document, without its port: who has a host has all of them.
pub(super) fn host(client_id: &ClientId) -> &str {
    let authority = client_id.as_str().split('/').nth(2).unwrap_or_default();
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    }
}

fn due(row: &Row<'_>) -> rusqlite::Result<Due> {
    let text: String = row.get(0)?;
    Ok(Due {
        client_id: ClientId::parse(&text).map_err(|_| rusqlite::Error::InvalidQuery)?,
        last_read: DateTime::from_timestamp_micros(row.get(1)?).unwrap_or_default(),
        failures: row.get(2)?,
        validators: serde_json::from_str(&row.get::<_, String>(3)?).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn id(text: &str) -> ClientId {
        ClientId::parse(text).unwrap()
    }

    #[tokio::test]
    async fn what_is_due_comes_in_turns_so_that_one_host_does_not_keep_the_others_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let schedule = Schedule::open(&folder.path().join("schedule.db")).unwrap();
        let crowd: Vec<_> = (0..5).map(|n| id(&format!("https://crowd.example/{n}"))).collect();
        schedule.add(crowd, at(0)).await;
        schedule.add(vec![id("https://quiet.example/a"), id("https://calm.example/a")], at(1)).await;
        schedule.add(vec![id("https://later.example/a")], at(100)).await;
        let due = schedule.due(at(2), 3).await;
        let hosts: Vec<_> = due.iter().map(|due| host(&due.client_id)).collect();
        assert_eq!(hosts, ["crowd.example", "calm.example", "quiet.example"]);
        assert_eq!(schedule.due(at(2), 100).await.len(), 7);
        assert_eq!(schedule.next_at().await, Some(at(0)));
    }

    #[tokio::test]
    async fn a_restart_forgets_nothing_and_a_failure_forgets_what_to_ask_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schedule.db");
        let url = id("https://app.example/client.json");
        let known = Validators { etag: Some("\"1\"".into()), last_modified: None };
        {
            let schedule = Schedule::open(&path).unwrap();
            schedule.read_well(&url, &known, at(0), at(60)).await;
        }
        let schedule = Schedule::open(&path).unwrap();
        let kept = Due { client_id: url.clone(), last_read: at(0), failures: 0, validators: known };
        assert_eq!(schedule.due(at(60), 10).await, std::slice::from_ref(&kept));
        // What is in it already is not entered anew.
        schedule.add(vec![url.clone()], at(5)).await;
        assert_eq!(schedule.of(url.key()).await, Some(kept));
        schedule.read_badly(&url, 2, at(0), at(120)).await;
        let failed = schedule.of(url.key()).await.unwrap();
        assert_eq!((failed.failures, failed.validators), (2, Validators::default()));
        schedule.put_off(url.key(), at(300)).await;
        assert_eq!(schedule.due(at(299), 10).await, []);
        schedule.make_due(vec![url.clone()], at(200)).await;
        assert_eq!(schedule.due(at(200), 10).await.len(), 1);
    }

    #[tokio::test]
    async fn a_clock_that_was_ahead_keeps_no_document_from_being_read() {
        let folder = tempfile::tempdir().unwrap();
        let schedule = Schedule::open(&folder.path().join("schedule.db")).unwrap();
        let url = id("https://app.example/client.json");
        schedule.read_well(&url, &Validators::default(), at(1_000_000), at(1_000_060)).await;
        schedule.bound(at(100)).await;
        assert_eq!(schedule.next_at().await, Some(at(100)));
        assert_eq!(schedule.waiting(at(150), at(120)).await, Some((1, 1)));
        schedule.remove(url.key()).await;
        assert_eq!((schedule.next_at().await, schedule.waiting(at(150), at(120)).await), (None, Some((0, 0))));
    }

    #[tokio::test]
    async fn t2_documents_that_were_read_for_another_log_are_read_whole_and_soon() {
        let folder = tempfile::tempdir().unwrap();
        let schedule = Schedule::open(&folder.path().join("schedule.db")).unwrap();
        let url = id("https://app.example/client.json");
        let known = Validators { etag: Some("\"1\"".into()), last_modified: None };
        assert_eq!(schedule.marked().await, None);
        schedule.read_well(&url, &known, at(0), at(600)).await;
        schedule.mark(Position::from_backend(7), [7; 32]).await;
        schedule.mark(Position::from_backend(9), [9; 32]).await;
        assert_eq!(schedule.marked().await, Some((Position::from_backend(9), vec![9; 32])));
        schedule.read_all_anew(at(10)).await;
        let due = schedule.due(at(10), 10).await;
        assert_eq!((due.len(), &due[0].validators, schedule.marked().await), (1, &Validators::default(), None));
    }

    #[test]
    fn a_host_is_the_same_on_all_its_ports() {
        for (url, expected) in [
            ("https://app.example/a", "app.example"),
            ("https://app.example:8443/a", "app.example"),
            ("http://[::1]:80/a", "[::1]"),
            ("http://[::1]/a:b", "[::1]"),
        ] {
            assert_eq!(host(&id(url)), expected);
        }
    }
}
