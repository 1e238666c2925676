//! How fast the default log takes events and gives them back: `cargo bench --bench log`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on is of no use")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;
use futures_util::StreamExt;
use gatebook::event_log::sqlite::SqliteLog;
use gatebook::event_log::{Append, EventLog, Expected, Followed};
use gatebook_events::envelope::{CommitId, EventId, Position, StoredEvent, StreamName};
use uuid::Uuid;

/// How many appends are in flight, and how many are made.
const LOADS: [(usize, usize); 4] = [(1, 10_000), (64, 40_000), (256, 100_000), (1024, 100_000)];

#[tokio::main]
async fn main() {
    // A folder can be named, because what is measured is mostly the disk below it.
    let folder = std::env::var_os("GATEBOOK_BENCH_FOLDER").map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
    let path = folder.path().join("log.db");
    let log = Arc::new(SqliteLog::open(&path).unwrap());
    println!("durable appends of one event of about 500 bytes, each to a new stream");
    for (drawn, key) in [("by time", Uuid::now_v7 as fn() -> Uuid), ("at random", Uuid::new_v4)] {
        println!("keys of streams drawn {drawn}");
        println!("{:>10} {:>12} {:>10} {:>10}", "in flight", "appends/s", "p50", "p99");
        for (in_flight, count) in LOADS {
            let (took, mut waits) = appends(&log, in_flight, count, key).await;
            waits.sort_unstable();
            let at = |share: usize| waits.get(waits.len() * share / 100).copied().unwrap_or_default();
            println!("{in_flight:>10} {:>12.0} {:>10.2?} {:>10.2?}", rate(count, took), at(50), at(99));
        }
    }
    replay("events read, verified and handed to a follower", &*log).await;
    log.close().await;
    verify(&path);
}

async fn appends(log: &Arc<SqliteLog>, in_flight: usize, count: usize, key: fn() -> Uuid) -> (Duration, Vec<Duration>) {
    let left = Arc::new(AtomicUsize::new(count));
    let started = Instant::now();
    let writers: Vec<_> = (0..in_flight)
        .map(|_| {
            let (log, left) = (log.clone(), left.clone());
            tokio::spawn(async move {
                let mut waits = Vec::new();
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                    let append = registration(key());
                    let asked = Instant::now();
                    log.append(append).await.unwrap();
                    waits.push(asked.elapsed());
                }
                waits
            })
        })
        .collect();
    let mut waits = Vec::with_capacity(count);
    for writer in writers {
        waits.extend(writer.await.unwrap());
    }
    (started.elapsed(), waits)
}

async fn replay(what: &str, log: &dyn EventLog) {
    let mut following = log.follow(Position::START);
    let (started, mut count) = (Instant::now(), 0);
    while let Followed::Events(events) = following.next().await.unwrap().unwrap() {
        count += events.len();
    }
    println!("{what}: {:.0}/s ({count} events)", rate(count, started.elapsed()));
}

fn verify(path: &Path) {
    let log = SqliteLog::open_read_only(path).unwrap();
    let started = Instant::now();
    let summary = log.verify(|_, _| ()).unwrap();
    let count = usize::try_from(summary.events).unwrap();
    let size = std::fs::metadata(path).unwrap().len() / summary.events;
    println!("events verified: {:.0}/s, {size} bytes of file per event", rate(count, started.elapsed()));
}

fn registration(key: Uuid) -> Append {
    let data = format!(
        r#"{{"type":"dcr","metadata":{{"client_name":"Claude Code","redirect_uris":["http://localhost:33417/oauth/callback"],"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"none","software_id":"{key}","client_uri":"https://claude.ai/code","scope":"openid profile tools:read tools:write"}},"token":"sha256:{key}"}}"#
    );
    let event = StoredEvent {
        id: EventId(Uuid::now_v7()),
        name: Arc::from("client.registered"),
        version: 1,
        recorded_at: Utc::now(),
        meta: Arc::from(r#"{"actor":{"kind":"anonymous","via":"dcr"},"origin":"203.0.113.0/24"}"#),
        data: Arc::from(data),
    };
    let stream = StreamName(Arc::from(format!("client-{key}")));
    Append { stream, expected: Expected::Empty, commit: CommitId(Uuid::now_v7()), events: vec![event] }
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below the point where precision is lost")]
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
