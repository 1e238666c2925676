//! What becomes of a log whose file was changed behind its back: the break is found, and the event named.

use std::path::Path;

use gatebook::event_log::sqlite::{OpenError, SqliteLog};
use gatebook::event_log::{BrokenChain, EventLog, LogError, Wrong};
use gatebook_events::envelope::Position;

use super::{tamper, written};
use crate::place::{events, followed, stream, write};

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

/// A log as a kill leaves it: forty commits of two events, all of them in the write-ahead log, and nobody has it open.
async fn killed(folder: &Path) -> (Vec<u8>, Vec<u8>) {
    let path = folder.join("log.db");
    let log = SqliteLog::open(&path).unwrap();
    for _ in 0..40 {
        write(&log, &stream(), events(2)).await;
    }
    let files = (std::fs::read(&path).unwrap(), std::fs::read(folder.join("log.db-wal")).unwrap());
    log.close().await;
    files
}

#[tokio::test]
async fn a_byte_changed_anywhere_in_the_write_ahead_log_costs_no_more_than_the_last_commit_or_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (database, ahead) = killed(folder.path()).await;
    let frames = (ahead.len() - 32) / (24 + 8192);
    // Every field of the header, and of some frames every field and some of the page.
    let of_frames = (0..frames).step_by(12).chain([frames - 2, frames - 1]);
    let in_frame = [0, 3, 4, 7, 8, 12, 16, 20, 24, 24 + 4000, 24 + 8191];
    let places =
        [0, 4, 8, 12, 16, 20, 24, 28].into_iter().chain(of_frames.flat_map(|frame| in_frame.map(|at| 32 + frame * (24 + 8192) + at)));
    let (mut refused, mut excused) = (0, 0);
    for place in places {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        let mut changed = ahead.clone();
        changed[place] ^= 0x5a;
        std::fs::write(&path, &database).unwrap();
        std::fs::write(folder.path().join("log.db-wal"), &changed).unwrap();
        match (SqliteLog::open_read_only(&path), SqliteLog::open(&path)) {
            (Ok(reading), Ok(log)) => {
                let events = log.verify(|_, _| ()).unwrap().events;
                assert_eq!(reading.verify(|_, _| ()).unwrap().events, events);
                assert!(events == 80 || events == 78, "byte {place}: {events} events, and nobody said anything");
                excused += usize::from(events == 78);
            }
            (Err(OpenError::DamagedWal(read)), Err(OpenError::DamagedWal(written))) => {
                assert_eq!(read, written);
                assert!(read.at <= place as u64, "byte {place}: {read}");
                assert_eq!(std::fs::read(&path).unwrap(), database, "nothing was written");
                assert_eq!(std::fs::read(&read.path).unwrap(), changed, "nothing was written");
                // As it says: cut off there, what came before stands.
                std::fs::File::options().write(true).open(&read.path).unwrap().set_len(read.at).unwrap();
                // A log of which nothing is left but its name is a new one.
                let events = SqliteLog::open(&path).unwrap().verify(|_, _| ()).unwrap().events;
                assert!(events + 2 * read.commits >= 78 && events < 80, "byte {place}: {events} and {read}");
                refused += 1;
            }
            (read, written) => panic!("byte {place}: {read:?} {written:?}"),
        }
    }
    assert!(refused > 20 && excused > 0, "{refused} refused, {excused} excused");
}

#[tokio::test]
async fn a_write_ahead_log_that_a_kill_cut_off_or_that_was_begun_anew_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (database, ahead) = killed(folder.path()).await;
    for cut in [0, 20, 32, 33, 32 + 24 + 100, ahead.len() / 2, ahead.len() - 1] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        std::fs::write(&path, &database).unwrap();
        std::fs::write(folder.path().join("log.db-wal"), &ahead[..cut]).unwrap();
        let events = SqliteLog::open(&path).unwrap().verify(|_, _| ()).unwrap().events;
        assert!(events.is_multiple_of(2) && events < 80, "cut at {cut}: {events}");
    }
    // Frames of the generation before stand behind those of the current one.
    let path = folder.path().join("log.db");
    let log = SqliteLog::open(&path).unwrap();
    for round in 0..4 {
        for _ in 0..40 - 10 * round {
            write(&log, &stream(), events(2)).await;
        }
        let copy = tempfile::tempdir().unwrap();
        for file in ["log.db", "log.db-wal"] {
            std::fs::copy(folder.path().join(file), copy.path().join(file)).unwrap();
        }
        let expected = log.verify(|_, _| ()).unwrap();
        assert_eq!(SqliteLog::open(&copy.path().join("log.db")).unwrap().verify(|_, _| ()).unwrap(), expected);
        rusqlite::Connection::open(&path).unwrap().query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
    }
}
