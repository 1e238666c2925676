//! Trouble that passes by itself: a full disk, a lock that another process holds, a log that was put back, an authorization server
//! that is away, a clock that was ahead. Afterwards all is well without an operator, and the rows are those of a fresh build.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use gatebook_projections::directory::Directory;
use gatebook_projections::read_model::Projection;
use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::house::{Caller, DEFAULT, House, clients};

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// An answer that may be one of a service that is unwell.
async fn asked(caller: &Caller<'_>, method: Method, path: &str, body: Option<Value>) -> Answer {
    let request = caller.request(method, path);
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    Answer::read(request.send().await.unwrap()).await
}

async fn health(house: &House) -> Answer {
    asked(&house.anyone(), Method::GET, "/health", None).await
}

/// Waits until health says something; what it says then.
async fn health_until(house: &House, state: impl Fn(&Answer) -> bool) -> Answer {
    let look = async {
        loop {
            let answer = health(house).await;
            if state(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if let Ok(answer) = tokio::time::timeout(PATIENCE, look).await {
        return answer;
    }
    panic!("health says {}", health(house).await.text)
}

async fn registers(house: &House, name: &str) -> Answer {
    let body = json!({ "client_name": name, "redirect_uris": ["https://app.example/cb"] });
    asked(&house.anyone(), Method::POST, "/oauth/register", Some(body)).await
}

/// Every row of every projection, once all of them show the log's last event.
async fn rows(house: &House) -> Vec<String> {
    let head = house.head().await;
    let mut rows = Vec::new();
    let shown = tokio::time::timeout(PATIENCE, async {
        house.app.directory.until(|progress| progress.shows(head) && progress.building.is_none()).await.unwrap();
        house.app.approvals.until(|progress| progress.shows(head) && progress.building.is_none()).await.unwrap();
        house.app.history.until(|progress| progress.shows(head) && progress.building.is_none()).await.unwrap();
    });
    shown.await.unwrap();
    rows.extend(house.app.directory.reader().dump().unwrap());
    rows.extend(house.app.approvals.reader().dump().unwrap());
    rows.extend(house.app.history.reader().dump().unwrap());
    rows
}

/// The rows are those that a build from the first event makes.
async fn is_as_if_built_anew(house: House) {
    let (before, time) = (rows(&house).await, house.clock.now());
    let folder = house.end().await;
    std::fs::remove_dir_all(read_models(folder.path())).or_else(|_| empty(&read_models(folder.path()))).unwrap();
    let house = House::begin(folder, time, |_| {}).await;
    assert_eq!(rows(&house).await, before);
}

/// A folder on which something is mounted is emptied.
fn empty(folder: &Path) -> std::io::Result<()> {
    std::fs::read_dir(folder)?.flatten().try_for_each(|file| std::fs::remove_file(file.path()))
}

fn read_models(folder: &Path) -> PathBuf {
    folder.join("data/read-models")
}

fn open_as_another_process(folder: &Path) -> Connection {
    let file = format!("{}@{}.db", Directory::NAME, Directory::VERSION);
    Connection::open(read_models(folder).join(file)).unwrap()
}

/// A disk of a few megabytes of its own, which really is full when it is full.
struct Disk(PathBuf);

impl Disk {
    /// None where this user may not mount anything.
    fn mounted_at(folder: &Path) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=12m,mode=0700", "tmpfs"]).arg(folder).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(folder.to_owned()))
    }

    fn fill(&self) {
        let mut ballast = std::fs::File::create(self.0.join("ballast")).unwrap();
        let piece = vec![1; 4096];
        while std::io::Write::write_all(&mut ballast, &piece).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t1_a_read_model_that_another_process_locks_catches_up_by_itself_and_no_event_is_blamed() {
    let house = House::open().await;
    house.registered("early").await;
    rows(&house).await;
    let other = open_as_another_process(house.folder.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let late = house.registered("late").await;
    let refused = tokio::time::timeout(PATIENCE, house.app.directory.until(|progress| progress.retrying.is_some()));
    let progress = refused.await.unwrap().unwrap();
    assert!(progress.stopped.is_none(), "{progress:?}");

    let red = health_until(&house, |health| health.status == 503).await;
    assert_eq!((&red["stopped_projections"], &red["retrying_projections"]), (&json!([]), &json!(["directory"])), "{}", red.text);
    let trouble = &red["troubles"][0];
    assert!(trouble["cause"].as_str().unwrap().contains("locked") && trouble.get("event_id").is_none(), "{trouble}");
    let shown = house.auditor("default").get("/authsec/projections").await.is(200);
    assert_eq!((&shown["projections"][0]["state"], shown["projections"][0]["retrying"]["cause"].is_string()), (&json!("retrying"), true));
    let figures = gatebook::application::metrics::scrape(&house.app).await;
    assert!(figures.contains("gatebook_projection_state{projection=\"directory\",state=\"retrying\"} 1"), "{figures}");
    // There is no event that could be skipped.
    let events = house.auditor("default").get("/authsec/audit/events?limit=1").await.is(200);
    let skip = json!({ "event_id": events["events"][0]["event_id"], "reason": "it is in the way" });
    house.admin("default").post("/authsec/projections/directory/skip", skip).await.problem(409, "not-at-this-event");

    other.execute_batch("ROLLBACK").unwrap();
    let green = health_until(&house, |health| health.status == 200).await;
    assert!(green.body.get("retrying_projections").is_none() && green.body.get("troubles").is_none(), "{}", green.text);
    let registration = format!("/oauth/register/{}", late.text("client_id"));
    house.holder(&late.text("registration_access_token")).get(&registration).await.is(200);
    assert_eq!(house.admin("default").get(&clients(DEFAULT)).await.is(200)["clients"].as_array().unwrap().len(), 2);
    is_as_if_built_anew(house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t1_read_models_on_a_full_disk_go_on_once_there_is_room_and_a_build_is_tried_again_too() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mounted_at(&read_models(folder.path())) else {
        return eprintln!("not run: this user may not mount a disk of its own");
    };
    let house = House::begin(folder, start(), |settings| settings.free_space_floor = Some(0)).await;
    rows(&house).await;
    disk.fill();
    let mut last = None;
    for number in 0..400 {
        last = Some(house.registered(&format!("client {number}")).await);
        if gatebook::application::services::followers(&house.app).iter().any(|follower| follower.progress().retrying.is_some()) {
            break;
        }
    }
    let red = health_until(&house, |health| health.status == 503).await;
    assert_eq!(red["stopped_projections"], json!([]), "{}", red.text);
    assert!(red["troubles"].as_array().unwrap().iter().all(|trouble| trouble.get("event_id").is_none()), "{}", red.text);
    let admin = house.admin("default");
    asked(&admin, Method::POST, "/authsec/projections/history/rebuild", Some(json!({}))).await.is(202);
    let failed = house.app.history.until(|progress| progress.build_failed.is_some());
    assert!(tokio::time::timeout(PATIENCE, failed).await.unwrap().unwrap().build_failed.unwrap().passes);

    disk.free();
    health_until(&house, |health| health.status == 200).await;
    let built = house.app.history.until(|progress| progress.build_failed.is_none() && progress.building.is_none());
    tokio::time::timeout(PATIENCE, built).await.unwrap().unwrap();
    let last = last.unwrap();
    let registration = format!("/oauth/register/{}", last.text("client_id"));
    house.holder(&last.text("registration_access_token")).get(&registration).await.is(200);
    is_as_if_built_anew(house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t4_health_tells_of_appends_that_a_full_disk_refuses_until_there_is_room_without_anybody_appending() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mounted_at(&folder.path().join("data")) else {
        return eprintln!("not run: this user may not mount a disk of its own");
    };
    let house = House::begin(folder, start(), |settings| settings.free_space_floor = Some(0)).await;
    house.registered("early").await;
    rows(&house).await;
    disk.fill();
    let mut refused = None;
    for number in 0..400 {
        let answer = registers(&house, &format!("client {number}")).await;
        if answer.status != 201 {
            refused = Some(answer);
            break;
        }
    }
    refused.unwrap().is(503);
    let red = health(&house).await.is(503);
    assert_eq!((&red["log"], &red["log_refuses"][0]["of"]), (&json!("unavailable"), &json!("append")), "{}", red.text);
    assert!(red["log_refuses"][0]["cause"].as_str().unwrap().contains("full"), "{}", red.text);
    let figures = gatebook::application::metrics::scrape(&house.app).await;
    assert!(figures.contains("gatebook_log_up{of=\"append\"} 0"), "{figures}");

    disk.free();
    health_until(&house, |health| health.status == 200).await;
    house.registered("late").await;
    is_as_if_built_anew(house).await;
}

#[tokio::test]
async fn t4_a_stream_that_cannot_be_read_is_part_of_health_until_it_reads_well() {
    let house = House::open().await;
    let client = house.registered("early").await;
    house.registered("late").await;
    rows(&house).await;
    let log = Connection::open(house.folder.path().join("data/log.db")).unwrap();
    let flip = || log.execute("UPDATE events SET data = replace(data, 'early', 'yearl') WHERE data LIKE '%early%'", []).unwrap();
    let back = || log.execute("UPDATE events SET data = replace(data, 'yearl', 'early') WHERE data LIKE '%yearl%'", []).unwrap();
    assert!(flip() > 0);
    let registration = format!("/oauth/register/{}", client.text("client_id"));
    let holder = house.holder(&client.text("registration_access_token"));
    asked(&holder, Method::GET, &registration, None).await.is(503);
    // Others are read meanwhile, and that says nothing about this one.
    house.registered("another").await;
    let red = health(&house).await.is(503);
    assert_eq!((&red["log"], &red["log_refuses"][0]["of"]), (&json!("unavailable"), &json!("read")), "{}", red.text);
    assert!(red["log_refuses"][0]["cause"].as_str().unwrap().contains("does not match its hash"), "{}", red.text);
    let figures = gatebook::application::metrics::scrape(&house.app).await;
    assert!(
        figures.contains("gatebook_log_up{of=\"read\"} 0") && figures.contains("gatebook_log_refusals_total{of=\"read\"}"),
        "{figures}"
    );
    back();
    health(&house).await.is(200);
    holder.get(&registration).await.is(200);
}

/// Puts the file of a log that nobody has open in the place of another one.
fn copy_log(from: &Path, to: &Path) {
    remove_database(to);
    std::fs::copy(from, to).unwrap();
}

fn remove_database(file: &Path) {
    for ending in ["db", "db-wal", "db-shm"] {
        let _absent = std::fs::remove_file(file.with_extension(ending));
    }
}

/// The names of all clients at the default resource server, as its administrator sees them.
async fn names(house: &House) -> Vec<String> {
    rows(house).await;
    let listed = house.admin("default").get(&clients(DEFAULT)).await.is(200);
    let mut names: Vec<String> = listed["clients"].as_array().unwrap().iter().map(|one| one["client_name"].to_string()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn t2_an_older_log_under_newer_read_models_is_noticed_even_once_it_has_passed_their_checkpoint() {
    let house = House::open().await;
    house.registered("kept").await;
    let folder = house.end().await;
    let (log, backup) = (folder.path().join("data/log.db"), folder.path().join("backup.db"));
    copy_log(&log, &backup);
    let house = House::begin(folder, start(), |_| {}).await;
    house.registered("lost one").await;
    house.registered("lost two").await;
    rows(&house).await;
    let folder = house.end().await;

    // The older log is put back under the newer tables, which show more than there is.
    copy_log(&backup, &log);
    let newer = folder.path().join("newer");
    copy_folder(&read_models(folder.path()), &newer);
    let house = House::begin(folder, start(), |_| {}).await;
    health_until(&house, |health| health.status == 200).await;
    assert_eq!(names(&house).await, ["\"kept\""]);

    // And again once the log has come past where they are.
    for name in ["other one", "other two", "other three"] {
        house.registered(name).await;
    }
    let folder = house.end().await;
    std::fs::remove_dir_all(read_models(folder.path())).unwrap();
    copy_folder(&newer, &read_models(folder.path()));
    let house = House::begin(folder, start(), |_| {}).await;
    health_until(&house, |health| health.status == 200).await;
    assert_eq!(names(&house).await, ["\"kept\"", "\"other one\"", "\"other three\"", "\"other two\""]);
    is_as_if_built_anew(house).await;
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().flatten() {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[tokio::test]
async fn t2_tables_of_a_build_that_kept_no_hash_stay_and_are_given_one() {
    let house = House::open().await;
    house.registered("early").await;
    rows(&house).await;
    let folder = house.end().await;
    let file = read_models(folder.path()).join(format!("{}@{}.db", Directory::NAME, Directory::VERSION));
    let model = Connection::open(&file).unwrap();
    // By this row it can be told whether the file was thrown away.
    model.execute_batch("ALTER TABLE checkpoint DROP COLUMN hash; PRAGMA user_version = 77;").unwrap();
    drop(model);
    let house = House::begin(folder, start(), |_| {}).await;
    house.registered("late").await;
    assert_eq!(names(&house).await, ["\"early\"", "\"late\""]);
    let model = Connection::open(&file).unwrap();
    assert_eq!(model.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap(), 77);
    let hash: Vec<u8> = model.query_row("SELECT hash FROM checkpoint", [], |row| row.get(0)).unwrap();
    assert_eq!(hash.len(), 32);
}

#[tokio::test]
async fn t3_a_first_token_while_the_clock_was_ahead_does_not_keep_the_next_one_from_being_made() {
    let house = House::open().await;
    let job = house
        .admin("default")
        .post(&clients(DEFAULT), json!({ "client_name": "job", "grant_types": ["client_credentials"] }))
        .await
        .is(201);
    let form = format!("grant_type=client_credentials&client_id={}&client_secret={}", job.text("client_id"), job.text("client_secret"));
    let token = || async {
        let request = house.anyone().request(Method::POST, "/oauth/token").header("content-type", "application/x-www-form-urlencoded");
        Answer::read(request.body(form.clone()).send().await.unwrap()).await
    };
    house.clock.advance(TimeDelta::days(3));
    token().await.is(200);
    house.clock.set(start());
    let answer = token().await.is(200);
    let header = answer.text("access_token").split('.').next().unwrap().to_owned();
    let header: Value =
        serde_json::from_slice(&base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, header).unwrap()).unwrap();
    let keys = house.anyone().get("/.well-known/jwks.json").await.is(200);
    assert!(keys["keys"].as_array().unwrap().iter().any(|key| key["kid"] == header["kid"]), "{} {header}", keys.text);
    let warned = health(&house).await.is(200);
    assert_eq!(warned["warnings"][0]["of"], "signing_keys", "{}", warned.text);
}

#[tokio::test]
async fn t5_an_authorization_server_that_is_away_is_told_everywhere_and_found_again_at_once() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let issuer = format!("http://{address}");
    let upstream = issuer.clone();
    let house = House::with(|settings| settings.upstream_issuer = Some(upstream)).await;
    // Nobody has asked for anything yet.
    let warned = health_until(&house, |health| health.body.get("warnings").is_some()).await.is(200);
    assert_eq!(warned["warnings"][0]["of"], "upstream", "{}", warned.text);
    let discovery = "/.well-known/oauth-authorization-server";
    let away = asked(&house.anyone(), Method::GET, discovery, None).await.is(503);
    assert_eq!(away.header("retry-after"), "1", "{:?}", away.headers);
    assert!(away.text.contains("the authorization server's metadata cannot be fetched now"), "{}", away.text);

    // While it answers with an error, however many ask, it is asked once a second.
    let asked_for = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (count, is_well) = (asked_for.clone(), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let (well, document) = (is_well.clone(), json!({ "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize") }));
    let answer = move || {
        let (count, well, document) = (count.clone(), well.clone(), document.clone());
        async move {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if well.load(std::sync::atomic::Ordering::Relaxed) {
                Ok(axum::Json(document))
            } else {
                Err(axum::http::StatusCode::BAD_GATEWAY)
            }
        }
    };
    let pages = axum::Router::new().fallback(answer);
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, pages).await.unwrap() });
    let began = tokio::time::Instant::now();
    let anyone = house.anyone();
    let crowd = (0..60).map(|_| asked(&anyone, Method::GET, discovery, None));
    for answer in futures_util::future::join_all(crowd).await {
        answer.is(503);
    }
    // Each attempt looks at two places.
    let most = 2 * (2 + usize::try_from(began.elapsed().as_secs()).unwrap());
    assert!(asked_for.load(std::sync::atomic::Ordering::Relaxed) <= most);
    is_well.store(true, std::sync::atomic::Ordering::Relaxed);
    let back = tokio::time::Instant::now();
    while asked(&house.anyone(), Method::GET, discovery, None).await.status != 200 {
        assert!(back.elapsed() < Duration::from_secs(5), "it is back, and not found");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(health(&house).await.is(200).body.get("warnings").is_none());
    server.abort();
}
