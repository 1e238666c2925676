//! The registration response (RFC 7591 §3.2, RFC 7592 §3).

use std::collections::HashSet;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::asking;
use crate::house::{House, PUBLIC};

async fn register(house: &House, members: Value) -> Answer {
    house.anyone().post("/oauth/register", asking(members)).await
}

fn public() -> Value {
    json!({ "token_endpoint_auth_method": "none" })
}

/// MUST · RFC 7591 §3.2.1 · A registration is answered 201 with `application/json`.
#[tokio::test]
async fn s01_a_registration_is_201_and_json() {
    let house = House::open().await;
    assert_eq!(register(&house, json!({})).await.is(201).header("content-type"), "application/json");
}

/// SHOULD · RFC 7591 §3.2.1, RFC 7592 §3 · No answer is stored on the way, be it yes or no.
#[tokio::test]
async fn s02_no_answer_is_cached() {
    let house = House::open().await;
    let good = register(&house, json!({})).await.is(201);
    let own = format!("/oauth/register/{}", good.text("client_id"));
    let holder = house.holder(&good.text("registration_access_token"));
    let answers = [
        register(&house, json!({ "scope": 1 })).await.is(400),
        house.anyone().get("/oauth/register").await.is(405),
        house.anyone().get(&own).await.is(401),
        holder.get(&own).await.is(200),
        holder.delete(&own).await.is(204),
        good,
    ];
    for answer in answers {
        assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"), "{}", answer.text);
    }
}

/// MUST · RFC 7591 §3.2.1 · `client_id` is there.
#[tokio::test]
async fn s03_the_client_id_is_there() {
    let house = House::open().await;
    for members in [json!({}), public()] {
        assert!(!register(&house, members).await.is(201).text("client_id").is_empty());
    }
}

/// MUST · RFC 7591 §3.2.1 · Where there is a `client_secret` there is `client_secret_expires_at`, an integer; 0 is never.
#[tokio::test]
async fn s04_a_secret_comes_with_its_expiry() {
    let house = House::open().await;
    for method in ["client_secret_basic", "client_secret_post"] {
        let answer = register(&house, json!({ "token_endpoint_auth_method": method })).await.is(201);
        assert!(!answer.text("client_secret").is_empty());
        assert_eq!(answer["client_secret_expires_at"].as_u64(), Some(0));
    }
}

/// MUST · RFC 7591 §2 · A client that authenticates with `none`, or with its own key, has no secret.
#[tokio::test]
async fn s05_a_client_without_a_shared_secret_is_given_none() {
    let house = House::open().await;
    let own_key = json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://app.example/jwks" });
    for members in [public(), own_key] {
        let answer = register(&house, members).await.is(201);
        assert!(answer.body.get("client_secret").is_none() && answer.body.get("client_secret_expires_at").is_none(), "{}", answer.text);
    }
}

/// MAY · RFC 7591 §3.2.1 · `client_id_issued_at` is always there: whole seconds since 1970.
#[tokio::test]
async fn s06_when_it_was_issued_is_always_said() {
    let house = House::open().await;
    for members in [json!({}), public()] {
        let answer = register(&house, members).await.is(201);
        assert_eq!(answer["client_id_issued_at"].as_i64(), Some(house.clock.now().timestamp()));
    }
}

/// MUST · RFC 7591 §3.2.1 · Everything that was registered is echoed: what was sent, defaults, substitutions.
#[tokio::test]
async fn s07_everything_that_was_registered_is_echoed() {
    let house = House::open().await;
    let members = json!({
        "client_name": "Acme", "client_name#fr": "Acmé", "redirect_uris": ["https://app.example/cb", "https://app.example/b?x=1"],
        "token_endpoint_auth_method": "client_secret_post", "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "application_type": "web", "scope": "read write", "contacts": ["ops@app.example"],
        "client_uri": "https://app.example/", "logo_uri": "https://app.example/l.png", "tos_uri": "http://app.example/tos",
        "policy_uri": "https://app.example/privacy", "jwks_uri": "https://app.example/jwks", "software_id": "acme", "software_version": "1",
    });
    let answer = register(&house, members.clone()).await.is(201);
    for (name, value) in members.as_object().unwrap() {
        assert_eq!(answer[name.as_str()], *value, "{name}");
    }
    let defaults = register(&house, json!({})).await.is(201);
    for (name, value) in [
        ("grant_types", json!(["authorization_code"])),
        ("response_types", json!(["code"])),
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("application_type", json!("web")),
    ] {
        assert_eq!(defaults[name], value, "{name}");
    }
}

/// MUST · RFC 7591 §3.2.1, §5 · A secret belongs to one client: registering alike twice gives two.
#[tokio::test]
async fn s08_no_two_clients_have_the_same_secret() {
    let house = House::open().await;
    let (one, other) = (register(&house, json!({})).await.is(201), register(&house, json!({})).await.is(201));
    assert!(one["client_secret"] != other["client_secret"] && one["client_id"] != other["client_id"]);
}

/// MUST · RFC 6749 §10.10 · A guess succeeds with a chance of at most 2^-128: secrets and tokens are 256 random bits, each of which
/// is seen to vary.
#[tokio::test]
async fn s09_secrets_and_tokens_are_256_bits_that_vary() {
    let house = House::open().await;
    for (member, prefix) in [("client_secret", "gbs_"), ("registration_access_token", "gbr_")] {
        let mut seen = HashSet::new();
        let (mut ever, mut always) = ([0_u8; 32], [0xff_u8; 32]);
        for _ in 0..40 {
            let text = register(&house, json!({})).await.is(201).text(member);
            let drawn: [u8; 32] = URL_SAFE_NO_PAD.decode(text.strip_prefix(prefix).unwrap()).unwrap().try_into().unwrap();
            for (index, byte) in drawn.into_iter().enumerate() {
                ever[index] |= byte;
                always[index] &= byte;
            }
            assert!(seen.insert(drawn), "drawn twice");
        }
        assert_eq!((ever, always), ([0xff; 32], [0; 32]), "{member} has bits that stand still");
    }
}

/// MUST · RFC 7592 §3 · `registration_access_token` and `registration_client_uri`, a whole URL, come together.
#[tokio::test]
async fn s10_a_client_is_told_where_and_with_what_to_manage_itself() {
    let house = House::open().await;
    for members in [json!({}), public()] {
        let answer = register(&house, members).await.is(201);
        assert_eq!(answer.text("registration_client_uri"), format!("{PUBLIC}/oauth/register/{}", answer.text("client_id")));
        house.holder(&answer.text("registration_access_token")).get(&format!("/oauth/register/{}", answer.text("client_id"))).await.is(200);
    }
}

/// MUST · RFC 7591 §3.2.2 · An error is 400 with `error` and `error_description`: ASCII, nothing of the inside, nothing of what was
/// sent.
#[tokio::test]
async fn s11_an_error_says_what_is_wrong_and_repeats_nothing() {
    let house = House::open().await;
    for members in [
        json!({ "redirect_uris": ["https://sesame.example/é"] }),
        json!({ "client_name": "sesame\u{202e}" }),
        json!({ "scope": "sesame\"" }),
        json!({ "token_endpoint_auth_method": "sesame" }),
        json!({ "jwks": { "keys": [{ "kty": "oct", "k": "sesame" }] } }),
    ] {
        let answer = register(&house, members).await.is(400);
        assert_eq!(answer.header("content-type"), "application/json");
        let sentence = answer.text("error_description");
        assert!(!sentence.is_empty() && sentence.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{sentence}");
        assert!(!answer.text.contains("sesame") && !sentence.contains("::") && !sentence.contains(".rs"), "{sentence}");
        assert_eq!(answer.body.as_object().unwrap().len(), 2, "{}", answer.text);
    }
}

/// MUST · RFC 7591 §3.2.2 · A redirect URI at fault is `invalid_redirect_uri`, anything else `invalid_client_metadata`; the codes of
/// software statements are line R17.
#[tokio::test]
async fn s12_the_error_code_says_which_part_is_at_fault() {
    let house = House::open().await;
    for uri in ["http://app.example/cb", "https://app.example/#x", "javascript:alert(1)", "relative", "unlisted://cb"] {
        register(&house, json!({ "redirect_uris": [uri] })).await.refuses(400, "invalid_redirect_uri");
    }
    for members in [
        json!({ "scope": [] }),
        json!({ "grant_types": ["implicit"] }),
        json!({ "logo_uri": "data:," }),
        json!({ "jwks": { "keys": [7] } }),
    ] {
        register(&house, members).await.refuses(400, "invalid_client_metadata");
    }
}

/// POLICY · RFC 6749 §10.6 · Of secrets and tokens only hashes are kept: the data folder, the history and administrators' lists have
/// none in the clear. They are compared in constant time, with the crate `subtle`.
#[tokio::test]
async fn s13_secrets_are_kept_as_hashes_only() {
    let house = House::open().await;
    let answer = register(&house, json!({ "client_name": "look-for-me" })).await.is(201);
    let id = answer.text("client_id");
    let shown = house.shown(&id).await.text;
    let history = format!("{:?}", house.events_of(&id).await);
    let mut files = Vec::new();
    read_all(house.folder.path(), &mut files);
    let found = |text: &str| files.iter().any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()));
    assert!(found("look-for-me") && history.contains("look-for-me") && found("$argon2id$"), "the wrong places were looked at");
    for secret in [answer.text("client_secret"), answer.text("registration_access_token")] {
        assert!(!found(&secret) && !found(&secret[4..]) && !shown.contains(&secret) && !history.contains(&secret));
    }
}

fn read_all(folder: &Path, files: &mut Vec<Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, files);
        } else {
            files.push(std::fs::read(path).unwrap());
        }
    }
}
