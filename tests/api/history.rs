//! The history: what it holds, how it is asked, how it is followed live, and that a read sees what was written before it.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::house::{Caller, DEFAULT, House, client, clients};

/// The longest that the next event of a stream may take.
const PATIENCE: Duration = Duration::from_secs(20);

async fn events(caller: &Caller<'_>, query: &str) -> Vec<Value> {
    caller.get(&format!("/authsec/audit/events?{query}")).await.is(200)["events"].as_array().unwrap().clone()
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_history_is_filtered_by_client_resource_server_actor_type_and_time() {
    let house = House::open().await;
    let auditor = house.auditor("default");
    let registered = house.registered("Dashboard").await;
    let id = registered.text("client_id");
    let other = house.server("default", json!({ "name": "Other" })).await;
    house.clock.advance(chrono::TimeDelta::seconds(60));
    house.admin("default").post(&format!("{}/suspend", client(DEFAULT, &id)), json!({ "reason": "lost" })).await.is(200);
    let left = house.holder(&registered.text("registration_access_token"));
    left.delete(&format!("/oauth/register/{id}")).await.is(204);

    let all = events(&auditor, "order=oldest").await;
    let story = [
        "resource_server.created",
        "client.registered",
        "registration.requested",
        "registration.approved",
        "resource_server.created",
        "registration.suspended",
        "client.deleted",
    ];
    assert_eq!(names(&all), story);
    let mut newest = events(&auditor, "").await;
    newest.reverse();
    assert_eq!(newest, all);
    let picked = async |query: &str| events(&auditor, &format!("order=oldest&{query}")).await;
    assert_eq!(picked(&format!("client_id={id}")).await, [&all[1..4], &all[5..7]].concat());
    assert_eq!(picked(&format!("resource_server={other}")).await, all[4..5]);
    assert_eq!(picked("actor=ada").await, all[4..6]);
    assert_eq!(picked("actor=anonymous").await, all[1..3]);
    assert_eq!(picked("actor=policy").await, all[3..4]);
    assert_eq!(picked(&format!("actor={id}")).await, all[6..7]);
    assert_eq!(picked("type=resource_server.created").await, [all[0].clone(), all[4].clone()]);
    assert_eq!(picked("since=2027-01-15T08:01:00Z").await, all[5..7]);
    assert_eq!(picked("until=2027-01-15T08:01:00Z").await, all[0..5]);
    assert_eq!(picked("actor=ada&type=registration.suspended&since=2027-01-15T08:00:30Z").await, all[5..6]);
    assert_eq!(picked("actor=nobody").await, [] as [Value; 0]);

    let suspended = &all[5];
    assert_eq!(suspended["actor"], json!({ "kind": "admin", "id": "ada", "via": "admin-api" }));
    assert_eq!((&suspended["data"], &suspended["version"]), (&json!({ "reason": "lost" }), &json!(1)));
    assert_eq!((&suspended["client_id"], &suspended["resource_server_id"]), (&json!(id), &json!(DEFAULT)));
    assert_eq!((&suspended["recorded_at"], &suspended["origin"]), (&json!("2027-01-15T08:01:00.000000Z"), &json!("127.0.0.0/24")));
    for event in &all {
        let one = auditor.get(&format!("/authsec/audit/events/{}", event["event_id"].as_str().unwrap())).await.is(200);
        assert_eq!(one.body, *event);
    }
    for nothing in ["018f0000-0000-7000-8000-000000000000", "nonsense"] {
        auditor.get(&format!("/authsec/audit/events/{nothing}")).await.problem(404, "not-found");
    }
}

#[tokio::test]
async fn the_pages_of_the_history_are_all_of_it_once() {
    let house = House::open().await;
    for name in ["one", "two", "three"] {
        house.registered(name).await;
    }
    let auditor = house.auditor("default");
    for order in ["oldest", "newest"] {
        let whole = events(&auditor, &format!("order={order}")).await;
        let (mut paged, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = auditor.get(&format!("/authsec/audit/events?order={order}&limit=3{cursor}")).await.is(200);
            paged.extend(page["events"].as_array().unwrap().clone());
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!((paged.len(), paged), (10, whole));
    }
}

/// A stream of server-sent events, read one by one.
struct Listener {
    response: Response,
    waiting: String,
}

#[derive(Debug, PartialEq)]
struct Heard {
    id: String,
    name: String,
    data: Value,
}

impl Listener {
    async fn open(caller: &Caller<'_>, query: &str) -> Self {
        let response = caller.request(Method::GET, &format!("/authsec/audit/stream{query}")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self { response, waiting: String::new() }
    }

    async fn next(&mut self) -> Heard {
        // What keeps the connection alive is no event, so the patience is for all of it.
        tokio::time::timeout(PATIENCE, self.hear()).await.expect("the next event does not come")
    }

    async fn hear(&mut self) -> Heard {
        loop {
            if let Some((block, rest)) = self.waiting.split_once("\n\n") {
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
                let heard = (!field("data:").is_empty()).then(|| Heard {
                    id: field("id:"),
                    name: field("event:"),
                    data: serde_json::from_str(&field("data:")).unwrap(),
                });
                self.waiting.drain(..self.waiting.len() - rest.len());
                if let Some(heard) = heard {
                    return heard;
                }
                continue;
            }
            let chunk = self.response.chunk().await.unwrap();
            self.waiting.push_str(std::str::from_utf8(&chunk.expect("the stream ended")).unwrap());
        }
    }

    async fn take(&mut self, count: usize) -> Vec<Heard> {
        let mut heard = Vec::new();
        while heard.len() < count {
            heard.push(self.next().await);
        }
        heard
    }
}

#[tokio::test]
async fn the_stream_tells_the_past_then_what_comes_and_goes_on_where_a_listener_left() {
    let house = House::open().await;
    let auditor = house.auditor("default");
    house.registered("one").await;
    let mut listener = Listener::open(&auditor, "?after=0").await;
    let past = listener.take(4).await;
    let all = events(&auditor, "order=oldest").await;
    assert_eq!(past.iter().map(|heard| heard.data.clone()).collect::<Vec<_>>(), all);
    assert!(past.iter().all(|heard| heard.data["type"] == *heard.name && heard.data["position"] == *heard.id));
    // A stranger's doings are between the two, and are not heard.
    house.server("acme", json!({ "name": "Secret plans" })).await;
    let body = json!({ "redirect_uris": ["https://app.example/cb"] });
    let id = house.anyone().post(&format!("/rs/{DEFAULT}/oauth/register"), body).await.is(201).text("client_id");
    let live = listener.take(3).await;
    assert_eq!(live[0].name, "client.registered");
    assert!(live.iter().all(|heard| heard.data["client_id"] == *id));

    let again = auditor.clone().with("last-event-id", &past[1].id);
    let mut resumed = Listener::open(&again, "?after=0").await;
    let heard = resumed.take(5).await;
    assert_eq!(heard[..2], past[2..]);
    assert_eq!(heard[2..], live);

    let mut only_new = Listener::open(&auditor, "").await;
    let entered = house.entered("ci").await.text("client_id");
    assert_eq!(only_new.next().await.data["client_id"], *entered);
    let mut stranger = Listener::open(&house.auditor("acme"), "?after=0").await;
    assert_eq!(stranger.next().await.data["data"]["name"], "Secret plans");
    auditor.get("/authsec/audit/stream?after=here").await.problem(400, "invalid-position");
}

#[tokio::test]
async fn a_stream_ends_when_the_service_stops() {
    let house = House::open().await;
    let mut listener = Listener::open(&house.auditor("default"), "?after=0").await;
    listener.next().await;
    house.app.stop();
    let rest = tokio::time::timeout(PATIENCE, listener.response.chunk()).await.expect("the stream goes on").unwrap();
    assert!(rest.is_none());
}

#[tokio::test]
async fn b9_a_position_that_an_answer_named_is_shown_and_one_that_no_event_has_is_refused_at_once() {
    // Far longer than a caller of this test waits.
    let house = House::with(|settings| settings.read_wait = Some(300)).await;
    house.registered("one").await;
    let admin = house.admin("default");
    let listed = admin.get(&clients(DEFAULT)).await.is(200);
    let position: u64 = listed.header("gatebook-position").parse().unwrap();
    assert_eq!(position.to_string(), house.head().await.to_string());
    admin.clone().with("gatebook-position", &position.to_string()).get(&clients(DEFAULT)).await.is(200);
    admin.clone().with("gatebook-position", "yesterday").get(&clients(DEFAULT)).await.problem(400, "invalid-position");
    let ahead = (position + 1).to_string();
    let refused = admin.with("gatebook-position", &ahead).get(&clients(DEFAULT)).await.problem(400, "invalid-position");
    let beyond = format!("Gatebook-Position is beyond the end of the log, which is {position}; it has to be one that an answer named");
    assert_eq!(refused["detail"], beyond.as_str());
    let anyone = house.anyone().with("gatebook-position", "18446744073709551615");
    let refused = anyone.post("/oauth/register", json!({ "redirect_uris": ["http://127.0.0.1:4000/cb"] })).await;
    assert_eq!((refused.status, &refused["error_description"]), (400, &json!(beyond)), "{}", refused.text);
    assert_eq!(house.head().await.to_string(), position.to_string(), "what is refused leaves nothing");
}

#[tokio::test]
async fn every_read_sees_the_write_before_it() {
    let house = House::open().await;
    let (admin, auditor) = (house.admin("default"), house.auditor("default"));
    for index in 0..200 {
        house.clock.advance(chrono::TimeDelta::milliseconds(1));
        let id = house.registered(&format!("client {index}")).await.text("client_id");
        let listed = admin.get(&format!("{}?limit=1", clients(DEFAULT))).await.is(200);
        assert_eq!(listed["clients"][0]["client_id"], *id);
        assert_eq!(listed["counts"]["by_type"]["dcr"], index + 1);
        if index % 10 == 0 {
            assert_eq!(events(&auditor, "limit=1").await[0]["client_id"], *id);
        }
    }
    let projections = auditor.get("/authsec/projections").await.is(200);
    for projection in projections["projections"].as_array().unwrap() {
        assert!(projection["name"].is_string() && projection["head"] == house.head().await.to_string(), "{projection}");
    }
    let health = house.anyone().get("/health").await.is(200);
    assert_eq!((&health["status"], &health["log"], &health["stopped_projections"]), (&json!("ok"), &json!("ok"), &json!([])));
}
