//! What was true at a moment: the lists say as of then what they said then.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::house::{Caller, DEFAULT, House, client, clients};
use crate::walls_between_tenants::{Ours, Theirs, deed};

/// The questions that are asked of a list of clients.
const QUESTIONS: [&str; 9] = [
    "limit=500",
    "sort=name&limit=2",
    "sort=oldest&limit=1",
    "type=dcr",
    "type=prereg&sort=name",
    "status=suspended",
    "status=pending",
    "q=app",
    "status=deleted",
];

/// What a tenant's administrator was told at a moment, by what was asked.
struct Told {
    position: String,
    time: DateTime<Utc>,
    answers: BTreeMap<String, (u16, Value)>,
}

impl Told {
    /// Asks all there is to ask, now.
    async fn now(house: &House, who: &Caller<'_>, servers: &[String], ids: &[String]) -> Self {
        let mut answers = BTreeMap::new();
        let mut paths = Vec::new();
        for server in servers {
            paths.extend(QUESTIONS.map(|question| format!("{}?{question}", clients(server))));
            paths.extend(ids.iter().map(|id| format!("{}?", client(server, id))));
        }
        for path in paths {
            let mut path = Some(path);
            // Every page of each list.
            while let Some(page) = path.take() {
                let answer = who.get(page.trim_end_matches('?')).await;
                path = answer.body["next_cursor"].as_str().map(|cursor| {
                    let first = page.split("&cursor=").next().unwrap();
                    format!("{first}&cursor={cursor}")
                });
                answers.insert(page, (answer.status, without_uses(answer.body)));
            }
        }
        Self { position: house.head().await.to_string(), time: house.clock.now(), answers }
    }

    /// Asks the same as of then.
    async fn is_told_again(&self, who: &Caller<'_>, as_of: &str) {
        for (path, (status, told)) in &self.answers {
            let answer = who.get(&format!("{path}&as_of={as_of}")).await;
            assert_eq!(answer.status, *status, "{path} as of {as_of}: {}", answer.text);
            if *status != 200 {
                continue;
            }
            let mut again = answer.body.clone();
            let moment = again.as_object_mut().unwrap().remove("as_of").unwrap();
            assert_eq!(&again, told, "{path} as of {as_of}");
            assert_eq!(moment["position"], *self.position);
            assert_eq!(answer.header("gatebook-position"), self.position);
            assert!(moment["time"].is_string());
        }
    }
}

/// When a client was used is no event.
fn without_uses(mut body: Value) -> Value {
    let rows = body.get_mut("clients").and_then(Value::as_array_mut);
    for row in rows.into_iter().flatten() {
        row.as_object_mut().unwrap().retain(|name, _| !["first_seen_at", "last_seen_at"].contains(&name.as_str()));
    }
    if let Some(members) = body.as_object_mut() {
        members.retain(|name, _| !["first_seen_at", "last_seen_at"].contains(&name.as_str()));
    }
    body
}

/// Somebody registers at a resource server.
async fn come(house: &House, server: &str, name: &str) -> Answer {
    let body = json!({ "client_name": name, "redirect_uris": ["https://app.example/cb"] });
    house.anyone().post(&format!("/rs/{server}/oauth/register"), body).await.is(201)
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

#[tokio::test]
async fn the_lists_say_as_of_then_what_they_said_then() {
    let house = House::open().await;
    // A token lasts an hour, and this is a long day.
    let admin = || house.admin("default");
    house.edit_default(json!({ "resource": "https://default.example/mcp" })).await;
    let other = house.server("default", json!({ "name": "Other", "resource": "https://other.example/mcp" })).await;
    let (servers, mut ids, mut told) = ([DEFAULT.to_owned(), other.clone()], Vec::new(), Vec::new());
    let step = async |ids: &[String], told: &mut Vec<Told>| {
        told.push(Told::now(&house, &admin(), &servers, ids).await);
        house.clock.advance(TimeDelta::minutes(7));
        // What strangers do moves the log, and nothing of this.
        house.server("acme", json!({ "name": "Elsewhere" })).await;
        house.clock.advance(TimeDelta::minutes(7));
    };
    step(&ids, &mut told).await;
    let app = come(&house, DEFAULT, "App").await;
    ids.push(app.text("client_id"));
    let page = client(DEFAULT, &ids[0]);
    step(&ids, &mut told).await;
    ids.push(house.entered("my-ci-job").await.text("client_id"));
    let twin = json!({ "client_name": "App", "redirect_uris": ["https://elsewhere.example/cb"], "resource": "https://other.example/mcp" });
    ids.push(house.anyone().post("/oauth/register", twin).await.is(201).text("client_id"));
    step(&ids, &mut told).await;
    let question = json!({ "client_id": ids[0], "resource": "https://default.example/mcp" });
    house.decider("default").post("/oauth/decisions", question).await.is(200);
    assert!(house.shown(&ids[0]).await["last_seen_at"].is_string());
    admin().post(&format!("{page}/suspend"), json!({ "reason": "lost" })).await.is(200);
    step(&ids, &mut told).await;
    admin().post(&format!("{page}/reinstate"), json!({})).await.is(200);
    let (holder, own) = (house.holder(&app.text("registration_access_token")), format!("/oauth/register/{}", ids[0]));
    let uris = ["https://app.example/cb", "https://app.example/new"];
    holder.put(&own, json!({ "client_id": ids[0], "client_name": "App of another name", "redirect_uris": uris })).await.is(200);
    step(&ids, &mut told).await;
    admin().put(&format!("{page}/approve-redirects"), json!({})).await.is(200);
    step(&ids, &mut told).await;
    house.edit_default(json!({ "registration_modes": ["prereg"], "effect_on_existing": "suspend" })).await;
    step(&ids, &mut told).await;
    let review =
        json!({ "name": "Renamed", "registration_modes": ["dcr", "cimd", "prereg"], "policy": { "admission": { "dcr": "review" } } });
    house.edit_default(review).await;
    ids.push(come(&house, DEFAULT, "Waiting app").await.text("client_id"));
    step(&ids, &mut told).await;
    let no = json!({ "reason": "no", "until": "2027-01-16T10:00:00Z" });
    admin().post(&format!("{}/deny", client(DEFAULT, &ids[3])), no).await.is(200);
    holder.delete(&own).await.is(204);
    step(&ids, &mut told).await;
    admin().delete(&format!("/authsec/resource-servers/{other}")).await.is(204);
    step(&ids, &mut told).await;

    let suspended = |told: &Told| told.answers[&format!("{}?status=suspended", clients(DEFAULT))].1["clients"].as_array().unwrap().len();
    assert_eq!(told.iter().map(suspended).collect::<Vec<_>>(), [0, 0, 0, 1, 0, 0, 1, 0, 0, 0], "too little happened to prove anything");
    for then in &told {
        then.is_told_again(&admin(), &then.position).await;
        then.is_told_again(&admin(), &text(then.time)).await;
        then.is_told_again(&admin(), &text(then.time + TimeDelta::minutes(6))).await;
    }
}

#[test]
fn whatever_happens_the_lists_say_as_of_then_what_they_said_then() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 8, failure_persistence: None, max_shrink_iters: 50, ..Config::default() });
    runner
        .run(&prop::collection::vec(deed(), 1..10), |deeds| {
            runtime.block_on(async {
                let house = House::open().await;
                let theirs = Theirs::settle(&house).await;
                let (admin, mut ours, mut told) = (house.admin("default"), Ours::new(), Vec::new());
                for one in deeds {
                    ours.do_all(&house, &theirs, vec![one]).await;
                    let ids: Vec<String> = ours.clients.iter().map(|(id, _)| id.clone()).collect();
                    told.push(Told::now(&house, &admin, &ours.servers, &ids).await);
                }
                for then in &told {
                    then.is_told_again(&admin, &then.position).await;
                }
                Ok(())
            })
        })
        .unwrap();
}

#[tokio::test]
async fn the_answer_says_what_it_is_an_answer_about() {
    let house = House::open().await;
    let id = house.registered("App").await.text("client_id");
    let position = house.head().await.to_string();
    house.clock.advance(TimeDelta::days(7));
    house.admin("default").post(&format!("{}/revoke", client(DEFAULT, &id)), json!({})).await.is(200);
    let (viewer, auditor) = (house.viewer("default"), house.auditor("default"));
    for (as_of, time) in
        [("2027-01-15T09:30:00%2B01:00", "2027-01-15T08:30:00.000000Z"), (position.as_str(), "2027-01-15T08:00:00.000000Z")]
    {
        let list = viewer.get(&format!("{}?as_of={as_of}", clients(DEFAULT))).await.is(200);
        assert_eq!(list["as_of"], json!({ "position": position, "time": time }));
        assert_eq!((&list["clients"][0]["status"], &list["counts"]["by_status"]), (&json!("approved"), &json!({ "approved": 1 })));
        let one = viewer.get(&format!("{}?as_of={as_of}", client(DEFAULT, &id))).await.is(200);
        assert_eq!((&one["as_of"], &one["status"]), (&list["as_of"], &json!("approved")));
        assert!(one.body.get("history").is_none(), "a viewer reads no history, of no time");
        let seen = auditor.get(&format!("{}?as_of={as_of}", client(DEFAULT, &id))).await.is(200);
        let names: Vec<&str> = seen["history"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(names, ["registration.approved", "registration.requested", "client.registered"]);
    }
    assert_eq!(house.shown(&id).await["status"], "revoked");
    house.decider("default").get(&format!("{}?as_of={position}", clients(DEFAULT))).await.problem(403, "forbidden");
}

#[tokio::test]
async fn the_next_page_of_the_past_is_of_the_same_moment_whatever_happens_meanwhile() {
    let house = House::open().await;
    let admin = house.admin("default");
    let mut ids = Vec::new();
    for index in 0..5 {
        ids.push(house.registered(&format!("app {index}")).await.text("client_id"));
    }
    let then = text(house.clock.now());
    house.clock.advance(TimeDelta::seconds(1));
    let (mut listed, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = admin.get(&format!("{}?sort=name&limit=2&as_of={then}{cursor}", clients(DEFAULT))).await.is(200);
        listed.extend(page["clients"].as_array().unwrap().iter().map(|row| row["client_id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
        house.registered("app 2 and a half").await;
        admin.post(&format!("{}/revoke", client(DEFAULT, listed.last().unwrap())), json!({})).await.is(200);
    }
    assert_eq!(listed, ids);
}

#[tokio::test]
async fn what_names_no_moment_that_has_come_is_refused() {
    let house = House::with(|settings| settings.read_wait = Some(1)).await;
    let admin = house.admin("default");
    let id = house.registered("App").await.text("client_id");
    let ahead = format!("{}", house.head().await.to_backend() + 1);
    for as_of in
        ["", "yesterday", "2027-01-14", "2027-01-14T08:00:00", "2027-01-14T08:00:00+01:00", "-1", "2027-01-15T08:00:00.000001Z", &ahead]
    {
        for path in [clients(DEFAULT), client(DEFAULT, &id)] {
            admin.get(&format!("{path}?as_of={as_of}")).await.problem(400, "invalid-as-of");
        }
    }
    admin.get(&format!("{}?asof=1", client(DEFAULT, &id))).await.problem(400, "invalid-request");
}

#[tokio::test]
async fn what_was_not_there_yet_is_not_found_as_of_then() {
    let house = House::open().await;
    let before = (house.head().await.to_string(), text(house.clock.now()));
    house.clock.advance(TimeDelta::days(1));
    let admin = house.admin("default");
    let later = house.server("default", json!({ "name": "Later" })).await;
    let id = come(&house, DEFAULT, "App").await.text("client_id");
    house.shown(&id).await;
    for as_of in [&before.0, &before.1, "0", "2001-01-01T00:00:00Z"] {
        admin.get(&format!("{}?as_of={as_of}", clients(&later))).await.problem(404, "not-found");
    }
    assert!(!house.folder.path().join("data/past").exists(), "the log was read for what was not there yet");
    for as_of in [&before.0, &before.1, "0", "2001-01-01T00:00:00Z"] {
        admin.get(&format!("{}?as_of={as_of}", client(DEFAULT, &id))).await.problem(404, "not-found");
    }
    let list = admin.get(&format!("{}?as_of={}", clients(DEFAULT), before.1)).await.is(200);
    assert_eq!((&list["clients"], &list["counts"]["by_status"]), (&json!([]), &json!({})));
}

#[tokio::test]
async fn another_tenants_past_is_as_closed_as_its_present() {
    let house = House::open().await;
    let body = json!({ "client_name": "App", "redirect_uris": ["https://app.example/cb"], "resource": "https://b.example/mcp" });
    let server = house.server("b", json!({ "name": "B", "resource": "https://b.example/mcp" })).await;
    let id = house.anyone().post("/oauth/register", body).await.is(201).text("client_id");
    let (position, time) = (house.head().await.to_string(), text(house.clock.now()));
    house.clock.advance(TimeDelta::days(1));
    house.admin("b").get(&format!("{}?as_of={position}", client(&server, &id))).await.is(200);
    for as_of in [&position, &time] {
        for path in [clients(&server), client(&server, &id), client(DEFAULT, &id)] {
            let live = house.admin("default").get(&path).await.problem(404, "not-found");
            let past = house.admin("default").get(&format!("{path}?as_of={as_of}")).await.problem(404, "not-found");
            assert_eq!(live["detail"], past["detail"]);
        }
        house.anyone().get(&format!("{}?as_of={as_of}", clients(&server))).await.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_service_that_stopped_leaves_nothing_of_the_past_behind() {
    let house = House::open().await;
    house.admin("default").get(&format!("{}?as_of=1", clients(DEFAULT))).await.is(200);
    let past = house.folder.path().join("data/past");
    assert_eq!(std::fs::read_dir(&past).unwrap().count(), 1);
    let _folder = house.end().await;
    assert!(!past.exists());
}
