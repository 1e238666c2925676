//! The log in a file: the contract, and what becomes of a file that was copied, opened twice, or failed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::join_all;
use gatebook::event_log::sqlite::{FORMAT, OpenError, SqliteLog};
use gatebook::event_log::{Append, AppendError, EventLog, Expected, Followed, LogError};
use gatebook_events::envelope::{Envelope, Position};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::place::{Found, Place, append, event, events, everything, followed, stored, stream, write};

mod damage;

crate::contract::contract!(place);

struct Folder(TempDir);

async fn place() -> Found {
    Ok(Box::new(Folder(tempfile::tempdir().unwrap())))
}

#[async_trait]
impl Place for Folder {
    async fn open(&self) -> Arc<dyn EventLog> {
        Arc::new(SqliteLog::open(&self.0.path().join("log.db")).unwrap())
    }

    fn keeps(&self) -> bool {
        true
    }
}

/// A closed log with 20 streams of three events each.
async fn written() -> (TempDir, PathBuf, Vec<Envelope>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = SqliteLog::open(&path).unwrap();
    for _ in 0..20 {
        let stream = stream();
        write(&log, &stream, events(1)).await;
        write(&log, &stream, events(2)).await;
    }
    let all = everything(&log, log.head().await.unwrap()).await;
    log.close().await;
    (folder, path, all)
}

fn tamper(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test]
async fn a_whole_log_is_verified_and_summed_up_while_it_is_open_elsewhere() {
    let (_folder, path, all) = written().await;
    let writing = SqliteLog::open(&path).unwrap();
    let reading = SqliteLog::open_read_only(&path).unwrap();
    let mut heard = Vec::new();
    let summary = reading.verify(|at, of| heard.push((at, of))).unwrap();
    assert_eq!((summary.events, summary.head), (60, all[59].position));
    assert_eq!(heard, [(summary.head, summary.head)]);
    assert_eq!(writing.verify(|_, _| ()).unwrap(), summary);
    assert_eq!(everything(&reading, summary.head).await, all);
    let answer = reading.append(append(&stream(), Expected::Empty, events(1))).await;
    assert!(matches!(answer, Err(AppendError::Unavailable(_))));

    write(&writing, &stream(), events(1)).await;
    let later = SqliteLog::open_read_only(&path).unwrap().verify(|_, _| ()).unwrap();
    assert_eq!(later.events, 61);
    assert_ne!(later.hash, summary.hash);
}

#[tokio::test]
async fn only_one_may_write_and_a_refused_one_says_why() {
    let (_folder, path, _) = written().await;
    let first = SqliteLog::open(&path).unwrap();
    let second = SqliteLog::open(&path);
    assert!(matches!(&second, Err(OpenError::InUse(at)) if *at == path));
    assert!(second.unwrap_err().to_string().contains("in use by another gatebook"));
    first.close().await;
    SqliteLog::open(&path).unwrap();
}

#[tokio::test]
async fn a_newer_format_and_other_databases_are_refused_by_name() {
    let (folder, path, _) = written().await;
    tamper(&path, &format!("PRAGMA user_version = {}", FORMAT + 1));
    for refused in [SqliteLog::open(&path), SqliteLog::open_read_only(&path)] {
        assert!(matches!(&refused, Err(OpenError::NewerFormat { found, .. }) if *found == FORMAT + 1));
        assert!(refused.unwrap_err().to_string().contains("format 2"));
    }
    let other = folder.path().join("other.db");
    tamper(&other, "CREATE TABLE mine (x)");
    assert!(matches!(SqliteLog::open(&other), Err(OpenError::NotALog(_))));
    assert!(SqliteLog::open_read_only(&folder.path().join("none.db")).is_err());
    std::fs::write(&other, "not a database at all, but long enough to be taken for the first page of one").unwrap();
    assert!(SqliteLog::open(&other).is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn its_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(&folder.path().join("log.db")).unwrap();
    write(&log, &stream(), events(1)).await;
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap).collect();
    assert!(files.len() >= 3, "the log, what was written ahead, and the lock");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_answers_what_was_accepted_and_takes_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = Arc::new(SqliteLog::open(&path).unwrap());
    let mut follower = log.follow(Position::START);
    let appending: Vec<_> = (0..500)
        .map(|_| {
            let log = log.clone();
            tokio::spawn(async move { log.append(append(&stream(), Expected::Empty, events(1))).await })
        })
        .collect();
    log.close().await;
    let mut acknowledged = 0;
    for answer in join_all(appending).await {
        match answer.unwrap() {
            Ok(_) => acknowledged += 1,
            Err(AppendError::Unavailable(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    let late = log.append(append(&stream(), Expected::Empty, events(1))).await;
    assert!(matches!(late, Err(AppendError::Unavailable(_))));
    while let Some(next) = follower.next().await {
        if let Err(error) = next {
            assert!(matches!(error, LogError::Unavailable(_)));
        }
    }
    let wal = std::fs::metadata(folder.path().join("log.db-wal")).map_or(0, |wal| wal.len());
    assert_eq!(wal, 0, "all is in the log's own file");
    assert_eq!(SqliteLog::open(&path).unwrap().verify(|_, _| ()).unwrap().events, acknowledged);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_taken_under_load_opens_and_has_everything_acknowledged_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(SqliteLog::open(&folder.path().join("log.db")).unwrap());
    let (acknowledge, mut acknowledged) = tokio::sync::mpsc::unbounded_channel();
    let writing: Vec<_> = (0..16)
        .map(|_| {
            let (log, acknowledge) = (log.clone(), acknowledge.clone());
            tokio::spawn(async move {
                for _ in 0..60 {
                    let append = append(&stream(), Expected::Empty, events(2));
                    log.append(append.clone()).await.unwrap();
                    acknowledge.send(append).unwrap();
                }
            })
        })
        .collect();
    for round in 0..5 {
        let mut promised = Vec::new();
        acknowledged.recv_many(&mut promised, 100).await;
        // As after a power cut: the files as they are, in the middle of whatever is being written, and no lock.
        let copy = folder.path().join(format!("copy-{round}.db"));
        std::fs::copy(folder.path().join("log.db"), &copy).unwrap();
        std::fs::copy(folder.path().join("log.db-wal"), folder.path().join(format!("copy-{round}.db-wal"))).unwrap();
        let copy = SqliteLog::open(&copy).unwrap();
        let summary = copy.verify(|_, _| ()).unwrap();
        assert_eq!(summary.events % 2, 0, "no half append");
        for append in promised {
            assert_eq!(stored(&copy, &append.stream).await, append.events);
            assert!(copy.append(append).await.unwrap().duplicate);
        }
        write(&copy, &stream(), events(1)).await;
    }
    join_all(writing).await.into_iter().for_each(Result::unwrap);
}

/// More than one read's worth in the file, more than is kept in memory behind it, and more to come while reading.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_passes_from_the_file_to_memory_and_back_without_losing_anything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = SqliteLog::open(&path).unwrap();
    for _ in 0..50 {
        write(&log, &stream(), events(100)).await;
    }
    drop(log);

    let log = Arc::new(SqliteLog::open(&path).unwrap());
    let large = format!("{{\"filled\":\"{}\"}}", "x".repeat(100_000));
    let writing = {
        let log = log.clone();
        tokio::spawn(async move {
            for count in 0..600 {
                let events = if count % 3 == 0 { vec![event(&large)] } else { events(10) };
                log.append(append(&stream(), Expected::Empty, events)).await.unwrap();
            }
        })
    };
    let total = 50 * 100 + 200 + 400 * 10;
    let mut following = log.follow(Position::START);
    let (mut seen, mut batches) = (0, 0);
    while seen < total {
        if let Followed::Events(events) = following.next().await.unwrap().unwrap() {
            for one in events {
                seen += 1;
                assert_eq!(one.position.to_backend(), seen);
            }
            batches += 1;
            // A consumer that is at times slower than the writer.
            if batches % 5 == 0 {
                everything(&*log, Position::START).await;
            }
        }
    }
    writing.await.unwrap();
    assert_eq!(log.verify(|_, _| ()).unwrap().events, total);
}

#[tokio::test]
async fn a_write_that_fails_is_unavailable_and_the_next_one_stands() {
    let (_folder, path, all) = written().await;
    let log = SqliteLog::open(&path).unwrap();
    let before = log.head().await.unwrap();
    // To the writer, a trigger that fails is what a full or failing disk is.
    tamper(&path, "CREATE TRIGGER fail AFTER INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END");
    let failed = append(&stream(), Expected::Empty, events(2));
    let answer = log.append(failed.clone()).await;
    assert!(matches!(answer, Err(AppendError::Unavailable(_))), "{answer:?}");
    stands_once(&log, &path, before, failed).await;
    assert_eq!(log.verify(|_, _| ()).unwrap().events, all.len() as u64 + 2);
}

#[tokio::test]
async fn a_commit_that_fails_is_indeterminate_and_found_out_by_asking_again() {
    let (_folder, path, all) = written().await;
    let log = SqliteLog::open(&path).unwrap();
    let before = log.head().await.unwrap();
    // A reference that is checked when the transaction ends, so that COMMIT itself fails.
    tamper(
        &path,
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);
         CREATE TABLE child (parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
         CREATE TRIGGER fail AFTER INSERT ON events BEGIN INSERT INTO child VALUES (1); END",
    );
    let lost = append(&stream(), Expected::Empty, events(2));
    let answer = log.append(lost.clone()).await;
    assert!(matches!(answer, Err(AppendError::Indeterminate(_))), "{answer:?}");
    stands_once(&log, &path, before, lost).await;
    assert_eq!(log.verify(|_, _| ()).unwrap().events, all.len() as u64 + 2);
}

/// After a failure nothing of the append is there; once the cause is gone it is written as if nothing had happened.
async fn stands_once(log: &SqliteLog, path: &Path, before: Position, append: Append) {
    assert_eq!(log.head().await.unwrap(), before);
    assert!(log.read(&append.stream).await.unwrap().events.is_empty());
    tamper(path, "DROP TRIGGER fail");
    let appended = log.append(append.clone()).await.unwrap();
    assert!(!appended.duplicate && appended.position > before);
    assert!(log.append(append).await.unwrap().duplicate);
    assert_eq!(followed(log, before).await.unwrap().0.len(), 2);
}
