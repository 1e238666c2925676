//! A log that moves from one backend to another and back holds the same: the real binary, on files, on real NATS servers, and on a
//! fake of KurrentDB.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

#[path = "../instance/mod.rs"]
mod instance;
#[allow(dead_code, reason = "the fake of the tests of backends; not every part of it is needed here")]
#[path = "../backends/kurrentdb"]
mod kurrentdb {
    pub mod fake;
    mod generated;
}
#[path = "../nats/mod.rs"]
mod nats;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use chrono::DateTime;
use futures_util::{StreamExt, stream};
use gatebook::event_log::sqlite::SqliteLog;
use gatebook::event_log::{Append, EventLog, Expected};
use gatebook_events::envelope::{CommitId, EventId, Revision, StoredEvent, StreamName};
use tempfile::TempDir;
use uuid::Uuid;

use instance::{Instance, gatebook, refusal, run, said};
use kurrentdb::fake::Fake;

/// A folder for logs.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Arguments of a migration between two ends; a name without a scheme is a file in here.
    fn arguments(&self, from: &str, to: &str) -> Vec<String> {
        let end = |text: &str| {
            if text.contains("://") { text.to_owned() } else { format!("sqlite:{}", self.file(text).display()) }
        };
        let data = self.file("work").to_str().unwrap().to_owned();
        vec!["migrate-log".to_owned(), "--data".to_owned(), data, "--from".to_owned(), end(from), "--to".to_owned(), end(to)]
    }

    fn migrate(&self, from: &str, to: &str) -> String {
        let arguments = self.arguments(from, to);
        said(run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()))
    }

    fn refusal(&self, from: &str, to: &str) -> String {
        let arguments = self.arguments(from, to);
        refusal(run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()))
    }
}

/// What all of a log in a file hashes to.
fn whole(path: &Path) -> (u64, String, String) {
    let summary = SqliteLog::open_read_only(path).unwrap().verify(|_, _| ()).unwrap();
    (summary.events, summary.hash.to_string(), summary.root.to_string())
}

/// Adds as many clients to a log, each by a commit of one to three events and, every other one, a second commit.
async fn fill(path: &Path, clients: u64) -> u64 {
    let log = Arc::new(SqliteLog::open(path).unwrap());
    let event = |number: u64| StoredEvent {
        id: EventId(Uuid::new_v4()),
        name: Arc::from("client.registered"),
        version: 1,
        recorded_at: DateTime::from_timestamp_micros(1_800_000_000_000_000 + i64::try_from(number).unwrap()).unwrap(),
        meta: Arc::from(r#"{"actor":{"kind":"system"}}"#),
        data: Arc::from(format!(
            r#"{{ "number" : {number}, "text": "ünïcödé \" {}" }}"#,
            "x".repeat(usize::try_from(number % 300).unwrap())
        )),
    };
    let append =
        |stream: &StreamName, expected, events| Append { stream: stream.clone(), expected, commit: CommitId(Uuid::new_v4()), events };
    let written: Vec<u64> = stream::iter(0..clients)
        .map(|number| {
            let log = log.clone();
            async move {
                let stream = StreamName(Arc::from(format!("client-{}", Uuid::new_v4())));
                let first = number % 3 + 1;
                log.append(append(&stream, Expected::Empty, (0..first).map(|index| event(number + index)).collect())).await.unwrap();
                if number % 2 == 0 {
                    let behind = Expected::At(Revision::from_backend(first));
                    log.append(append(&stream, behind, vec![event(number)])).await.unwrap();
                }
                first + (number + 1) % 2
            }
        })
        .buffer_unordered(64)
        .collect()
        .await;
    log.close().await;
    written.iter().sum()
}

/// How many clients the long way is walked with: a few thousand events, or what somebody asks for.
fn many() -> u64 {
    std::env::var("GATEBOOK_TEST_MIGRATE_CLIENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_500)
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_file_to_nats_and_back_the_root_stays_the_same() {
    for count in [1, 3] {
        let servers = match nats::Nats::start(count) {
            Ok(servers) => servers,
            Err(reason) => return nats::not_run("a migration to NATS and back", &reason),
        };
        let folder = Folder::new();
        let events = fill(&folder.file("there.db"), if count == 1 { many() } else { 500 }).await;
        let there = folder.migrate("there.db", &servers.uri("moved"));
        let back = folder.migrate(&servers.uri("moved"), "back.db");
        let (expected, found) = (whole(&folder.file("there.db")), whole(&folder.file("back.db")));
        assert_eq!((found.0, &found), (events, &expected));
        for told in [&there, &back] {
            assert!(told.contains(&expected.1) && told.contains(&expected.2), "{told}");
            assert!(told.contains(&format!("{events} events, {events} of them copied now")), "{told}");
        }
        assert!(!folder.file("work/migration").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_file_to_kurrentdb_and_back_the_root_stays_the_same() {
    let (fake, folder) = (Fake::start(1), Folder::new());
    let events = fill(&folder.file("there.db"), 40).await;
    folder.migrate("there.db", &fake.uri("esdb", "moved"));
    let told = folder.migrate(&fake.uri("kurrentdb", "moved"), "back.db");
    assert!(told.contains(&format!("{events} events")), "{told}");
    assert_eq!(whole(&folder.file("there.db")), whole(&folder.file("back.db")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_was_cut_off_goes_on_where_it_was() {
    let folder = Folder::new();
    fill(&folder.file("there.db"), 1_000).await;
    let servers = nats::Nats::start(1);
    let mut targets = vec!["copy.db".to_owned()];
    match &servers {
        Ok(servers) => targets.push(servers.uri("cut")),
        Err(reason) => nats::not_run("a migration to NATS that is cut off", reason),
    }
    for target in targets {
        for pause in [30, 120, 400] {
            let mut child = gatebook(&folder.arguments("there.db", &target).iter().map(String::as_str).collect::<Vec<_>>());
            let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            // However far it is by then.
            std::thread::sleep(std::time::Duration::from_millis(pause));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let told = folder.migrate("there.db", &target);
        let expected = whole(&folder.file("there.db"));
        assert!(told.contains(&expected.2), "{told}");
        let again = folder.migrate("there.db", &target);
        assert!(again.contains(" events, 0 of them copied now"), "{again}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_later_is_copied_later_and_other_events_are_never_mixed_in() {
    let folder = Folder::new();
    let first = fill(&folder.file("there.db"), 50).await;
    folder.migrate("there.db", "copy.db");
    let more = fill(&folder.file("there.db"), 30).await;
    let told = folder.migrate("there.db", "copy.db");
    assert!(told.contains(&format!("{} events, {more} of them copied now", first + more)), "{told}");
    fill(&folder.file("other.db"), 10).await;
    let told = folder.refusal("there.db", "other.db");
    assert!(told.contains("holds other events than the source"), "{told}");
    fill(&folder.file("copy.db"), 1).await;
    let told = folder.refusal("there.db", "copy.db");
    assert!(told.contains("holds other events than the source"), "{told}");
}

#[test]
fn a_log_that_a_service_writes_to_is_not_migrated() {
    let folder = Folder::new();
    let data = folder.file("data");
    let service = Instance::start(&data);
    let told = folder.refusal("data/log.db", "copy.db");
    assert!(told.contains("log.db"), "{told}");
    service.stop();
    let told = folder.migrate("data/log.db", "copy.db");
    assert!(told.contains("both hold the same"), "{told}");
}
