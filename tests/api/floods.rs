//! Ceilings and caps: what a flood meets, and what everybody else does not notice of it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::house::{DEFAULT, House, client, clients};

const FULL: &str = "the register of the resource server is full: it takes no more clients";

fn body() -> Value {
    json!({ "client_name": "Claude Code", "redirect_uris": ["http://127.0.0.1:4000/cb"] })
}

async fn register(house: &House) -> Answer {
    house.anyone().post("/oauth/register", body()).await
}

/// The warnings in a tenant's history, oldest first: event, what is counted, cap, count.
async fn warnings(house: &House, tenant: &str) -> Vec<(String, String, u64, u64)> {
    let page = house.auditor(tenant).get("/authsec/audit/events?order=oldest&limit=500&actor=caps").await.is(200);
    let told = |event: &Value| {
        let number = |name: &str| event["data"][name].as_u64().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&event["type"]), text(&event["data"]["of"]), number("cap"), number("count"))
    };
    page["events"].as_array().unwrap().iter().map(told).collect()
}

fn warning(name: &str, of: &str, cap: u64, count: u64) -> (String, String, u64, u64) {
    (format!("resource_server.{name}"), of.to_owned(), cap, count)
}

#[tokio::test]
async fn r22_answers_say_how_much_is_left_and_when_there_is_more() {
    let house = House::with(|settings| settings.registrations_per_minute = Some(2)).await;
    house.edit_default(json!({ "policy": { "registrations_per_minute": 60 } })).await;
    let first = register(&house).await.is(201);
    assert_eq!(first.header("ratelimit-policy"), "\"source\";q=2;w=60, \"resource-server\";q=60;w=60");
    assert_eq!(first.header("ratelimit"), "\"source\";r=1;t=30, \"resource-server\";r=59;t=1");
    register(&house).await.is(201);
    let refused = register(&house).await.refuses(429, "temporarily_unavailable");
    assert_eq!(refused["error_description"], "too many registrations from this source");
    let wait = refused.header("retry-after");
    assert!((1..=31).contains(&wait.parse::<u64>().unwrap()), "{wait}");
    assert_eq!(refused.header("ratelimit-policy"), "\"source\";q=2;w=60");
    assert_eq!(refused.header("ratelimit"), format!("\"source\";r=0;t={wait}"));

    let open = House::open().await;
    let answer = register(&open).await.is(201);
    assert!(["ratelimit", "ratelimit-policy"].iter().all(|name| answer.headers.get(*name).is_none()), "{:?}", answer.headers);
    let exposed = open.anyone().with("origin", "https://app.example").post("/oauth/register", body()).await.is(201);
    let exposed = exposed.header("access-control-expose-headers").to_ascii_lowercase();
    let names: Vec<&str> = exposed.split(',').map(str::trim).collect();
    assert!(["ratelimit", "ratelimit-policy", "retry-after"].iter().all(|name| names.contains(name)), "{exposed}");
}

#[tokio::test]
async fn r22_a_resource_server_has_a_ceiling_for_all_sources_together_and_bad_input_takes_nothing_of_it() {
    let house = House::with(|settings| settings.trusted_proxies = Some(vec!["127.0.0.1".to_owned()])).await;
    let other = house.server("default", json!({ "name": "Other" })).await;
    house.edit_default(json!({ "policy": { "registrations_per_minute": 2 } })).await;
    let at = format!("/rs/{DEFAULT}/oauth/register");
    let from = async |source: &str, members: Value| house.anyone().with("x-forwarded-for", source).post(&at, members).await;
    from("192.0.2.1", json!({ "redirect_uris": ["javascript:alert(1)"] })).await.refuses(400, "invalid_redirect_uri");
    from("192.0.2.1", body()).await.is(201);
    from("192.0.2.2", body()).await.is(201);
    let before = house.head().await;
    let refused = from("192.0.2.3", body()).await.refuses(429, "temporarily_unavailable");
    assert_eq!(refused["error_description"], "too many registrations at this resource server");
    assert_eq!(refused.header("ratelimit"), format!("\"resource-server\";r=0;t={}", refused.header("retry-after")));
    assert_eq!(house.head().await, before);
    house.anyone().post(&format!("/rs/{other}/oauth/register"), body()).await.is(201);
    house.edit_default(json!({ "policy": { "registrations_per_minute": null } })).await;
    from("192.0.2.3", body()).await.is(201);
    for wrong in [json!(0), json!(-1), json!("many")] {
        let edit = json!({ "policy": { "registrations_per_minute": wrong } });
        house.admin("default").patch(&format!("/authsec/resource-servers/{DEFAULT}"), edit).await.problem(400, "invalid-request");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_from_one_source_leaves_every_registration_of_another_alone() {
    const CEILING: u32 = 30;
    const QUIET: usize = 30;
    let house = House::with(|settings| {
        settings.registrations_per_minute = Some(CEILING);
        settings.trusted_proxies = Some(vec!["127.0.0.1".to_owned()]);
    })
    .await;
    let from = async |source: &str| house.anyone().with("x-forwarded-for", source).post("/oauth/register", body()).await;
    for _ in 0..CEILING {
        from("192.0.2.1").await.is(201);
    }
    let (over, refused) = (AtomicBool::new(false), AtomicUsize::new(0));
    let started = std::time::Instant::now();
    let loud = async || {
        while !over.load(Ordering::Relaxed) {
            // A token comes back every two seconds.
            let answer = from("192.0.2.1").await;
            assert!(answer.status == 429 || answer.status == 201 && started.elapsed().as_secs() >= 1, "{}", answer.text);
            refused.fetch_add(usize::from(answer.status == 429), Ordering::Relaxed);
        }
    };
    let quiet = async {
        for _ in 0..QUIET {
            from("192.0.2.2").await.is(201);
        }
        over.store(true, Ordering::Relaxed);
    };
    let bounded = std::time::Duration::from_secs(60);
    let flood = futures_util::future::join_all((0..32).map(|_| loud()));
    tokio::time::timeout(bounded, async { tokio::join!(quiet, flood) }).await.unwrap();
    assert!(refused.load(Ordering::Relaxed) > QUIET, "there was no flood: {refused:?}");
}

#[tokio::test]
async fn a_full_register_takes_nobody_until_somebody_leaves() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "max_clients": 3 } })).await;
    let first = register(&house).await.is(201).text("client_id");
    register(&house).await.is(201);
    house.entered("ci").await;
    let before = house.head().await;
    let refused = register(&house).await.refuses(403, "access_denied");
    assert_eq!(refused["error_description"], FULL);
    assert_eq!(refused.header("retry-after"), "", "waiting does not help");
    let entry = house.admin("default").post(&clients(DEFAULT), json!({ "client_name": "ci" })).await.problem(409, "register-full");
    assert_eq!(entry["detail"], FULL);
    assert_eq!(house.head().await, before);

    for (decision, room) in [("suspend", false), ("revoke", true)] {
        let path = format!("{}/{decision}", client(DEFAULT, &first));
        house.admin("default").post(&path, json!({})).await.is(200);
        let answer = register(&house).await;
        assert_eq!(answer.status, if room { 201 } else { 403 }, "{decision}: {}", answer.text);
    }
    register(&house).await.refuses(403, "access_denied");
    house.edit_default(json!({ "policy": { "max_clients": 4 } })).await;
    let last = register(&house).await.is(201);
    register(&house).await.refuses(403, "access_denied");
    house.holder(&last.text("registration_access_token")).delete(&format!("/oauth/register/{}", last.text("client_id"))).await.is(204);
    register(&house).await.is(201);
    house.edit_default(json!({ "policy": { "max_clients": null } })).await;
    register(&house).await.is(201);
}

#[tokio::test]
async fn what_was_there_before_the_cap_counts_too() {
    let house = House::open().await;
    for _ in 0..3 {
        register(&house).await.is(201);
    }
    house.edit_default(json!({ "policy": { "max_clients": 4 } })).await;
    register(&house).await.is(201);
    register(&house).await.refuses(403, "access_denied");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_at_the_last_places_gets_exactly_those() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "max_clients": 10 } })).await;
    let answers = futures_util::future::join_all((0..40).map(|_| register(&house))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 10);
    assert!(answers.iter().all(|answer| answer.status == 201 || answer.status == 403));
    let shown = house.admin("default").get(&format!("/authsec/resource-servers/{DEFAULT}")).await.is(200);
    assert_eq!(shown["clients"]["total"], 10);
    let told = warnings(&house, "default").await;
    let counted = told[0].3;
    assert!(told == [warning("cap_neared", "resource_server", 10, counted)] && (8..=10).contains(&counted), "told once: {told:?}");
}

#[tokio::test]
async fn a_warning_is_told_once_when_a_cap_is_near_and_again_after_it_eased() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "max_clients": 5 } })).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(register(&house).await.is(201).text("client_id"));
    }
    register(&house).await.refuses(403, "access_denied");
    let mut expected = vec![warning("cap_neared", "resource_server", 5, 4)];
    assert_eq!(warnings(&house, "default").await, expected);
    let page = format!("/authsec/audit/events?resource_server={DEFAULT}&type=resource_server.cap_neared");
    let told = house.auditor("default").get(&page).await.is(200);
    assert_eq!(told["events"][0]["actor"], json!({ "kind": "system", "id": "caps" }));

    for id in &ids[..3] {
        // The answer waits for the directory, which is where those who left are counted.
        house.admin("default").post(&format!("{}/revoke", client(DEFAULT, id)), json!({})).await.is(200);
    }
    register(&house).await.is(201);
    expected.push(warning("cap_eased", "resource_server", 5, 3));
    assert_eq!(warnings(&house, "default").await, expected);
    register(&house).await.is(201);
    expected.push(warning("cap_neared", "resource_server", 5, 4));
    assert_eq!(warnings(&house, "default").await, expected);
    // A cap that was put below what is there is told by the first who is refused, and once.
    house.edit_default(json!({ "policy": { "max_clients": 2 } })).await;
    for _ in 0..3 {
        register(&house).await.refuses(403, "access_denied");
    }
    expected.push(warning("cap_neared", "resource_server", 2, 4));
    assert_eq!(warnings(&house, "default").await, expected);
}

#[tokio::test]
async fn a_tenants_cap_counts_all_of_its_resource_servers_and_no_others() {
    let house = House::with(|settings| settings.max_clients_per_tenant = Some(5)).await;
    let one = house.server("acme", json!({ "name": "One" })).await;
    let other = house.server("acme", json!({ "name": "Other" })).await;
    let at = async |server: &str| house.anyone().post(&format!("/rs/{server}/oauth/register"), body()).await;
    for server in [&one, &other, &one, &other] {
        at(server).await.is(201);
    }
    assert_eq!(warnings(&house, "acme").await, [warning("cap_neared", "tenant", 5, 4)]);
    house.admin("acme").post(&clients(&other), json!({ "client_name": "ci" })).await.is(201);
    for server in [&one, &other] {
        let refused = at(server).await.refuses(403, "access_denied");
        assert_eq!(refused["error_description"], "the register of the tenant is full: it takes no more clients");
        house.admin("acme").post(&clients(server), json!({ "client_name": "ci" })).await.problem(409, "register-full");
    }
    register(&house).await.is(201);
    assert_eq!(warnings(&house, "acme").await.len(), 1, "told once, although the tenant has two resource servers");
    assert!(warnings(&house, "default").await.is_empty());
    // Nobody can act at a resource server that is retired.
    house.admin("acme").delete(&format!("/authsec/resource-servers/{other}")).await.is(204);
    at(&one).await.is(201);
}

#[tokio::test]
async fn an_entry_that_is_repeated_at_a_full_register_is_answered_as_before() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "max_clients": 1 } })).await;
    let enter = async |key: &str| {
        let admin = house.admin("default").with("idempotency-key", key);
        admin.post(&clients(DEFAULT), json!({ "client_name": "ci" })).await
    };
    let first = enter("one").await.is(201);
    assert_eq!(enter("one").await.is(201).body, first.body);
    enter("two").await.problem(409, "register-full");
    house.admin("acme").post(&clients(DEFAULT), json!({ "client_name": "ci" })).await.problem(404, "not-found");
}
