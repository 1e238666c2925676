//! An approval never lets through what was not shown: under review, with its version, and with the policy's name where nobody looked.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::house::{DEFAULT, House, PUBLIC, client, clients};

const OLD: &str = "https://app.example/cb";
const NEW: &str = "https://app.example/new";

async fn reviewing() -> House {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "admission": { "dcr": "review" } } })).await;
    house
}

fn first() -> Value {
    json!({ "client_name": "Notes", "redirect_uris": [OLD], "scope": "read", "grant_types": ["authorization_code"] })
}

/// A client that registered itself with scope `read`, and was approved.
async fn approved(house: &House) -> (Answer, String) {
    let own = house.anyone().post("/oauth/register", first()).await.is(201);
    let id = own.text("client_id");
    house.admin("default").post(&format!("{}/approve", client(DEFAULT, &id)), json!({})).await.is(200);
    (own, id)
}

fn grown(id: &str) -> Value {
    json!({ "client_id": id, "client_name": "Big Bank", "redirect_uris": [OLD, NEW], "scope": "read write admin",
        "grant_types": ["authorization_code", "refresh_token"], "token_endpoint_auth_method": "none",
        "logo_uri": "https://evil.example/l.png" })
}

async fn put(house: &House, own: &Answer, body: Value) -> Answer {
    let path = format!("/oauth/register/{}", own.text("client_id"));
    house.holder(&own.text("registration_access_token")).put(&path, body).await
}

async fn decide(house: &House, id: &str, scope: &str) -> Answer {
    let question = json!({ "client_id": id, "grant_type": "authorization_code", "redirect_uri": OLD, "scope": scope });
    house.decider("default").post("/oauth/decisions", question).await.is(200)
}

fn members(changes: &Value) -> Vec<&str> {
    changes.as_array().unwrap().iter().map(|change| change["member"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn r3_what_grows_or_changes_the_face_under_review_waits_and_what_was_admitted_serves() {
    let house = reviewing().await;
    let (own, id) = approved(&house).await;
    let answer = put(&house, &own, grown(&id)).await.is(200);
    assert_eq!(
        (&answer["client_name"], &answer["scope"]),
        (&json!("Big Bank"), &json!("read write admin")),
        "RFC 7592 echoes what is registered"
    );
    let staged = &answer["gatebook"]["staged_change"];
    let parts = ["client_name", "grant_types", "logo_uri", "scope", "token_endpoint_auth_method"];
    assert_eq!(members(&staged["changes"]), parts);
    assert_eq!(answer["gatebook"]["serves"]["client_name"], "Notes");

    let asked = decide(&house, &id, "admin").await;
    assert_eq!((asked.text("decision"), asked.text("reason")), ("deny".to_owned(), "scope_not_registered".to_owned()));
    let asked = decide(&house, &id, "read").await;
    assert_eq!(asked.text("decision"), "allow");
    assert_eq!(
        (&asked["client"]["client_name"], &asked["client"]["token_endpoint_auth_method"]),
        (&json!("Notes"), &json!("client_secret_basic"))
    );
    assert!(asked["client"].get("logo_uri").is_none());
    assert_eq!((&asked["claimed"]["client_name"], &asked["claimed"]["redirect_uris"]), (&json!("Big Bank"), &json!([OLD, NEW])));
    for warning in ["metadata_changed", "staged_change_waiting"] {
        assert!(asked["warnings"].as_array().unwrap().contains(&json!(warning)), "{warning} in {}", asked.text);
    }
    let looked = house.decider("default").get(&format!("/oauth/clients/{id}")).await.is(200);
    assert_eq!((&looked["client_name"], &looked["gatebook"]["claimed"]["client_name"]), (&json!("Notes"), &json!("Big Bank")));

    let shown = house.shown(&id).await;
    assert_eq!((&shown["client_name"], &shown["claimed"]["client_name"]), (&json!("Notes"), &json!("Big Bank")));
    assert_eq!(members(&shown["staged_change"]["changes"]), parts);
    let waiting = house.admin("default").get("/authsec/approvals").await.is(200);
    assert_eq!(members(&waiting["approvals"][0]["changes"]), parts);

    let change = json!({ "change_id": staged["change_id"] });
    house.admin("default").put(&format!("{}/approve-redirects", client(DEFAULT, &id)), change).await.is(200);
    let asked = decide(&house, &id, "admin").await;
    assert_eq!((asked.text("decision"), &asked["client"]["client_name"]), ("allow".to_owned(), &json!("Big Bank")));
    assert!(asked.body.get("claimed").is_none(), "{}", asked.text);
    assert!(!asked["warnings"].as_array().unwrap().contains(&json!("metadata_changed")), "{}", asked.text);
}

#[tokio::test]
async fn r3_what_shrinks_serves_at_once_and_a_rejected_change_never_does() {
    let house = reviewing().await;
    let own = json!({ "client_name": "Notes", "redirect_uris": [OLD, NEW], "scope": "read write" });
    let own = house.anyone().post("/oauth/register", own).await.is(201);
    let id = own.text("client_id");
    house.admin("default").post(&format!("{}/approve", client(DEFAULT, &id)), json!({})).await.is(200);
    let less = json!({ "client_id": id, "client_name": "Bank", "redirect_uris": [OLD], "scope": "read" });
    put(&house, &own, less.clone()).await.is(200);
    let shown = house.shown(&id).await;
    assert_eq!((&shown["scope"], &shown["client_name"], &shown["redirect_uris"]), (&json!("read"), &json!("Notes"), &json!([OLD])));
    house.admin("default").put(&format!("{}/reject-redirects", client(DEFAULT, &id)), json!({})).await.is(200);
    put(&house, &own, less).await.is(200);
    let shown = house.shown(&id).await;
    assert!(shown.body.get("staged_change").is_none(), "the same wish is not asked again: {}", shown.text);
    assert_eq!(shown["client_name"], "Notes");
}

#[tokio::test]
async fn r3_where_new_clients_come_in_at_once_their_changes_do_too_and_decisions_say_that_they_changed() {
    let house = House::open().await;
    let own = house.anyone().post("/oauth/register", first()).await.is(201);
    let id = own.text("client_id");
    put(&house, &own, json!({ "client_id": id, "client_name": "Other", "redirect_uris": [OLD], "scope": "read write" })).await.is(200);
    let asked = decide(&house, &id, "write").await;
    assert_eq!((asked.text("decision"), &asked["client"]["client_name"]), ("allow".to_owned(), &json!("Other")));
    assert!(asked["warnings"].as_array().unwrap().contains(&json!("metadata_changed")), "{}", asked.text);
}

#[tokio::test]
async fn r3_a_client_proves_itself_as_it_was_admitted_until_another_way_is() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "admission": { "dcr": "review" }, "self_registered_grants": ["authorization_code", "client_credentials"] } })).await;
    let job = json!({ "client_name": "Job", "grant_types": ["client_credentials"], "scope": "read" });
    let own = house.anyone().post("/oauth/register", job).await.is(201);
    let (id, secret) = (own.text("client_id"), own.text("client_secret"));
    house.admin("default").post(&format!("{}/approve", client(DEFAULT, &id)), json!({})).await.is(200);
    let stolen = json!({ "client_id": id, "client_name": "Job", "grant_types": ["client_credentials"], "scope": "read",
        "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://evil.example/jwks.json" });
    put(&house, &own, stolen).await.is(200);
    let service = json!({ "label": "as", "scopes": ["gatebook:authenticate"] });
    let service = house.admin("default").post("/authsec/service-tokens", service).await.is(201).text("service_token");
    let by_secret = json!({ "client_id": id, "client_secret": secret });
    let said = house.holder(&service).post("/oauth/authenticate", by_secret).await.is(200);
    assert_eq!((&said["authenticated"], &said["client"]["token_endpoint_auth_method"]), (&json!(true), &json!("client_secret_basic")));
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}").into_bytes();
    let kind = Some("application/x-www-form-urlencoded");
    house.anyone().send(reqwest::Method::POST, "/oauth/token", kind, form.clone()).await.is(200);
    house.admin("default").put(&format!("{}/approve-redirects", client(DEFAULT, &id)), json!({})).await.is(200);
    house.anyone().send(reqwest::Method::POST, "/oauth/token", kind, form).await.refuses(401, "invalid_client");
}

#[tokio::test]
async fn r4_a_decision_is_about_the_version_that_was_shown() {
    let house = reviewing().await;
    let admin = house.admin("default");
    let own = house.anyone().post("/oauth/register", first()).await.is(201);
    let id = own.text("client_id");
    let (page, read) = (client(DEFAULT, &id), house.shown(&id).await.text("registration_version"));
    let listed = admin.get(&clients(DEFAULT)).await.is(200);
    let waiting = admin.get("/authsec/approvals").await.is(200);
    assert_eq!(listed["clients"][0]["registration_version"], read);
    assert_eq!(waiting["approvals"][0]["registration_version"], read);
    put(&house, &own, grown(&id)).await.is(200);
    let before = house.head().await;
    for decision in ["approve", "deny"] {
        let refused =
            admin.post(&format!("{page}/{decision}"), json!({ "registration_version": read })).await.problem(409, "registration-changed");
        assert_eq!(refused["registration_version"], house.shown(&id).await["registration_version"]);
    }
    assert_eq!(house.head().await, before, "what is refused leaves nothing");
    admin.post(&format!("{page}/approve"), json!({ "registration_version": "new" })).await.problem(400, "invalid-request");
    let now = house.shown(&id).await;
    assert_eq!((now.text("status"), &now["client_name"]), ("pending".to_owned(), &json!("Big Bank")));
    let shown = json!({ "registration_version": now["registration_version"] });
    admin.post(&format!("{page}/approve"), shown.clone()).await.is(200);
    admin.post(&format!("{page}/approve"), shown).await.is(200);
    admin.post(&format!("{page}/suspend"), json!({})).await.is(200);
    assert_eq!(house.shown(&id).await.text("status"), "suspended", "without a version the decision is about whatever there is");
}

#[tokio::test]
async fn r10_what_no_person_approved_was_approved_by_the_policy() {
    let house = House::open().await;
    let own = house.anyone().post("/oauth/register", first()).await.is(201);
    house.edit_default(json!({ "policy": { "redirect_changes": "auto" } })).await;
    let id = own.text("client_id");
    put(&house, &own, json!({ "client_id": id, "client_name": "Other", "redirect_uris": [OLD, NEW], "scope": "read" })).await.is(200);
    let events = house.events_of(&id).await;
    let actors: Vec<_> = events.iter().map(|event| (event["type"].as_str().unwrap(), event["actor"]["kind"].as_str().unwrap())).collect();
    assert_eq!(
        actors,
        [
            ("client.registered", "anonymous"),
            ("registration.requested", "anonymous"),
            ("registration.approved", "policy"),
            ("client.metadata_updated", "client"),
            ("registration.metadata_admitted", "policy"),
            ("registration.redirects_staged", "client"),
            ("registration.redirects_approved", "policy"),
        ]
    );
    let by = |number: usize| (events[number]["actor"]["id"].as_str().unwrap(), events[number]["actor"]["via"].as_str().unwrap());
    assert_eq!(by(2), (DEFAULT, "admission.dcr@1"));
    assert_eq!(by(4), (DEFAULT, "admission.dcr@2"));
    assert_eq!(by(6), (DEFAULT, "redirect_changes@2"));
    let (_, reviewed) = {
        house.edit_default(json!({ "policy": { "admission": { "dcr": "review" } } })).await;
        approved(&house).await
    };
    let last = house.events_of(&reviewed).await.pop().unwrap();
    assert_eq!((&last["type"], &last["actor"]["kind"]), (&json!("registration.approved"), &json!("admin")));
}

#[tokio::test]
async fn w12_a_client_with_a_staged_change_shows_the_whole_set_that_would_serve() {
    let house = House::open().await;
    let own = house.registered("Dashboard").await;
    let id = own.text("client_id");
    assert!(house.shown(&id).await.body.get("pending_redirect_uris").is_none());
    let other = "https://app.example/other";
    let answer = put(&house, &own, json!({ "client_id": id, "client_name": "Dashboard", "redirect_uris": [OLD, other] })).await.is(200);
    assert_eq!(answer["gatebook"]["pending_redirect_uris"], json!([OLD, other]));
    let listed = house.admin("default").get(&clients(DEFAULT)).await.is(200);
    let waiting = house.admin("default").get("/authsec/approvals").await.is(200);
    for shown in [&house.shown(&id).await.body, &listed["clients"][0], &waiting["approvals"][0]] {
        assert_eq!(shown["pending_redirect_uris"], json!([OLD, other]), "{shown}");
    }
    house.admin("default").put(&format!("{}/approve-redirects", client(DEFAULT, &id)), json!({})).await.is(200);
    let listed = house.admin("default").get(&clients(DEFAULT)).await.is(200);
    assert!(listed["clients"][0].get("pending_redirect_uris").is_none());
    assert!(own.text("registration_client_uri").starts_with(PUBLIC));
}

#[tokio::test]
async fn r3_what_grows_waits_where_no_new_client_would_be_let_in() {
    for closed in [json!({ "registration_modes": ["prereg"] }), json!({ "policy": { "require_initial_access_token": true } })] {
        let house = House::open().await;
        let own = house.anyone().post("/oauth/register", first()).await.is(201);
        let id = own.text("client_id");
        house.edit_default(closed.clone()).await;
        let answer = put(&house, &own, grown(&id)).await.is(200);
        let staged = members(&answer["gatebook"]["staged_change"]["changes"]);
        assert!(staged.contains(&"client_name") && staged.contains(&"scope"), "{closed}: {}", answer.text);
        let shown = decide(&house, &id, "read").await;
        assert_eq!(shown["client"]["client_name"], "Notes", "{closed}: {}", shown.text);
        assert_eq!(decide(&house, &id, "write").await.text("reason"), "scope_not_registered");
        // What adds nothing has nothing to wait for.
        let mut as_before = first();
        as_before["client_id"] = json!(id);
        assert!(put(&house, &own, as_before).await.is(200)["gatebook"]["staged_change"].is_null());
    }
}
