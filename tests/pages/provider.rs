//! Signing in at the organisation's OpenID provider.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use gatebook::config::Settings;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use crate::guest::{Guest, Shown};
use crate::house::House;

/// An OpenID provider on loopback, which gives out one code after the other.
#[derive(Clone)]
struct Provider {
    issuer: String,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    key: EncodingKey,
    /// What the ID token says, beside what every one says.
    claims: Value,
    /// What the sign-in that is under way asked for, and the code that it was given.
    asked: Option<(HashMap<String, String>, String)>,
    metadata: Value,
    redeemed: usize,
}

fn draw() -> EncodingKey {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref())
}

impl Provider {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}/realm", listener.local_addr().unwrap());
        let metadata = json!({ "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize?prompt=login"), "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys") });
        let shared = Shared {
            key: draw(),
            claims: json!({ "sub": "ada", "tenant": "default", "roles": ["admin"] }),
            asked: None,
            metadata,
            redeemed: 0,
        };
        let provider = Self { issuer, shared: Arc::new(Mutex::new(shared)) };
        let router = Router::new()
            .route(
                "/realm/.well-known/openid-configuration",
                get(async |State(of): State<Provider>| Json(of.shared.lock().unwrap().metadata.clone())),
            )
            .route("/realm/keys", get(keys))
            .route("/realm/token", post(token))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    /// Somebody agrees: the address at Gatebook that the browser is sent back to.
    fn agree(&self, address: &str) -> String {
        let url = reqwest::Url::parse(address).unwrap();
        assert!(address.starts_with(&format!("{}/authorize?prompt=login&", self.issuer)), "{address}");
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(
            (asked["response_type"].as_str(), asked["client_id"].as_str(), asked["code_challenge_method"].as_str()),
            ("code", "gatebook", "S256")
        );
        assert_eq!(asked["redirect_uri"], "https://gate.example/ui/sign-in/back");
        let state = asked["state"].clone();
        let code = format!("code-{state}");
        self.shared.lock().unwrap().asked = Some((asked, code.clone()));
        format!("/ui/sign-in/back?code={code}&state={state}")
    }

    fn claims(&self, change: &Value) {
        let mut shared = self.shared.lock().unwrap();
        for (name, value) in change.as_object().unwrap() {
            shared.claims[name] = value.clone();
        }
    }
}

async fn keys(State(provider): State<Provider>) -> Json<Value> {
    let shared = provider.shared.lock().unwrap();
    let jwk = Jwk::from_encoding_key(&shared.key, Algorithm::ES256).unwrap();
    Json(json!({ "keys": [jwk] }))
}

async fn token(State(provider): State<Provider>, headers: HeaderMap, Form(form): Form<HashMap<String, String>>) -> Response {
    let mut shared = provider.shared.lock().unwrap();
    let Some((asked, code)) = shared.asked.take() else { return StatusCode::BAD_REQUEST.into_response() };
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
    let basic = base64::engine::general_purpose::STANDARD.encode("gatebook:s%C3%A9cret");
    let by_secret = headers.get("authorization").is_some_and(|value| *value == format!("Basic {basic}"));
    if form["code"] != code || challenge != asked["code_challenge"] || form["redirect_uri"] != asked["redirect_uri"] || !by_secret {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    shared.redeemed += 1;
    let mut claims = json!({ "iss": provider.issuer, "aud": "gatebook", "exp": 1_800_003_600, "nonce": asked["nonce"] });
    for (name, value) in shared.claims.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &shared.key).unwrap();
    Json(json!({ "id_token": token, "access_token": "x", "token_type": "Bearer" })).into_response()
}

async fn open() -> (House, Provider) {
    open_with(|_| {}).await
}

async fn open_with(adjust: impl FnOnce(&mut Settings)) -> (House, Provider) {
    let provider = Provider::start().await;
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "sécret\n").unwrap();
    let issuer = provider.issuer.clone();
    let house = House::with(|settings| {
        settings.ui_oidc_issuer = Some(issuer);
        settings.ui_oidc_client_id = Some("gatebook".to_owned());
        settings.ui_oidc_client_secret_file = Some(secret.path().to_owned());
        adjust(settings);
    })
    .await;
    (house, provider)
}

async fn sign_in(guest: &mut Guest, provider: &Provider) -> Shown {
    let gone = guest.get("/ui/sign-in/provider?next=%2Fui%2Fapprovals").await;
    assert_eq!(gone.status, 303, "{}", gone.text);
    let back = provider.agree(&gone.location);
    guest.get(&back).await
}

#[tokio::test]
async fn an_administrator_signs_in_at_the_provider_and_comes_back_to_where_they_wanted_to_be() {
    let (house, provider) = open().await;
    let mut guest = Guest::of(&house);
    assert!(guest.get("/ui/sign-in?next=%2Fui%2Fapprovals").await.text.contains("/ui/sign-in/provider?next=%2Fui%2Fapprovals"));
    let shown = sign_in(&mut guest, &provider).await;
    assert_eq!((shown.status, shown.location.as_str()), (303, "/ui/approvals"), "{}", shown.text);
    let page = guest.get("/ui/approvals").await.text;
    assert!(page.contains(">ada<") && page.contains("admin of default"), "{page}");
    assert!(!guest.cookies.contains_key("gatebook_attempt"));
    house.clock.advance(TimeDelta::hours(9));
    assert_eq!(guest.get("/ui").await.status, 303);
}

#[tokio::test]
async fn w6_a_provider_without_a_tenant_claim_signs_in_for_the_fixed_tenant_with_roles_as_it_writes_them() {
    const CLAIM: &str = "resource_access.gatebook.example.com.roles";
    for roles in [json!(["admin"]), json!({ "admin": { "271828": "acme.example" } }), json!("viewer admin")] {
        let (house, provider) = open_with(|settings| {
            settings.admin_tenant = Some("acme".to_owned());
            settings.admin_roles_claim = Some(CLAIM.to_owned());
        })
        .await;
        provider.claims(&json!({ "tenant": null, "roles": null, "resource_access": { "gatebook.example.com": { "roles": roles } } }));
        let mut guest = Guest::of(&house);
        let shown = sign_in(&mut guest, &provider).await;
        assert_eq!((shown.status, shown.location.as_str()), (303, "/ui/approvals"), "{roles}: {}", shown.text);
        let page = guest.get("/ui/approvals").await.text;
        assert!(page.contains(">ada<") && page.contains("admin of acme"), "{page}");
        // A token that names another tenant opens nothing, and those that are made here name their own.
        provider.claims(&json!({ "tenant": "other" }));
        let refused = sign_in(&mut Guest::of(&house), &provider).await;
        assert!(refused.text.contains("names another tenant"), "{}", refused.text);
        house.admin("default").get("/authsec/resource-servers").await.is(200);
    }
}

#[tokio::test]
async fn an_answer_counts_in_the_browser_that_asked_for_it_once_and_in_time() {
    let (house, provider) = open().await;
    let mut guest = Guest::of(&house);
    let gone = guest.get("/ui/sign-in/provider").await;
    let back = provider.agree(&gone.location);
    let mut other = Guest::of(&house);
    assert!(other.get(&back).await.text.contains("belongs to no sign-in of this browser"), "somebody was sent a link");
    let mut confused = Guest::of(&house);
    confused.get("/ui/sign-in/provider").await;
    assert!(confused.get(&back).await.text.contains("belongs to another sign-in"));
    assert_eq!(guest.get(&back).await.location, "/ui");
    assert!(guest.get(&back).await.text.contains("belongs to no sign-in of this browser"), "it was used");
    assert_eq!(provider.shared.lock().unwrap().redeemed, 1);

    let mut late = Guest::of(&house);
    let gone = late.get("/ui/sign-in/provider").await;
    let back = provider.agree(&gone.location);
    house.clock.advance(TimeDelta::minutes(11));
    assert!(late.get(&back).await.text.contains("took too long"));
    let gone = late.get("/ui/sign-in/provider").await;
    let state = provider.agree(&gone.location);
    let state = state.split("state=").nth(1).unwrap();
    assert!(
        late.get(&format!("/ui/sign-in/back?error=access_denied&state={state}"))
            .await
            .text
            .contains("The provider said no: access_denied.")
    );
    let mut mixed = Guest::of(&house);
    let gone = mixed.get("/ui/sign-in/provider").await;
    let back = provider.agree(&gone.location);
    assert!(mixed.get(&format!("{back}&iss=https%3A%2F%2Fevil.example")).await.text.contains("comes from another provider"));
}

#[tokio::test]
async fn an_id_token_is_checked_as_every_admin_token_is() {
    for (change, sentence) in [
        (json!({ "nonce": "another" }), "answer to another sign-in"),
        (json!({ "aud": "somebody-else" }), "another audience"),
        (json!({ "azp": "somebody-else" }), "another audience"),
        (json!({ "iss": "https://evil.example" }), "another issuer"),
        (json!({ "exp": 1_700_000_000 }), "expired"),
        (json!({ "tenant": null }), "no tenant"),
        (json!({ "roles": ["employee"] }), "none of the roles"),
        (json!({ "roles": ["decider"] }), "none of the roles"),
    ] {
        let (house, provider) = open().await;
        provider.claims(&change);
        let mut guest = Guest::of(&house);
        let shown = sign_in(&mut guest, &provider).await;
        assert!(shown.status == 200 && shown.text.contains(sentence), "{change}: {}", shown.text);
        assert!(!guest.cookies.contains_key("gatebook_session"), "{change}");
    }
    // A key that the provider does not publish.
    let (house, provider) = open().await;
    let mut guest = Guest::of(&house);
    sign_in(&mut guest, &provider).await;
    provider.shared.lock().unwrap().key = draw();
    let mut guest = Guest::of(&house);
    let shown = sign_in(&mut guest, &provider).await;
    assert!(shown.text.contains("signature is wrong"), "{}", shown.text);
}

#[tokio::test]
async fn a_provider_that_says_somebody_elses_name_is_not_believed() {
    let (house, provider) = open().await;
    provider.shared.lock().unwrap().metadata["issuer"] = "https://evil.example".into();
    let mut guest = Guest::of(&house);
    assert!(guest.get("/ui/sign-in/provider").await.text.contains("cannot be reached now"));
    provider.shared.lock().unwrap().metadata["issuer"] = provider.issuer.clone().into();
    provider.shared.lock().unwrap().metadata["token_endpoint"] = "http://evil.example/token".into();
    assert!(guest.get("/ui/sign-in/provider").await.text.contains("cannot be reached now"));
}
