//! Software statements (RFC 7591 §2.3): who vouches for what a client says of itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::house::{DEFAULT, House, PUBLIC, clients};

const VENDOR: &str = "https://vendor.example";
/// When the tests' clock stands.
const NOW: i64 = 1_800_000_000;

/// Somebody who signs statements with keys drawn on the spot.
pub struct Vendor {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Vendor {
    pub fn p256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { algorithm: Algorithm::ES256, key: EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref()) }
    }

    pub fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        Self { algorithm: Algorithm::EdDSA, key: EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref()) }
    }

    pub fn jwk(&self, id: &str) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        serde_json::to_value(jwk).unwrap()
    }

    /// With a header and claims to the letter.
    pub fn sign_texts(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }

    pub fn sign(&self, id: &str, claims: &Value) -> String {
        let header = Header { kid: Some(id.to_owned()), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

/// A house whose default resource server trusts the vendor by these members.
async fn trusting(members: Value) -> House {
    let house = House::with(|settings| settings.allow_loopback_manifests = Some(true)).await;
    let mut issuer = json!({ "issuer": VENDOR });
    issuer.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    house.edit_default(json!({ "policy": { "software_statement_issuers": [issuer] } })).await;
    house
}

fn claims() -> Value {
    json!({ "iss": VENDOR, "iat": NOW, "software_id": "vendor-app", "client_name": "Vendor App", "redirect_uris": ["https://app.example/cb"],
        "token_endpoint_auth_method": "none" })
}

fn with(changes: Value) -> Value {
    let (Value::Object(mut claims), Value::Object(changes)) = (claims(), changes) else { panic!("claims are objects") };
    claims.extend(changes);
    claims.into()
}

#[tokio::test]
async fn r17_what_is_vouched_for_wins_and_the_statement_comes_back_as_it_was_sent() {
    let vendor = Vendor::p256();
    let house = trusting(json!({ "jwks": { "keys": [vendor.jwk("1")] } })).await;
    let statement = vendor.sign("1", &claims());
    let asked = json!({ "software_statement": statement, "client_name": "Mine", "client_uri": "https://mine.example/",
        "redirect_uris": ["https://evil.example/cb"], "colour": "blue" });
    let own = house.anyone().post("/oauth/register", asked).await.is(201);
    let (id, holder) = (own.text("client_id"), house.holder(&own.text("registration_access_token")));
    let read = holder.get(&format!("/oauth/register/{id}")).await.is(200);
    for body in [&own.body, &read.body] {
        assert_eq!(body["software_statement"], *statement);
        assert_eq!((&body["client_name"], &body["client_uri"]), (&json!("Vendor App"), &json!("https://mine.example/")));
        assert_eq!((&body["redirect_uris"], &body["software_id"]), (&json!(["https://app.example/cb"]), &json!("vendor-app")));
        assert!(body.get("iss").is_none() && body.get("iat").is_none());
    }
    assert_eq!(house.shown(&id).await["vouched_by"], VENDOR);
    let listed = house.admin("default").get(&clients(DEFAULT)).await.is(200);
    assert_eq!(listed["clients"][0]["vouched_by"], VENDOR);
    assert!(!listed.text.contains(&statement), "a list of statements would be long");
    let event = &house.events_of(&id).await[0];
    assert_eq!(event["data"]["metadata"]["software_statement"], json!({ "statement": statement, "issuer": VENDOR }));
    assert_eq!(event["data"]["ignored"], json!(["colour"]), "claims that are not about the client are not members that were ignored");
}

#[tokio::test]
async fn r17_with_no_issuer_configured_a_statement_is_ignored_and_recorded_as_such() {
    let house = House::open().await;
    for statement in [json!("a.b.c"), json!(7)] {
        let asked = json!({ "redirect_uris": ["https://app.example/cb"], "software_statement": statement });
        let answer = house.anyone().post("/oauth/register", asked).await.is(201);
        assert!(answer.body.get("software_statement").is_none());
        assert_eq!(house.events_of(&answer.text("client_id")).await[0]["data"]["ignored"], json!(["software_statement"]));
    }
}

#[tokio::test]
async fn w3_a_statement_signed_as_ed25519_and_for_any_name_of_the_register_is_believed() {
    let ed = Vendor::ed25519();
    let mut jwk = ed.jwk("2");
    jwk["alg"] = "Ed25519".into();
    let house = trusting(json!({ "jwks": { "keys": [jwk] } })).await;
    let register = |claims: Value| {
        let statement = ed.sign_texts(r#"{"alg":"Ed25519","kid":"2"}"#, &claims.to_string());
        let house = &house;
        async move { house.anyone().post("/oauth/register", json!({ "software_statement": statement })).await }
    };
    register(claims()).await.is(201);
    let issuer = format!("{PUBLIC}/rs/{DEFAULT}");
    for aud in [PUBLIC, &issuer, &format!("{PUBLIC}/oauth/register"), &format!("{issuer}/oauth/register")] {
        register(with(json!({ "aud": aud }))).await.is(201);
    }
    for aud in [format!("{PUBLIC}/rs/00000000-0000-4000-8000-000000000000"), format!("{PUBLIC}/oauth/token"), format!("{issuer}/")] {
        register(with(json!({ "aud": aud }))).await.refuses(400, "invalid_software_statement");
    }
    // What stands twice in it says nothing.
    let twice = claims().to_string().replacen('{', r#"{"client_name":"Other","#, 1);
    let statement = ed.sign_texts(r#"{"alg":"Ed25519","kid":"2"}"#, &twice);
    let told = house.anyone().post("/oauth/register", json!({ "software_statement": statement })).await;
    told.refuses(400, "invalid_software_statement");
}

#[tokio::test]
async fn r17_a_statement_that_is_not_what_a_trusted_issuer_signed_is_refused() {
    let (vendor, stranger, ed) = (Vendor::p256(), Vendor::p256(), Vendor::ed25519());
    let house = trusting(json!({ "jwks": { "keys": [vendor.jwk("1"), ed.jwk("2")] } })).await;
    let unsigned = |header: Value, claims: Value| {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&header), part(&claims))
    };
    let good = vendor.sign("1", &claims());
    let (head, rest) = good.split_once('.').unwrap();
    let signature = rest.split_once('.').unwrap().1;
    let forged = format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode(with(json!({ "client_name": "Forged" })).to_string()));
    let shared = {
        let key = EncodingKey::from_secret(vendor.jwk("1").to_string().as_bytes());
        jsonwebtoken::encode(&Header { kid: Some("1".to_owned()), ..Header::new(Algorithm::HS256) }, &claims(), &key).unwrap()
    };
    let critical = unsigned(json!({ "alg": "ES256", "kid": "1", "crit": ["b64"], "b64": false }), claims());
    let unapproved = [
        vendor.sign("1", &with(json!({ "iss": "https://vendor.example/" }))),
        vendor.sign("1", &with(json!({ "iss": "https://VENDOR.example" }))),
        stranger.sign("1", &with(json!({ "iss": "https://stranger.example" }))),
    ];
    let invalid = [
        json!(7),
        json!("not a statement"),
        json!("x".repeat(16 * 1024 + 1)),
        json!(unsigned(json!({ "alg": "none" }), claims())),
        json!(critical),
        json!(shared),
        json!(forged),
        json!(format!("{good}A")),
        json!(stranger.sign("1", &claims())),
        json!(vendor.sign("2", &claims())),
        json!(vendor.sign("3", &claims())),
        json!(vendor.sign("1", &with(json!({ "iss": null })))),
        json!(vendor.sign("1", &with(json!({ "exp": NOW - 60 })))),
        json!(vendor.sign("1", &with(json!({ "exp": "never" })))),
        json!(vendor.sign("1", &with(json!({ "nbf": NOW + 60 })))),
        json!(vendor.sign("1", &with(json!({ "aud": "https://elsewhere.example" })))),
    ];
    let head = house.head().await;
    let ask = |statement: Value| json!({ "software_statement": statement, "redirect_uris": ["https://app.example/cb"] });
    for statement in unapproved {
        house.anyone().post("/oauth/register", ask(json!(statement))).await.refuses(400, "unapproved_software_statement");
    }
    for statement in invalid {
        house.anyone().post("/oauth/register", ask(statement)).await.refuses(400, "invalid_software_statement");
    }
    // What is vouched for has to be acceptable all the same.
    let bad = vendor.sign("1", &with(json!({ "redirect_uris": ["http://app.example/cb"] })));
    house.anyone().post("/oauth/register", ask(json!(bad))).await.refuses(400, "invalid_redirect_uri");
    assert_eq!(house.head().await, head, "a refusal leaves nothing behind");
    for good in [good, ed.sign("2", &claims()), vendor.sign("1", &with(json!({ "exp": NOW + 60, "nbf": NOW, "aud": [PUBLIC] })))] {
        house.anyone().post("/oauth/register", ask(json!(good))).await.is(201);
    }
    // Nothing is wanted that is not required.
    house.registered("Without").await;
}

#[tokio::test]
async fn r17_where_statements_are_required_a_client_cannot_be_without_one_later_either() {
    let vendor = Vendor::p256();
    let house = trusting(json!({ "jwks": { "keys": [vendor.jwk("1")] } })).await;
    house.edit_default(json!({ "policy": { "require_software_statement": true } })).await;
    let bare = json!({ "redirect_uris": ["https://app.example/cb"] });
    house.anyone().post("/oauth/register", bare).await.refuses(400, "invalid_software_statement");
    house.entered("ci").await;
    let own = house.anyone().post("/oauth/register", json!({ "software_statement": vendor.sign("1", &claims()) })).await.is(201);
    let (id, holder) = (own.text("client_id"), house.holder(&own.text("registration_access_token")));
    let path = format!("/oauth/register/{id}");
    let replace = |statement: Option<String>| {
        let mut body = json!({ "client_id": id, "client_name": "Mine", "redirect_uris": ["https://app.example/cb"] });
        if let Some(statement) = statement {
            body["software_statement"] = statement.into();
        }
        body
    };
    holder.put(&path, replace(None)).await.refuses(400, "invalid_software_statement");
    holder.put(&path, replace(Some("a.b.c".to_owned()))).await.refuses(400, "invalid_software_statement");
    let newer = vendor.sign("1", &with(json!({ "client_name": "Vendor App 2" })));
    let changed = holder.put(&path, replace(Some(newer.clone()))).await.is(200);
    assert_eq!((&changed["client_name"], &changed["software_statement"]), (&json!("Vendor App 2"), &json!(newer)));
    // What was required is required of nobody who no longer can have it.
    house.edit_default(json!({ "policy": { "require_software_statement": false, "software_statement_issuers": [] } })).await;
    let dropped = holder.put(&path, replace(Some(newer))).await.is(200);
    assert!(dropped.body.get("software_statement").is_none());
    assert!(house.shown(&id).await.body.get("vouched_by").is_none());
}

#[tokio::test]
async fn a_client_that_is_vouched_for_is_shared_with_nobody() {
    let vendor = Vendor::p256();
    let house = trusting(json!({ "jwks": { "keys": [vendor.jwk("1")] } })).await;
    house.edit_default(json!({ "policy": { "instances": "share" } })).await;
    let asked = json!({ "software_statement": vendor.sign("1", &claims()) });
    let (one, other) =
        (house.anyone().post("/oauth/register", asked.clone()).await.is(201), house.anyone().post("/oauth/register", asked).await.is(201));
    assert_ne!(one["client_id"], other["client_id"]);
    assert_eq!(one["software_statement"], other["software_statement"]);
}

/// The vendor's server on loopback, whose key set can be changed and whose calls are counted.
#[derive(Clone, Default)]
pub struct KeyServer {
    pub keys: Arc<RwLock<Vec<Value>>>,
    calls: Arc<AtomicUsize>,
}

impl KeyServer {
    pub async fn start(keys: Vec<Value>) -> (Self, String) {
        let server = Self { keys: Arc::new(RwLock::new(keys)), ..Self::default() };
        let answering = server.clone();
        let answer = move || async move {
            answering.calls.fetch_add(1, Ordering::SeqCst);
            axum::Json(json!({ "keys": *answering.keys.read().unwrap() }))
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let router = Router::new().route("/jwks.json", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (server, url)
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn the_keys_of_an_issuer_are_fetched_kept_and_fetched_again_when_a_statement_names_a_new_one() {
    let (old, new) = (Vendor::p256(), Vendor::ed25519());
    let (server, url) = KeyServer::start(vec![old.jwk("old")]).await;
    let house = trusting(json!({ "jwks_uri": url })).await;
    let ask = |statement: String| json!({ "software_statement": statement });
    for _ in 0..3 {
        house.anyone().post("/oauth/register", ask(old.sign("old", &claims()))).await.is(201);
    }
    assert_eq!(server.calls(), 1);
    // One that names nobody who is trusted causes no fetch, and an unknown key's name costs one for all.
    house.clock.advance(TimeDelta::seconds(20));
    let foreign = old.sign("new", &with(json!({ "iss": "https://elsewhere.example" })));
    house.anyone().post("/oauth/register", ask(foreign)).await.refuses(400, "unapproved_software_statement");
    assert_eq!(server.calls(), 1);
    for _ in 0..3 {
        house.anyone().post("/oauth/register", ask(new.sign("new", &claims()))).await.refuses(400, "invalid_software_statement");
    }
    assert_eq!(server.calls(), 2);
    *server.keys.write().unwrap() = vec![new.jwk("new")];
    house.clock.advance(TimeDelta::seconds(20));
    house.anyone().post("/oauth/register", ask(new.sign("new", &claims()))).await.is(201);
    house.anyone().post("/oauth/register", ask(old.sign("old", &claims()))).await.refuses(400, "invalid_software_statement");
    assert_eq!(server.calls(), 3);
}

#[tokio::test]
async fn w11_a_key_set_that_is_never_fetched_is_refused_when_it_is_set_and_what_older_rules_name_is_not_fetched() {
    let vendor = Vendor::p256();
    let (server, url) = KeyServer::start(vec![vendor.jwk("1")]).await;
    let rules = |url: &str| json!({ "policy": { "software_statement_issuers": [{ "issuer": VENDOR, "jwks_uri": url }] } });
    let path = format!("/authsec/resource-servers/{DEFAULT}");
    let house = House::open().await;
    let head = house.head().await;
    for url in [url.as_str(), "https://localhost/jwks", "https://10.0.0.1/jwks", "https://169.254.169.254/jwks", "https://[::1]/jwks"] {
        for (method, path) in [(reqwest::Method::PATCH, path.clone()), (reqwest::Method::POST, format!("{path}/policy/rehearse"))] {
            let told = house.admin("default").call(method, &path, Some(rules(url))).await.problem(400, "invalid-request").text("detail");
            assert!(told.contains(&format!("the jwks_uri {url}, which is never fetched: it ")), "{told}");
        }
    }
    assert_eq!(house.head().await, head, "what is refused leaves nothing");
    // Rules that were written when it was allowed stay, can be changed otherwise, and lead to no fetch.
    let allowed = House::with(|settings| settings.allow_loopback_manifests = Some(true)).await;
    allowed.edit_default(rules(&url)).await;
    let now = allowed.clock.now();
    let house = House::begin(allowed.end().await, now, |_| {}).await;
    house.edit_default(json!({ "policy": { "admission": { "dcr": "auto" } } })).await;
    let body = json!({ "software_statement": vendor.sign("1", &claims()) }).to_string();
    let request = house.anyone().request(reqwest::Method::POST, "/oauth/register").header("content-type", "application/json").body(body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 503);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!((&answer["error"], server.calls()), (&json!("temporarily_unavailable"), 0));
}
