//! Read models as operators handle them: rebuilt under load, stopped at what cannot be read, tried again, and gone on with.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use chrono::TimeDelta;
use gatebook::event_log::{Append, Expected};
use gatebook::read_models::Follower;
use gatebook_events::envelope::{CommitId, EventId, Position, StoredEvent, StreamName};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::answer::Answer;
use crate::house::{DEFAULT, House, clients};

const NAMES: [&str; 3] = ["directory", "approvals", "history"];

/// Appends what no build reads, as a build that was withdrawn would have left it; its id.
async fn poisoned(house: &House, name: &str, version: u16) -> Uuid {
    let id = Uuid::now_v7();
    let event = StoredEvent {
        id: EventId(id),
        name: name.into(),
        version,
        recorded_at: house.clock.now(),
        meta: r#"{"actor":{"kind":"system"}}"#.into(),
        data: "{}".into(),
    };
    let stream = StreamName(format!("client-{}", Uuid::now_v7()).into());
    let append = Append { stream, expected: Expected::Empty, commit: CommitId(Uuid::now_v7()), events: vec![event] };
    house.app.log.append(append).await.unwrap();
    id
}

async fn shown(house: &House, name: &str) -> Value {
    let all = house.auditor("default").get("/authsec/projections").await.is(200);
    all["projections"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone()
}

fn follower<'a>(house: &'a House, name: &str) -> &'a dyn Follower {
    gatebook::application::services::followers(&house.app).into_iter().find(|follower| follower.identity().0 == name).unwrap()
}

async fn built(house: &House, name: &str) {
    match name {
        "directory" => drop(house.app.directory.until(|progress| progress.building.is_none()).await.unwrap()),
        "approvals" => drop(house.app.approvals.until(|progress| progress.building.is_none()).await.unwrap()),
        _ => drop(house.app.history.until(|progress| progress.building.is_none()).await.unwrap()),
    }
}

async fn stopped(house: &House) {
    house.app.directory.until(|progress| progress.stopped.is_some()).await.unwrap();
    house.app.approvals.until(|progress| progress.stopped.is_some()).await.unwrap();
    house.app.history.until(|progress| progress.stopped.is_some()).await.unwrap();
}

fn path(name: &str, what: &str) -> String {
    format!("/authsec/projections/{name}/{what}")
}

async fn health(house: &House) -> Answer {
    // A red one is an answer too.
    Answer::read(house.anyone().request(Method::GET, "/health").send().await.unwrap()).await
}

#[tokio::test]
async fn only_operators_rebuild_retry_and_skip_and_only_what_there_is() {
    let house = House::open().await;
    for what in ["rebuild", "retry", "skip"] {
        let path = path("directory", what);
        house.anyone().post(&path, json!({})).await.problem(401, "unauthorized");
        house.auditor("default").post(&path, json!({})).await.problem(403, "forbidden");
        house.admin("acme").post(&path, json!({})).await.problem(403, "not-operator");
        house.admin("default").post(&self::path("clients", what), json!({})).await.problem(404, "not-found");
    }
    let before = house.head().await;
    let admin = house.admin("default");
    built(&house, "directory").await;
    admin.post(&path("directory", "skip"), json!({ "reason": "why not" })).await.problem(400, "invalid-request");
    let nowhere = json!({ "event_id": Uuid::now_v7(), "reason": "why not" });
    admin.post(&path("directory", "skip"), nowhere).await.problem(409, "not-at-this-event");
    assert_eq!(admin.post(&path("directory", "retry"), json!({})).await.is(202)["state"], "live", "there was nothing to try again");
    assert_eq!(house.head().await, before);
}

#[tokio::test]
async fn what_it_cannot_read_stops_it_is_named_everywhere_and_is_skipped_by_an_event() {
    let house = House::open().await;
    let early = house.registered("early").await.text("client_id");
    let poison = poisoned(&house, "client.exploded", 1).await;
    let late = house.registered("late").await.text("client_id");
    stopped(&house).await;
    house.clock.advance(TimeDelta::seconds(90));

    // Named in the list, with how far behind it is, and in health.
    let directory = shown(&house, "directory").await;
    assert_eq!(directory["state"], "stopped");
    let trouble = json!({ "cause": "the event name client.exploded is not known to this build", "event_id": poison, "event": "client.exploded",
        "position": directory["stopped"]["position"] });
    assert_eq!(directory["stopped"], trouble);
    assert_eq!((&directory["lag_seconds"], directory["lag_events"].as_u64() >= Some(3)), (&json!(90.0), true), "{directory}");
    let red = health(&house).await.is(503);
    assert_eq!(red["stopped_projections"], json!(NAMES));
    assert_eq!((&red["troubles"][0]["event_id"], &red["troubles"][0]["while"]), (&json!(poison), &json!("following")));
    let figures = gatebook::application::metrics::scrape(&house.app).await;
    for figure in [
        "lag_seconds{projection=\"directory\"} 90.0".to_owned(),
        format!("lag{{projection=\"directory\"}} {}", directory["lag_events"]),
        "state{projection=\"directory\",state=\"stopped\"} 1".to_owned(),
        "state{projection=\"directory\",state=\"live\"} 0".to_owned(),
        "up{projection=\"directory\"} 0".to_owned(),
        "rate{projection=\"directory\"} ".to_owned(),
    ] {
        assert!(figures.contains(&format!("\ngatebook_projection_{figure}")), "{figure}: {figures}");
    }

    // What it has it shows, and says that there is more; clients come in all the while.
    let admin = house.admin("default");
    let listed = admin.get(&clients(DEFAULT)).await.is(200);
    assert_eq!((listed.header("gatebook-stale"), listed["clients"].as_array().unwrap().len()), ("true", 1), "{}", listed.text);
    assert_eq!(listed["clients"][0]["client_id"], *early);

    // Trying again changes nothing while nothing was fixed.
    admin.post(&path("directory", "retry"), json!({})).await.is(202);
    stopped(&house).await;
    assert_eq!(shown(&house, "directory").await["stopped"], trouble);

    for name in NAMES {
        let skip = |reason: &str| json!({ "event_id": poison, "reason": reason });
        admin.post(&path(name, "skip"), skip(" ")).await.problem(400, "invalid-request");
        let answer = admin.post(&path(name, "skip"), skip("written by a build that was withdrawn")).await.is(202);
        assert!(!answer.header("gatebook-position").is_empty());
        let position = house.head().await;
        admin.post(&path(name, "skip"), skip("once more")).await.is(202);
        assert_eq!(house.head().await, position, "the second time, nothing happens");
    }
    let listed = admin.get(&clients(DEFAULT)).await.is(200);
    assert_eq!((listed.header("gatebook-stale"), &listed["clients"][0]["client_id"]), ("", &json!(late)));
    let mut green = health(&house).await.is(200);
    // How much room there is differs from one machine to the next.
    green.body.as_object_mut().unwrap().remove("disk").unwrap();
    assert_eq!(green.body, json!({ "status": "ok", "log": "ok", "stopped_projections": [] }));

    // Who skipped what, and why, is history like everything else.
    let events = house.auditor("default").get("/authsec/audit/events?type=projection.event_skipped").await.is(200);
    let skips = events["events"].as_array().unwrap();
    assert_eq!(skips.len(), 3);
    assert_eq!((&skips[0]["actor"]["id"], &skips[0]["data"]["event_id"]), (&json!("ada"), &json!(poison)), "{}", skips[0]);
    assert_eq!(skips[0]["data"]["reason"], "written by a build that was withdrawn");

    // A rebuild leaves out the same, and so does a start without any tables.
    let before = lists(&house).await;
    for name in NAMES {
        admin.post(&path(name, "rebuild"), json!({})).await.is(202);
        built(&house, name).await;
        assert_eq!(shown(&house, name).await["state"], "live");
    }
    assert_eq!(lists(&house).await, before);
    let time = house.clock.now();
    let folder = house.end().await;
    std::fs::remove_dir_all(folder.path().join("data/read-models")).unwrap();
    let house = House::begin(folder, time, |_| {}).await;
    assert_eq!(lists(&house).await, before);
}

#[tokio::test]
async fn a_skip_is_taken_back_by_an_event_and_a_build_that_still_cannot_read_it_leaves_what_serves() {
    let house = House::open().await;
    house.registered("early").await;
    let poison = poisoned(&house, "client.exploded", 1).await;
    house.registered("late").await;
    stopped(&house).await;
    let admin = house.admin("default");
    let asked = |reason: &str| json!({ "event_id": poison, "reason": reason });
    admin.post(&path("directory", "skip"), asked("not known")).await.is(202);
    built(&house, "directory").await;
    let before = lists(&house).await[0].clone();

    admin.post(&path("directory", "unskip"), json!({ "reason": "no event" })).await.problem(400, "invalid-request");
    admin.post(&path("directory", "unskip"), asked(" ")).await.problem(400, "invalid-request");
    house.auditor("default").post(&path("directory", "unskip"), asked("I may not")).await.problem(403, "forbidden");
    assert_eq!(shown(&house, "directory").await["state"], "live");
    let answer = admin.post(&path("directory", "unskip"), asked("a newer build knows it")).await.is(202);
    assert_eq!(answer.header("gatebook-position"), house.head().await.to_string());
    built(&house, "directory").await;
    let directory = shown(&house, "directory").await;
    assert_eq!((&directory["state"], &directory["build_failed"]["event_id"]), (&json!("live"), &json!(poison)), "{directory}");
    assert_eq!(lists(&house).await[0], before, "what serves goes on serving");

    let head = house.head().await;
    admin.post(&path("directory", "unskip"), asked("once more")).await.is(202);
    built(&house, "directory").await;
    assert_eq!(house.head().await, head, "the second time it is no news");
    admin.post(&path("directory", "skip"), asked("it does not")).await.is(202);
    built(&house, "directory").await;
    let directory = shown(&house, "directory").await;
    assert!(directory["state"] == "live" && directory.get("build_failed").is_none(), "{directory}");
    assert_eq!(lists(&house).await[0], before);
}

async fn lists(house: &House) -> [Value; 2] {
    let clients = house.admin("default").get(&clients(DEFAULT)).await.is(200).body;
    let events = house.auditor("default").get("/authsec/audit/events?limit=500").await.is(200).body;
    [clients, events]
}

#[tokio::test]
async fn a_shape_that_is_newer_than_the_build_is_refused_with_the_version_that_is_needed() {
    let house = House::open().await;
    poisoned(&house, "client.registered", 9).await;
    stopped(&house).await;
    let trouble = &shown(&house, "history").await["stopped"];
    assert_eq!((&trouble["needs_version"], &trouble["event"]), (&json!(9), &json!("client.registered")));
    assert!(trouble["cause"].as_str().unwrap().contains("a newer build is needed"), "{trouble}");
    // A projection to which the event means nothing stops too: it cannot know that.
    assert_eq!(shown(&house, "approvals").await["stopped"], *trouble);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_notices_while_what_serves_is_rebuilt_and_swapped() {
    const ROUNDS: usize = 8;
    let house = House::open().await;
    let (done, written) = (AtomicBool::new(false), AtomicUsize::new(0));
    let going_on = || !done.load(Ordering::Acquire);
    let write_and_read = |who: usize| {
        let (house, written, going_on) = (&house, &written, &going_on);
        async move {
            let admin = house.admin("default");
            while going_on() {
                // Read your writes: the list that is asked for right after has the client.
                let number = written.fetch_add(1, Ordering::AcqRel);
                let id = house.registered(&format!("writer {who} client {number}")).await.text("client_id");
                let one = admin.get(&crate::house::client(DEFAULT, &id)).await.is(200);
                assert_eq!((one["client_id"].as_str(), one.header("gatebook-stale")), (Some(&*id), ""));
            }
        }
    };
    let watch = || {
        let (house, going_on) = (&house, &going_on);
        async move {
            let admin = house.admin("default");
            let (mut position, mut total) = (Position::START, 0);
            while going_on() {
                let page = admin.get(&format!("{}?limit=1", clients(DEFAULT))).await.is(200);
                let shown: Position = page.header("gatebook-position").parse().unwrap();
                let counted = page["counts"]["by_type"]["dcr"].as_u64().unwrap();
                assert!(shown >= position && counted >= total, "from {position} with {total} back to {shown} with {counted}");
                assert_eq!(page.header("gatebook-stale"), "");
                (position, total) = (shown, counted);
                admin.get("/authsec/audit/events?limit=5").await.is(200);
                admin.get("/authsec/approvals").await.is(200);
            }
        }
    };
    let rebuild = async {
        let admin = house.admin("default");
        for _ in 0..ROUNDS {
            for name in NAMES {
                let begun = admin.post(&path(name, "rebuild"), json!({})).await.is(202);
                assert_eq!(begun["name"], name);
                // A second order while the first is under way is the same.
                admin.post(&path(name, "rebuild"), json!({})).await.is(202);
                built(&house, name).await;
                assert!(follower(&house, name).progress().build_failed.is_none());
            }
        }
        let enough = || written.load(Ordering::Acquire) > 20;
        while !enough() {
            tokio::task::yield_now().await;
        }
        done.store(true, Ordering::Release);
    };
    tokio::join!(write_and_read(1), write_and_read(2), watch(), watch(), rebuild);
    let total = house.admin("default").get(&format!("{}?limit=1", clients(DEFAULT))).await.is(200)["counts"]["by_type"]["dcr"].as_u64();
    assert_eq!(total, Some(written.load(Ordering::Acquire) as u64));
}

#[tokio::test]
async fn a_build_that_fails_leaves_what_serves_and_health_says_why() {
    let house = House::open().await;
    house.registered("before").await;
    house.admin("default").get(&clients(DEFAULT)).await.is(200);
    // The folder's place is taken by what no build can write to.
    let file = format!("directory@{}.building.db", follower(&house, "directory").identity().1);
    let in_the_way = house.folder.path().join("data/read-models").join(file);
    std::fs::create_dir(&in_the_way).unwrap();
    let admin = house.admin("default");
    admin.post(&path("directory", "rebuild"), json!({})).await.is(202);
    built(&house, "directory").await;

    let directory = shown(&house, "directory").await;
    assert_eq!((&directory["state"], directory["build_failed"]["cause"].is_string()), (&json!("live"), true), "{directory}");
    let health = health(&house).await.is(200);
    assert_eq!((&health["troubles"][0]["projection"], &health["troubles"][0]["while"]), (&json!("directory"), &json!("building")));
    house.registered("after").await;
    let page = admin.get(&clients(DEFAULT)).await.is(200);
    assert_eq!((page["clients"].as_array().unwrap().len(), page.header("gatebook-stale")), (2, ""));

    std::fs::remove_dir(&in_the_way).unwrap();
    admin.post(&path("directory", "retry"), json!({})).await.is(202);
    built(&house, "directory").await;
    assert!(shown(&house, "directory").await.get("build_failed").is_none());
}
