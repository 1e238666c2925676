//! Since when anybody watched whether clients are used: what nobody watched was perhaps no idleness.
//!
//! A table that is lost, a backup that is restored and a service that stood still would otherwise make everybody look idle at once.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use gatebook_events::identity::ResourceServerId;
use rusqlite::Connection;

use super::{Usage, time};

/// Whoever looks again within this time watched all along; a service looks every hour.
const BLINK: TimeDelta = TimeDelta::days(1);
/// No policy looks further back.
const LONGEST: TimeDelta = TimeDelta::days(3660);

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS watch (
    one INTEGER PRIMARY KEY NOT NULL CHECK (one = 1),
    began INTEGER NOT NULL,
    looked_at INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS unwatched (
    began INTEGER PRIMARY KEY NOT NULL,
    ended INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS policies (
    resource_server BLOB PRIMARY KEY NOT NULL,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What makes a new table's watch begin.
pub(super) fn begin(now: DateTime<Utc>) -> String {
    let now = now.timestamp_micros();
    format!("INSERT OR IGNORE INTO watch VALUES (1, {now}, {now});")
}

/// What is known of the time in which clients were not used.
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    now: DateTime<Utc>,
    began: DateTime<Utc>,
    /// When nobody looked, from and until.
    unwatched: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    /// Since when each resource server has clients become dormant.
    policies: HashMap<ResourceServerId, DateTime<Utc>>,
}

impl Watch {
    /// Of a client that was not used from a time on: since when that was watched by the rules that hold now, and for how long.
    pub fn idleness(&self, server: ResourceServerId, from: DateTime<Utc>) -> (DateTime<Utc>, TimeDelta) {
        let policy = self.policies.get(&server).copied().unwrap_or(self.now);
        let since = from.max(self.began).max(policy);
        let unwatched = self.unwatched.iter().map(|(began, ended)| (*ended).min(self.now) - (*began).max(since));
        let unwatched: TimeDelta = unwatched.filter(|length| *length > TimeDelta::zero()).sum();
        (since, self.now - since - unwatched)
    }
}

impl Usage {
    /// Looks. `servers` are those whose policy has clients become dormant; for the others that policy begins anew when they
    /// have one again. None if the table cannot be kept: then nobody can be called idle.
    pub async fn watch(&self, now: DateTime<Utc>, servers: Vec<ResourceServerId>) -> Option<Watch> {
        self.with("watch", move |connection| look(connection, now, &servers)).await
    }
}

fn look(connection: &mut Connection, now: DateTime<Utc>, servers: &[ResourceServerId]) -> rusqlite::Result<Watch> {
    let tx = connection.transaction()?;
    tx.execute_batch(&begin(now))?;
    let times = |row: &rusqlite::Row<'_>| Ok((time(row.get(0)?), time(row.get(1)?)));
    let (began, looked_at) = tx.query_row("SELECT began, looked_at FROM watch", [], times)?;
    if now - looked_at > BLINK {
        tx.execute("INSERT OR IGNORE INTO unwatched VALUES (?1, ?2)", (looked_at.timestamp_micros(), now.timestamp_micros()))?;
    }
    // A clock that was ahead has not watched what is still to come.
    tx.execute("UPDATE unwatched SET ended = ?1 WHERE ended > ?1", [now.timestamp_micros()])?;
    tx.execute("DELETE FROM unwatched WHERE ended < ?1 OR began >= ended", [(now - LONGEST).timestamp_micros()])?;
    tx.execute("UPDATE watch SET looked_at = ?1, began = min(began, ?1)", [now.timestamp_micros()])?;
    let unwatched = tx.prepare_cached("SELECT began, ended FROM unwatched")?.query_map([], times)?.collect::<Result<_, _>>()?;
    let mut policies = HashMap::with_capacity(servers.len());
    {
        let mut statement = tx.prepare_cached("SELECT resource_server, since FROM policies")?;
        let known = statement.query_map([], |row| Ok((row.get::<_, [u8; 16]>(0)?, time(row.get(1)?))))?;
        let known = known.collect::<rusqlite::Result<HashMap<_, _>>>()?;
        for server in servers {
            let since = known.get(server.0.as_bytes()).copied().unwrap_or(now);
            policies.insert(*server, since);
        }
    }
    tx.execute("DELETE FROM policies", [])?;
    for (server, since) in &policies {
        tx.prepare_cached("INSERT INTO policies VALUES (?1, ?2)")?.execute((server.0.as_bytes(), since.timestamp_micros()))?;
    }
    tx.commit()?;
    Ok(Watch { now, began, unwatched, policies })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const SERVER: ResourceServerId = ResourceServerId(Uuid::from_u128(1));

    fn day(day: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::days(day)
    }

    fn days(watched: TimeDelta) -> i64 {
        watched.num_days()
    }

    async fn looks(usage: &Usage, at: i64) -> Watch {
        usage.watch(day(at), vec![SERVER]).await.unwrap()
    }

    #[tokio::test]
    async fn idleness_counts_from_the_last_use_or_from_when_watch_and_policy_began() {
        let folder = tempfile::tempdir().unwrap();
        let usage = Usage::open(&folder.path().join("usage.db"), day(0)).unwrap();
        usage.watch(day(0), vec![]).await.unwrap();
        usage.watch(day(1), vec![]).await.unwrap();
        assert_eq!(looks(&usage, 2).await.idleness(SERVER, day(-100)), (day(2), TimeDelta::zero()), "the policy is new");
        for at in 3..=9 {
            looks(&usage, at).await;
        }
        let watch = looks(&usage, 10).await;
        assert_eq!(watch.idleness(SERVER, day(-100)), (day(2), TimeDelta::days(8)));
        assert_eq!(watch.idleness(SERVER, day(7)), (day(7), TimeDelta::days(3)));
        assert!(watch.idleness(SERVER, day(11)).1 < TimeDelta::zero());
        usage.watch(day(11), vec![]).await.unwrap();
        assert_eq!(looks(&usage, 11).await.idleness(SERVER, day(0)).0, day(11), "it was taken back and given anew");
    }

    #[tokio::test]
    async fn what_nobody_watched_is_no_idleness() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("usage.db");
        {
            let usage = Usage::open(&path, day(0)).unwrap();
            looks(&usage, 0).await;
            looks(&usage, 1).await;
        }
        // A backup of that day is restored after a year.
        let usage = Usage::open(&path, day(366)).unwrap();
        assert_eq!(days(looks(&usage, 366).await.idleness(SERVER, day(0)).1), 1);
        assert_eq!(days(looks(&usage, 367).await.idleness(SERVER, day(0)).1), 2);
        assert_eq!(days(looks(&usage, 367).await.idleness(SERVER, day(300)).1), 1);
        // A table that is lost begins anew.
        let lost = Usage::open(&folder.path().join("other.db"), day(366)).unwrap();
        assert_eq!(lost.watch(day(367), vec![SERVER]).await.unwrap().idleness(SERVER, day(0)), (day(367), TimeDelta::zero()));
    }

    #[tokio::test]
    async fn a_clock_that_was_ahead_for_a_while_makes_nobody_idle_and_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let usage = Usage::open(&folder.path().join("usage.db"), day(0)).unwrap();
        looks(&usage, 0).await;
        assert_eq!(days(looks(&usage, 4000).await.idleness(SERVER, day(0)).1), 0);
        looks(&usage, 1).await;
        assert_eq!(days(looks(&usage, 2).await.idleness(SERVER, day(0)).1), 1, "all but the day in which it was wrong");
    }
}
