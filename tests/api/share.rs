//! One client, many instances: identical public registrations at a resource server whose policy lets them share.

use std::collections::BTreeSet;

use gatebook::aggregates::Cause;
use gatebook_events::client::{ClientCommand, Party};
use gatebook_events::envelope::{Actor, ActorKind, CommitId, EventId, StoredEvent};
use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId, TenantId};
use gatebook_events::reservation::{Fingerprint, ReservationEvent, Taken};
use gatebook_events::stream::Stream;
use gatebook_events::{codec, metadata};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::answer::Answer;
use crate::house::{DEFAULT, House, client, clients};

fn claude(port: u16) -> Value {
    json!({ "client_name": "Claude Code", "redirect_uris": [format!("http://localhost:{port}/oauth/callback")],
        "grant_types": ["authorization_code", "refresh_token"] })
}

async fn sharing() -> House {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "instances": "share" } })).await;
    house
}

async fn register(house: &House, body: Value) -> Answer {
    house.anyone().post("/oauth/register", body).await
}

async fn decide(house: &House, id: &str, decision: &str) {
    house.admin("default").post(&format!("{}/{decision}", client(DEFAULT, id)), json!({})).await.is(200);
}

async fn total(house: &House) -> u64 {
    house.admin("default").get(&format!("/authsec/resource-servers/{DEFAULT}")).await.is(200)["clients"]["total"].as_u64().unwrap()
}

#[tokio::test]
async fn identical_instances_are_one_client_that_only_administrators_manage() {
    let house = sharing().await;
    let first = register(&house, claude(33_417)).await.is(201);
    let id = first.text("client_id");
    let after_first = house.head().await;
    let second = register(&house, claude(45_000)).await.is(201);
    assert_eq!(second.body, first.body, "the answer echoes what is registered");
    assert_eq!(house.head().await, after_first, "a repeat is no event");
    assert_eq!(
        first.body,
        json!({
            "client_id": id,
            "client_id_issued_at": 1_800_000_000,
            "client_name": "Claude Code",
            "redirect_uris": ["http://localhost:33417/oauth/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
            "gatebook": { "resource_server_id": DEFAULT, "registration_type": "dcr", "status": "approved", "reason": "approved" },
        }),
        "neither a token nor a place to use one"
    );
    let registered = metadata::parse(json!({ "redirect_uris": first["redirect_uris"] }).as_object().unwrap().clone()).unwrap();
    assert!(registered.metadata.redirect_uris.matching("http://localhost:45000/oauth/callback").is_some());
    assert_eq!(total(&house).await, 1);
    let names = house.names_of(&id).await;
    assert_eq!(names, ["reservation.taken", "client.registered", "registration.requested", "registration.approved"]);
    house
        .holder("gbr_0123456789abcdef0123456789abcdef0123456789a")
        .get(&format!("/oauth/register/{id}"))
        .await
        .refuses(401, "invalid_token");
    assert_eq!(house.shown(&id).await["status"], "approved");
}

#[tokio::test]
async fn w17_under_review_identical_public_registrations_are_one_client() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "admission": { "dcr": "review" } } })).await;
    let first = register(&house, claude(33_417)).await.is(201);
    let second = register(&house, claude(45_000)).await.is(201);
    assert_eq!((&first["client_id"], &first["gatebook"]["status"]), (&second["client_id"], &json!("pending")));
    decide(&house, &first.text("client_id"), "approve").await;
    let third = register(&house, claude(50_001)).await.is(201);
    assert_eq!((&third["client_id"], &third["gatebook"]["status"]), (&first["client_id"], &json!("approved")), "it comes back approved");
    assert_eq!(total(&house).await, 1);
    // So it is for those that wait because of their redirect URIs, and for nobody who is let in at once.
    house.edit_default(json!({ "policy": { "admission": { "dcr": "auto" } } })).await;
    let (one, other) = (register(&house, claude(1)).await.is(201), register(&house, claude(2)).await.is(201));
    assert_ne!(one["client_id"], other["client_id"]);
    let rules = json!({ "redirect_rules": [{ "kind": "host", "host": "app.example" }], "outside_rules": "review" });
    house.edit_default(json!({ "policy": rules })).await;
    let waiting = json!({ "client_name": "Other", "redirect_uris": ["http://localhost:1/cb"] });
    let (one, other) = (register(&house, waiting.clone()).await.is(201), register(&house, waiting.clone()).await.is(201));
    assert_eq!(one["client_id"], other["client_id"]);
    // Unless the rules say that each is one of its own.
    house.edit_default(json!({ "policy": { "instances_under_review": "separate" } })).await;
    let (one, other) = (register(&house, waiting.clone()).await.is(201), register(&house, waiting).await.is(201));
    assert_ne!(one["client_id"], other["client_id"]);
}

#[tokio::test]
async fn w17_a_rehearsal_says_whether_programs_are_reviewed_as_one() {
    let house = House::open().await;
    register(&house, claude(33_417)).await.is(201);
    let path = format!("/authsec/resource-servers/{DEFAULT}/policy/rehearse");
    let rehearse = async |policy: Value| {
        let rehearsed = house.admin("default").post(&path, json!({ "policy": policy })).await.is(200);
        rehearsed["clients"][0]["detail"].as_str().unwrap().to_owned()
    };
    let one = rehearse(json!({ "admission": { "dcr": "review" } })).await;
    assert_eq!(one, "clients that come by dcr wait, and identical ones are one client");
    let each = rehearse(json!({ "admission": { "dcr": "review" }, "instances_under_review": "separate" })).await;
    assert!(each.contains("each registration of the same program is a client of its own"), "{each}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_of_instances_is_one_client() {
    let house = sharing().await;
    let answers = futures_util::future::join_all((0..20_u16).map(|port| register(&house, claude(40_000 + port)))).await;
    let bodies: BTreeSet<String> = answers.into_iter().map(|answer| answer.is(201).text).collect();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(total(&house).await, 1);
    let rows = house.admin("default").get(&clients(DEFAULT)).await.is(200);
    assert_eq!(rows["clients"].as_array().unwrap().len(), 1);
    let id = rows["clients"][0]["client_id"].as_str().unwrap().to_owned();
    assert_eq!(house.names_of(&id).await.len(), 4);
}

#[tokio::test]
async fn what_differs_is_confidential_or_came_with_a_statement_is_another_client() {
    let house = sharing().await;
    let with = |members: Value| {
        let mut body = claude(33_417);
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        body
    };
    let first = register(&house, claude(33_417)).await.is(201).text("client_id");
    let mut ids = BTreeSet::from([first.clone()]);
    let others = [
        json!({ "client_name": "Claude" }),
        json!({ "redirect_uris": ["http://127.0.0.1:33417/oauth/callback"] }),
        json!({ "software_version": "2" }),
        json!({ "jwks_uri": "https://a.example/jwks" }),
    ];
    for members in &others {
        let (one, two) = (register(&house, with(members.clone())).await.is(201), register(&house, with(members.clone())).await.is(201));
        assert_eq!(one["client_id"], two["client_id"], "{members}");
        assert!(ids.insert(one.text("client_id")), "{members}");
    }
    for members in [json!({ "token_endpoint_auth_method": "client_secret_basic" }), json!({ "software_statement": "a.b.c" })] {
        for _ in 0..2 {
            let answer = register(&house, with(members.clone())).await.is(201);
            assert!(ids.insert(answer.text("client_id")), "{members}");
            house
                .holder(&answer.text("registration_access_token"))
                .get(&format!("/oauth/register/{}", answer.text("client_id")))
                .await
                .is(200);
        }
    }
    let other = house.server("default", json!({ "name": "Other", "policy": { "instances": "share" } })).await;
    let path = format!("/rs/{other}/oauth/register");
    assert!(ids.insert(house.anyone().post(&path, claude(33_417)).await.is(201).text("client_id")), "another resource server");
    let home = format!("/rs/{DEFAULT}/oauth/register");
    assert_eq!(house.anyone().post(&home, claude(33_417)).await.is(201)["client_id"], *first);
    house.edit_default(json!({ "policy": { "instances": "separate" } })).await;
    let alone = house.anyone().post(&home, claude(33_417)).await.is(201);
    assert!(ids.insert(alone.text("client_id")) && alone["registration_access_token"].is_string());
}

#[tokio::test]
async fn a_door_that_was_closed_stays_closed_for_every_further_instance() {
    for (decision, undo) in [("suspend", "reinstate"), ("revoke", "restore")] {
        let house = sharing().await;
        let id = register(&house, claude(1_000)).await.is(201).text("client_id");
        decide(&house, &id, decision).await;
        let before = house.head().await;
        let refused = register(&house, claude(2_000)).await.refuses(403, "access_denied");
        assert!(refused.body.get("client_id").is_none());
        assert_eq!(house.head().await, before);
        assert_eq!(total(&house).await, 1);
        decide(&house, &id, undo).await;
        assert_eq!(register(&house, claude(2_000)).await.is(201)["client_id"], *id);
    }
}

#[tokio::test]
async fn a_review_is_of_the_one_client_and_a_denial_of_all_its_instances() {
    let house = sharing().await;
    house.edit_default(json!({ "policy": { "admission": { "dcr": "review" } } })).await;
    let first = register(&house, claude(1_000)).await.is(201);
    let id = first.text("client_id");
    assert_eq!(first["gatebook"]["status"], "pending");
    assert_eq!(register(&house, claude(2_000)).await.is(201).body, first.body);
    let waiting = house.admin("default").get("/authsec/approvals").await.is(200);
    assert_eq!(waiting["approvals"].as_array().unwrap().len(), 1);

    let until = json!({ "until": "2027-01-15T09:00:00Z" });
    house.admin("default").post(&format!("{}/deny", client(DEFAULT, &id)), until).await.is(200);
    register(&house, claude(3_000)).await.refuses(403, "access_denied");
    house.clock.advance(chrono::TimeDelta::days(365));
    let again = register(&house, claude(3_000)).await.is(201);
    assert_eq!((again.text("client_id"), again["gatebook"]["status"].as_str()), (id.clone(), Some("pending")));
    decide(&house, &id, "approve").await;
    assert_eq!(register(&house, claude(4_000)).await.is(201)["gatebook"]["status"], "approved");
    house.edit_default(json!({ "registration_modes": ["prereg"] })).await;
    register(&house, claude(4_000)).await.refuses(403, "access_denied");
}

#[tokio::test]
async fn one_more_instance_takes_no_room_in_a_full_register() {
    let house = sharing().await;
    house.edit_default(json!({ "policy": { "max_clients": 1 } })).await;
    let first = register(&house, claude(1_000)).await.is(201);
    assert_eq!(register(&house, claude(2_000)).await.is(201).body, first.body);
    let mut other = claude(1_000);
    other["client_name"] = "Zed".into();
    register(&house, other).await.refuses(403, "access_denied");
}

#[tokio::test]
async fn after_a_deletion_another_client_is_shared() {
    let house = sharing().await;
    let id = register(&house, claude(1_000)).await.is(201).text("client_id");
    let (tenant, key) = (TenantId::default_tenant(), ClientId::parse(&id).unwrap().key());
    let delete = |by: Party| ClientCommand::Delete { by, reason: None };
    house.app.commands.decide_client(&cause(), &tenant, (ResourceServerId::DEFAULT, key), delete).await.unwrap();
    let (one, two) = (register(&house, claude(2_000)).await.is(201), register(&house, claude(3_000)).await.is(201));
    assert_eq!(one.body, two.body);
    assert_ne!(one["client_id"], *id);
    assert_eq!(one["redirect_uris"], json!(["http://localhost:2000/oauth/callback"]));
    assert_eq!(total(&house).await, 1);
}

#[tokio::test]
async fn what_a_crash_left_undone_the_next_instance_completes() {
    let house = sharing().await;
    let Value::Object(members) = claude(1_000) else { unreachable!() };
    let fingerprint = Fingerprint::of(&metadata::parse(members).unwrap().metadata, &[]).unwrap();
    let stream = Stream::Reservation(ResourceServerId::DEFAULT, fingerprint);
    let key = ClientKey(Uuid::now_v7());
    reserve(&house, stream, key).await;
    assert_eq!(total(&house).await, 0);
    let completed = register(&house, claude(2_000)).await.is(201);
    assert_eq!(completed["client_id"], key.to_string());
    assert_eq!(completed["redirect_uris"], json!(["http://localhost:2000/oauth/callback"]));
    assert_eq!(register(&house, claude(3_000)).await.is(201).body, completed.body);
    assert_eq!(total(&house).await, 1);
}

/// What a service leaves that stops right after its first append.
async fn reserve(house: &House, stream: Stream, key: ClientKey) {
    use gatebook::event_log::{Append, Expected};
    use gatebook_events::stored::Stored;
    let taken = ReservationEvent::Taken(Taken { client_key: key, instead_of: None });
    let (name, version) = taken.shape();
    let actor = Actor { kind: ActorKind::Anonymous, id: None, via: Some("dcr".to_owned()) };
    let meta = gatebook_events::envelope::Meta {
        tenant: Some(TenantId::default_tenant()),
        actor,
        request_id: None,
        causation_id: None,
        origin: None,
    };
    let event = StoredEvent {
        id: EventId(Uuid::now_v7()),
        name: name.into(),
        version,
        recorded_at: house.clock.now(),
        meta: codec::encode_meta(&meta).unwrap().into(),
        data: taken.encode().unwrap().into(),
    };
    let append = Append { stream: stream.name(), expected: Expected::Empty, commit: CommitId(Uuid::now_v7()), events: vec![event] };
    house.app.log.append(append).await.unwrap();
}

fn cause() -> Cause {
    Cause { actor: Actor { kind: ActorKind::System, id: None, via: None }, tenant: None, request_id: None, origin: None }
}
