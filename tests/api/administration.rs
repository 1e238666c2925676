//! What administrators do about clients and resource servers, and what nobody else may.

use serde_json::{Value, json};

use crate::house::{Caller, DEFAULT, House, client, clients};

const OLD: &str = "https://app.example/cb";
const NEW: &str = "https://app.example/new";

/// A client with a wider list of redirect URIs that waits; its id, the holder, and the id of the change.
async fn staged(house: &House) -> (String, Caller<'_>, String) {
    let answer = house.registered("Dashboard").await;
    let (id, holder) = (answer.text("client_id"), house.holder(&answer.text("registration_access_token")));
    let change = claim(&holder, &id, &[OLD, NEW]).await;
    (id, holder, change)
}

async fn claim(holder: &Caller<'_>, id: &str, uris: &[&str]) -> String {
    let answer = holder.put(&format!("/oauth/register/{id}"), json!({ "client_id": id, "redirect_uris": uris })).await.is(200);
    answer["gatebook"]["staged_change"]["change_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_resource_server_is_created_read_listed_edited_and_retired() {
    let house = House::open().await;
    let admin = house.admin("acme");
    assert_eq!(admin.get("/authsec/resource-servers").await.is(200)["resource_servers"], json!([]));
    let made = json!({ "name": "Billing", "resource": "https://billing.example/mcp", "registration_modes": ["prereg", "dcr"] });
    let created = admin.post("/authsec/resource-servers", made).await.is(201);
    let path = format!("/authsec/resource-servers/{}", created.text("id"));
    assert_eq!((&created["registration_modes"], &created["retired"]), (&json!(["dcr", "prereg"]), &json!(false)));
    assert_eq!(created["policy"]["private_use_schemes"], json!(["cursor"]));
    assert_eq!(created["clients"]["total"], 0);
    assert_eq!(admin.get(&path).await.is(200).body, created.body);
    assert_eq!(admin.get("/authsec/resource-servers").await.is(200)["resource_servers"], json!([created.body]));

    let taken = json!({ "name": "Other", "resource": "https://billing.example/mcp" });
    admin.post("/authsec/resource-servers", taken.clone()).await.problem(409, "resource-taken");
    house.admin("default").post("/authsec/resource-servers", taken).await.is(201);

    let before = house.head().await;
    let same = admin.patch(&path, json!({ "name": "Billing" })).await.is(200);
    assert_eq!((same.body, house.head().await), (created.body, before));
    let edited = admin.patch(&path, json!({ "name": "Billing API", "resource": "" })).await.is(200);
    assert_eq!(edited["name"], "Billing API");
    assert!(edited.body.get("resource").is_none());

    admin.call(reqwest::Method::DELETE, &path, Some(json!({ "reason": "moved" }))).await.is(204);
    let head = house.head().await;
    admin.delete(&path).await.is(204);
    assert_eq!(house.head().await, head, "it is retired already");
    assert_eq!(admin.get(&path).await.is(200)["retired"], true);
    admin.patch(&path, json!({ "name": "Again" })).await.problem(404, "not-found");
    admin.post(&format!("{path}/clients"), json!({ "client_name": "ci" })).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_policy_is_merged_member_by_member() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "admission": { "dcr": "review" }, "scope_ceiling": "a b" } })).await;
    let edited = house.edit_default(json!({ "policy": { "admission": { "prereg": "review" } } })).await;
    assert_eq!(edited["policy"]["admission"], json!({ "dcr": "review", "cimd": "auto", "prereg": "review" }));
    assert_eq!(edited["policy"]["scope_ceiling"], "a b");
    let edited = house.edit_default(json!({ "policy": { "scope_ceiling": null } })).await;
    assert!(edited["policy"].get("scope_ceiling").is_none());
    assert_eq!(edited["policy"]["admission"]["dcr"], "review");
    house.edit_default(json!({ "policy": { "manifests": { "lane": "soak", "soak_hours": 48 } } })).await;
    let edited = house.edit_default(json!({ "policy": { "manifests": { "soak_hours": null }, "admission": null } })).await;
    assert_eq!(edited["policy"]["manifests"], json!({ "lane": "soak", "soak_hours": 24, "on_withdrawal": "suspend" }));
    assert_eq!(edited["policy"]["admission"], json!({ "dcr": "auto", "cimd": "auto", "prereg": "auto" }));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let house = House::open().await;
    let admin = house.admin("default");
    let path = format!("/authsec/resource-servers/{DEFAULT}");
    let before = house.head().await;
    for policy in [
        json!({ "admision": { "dcr": "review" } }),
        json!({ "admission": { "dcr": "maybe" } }),
        json!({ "admission": { "dcrr": "review" } }),
        json!({ "manifests": { "soak_hours": 0 } }),
        json!({ "manifests": { "withdrawal": "keep" } }),
        json!({ "manifest_lane": "live" }),
        json!({ "redirect_rules": [{ "kind": "host", "host": "App.example" }] }),
        json!({ "redirect_rules": [{ "kind": "host", "host": "app.example", "path_prefix": "oauth" }] }),
        json!({ "redirect_rules": [{ "kind": "exact", "uri": "http://evil.com/cb" }] }),
        json!({ "redirect_rules": [{ "kind": "anything" }] }),
        json!({ "private_use_schemes": ["My IDE"] }),
        json!({ "self_registered_grants": [] }),
        json!({ "self_registered_grants": ["password"] }),
        json!({ "scope_ceiling": "a\"b" }),
        json!({ "scope_ceiling": "" }),
        json!({ "scope_ceiling": "a  b" }),
        json!({ "redirect_changes": 7 }),
    ] {
        admin.patch(&path, json!({ "policy": policy })).await.problem(400, "invalid-request");
    }
    for body in [
        json!({ "nmae": "x" }),
        json!({ "<img src=x onerror=alert(1)>": 1 }),
        json!({ "name": "" }),
        json!({ "name": "a\nb" }),
        json!({ "name": 7 }),
        json!({ "resource": "not a uri" }),
        json!({ "registration_modes": ["magic"] }),
        json!({ "registration_modes": ["dcr"], "effect_on_existing": "explode" }),
    ] {
        admin.patch(&path, body).await.problem(400, "invalid-request");
    }
    admin.post("/authsec/resource-servers", json!({})).await.problem(400, "invalid-request");
    for (query, page) in [("limit=many", "clients"), ("wrong=1", "clients"), ("type=magic", "clients"), ("sort=random", "clients")] {
        admin.get(&format!("{path}/{page}?{query}")).await.problem(400, "invalid-request");
    }
    admin.get(&format!("{path}/clients?cursor=zz")).await.problem(400, "invalid-request");
    admin.get(&format!("{path}/clients?cursor=6d")).await.problem(400, "invalid-cursor");
    for query in ["since=yesterday", "limit=-1", "what=ever", "resource_server=x", "cursor=x"] {
        admin.get(&format!("/authsec/audit/events?{query}")).await.problem(400, "invalid-request");
    }
    admin.get("/authsec/approvals?page=2").await.problem(400, "invalid-request");
    admin.get("/authsec/audit/stream?from=2").await.problem(400, "invalid-request");
    admin.get("/authsec/nothing").await.problem(404, "not-found");
    for (path, allow) in
        [("/authsec/approvals", "GET,HEAD"), (&clients(DEFAULT), "GET,HEAD,POST"), (&client(DEFAULT, "x"), "GET,HEAD,DELETE")]
    {
        assert_eq!(admin.put(path, json!({})).await.problem(405, "method-not-allowed").header("allow"), allow);
    }
    admin.get(&format!("{path}/clients/%ff")).await.problem(404, "not-found");
    assert_eq!(house.head().await, before);
}

#[tokio::test]
async fn r9_a_preregistered_client_with_users_acts_for_itself_only_if_that_was_asked_for() {
    let house = House::open().await;
    let admin = house.admin("default");
    let web = json!({ "client_name": "web", "redirect_uris": ["https://web.example/cb"] });
    let unasked = admin.post(&clients(DEFAULT), web.clone()).await.is(201);
    assert_eq!(unasked["grant_types"], json!(["authorization_code", "refresh_token"]));
    let mut asks = web;
    asks["grant_types"] = json!(["authorization_code", "client_credentials"]);
    let asked = admin.post(&clients(DEFAULT), asks).await.is(201);
    assert_eq!(asked["grant_types"], json!(["authorization_code", "client_credentials"]));
    let token = |client: &crate::answer::Answer| {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("grant_type", "client_credentials"), ("client_id", &client.text("client_id"))])
            .append_pair("client_secret", &client.text("client_secret"))
            .finish();
        let basic = reqwest::Method::POST;
        (basic, form.into_bytes())
    };
    let kind = Some("application/x-www-form-urlencoded");
    let (post, form) = token(&unasked);
    house.anyone().send(post, "/oauth/token", kind, form).await.refuses(400, "unauthorized_client");
    let (post, form) = token(&asked);
    house.anyone().send(post, "/oauth/token", kind, form).await.is(200);
}

#[tokio::test]
async fn a_preregistered_client_is_confidential_and_for_client_credentials_only_without_redirects() {
    let house = House::open().await;
    let admin = house.admin("default");
    let bare = house.entered("nightly-ci").await;
    assert_eq!(bare["grant_types"], json!(["client_credentials"]));
    assert_eq!((&bare["response_types"], &bare["redirect_uris"]), (&json!([]), &json!([])));
    assert_eq!((&bare["token_endpoint_auth_method"], &bare["registration_type"]), (&json!("client_secret_basic"), &json!("prereg")));
    assert_eq!((&bare["client_secret_expires_at"], &bare["status"]), (&json!(0), &json!("approved")));
    assert!(bare.text("client_secret").starts_with("gbs_") && bare.body.get("registration_access_token").is_none());

    let body = json!({ "client_name": "my-ci-job", "redirect_uris": ["https://ci.example.com/oauth/callback"] });
    let with_redirects = admin.post(&clients(DEFAULT), body).await.is(201);
    assert_eq!(with_redirects["grant_types"], json!(["authorization_code", "refresh_token"]));
    assert_eq!(with_redirects["redirect_uris"], json!(["https://ci.example.com/oauth/callback"]));
    let public = json!({ "client_name": "cli", "redirect_uris": ["http://127.0.0.1/cb"], "token_endpoint_auth_method": "none" });
    let public = admin.post(&clients(DEFAULT), public).await.is(201);
    assert!(public.body.get("client_secret").is_none());
    assert_eq!(public["grant_types"], json!(["authorization_code", "refresh_token"]));
    admin.post(&clients(DEFAULT), json!({ "redirect_uris": ["http://evil.com/"] })).await.problem(400, "invalid-redirect-uri");
    admin.post(&clients(DEFAULT), json!({ "scope": ["a"] })).await.problem(400, "invalid-client-metadata");
}

#[tokio::test]
async fn an_idempotency_key_gets_the_same_client_and_secret_until_something_changed() {
    let house = House::open().await;
    let admin = house.admin("default").with("idempotency-key", "deploy-42");
    let body = json!({ "client_name": "ci" });
    let first = admin.post(&clients(DEFAULT), body.clone()).await.is(201);
    let before = house.head().await;
    assert_eq!(admin.post(&clients(DEFAULT), body.clone()).await.is(201).body, first.body);
    admin.post(&clients(DEFAULT), json!({ "client_name": "another" })).await.problem(409, "idempotency-key-used");
    assert_eq!(house.head().await, before);
    let other_key = house.admin("default").with("idempotency-key", "deploy-43").post(&clients(DEFAULT), body.clone()).await.is(201);
    assert_ne!(other_key["client_id"], first["client_id"]);
    let acme = house.server("acme", json!({ "name": "Acme" })).await;
    let elsewhere = house.admin("acme").with("idempotency-key", "deploy-42").post(&clients(&acme), body.clone()).await.is(201);
    assert_ne!((&elsewhere["client_id"], &elsewhere["client_secret"]), (&first["client_id"], &first["client_secret"]));
    house.admin("default").post(&format!("{}/rotate-secret", client(DEFAULT, &first.text("client_id"))), json!({})).await.is(200);
    admin.post(&clients(DEFAULT), body.clone()).await.problem(409, "idempotency-key-used");
    house.clock.advance(chrono::TimeDelta::hours(25));
    let late = house.admin("default").with("idempotency-key", "deploy-43");
    late.post(&clients(DEFAULT), body.clone()).await.problem(409, "idempotency-key-used");
    house.admin("default").with("idempotency-key", "").post(&clients(DEFAULT), body).await.problem(400, "invalid-request");
}

#[tokio::test]
async fn the_list_is_filtered_sorted_counted_and_paged() {
    let house = House::open().await;
    let mut ids = Vec::new();
    for name in ["Beta", "alpha", "Gamma"] {
        house.clock.advance(chrono::TimeDelta::seconds(1));
        ids.push(house.registered(name).await.text("client_id"));
    }
    house.clock.advance(chrono::TimeDelta::seconds(1));
    ids.push(house.entered("delta").await.text("client_id"));
    house.admin("default").post(&format!("{}/suspend", client(DEFAULT, &ids[0])), json!({})).await.is(200);
    let viewer = house.viewer("default");
    let names = async |query: &str| {
        let list = viewer.get(&format!("{}?{query}", clients(DEFAULT))).await.is(200);
        list["clients"].as_array().unwrap().iter().map(|row| row["client_name"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names("").await, "delta Gamma alpha Beta");
    assert_eq!(names("sort=oldest").await, "Beta alpha Gamma delta");
    assert_eq!(names("sort=name").await, "alpha Beta delta Gamma");
    assert_eq!(names("type=prereg").await, "delta");
    assert_eq!(names("status=suspended").await, "Beta");
    assert_eq!(names("status=approved&type=dcr").await, "Gamma alpha");
    assert_eq!(names("q=ALPH").await, "alpha");
    assert_eq!(names("q=app.example").await, "Gamma alpha Beta");
    assert_eq!(names(&format!("q={}", ids[2])).await, "Gamma");
    assert_eq!(names("q=%25").await, "");
    assert_eq!(names("family=name:alpha%20https://app.example/cb").await, "alpha");

    let first = viewer.get(&clients(DEFAULT)).await.is(200);
    let counts = json!({ "by_type": { "dcr": 3, "cimd": 0, "prereg": 1 }, "by_status": { "approved": 3, "suspended": 1 } });
    assert_eq!(first["counts"], counts);
    assert!(first.body.get("next_cursor").is_none());
    for sort in ["newest", "oldest", "name"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = viewer.get(&format!("{}?limit=1&sort={sort}{cursor}", clients(DEFAULT))).await.is(200);
            assert_eq!(page.body.get("counts").is_some(), cursor.is_empty());
            seen.extend(page["clients"].as_array().unwrap().iter().map(|row| row["client_name"].as_str().unwrap().to_owned()));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen.join(" "), names(&format!("sort={sort}")).await);
        let other = if sort == "name" { "newest" } else { "name" };
        viewer.get(&format!("{}?sort={other}{cursor}", clients(DEFAULT))).await.problem(400, "invalid-cursor");
    }
}

#[tokio::test]
async fn one_client_is_shown_with_its_staged_change_and_the_head_of_its_history() {
    let house = House::open().await;
    let (id, _, change) = staged(&house).await;
    let shown = house.shown(&id).await;
    assert_eq!((&shown["redirect_uris"], &shown["staged_change"]["added"]), (&json!([OLD]), &json!([NEW])));
    assert_eq!(shown["staged_change"]["change_id"], *change);
    let newest: Vec<&str> = shown["history"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    let expected = ["registration.redirects_staged", "registration.metadata_admitted", "client.metadata_updated", "registration.approved"];
    assert_eq!(newest[..4], expected);
    let viewed = house.viewer("default").get(&client(DEFAULT, &id)).await.is(200);
    assert!(viewed.body.get("history").is_none(), "a viewer may not read the history");
    house.admin("default").get(&client(DEFAULT, "nobody")).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_stale_change_is_refused_and_the_current_one_is_named() {
    let house = House::open().await;
    let (id, holder, stale) = staged(&house).await;
    let current = claim(&holder, &id, &[OLD, "https://app.example/newer"]).await;
    let admin = house.admin("default");
    let before = house.head().await;
    for verb in ["approve", "reject"] {
        let page = format!("{}/{verb}-redirects", client(DEFAULT, &id));
        let answer = admin.put(&page, json!({ "change_id": stale })).await.problem(409, "stale-change");
        assert_eq!(answer["current_change_id"], *current);
        admin.put(&page, json!({ "change_id": "not-a-uuid" })).await.problem(400, "invalid-request");
    }
    assert_eq!(house.head().await, before);
    let page = format!("{}/approve-redirects", client(DEFAULT, &id));
    let answer = admin.put(&page, json!({ "change_id": current })).await.is(200);
    assert_eq!(answer["redirect_uris"], json!([OLD, "https://app.example/newer"]));
    assert!(answer.body.get("staged_change").is_none());
    let before = house.head().await;
    for body in [json!({ "change_id": current }), json!({})] {
        admin.put(&page, body).await.is(200);
    }
    assert_eq!(house.head().await, before, "approving again is no event");
    let reject = format!("{}/reject-redirects", client(DEFAULT, &id));
    let answer = admin.put(&reject, json!({ "change_id": current })).await.problem(409, "stale-change");
    assert!(answer.body.get("current_change_id").is_none());
}

#[tokio::test]
async fn a_rejected_change_never_serves_and_rejecting_again_is_no_event() {
    let house = House::open().await;
    let (id, _, change) = staged(&house).await;
    let page = format!("{}/reject-redirects", client(DEFAULT, &id));
    let admin = house.admin("default");
    let answer = admin.put(&page, json!({ "change_id": change, "reason": "not ours" })).await.is(200);
    assert_eq!(answer["redirect_uris"], json!([OLD]));
    let before = house.head().await;
    admin.put(&page, json!({ "change_id": change })).await.is(200);
    admin.put(&format!("{}/approve-redirects", client(DEFAULT, &id)), json!({ "change_id": change })).await.problem(409, "stale-change");
    assert_eq!(house.head().await, before);
}

#[tokio::test]
async fn a_new_secret_is_shown_once_and_the_old_one_overlaps_for_as_long_as_asked() {
    let house = House::open().await;
    let entered = house.entered("ci").await;
    let page = |verb: &str| format!("{}/{verb}", client(DEFAULT, entered["client_id"].as_str().unwrap()));
    let admin = house.admin("default");
    let rotated = admin.post(&page("rotate-secret"), json!({ "overlap_seconds": 3600 })).await.is(200);
    assert_ne!(rotated["client_secret"], entered["client_secret"]);
    assert_eq!(rotated["old_secret_valid_until"], "2027-01-15T09:00:00.000000Z");
    admin.post(&page("revoke-old-secret"), json!({})).await.is(204);
    let before = house.head().await;
    admin.post(&page("revoke-old-secret"), json!({})).await.is(204);
    assert_eq!(house.head().await, before);
    let at_once = admin.call(reqwest::Method::POST, &page("rotate-secret"), None).await.is(200);
    assert!(at_once.body.get("old_secret_valid_until").is_none());
    for overlap in [json!(-1), json!(7_776_001), json!("3600"), json!(4_294_967_296_u64)] {
        admin.post(&page("rotate-secret"), json!({ "overlap_seconds": overlap })).await.problem(400, "invalid-request");
    }
    let public: Value = json!({ "redirect_uris": ["http://127.0.0.1/cb"], "token_endpoint_auth_method": "none" });
    let public = admin.post(&clients(DEFAULT), public).await.is(201).text("client_id");
    admin.post(&format!("{}/rotate-secret", client(DEFAULT, &public)), json!({})).await.problem(409, "no-secret");
}
