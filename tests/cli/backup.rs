//! `gatebook backup` and `gatebook restore`: what comes back is what was there, and nothing is ever half there or overwritten.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Instant;

use rusqlite::{Connection, OpenFlags};

use crate::flag;
use crate::instance::{Caller, Instance, PATIENCE, claude, gatebook, refusal, run, said};
use crate::place;
use crate::populate;
use crate::rebuild::long_log;

/// Every file of a folder with what is in it.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// A stopped instance with some clients, its lists, and its log's backup with the keys.
async fn backed_up() -> (tempfile::TempDir, PathBuf, PathBuf, serde_json::Value) {
    let (folder, data) = place();
    let service = Instance::start(&data);
    let admin = Caller::admin(&service, &data);
    populate(&Caller::anyone(&service), &admin).await;
    let lists = admin.everything().await;
    // Has the keys of access tokens drawn.
    Caller::anyone(&service).get("/.well-known/jwks.json").await;
    service.stop();
    let file = folder.path().join("gatebook.backup");
    said(run(&["backup", flag(&file), "--with-keys", "--data", flag(&data)]));
    (folder, data, file, lists)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_backed_up_under_load_is_all_there_after_a_restore() {
    let (folder, data) = place();
    let service = Instance::start(&data);
    let (admin, anyone) = (Caller::admin(&service, &data), Caller::anyone(&service));
    populate(&anyone, &admin).await;
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU16::new(0)));
    let writing = {
        let (anyone, stop, answered) = (anyone.clone(), stop.clone(), answered.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::Acquire) {
                let body = anyone.post("/oauth/register", &claude(20_000 + answered.load(Ordering::Acquire))).await;
                assert!(body["client_id"].is_string());
                answered.fetch_add(1, Ordering::AcqRel);
            }
        })
    };
    let started = Instant::now();
    while answered.load(Ordering::Acquire) < 50 {
        assert!(started.elapsed() < PATIENCE);
        tokio::task::yield_now().await;
    }
    let promised = answered.load(Ordering::Acquire);
    let file = folder.path().join("gatebook.backup");
    let backup = file.clone();
    let told = tokio::task::spawn_blocking(move || {
        let told = said(run(&["backup", flag(&backup), "--data", flag(&backup.with_file_name("data"))]));
        assert!(told.contains("the chain holds") && told.contains("without ") && told.contains("instance.key"), "{told}");
        told
    })
    .await
    .unwrap();
    assert!(answered.load(Ordering::Acquire) > promised, "nobody waited for the backup");
    stop.store(true, Ordering::Release);
    writing.await.unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(content(folder.path()).len(), 1, "nothing beside it");
    let (_, complaints) = service.stop();
    assert_eq!(complaints, "");

    // On another machine, from a place that cannot be written to, and with the keys from where they were kept.
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::copy(&file, other.join("b")).unwrap();
    fs::set_permissions(other.join("b"), fs::Permissions::from_mode(0o400)).unwrap();
    let (before, restored) = (content(&other), folder.path().join("restored"));
    let from_there = said(run(&["restore", flag(&other.join("b")), "--data", flag(&restored)]));
    assert_eq!(content(&other), before, "a backup is only read");
    assert_eq!(fs::metadata(&restored).unwrap().permissions().mode() & 0o777, 0o700);
    let head = told.lines().find(|line| line.starts_with("head ")).unwrap();
    assert!(from_there.lines().any(|line| line == head), "{from_there}");
    assert!(from_there.contains("put instance.key, admin-jwt.key, token-keys.json back"), "{from_there}");
    for name in ["directory", "approvals", "history"] {
        assert!(from_there.lines().any(|line| line.starts_with(&format!("{name}@")) && line.contains("rebuilt")), "{from_there}");
    }
    for key in ["instance.key", "admin-jwt.key"] {
        fs::copy(data.join(key), restored.join(key)).unwrap();
    }
    let service = Instance::start(&restored);
    let admin = Caller::admin(&service, &restored);
    let clients = admin.all(&format!("{}/clients", crate::DEFAULT_SERVER), "clients").await;
    // Two events each; whoever was answered before the backup began is in it, and of later ones those that came in time.
    assert!(clients.len() >= usize::from(promised) + 14, "{} of {promised} and 14", clients.len());
    assert!(clients.iter().all(|client| client["status"] != "pending"));
    let (_, complaints) = service.stop();
    assert_eq!(complaints, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_its_keys_an_instance_goes_on_as_if_nothing_had_happened() {
    let (folder, data, file, lists) = backed_up().await;
    let restored = folder.path().join("restored");
    // Read models that are left from another log would show that one.
    fs::create_dir_all(restored.join("read-models")).unwrap();
    fs::write(restored.join("read-models/directory@1.db"), "of another log").unwrap();
    let told = said(run(&["restore", flag(&file), "--data", flag(&restored)]));
    for key in ["instance.key", "admin-jwt.key", "token-keys.json"] {
        assert!(told.contains(&format!("{key} is as it was")), "{told}");
        assert_eq!(fs::read_to_string(restored.join(key)).unwrap().trim_end(), fs::read_to_string(data.join(key)).unwrap().trim_end());
    }
    assert!(!restored.join("read-models/directory@1.db").exists());
    for file in ["instance.key", "admin-jwt.key", "token-keys.json", "log.db"] {
        assert_eq!(fs::metadata(restored.join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    let published = {
        let service = Instance::start(&data);
        let published = Caller::anyone(&service).get("/.well-known/jwks.json").await;
        service.stop();
        published
    };
    let service = Instance::start(&restored);
    assert_eq!(Caller::anyone(&service).get("/.well-known/jwks.json").await, published);
    // A token of the old instance is one of the new.
    let admin = Caller::anyone(&service).with(&crate::instance::token(&data, "admin", "default"));
    assert!(admin.everything().await == lists);
    Caller::anyone(&service).post("/oauth/register", &claude(42_500)).await;
    service.stop();
    let second = folder.path().join("second.backup");
    said(run(&["backup", flag(&second), "--data", flag(&restored)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_overwritten_and_a_refusal_leaves_nothing() {
    let (folder, data, file, _) = backed_up().await;
    let backup = fs::read(&file).unwrap();
    let before = content(&data);

    let told = refusal(run(&["backup", flag(&file), "--data", flag(&data)]));
    assert!(told.contains("is there already and is never overwritten"), "{told}");
    let told = refusal(run(&["backup", flag(&folder.path().join("no/such/folder")), "--data", flag(&data)]));
    assert!(told.contains("cannot be written"), "{told}");
    let told = refusal(run(&["backup", flag(&folder.path().join("b")), "--data", flag(&folder.path().join("nowhere"))]));
    assert!(told.contains("there is no event log at"), "{told}");
    let told = refusal(run(&["restore", flag(&file), "--data", flag(&data)]));
    assert!(told.contains("log.db is there already, and a restore overwrites nothing"), "{told}");
    let service = Instance::start(&data);
    let told = refusal(run(&["restore", flag(&file), "--data", flag(&data)]));
    assert!(told.contains("in use by another gatebook"), "{told}");
    service.stop();
    assert_eq!(content(&data).get(&data.join("log.db")), before.get(&data.join("log.db")));
    assert_eq!(fs::read(&file).unwrap(), backup);
    assert_eq!(content(folder.path()).len(), 1);

    // A write-ahead log would be read into whatever log has its name.
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    fs::write(empty.join("log.db-wal"), "left").unwrap();
    let told = refusal(run(&["restore", flag(&file), "--data", flag(&empty)]));
    assert!(told.contains("log.db-wal is there already"), "{told}");
    fs::remove_file(empty.join("log.db-wal")).unwrap();
    fs::copy(data.join("admin-jwt.key"), empty.join("instance.key")).unwrap();
    let told = refusal(run(&["restore", flag(&file), "--data", flag(&empty)]));
    assert!(told.contains("another key than the one in the backup"), "{told}");
    assert!(!empty.join("log.db").exists() && !empty.join("admin-jwt.key").exists());

    let nowhere = folder.path().join("nowhere");
    for (what, spoil) in [
        ("no backup at", None),
        (
            "not a database",
            Some(b"not a database at all, but long enough to be taken for the first page of one, as it were, is it not".to_vec()),
        ),
        ("malformed", Some(backup[..backup.len() / 2].to_vec())),
        ("not a backup", Some(fs::read(data.join("log.db")).unwrap())),
    ] {
        let bad = folder.path().join("bad");
        if let Some(bytes) = &spoil {
            fs::write(&bad, bytes).unwrap();
        }
        let told = refusal(run(&["restore", flag(&bad), "--data", flag(&nowhere)]));
        assert!(told.contains(what), "{told}");
        assert!(!nowhere.exists(), "a refusal leaves nothing behind");
        assert_eq!(spoil, fs::read(&bad).ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_what_was_written_is_neither_backed_up_nor_restored() {
    let (folder, data, file, _) = backed_up().await;
    let spoilt = folder.path().join("spoilt");
    fs::create_dir(&spoilt).unwrap();
    let to = folder.path().join("of-a-spoilt-log");
    let nowhere = folder.path().join("nowhere");
    for (change, place) in [
        ("UPDATE events SET data = data || ' ' WHERE position = 5", "position 5"),
        ("UPDATE events SET hash = zeroblob(32) WHERE position = 5", "position 5"),
        ("DELETE FROM events WHERE position = 5", "position 5"),
        ("DELETE FROM events WHERE position = (SELECT max(position) FROM events)", "not as many events as were written"),
    ] {
        fs::copy(data.join("log.db"), spoilt.join("log.db")).unwrap();
        Connection::open(spoilt.join("log.db")).unwrap().execute_batch(change).unwrap();
        let told = refusal(run(&["backup", flag(&to), "--data", flag(&spoilt)]));
        assert!(told.contains(place), "{change}: {told}");
        assert!(content(folder.path()).keys().all(|path| *path == file), "a backup that fails leaves nothing");

        let bad = folder.path().join("bad");
        fs::copy(&file, &bad).unwrap();
        Connection::open(&bad).unwrap().execute_batch(change).unwrap();
        let told = refusal(run(&["restore", flag(&bad), "--data", flag(&nowhere)]));
        assert!(told.contains(place), "{change}: {told}");
        assert!(!nowhere.exists(), "nothing is written before everything was verified");
        fs::remove_file(&bad).unwrap();
    }

    // A tail that was cut off whole, streams and all, is a log of its own; the backup's note knows better.
    let bad = folder.path().join("bad");
    fs::copy(&file, &bad).unwrap();
    let cut = "DELETE FROM events WHERE position > 5; DELETE FROM streams WHERE id NOT IN (SELECT stream FROM events); \
        UPDATE streams SET revision = (SELECT count(*) FROM events WHERE stream = streams.id)";
    Connection::open(&bad).unwrap().execute_batch(cut).unwrap();
    let told = refusal(run(&["restore", flag(&bad), "--data", flag(&nowhere)]));
    assert!(told.contains("it has 5 with another head") && !nowhere.exists(), "{told}");

    // Damage to what is derived from the events stays behind.
    fs::copy(data.join("log.db"), spoilt.join("log.db")).unwrap();
    let cut = Connection::open(spoilt.join("log.db")).unwrap();
    cut.execute_batch(
        "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'events_by_commit'; PRAGMA writable_schema = RESET",
    )
    .unwrap();
    drop(cut);
    said(run(&["backup", flag(&to), "--data", flag(&spoilt)]));
    said(run(&["restore", flag(&to), "--data", flag(&nowhere)]));
    let read_only = Connection::open_with_flags(nowhere.join("log.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let sound: String = read_only.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_or_restore_that_is_killed_leaves_no_file_and_the_next_one_succeeds() {
    let (folder, data) = place();
    long_log(&data, 10_000).await;
    let file = folder.path().join("gatebook.backup");
    let killed_at = |arguments: &[&str], draft: &Path, least: u64| {
        let mut command = gatebook(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        while fs::metadata(draft).map_or(0, |draft| draft.len()) < least {
            assert!(started.elapsed() < PATIENCE && command.try_wait().unwrap().is_none(), "it was done before it was killed");
            std::thread::yield_now();
        }
        command.kill().unwrap();
        assert_eq!(command.wait().unwrap().signal(), Some(9), "it was done before it was killed");
    };
    let draft = folder.path().join("gatebook.backup.partial");
    for least in [0, 1, 1 << 20] {
        killed_at(&["backup", flag(&file), "--data", flag(&data)], &draft, least);
        assert!(!file.exists(), "half a backup has no name");
    }
    let told = said(run(&["backup", flag(&file), "--data", flag(&data)]));
    assert!(told.contains("30001 events"), "{told}");
    assert!(!draft.exists() && file.exists());

    let restored = folder.path().join("restored");
    let draft = restored.join("log.db.partial");
    for least in [0, 1 << 20] {
        killed_at(&["restore", flag(&file), "--data", flag(&restored)], &draft, least);
        assert!(!restored.join("log.db").exists(), "half a log has no name");
    }
    let told = said(run(&["restore", flag(&file), "--data", flag(&restored)]));
    assert!(told.contains("log.db restored, up to position 30001"), "{told}");
    assert!(!draft.exists());
    assert!(crate::rebuild::rows(&restored).len() > 20_000);
}
