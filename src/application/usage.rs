//! When each registration was first and last used. A side table that the doors feed: no use is an event, there is one row for
//! a registration, and a day is as fine as it gets. A crash loses the uses of its last seconds.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, Utc};
use gatebook_events::identity::{ClientKey, ResourceServerId};
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::platform::side_db::{self, OpenError};

mod watch;

pub use watch::Watch;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS uses (
    resource_server BLOB NOT NULL,
    client_key BLOB NOT NULL,
    first_used INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    PRIMARY KEY (resource_server, client_key)
) STRICT, WITHOUT ROWID;
";

/// Between two looks at whether there is something to write.
const EVERY: Duration = Duration::from_secs(5);
/// So many uses are written before their time, lest memory fill up.
const MANY: usize = 16_384;
/// The most uses that wait to be written; what comes on top is forgotten until its client is used again.
const MOST_WAITING: usize = 131_072;
/// Of so many registrations it is remembered that today's use is written. Where there are more, some are written once more.
const MOST_WRITTEN: usize = 131_072;

/// A client at a resource server.
pub type Which = (ResourceServerId, ClientKey);

/// When a registration was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uses {
    /// The first time.
    pub first: DateTime<Utc>,
    /// The first time on the last day (UTC).
    pub last: DateTime<Utc>,
}

impl Uses {
    /// From when on it was not used: the end of that day, for it may have been used until then.
    pub fn idle_from(self) -> DateTime<Utc> {
        let next_day = self.last.date_naive().checked_add_days(Days::new(1)).unwrap_or(NaiveDate::MAX);
        next_day.and_time(chrono::NaiveTime::MIN).and_utc()
    }
}

/// When each registration was first and last used. Cheap to clone.
#[derive(Clone)]
pub struct Usage(Arc<Parts>);

struct Parts {
    noted: Mutex<Noted>,
    filling: Notify,
    connection: Mutex<Connection>,
    /// Why the table could not be kept the last time.
    trouble: Mutex<Option<String>>,
}

#[derive(Default)]
struct Noted {
    /// The first use of a day of each registration, until it is written.
    waiting: HashMap<Which, DateTime<Utc>>,
    /// The day of the last use that was written.
    written: HashMap<Which, NaiveDate>,
}

impl Usage {
    /// Opens the file, or makes it; `now` is when the watch over it begins.
    pub fn open(path: &Path, now: DateTime<Utc>) -> Result<Self, OpenError> {
        let connection = side_db::open(path, &format!("{SCHEMA}{}{}", watch::SCHEMA, watch::begin(now)))?;
        Ok(Self(Arc::new(Parts {
            noted: Mutex::default(),
            filling: Notify::new(),
            connection: Mutex::new(connection),
            trouble: Mutex::default(),
        })))
    }

    /// Takes note that a client was used at a resource server. Waits for nothing but memory.
    pub fn seen(&self, server: ResourceServerId, key: ClientKey, now: DateTime<Utc>) {
        let (which, today) = ((server, key), now.date_naive());
        let mut noted = self.noted();
        if noted.written.get(&which) == Some(&today) || noted.waiting.len() >= MOST_WAITING {
            return;
        }
        let first = noted.waiting.entry(which).or_insert(now);
        if first.date_naive() != today {
            *first = now;
        }
        if noted.waiting.len() >= MANY {
            self.0.filling.notify_one();
        }
    }

    /// Whether a use was noted that is not in the table yet.
    pub fn is_noted(&self, which: Which) -> bool {
        self.noted().waiting.contains_key(&which)
    }

    /// When these registrations were used; those that never were are absent.
    pub async fn of(&self, registrations: Vec<Which>) -> HashMap<Which, Uses> {
        const OF: &str = "SELECT first_used, last_used FROM uses WHERE resource_server = ?1 AND client_key = ?2";
        let found = self.with("read", move |connection| {
            let mut statement = connection.prepare_cached(OF)?;
            let mut found = HashMap::with_capacity(registrations.len());
            for which in registrations {
                let uses = statement.query_row(key_of(which), |row| Ok(Uses { first: time(row.get(0)?), last: time(row.get(1)?) }));
                found.extend(uses.optional()?.map(|uses| (which, uses)));
            }
            Ok(found)
        });
        found.await.unwrap_or_default()
    }

    /// Why the table could not be kept the last time; none once it was.
    pub fn trouble(&self) -> Option<String> {
        self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes what was noted.
    pub async fn flush(&self) {
        self.with("write", |_| Ok(())).await;
    }

    /// Writes in the background what is noted, until the task is aborted.
    pub fn start(&self) -> AbortHandle {
        let usage = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(EVERY) => {}
                    () = usage.0.filling.notified() => {}
                }
                if !usage.noted().waiting.is_empty() {
                    usage.flush().await;
                }
            }
        })
        .abort_handle()
    }

    /// Works on the table once what was noted is in it. A table that cannot be kept costs no facts, so it is said in the log
    /// and nowhere else.
    async fn with<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Option<T> {
        let usage = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            // Taken out of memory and put into the table under one lock, so that nobody finds a use in neither.
            let mut connection = usage.0.connection.lock().unwrap_or_else(PoisonError::into_inner);
            usage.write(&mut connection)?;
            work(&mut connection)
        });
        let done = done.await;
        let trouble = done.as_ref().ok().and_then(|done| done.as_ref().err()).map(ToString::to_string);
        *self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        match done {
            Ok(Ok(value)) => Some(value),
            Ok(Err(error)) => {
                tracing::error!(%error, what, "it cannot be kept when clients were used");
                None
            }
            Err(_) => None,
        }
    }

    fn write(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let waiting = std::mem::take(&mut self.noted().waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let outcome = write_all(connection, &waiting);
        let mut noted = self.noted();
        if outcome.is_err() {
            for (which, at) in waiting {
                noted.waiting.entry(which).or_insert(at);
            }
            return outcome;
        }
        if noted.written.len() + waiting.len() > MOST_WRITTEN {
            noted.written.clear();
        }
        noted.written.extend(waiting.into_iter().take(MOST_WRITTEN).map(|(which, at)| (which, at.date_naive())));
        Ok(())
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_all(connection: &mut Connection, uses: &HashMap<Which, DateTime<Utc>>) -> rusqlite::Result<()> {
    // A day has 86,400,000,000 microseconds. A row that has today already stays as it is.
    const WRITE: &str = "INSERT INTO uses (resource_server, client_key, first_used, last_used) VALUES (?1, ?2, ?3, ?3) \
        ON CONFLICT DO UPDATE SET last_used = excluded.last_used WHERE last_used / 86400000000 <> excluded.last_used / 86400000000";
    let tx = connection.transaction()?;
    {
        let mut statement = tx.prepare_cached(WRITE)?;
        for (which, at) in uses {
            let (server, client) = key_of(*which);
            statement.execute((server, client, at.timestamp_micros()))?;
        }
    }
    tx.commit()
}

fn key_of((server, client): Which) -> ([u8; 16], [u8; 16]) {
    (server.0.into_bytes(), client.0.into_bytes())
}

fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;

    fn noon(day: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_014_400, 0).unwrap() + TimeDelta::days(day)
    }

    fn which(client: u128) -> Which {
        (ResourceServerId(Uuid::from_u128(1)), ClientKey(Uuid::from_u128(client)))
    }

    fn sees(usage: &Usage, client: u128, at: DateTime<Utc>) {
        let (server, key) = which(client);
        usage.seen(server, key, at);
    }

    async fn uses(usage: &Usage, client: u128) -> Option<Uses> {
        usage.of(vec![which(client)]).await.get(&which(client)).copied()
    }

    #[tokio::test]
    async fn the_first_use_stays_and_the_last_one_is_of_the_last_day() {
        let folder = tempfile::tempdir().unwrap();
        let usage = Usage::open(&folder.path().join("usage.db"), noon(0)).unwrap();
        sees(&usage, 1, noon(0));
        sees(&usage, 1, noon(0) + TimeDelta::hours(1));
        assert!(usage.is_noted(which(1)));
        assert_eq!(uses(&usage, 1).await, Some(Uses { first: noon(0), last: noon(0) }));
        sees(&usage, 1, noon(0) + TimeDelta::hours(2));
        assert!(!usage.is_noted(which(1)), "today is written already");
        sees(&usage, 1, noon(3));
        let known = uses(&usage, 1).await.unwrap();
        assert_eq!(known, Uses { first: noon(0), last: noon(3) });
        assert_eq!(known.idle_from(), noon(3) + TimeDelta::hours(12), "until midnight it may have been used again");
        assert_eq!(uses(&usage, 2).await, None);
    }

    #[tokio::test]
    async fn a_restart_forgets_nothing_that_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("usage.db");
        {
            let usage = Usage::open(&path, noon(0)).unwrap();
            sees(&usage, 1, noon(0));
            usage.flush().await;
        }
        let usage = Usage::open(&path, noon(1)).unwrap();
        sees(&usage, 1, noon(0) + TimeDelta::hours(1));
        assert_eq!(uses(&usage, 1).await, Some(Uses { first: noon(0), last: noon(0) }), "a day is written once");
        sees(&usage, 1, noon(1));
        assert_eq!(uses(&usage, 1).await, Some(Uses { first: noon(0), last: noon(1) }));
    }

    #[tokio::test]
    async fn what_cannot_be_written_now_is_kept_and_memory_has_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let usage = Usage::open(&folder.path().join("usage.db"), noon(0)).unwrap();
        usage.0.connection.lock().unwrap().execute_batch("ALTER TABLE uses RENAME TO away").unwrap();
        sees(&usage, 1, noon(0));
        usage.flush().await;
        assert!(usage.is_noted(which(1)));
        for client in 0..(MOST_WAITING as u128 + 10) {
            sees(&usage, client, noon(0));
        }
        assert_eq!(usage.noted().waiting.len(), MOST_WAITING);
        usage.0.connection.lock().unwrap().execute_batch("ALTER TABLE away RENAME TO uses").unwrap();
        assert_eq!(uses(&usage, 1).await, Some(Uses { first: noon(0), last: noon(0) }));
        assert!(usage.noted().waiting.is_empty() && usage.noted().written.len() <= MOST_WRITTEN);
    }
}
