//! The registration request (RFC 7591 §2 and §3.1).

use std::net::TcpListener;

use reqwest::Method;
use serde_json::{Value, json};

use crate::CALLBACK;
use crate::answer::Answer;
use crate::asking;
use crate::house::{House, PUBLIC};

const PLACE: &str = "/oauth/register";

async fn register(house: &House, members: Value) -> Answer {
    house.anyone().post(PLACE, asking(members)).await
}

/// Each of these is refused with this code, and leaves nothing behind.
async fn all_refused(house: &House, code: &str, requests: &[Value]) {
    let before = house.head().await;
    for members in requests {
        register(house, members.clone()).await.refuses(400, code);
    }
    assert_eq!(house.head().await, before, "a refused registration left an event");
}

/// MUST · RFC 7591 §3.1 · Registering is a POST of `application/json`. TLS ends at the proxy in front; whatever URL the call came
/// by, the answer names the public https one.
#[tokio::test]
async fn r01_a_client_registers_by_posting_json_and_is_told_an_https_url() {
    let house = House::open().await;
    let answer = register(&house, json!({})).await.is(201);
    assert!(PUBLIC.starts_with("https://") && answer.text("registration_client_uri").starts_with(&format!("{PUBLIC}/")));
    let body = asking(json!({})).to_string().into_bytes();
    house.anyone().send(Method::POST, PLACE, Some("application/json; charset=utf-8"), body).await.is(201);
}

/// POLICY · RFC 9110 §15.5 · Another media type is 415, a body of more than 64 KiB 413, another method 405 with `Allow`.
#[tokio::test]
async fn r02_another_type_a_longer_body_and_another_method_have_statuses_of_their_own() {
    let house = House::open().await;
    let before = house.head().await;
    for kind in [None, Some("application/x-www-form-urlencoded"), Some("text/plain")] {
        let body = asking(json!({})).to_string().into_bytes();
        house.anyone().send(Method::POST, PLACE, kind, body).await.refuses(415, "invalid_client_metadata");
    }
    register(&house, json!({ "x_padding": "x".repeat(64 * 1024) })).await.refuses(413, "invalid_client_metadata");
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        assert_eq!(house.anyone().call(method, PLACE, None).await.is(405).header("allow"), "POST, OPTIONS");
    }
    assert_eq!(house.head().await, before);
}

/// MUST · RFC 7591 §2 · Members that are not known are ignored and are not echoed as registered.
#[tokio::test]
async fn r04_unknown_members_are_ignored_and_not_echoed() {
    let house = House::open().await;
    let members = json!({ "x_vendor": "a", "require_auth_time": true, "nested": { "a": [1] }, "id_token_signed_response_alg": "ES256" });
    let answer = register(&house, members.clone()).await.is(201);
    assert!(members.as_object().unwrap().keys().all(|name| answer.body.get(name).is_none()), "{}", answer.text);
}

/// MUST · RFC 7591 §2 · `redirect_uris` is needed by the authorization code grant: without one the answer is
/// `invalid_redirect_uri`.
#[tokio::test]
async fn r05_the_code_grant_needs_a_redirect_uri() {
    let house = House::open().await;
    let requests = [json!({ "redirect_uris": null }), json!({ "redirect_uris": [] }), json!({ "redirect_uris": CALLBACK })];
    all_refused(&house, "invalid_redirect_uri", &requests).await;
    let device = json!({ "redirect_uris": null, "grant_types": ["urn:ietf:params:oauth:grant-type:device_code"] });
    register(&house, device).await.is(201);
}

/// MUST · RFC 7591 §2, §3.2.1 · An omitted `token_endpoint_auth_method` is `client_secret_basic`; for a native client `none` takes
/// its place. The answer says which it is.
#[tokio::test]
async fn r06_an_omitted_auth_method_has_its_default_and_the_answer_says_so() {
    let house = House::open().await;
    assert_eq!(register(&house, json!({})).await.is(201)["token_endpoint_auth_method"], "client_secret_basic");
    let native = json!({ "redirect_uris": ["http://127.0.0.1/cb"] });
    assert_eq!(register(&house, native).await.is(201)["token_endpoint_auth_method"], "none");
}

/// MUST · RFC 7591 §2 · Omitted `grant_types` are `authorization_code`, omitted `response_types` are `code`.
#[tokio::test]
async fn r07_omitted_grant_types_and_response_types_have_their_defaults() {
    let house = House::open().await;
    for members in [json!({}), json!({ "grant_types": [], "response_types": [] }), json!({ "grant_types": null, "response_types": null })] {
        let answer = register(&house, members).await.is(201);
        assert_eq!((&answer["grant_types"], &answer["response_types"]), (&json!(["authorization_code"]), &json!(["code"])));
    }
}

/// SHOULD · RFC 7591 §2.1 · Grants and response types that do not go together are refused; grants without a response type need
/// none.
#[tokio::test]
async fn r08_grants_and_response_types_go_together_or_are_refused() {
    let house = House::open().await;
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    let requests = [
        json!({ "grant_types": ["authorization_code"], "response_types": ["token"] }),
        json!({ "grant_types": ["refresh_token"], "response_types": ["code"] }),
        json!({ "grant_types": [device], "response_types": ["code"] }),
        json!({ "grant_types": ["implicit"], "response_types": ["token"] }),
    ];
    all_refused(&house, "invalid_client_metadata", &requests).await;
    let answer = register(&house, json!({ "grant_types": [device, "refresh_token"] })).await.is(201);
    assert_eq!(answer["response_types"], json!([]));
}

/// MUST · RFC 9700 §2.1.2, §2.4 · The implicit and the password grant are not offered: left out beside others, refused alone.
#[tokio::test]
async fn r09_the_implicit_and_the_password_grant_are_not_registered() {
    let house = House::open().await;
    let beside = json!({ "grant_types": ["implicit", "authorization_code", "password"], "response_types": ["token", "code"] });
    let answer = register(&house, beside).await.is(201);
    assert_eq!((&answer["grant_types"], &answer["response_types"]), (&json!(["authorization_code"]), &json!(["code"])));
    let alone = [json!({ "grant_types": ["implicit"] }), json!({ "grant_types": ["password"] })];
    all_refused(&house, "invalid_client_metadata", &alone).await;
}

/// MAY · RFC 7591 §2, §3.2.1 · What is registered is the part of the asked grants that is supported, echoed; an empty part is
/// refused.
#[tokio::test]
async fn r10_the_supported_part_of_what_was_asked_is_registered_and_echoed() {
    let house = House::open().await;
    let answer = register(&house, json!({ "grant_types": ["authorization_code", "urn:example:new", "refresh_token"] })).await.is(201);
    assert_eq!(answer["grant_types"], json!(["authorization_code", "refresh_token"]));
    let none = [json!({ "grant_types": ["urn:example:new"] }), json!({ "grant_types": ["client_credentials"] })];
    all_refused(&house, "invalid_client_metadata", &none).await;
}

/// MUST · RFC 7591 §2 · `jwks` and `jwks_uri` exclude each other, in requests and in answers.
#[tokio::test]
async fn r11_keys_come_by_value_or_by_reference() {
    let house = House::open().await;
    let (jwks, uri) = (json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": "a", "y": "b" }] }), "https://app.example/jwks");
    all_refused(&house, "invalid_client_metadata", &[json!({ "jwks": jwks, "jwks_uri": uri })]).await;
    let by_value = register(&house, json!({ "jwks": jwks })).await.is(201);
    assert!(by_value["jwks"] == jwks && by_value.body.get("jwks_uri").is_none());
    let by_reference = register(&house, json!({ "jwks_uri": uri })).await.is(201);
    assert!(by_reference["jwks_uri"] == uri && by_reference.body.get("jwks").is_none());
}

/// POLICY · RFC 7591 §2 · One to ten keys, each public: private or symmetric material is refused. `private_key_jwt` needs keys.
#[tokio::test]
async fn r12_keys_are_few_and_public_and_there_where_they_are_needed() {
    let house = House::open().await;
    let mut requests = vec![json!({ "token_endpoint_auth_method": "private_key_jwt" })];
    // A key set without a key counts as none.
    requests.push(json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [] } }));
    let key = json!({ "kty": "RSA", "n": "a", "e": "AQAB" });
    requests.push(json!({ "jwks": { "keys": vec![key.clone(); 11] } }));
    for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let mut key = key.clone();
        key[private] = "a".into();
        requests.push(json!({ "jwks": { "keys": [key] } }));
    }
    all_refused(&house, "invalid_client_metadata", &requests).await;
    let good = json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": vec![key; 10] } });
    register(&house, good).await.is(201);
}

/// MUST · RFC 7591 §2.2 · Texts and links for people take a language tag; each is stored and echoed under its own name, beside the
/// one without.
#[tokio::test]
async fn r13_members_for_people_take_a_language_tag() {
    let house = House::open().await;
    let members = json!({ "client_name": "Client", "client_name#ja-Jpan-JP": "クライアント名", "client_uri#fr": "https://app.example/fr",
        "logo_uri#de-CH": "https://app.example/l.png", "tos_uri#fr": "https://app.example/cgu", "policy_uri#fr": "https://app.example/vie" });
    let answer = register(&house, members.clone()).await.is(201);
    let read = house.holder(&answer.text("registration_access_token")).get(&format!("{PLACE}/{}", answer.text("client_id"))).await.is(200);
    for (name, value) in members.as_object().unwrap() {
        assert!(answer[name.as_str()] == *value && read[name.as_str()] == *value, "{name}");
    }
}

/// POLICY · RFC 7591 §2.2 · A malformed language tag makes an unknown member; more than 50 localized members are refused.
#[tokio::test]
async fn r14_a_malformed_language_tag_is_ignored_and_there_are_not_too_many() {
    let house = House::open().await;
    let malformed = json!({ "client_name#": "a", "client_name#not_a_tag": "b", "client_name#abcdefghi": "c", "redirect_uris#fr": ["x"] });
    let answer = register(&house, malformed.clone()).await.is(201);
    assert!(malformed.as_object().unwrap().keys().all(|name| answer.body.get(name).is_none()), "{}", answer.text);
    let many = |count: u32| Value::Object((0..count).map(|n| (format!("client_name#fr-{n:03}"), "Nom".into())).collect());
    all_refused(&house, "invalid_client_metadata", &[many(51)]).await;
    register(&house, many(50)).await.is(201);
}

/// MUST · RFC 7591 §2 · `scope` is one text with spaces, and a known member of another JSON type is refused.
#[tokio::test]
async fn r15_a_known_member_of_the_wrong_type_is_refused() {
    let house = House::open().await;
    let mut requests = vec![json!({ "scope": ["read", "write"] }), json!({ "grant_types": "authorization_code" }), json!({ "jwks": "{}" })];
    for text in ["client_name", "scope", "token_endpoint_auth_method", "client_uri", "jwks_uri", "software_id", "client_name#fr"] {
        requests.extend([json!({ text: 1 }), json!({ text: true }), json!({ text: {} })]);
    }
    all_refused(&house, "invalid_client_metadata", &requests).await;
    assert_eq!(register(&house, json!({ "scope": "read write" })).await.is(201)["scope"], "read write");
}

/// SHOULD · RFC 7591 §2, §5 · Links for people are http or https URLs. They are not fetched. That they share a host with a
/// redirect URI is not asked: real clients' logos do not.
#[tokio::test]
async fn r16_links_are_web_urls_and_nobody_follows_them() {
    let house = House::open().await;
    for link in ["client_uri", "logo_uri", "tos_uri", "policy_uri"] {
        let wrong = [
            "javascript:alert(1)",
            "data:image/png,x",
            "app.example",
            "ftp://app.example/",
            "https://u@app.example/",
            "com.example.app:/l",
        ];
        let requests: Vec<Value> = wrong.iter().map(|text| json!({ link: text })).collect();
        all_refused(&house, "invalid_client_metadata", &requests).await;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let trap = format!("http://{}/", listener.local_addr().unwrap());
    register(&house, json!({ "client_uri": trap, "logo_uri": trap, "tos_uri": trap, "policy_uri": trap })).await.is(201);
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "somebody followed a link");
}

/// MUST · RFC 7591 §3.2.1 · A `client_id` in the request means nothing: the server picks it.
#[tokio::test]
async fn r18_the_server_picks_the_client_id() {
    let house = House::open().await;
    for chosen in [json!("admin"), json!("https://evil.example/client.json"), json!(7)] {
        assert_ne!(register(&house, json!({ "client_id": chosen.clone() })).await.is(201)["client_id"], chosen);
    }
    let first = register(&house, json!({})).await.is(201).text("client_id");
    assert_ne!(register(&house, json!({ "client_id": first })).await.is(201).text("client_id"), first);
}

/// MUST · CIMD §6.9, RFC 9700 §4.15 · A `client_id` that was drawn is a UUID: never a URL, never what an identity provider calls a
/// user.
#[tokio::test]
async fn r19_a_drawn_client_id_is_a_uuid() {
    let house = House::open().await;
    for answer in [register(&house, json!({})).await, register(&house, json!({ "redirect_uris": ["http://localhost/"] })).await] {
        let id = answer.is(201).text("client_id");
        let uuid = uuid::Uuid::try_parse(&id).unwrap();
        assert!(uuid.to_string() == id && uuid.get_version_num() == 7, "{id}");
    }
}

/// MUST · RFC 7591 §3.2.2 · What is no JSON, or no JSON object, is `invalid_client_metadata`.
#[tokio::test]
async fn r21_a_body_that_is_no_json_object_is_invalid_client_metadata() {
    let house = House::open().await;
    let before = house.head().await;
    let good = asking(json!({})).to_string();
    for body in ["", "{", "[]", "null", "\"text\"", "7", &format!("{good}{good}"), &format!("[{good}]"), "{'redirect_uris':[]}"] {
        let answer = house.anyone().send(Method::POST, PLACE, Some("application/json"), body.as_bytes().to_vec()).await;
        answer.refuses(400, "invalid_client_metadata");
    }
    let latin = b"{\"client_name\":\"caf\xe9\"}".to_vec();
    house.anyone().send(Method::POST, PLACE, Some("application/json"), latin).await.refuses(400, "invalid_client_metadata");
    assert_eq!(house.head().await, before);
}

/// POLICY · RFC 7591 §2 · At most 100 redirect URIs of 2048 bytes, names of 256 characters without control or direction characters,
/// 10 contacts, a scope of 4096 bytes.
#[tokio::test]
async fn r23_everything_has_a_limit() {
    let house = House::open().await;
    let uris = |count: u32| (0..count).map(|n| format!("https://app.example/{n}")).collect::<Vec<_>>();
    let long = |length: usize| format!("https://app.example/{}", "a".repeat(length - 20));
    let redirects = [json!({ "redirect_uris": uris(101) }), json!({ "redirect_uris": [long(2049)] })];
    all_refused(&house, "invalid_redirect_uri", &redirects).await;
    let texts = [
        json!({ "client_name": "é".repeat(257) }),
        json!({ "client_name": "a\u{0}b" }),
        json!({ "client_name": "a\u{202e}b" }),
        json!({ "client_name": "a\u{200b}b" }),
        json!({ "contacts": vec!["a@app.example"; 11] }),
        json!({ "scope": "a".repeat(4097) }),
    ];
    all_refused(&house, "invalid_client_metadata", &texts).await;
    for good in [
        json!({ "redirect_uris": uris(100) }),
        json!({ "redirect_uris": [long(2048)] }),
        json!({ "client_name": "é".repeat(256), "contacts": vec!["a@app.example"; 10], "scope": "a".repeat(4096) }),
    ] {
        register(&house, good).await.is(201);
    }
}

/// POLICY · RFC 8259 §4 · A JSON key that appears twice is refused; a redirect URI that does counts once.
#[tokio::test]
async fn r24_nothing_is_counted_twice() {
    let house = House::open().await;
    let before = house.head().await;
    for body in [
        r#"{"redirect_uris":["https://app.example/cb"],"redirect_uris":["https://evil.example/cb"]}"#,
        r#"{"redirect_uris":["https://app.example/cb"],"x":{"a":1,"\u0061":2}}"#,
    ] {
        let answer = house.anyone().send(Method::POST, PLACE, Some("application/json"), body.as_bytes().to_vec()).await;
        answer.refuses(400, "invalid_client_metadata");
    }
    assert_eq!(house.head().await, before);
    let answer = register(&house, json!({ "redirect_uris": [CALLBACK, "https://app.example/b", CALLBACK] })).await.is(201);
    assert_eq!(answer["redirect_uris"], json!([CALLBACK, "https://app.example/b"]));
}

/// MUST · OIDC Registration §2, MCP client registration · `application_type` is stored and enforced: a client that says `web` has
/// https redirect URIs only. One that says nothing is what its redirect URIs say.
#[tokio::test]
async fn r25_the_application_type_is_stored_and_enforced() {
    let house = House::open().await;
    let local = ["http://localhost/cb", "http://127.0.0.1:9/cb", "com.example.app:/cb"];
    let as_web: Vec<Value> = local.iter().map(|uri| json!({ "application_type": "web", "redirect_uris": [uri] })).collect();
    all_refused(&house, "invalid_redirect_uri", &as_web).await;
    all_refused(&house, "invalid_client_metadata", &[json!({ "application_type": "desktop" })]).await;
    let plain = json!({ "application_type": "native", "redirect_uris": ["http://app.example/cb"] });
    all_refused(&house, "invalid_redirect_uri", &[plain]).await;
    for (members, kind) in [
        (json!({}), "web"),
        (json!({ "application_type": "web" }), "web"),
        (json!({ "redirect_uris": local }), "native"),
        (json!({ "application_type": "native", "redirect_uris": local }), "native"),
    ] {
        assert_eq!(register(&house, members).await.is(201)["application_type"], kind);
    }
}
