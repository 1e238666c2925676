//! What strangers send to make the service keep, hold or do too much, and what others notice of it.

use reqwest::Method;
use serde_json::json;

use crate::answer::Answer;
use crate::house::{DEFAULT, House, PUBLIC, client, clients};
use crate::statements::Vendor;

const NOW: i64 = 1_800_000_000;
const JWT: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client asks for an access token with an assertion that it signed.
async fn token(house: &House, assertion: &str) -> Answer {
    let mut url = reqwest::Url::parse("form:").unwrap();
    let fields = [("grant_type", "client_credentials"), ("client_assertion_type", JWT), ("client_assertion", assertion)];
    url.query_pairs_mut().extend_pairs(fields);
    let form = url.query().unwrap().as_bytes().to_vec();
    house.anyone().send(Method::POST, "/oauth/token", Some("application/x-www-form-urlencoded"), form).await
}

#[tokio::test]
async fn b1_of_a_client_that_may_not_act_no_assertion_is_remembered() {
    let house = House::open().await;
    let vendor = Vendor::p256();
    let members = json!({ "client_name": "job", "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [vendor.jwk("1")] } });
    let id = house.admin("default").post(&clients(DEFAULT), members).await.is(201).text("client_id");
    let sign = |jti: &str| {
        vendor.sign("1", &json!({ "iss": id, "sub": id, "aud": format!("{PUBLIC}/oauth"), "exp": NOW + 60, "iat": NOW, "jti": jti }))
    };
    let decide = async |decision: &str| {
        house.admin("default").post(&format!("{}/{decision}", client(DEFAULT, &id)), json!({ "reason": "x" })).await.is(200)
    };
    decide("suspend").await;
    for _ in 0..3 {
        token(&house, &sign("a")).await.refuses(400, "unauthorized_client");
    }
    decide("reinstate").await;
    token(&house, &sign("a")).await.is(200);
    token(&house, &sign("a")).await.refuses(401, "invalid_client");
}

/// Where a client manages itself, with its token.
fn managed(own: &Answer) -> String {
    format!("/oauth/register/{}", own.text("client_id"))
}

#[tokio::test]
async fn b2_a_source_and_a_client_hear_how_often_they_may_still_call() {
    let house = House::with(|settings| {
        settings.changes_per_minute = Some(4);
        settings.changes_per_client_per_hour = Some(2);
        settings.trusted_proxies = Some(vec!["127.0.0.1".to_owned()]);
    })
    .await;
    let (own, other) = (house.registered("loud").await, house.registered("quiet").await);
    let from = |source: &str, of: &Answer| house.holder(&of.text("registration_access_token")).with("x-forwarded-for", source);
    let change =
        |of: &Answer, name: &str| json!({ "client_id": of["client_id"], "client_name": name, "redirect_uris": ["https://app.example/cb"] });
    let put = async |source: &str, of: &Answer, name: &str| from(source, of).put(&managed(of), change(of, name)).await;
    let first = put("192.0.2.1", &own, "one").await.is(200);
    assert_eq!(first.header("ratelimit-policy"), "\"source\";q=4;w=60, \"client\";q=2;w=3600");
    assert_eq!(first.header("ratelimit"), "\"source\";r=3;t=15, \"client\";r=1;t=1800");
    put("192.0.2.2", &own, "two").await.is(200);
    let before = house.head().await;
    let refused = put("192.0.2.3", &own, "three").await.refuses(429, "temporarily_unavailable");
    assert_eq!(refused["error_description"], "too many changes of this client");
    assert!((1700..=1801).contains(&refused.header("retry-after").parse::<u64>().unwrap()), "{:?}", refused.headers);
    assert_eq!(house.head().await, before, "what is refused leaves nothing");
    put("192.0.2.3", &other, "mine").await.is(200);
    // Whoever does not hold the token spends what the source has, and nothing of the client's.
    for _ in 0..4 {
        house.holder("wrong").with("x-forwarded-for", "192.0.2.9").get(&managed(&other)).await.refuses(401, "invalid_token");
    }
    let refused = from("192.0.2.9", &other).get(&managed(&other)).await.refuses(429, "temporarily_unavailable");
    assert_eq!(refused["error_description"], "too many requests about registrations from this source");
    assert_eq!(refused.header("ratelimit-policy"), "\"source\";q=4;w=60");
    from("192.0.2.9", &other).delete(&managed(&other)).await.refuses(429, "temporarily_unavailable");
    put("192.0.2.4", &other, "again").await.is(200);
    from("192.0.2.4", &other).delete(&managed(&other)).await.is(204);
}

#[tokio::test]
async fn b2_a_change_to_what_it_is_already_leaves_no_event() {
    let house = House::open().await;
    let own = house.registered("same").await;
    let holder = house.holder(&own.text("registration_access_token"));
    let wider = json!({ "client_id": own["client_id"], "client_name": "same", "redirect_uris": ["https://app.example/cb", "https://more.example/cb"] });
    holder.put(&managed(&own), wider.clone()).await.is(200);
    let before = house.head().await;
    for _ in 0..3 {
        holder.put(&managed(&own), wider.clone()).await.is(200);
    }
    assert_eq!(house.head().await, before, "staged URIs that are asked for again are no news either");
}

/// Metadata that takes about so many bytes where it is kept.
fn long(bytes: usize) -> serde_json::Value {
    let uris: Vec<String> = (0..bytes / 1024).map(|number| format!("https://app.example/{number:04}/{}", "x".repeat(1000))).collect();
    json!({ "client_name": "long", "redirect_uris": uris })
}

#[tokio::test]
async fn b3_metadata_of_a_self_registration_have_a_bound_that_the_policy_sets() {
    let house = House::open().await;
    let own = house.anyone().post("/oauth/register", long(14 * 1024)).await.is(201);
    let before = house.head().await;
    let refused = house.anyone().post("/oauth/register", long(20 * 1024)).await.refuses(400, "invalid_client_metadata");
    assert!(refused.text("error_description").ends_with("and may take 16384"), "{}", refused.text);
    let holder = house.holder(&own.text("registration_access_token"));
    let mut longer = long(20 * 1024);
    longer["client_id"] = own["client_id"].clone();
    holder.put(&managed(&own), longer.clone()).await.refuses(400, "invalid_client_metadata");
    assert_eq!(house.head().await, before, "what is refused leaves nothing");
    house.admin("default").post(&clients(DEFAULT), long(20 * 1024)).await.is(201);
    house.edit_default(json!({ "policy": { "max_metadata_bytes": 40_000 } })).await;
    house.anyone().post("/oauth/register", long(20 * 1024)).await.is(201);
    holder.put(&managed(&own), longer).await.is(200);
}

#[tokio::test]
async fn b3_a_new_resource_server_has_a_cap_unless_its_creator_wants_none() {
    let house = House::open().await;
    let shown = async |id: &str| house.admin("default").get(&format!("/authsec/resource-servers/{id}")).await.is(200);
    assert_eq!(shown(DEFAULT).await["policy"]["max_clients"], 100_000);
    let usual = house.server("default", json!({ "name": "usual" })).await;
    assert_eq!(shown(&usual).await["policy"]["max_clients"], 100_000);
    let open = house.server("default", json!({ "name": "open", "policy": { "max_clients": null } })).await;
    assert!(shown(&open).await["policy"].get("max_clients").is_none());
}

#[tokio::test]
async fn b3_below_the_floor_of_free_space_strangers_wait_and_administrators_write() {
    // A floor that no disk reaches.
    let house = House::with(|settings| settings.free_space_floor = Some(1 << 40)).await;
    let own = house.entered("ci").await;
    let before = house.head().await;
    let body = json!({ "client_name": "Claude Code", "redirect_uris": ["http://127.0.0.1:4000/cb"] });
    let refused = house.anyone().post("/oauth/register", body).await.refuses(503, "temporarily_unavailable");
    assert_eq!(refused.header("retry-after"), "60");
    assert!(refused.text("error_description").contains("too little room"), "{}", refused.text);
    let question = json!({ "client_id": "https://app.example/client.json" });
    house.decider("default").post("/oauth/decisions", question).await.refuses(503, "temporarily_unavailable");
    assert_eq!(house.head().await, before);
    house.decider("default").post("/oauth/decisions", json!({ "client_id": own["client_id"] })).await.is(200);
    house.entered("another").await;
    let health = house.anyone().get("/health").await.is(200);
    assert_eq!(health["disk"]["strangers"], "refused");
    assert!(health["disk"]["free_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{}", health.text);
}

#[tokio::test]
async fn b6_key_sets_of_others_do_not_keep_a_client_out_and_not_tried_is_no_verdict() {
    let house = House::with(|settings| {
        settings.fetches_per_source_per_minute = Some(3);
        settings.allow_loopback_manifests = Some(true);
        settings.trusted_proxies = Some(vec!["127.0.0.1".to_owned()]);
    })
    .await;
    let vendor = Vendor::p256();
    // A port that was just given back: nobody listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let enter = async |name: &str| {
        let members = json!({ "client_name": name, "token_endpoint_auth_method": "private_key_jwt",
            "jwks_uri": format!("https://{closed}/{name}") });
        house.admin("default").post(&clients(DEFAULT), members).await.is(201).text("client_id")
    };
    let show = async |source: &str, id: &str| {
        let claims = json!({ "iss": id, "sub": id, "aud": PUBLIC, "exp": NOW + 60, "iat": NOW, "jti": "a" });
        let assertion = vendor.sign("1", &claims);
        let mut url = reqwest::Url::parse("form:").unwrap();
        let fields = [("grant_type", "client_credentials"), ("client_assertion_type", JWT), ("client_assertion", &*assertion)];
        url.query_pairs_mut().extend_pairs(fields);
        let form = url.query().unwrap().as_bytes().to_vec();
        let caller = house.anyone().with("x-forwarded-for", source);
        caller.send(Method::POST, "/oauth/token", Some("application/x-www-form-urlencoded"), form).await
    };
    // Of a client that may not act nothing is fetched, so nothing is spent.
    let idle = enter("idle").await;
    house.admin("default").post(&format!("{}/suspend", client(DEFAULT, &idle)), json!({ "reason": "x" })).await.is(200);
    for _ in 0..5 {
        show("192.0.2.1", &idle).await.refuses(401, "invalid_client");
    }
    for number in 0..3 {
        let id = enter(&format!("host{number}")).await;
        show("192.0.2.1", &id).await.refuses(401, "invalid_client");
    }
    let late = enter("late").await;
    let refused = show("192.0.2.1", &late).await.refuses(503, "temporarily_unavailable");
    assert!((1..=61).contains(&refused.header("retry-after").parse::<u64>().unwrap()), "{:?}", refused.headers);
    // From elsewhere it is tried; its host does not answer, and that is another matter.
    show("192.0.2.2", &late).await.refuses(401, "invalid_client");
}

#[tokio::test]
async fn b6_a_document_that_was_not_asked_for_is_pending_at_a_decision_and_503_at_a_registration() {
    let house = House::with(|settings| {
        settings.fetches_per_source_per_minute = Some(1);
        settings.allow_loopback_manifests = Some(true);
    })
    .await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let document = |name: &str| format!("http://{closed}/{name}.json");
    let before = house.head().await;
    for (name, reason) in [("first", "document_not_reached"), ("second", "document_not_tried"), ("third", "document_not_tried")] {
        let question = json!({ "client_id": document(name), "source": "127.0.0.1" });
        let answer = house.decider("default").post("/oauth/decisions", question).await.is(200);
        assert_eq!((&answer["decision"], &answer["reason"]), (&json!("pending"), &json!(reason)), "{name}");
    }
    // The registration comes from the same source, which has had what it may have.
    let refused = house.anyone().post("/oauth/register", json!({ "client_id": document("fourth") })).await;
    let refused = refused.refuses(503, "temporarily_unavailable");
    assert!((1..=61).contains(&refused.header("retry-after").parse::<u64>().unwrap()), "{:?}", refused.headers);
    assert_eq!(house.head().await, before);
}
