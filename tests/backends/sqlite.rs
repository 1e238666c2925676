//! The log in a file: the contract, and what becomes of a file that was copied, damaged, or opened twice.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;
use gatebook::log::sqlite::{FORMAT, OpenError, SqliteLog};
use gatebook::log::{Append, AppendError, BrokenChain, EventLog, Expected, LogError, Wrong};
use gatebook_events::envelope::{Envelope, Position};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::place::{Found, Place, append, events, everything, followed, stored, stream, write};

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

/// What a follower from the start and a verification say of a log; they must agree.
async fn found(path: &Path) -> BrokenChain {
    let log = SqliteLog::open(path).unwrap();
    let Err(LogError::Broken(verified)) = log.verify(|_, _| ()) else { panic!("verify finds the break") };
    let Err(LogError::Broken(followed)) = followed(&log, Position::START).await else { panic!("so does following") };
    assert_eq!(followed, verified);
    followed
}

#[tokio::test]
async fn a_byte_changed_anywhere_in_an_event_is_found_and_the_event_named() {
    for change in [
        "data = replace(data, '1', '2')",
        "meta = meta || ' '",
        "name = 'client.deleted'",
        "version = 2",
        "recorded_at = recorded_at + 1",
        "id = zeroblob(16)",
        "hash = zeroblob(32)",
        "revision = 9",
        "stream = 1, revision = 9",
    ] {
        let (_folder, path, all) = written().await;
        // The second event of its commit: position 33, of the eleventh stream.
        let changed = &all[32];
        tamper(&path, &format!("UPDATE events SET {change} WHERE position = 33"));
        let broken = found(&path).await;
        assert_eq!((broken.position, broken.wrong), (changed.position, Wrong::Changed), "{change}");
        if change.starts_with("data") {
            assert_eq!((broken.event, &broken.stream), (Some(changed.event.id), &Some(changed.stream.clone())));
            let said = broken.to_string();
            assert!(said.contains("position 33") && said.contains(&changed.event.id.0.to_string()), "{said}");
            assert!(said.contains(changed.stream.as_str()), "{said}");
            let log = SqliteLog::open(&path).unwrap();
            let read = log.read(&changed.stream).await;
            assert!(matches!(read, Err(LogError::Broken(same)) if same == broken), "a decision does not rest on it either");
            assert!(log.read(&all[0].stream).await.is_ok(), "other streams are as good as before");
        }
    }
}

#[tokio::test]
async fn what_is_no_event_is_named_and_nothing_panics() {
    for change in ["data = CAST(x'ff7b' AS TEXT)", "version = 70000", "id = x'00'", "recorded_at = 9223372036854775807"] {
        let (_folder, path, _) = written().await;
        tamper(&path, &format!("UPDATE events SET {change} WHERE position = 8"));
        let broken = found(&path).await;
        assert_eq!((broken.position.to_backend(), broken.wrong), (8, Wrong::Unreadable), "{change}");
    }
}

#[tokio::test]
async fn a_deleted_event_is_missed() {
    let (_folder, path, all) = written().await;
    tamper(&path, "DELETE FROM events WHERE position = 33");
    let broken = found(&path).await;
    assert_eq!((broken.position.to_backend(), broken.wrong), (33, Wrong::Missing));
    let log = SqliteLog::open(&path).unwrap();
    let read = log.read(&all[32].stream).await;
    assert!(matches!(read, Err(LogError::Broken(BrokenChain { wrong: Wrong::Miscounted, .. }))), "{read:?}");
}

#[tokio::test]
async fn a_follower_that_starts_right_before_the_break_finds_it_too() {
    let (_folder, path, _) = written().await;
    tamper(&path, "UPDATE events SET data = '{}' WHERE position = 33");
    let log = SqliteLog::open(&path).unwrap();
    let found = followed(&log, Position::from_backend(32)).await;
    assert!(matches!(found, Err(LogError::Broken(BrokenChain { position, .. })) if position.to_backend() == 33));
    assert_eq!(followed(&log, Position::from_backend(33)).await.unwrap().0.len(), 27);
}

#[tokio::test]
async fn events_that_changed_places_are_found() {
    let (_folder, path, _) = written().await;
    tamper(
        &path,
        "UPDATE events SET position = 1000 WHERE position = 10;
         UPDATE events SET position = 10 WHERE position = 11;
         UPDATE events SET position = 11 WHERE position = 1000;",
    );
    let broken = found(&path).await;
    assert_eq!((broken.position.to_backend(), broken.wrong), (10, Wrong::Changed));
}

#[tokio::test]
async fn a_log_that_was_cut_short_is_found_by_its_streams_and_by_whoever_has_seen_more() {
    let (_folder, path, all) = written().await;
    tamper(&path, "DELETE FROM events WHERE position > 59");
    let log = SqliteLog::open(&path).unwrap();
    let Err(LogError::Broken(broken)) = log.verify(|_, _| ()) else { panic!("the count is wrong") };
    assert_eq!((broken.wrong, broken.stream), (Wrong::Miscounted, Some(all[59].stream.clone())));
    let seen_more = followed(&log, all[59].position).await;
    assert!(
        matches!(seen_more, Err(LogError::Broken(BrokenChain { position, wrong: Wrong::Missing, .. })) if position == all[59].position)
    );
}

#[tokio::test]
async fn a_log_that_is_cut_short_while_it_is_open_is_found() {
    let (_folder, path, all) = written().await;
    let log = SqliteLog::open(&path).unwrap();
    tamper(&path, "DELETE FROM events WHERE position > 58");
    let missing = BrokenChain { position: all[58].position, event: None, stream: None, wrong: Wrong::Missing };
    for after in [Position::START, all[57].position] {
        let found = followed(&log, after).await;
        assert!(matches!(&found, Err(LogError::Broken(broken)) if *broken == missing), "{found:?}");
    }
    assert!(matches!(log.verify(|_, _| ()), Err(LogError::Broken(broken)) if broken == missing));
}

#[tokio::test]
async fn an_event_whose_stream_is_gone_is_found() {
    let (_folder, path, _) = written().await;
    tamper(&path, "DELETE FROM streams WHERE id = 7");
    assert_eq!(found(&path).await.wrong, Wrong::Unreadable);
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
    while let Some(next) = futures_util::StreamExt::next(&mut follower).await {
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
