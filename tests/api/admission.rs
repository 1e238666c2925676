//! One judge for every way in: clients that come where no resource server is meant, what becomes of them, and what is said of
//! clients that are registered elsewhere.

use chrono::TimeDelta;
use gatebook::aggregates::Cause;
use gatebook::application::register::DrawnHashes;
use gatebook_events::envelope::{Actor, ActorKind};
use gatebook_events::metadata;
use gatebook_events::secret::TokenHash;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::house::{DEFAULT, House, client, clients};

const UNBOUND: &str = "/authsec/unbound-clients";

fn app() -> Value {
    json!({ "client_name": "App", "redirect_uris": ["https://app.example/cb"] })
}

/// A house with two resource servers, and room for so many clients that name neither.
async fn two(room: u32) -> (House, String) {
    let house = House::with(|settings| settings.max_unbound_clients = Some(room)).await;
    house.edit_default(json!({ "resource": "https://one.example/mcp" })).await;
    let second = house.server("default", json!({ "name": "Second", "resource": "https://two.example/mcp" })).await;
    (house, second)
}

/// A client that registered itself and named no resource server.
async fn unbound(house: &House, body: Value) -> Answer {
    let answer = house.anyone().post("/oauth/register", body).await.is(201);
    assert!(answer.body.get("gatebook").is_none(), "{}", answer.text);
    answer
}

async fn ask(house: &House, tenant: &str, client_id: &str, resource: &str) -> Answer {
    let question = json!({ "client_id": client_id, "resource": resource });
    house.decider(tenant).post("/oauth/decisions", question).await.is(200)
}

/// The decision and its reason about a client at the second resource server.
async fn verdict(house: &House, client_id: &str) -> (String, String) {
    let answer = ask(house, "default", client_id, "https://two.example/mcp").await;
    (answer.text("decision"), answer.text("reason"))
}

async fn rules(house: &House, server: &str, policy: Value) {
    house.admin("default").patch(&format!("/authsec/resource-servers/{server}"), json!({ "policy": policy })).await.is(200);
}

async fn listed(house: &House) -> Vec<String> {
    let all = house.viewer("default").get(UNBOUND).await.is(200);
    all["clients"].as_array().unwrap().iter().map(|one| one["client_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn r1_where_several_resource_servers_are_and_none_is_meant_a_registration_is_refused() {
    let (house, second) = two(0).await;
    house.server("acme", json!({ "name": "Secret name", "resource": "https://secret.example/mcp" })).await;
    let head = house.head().await;
    for body in [app(), json!({ "client_id": "https://app.example/client.json" })] {
        let answer = house.anyone().post("/oauth/register", body).await.refuses(400, "invalid_target");
        let told = answer.text("error_description");
        assert!(told.contains("resource") && told.contains("/oauth/register"), "it says how to name one: {told}");
        assert!(!told.contains("Secret") && !told.contains("secret.example") && !told.contains("two.example"), "{told}");
    }
    let mut elsewhere = app();
    elsewhere["resource"] = "https://nobody.example/mcp".into();
    house.anyone().post("/oauth/register", elsewhere).await.refuses(400, "invalid_target");
    assert_eq!(house.head().await, head, "what is refused leaves nothing behind");
    let mut named = app();
    named["resource"] = "https://two.example/mcp".into();
    assert_eq!(house.anyone().post("/oauth/register", named).await.is(201)["gatebook"]["resource_server_id"], *second);
    house.anyone().post(&format!("/rs/{second}/oauth/register"), app()).await.is(201);
    // Where one is left nothing has to be named.
    house.admin("default").delete(&format!("/authsec/resource-servers/{second}")).await.is(204);
    assert_eq!(house.registered("App").await["gatebook"]["resource_server_id"], DEFAULT);
}

#[tokio::test]
async fn r1_where_no_resource_server_is_a_registration_is_told_so() {
    let house = House::open().await;
    house.admin("default").delete(&format!("/authsec/resource-servers/{DEFAULT}")).await.is(204);
    let answer = house.anyone().post("/oauth/register", app()).await.refuses(400, "invalid_target");
    assert!(answer.text("error_description").contains("there is no resource server"), "{}", answer.text);
}

#[tokio::test]
async fn r1_clients_without_a_resource_server_are_counted_listed_shown_in_the_history_and_deleted() {
    let (house, _) = two(2).await;
    let mut misspelt = app();
    misspelt["resource"] = "https://nobody.example/mcp".into();
    house.anyone().post("/oauth/register", misspelt).await.refuses(400, "invalid_target");
    let (first, second) = (unbound(&house, app()).await.text("client_id"), unbound(&house, app()).await.text("client_id"));
    let head = house.head().await;
    house.anyone().post("/oauth/register", app()).await.refuses(400, "invalid_target");
    assert_eq!(house.head().await, head);
    let page = house.viewer("default").get(&format!("{UNBOUND}?limit=1")).await.is(200);
    assert_eq!((&page["total"], page["clients"].as_array().unwrap().len()), (&json!(2), 1));
    let rest = house.viewer("default").get(&format!("{UNBOUND}?cursor={}", page.text("next_cursor"))).await.is(200);
    assert!(rest.body.get("next_cursor").is_none());
    let mut both = [page["clients"][0]["client_id"].clone(), rest["clients"][0]["client_id"].clone()];
    both.sort_by_key(ToString::to_string);
    assert_eq!(both, [json!(first), json!(second)], "identifiers are in the order of time");
    assert_eq!(house.names_of(&first).await, ["client.registered"], "in the history of the tenant default");
    let one = house.admin("default").get(&format!("{UNBOUND}/{first}")).await.is(200);
    assert_eq!((&one["client_name"], one["history"].as_array().unwrap().len()), (&json!("App"), 1));

    for path in [UNBOUND.to_owned(), format!("{UNBOUND}/{first}")] {
        house.admin("acme").get(&path).await.problem(403, "not-operator");
    }
    house.admin("acme").delete(&format!("{UNBOUND}/{first}")).await.problem(403, "not-operator");
    house.viewer("default").delete(&format!("{UNBOUND}/{first}")).await.is(403);
    let bound = house.entered("bound").await.text("client_id");
    house.admin("default").delete(&format!("{UNBOUND}/{bound}")).await.problem(404, "not-found");

    house.admin("default").delete(&format!("{UNBOUND}/{first}")).await.is(204);
    assert_eq!(listed(&house).await, [second]);
    assert_eq!(house.names_of(&first).await, ["client.registered", "client.deleted"]);
    assert_eq!(verdict(&house, &first).await, ("deny".to_owned(), "not_registered".to_owned()));
    unbound(&house, app()).await;
}

#[tokio::test]
async fn r1_a_client_that_is_bound_later_is_judged_as_one_that_registers_there() {
    let (house, second) = two(50).await;
    let refused = [
        (json!({ "require_initial_access_token": true }), "initial_access_token_required"),
        (
            json!({ "require_software_statement": true, "software_statement_issuers": [{ "issuer": "x", "jwks_uri": "https://x.example/jwks" }] }),
            "rules_not_met",
        ),
        (json!({ "redirect_rules": [{ "kind": "loopback" }] }), "rules_not_met"),
        (json!({ "self_registered_grants": ["urn:ietf:params:oauth:grant-type:device_code"] }), "rules_not_met"),
    ];
    let plain = unbound(&house, app()).await.text("client_id");
    for (policy, reason) in refused {
        rules(&house, &second, policy.clone()).await;
        let head = house.head().await;
        assert_eq!(verdict(&house, &plain).await, ("deny".to_owned(), reason.to_owned()), "{policy}");
        assert_eq!(house.head().await, head, "{policy}");
        let reset: serde_json::Map<String, Value> = policy.as_object().unwrap().keys().map(|name| (name.clone(), Value::Null)).collect();
        rules(&house, &second, reset.into()).await;
    }
    // Identical public clients are one there, with no token of their own; this one would not be that one.
    let native = unbound(&house, json!({ "client_name": "N", "redirect_uris": ["http://127.0.0.1/cb"] })).await.text("client_id");
    rules(&house, &second, json!({ "instances": "share" })).await;
    assert_eq!(verdict(&house, &native).await, ("deny".to_owned(), "rules_not_met".to_owned()));
    rules(&house, &second, json!({ "instances": null })).await;
    // Where it has to be looked at it waits, in the queue of that resource server.
    rules(&house, &second, json!({ "admission": { "dcr": "review" } })).await;
    let waiting = unbound(&house, app()).await.text("client_id");
    assert_eq!(verdict(&house, &waiting).await, ("pending".to_owned(), "approval_pending".to_owned()));
    assert_eq!(verdict(&house, &native).await.1, "rules_not_met", "under review they are one as well");
    rules(&house, &second, json!({ "admission": null })).await;
    assert_eq!(verdict(&house, &native).await.0, "allow");
    assert_eq!(verdict(&house, &plain).await, ("allow".to_owned(), "approved".to_owned()));
    assert!(listed(&house).await.is_empty());
    let story = house.names_of(&plain).await;
    assert_eq!(story, ["client.registered", "registration.requested", "registration.approved"]);
    // It is at one resource server, as any client that registered itself.
    let other = ask(&house, "default", &plain, "https://one.example/mcp").await;
    assert_eq!(other["reason"], "not_registered");
}

#[tokio::test]
async fn r1_binding_counts_against_the_ceiling_and_the_caps() {
    let house = House::with(|settings| {
        settings.max_unbound_clients = Some(50);
        settings.max_clients_per_tenant = Some(2);
    })
    .await;
    house.edit_default(json!({ "resource": "https://one.example/mcp" })).await;
    let second = house.server("default", json!({ "name": "Second", "resource": "https://two.example/mcp" })).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(unbound(&house, app()).await.text("client_id"));
    }
    rules(&house, &second, json!({ "registrations_per_minute": 1 })).await;
    assert_eq!(verdict(&house, &ids[0]).await.0, "allow");
    let head = house.head().await;
    assert_eq!(verdict(&house, &ids[1]).await, ("pending".to_owned(), "too_many_registrations".to_owned()));
    assert_eq!(house.head().await, head);
    rules(&house, &second, json!({ "registrations_per_minute": null, "max_clients": 1 })).await;
    assert_eq!(verdict(&house, &ids[1]).await, ("deny".to_owned(), "register_full".to_owned()));
    rules(&house, &second, json!({ "max_clients": null })).await;
    assert_eq!(verdict(&house, &ids[2]).await.0, "allow");
    assert_eq!(verdict(&house, &ids[3]).await, ("deny".to_owned(), "register_full".to_owned()), "the tenant's cap");
}

#[tokio::test]
async fn r1_a_scheme_is_welcome_as_the_resource_server_that_takes_the_client_says() {
    let (house, second) = two(50).await;
    let body = json!({ "client_name": "Zed", "redirect_uris": ["zed://cb"], "token_endpoint_auth_method": "none" });
    let id = unbound(&house, body).await.text("client_id");
    assert_eq!(verdict(&house, &id).await, ("deny".to_owned(), "rules_not_met".to_owned()));
    rules(&house, &second, json!({ "private_use_schemes": ["zed"] })).await;
    assert_eq!(verdict(&house, &id).await.0, "allow");
}

#[tokio::test]
async fn r1_another_tenant_neither_sees_nor_gets_a_client_without_a_resource_server() {
    let (house, second) = two(50).await;
    let theirs = house.server("acme", json!({ "name": "Acme", "resource": "https://acme.example/mcp" })).await;
    let id = unbound(&house, app()).await.text("client_id");
    let head = house.head().await;
    let there = ask(&house, "acme", &id, "https://acme.example/mcp").await;
    let nowhere = ask(&house, "acme", "0192aaaa-0000-7000-8000-000000000000", "https://acme.example/mcp").await;
    assert_eq!((&there.text, house.head().await), (&nowhere.text, head));
    house.admin("acme").get(&client(&theirs, &id)).await.problem(404, "not-found");
    let trail = house.auditor("acme").get(&format!("/authsec/audit/events?client_id={id}")).await.is(200);
    assert_eq!(trail["events"], json!([]));
    // It is bound in the tenant that sees it, and belongs there from then on.
    assert_eq!(verdict(&house, &id).await.0, "allow");
    house.admin("default").get(&client(&second, &id)).await.is(200);
    house.admin("default").post(&format!("{}/rotate-secret", client(&second, &id)), json!({})).await.is(200);
}

#[tokio::test]
async fn r1_clients_that_came_to_none_before_are_listed_deletable_and_bound_by_the_rules() {
    let (house, second) = two(0).await;
    let cause = Cause {
        actor: Actor { kind: ActorKind::Anonymous, id: None, via: Some("dcr".to_owned()) },
        tenant: None,
        request_id: None,
        origin: None,
    };
    let mut ids = Vec::new();
    for byte in [7, 8] {
        // As earlier builds wrote them: the client's event alone, of no tenant.
        let parsed = metadata::parse(app().as_object().unwrap().clone()).unwrap();
        let hashes = DrawnHashes { secret: None, registration_token: Some(TokenHash([byte; 32])) };
        let entered = house.app.commands.register_unbound(&cause, parsed, hashes).await.unwrap();
        ids.push(entered.profile.client_id.as_str().to_owned());
    }
    assert_eq!(listed(&house).await.len(), 2);
    assert_eq!(house.names_of(&ids[0]).await, ["client.registered"]);
    house.admin("default").delete(&format!("{UNBOUND}/{}", ids[0])).await.is(204);
    rules(&house, &second, json!({ "require_initial_access_token": true })).await;
    assert_eq!(verdict(&house, &ids[1]).await.1, "initial_access_token_required");
    rules(&house, &second, json!({ "require_initial_access_token": false })).await;
    assert_eq!(verdict(&house, &ids[1]).await.0, "allow");
}

#[tokio::test]
async fn r1_a_presented_token_is_looked_at_whichever_way_a_client_registers() {
    let house = House::open().await;
    let bad = house.holder("gbi_0123456789abcdef0123456789abcdef0123456789abcdef0123456789a");
    let head = house.head().await;
    for body in [app(), json!({ "client_id": "https://app.example/client.json" })] {
        bad.post("/oauth/register", body).await.refuses(401, "invalid_token");
    }
    assert_eq!(house.head().await, head);
}

#[tokio::test]
async fn r2_a_rehearsal_says_of_whom_a_token_is_asked() {
    let house = House::open().await;
    house.registered("App").await;
    house.entered("ci").await;
    let rehearse = async |policy: Value| {
        let path = format!("/authsec/resource-servers/{DEFAULT}/policy/rehearse");
        house.admin("default").post(&path, json!({ "policy": policy })).await.is(200)
    };
    let now = rehearse(json!({})).await;
    assert_eq!((&now["would_be_refused"], &now["newcomers"]["dcr"]["initial_access_token"]), (&json!(0), &json!(false)));
    let tokens = rehearse(json!({ "require_initial_access_token": true })).await;
    assert_eq!(tokens["would_be_refused"], 1);
    assert_eq!(
        (&tokens["clients"][0]["client_name"], &tokens["clients"][0]["rule"]),
        (&json!("App"), &json!("require_initial_access_token"))
    );
    let asked = |answer: &Answer| ["dcr", "cimd", "prereg"].map(|way| answer["newcomers"][way]["initial_access_token"].clone());
    assert_eq!(asked(&tokens), [json!(true), json!(false), json!(false)], "documents come without one, unless the policy says otherwise");
    let both = rehearse(json!({ "require_initial_access_token": true, "initial_access_token_for": ["dcr", "cimd"] })).await;
    assert_eq!(asked(&both), [json!(true), json!(true), json!(false)]);
    let path = format!("/authsec/resource-servers/{DEFAULT}");
    for types in [json!([]), json!(["prereg"]), json!(["dcr", "nobody"])] {
        let edit = json!({ "policy": { "initial_access_token_for": types } });
        house.admin("default").patch(&path, edit).await.problem(400, "invalid-request");
    }
}

#[tokio::test]
async fn r6_of_a_client_that_is_registered_elsewhere_nothing_is_said_but_the_refusal() {
    let house = House::open().await;
    let theirs = house.server("acme", json!({ "name": "Acme", "resource": "https://acme.example/mcp" })).await;
    let at_acme = |path: &str| format!("/authsec/resource-servers/{theirs}/clients/{path}");
    let approved = house.registered("Approved").await;
    let pending = {
        house.edit_default(json!({ "policy": { "admission": { "dcr": "review" } } })).await;
        house.registered("Pending").await
    };
    house.edit_default(json!({ "policy": { "admission": null } })).await;
    let (revoked, deleted) = (house.registered("Revoked").await, house.registered("Deleted").await);
    house.admin("default").delete(&client(DEFAULT, &revoked.text("client_id"))).await.is(204);
    let holder = house.holder(&deleted.text("registration_access_token"));
    holder.delete(&format!("/oauth/register/{}", deleted.text("client_id"))).await.is(204);
    let entered = house.entered("job").await;
    let elsewhere = [approved, pending, revoked, deleted, entered].map(|answer| answer.text("client_id"));

    // Everything that is said about a client to those who may ask about Acme, without its identifier and the call's.
    let said = async |id: &str| {
        let mut said = Vec::new();
        let without = |answer: Answer| {
            let text = answer.text.replace(id, "ID").replace(answer.header("x-request-id"), "CALL");
            (answer.status, text)
        };
        let decider = house.decider("acme");
        let versioned = json!({ "client_id": id, "resource": "https://acme.example/mcp", "registration_version": "1.2.0" });
        for question in [
            json!({ "client_id": id }),
            json!({ "client_id": id, "redirect_uri": "https://app.example/cb", "grant_type": "authorization_code" }),
            versioned,
            json!({ "questions": [{ "client_id": id }] }),
        ] {
            said.push(without(decider.post("/oauth/decisions", question).await));
        }
        said.push(without(decider.get(&format!("/oauth/clients/{id}")).await));
        for shown in [json!({ "client_id": id }), json!({ "client_id": id, "client_secret": "gbs_wrong" })] {
            said.push(without(house.admin("acme").post("/oauth/authenticate", shown).await));
        }
        let admin = house.admin("acme");
        said.push(without(admin.get(&at_acme(id)).await));
        said.push(without(admin.get(&at_acme(&format!("{id}/manifest"))).await));
        for action in ["approve", "suspend", "revoke", "rotate-secret", "revoke-old-secret", "refresh"] {
            said.push(without(admin.post(&at_acme(&format!("{id}/{action}")), json!({})).await));
        }
        said.push(without(admin.post(&at_acme(&format!("{id}/roll-back")), json!({ "version": 1 })).await));
        said.push(without(admin.put(&at_acme(&format!("{id}/approve-redirects")), json!({})).await));
        said.push(without(house.auditor("acme").get(&format!("/authsec/audit/events?client_id={id}")).await));
        said
    };
    let nowhere = said("0192aaaa-0000-7000-8000-000000000000").await;
    assert!(nowhere[0].1.contains("not_registered") && !nowhere[0].1.contains("\"client\""), "{}", nowhere[0].1);
    for id in &elsewhere {
        assert_eq!(said(id).await, nowhere, "{id}");
    }
    house.clock.advance(TimeDelta::seconds(1));
    house.admin("acme").delete(&format!("/authsec/resource-servers/{theirs}")).await.is(204);
    assert_eq!(house.admin("acme").get(&clients(&theirs)).await.is(200)["clients"], json!([]));
}
