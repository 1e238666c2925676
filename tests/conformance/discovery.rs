//! Discovery (RFC 8414): the authorization server's metadata with the register's part; and what of client authentication is
//! settled when a client registers.

use axum::Json;
use axum::routing::get;
use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::asking;
use crate::house::{DEFAULT, House, PUBLIC};

const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";

/// An instance before an authorization server whose own metadata has these members besides the least that there must be.
async fn before(members: Value) -> House {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let mut document = json!({ "issuer": issuer, "authorization_endpoint": "https://as.example/authorize",
        "token_endpoint": "https://as.example/token", "registration_endpoint": "https://as.example/register" });
    for (name, value) in members.as_object().unwrap() {
        document[name] = value.clone();
    }
    let pages = axum::Router::new().route(WELL_KNOWN, get(move || std::future::ready(Json(document.clone()))));
    tokio::spawn(async move { axum::serve(listener, pages).await.unwrap() });
    House::with(|settings| settings.upstream_issuer = Some(issuer)).await
}

async fn find(house: &House, path: &str) -> Answer {
    Answer::read(house.anyone().request(Method::GET, path).send().await.unwrap()).await
}

/// The document of the instance.
async fn document(house: &House) -> Answer {
    find(house, WELL_KNOWN).await.is(200)
}

/// MUST · RFC 8414 §2, §3, §3.3 · The issuer is https without query or fragment, and the one whose path stands behind the well-known
/// part: the instance's, and each resource server's.
#[tokio::test]
async fn d01_the_issuer_is_the_one_that_was_asked_for() {
    let house = before(json!({})).await;
    for path in [String::new(), format!("/rs/{DEFAULT}")] {
        let issuer = find(&house, &format!("{WELL_KNOWN}{path}")).await.is(200).text("issuer");
        assert_eq!(issuer, format!("{PUBLIC}{path}"));
        assert!(issuer.starts_with("https://") && !issuer.contains(['?', '#']));
    }
    find(&house, &format!("{WELL_KNOWN}/rs/00000000-0000-4000-8000-000000000000")).await.is(404);
}

/// MAY · RFC 8414 §2 · `registration_endpoint` is ours, and is there while clients may register themselves.
#[tokio::test]
async fn d02_the_registration_endpoint_is_there_while_it_is_open() {
    let house = before(json!({})).await;
    let of_server = format!("{WELL_KNOWN}/rs/{DEFAULT}");
    let endpoint = document(&house).await.text("registration_endpoint");
    assert_eq!(endpoint, format!("{PUBLIC}/oauth/register"));
    assert_eq!(find(&house, &of_server).await.text("registration_endpoint"), format!("{PUBLIC}/rs/{DEFAULT}/oauth/register"));
    house.anyone().post(endpoint.strip_prefix(PUBLIC).unwrap(), asking(json!({}))).await.is(201);
    house.edit_default(json!({ "registration_modes": ["prereg"] })).await;
    for path in [WELL_KNOWN, &of_server] {
        assert!(find(&house, path).await.is(200).body.get("registration_endpoint").is_none());
    }
}

/// MUST · CIMD §5 · `client_id_metadata_document_supported` is true while documents that clients host are admitted, and absent
/// while they are not, whatever the authorization server says of itself.
#[tokio::test]
async fn d03_the_door_for_documents_is_announced_while_it_is_open_and_only_then() {
    const FLAG: &str = "client_id_metadata_document_supported";
    for said in [json!({}), json!({ FLAG: false }), json!({ FLAG: true })] {
        let house = before(said).await;
        for path in [WELL_KNOWN, &format!("{WELL_KNOWN}/rs/{DEFAULT}")] {
            let open = find(&house, path).await.is(200);
            assert_eq!(open[FLAG], true);
            assert!(open["token_endpoint_auth_methods_supported"].as_array().unwrap().contains(&json!("none")));
        }
        house.edit_default(json!({ "registration_modes": ["dcr", "prereg"] })).await;
        for path in [WELL_KNOWN, &format!("{WELL_KNOWN}/rs/{DEFAULT}")] {
            assert!(find(&house, path).await.is(200).body.get(FLAG).is_none());
        }
    }
}

/// MUST · RFC 8414 §2 · The auth methods are those that work for a client that is registered here: known on both sides, with `none`.
/// Where the authorization server lists none they are `client_secret_basic` and `none`.
#[tokio::test]
async fn d04_the_auth_methods_are_those_that_work() {
    const NAME: &str = "token_endpoint_auth_methods_supported";
    let stated = json!({ NAME: ["client_secret_post", "client_secret_jwt", "tls_client_auth"] });
    assert_eq!(document(&before(stated).await).await[NAME], json!(["client_secret_post", "none"]));
    assert_eq!(document(&before(json!({})).await).await[NAME], json!(["client_secret_basic", "none"]));
}

/// MUST · RFC 8414 §2 · Where `private_key_jwt` is among the methods its algorithms are stated, and `none` is none of them; a method
/// without algorithms is left out.
#[tokio::test]
async fn d05_who_signs_is_told_with_what() {
    const METHODS: &str = "token_endpoint_auth_methods_supported";
    const ALGORITHMS: &str = "token_endpoint_auth_signing_alg_values_supported";
    let stated = document(&before(json!({ METHODS: ["private_key_jwt"], ALGORITHMS: ["none", "ES256"] })).await).await;
    assert_eq!((&stated[METHODS], &stated[ALGORITHMS]), (&json!(["private_key_jwt", "none"]), &json!(["ES256"])));
    for members in [json!({ METHODS: ["private_key_jwt"] }), json!({ METHODS: ["private_key_jwt"], ALGORITHMS: ["none"] })] {
        let silent = document(&before(members).await).await;
        assert_eq!(silent[METHODS], json!(["none"]));
        assert!(silent.body.get(ALGORITHMS).is_none());
    }
    let unused = document(&before(json!({ METHODS: ["client_secret_basic"], ALGORITHMS: ["ES256"] })).await).await;
    assert!(unused.body.get(ALGORITHMS).is_none());
}

/// MUST · RFC 8414 §2 · `grant_types_supported` is always stated: left out it would mean the implicit grant too.
#[tokio::test]
async fn d06_grant_types_are_stated() {
    let grants = document(&before(json!({})).await).await["grant_types_supported"].clone();
    assert!(grants.as_array().unwrap().contains(&json!("authorization_code")) && !grants.to_string().contains("implicit"), "{grants}");
    let stated = json!({ "grant_types_supported": ["authorization_code"] });
    assert_eq!(document(&before(stated).await).await["grant_types_supported"], json!(["authorization_code"]));
}

/// SHOULD · RFC 8414 §2, MCP authorization · `code_challenge_methods_supported` has `S256`: MCP clients turn away without it.
#[tokio::test]
async fn d07_s256_is_stated() {
    assert_eq!(document(&before(json!({})).await).await["code_challenge_methods_supported"], json!(["S256"]));
}

/// SHOULD · RFC 9207 §2.4, §3 · An authorization server that says so names its own issuer in its answers, which clients compare with
/// the issuer of the metadata: so none are published under another one. Where a proxy gives both one issuer, what it says stays.
#[tokio::test]
async fn d08_metadata_under_another_issuer_than_the_iss_of_the_answers_are_not_published() {
    let house = before(json!({ "authorization_response_iss_parameter_supported": true })).await;
    for path in [WELL_KNOWN, &format!("{WELL_KNOWN}/rs/{DEFAULT}")] {
        find(&house, path).await.refuses(404, "invalid_request");
    }
}

/// MUST · RFC 8414 §3.2 · 200 with `application/json`; a list without elements is left out, and so is what is null.
#[tokio::test]
async fn d09_empty_lists_are_left_out() {
    let house = before(json!({ "scopes_supported": [], "ui_locales_supported": [], "service_documentation": null })).await;
    let answer = document(&house).await;
    assert_eq!(answer.header("content-type"), "application/json");
    for (name, member) in answer.body.as_object().unwrap() {
        assert!(!member.is_null() && member.as_array().is_none_or(|list| !list.is_empty()), "{name}");
    }
    assert!(answer.body.get("scopes_supported").is_none());
}

/// MUST · RFC 6749 §4.4 · `client_credentials` is for confidential clients: a public client that asks for it is refused.
#[tokio::test]
async fn a01_a_public_client_does_not_get_client_credentials() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "self_registered_grants": ["authorization_code", "client_credentials"] } })).await;
    let asked = |method: &str| asking(json!({ "token_endpoint_auth_method": method, "grant_types": ["client_credentials"] }));
    house.anyone().post("/oauth/register", asked("none")).await.refuses(400, "invalid_client_metadata");
    let confidential = house.anyone().post("/oauth/register", asked("client_secret_basic")).await.is(201);
    assert_eq!(confidential["grant_types"], json!(["client_credentials"]));
}

/// SHOULD · RFC 8252 §8.4, RFC 6749 §2.1 · Whether a client is public or confidential, native or web, is recorded when it registers,
/// and it is one of each at any time.
#[tokio::test]
async fn a07_the_kind_of_client_is_recorded() {
    let house = House::open().await;
    for (members, method, kind) in [
        (json!({}), "client_secret_basic", "web"),
        (json!({ "token_endpoint_auth_method": "none" }), "none", "web"),
        (json!({ "redirect_uris": ["http://localhost/cb"] }), "none", "native"),
    ] {
        let answer = house.anyone().post("/oauth/register", asking(members)).await.is(201);
        let recorded = house.events_of(&answer.text("client_id")).await[0]["data"]["metadata"].clone();
        assert_eq!((&recorded["token_endpoint_auth_method"], &recorded["application_type"]), (&json!(method), &json!(kind)));
        assert_eq!(house.shown(&answer.text("client_id")).await["has_secret"], method != "none");
    }
}

/// MAY · RFC 9700 §2.6 · Pages of other origins may register, manage and discover, and read the answers; administrators' endpoints
/// are not for them.
#[tokio::test]
async fn a08_browsers_may_register_manage_and_discover() {
    let house = before(json!({})).await;
    let page = house.anyone().with("origin", "https://app.example");
    let asking_first = page.clone().with("access-control-request-headers", "authorization,content-type,mcp-protocol-version");
    for (method, path) in [("POST", "/oauth/register"), ("PUT", "/oauth/register/somebody"), ("GET", WELL_KNOWN)] {
        let request = asking_first.clone().with("access-control-request-method", method).request(Method::OPTIONS, path);
        let preflight = Answer::read(request.send().await.unwrap()).await.is(200);
        assert_eq!(preflight.header("access-control-allow-origin"), "*");
        assert!(preflight.header("access-control-allow-methods").contains(method));
        for header in ["authorization", "content-type", "mcp-protocol-version"] {
            assert!(preflight.header("access-control-allow-headers").contains(header), "{path}: {header}");
        }
        let answer = Answer::read(page.request(method.parse().unwrap(), path).send().await.unwrap()).await;
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert!(answer.header("access-control-expose-headers").contains("www-authenticate"));
    }
    let foreign = house.admin("default").with("origin", "https://evil.example").get("/authsec/approvals").await.is(200);
    assert_eq!(foreign.header("access-control-allow-origin"), "");
}
