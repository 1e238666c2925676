//! `gatebook verify`: a log that is not what was written is found out, and the event is named.

use rusqlite::Connection;

use crate::flag;
use crate::instance::{Caller, Instance, refusal, run, said};
use crate::place;
use crate::populate;

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_byte_is_found_and_its_event_named() {
    let (_folder, data) = place();
    let service = Instance::start(&data);
    populate(&Caller::anyone(&service), &Caller::admin(&service, &data)).await;
    let whole = said(run(&["verify", "--data", flag(&data)]));
    assert!(whole.contains("events, the chain holds"), "{whole}");
    service.stop();
    let again = said(run(&["verify", "--data", flag(&data)]));
    assert_eq!(again, whole, "stopping writes no events");

    for (what, change) in [
        ("data", "UPDATE events SET data = data || ' ' WHERE position = 5"),
        ("name", "UPDATE events SET name = 'client.deleted' WHERE position = 5"),
        ("version", "UPDATE events SET version = version + 1 WHERE position = 5"),
        ("time", "UPDATE events SET recorded_at = recorded_at + 1 WHERE position = 5"),
        ("meta", "UPDATE events SET meta = replace(meta, 'anonymous', 'admin') WHERE position = 5"),
        ("stream", "UPDATE events SET stream = 1, revision = 99 WHERE position = 5"),
        ("hash", "UPDATE events SET hash = zeroblob(length(hash)) WHERE position = 5"),
        ("row", "DELETE FROM events WHERE position = 5"),
    ] {
        let spoilt = tempfile::tempdir().unwrap();
        std::fs::copy(data.join("log.db"), spoilt.path().join("log.db")).unwrap();
        let file = Connection::open(spoilt.path().join("log.db")).unwrap();
        let id: String = file.query_row("SELECT lower(hex(id)) FROM events WHERE position = 5", [], |row| row.get(0)).unwrap();
        assert_eq!(file.execute(change, []).unwrap(), 1, "{what}");
        drop(file);
        let told = refusal(run(&["verify", "--data", flag(spoilt.path())]));
        assert!(told.contains("not what was written"), "{what}: {told}");
        let plain = told.replace('-', "");
        // A row that is gone has taken its id with it; its place is known.
        assert!(plain.contains(&id) || told.contains("position 5"), "{what}: {told} does not name the event {id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_on_a_changed_log_says_so_and_turns_red() {
    let (_folder, data) = place();
    let service = Instance::start(&data);
    populate(&Caller::anyone(&service), &Caller::admin(&service, &data)).await;
    service.stop();
    let file = Connection::open(data.join("log.db")).unwrap();
    file.execute("UPDATE events SET data = data || ' ' WHERE position = 5", []).unwrap();
    drop(file);
    std::fs::remove_dir_all(data.join("read-models")).unwrap();

    let service = Instance::start(&data);
    let anyone = Caller::anyone(&service);
    let started = std::time::Instant::now();
    loop {
        let (status, body) = anyone.call(reqwest::Method::GET, "/health", None).await.unwrap();
        if status == 503 && body["stopped_projections"].as_array().is_some_and(|stopped| stopped.len() == 3) {
            break;
        }
        assert!(started.elapsed() < crate::instance::PATIENCE, "some projections have not noticed: {body}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let (_, complaints) = service.stop();
    assert!(complaints.contains("the event log is broken at position 5, event "), "{complaints}");
}

#[test]
fn there_must_be_a_log() {
    let (_folder, data) = place();
    let told = refusal(run(&["verify", "--data", flag(&data)]));
    assert!(told.contains("there is no event log at"), "{told}");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("log.db"), "this is a letter and not a database, however long it may become").unwrap();
    let told = refusal(run(&["verify", "--data", flag(&data)]));
    assert!(told.contains("failed to open the event log"), "{told}");
}
