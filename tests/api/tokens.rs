//! Access tokens for clients that act for themselves: who gets them, what they say, and for how long.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use gatebook::credentials::admin::Role;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::house::{Caller, DEFAULT, House, PUBLIC, client, clients};
use crate::statements::Vendor;

const FORM: Option<&str> = Some("application/x-www-form-urlencoded");
const JWT: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const NOW: i64 = 1_800_000_000;

fn form(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut url = reqwest::Url::parse("form:").unwrap();
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap().as_bytes().to_vec()
}

async fn ask(caller: &Caller<'_>, fields: &[(&str, &str)]) -> Answer {
    caller.send(Method::POST, "/oauth/token", FORM, form(fields)).await
}

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

/// As `curl -u` sends it.
fn basic<'a>(house: &'a House, id: &str, secret: &str) -> Caller<'a> {
    house.anyone().with("authorization", &format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))))
}

/// The claims of a token, as a resource server reads them that knows nothing but the published keys.
async fn read(house: &House, token: &str) -> (jsonwebtoken::Header, Value) {
    let metadata = house.anyone().get("/.well-known/oauth-authorization-server/oauth").await.is(200);
    let uri = metadata.text("jwks_uri");
    let set: JwkSet = serde_json::from_str(&house.anyone().get(uri.strip_prefix(PUBLIC).unwrap()).await.is(200).text).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    let key = DecodingKey::from_jwk(set.find(header.kid.as_deref().unwrap()).unwrap()).unwrap();
    let mut validation = Validation::new(header.alg);
    (validation.validate_exp, validation.validate_aud) = (false, false);
    validation.set_issuer(&[metadata.text("issuer")]);
    (header, jsonwebtoken::decode(token, &key, &validation).unwrap().claims)
}

async fn service(house: &House, members: Value) -> String {
    let mut body = json!({ "label": "rs", "scopes": ["gatebook:decide"] });
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    house.admin("default").post("/authsec/service-tokens", body).await.is(201).text("service_token")
}

async fn introspect(house: &House, bearer: &str, token: &str) -> Answer {
    house.holder(bearer).send(Method::POST, "/oauth/introspect", FORM, form(&[("token", token), ("token_type_hint", "x")])).await.is(200)
}

#[tokio::test]
async fn a_job_gets_a_token_with_its_secret_and_a_resource_server_reads_it_with_the_published_keys() {
    let house = House::open().await;
    let resource = "https://files.example/mcp";
    house.edit_default(json!({ "resource": resource, "policy": { "scope_ceiling": "mcp:read mcp:write" } })).await;
    let own = house.entered("ci").await;
    let (id, secret) = (own.text("client_id"), own.text("client_secret"));
    let answer = ask(&basic(&house, &id, &secret), &[GRANT]).await.is(200);
    assert_eq!(
        (&answer["token_type"], &answer["expires_in"], &answer["scope"]),
        (&json!("Bearer"), &json!(600), &json!("mcp:read mcp:write"))
    );
    assert!(answer.body.get("refresh_token").is_none(), "RFC 6749 section 4.4.3");
    let (header, claims) = read(&house, &answer.text("access_token")).await;
    assert_eq!((header.typ.as_deref(), header.alg), (Some("at+jwt"), Algorithm::RS256));
    let jti = claims["jti"].as_str().unwrap();
    assert_eq!(
        claims,
        json!({ "iss": format!("{PUBLIC}/oauth"), "aud": resource, "sub": id, "client_id": id, "iat": NOW, "exp": NOW + 600,
            "jti": jti, "scope": "mcp:read mcp:write", "gatebook_resource_server": DEFAULT })
    );
    let again = ask(&basic(&house, &id, &secret), &[GRANT, ("resource", resource), ("scope", "mcp:read")]).await.is(200);
    let (_, narrower) = read(&house, &again.text("access_token")).await;
    assert_eq!((&narrower["scope"], &again["scope"]), (&json!("mcp:read"), &json!("mcp:read")));
    assert_ne!(narrower["jti"], claims["jti"]);
    let events = house.names_of(&id).await;
    assert_eq!(events.len(), 3, "a token is no event: {events:?}");
}

#[tokio::test]
async fn a_client_proves_itself_in_the_header_in_the_body_or_by_its_signature_one_at_a_time() {
    let house = House::open().await;
    let own = house.entered("ci").await;
    let (id, secret) = (own.text("client_id"), own.text("client_secret"));
    let in_body = [GRANT, ("client_id", &id), ("client_secret", &secret)];
    ask(&house.anyone(), &in_body).await.is(200);
    ask(&basic(&house, &id, &secret), &[GRANT, ("client_id", &id)]).await.is(200);
    let vendor = Vendor::p256();
    let members =
        json!({ "client_name": "signer", "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [vendor.jwk("1")] } });
    let signer = house.admin("default").post(&clients(DEFAULT), members).await.is(201).text("client_id");
    let sign = |jti: &str, aud: &str| {
        vendor.sign("1", &json!({ "iss": signer, "sub": signer, "aud": aud, "exp": NOW + 60, "iat": NOW, "jti": jti }))
    };
    for (jti, aud) in [("a", format!("{PUBLIC}/oauth")), ("b", format!("{PUBLIC}/oauth/token"))] {
        let assertion = sign(jti, &aud);
        let shown = [GRANT, ("client_assertion_type", JWT), ("client_assertion", &assertion)];
        ask(&house.anyone(), &shown).await.is(200);
        ask(&house.anyone(), &shown).await.refuses(401, "invalid_client");
    }
    let assertion = sign("c", PUBLIC);
    for (caller, fields) in [
        (basic(&house, &id, &secret), vec![GRANT, ("client_secret", &*secret)]),
        (basic(&house, &id, &secret), vec![GRANT, ("client_id", &*signer)]),
        (house.anyone(), vec![GRANT, ("client_id", &*id), ("client_secret", &*secret), ("client_assertion", &*assertion)]),
        (house.anyone(), vec![GRANT, ("client_assertion", &*assertion)]),
        (house.anyone(), vec![GRANT, ("client_assertion", &*assertion), ("client_assertion_type", "saml")]),
        (house.anyone(), vec![GRANT, GRANT, ("client_id", &*id), ("client_secret", &*secret)]),
        (house.anyone(), vec![("client_id", &*id), ("client_secret", &*secret)]),
    ] {
        ask(&caller, &fields).await.refuses(400, "invalid_request");
    }
}

#[tokio::test]
async fn whoever_does_not_prove_itself_hears_one_answer_and_how_to_try_again() {
    let house = House::open().await;
    let own = house.entered("ci").await;
    let id = own.text("client_id");
    let public = json!({ "redirect_uris": ["http://localhost/cb"], "token_endpoint_auth_method": "none" });
    let public = house.anyone().post("/oauth/register", public).await.is(201).text("client_id");
    let mut heard = Vec::new();
    for (caller, fields) in [
        (basic(&house, &id, "gbs_wrong"), vec![GRANT]),
        (basic(&house, "nobody", "gbs_wrong"), vec![GRANT]),
        (house.anyone().with("authorization", "Basic !"), vec![GRANT]),
        (house.anyone().with("authorization", "Bearer gbs_x"), vec![GRANT]),
        (house.anyone(), vec![GRANT, ("client_id", &*id)]),
        (house.anyone(), vec![GRANT, ("client_id", &*public)]),
        (house.anyone(), vec![GRANT]),
        (house.anyone(), vec![GRANT, ("client_assertion", "a.b.c"), ("client_assertion_type", JWT)]),
    ] {
        let answer = ask(&caller, &fields).await.refuses(401, "invalid_client");
        assert_eq!(answer.header("www-authenticate"), "Basic realm=\"gatebook\", charset=\"UTF-8\"");
        heard.push(answer.text);
    }
    heard.dedup();
    assert_eq!(heard.len(), 1, "{heard:?}");
    for _ in 0..9 {
        ask(&basic(&house, &id, "gbs_wrong"), &[GRANT]).await.refuses(401, "invalid_client");
    }
    let held = ask(&basic(&house, &id, &own.text("client_secret")), &[GRANT]).await.refuses(429, "temporarily_unavailable");
    assert!(!held.header("retry-after").is_empty());
    house.anyone().post("/oauth/token", json!({ "grant_type": "client_credentials" })).await.refuses(415, "invalid_request");
    house.anyone().get("/oauth/token").await.is(405);
}

#[tokio::test]
async fn a_client_that_may_not_gets_no_token_from_one_call_to_the_next_and_hears_why() {
    let house = House::open().await;
    let own = house.entered("ci").await;
    let (id, secret) = (own.text("client_id"), own.text("client_secret"));
    let (caller, rs) = (basic(&house, &id, &secret), service(&house, json!({})).await);
    let token = ask(&caller, &[GRANT]).await.is(200).text("access_token");
    for (bad, undo, reason) in [("suspend", "reinstate", "suspended"), ("revoke", "restore", "revoked")] {
        let decide = |decision: &str| format!("{}/{decision}", client(DEFAULT, &id));
        house.admin("default").post(&decide(bad), json!({ "reason": "x" })).await.is(200);
        let no = ask(&caller, &[GRANT]).await.refuses(400, "unauthorized_client");
        assert!(no.text("error_description").ends_with(reason), "{}", no.text);
        assert_eq!(introspect(&house, &rs, &token).await.body, json!({ "active": false }));
        house.admin("default").post(&decide(undo), json!({ "reason": "x" })).await.is(200);
        assert_eq!(introspect(&house, &rs, &token).await["active"], true);
    }
    house.edit_default(json!({ "registration_modes": ["dcr", "cimd"], "effect_on_existing": "suspend" })).await;
    ask(&caller, &[GRANT]).await.refuses(400, "unauthorized_client");
    house.edit_default(json!({ "registration_modes": ["dcr", "cimd", "prereg"] })).await;
    ask(&caller, &[GRANT]).await.is(200);
    ask(&caller, &[("grant_type", "password")]).await.refuses(400, "unsupported_grant_type");
    // Nobody vouched for a client that registered itself.
    let itself = house.registered("self").await;
    let caller = basic(&house, &itself.text("client_id"), &itself.text("client_secret"));
    let no = ask(&caller, &[GRANT]).await.refuses(400, "unauthorized_client");
    assert!(no.text("error_description").ends_with("grant_type_not_registered"));
}

#[tokio::test]
async fn a_token_is_for_one_resource_server_that_the_client_is_registered_at() {
    let house = House::open().await;
    let uri = "https://files.example/mcp";
    let mine = house.server("default", json!({ "name": "files", "resource": uri })).await;
    let theirs = house.server("acme", json!({ "name": "files", "resource": uri })).await;
    let own = house.admin("default").post(&clients(&mine), json!({ "client_name": "ci" })).await.is(201);
    let other = house.admin("acme").post(&clients(&theirs), json!({ "client_name": "ci" })).await.is(201);
    for (answer, server) in [(&own, &mine), (&other, &theirs)] {
        let caller = basic(&house, &answer.text("client_id"), &answer.text("client_secret"));
        for fields in [vec![GRANT], vec![GRANT, ("resource", uri)]] {
            let (_, claims) = read(&house, &ask(&caller, &fields).await.is(200).text("access_token")).await;
            assert_eq!((&claims["aud"], &claims["gatebook_resource_server"]), (&json!(uri), &json!(server)));
        }
        for bad in [vec![("resource", "https://else.example/")], vec![("resource", uri), ("resource", "https://else.example/")]] {
            ask(&caller, &[vec![GRANT], bad].concat()).await.refuses(400, "invalid_target");
        }
        let default = format!("{PUBLIC}/rs/{DEFAULT}");
        ask(&caller, &[GRANT, ("resource", &default)]).await.refuses(400, "invalid_target");
    }
    let nameless = house.entered("nameless").await;
    let caller = basic(&house, &nameless.text("client_id"), &nameless.text("client_secret"));
    let default = format!("{PUBLIC}/rs/{DEFAULT}");
    let answer = ask(&caller, &[GRANT, ("resource", &default)]).await.is(200);
    assert_eq!(read(&house, &answer.text("access_token")).await.1["aud"], default);
}

#[tokio::test]
async fn scope_stays_within_what_is_registered_and_below_the_ceiling() {
    let house = House::open().await;
    let unbounded = house.entered("unbounded").await;
    let caller = basic(&house, &unbounded.text("client_id"), &unbounded.text("client_secret"));
    assert!(ask(&caller, &[GRANT]).await.is(200).body.get("scope").is_none());
    ask(&caller, &[GRANT, ("scope", "admin")]).await.refuses(400, "invalid_scope");
    house.edit_default(json!({ "policy": { "scope_ceiling": "a b" } })).await;
    let members = json!({ "client_name": "ci", "scope": "a b c" });
    let bounded = house.admin("default").post(&clients(DEFAULT), members).await.is(201);
    let caller = basic(&house, &bounded.text("client_id"), &bounded.text("client_secret"));
    assert_eq!(ask(&caller, &[GRANT]).await.is(200)["scope"], "a b");
    ask(&caller, &[GRANT, ("scope", "a c")]).await.refuses(400, "invalid_scope");
    ask(&caller, &[GRANT, ("scope", "a\"b")]).await.refuses(400, "invalid_scope");
    let token = ask(&caller, &[GRANT, ("scope", "b")]).await.is(200).text("access_token");
    let rs = service(&house, json!({})).await;
    assert_eq!(introspect(&house, &rs, &token).await["scope"], "b");
    // A token that says more than the client has by now is no longer good.
    house.edit_default(json!({ "policy": { "scope_ceiling": "a" } })).await;
    assert_eq!(introspect(&house, &rs, &token).await["active"], false);
}

#[tokio::test]
async fn introspection_says_what_a_token_of_ours_says_to_whoever_may_ask_and_nothing_else() {
    let house = House::open().await;
    let elsewhere = house.server("default", json!({ "name": "else", "resource": "https://else.example/" })).await;
    let own = house.entered("ci").await;
    let (id, caller) = (own.text("client_id"), basic(&house, &own.text("client_id"), &own.text("client_secret")));
    let token = ask(&caller, &[GRANT]).await.is(200).text("access_token");
    let rs = service(&house, json!({})).await;
    let answer = introspect(&house, &rs, &token).await;
    for (name, value) in [("active", json!(true)), ("client_id", json!(id)), ("sub", json!(id)), ("token_type", json!("Bearer"))] {
        assert_eq!(answer[name], value, "{}", answer.text);
    }
    assert_eq!((&answer["iss"], &answer["exp"]), (&json!(format!("{PUBLIC}/oauth")), &json!(NOW + 600)));
    let no = json!({ "active": false });
    let bound = service(&house, json!({ "resource_servers": [elsewhere] })).await;
    assert_eq!(introspect(&house, &bound, &token).await.body, no, "another resource server's");
    let acme = json!({ "label": "rs", "scopes": ["gatebook:decide"] });
    let acme = house.admin("acme").post("/authsec/service-tokens", acme).await.is(201).text("service_token");
    assert_eq!(introspect(&house, &acme, &token).await.body, no, "another tenant's");
    let admin = house.token("default", Role::Admin, "ada");
    let (head, tail) = token.split_once('.').unwrap();
    let (body, signature) = tail.split_once('.').unwrap();
    let none = URL_SAFE_NO_PAD.encode(b"{\"alg\":\"none\",\"typ\":\"at+jwt\"}");
    let wider = URL_SAFE_NO_PAD.encode(String::from_utf8(URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap().replace("\"sub\"", "\"sup\""));
    for forged in ["x", "a.b.c", &admin, &format!("{none}.{body}."), &format!("{head}.{wider}.{signature}")] {
        assert_eq!(introspect(&house, &rs, forged).await.body, no, "{forged}");
    }
    house.anyone().send(Method::POST, "/oauth/introspect", FORM, form(&[("token", &token)])).await.refuses(401, "invalid_token");
    house
        .viewer("default")
        .send(Method::POST, "/oauth/introspect", FORM, form(&[("token", &token)]))
        .await
        .refuses(403, "insufficient_scope");
    house.holder(&rs).send(Method::POST, "/oauth/introspect", FORM, form(&[("hint", "x")])).await.refuses(400, "invalid_request");
    house.clock.advance(TimeDelta::seconds(600 + 31));
    assert_eq!(introspect(&house, &rs, &token).await.body, no, "over");
}

#[tokio::test]
async fn keys_are_rotated_by_an_operator_and_the_old_one_stays_until_its_last_token_is_over() {
    let house =
        House::with(|settings| settings.token_algorithm = Some(gatebook::application::access_tokens::SigningAlgorithm::EdDsa)).await;
    let own = house.entered("ci").await;
    let caller = basic(&house, &own.text("client_id"), &own.text("client_secret"));
    let old = ask(&caller, &[GRANT]).await.is(200).text("access_token");
    let keys = |answer: Answer| answer["signing_keys"].as_array().unwrap().clone();
    let first = keys(house.admin("default").get("/authsec/signing-keys").await.is(200));
    assert_eq!((first.len(), &first[0]["signs"], &first[0]["alg"]), (1, &json!(true), &json!("EdDSA")));
    for (caller, status) in [(house.admin("acme"), 403), (house.auditor("default"), 403), (house.anyone(), 401)] {
        assert_eq!(caller.post("/authsec/signing-keys/rotate", json!({})).await.status, status);
        assert_eq!(caller.get("/authsec/signing-keys").await.status, status);
    }
    let both = keys(house.admin("default").post("/authsec/signing-keys/rotate", json!({ "at_once": true })).await.is(200));
    assert_eq!((both.len(), &both[0]["signs"], &both[1]["signs"]), (2, &json!(false), &json!(true)));
    let new = ask(&caller, &[GRANT]).await.is(200).text("access_token");
    let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    assert_eq!((json!(kid(&old)), json!(kid(&new))), (both[0]["kid"].clone(), both[1]["kid"].clone()));
    read(&house, &old).await;
    let rs = service(&house, json!({})).await;
    assert_eq!(introspect(&house, &rs, &old).await["active"], true);
    house.clock.advance(TimeDelta::seconds(631));
    assert_eq!(keys(house.admin("default").get("/authsec/signing-keys").await.is(200)).len(), 1);
    // A key that got about is taken back, and its tokens with it.
    let new = ask(&caller, &[GRANT]).await.is(200).text("access_token");
    house.admin("default").delete(&format!("/authsec/signing-keys/{}", kid(&new))).await.is(204);
    assert_eq!(introspect(&house, &rs, &new).await["active"], false);
    house.admin("default").delete(&format!("/authsec/signing-keys/{}", kid(&new))).await.problem(404, "not-found");
    read(&house, &ask(&caller, &[GRANT]).await.is(200).text("access_token")).await;
}

#[tokio::test]
async fn the_issuer_of_these_tokens_describes_itself_and_only_itself() {
    let house = House::open().await;
    let answer = house.anyone().get("/.well-known/oauth-authorization-server/oauth").await.is(200);
    assert_eq!(answer["issuer"], format!("{PUBLIC}/oauth"));
    assert_eq!(answer["grant_types_supported"], json!(["client_credentials"]));
    assert!(answer.body.get("authorization_endpoint").is_none() && answer.body.get("registration_endpoint").is_none());
    for endpoint in ["token_endpoint", "introspection_endpoint"] {
        let path = answer.text(endpoint);
        assert_eq!(house.anyone().get(path.strip_prefix(PUBLIC).unwrap()).await.status, 405, "{endpoint} is there");
    }
    let keys = house.anyone().request(Method::GET, "/.well-known/jwks.json").header("origin", "https://page.example").send().await.unwrap();
    assert_eq!(keys.headers()["content-type"], "application/jwk-set+json");
    assert_eq!(keys.headers()["cache-control"], "public, max-age=300");
    assert_eq!(keys.headers()["access-control-allow-origin"], "*");
    let keys: Value = serde_json::from_str(&keys.text().await.unwrap()).unwrap();
    for key in keys["keys"].as_array().unwrap() {
        assert!(["d", "p", "q", "k"].iter().all(|private| key.get(private).is_none()), "{key}");
        assert_eq!(key["use"], "sig");
    }
}
