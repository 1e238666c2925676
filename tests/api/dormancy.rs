//! Clients that nobody uses become dormant, and none of them meets a dead end.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::{StreamExt, stream};
use gatebook::aggregates::Cause;
use gatebook::application::register::DrawnHashes;
use gatebook::application::register::rules::Guarantor;
use gatebook_events::admission::RegistrationType;
use gatebook_events::envelope::{Actor, ActorKind};
use gatebook_events::identity::{ClientId, ResourceServerId, TenantId};
use gatebook_events::metadata;
use gatebook_events::registration::RegistrationCommand;
use gatebook_events::secret::TokenHash;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::house::{DEFAULT, House, client, clients};

const HERE: &str = "https://app.example/cb";

async fn ask(house: &House, question: Value) -> Answer {
    house.decider("default").post("/oauth/decisions", question).await.is(200)
}

/// So many hours pass, and the sweeper looks now and then. Says how many became dormant.
async fn hours_pass(house: &House, hours: i64) -> u64 {
    let mut fallen = 0;
    // The page waits for the directory to show what came before.
    house.admin("default").get(&clients(DEFAULT)).await.is(200);
    for _ in 0..hours.div_euclid(20).max(1) {
        house.clock.advance(TimeDelta::hours(hours.min(20)));
        fallen += house.app.dormancy.sweep(Duration::ZERO).await.unwrap();
    }
    fallen
}

/// After two days without a use clients become dormant.
async fn with_rule(revive: &str) -> House {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "dormant_after_days": 2, "revive": revive } })).await;
    hours_pass(&house, 1).await;
    house
}

/// How a client stands, as its page and the list say.
async fn stands(house: &House, id: &str) -> String {
    let status = house.shown(id).await.text("status");
    let listed = house.admin("default").get(&format!("{}?limit=500&status={status}", clients(DEFAULT))).await.is(200);
    assert!(listed["clients"].as_array().unwrap().iter().any(|row| row["client_id"] == *id), "{}", listed.text);
    status
}

#[tokio::test]
async fn nobody_becomes_dormant_unless_the_policy_says_so_and_nobody_before_it_is_that_old() {
    let house = House::open().await;
    let id = house.registered("App").await.text("client_id");
    assert_eq!(hours_pass(&house, 2000).await, 0);
    house.edit_default(json!({ "policy": { "dormant_after_days": 2 } })).await;
    assert_eq!(hours_pass(&house, 40).await, 0, "the policy is younger than two days, though nobody used the client for longer");
    assert_eq!(stands(&house, &id).await, "approved");
    assert_eq!(hours_pass(&house, 40).await, 1);
    assert_eq!(stands(&house, &id).await, "dormant");
    assert_eq!(hours_pass(&house, 400).await, 0, "once is enough");
    assert_eq!(house.names_of(&id).await.last().map(String::as_str), Some("registration.dormant"));
    let event = house.events_of(&id).await.pop().unwrap();
    assert_eq!((&event["actor"]["kind"], &event["actor"]["id"]), (&json!("system"), &json!("sweeper")));
}

#[tokio::test]
async fn who_is_used_stays_awake_whichever_door_it_comes_by() {
    let house = with_rule("review").await;
    let (asked, looked_up, proven, idle) =
        (house.registered("Asked").await, house.registered("Read").await, house.registered("Proven").await, house.registered("Idle").await);
    for _ in 0..6 {
        ask(&house, json!({ "client_id": asked["client_id"] })).await;
        house.decider("default").get(&format!("/oauth/clients/{}", looked_up.text("client_id"))).await.is(200);
        let secret = json!({ "client_id": proven["client_id"], "client_secret": proven["client_secret"] });
        house.decider("default").post("/oauth/authenticate", secret).await.is(200);
        hours_pass(&house, 20).await;
    }
    for (own, status) in [(asked, "approved"), (looked_up, "approved"), (proven, "approved"), (idle, "dormant")] {
        assert_eq!(stands(&house, &own.text("client_id")).await, status);
    }
}

#[tokio::test]
async fn a_lost_table_of_uses_makes_nobody_dormant_at_once() {
    let house = with_rule("review").await;
    let id = house.registered("App").await.text("client_id");
    let at = house.clock.now() + TimeDelta::days(400);
    let folder = house.end().await;
    std::fs::remove_file(folder.path().join("data/usage.db")).unwrap();
    let house = House::begin(folder, at, |_| {}).await;
    assert_eq!(hours_pass(&house, 20).await, 0);
    // Nor does one from a backup, after another year in which nobody looked.
    let at = house.clock.now() + TimeDelta::days(400);
    let house = House::begin(house.end().await, at, |_| {}).await;
    assert_eq!(hours_pass(&house, 20).await, 0);
    assert_eq!(stands(&house, &id).await, "approved");
    assert_eq!(hours_pass(&house, 80).await, 1);
}

#[tokio::test]
async fn a_dormant_client_is_revived_by_its_next_use_and_not_by_a_guess() {
    let house = with_rule("at_next_use").await;
    let (asked, looked_up, proven) = (house.registered("Asked").await, house.registered("Read").await, house.registered("Proven").await);
    assert_eq!(hours_pass(&house, 80).await, 3);
    let id = asked.text("client_id");
    let elsewhere = ask(&house, json!({ "client_id": id, "redirect_uri": "https://evil.example/" })).await;
    assert_eq!(elsewhere["reason"], "redirect_uri_not_registered");
    assert_eq!(stands(&house, &id).await, "dormant", "that was no use");
    let first = ask(&house, json!({ "client_id": id, "redirect_uri": HERE })).await;
    assert_eq!((&first["decision"], &first["reason"], first.body.get("cure")), (&json!("allow"), &json!("approved"), None));
    assert!(!first.header("gatebook-position").is_empty());
    let again = ask(&house, json!({ "client_id": id, "redirect_uri": HERE })).await;
    assert_eq!((again.body, again.headers.get("gatebook-position")), (first.body, None), "the second time is no news");
    assert_eq!(house.names_of(&id).await[3..], ["registration.dormant", "registration.revived"]);
    let id = looked_up.text("client_id");
    let read = house.decider("default").get(&format!("/oauth/clients/{id}")).await.is(200);
    assert_eq!((&read["gatebook"]["status"], stands(&house, &id).await.as_str()), (&json!("approved"), "approved"));
    let id = proven.text("client_id");
    let prove = async |secret: &Value| {
        house.decider("default").post("/oauth/authenticate", json!({ "client_id": id, "client_secret": secret })).await.is(200)
    };
    assert_eq!(prove(&json!("guess")).await["reason"], "wrong_secret");
    assert_eq!(stands(&house, &id).await, "dormant");
    let good = prove(&proven["client_secret"]).await;
    assert_eq!((&good["authenticated"], &good["decision"]), (&json!(true), &json!("allow")));
    assert_eq!(stands(&house, &id).await, "approved");
    let figures = gatebook::application::metrics::scrape(&house.app).await;
    for change in ["fell", "revived"] {
        assert!(figures.contains(&format!("gatebook_dormancy_total{{change=\"{change}\"}} 3\n")), "{figures}");
    }
}

#[tokio::test]
async fn where_a_review_is_wanted_the_next_use_says_what_helps_and_waits_once() {
    let house = with_rule("review").await;
    let own = house.registered("App").await;
    let id = own.text("client_id");
    let waiting = async || house.admin("default").get("/authsec/approvals").await.is(200);
    assert_eq!((hours_pass(&house, 80).await, waiting().await["count"].as_u64()), (1, Some(0)));
    let told = ask(&house, json!({ "client_id": id, "redirect_uri": HERE })).await;
    assert_eq!((&told["decision"], &told["reason"]), (&json!("pending"), &json!("dormant")));
    let cure = told.text("cure");
    assert!(cure.contains("approves it"), "{cure}");
    let head = house.head().await;
    assert_eq!(ask(&house, json!({ "client_id": id })).await["cure"], cure);
    let missing = house.decider("default").get(&format!("/oauth/clients/{id}")).await.refuses(404, "invalid_client");
    assert_eq!(missing["error_description"], cure);
    let secret = json!({ "client_id": id, "client_secret": own["client_secret"] });
    let unproven = house.decider("default").post("/oauth/authenticate", secret).await.is(200);
    assert_eq!((&unproven["authenticated"], &unproven["reason"], &unproven["cure"]), (&json!(false), &json!("dormant"), &json!(cure)));
    let holder = house.holder(&own.text("registration_access_token"));
    let read = holder.get(&format!("/oauth/register/{id}")).await.is(200);
    assert_eq!((&read["gatebook"]["status"], &read["gatebook"]["cure"]), (&json!("dormant"), &json!(cure)));
    assert_eq!(house.head().await, head, "it waits already");
    let row = &waiting().await["approvals"][0];
    assert_eq!((&row["kind"], &row["client_id"], &row["origin"]), (&json!("revival"), &json!(id), &json!("decision")));
    house.admin("default").post(&format!("{}/approve", client(DEFAULT, &id)), json!({ "reason": "still needed" })).await.is(200);
    assert_eq!(waiting().await["count"], 0);
    assert_eq!(ask(&house, json!({ "client_id": id })).await["decision"], "allow");
    assert_eq!(house.names_of(&id).await[3..], ["registration.dormant", "registration.revival_asked", "registration.revived"]);
    assert_eq!(hours_pass(&house, 20).await, 0, "its time begins anew");
}

#[tokio::test]
async fn what_a_policy_says_of_dormancy_is_checked() {
    let house = House::open().await;
    let path = format!("/authsec/resource-servers/{DEFAULT}");
    for bad in [json!({ "dormant_after_days": 0 }), json!({ "dormant_after_days": 3651 }), json!({ "revive": "never" })] {
        house.admin("default").patch(&path, json!({ "policy": bad })).await.problem(400, "invalid-request");
    }
    let set = house.edit_default(json!({ "policy": { "dormant_after_days": 90, "revive": "review" } })).await;
    assert_eq!((&set["policy"]["dormant_after_days"], &set["policy"]["revive"]), (&json!(90), &json!("review")));
    let gone = house.edit_default(json!({ "policy": { "dormant_after_days": null, "revive": null } })).await;
    assert!(gone["policy"].get("dormant_after_days").is_none() && gone["policy"].get("revive").is_none());
}

const MANY: usize = 10_000;

/// Registers many clients in no time: past the doors, but by the same commands.
async fn crowd(house: &House, server: ResourceServerId) -> Vec<ClientId> {
    let members = json!({ "redirect_uris": [HERE], "token_endpoint_auth_method": "none" });
    let Value::Object(members) = members else { panic!("an object was written") };
    let parsed = metadata::parse(members).unwrap();
    let hashes = || DrawnHashes { secret: None, registration_token: Some(TokenHash([1; 32])) };
    let cause = &anyone();
    let rules = house.app.commands.rules(server).await.unwrap();
    let welcome = rules.judge(RegistrationType::Dcr, Guarantor::Nobody, parsed).unwrap();
    let register = || house.app.commands.register_self(cause, welcome.clone(), hashes());
    let entered = stream::iter(0..MANY).map(|_| register()).buffer_unordered(128);
    entered.map(|entered| entered.unwrap().profile.client_id).collect().await
}

fn anyone() -> Cause {
    let actor = Actor { kind: ActorKind::Anonymous, id: None, via: None };
    Cause { actor, tenant: Some(TenantId::default_tenant()), request_id: None, origin: None }
}

async fn revoke(house: &House, ids: &[ClientId]) {
    let (cause, tenant, command) = (&anyone(), &TenantId::default_tenant(), &RegistrationCommand::Revoke { reason: None });
    let revoke =
        |id: &ClientId| house.app.commands.decide_registration(cause, tenant, (ResourceServerId::DEFAULT, id.key()), command, None);
    let revoked = stream::iter(ids).map(revoke).buffer_unordered(64);
    revoked.for_each(|done| async move { drop(done.unwrap()) }).await;
}

/// What is said about every one of them: decision, reason, and whether a cure is named.
async fn replay(house: &House, ids: &[ClientId]) -> Vec<(String, String, bool)> {
    let mut said = Vec::new();
    for some in ids.chunks(100) {
        let questions: Vec<Value> = some.iter().map(|id| json!({ "client_id": id.as_str(), "redirect_uri": HERE })).collect();
        let answers = ask(house, json!({ "questions": questions })).await;
        for answer in answers["answers"].as_array().unwrap() {
            let text = |name: &str| answer[name].as_str().unwrap().to_owned();
            said.push((text("decision"), text("reason"), answer.get("cure").is_some()));
        }
    }
    said
}

#[tokio::test]
async fn ten_thousand_dormant_clients_come_back_and_the_revoked_ones_do_not() {
    let house = with_rule("at_next_use").await;
    let ids = crowd(&house, ResourceServerId::DEFAULT).await;
    // A tenth is revoked before, and a tenth after it fell dormant.
    let (before, rest) = ids.split_at(MANY / 10);
    revoke(&house, before).await;
    assert_eq!(hours_pass(&house, 80).await, rest.len() as u64);
    let (after, rest) = rest.split_at(MANY / 10);
    revoke(&house, after).await;
    let counts = house.admin("default").get(&format!("{}?limit=1", clients(DEFAULT))).await.is(200);
    assert_eq!(counts["counts"]["by_status"], json!({ "dormant": rest.len(), "revoked": before.len() + after.len() }));

    let refused = ("deny".to_owned(), "revoked".to_owned(), false);
    for revoked in [before, after] {
        assert!(replay(&house, revoked).await.iter().all(|said| *said == refused));
    }
    // Half of the others come back by themselves; the rest have to be looked at, and say so.
    let (first, second) = rest.split_at(rest.len() / 2);
    let allowed = ("allow".to_owned(), "approved".to_owned(), false);
    assert!(replay(&house, first).await.iter().all(|said| *said == allowed));
    house.edit_default(json!({ "policy": { "revive": "review" } })).await;
    let cured = ("pending".to_owned(), "dormant".to_owned(), true);
    assert!(replay(&house, second).await.iter().all(|said| *said == cured));
    assert_eq!(house.admin("default").get("/authsec/approvals?limit=1").await.is(200)["count"], second.len());
    house.edit_default(json!({ "policy": { "revive": null } })).await;
    assert!(replay(&house, second).await.iter().all(|said| *said == allowed), "the policy lets them in now, whoever waited");
    assert!(replay(&house, before).await.iter().all(|said| *said == refused));
    let counts = house.admin("default").get(&format!("{}?limit=1", clients(DEFAULT))).await.is(200);
    assert_eq!(counts["counts"]["by_status"], json!({ "approved": rest.len(), "revoked": before.len() + after.len() }));
}

#[tokio::test]
async fn a_sweep_pauses_after_each_lot_and_one_that_is_cut_short_is_begun_anew() {
    let house = with_rule("at_next_use").await;
    let ids = crowd(&house, ResourceServerId::DEFAULT).await;
    house.app.dormancy.sweep(Duration::ZERO).await.unwrap();
    for _ in 0..4 {
        house.clock.advance(TimeDelta::hours(20));
        house.app.usage.watch(house.clock.now(), vec![ResourceServerId::DEFAULT]).await.unwrap();
    }
    let dormancy = house.app.dormancy.clone();
    let cut_short = tokio::spawn(async move { dormancy.sweep(Duration::from_secs(3600)).await });
    let dormant = async || {
        let page = house.admin("default").get(&format!("{}?limit=1", clients(DEFAULT))).await.is(200);
        page["counts"]["by_status"]["dormant"].as_u64().unwrap_or_default()
    };
    while dormant().await < 512 {
        tokio::task::yield_now().await;
    }
    cut_short.abort();
    assert!(cut_short.await.unwrap_err().is_cancelled());
    assert_eq!(dormant().await, 512, "a lot, and then a pause");
    assert_eq!(house.app.dormancy.sweep(Duration::ZERO).await.unwrap(), ids.len() as u64 - 512);
    assert_eq!(dormant().await, ids.len() as u64);
}
