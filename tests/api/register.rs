//! Dynamic client registration (RFC 7591), line by line of the checklist.

use reqwest::Method;
use serde_json::{Value, json};

use crate::house::{DEFAULT, House, PUBLIC, client};

#[tokio::test]
async fn r6_r7_s7_every_default_is_echoed() {
    let house = House::open().await;
    let answer = house.anyone().post("/oauth/register", json!({ "redirect_uris": ["https://app.example/cb"] })).await.is(201);
    let (id, secret, token) = (answer.text("client_id"), answer.text("client_secret"), answer.text("registration_access_token"));
    assert_eq!(
        answer.body,
        json!({
            "client_id": id,
            "client_id_issued_at": 1_800_000_000,
            "client_secret": secret,
            "client_secret_expires_at": 0,
            "registration_access_token": token,
            "registration_client_uri": format!("{PUBLIC}/oauth/register/{id}"),
            "redirect_uris": ["https://app.example/cb"],
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "client_secret_basic",
            "application_type": "web",
            "gatebook": { "resource_server_id": DEFAULT, "registration_type": "dcr", "status": "approved", "reason": "approved" },
        })
    );
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(secret.starts_with("gbs_") && token.starts_with("gbr_") && secret.len() == 47 && token.len() == 47);
    assert_eq!(house.names_of(&id).await, ["client.registered", "registration.requested", "registration.approved"]);
}

#[tokio::test]
async fn s7_everything_that_was_registered_is_echoed_and_shown_to_administrators_alike() {
    let house = House::open().await;
    let members = json!({
        "client_name": "Acme Dashboard", "client_name#fr": "Tableau de bord",
        "redirect_uris": ["https://dash.example.com/cb", "https://dash.example.com/other?x=1"],
        "token_endpoint_auth_method": "client_secret_post", "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "application_type": "web", "scope": "tools:read tools:write", "contacts": ["ops@example.com"],
        "client_uri": "https://dash.example.com/", "logo_uri": "https://dash.example.com/logo.png", "tos_uri": "http://dash.example.com/tos",
        "policy_uri": "https://dash.example.com/privacy", "jwks_uri": "https://dash.example.com/jwks",
        "software_id": "acme-dashboard", "software_version": "1.2.3",
    });
    let answer = house.anyone().post("/oauth/register", members.clone()).await.is(201);
    let read = house.holder(&answer.text("registration_access_token")).get(&own_page(&answer.text("client_id"))).await.is(200);
    let shown = house.shown(&answer.text("client_id")).await;
    for (name, value) in members.as_object().unwrap() {
        for body in [&answer.body, &read.body, &shown.body] {
            assert_eq!(body[name], *value, "{name}");
        }
    }
    assert_eq!(shown["family"], "software:acme-dashboard");
    assert_eq!(shown["has_secret"], true);
}

#[tokio::test]
async fn s4_s5_a_public_client_has_no_secret_and_so_no_expiry() {
    let house = House::open().await;
    let asked = json!({ "redirect_uris": ["https://app.example/cb"], "token_endpoint_auth_method": "none" });
    let native = json!({ "client_name": "Claude Code", "redirect_uris": ["http://localhost:33417/oauth/callback"],
        "grant_types": ["authorization_code", "refresh_token"] });
    for members in [asked, native] {
        let answer = house.anyone().post("/oauth/register", members).await.is(201);
        assert_eq!(answer["token_endpoint_auth_method"], "none");
        assert!(answer.body.get("client_secret").is_none() && answer.body.get("client_secret_expires_at").is_none());
        assert_eq!(house.shown(&answer.text("client_id")).await["has_secret"], false);
    }
}

#[tokio::test]
async fn r20_s8_every_registration_is_another_client_with_another_secret() {
    let house = House::open().await;
    let (one, other) = (house.registered("Twin").await, house.registered("Twin").await);
    for member in ["client_id", "client_secret", "registration_access_token"] {
        assert_ne!(one[member], other[member]);
    }
}

#[tokio::test]
async fn r18_r19_the_client_id_is_the_servers_whatever_was_sent() {
    let house = House::open().await;
    let members = json!({ "client_id": "https://evil.example/client.json", "redirect_uris": ["https://app.example/cb"] });
    let answer = house.anyone().post("/oauth/register", members).await.is(201);
    assert!(uuid::Uuid::try_parse(&answer.text("client_id")).is_ok());
}

#[tokio::test]
async fn a8_browsers_may_register_and_read_what_they_need() {
    let house = House::open().await;
    let asking = house.anyone().with("origin", "https://app.example").with("access-control-request-method", "POST");
    let asking = asking.with("access-control-request-headers", "authorization,content-type,mcp-protocol-version");
    let preflight = asking.call(Method::OPTIONS, "/oauth/register", None).await.is(200);
    assert_eq!(preflight.header("access-control-allow-origin"), "*");
    let methods = preflight.header("access-control-allow-methods");
    assert!(["GET", "POST", "PUT", "DELETE"].iter().all(|method| methods.contains(method)), "{methods}");
    let headers = preflight.header("access-control-allow-headers");
    assert!(["authorization", "content-type", "mcp-protocol-version"].iter().all(|name| headers.contains(name)), "{headers}");
    for path in ["/oauth/register", "/oauth/register/somebody", &format!("/rs/{DEFAULT}/oauth/register")] {
        let answer = house.anyone().with("origin", "https://app.example").post(path, json!({})).await;
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        let exposed = answer.header("access-control-expose-headers").to_ascii_lowercase();
        assert!(["www-authenticate", "retry-after", "x-request-id"].iter().all(|name| exposed.contains(name)), "{exposed}");
    }
    let admin = house.admin("default").with("origin", "https://evil.example").get("/authsec/resource-servers").await.is(200);
    assert_eq!(admin.header("access-control-allow-origin"), "", "administrators' pages are not for foreign pages");
}

#[tokio::test]
async fn a_request_id_that_is_fit_is_kept_with_the_events() {
    let house = House::open().await;
    let body = json!({ "redirect_uris": ["https://app.example/cb"] });
    let answer = house.anyone().with("x-request-id", "call-7").post("/oauth/register", body.clone()).await.is(201);
    assert_eq!(answer.header("x-request-id"), "call-7");
    let events = house.events_of(&answer.text("client_id")).await;
    assert!(events.iter().all(|event| event["request_id"] == "call-7" && event["origin"] == "127.0.0.0/24"));
    assert_eq!(events[0]["actor"], json!({ "kind": "anonymous", "via": "dcr" }));
    let answer = house.anyone().with("x-request-id", "<b>").post("/oauth/register", body).await.is(201);
    assert_ne!(answer.header("x-request-id"), "<b>");
}

#[tokio::test]
async fn the_resource_that_is_named_is_where_a_client_is_bound() {
    let house = House::open().await;
    let billing = house.server("acme", json!({ "name": "Billing", "resource": "https://billing.example/mcp" })).await;
    let body = |resource: Value| json!({ "redirect_uris": ["https://app.example/cb"], "resource": resource });
    for resource in [json!("https://billing.example/mcp"), json!(["https://billing.example/mcp"])] {
        let answer = house.anyone().post("/oauth/register", body(resource)).await.is(201);
        assert_eq!(answer["gatebook"]["resource_server_id"], *billing);
        assert!(answer.body.get("resource").is_none());
        house.admin("acme").get(&client(&billing, &answer.text("client_id"))).await.is(200);
        house.admin("default").get(&client(DEFAULT, &answer.text("client_id"))).await.problem(404, "not-found");
    }
    let in_query = "/oauth/register?resource=https%3A%2F%2Fbilling.example%2Fmcp";
    let answer = house.anyone().post(in_query, json!({ "redirect_uris": ["https://app.example/cb"] })).await.is(201);
    assert_eq!(answer["gatebook"]["resource_server_id"], *billing);
    let named_over_path =
        house.anyone().post(&format!("/rs/{DEFAULT}/oauth/register"), body(json!("https://billing.example/mcp"))).await.is(201);
    assert_eq!(named_over_path["gatebook"]["resource_server_id"], *billing);
}

#[tokio::test]
async fn the_path_the_default_and_the_only_one_are_next_and_else_a_client_is_unbound_where_that_is_wanted() {
    let house = House::with(|settings| settings.max_unbound_clients = Some(10)).await;
    let body = json!({ "redirect_uris": ["https://app.example/cb"] });
    assert_eq!(house.registered("Only").await["gatebook"]["resource_server_id"], DEFAULT);
    let second = house.server("default", json!({ "name": "Second" })).await;
    let in_path = house.anyone().post(&format!("/rs/{second}/oauth/register"), body.clone()).await.is(201);
    assert_eq!(in_path["gatebook"]["resource_server_id"], *second);
    let unbound = house.anyone().post("/oauth/register", body.clone()).await.is(201);
    assert!(unbound.body.get("gatebook").is_none());
    house.admin("default").get(&client(DEFAULT, &unbound.text("client_id"))).await.problem(404, "not-found");
    let read = house.holder(&unbound.text("registration_access_token")).get(&own_page(&unbound.text("client_id"))).await.is(200);
    assert_eq!(read["client_id"], unbound["client_id"]);
    for nowhere in ["00000000-0000-4000-8000-000000000000", "nonsense"] {
        house.anyone().post(&format!("/rs/{nowhere}/oauth/register"), body.clone()).await.refuses(404, "invalid_target");
    }

    let configured = House::with(|settings| settings.default_resource_server = Some(DEFAULT.to_owned())).await;
    configured.server("acme", json!({ "name": "Second" })).await;
    assert_eq!(configured.registered("Default").await["gatebook"]["resource_server_id"], DEFAULT);
}

#[tokio::test]
async fn an_unknown_resource_is_refused_only_where_the_fallback_has_another_name() {
    let house = House::open().await;
    let body = json!({ "redirect_uris": ["https://app.example/cb"], "resource": "https://who.example/mcp" });
    let answer = house.anyone().post("/oauth/register", body.clone()).await.is(201);
    assert_eq!(answer["gatebook"]["resource_server_id"], DEFAULT, "the default has no name of its own");
    house.edit_default(json!({ "resource": "https://tools.example/mcp" })).await;
    let before = house.head().await;
    house.anyone().post("/oauth/register", body).await.refuses(400, "invalid_target");
    assert_eq!(house.head().await, before);
}

#[tokio::test]
async fn a_mode_that_is_off_refuses_and_leaves_no_event() {
    let house = House::open().await;
    house.edit_default(json!({ "registration_modes": ["prereg"] })).await;
    let before = house.head().await;
    let body = json!({ "redirect_uris": ["https://app.example/cb"] });
    house.anyone().post("/oauth/register", body.clone()).await.refuses(403, "access_denied");
    house.anyone().post(&format!("/rs/{DEFAULT}/oauth/register"), body).await.refuses(403, "access_denied");
    assert_eq!(house.head().await, before);
    house.edit_default(json!({ "registration_modes": ["dcr"] })).await;
    let entry = house.admin("default").post(&crate::house::clients(DEFAULT), json!({ "client_name": "ci" })).await;
    entry.problem(403, "mode-not-admitted");
}

#[tokio::test]
async fn a_review_lets_a_client_register_and_wait() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "admission": { "dcr": "review" } } })).await;
    let answer = house.registered("Invoice Agent").await;
    assert_eq!(answer["gatebook"]["status"], "pending");
    assert_eq!(answer["gatebook"]["reason"], "approval_pending");
    assert_eq!(house.names_of(&answer.text("client_id")).await, ["client.registered", "registration.requested"]);
    assert_eq!(house.entered("ci").await["status"], "approved", "the review is of those who register themselves");
}

#[tokio::test]
async fn redirect_rules_admit_refuse_or_send_to_review() {
    let house = House::open().await;
    let rules = json!([{ "kind": "host", "host": "app.example", "path_prefix": "/oauth/" }, { "kind": "loopback" },
        { "kind": "exact", "uri": "https://other.example/cb" }, { "kind": "scheme", "scheme": "com.example.app" }]);
    house.edit_default(json!({ "policy": { "redirect_rules": rules } })).await;
    let register = async |uri: &str| house.anyone().post("/oauth/register", json!({ "redirect_uris": [uri] })).await;
    let inside =
        ["https://app.example/oauth/cb", "http://127.0.0.1:9/x", "http://[::1]/x", "https://other.example/cb", "com.example.app:/cb"];
    for uri in inside {
        assert_eq!(register(uri).await.is(201)["gatebook"]["status"], "approved", "{uri}");
    }
    let outside = [
        "https://app.example/cb",
        "https://app.example/oauth/../cb",
        "https://app.example/oauth/%2e%2e/cb",
        "https://app.example.evil.com/oauth/cb",
        "https://app.example:444/oauth/cb",
        "https://other.example/cb?x",
        "com.other.app:/cb",
    ];
    let before = house.head().await;
    for uri in outside {
        register(uri).await.refuses(400, "invalid_redirect_uri");
    }
    assert_eq!(house.head().await, before);
    house.edit_default(json!({ "policy": { "outside_rules": "review" } })).await;
    for uri in outside {
        assert_eq!(register(uri).await.is(201)["gatebook"]["status"], "pending", "{uri}");
    }
}

#[tokio::test]
async fn a_scope_ceiling_is_the_most_that_is_registered() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "scope_ceiling": "tools:read tools:write" } })).await;
    for (asked, registered) in [("", "tools:read tools:write"), ("tools:write admin", "tools:write"), ("admin", "tools:read tools:write")] {
        let body = json!({ "redirect_uris": ["https://app.example/cb"], "scope": asked });
        assert_eq!(house.anyone().post("/oauth/register", body).await.is(201)["scope"], registered, "{asked}");
    }
}

/// By itself, by its own change, by an administrator.
#[tokio::test]
async fn w5_a_key_set_without_a_key_counts_as_absent_at_every_way_in() {
    let house = House::open().await;
    for empty in [json!({}), json!({ "keys": [] })] {
        let uri = "https://app.example/jwks";
        let keyed = json!({ "redirect_uris": ["https://app.example/cb"], "jwks": empty, "jwks_uri": uri,
            "token_endpoint_auth_method": "private_key_jwt" });
        let registered = house.anyone().post("/oauth/register", keyed.clone()).await.is(201);
        assert_eq!((&registered["jwks_uri"], registered.body.get("jwks")), (&json!(uri), None));
        let entered = house.admin("default").post(&crate::house::clients(DEFAULT), keyed.clone()).await.is(201);
        let entered = house.shown(&entered.text("client_id")).await;
        assert_eq!((&entered["jwks_uri"], entered.body.get("jwks")), (&json!(uri), None));
        let public = json!({ "redirect_uris": ["http://localhost/cb"], "jwks": empty, "token_endpoint_auth_method": "none" });
        let registered = house.anyone().post("/oauth/register", public.clone()).await.is(201);
        assert!(registered.body.get("jwks").is_none());
        let id = registered.text("client_id");
        let mut again = public;
        again["client_id"] = json!(id);
        let replaced =
            house.holder(&registered.text("registration_access_token")).put(&format!("/oauth/register/{id}"), again).await.is(200);
        assert!(replaced.body.get("jwks").is_none());
    }
}

#[tokio::test]
async fn w13_a_ceiling_says_nothing_about_the_scopes_of_the_authorization_server() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "scope_ceiling": "mcp:tools" } })).await;
    let body = json!({ "redirect_uris": ["http://localhost:4711/cb"], "scope": "mcp:tools offline_access admin" });
    let registered = house.anyone().post("/oauth/register", body).await.is(201);
    assert_eq!(registered["scope"], "mcp:tools offline_access");
    let decide = async |scope: &str| {
        let question = json!({ "client_id": registered["client_id"], "scope": scope });
        house.decider("default").post("/oauth/decisions", question).await.is(200)["reason"].clone()
    };
    assert_eq!(decide("mcp:tools offline_access").await, "approved");
    assert_eq!(decide("mcp:tools admin").await, "scope_not_registered");
    // A list of one's own.
    house.edit_default(json!({ "policy": { "authorization_server_scopes": ["admin"] } })).await;
    let body = json!({ "redirect_uris": ["http://localhost:4711/cb"], "scope": "mcp:tools offline_access admin" });
    assert_eq!(house.anyone().post("/oauth/register", body).await.is(201)["scope"], "mcp:tools admin");
    assert_eq!(decide("mcp:tools offline_access").await, "scope_not_registered");
    let path = format!("/authsec/resource-servers/{DEFAULT}");
    for wrong in [json!(["a b"]), json!([""]), json!(["a\"b"])] {
        let edit = json!({ "policy": { "authorization_server_scopes": wrong } });
        house.admin("default").call(Method::PATCH, &path, Some(edit)).await.problem(400, "invalid-request");
    }
}

#[tokio::test]
async fn w13_a_rehearsal_says_whom_a_ceiling_would_narrow() {
    let house = House::open().await;
    let body = json!({ "client_name": "Wide", "redirect_uris": ["http://localhost:4711/cb"], "scope": "mcp:tools offline_access admin" });
    house.anyone().post("/oauth/register", body).await.is(201);
    let fits = json!({ "client_name": "Fits", "redirect_uris": ["http://localhost:4711/cb"], "scope": "mcp:tools offline_access" });
    house.anyone().post("/oauth/register", fits).await.is(201);
    let path = format!("/authsec/resource-servers/{DEFAULT}/policy/rehearse");
    let rehearsed = house.admin("default").post(&path, json!({ "policy": { "scope_ceiling": "mcp:tools" } })).await.is(200);
    assert_eq!((&rehearsed["judged"], &rehearsed["would_be_narrowed"]), (&json!(2), &json!(1)), "{}", rehearsed.text);
    let client = &rehearsed["clients"][0];
    assert_eq!((&client["client_name"], &client["outcome"], &client["rule"]), (&json!("Wide"), &json!("narrow"), &json!("scope_ceiling")));
    assert!(client["detail"].as_str().unwrap().starts_with("it asks for admin,"), "{client}");
}

#[tokio::test]
async fn a_private_use_scheme_without_a_period_has_to_be_listed() {
    let house = House::open().await;
    let register = async |uri: &str| house.anyone().post("/oauth/register", json!({ "redirect_uris": [uri] })).await;
    register("cursor://anysphere.cursor-mcp/oauth/callback").await.is(201);
    register("myide://callback").await.refuses(400, "invalid_redirect_uri");
    house.edit_default(json!({ "policy": { "private_use_schemes": ["myide"] } })).await;
    register("myide://callback").await.is(201);
    register("cursor://anysphere.cursor-mcp/oauth/callback").await.refuses(400, "invalid_redirect_uri");
}

#[tokio::test]
async fn r22_a_flood_from_one_source_meets_a_ceiling_and_another_source_does_not() {
    let house = House::with(|settings| {
        settings.registrations_per_minute = Some(2);
        settings.trusted_proxies = Some(vec!["127.0.0.1".to_owned()]);
    })
    .await;
    let body = json!({ "redirect_uris": ["https://app.example/cb"] });
    let from = async |name: &str, hops: &str| house.anyone().with(name, hops).post("/oauth/register", body.clone()).await;
    from("x-forwarded-for", "192.0.2.1").await.is(201);
    from("x-forwarded-for", "203.0.113.9, 192.0.2.1").await.is(201);
    let before = house.head().await;
    let refused = from("forwarded", "for=192.0.2.1;proto=https").await.refuses(429, "temporarily_unavailable");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(house.head().await, before);
    from("x-forwarded-for", "192.0.2.2").await.is(201);
    from("forwarded", "for=\"[2001:db8::1]:4711\"").await.is(201);
}

#[tokio::test]
async fn a_proxy_that_is_not_trusted_does_not_get_around_the_ceiling() {
    let house = House::with(|settings| settings.registrations_per_minute = Some(1)).await;
    let body = json!({ "redirect_uris": ["https://app.example/cb"] });
    house.anyone().with("x-forwarded-for", "192.0.2.1").post("/oauth/register", body.clone()).await.is(201);
    house.anyone().with("x-forwarded-for", "192.0.2.2").post("/oauth/register", body).await.refuses(429, "temporarily_unavailable");
}

fn own_page(client_id: &str) -> String {
    format!("/oauth/register/{client_id}")
}
