//! `gatebook doctor`: says nothing where nothing is wrong, names what is, says what to do, and never writes to the log.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use gatebook::event_log::sqlite::SqliteLog;
use gatebook::event_log::{Append, EventLog, Expected};
use gatebook_events::envelope::{CommitId, EventId, StoredEvent, StreamName};
use gatebook_projections::{Directory, Projection};
use rusqlite::Connection;
use serde_json::Value;
use uuid::Uuid;

use crate::flag;
use crate::instance::{Caller, Instance, gatebook, run, said};
use crate::place;
use crate::populate;

/// What a doctor finds: each check's name, what it says, and what to do.
pub fn findings(data: &Path) -> Vec<[String; 3]> {
    let output = run(&["doctor", "--json", "--data", flag(data)]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let text = |check: &Value, name: &str| check[name].as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false);
    let found: Vec<_> = checks.map(|check| ["check", "what", "do"].map(|name| text(check, name))).collect();
    assert_eq!(report["findings"], found.len());
    assert_eq!(output.status.code(), Some(i32::from(!found.is_empty())), "{}", String::from_utf8_lossy(&output.stderr));
    found
}

/// A stopped instance's data folder. Its log is in one file, and its read models show all of it.
pub async fn stopped() -> (tempfile::TempDir, PathBuf) {
    let (folder, data) = place();
    let service = Instance::start(&data);
    let admin = Caller::admin(&service, &data);
    populate(&Caller::anyone(&service), &admin).await;
    admin.everything().await;
    service.stop();
    (folder, data)
}

/// Another data folder with the same in it.
pub fn copied(data: &Path) -> (tempfile::TempDir, PathBuf) {
    let (folder, copy) = place();
    fs::create_dir_all(copy.join("read-models")).unwrap();
    for folder in ["", "read-models"] {
        for entry in fs::read_dir(data.join(folder)).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
            fs::copy(entry.path(), copy.join(folder).join(entry.file_name())).unwrap();
        }
    }
    for folder in [copy.clone(), copy.join("read-models")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
    }
    (folder, copy)
}

/// The file of a projection's tables.
pub fn tables(data: &Path, name: &str) -> PathBuf {
    let files = fs::read_dir(data.join("read-models")).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{name}@"));
    files.filter(|path| path.extension().is_some_and(|ending| ending == "db")).find(named).unwrap()
}

fn change(file: &Path, sql: &str) {
    Connection::open(file).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_instance_has_nothing_to_see_to_whether_it_runs_or_not() {
    let (_folder, data) = stopped().await;
    let log = fs::read(data.join("log.db")).unwrap();
    let told = said(run(&["doctor", "--data", flag(&data)]));
    for line in ["nobody has the log open", "the chain holds", "this build reads every event", "every row is what a fresh fold of"] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert!(!told.contains("!!") && told.lines().all(|line| line.starts_with("  ok  ")), "{told}");
    assert_eq!(fs::read(data.join("log.db")).unwrap(), log);

    // While clients come in, the tables are held against the events that they show.
    let service = Instance::start(&data);
    let anyone = Caller::anyone(&service);
    let writing = tokio::spawn(async move {
        loop {
            populate_more(&anyone).await;
        }
    });
    for mode in ["--full", "--sample=5"] {
        let told = tokio::task::spawn_blocking({
            let data = data.clone();
            move || said(run(&["doctor", mode, "--data", flag(&data)]))
        });
        let told = told.await.unwrap();
        assert!(told.contains("a gatebook has the log open") && !told.contains("!!"), "{told}");
    }
    writing.abort();
    let (_, complaints) = service.stop();
    assert_eq!(complaints, "");
}

async fn populate_more(anyone: &Caller) {
    anyone.post("/oauth/register", &crate::instance::claude(50_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_is_wrong_is_named_with_what_to_do_and_the_log_is_not_written_to() {
    type Wrong = (&'static str, Box<dyn Fn(&Path)>, &'static str, &'static str);
    let (_folder, data) = stopped().await;
    assert_eq!(findings(&data), Vec::<[String; 3]>::new());
    let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let sql = |name: &'static str, sql: &'static str| move |data: &Path| change(&tables(data, name), sql);
    let wrong: Vec<Wrong> = vec![
        ("permissions", Box::new(move |data| chmod(data, 0o755)), "is open to others than its owner (mode 0755)", "chmod 700"),
        ("permissions", Box::new(move |data| chmod(&data.join("log.db"), 0o640)), "log.db is open to others", "chmod 600"),
        ("permissions", Box::new(move |data| chmod(&data.join("instance.key"), 0o604)), "instance.key is open to others", "chmod 600"),
        ("keys", Box::new(|data| fs::remove_file(data.join("instance.key")).unwrap()), "instance.key is missing", "put its copy back"),
        ("keys", Box::new(|data| fs::write(data.join("admin-jwt.key"), "x").unwrap()), "is not a key file", "put its copy back"),
        ("leftovers", Box::new(|data| empty(&data.join("log.db.partial"))), "log.db.partial was never finished", "`rm "),
        ("leftovers", Box::new(|data| empty(&data.join("read-models/history@1.building.db"))), "another version", "`rm "),
        ("side tables", Box::new(|data| fs::write(data.join("schedule.db"), "x".repeat(5000)).unwrap()), "not a database", "and remove "),
        ("side tables", Box::new(|data| fs::write(data.join("usage.db"), "x".repeat(5000)).unwrap()), "not a database", "and remove "),
        (
            "log",
            Box::new(|data| change(&data.join("log.db"), "UPDATE events SET version = 9 WHERE position = 7")),
            "position 7",
            "gatebook restore",
        ),
        ("log", Box::new(|data| change(&data.join("log.db"), "DELETE FROM events WHERE position = 7")), "position 7", "gatebook restore"),
        ("log", Box::new(|data| fs::write(data.join("log.db"), "x".repeat(5000)).unwrap()), "not a database", "gatebook restore"),
        ("log", Box::new(unindexed), "every event is as it was written, but", "gatebook backup"),
        (
            "directory",
            Box::new(|data| empty(&data.join(format!("read-models/directory@{}.building.db", Directory::VERSION)))),
            "interrupted",
            "start the service",
        ),
        (
            "directory",
            Box::new(sql("directory", "UPDATE checkpoint SET position = 1000")),
            "not the one it was",
            "gatebook rebuild directory",
        ),
        (
            "directory",
            Box::new(sql("directory", "UPDATE clients SET search = 'x' WHERE rowid = 3")),
            "clients differs in search",
            "gatebook rebuild directory",
        ),
        (
            "directory",
            Box::new(sql("directory", "UPDATE counts SET number = number + 1")),
            "counts differs in number",
            "gatebook rebuild directory",
        ),
        (
            "approvals",
            Box::new(sql("approvals", "DELETE FROM registrations WHERE staged IS NOT NULL")),
            "registrations is missing",
            "gatebook rebuild approvals",
        ),
        ("approvals", Box::new(sql("approvals", "CREATE TABLE more (x)")), "not those of this build", "gatebook rebuild approvals"),
        (
            "history",
            Box::new(sql("history", "DELETE FROM events WHERE position = 9")),
            "the row 9 of its table events is missing",
            "gatebook rebuild history",
        ),
        (
            "history",
            Box::new(sql("history", "INSERT INTO client_ids VALUES (x'00', 'x')")),
            "should not be there",
            "gatebook rebuild history",
        ),
        ("history", Box::new(|data| cut(&tables(data, "history"))), "malformed", "gatebook rebuild history"),
    ];
    for (check, spoil, what, advice) in wrong {
        let (_folder, data) = copied(&data);
        spoil(&data);
        let log = fs::read(data.join("log.db")).unwrap();
        let found = findings(&data);
        let named = found.iter().find(|[name, said, _]| name == check && said.contains(what));
        let [_, _, told] = named.unwrap_or_else(|| panic!("{check}: {what}: {found:#?}"));
        assert!(told.contains(advice), "{told}");
        assert_eq!(fs::read(data.join("log.db")).unwrap(), log, "{what}");
        if ["directory", "approvals", "history"].contains(&check) {
            said(run(&["rebuild", check, "--data", flag(&data)]));
            assert_eq!(findings(&data), Vec::<[String; 3]>::new(), "{what}");
            assert_eq!(fs::read(data.join("log.db")).unwrap(), log, "{what}");
        }
    }
}

/// Leaves one event out of an index that the chain does not cover.
fn unindexed(data: &Path) {
    const OF: &str = "FROM sqlite_schema WHERE name = 'events_by_commit'";
    let file = data.join("log.db");
    let select = format!("SELECT rootpage, sql {OF}");
    let index: (i64, String) = Connection::open(&file).unwrap().query_row(&select, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    change(&file, &format!("PRAGMA writable_schema = ON; DELETE {OF}"));
    change(&file, "UPDATE events SET commit_id = x'01' WHERE position = 9");
    let back = format!("INSERT INTO sqlite_schema VALUES ('index', 'events_by_commit', 'events', {}, '{}')", index.0, index.1);
    change(&file, &format!("PRAGMA writable_schema = ON; {back}"));
}

fn empty(path: &Path) {
    fs::write(path, "").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

pub fn cut(path: &Path) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
}

/// An event that no client of this build would write, at the log's end.
async fn append(data: &Path, name: &str, version: u16, recorded_at: DateTime<Utc>) {
    let log = SqliteLog::open(&data.join("log.db")).unwrap();
    let id = EventId(Uuid::now_v7());
    let meta = r#"{"actor":{"kind":"system"}}"#.into();
    let event = StoredEvent { id, name: name.into(), version, recorded_at, meta, data: "{}".into() };
    let stream = StreamName(format!("client-{}", Uuid::now_v7()).into());
    log.append(Append { stream, expected: Expected::Empty, commit: CommitId(Uuid::now_v7()), events: vec![event] }).await.unwrap();
    log.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_build_cannot_read_and_what_is_dated_in_the_future_is_named() {
    let (_folder, data) = stopped().await;
    append(&data, "client.exploded", 1, DateTime::UNIX_EPOCH).await;
    append(&data, "client.registered", 9, "2999-01-01T00:00:00Z".parse().unwrap()).await;
    let found = findings(&data);
    let named = |what: &str, advice: &str| found.iter().any(|[_, said, told]| said.contains(what) && told.contains(advice));
    assert!(named("client.exploded at position 47: the event name client.exploded is not known to this build", "skip"), "{found:#?}");
    assert!(named("client.registered at position 48", "run a gatebook that knows version 9 of this event"), "{found:#?}");
    assert!(named("an event is dated 2999-01-01T00:00:00Z", "set the clock"), "{found:#?}");
    assert_eq!(found.len(), 3, "{found:#?}");
}

#[test]
fn there_has_to_be_something_to_look_at() {
    let (_folder, data) = place();
    let output = gatebook(&["doctor", "--data", flag(&data)]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no event log at"));
    assert!(output.status.code() == Some(1) && !data.exists());
}
