//! What becomes of a log whose file was changed behind its back: the break is found, and the event named.

use std::path::Path;

use gatebook::log::sqlite::SqliteLog;
use gatebook::log::{BrokenChain, EventLog, LogError, Wrong};
use gatebook_events::envelope::Position;

use super::{tamper, written};
use crate::place::followed;

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
            assert!(
                matches!(read, Err(LogError::Broken(same)) if same == broken),
                "a decision does not rest on it either"
            );
            assert!(log.read(&all[0].stream).await.is_ok(), "other streams are as good as before");
        }
    }
}

#[tokio::test]
async fn what_is_no_event_is_named_and_nothing_panics() {
    for change in ["data = CAST(x'ff7b' AS TEXT)", "version = 70000", "id = x'00'", "recorded_at = 9223372036854775807"]
    {
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
