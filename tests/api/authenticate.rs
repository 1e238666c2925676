//! Whether a client is who it says, as its authorization server hears it.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::house::{DEFAULT, House, PUBLIC, client, clients};
use crate::statements::{KeyServer, Vendor};

const JWT: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// When the tests' clock stands.
const NOW: i64 = 1_800_000_000;

async fn service(house: &House) -> String {
    let body = json!({ "label": "as", "scopes": ["gatebook:authenticate"] });
    house.admin("default").post("/authsec/service-tokens", body).await.is(201).text("service_token")
}

async fn check(house: &House, token: &str, shown: Value) -> Answer {
    house.holder(token).post("/oauth/authenticate", shown).await
}

/// What is said of a client that showed this.
async fn said(house: &House, token: &str, shown: Value) -> (bool, String) {
    let answer = check(house, token, shown).await.is(200);
    let authenticated = answer["authenticated"].as_bool().unwrap();
    assert_eq!(authenticated, answer.body.get("client").is_some(), "{}", answer.text);
    (authenticated, answer.text("reason"))
}

fn yes() -> (bool, String) {
    (true, "approved".to_owned())
}

fn no(reason: &str) -> (bool, String) {
    (false, reason.to_owned())
}

#[tokio::test]
async fn a_client_with_its_secret_is_who_it_says_and_one_that_may_not_act_is_not_even_looked_at() {
    let house = House::open().await;
    let (token, own) = (service(&house).await, house.entered("ci").await);
    let (id, secret) = (own.text("client_id"), own.text("client_secret"));
    let right = json!({ "client_id": id, "client_secret": secret });
    let answer = check(&house, &token, right.clone()).await.is(200);
    assert_eq!((&answer["authenticated"], &answer["decision"]), (&json!(true), &json!("allow")));
    assert_eq!(answer["client"]["client_name"], "ci");
    let form = format!("client_id={id}&client_secret={secret}&resource=").into_bytes();
    let kind = Some("application/x-www-form-urlencoded");
    assert_eq!(house.holder(&token).send(Method::POST, "/oauth/authenticate", kind, form).await.is(200)["authenticated"], true);
    assert_eq!(said(&house, &token, json!({ "client_id": id, "client_secret": "gbs_wrong" })).await, no("wrong_secret"));
    assert_eq!(said(&house, &token, json!({ "client_id": id })).await, no("credentials_missing"));
    assert_eq!(said(&house, &token, json!({ "client_id": "nobody", "client_secret": secret })).await, no("not_registered"));
    let signed = json!({ "client_id": id, "client_assertion": "a.b.c", "client_assertion_type": JWT });
    assert_eq!(said(&house, &token, signed).await, no("method_not_registered"));
    let public = json!({ "redirect_uris": ["http://localhost/cb"], "token_endpoint_auth_method": "none" });
    let public = house.anyone().post("/oauth/register", public).await.is(201).text("client_id");
    assert_eq!(said(&house, &token, json!({ "client_id": public })).await, no("public_client"));
    for (decision, reason) in [("suspend", "suspended"), ("revoke", "revoked")] {
        house.admin("default").post(&format!("{}/{decision}", client(DEFAULT, &id)), json!({})).await.is(200);
        assert_eq!(said(&house, &token, right.clone()).await, no(reason), "although the secret was right a moment ago");
    }
}

#[tokio::test]
async fn requests_that_cannot_be_understood_and_callers_who_may_not_ask_are_refused() {
    let house = House::open().await;
    let token = service(&house).await;
    for bad in [
        json!({}),
        json!({ "client_id": "" }),
        json!({ "client_id": "x", "client_secret": "s", "client_assertion": "a.b.c", "client_assertion_type": JWT }),
        json!({ "client_id": "x", "client_assertion": "a.b.c" }),
        json!({ "client_id": "x", "client_assertion": "a.b.c", "client_assertion_type": "saml" }),
        json!({ "client_id": "x", "source": "somewhere" }),
        json!({ "client_id": "x", "password": "s" }),
    ] {
        check(&house, &token, bad).await.refuses(400, "invalid_request");
    }
    let send = |kind: &'static str, body: &'static str| {
        house.holder(&token).request(Method::POST, "/oauth/authenticate").header("content-type", kind).body(body).send()
    };
    assert_eq!(send("application/x-www-form-urlencoded", "client_id=a&client_id=b").await.unwrap().status(), 400);
    assert_eq!(send("text/plain", "client_id=a").await.unwrap().status(), 415);
    let question = json!({ "client_id": "x" });
    house.anyone().post("/oauth/authenticate", question.clone()).await.refuses(401, "invalid_token");
    house.viewer("default").post("/oauth/authenticate", question.clone()).await.refuses(403, "insufficient_scope");
    let decides = json!({ "label": "gw", "scopes": ["gatebook:decide"] });
    let decides = house.admin("default").post("/authsec/service-tokens", decides).await.is(201).text("service_token");
    check(&house, &decides, question.clone()).await.refuses(403, "insufficient_scope");
    house.decider("default").post("/oauth/authenticate", question).await.is(200);
}

#[tokio::test]
async fn both_secrets_work_during_an_overlap_and_none_after_its_end_although_it_was_right_a_moment_ago() {
    let house = House::open().await;
    let (token, own) = (service(&house).await, house.entered("ci").await);
    let (id, old) = (own.text("client_id"), own.text("client_secret"));
    let shown = |secret: &str| json!({ "client_id": id, "client_secret": secret });
    assert_eq!(said(&house, &token, shown(&old)).await, yes());
    let rotate = format!("{}/rotate-secret", client(DEFAULT, &id));
    let new = house.admin("default").post(&rotate, json!({ "overlap_seconds": 30 })).await.is(200).text("client_secret");
    for secret in [&old, &new] {
        assert_eq!(said(&house, &token, shown(secret)).await, yes());
    }
    house.clock.advance(TimeDelta::seconds(30));
    assert_eq!(said(&house, &token, shown(&old)).await, no("wrong_secret"));
    let newest = house.admin("default").post(&rotate, json!({ "overlap_seconds": 60 })).await.is(200).text("client_secret");
    assert_eq!(said(&house, &token, shown(&new)).await, yes());
    house.admin("default").post(&format!("{}/revoke-old-secret", client(DEFAULT, &id)), json!({})).await.is(204);
    assert_eq!(said(&house, &token, shown(&new)).await, no("wrong_secret"));
    assert_eq!(said(&house, &token, shown(&newest)).await, yes());
}

#[tokio::test]
async fn a_source_that_guesses_is_held_back_and_the_client_elsewhere_comes_in() {
    let house = House::open().await;
    let (token, own) = (service(&house).await, house.entered("ci").await);
    let shown = |secret: &str, source: &str| json!({ "client_id": own["client_id"], "client_secret": secret, "source": source });
    let right = own.text("client_secret");
    for _ in 0..10 {
        assert_eq!(said(&house, &token, shown("gbs_guess", "192.0.2.1")).await, no("wrong_secret"));
    }
    let held = check(&house, &token, shown("gbs_guess", "192.0.2.1")).await.refuses(429, "temporarily_unavailable");
    assert_eq!(held.header("retry-after"), "31");
    check(&house, &token, shown(&right, "192.0.2.1")).await.refuses(429, "temporarily_unavailable");
    assert_eq!(said(&house, &token, shown(&right, "192.0.2.2")).await, yes());
    house.clock.advance(TimeDelta::seconds(31));
    assert_eq!(said(&house, &token, shown(&right, "192.0.2.1")).await, yes());
}

/// Claims of a good assertion, with some changed and those that are null taken out.
#[expect(clippy::needless_pass_by_value, reason = "every caller makes one on the spot")]
fn claims(id: &str, jti: &str, changes: Value) -> Value {
    let mut claims = json!({ "iss": id, "sub": id, "aud": PUBLIC, "exp": NOW + 60, "iat": NOW, "jti": jti });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

async fn keyed(house: &House, members: Value) -> String {
    let mut body = json!({ "client_name": "signer", "token_endpoint_auth_method": "private_key_jwt" });
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    house.admin("default").post(&clients(DEFAULT), body).await.is(201).text("client_id")
}

#[tokio::test]
async fn c15_an_assertion_is_good_once_for_this_purpose_and_with_the_clients_own_key() {
    let (own, other, ed) = (Vendor::p256(), Vendor::p256(), Vendor::ed25519());
    let house = House::with(|settings| {
        settings.upstream_authorization_endpoint = Some("https://as.example/authorize".to_owned());
        settings.upstream_token_endpoint = Some("https://as.example/token".to_owned());
    })
    .await;
    let token = service(&house).await;
    let id = keyed(&house, json!({ "jwks": { "keys": [own.jwk("1"), ed.jwk("2")] } })).await;
    let shown = |assertion: String| json!({ "client_id": id, "client_assertion": assertion, "client_assertion_type": JWT });
    let first = own.sign("1", &claims(&id, "a", json!({})));
    assert_eq!(said(&house, &token, shown(first.clone())).await, yes());
    assert_eq!(said(&house, &token, shown(first)).await, no("assertion_replayed"));
    let again = own.sign("1", &claims(&id, "a", json!({ "exp": NOW + 90 })));
    assert_eq!(said(&house, &token, shown(again)).await, no("assertion_replayed"), "its name is what counts");
    for (number, good) in [
        json!({ "aud": format!("{PUBLIC}/oauth/token") }),
        json!({ "aud": ["https://other.example", "https://as.example/token"] }),
        json!({ "iat": null }),
        json!({ "exp": NOW + 600 }),
        json!({ "nbf": NOW + 20 }),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(said(&house, &token, shown(own.sign("1", &claims(&id, &format!("g{number}"), good.clone())))).await, yes(), "{good}");
    }
    assert_eq!(said(&house, &token, shown(ed.sign("2", &claims(&id, "ed", json!({}))))).await, yes());
    for (bad, reason) in [
        (json!({ "iss": "other" }), "assertion_invalid"),
        (json!({ "sub": null }), "assertion_invalid"),
        (json!({ "aud": "https://other.example" }), "assertion_invalid"),
        (json!({ "aud": null }), "assertion_invalid"),
        (json!({ "jti": null }), "assertion_invalid"),
        (json!({ "exp": null }), "assertion_invalid"),
        (json!({ "exp": "soon" }), "assertion_invalid"),
        (json!({ "exp": NOW - 31 }), "assertion_expired"),
        (json!({ "exp": NOW + 631 }), "assertion_expired"),
        (json!({ "nbf": NOW + 31 }), "assertion_expired"),
        (json!({ "iat": NOW - 3600 }), "assertion_expired"),
        (json!({ "iat": "now" }), "assertion_expired"),
    ] {
        assert_eq!(said(&house, &token, shown(own.sign("1", &claims(&id, "b", bad.clone())))).await, no(reason), "{bad}");
    }
    for foreign in [
        other.sign("1", &claims(&id, "c", json!({}))),
        other.sign("9", &claims(&id, "c", json!({}))),
        ed.sign("1", &claims(&id, "c", json!({}))),
    ] {
        assert_eq!(said(&house, &token, shown(foreign)).await, no("assertion_invalid"));
    }
    for garbage in ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        assert_eq!(said(&house, &token, shown(garbage.to_owned())).await, no("assertion_invalid"), "{garbage}");
    }
    let secret = json!({ "client_id": id, "client_secret": "gbs_x" });
    assert_eq!(said(&house, &token, secret).await, no("method_not_registered"));
}

#[tokio::test]
async fn w3_an_assertion_for_the_issuer_of_a_resource_server_is_good_there_and_at_the_token_endpoint() {
    let own = Vendor::p256();
    let house = House::open().await;
    let token = service(&house).await;
    let id = keyed(&house, json!({ "jwks": { "keys": [own.jwk("1")] } })).await;
    let shown = |assertion: &str| json!({ "client_id": id, "client_assertion": assertion, "client_assertion_type": JWT });
    let issuer = format!("{PUBLIC}/rs/{DEFAULT}");
    let signed = |jti: &str, aud: Value| own.sign("1", &claims(&id, jti, json!({ "aud": aud })));
    assert_eq!(said(&house, &token, shown(&signed("a", json!(issuer)))).await, yes());
    assert_eq!(said(&house, &token, shown(&signed("b", json!(["https://other.example", issuer])))).await, yes());
    let asked = [("grant_type", "client_credentials"), ("client_assertion_type", JWT), ("client_assertion", &*signed("c", json!(issuer)))];
    let mut form = reqwest::Url::parse("form:").unwrap();
    form.query_pairs_mut().extend_pairs(asked);
    let form = form.query().unwrap().as_bytes().to_vec();
    house.anyone().send(reqwest::Method::POST, "/oauth/token", Some("application/x-www-form-urlencoded"), form).await.is(200);
    let retired = house.server("default", json!({ "name": "Retired" })).await;
    house.admin("default").delete(&format!("/authsec/resource-servers/{retired}")).await.is(204);
    let nowhere = "00000000-0000-4000-8000-000000000000";
    for (number, aud) in [
        format!("{PUBLIC}/rs/{nowhere}"),
        format!("{PUBLIC}/rs/{retired}"),
        format!("{PUBLIC}/rs/"),
        format!("{issuer}/"),
        issuer.to_uppercase(),
    ]
    .into_iter()
    .enumerate()
    {
        let refused = said(&house, &token, shown(&signed(&format!("n{number}"), json!(aud)))).await;
        assert_eq!(refused, no("assertion_invalid"), "{aud}");
    }
}

#[tokio::test]
async fn w3_an_assertion_signed_as_ed25519_is_one_of_eddsa_by_another_name() {
    let ed = Vendor::ed25519();
    let house = House::open().await;
    let token = service(&house).await;
    for (number, named) in [None, Some("EdDSA"), Some("Ed25519")].into_iter().enumerate() {
        let mut jwk = ed.jwk("1");
        jwk.as_object_mut().unwrap().remove("alg");
        if let Some(named) = named {
            jwk["alg"] = named.into();
        }
        let id = keyed(&house, json!({ "jwks": { "keys": [jwk] } })).await;
        for name in ["EdDSA", "Ed25519"] {
            let header = json!({ "alg": name, "kid": "1" }).to_string();
            let assertion = ed.sign_texts(&header, &claims(&id, &format!("{name}{number}"), json!({})).to_string());
            let shown = json!({ "client_id": id, "client_assertion": assertion, "client_assertion_type": JWT });
            assert_eq!(said(&house, &token, shown).await, yes(), "{name} with a key for {named:?}");
        }
    }
    let metadata = house.anyone().get("/.well-known/oauth-authorization-server/oauth").await.is(200);
    assert!(metadata["token_endpoint_auth_signing_alg_values_supported"].as_array().unwrap().contains(&json!("Ed25519")));
}

#[tokio::test]
async fn w11_an_assertion_with_a_claim_twice_is_refused() {
    let own = Vendor::p256();
    let house = House::open().await;
    let token = service(&house).await;
    let id = keyed(&house, json!({ "jwks": { "keys": [own.jwk("1")] } })).await;
    let good = claims(&id, "a", json!({})).to_string();
    for (again, expected) in
        [("", yes()), (r#""aud":"https://other.example","#, no("assertion_invalid")), (r#""x":{"y":1,"y":2},"#, no("assertion_invalid"))]
    {
        let claims = good.replacen('{', &format!("{{{again}"), 1);
        let assertion = own.sign_texts(r#"{"alg":"ES256","kid":"1"}"#, &claims);
        let shown = json!({ "client_id": id, "client_assertion": assertion, "client_assertion_type": JWT });
        assert_eq!(said(&house, &token, shown).await, expected, "{again}");
    }
}

#[tokio::test]
async fn a_clients_key_set_is_not_fetched_from_inside() {
    let own = Vendor::p256();
    let (server, url) = KeyServer::start(vec![own.jwk("1")]).await;
    let house = House::open().await;
    let token = service(&house).await;
    let inside = url.replacen("http:", "https:", 1);
    for inside in [inside.as_str(), "https://169.254.169.254/jwks.json", "https://10.0.0.1/jwks.json", "https://app.example/a/../jwks.json"]
    {
        let id = keyed(&house, json!({ "jwks_uri": inside })).await;
        let assertion = own.sign("1", &claims(&id, "a", json!({})));
        let shown = json!({ "client_id": id, "client_assertion": assertion, "client_assertion_type": JWT });
        assert_eq!(said(&house, &token, shown).await, no("keys_unavailable"), "{inside}");
    }
    assert_eq!(server.calls(), 0);
}
