//! `gatebook rebuild`, for a service that is stopped and for one that runs; afterwards every list is as it was, whoever was
//! killed meanwhile.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use chrono::DateTime;
use futures_util::StreamExt;
use gatebook::event_log::sqlite::SqliteLog;
use gatebook::event_log::{Append, EventLog, Expected};
use gatebook_events::Aggregate;
use gatebook_events::admission::{Admission, RegistrationType};
use gatebook_events::clamps::Clamps;
use gatebook_events::client::{Client, ClientCommand};
use gatebook_events::envelope::{CommitId, EventId, StoredEvent};
use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId, TenantId};
use gatebook_events::metadata;
use gatebook_events::registration::{AdmittedMetadata, Registration, RegistrationCommand};
use gatebook_events::secret::TokenHash;
use gatebook_events::stored::Stored;
use gatebook_events::stream::Stream;
use gatebook_projections::{Directory, Projection, ReadModel};
use reqwest::Method;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::flag;
use crate::instance::{Caller, DEFAULT_SERVER, Instance, PATIENCE, claude, gatebook, refusal, run, said};
use crate::place;
use crate::populate;

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_the_same_after_all_or_one_were_rebuilt() {
    let (_folder, data) = place();
    let service = Instance::start(&data);
    let admin = Caller::admin(&service, &data);
    populate(&Caller::anyone(&service), &admin).await;
    let before = admin.everything().await;

    let told = refusal(run(&["rebuild", "--data", flag(&data)]));
    assert!(told.contains("in use by another gatebook"), "{told}");
    assert!(admin.everything().await == before, "a refused rebuild changes nothing");
    service.stop();

    let told = said(run(&["rebuild", "--data", flag(&data)]));
    for name in ["directory", "approvals", "history"] {
        assert!(told.lines().any(|line| line.starts_with(&format!("{name}@")) && line.contains("rebuilt, up to position ")), "{told}");
    }
    for name in ["directory", "approvals", "history"] {
        let told = said(run(&["rebuild", name, "--data", flag(&data)]));
        assert_eq!(told.lines().count(), 1);
        assert!(told.starts_with(&format!("{name}@")), "{told}");
    }
    // What was built took the place of what served; nothing is left over.
    let left: Vec<String> = std::fs::read_dir(data.join("read-models"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("building"))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    let service = Instance::start(&data);
    let after = Caller::admin(&service, &data).everything().await;
    assert!(after == before, "the lists differ:\n{before:#}\n{after:#}");
}

#[test]
fn what_is_not_there_cannot_be_rebuilt() {
    let (_folder, data) = place();
    let told = refusal(run(&["rebuild", "--data", flag(&data)]));
    assert!(told.contains("there is no event log at"), "{told}");
    assert!(!data.exists(), "a refusal leaves nothing behind");

    Instance::start(&data).stop();
    let told = refusal(run(&["rebuild", "clients", "--data", flag(&data)]));
    assert!(told.contains("no such projection") && told.contains("directory, approvals and history"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_runs_rebuilds_beside_what_serves() {
    let (_folder, data) = place();
    let service = Instance::start(&data);
    let admin = Caller::admin(&service, &data);
    populate(&Caller::anyone(&service), &admin).await;
    let before = admin.everything().await;
    let told = said(run(&["rebuild", "--url", &service.url, "--data", flag(&data)]));
    for name in ["directory", "approvals", "history"] {
        assert!(told.lines().any(|line| line.starts_with(&format!("{name}@")) && line.contains("rebuilt, up to position ")), "{told}");
    }
    assert!(admin.everything().await == before);
    let told = refusal(run(&["rebuild", "--url", "http://127.0.0.1:9", "--data", flag(&data)]));
    assert!(told.contains("failed to reach"), "{told}");
    let (_, complaints) = service.stop();
    assert_eq!(complaints, "");
}

/// A log that takes a while to build from, in an instance that has run before.
pub async fn long_log(data: &Path, clients: u64) {
    Instance::start(data).stop();
    let log = SqliteLog::open(&data.join("log.db")).unwrap();
    let events = |key: ClientKey, number: u64| {
        let metadata = json!({ "client_name": format!("client {number}"), "redirect_uris": ["https://app.example.com/cb"] });
        let metadata = metadata::parse(metadata.as_object().unwrap().clone()).unwrap().metadata;
        let register = ClientCommand::Register {
            client_id: ClientId::of_key(key),
            registration_type: RegistrationType::Dcr,
            home: Some(TenantId::default_tenant()),
            metadata: metadata.clone(),
            secret: None,
            registration_token: Some(TokenHash([7; 32])),
            ignored: vec![],
            initial_access_token: None,
            clamps: Clamps::default(),
            imported_from: None,
            at: DateTime::UNIX_EPOCH,
        };
        let request = RegistrationCommand::Request {
            tenant: TenantId::default_tenant(),
            client_id: ClientId::of_key(key),
            registration_type: RegistrationType::Dcr,
            redirect_uris: metadata.redirect_uris.clone(),
            metadata: Some(AdmittedMetadata::of(&metadata).into()),
            admission: Admission::Auto,
            at: DateTime::UNIX_EPOCH,
        };
        [
            (Stream::Client(key), stored(&Client::default().decide(&register).unwrap())),
            (Stream::Registration(ResourceServerId::DEFAULT, key), stored(&Registration::default().decide(&request).unwrap())),
        ]
    };
    let appends = (0..clients).flat_map(|number| events(ClientKey(Uuid::now_v7()), number));
    let appended = appends.map(|(stream, events)| {
        log.append(Append { stream: stream.name(), expected: Expected::Empty, commit: CommitId(Uuid::now_v7()), events })
    });
    let mut appended = futures_util::stream::iter(appended).buffer_unordered(512);
    while let Some(appended) = appended.next().await {
        appended.unwrap();
    }
    log.close().await;
}

fn stored<E: Stored>(events: &[E]) -> Vec<StoredEvent> {
    let store = |event: &E| {
        let ((name, version), data) = (event.shape(), event.encode().unwrap().into());
        let (id, meta) = (EventId(Uuid::now_v7()), r#"{"tenant":"default","actor":{"kind":"anonymous"}}"#.into());
        StoredEvent { id, name: name.into(), version, recorded_at: DateTime::UNIX_EPOCH, meta, data }
    };
    events.iter().map(store).collect()
}

/// The checkpoint of the build that is under way or was; 0 while there is none. Whoever reads what was killed takes back what it had
/// half done, and so has to be able to write.
fn built(data: &Path) -> i64 {
    let file = data.join("read-models").join(format!("directory@{}.building.db", Directory::VERSION));
    let existing = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let checkpoint = Connection::open_with_flags(file, existing)
        .and_then(|connection| connection.query_row("SELECT position FROM checkpoint", [], |row| row.get(0)));
    checkpoint.unwrap_or_default()
}

/// Every row of the directory, once nobody has it open.
pub fn rows(data: &Path) -> Vec<String> {
    ReadModel::<Directory>::open(&data.join("read-models")).unwrap().dump().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_was_killed_goes_on_and_comes_to_the_same_in_a_service_as_in_the_command() {
    const CLIENTS: u64 = 20_000;
    let (_folder, data) = place();
    long_log(&data, CLIENTS).await;
    said(run(&["rebuild", "--data", flag(&data)]));
    let scratch = rows(&data);
    assert!(scratch.len() as u64 > 2 * CLIENTS);

    // The command, killed with a part of it done.
    let mut command = gatebook(&["rebuild", "directory", "--data", flag(&data)]).stdout(Stdio::null()).spawn().unwrap();
    let reached = part_of(&data, 0);
    command.kill().unwrap();
    assert_eq!(command.wait().unwrap().signal(), Some(9), "it was done before it was killed");

    // A start goes on with it beside what serves, and is killed too.
    let service = Instance::start(&data);
    assert_eq!(Caller::admin(&service, &data).get("/authsec/projections").await["projections"][0]["state"], "live");
    service.kill();
    assert!(built(&data) == 0 || built(&data) >= reached, "what was done is not done again");

    // Without any tables, nothing is shown before there is something to show; clients come in all the same.
    std::fs::remove_dir_all(data.join("read-models")).unwrap();
    let service = Instance::start_with(&data, &["--registrations-per-minute", "0", "--read-wait", "0"]);
    let (admin, anyone) = (Caller::admin(&service, &data), Caller::anyone(&service));
    let lists = admin.request(Method::GET, &format!("{DEFAULT_SERVER}/clients"), None).send().await.unwrap();
    assert_eq!(lists.status(), 503);
    assert!(lists.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
    let problem: Value = lists.json().await.unwrap();
    assert_eq!(problem["type"], "urn:gatebook:problem:read-model-building", "{problem}");
    anyone.post("/oauth/register", &claude(42_001)).await;
    part_of(&data, 0);
    service.kill();

    let service = Instance::start(&data);
    let admin = Caller::admin(&service, &data);
    anyone_waits_for(&admin, "live").await;
    let total = admin.get(&format!("{DEFAULT_SERVER}/clients?limit=1")).await["counts"]["by_type"]["dcr"].as_u64();
    assert_eq!(total, Some(CLIENTS + 1));
    service.stop();
    let resumed = rows(&data);
    std::fs::remove_dir_all(data.join("read-models")).unwrap();
    said(run(&["rebuild", "--data", flag(&data)]));
    assert!(rows(&data) == resumed, "a build that was killed equals one that was not");
    assert!(resumed.len() >= scratch.len() + 2);
}

/// Waits until a part of the build is in its file.
fn part_of(data: &Path, after: i64) -> i64 {
    let started = Instant::now();
    loop {
        let reached = built(data);
        if reached > after {
            return reached;
        }
        assert!(started.elapsed() < PATIENCE, "nothing was built");
        std::thread::yield_now();
    }
}

pub async fn anyone_waits_for(admin: &Caller, state: &str) {
    let started = Instant::now();
    loop {
        let shown = admin.get("/authsec/projections").await;
        let all = shown["projections"].as_array().unwrap();
        if all.iter().all(|one| one["state"] == state && one.get("build").is_none()) {
            return;
        }
        assert!(started.elapsed() < 3 * PATIENCE, "{shown}");
    }
}
