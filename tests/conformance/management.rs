//! Managing a registration (RFC 7592).

use reqwest::Method;
use serde_json::{Value, json};

use crate::CALLBACK;
use crate::answer::Answer;
use crate::asking;
use crate::house::{Caller, DEFAULT, House, PUBLIC, client};

const OTHER: &str = "https://app.example/other";

/// A client that registered itself, with what it takes to manage it.
struct Own<'a> {
    registered: Answer,
    holder: Caller<'a>,
    id: String,
    path: String,
}

impl<'a> Own<'a> {
    async fn of(house: &'a House) -> Self {
        let members = asking(json!({ "client_name": "Dashboard", "scope": "read", "contacts": ["a@app.example"] }));
        let registered = house.anyone().post("/oauth/register", members).await.is(201);
        let (id, token) = (registered.text("client_id"), registered.text("registration_access_token"));
        Self { holder: house.holder(&token), path: format!("/oauth/register/{id}"), id, registered }
    }

    /// A request that replaces everything: with one redirect URI and these members.
    fn asking(&self, members: Value) -> Value {
        let mut body = asking(members);
        if body.get("client_id").is_none() {
            body["client_id"] = self.id.clone().into();
        }
        body
    }

    async fn put(&self, members: Value) -> Answer {
        self.holder.put(&self.path, self.asking(members)).await
    }

    async fn get(&self) -> Answer {
        self.holder.get(&self.path).await
    }

    /// Each of these is refused with this code and changes nothing.
    async fn all_refused(&self, house: &House, code: &str, requests: &[Value]) {
        let before = house.head().await;
        for members in requests {
            self.put(members.clone()).await.refuses(400, code);
        }
        assert_eq!(house.head().await, before, "a refused replacement left an event");
    }
}

#[track_caller]
fn closed(answer: Answer) -> Answer {
    let answer = answer.refuses(401, "invalid_token");
    assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    answer
}

/// MUST · RFC 7592 §2 · GET, PUT and DELETE on `registration_client_uri`, which is https, with the registration access token as a
/// bearer token in the header.
#[tokio::test]
async fn g01_the_holder_of_the_token_reads_replaces_and_deletes() {
    let house = House::open().await;
    let own = Own::of(&house).await;
    assert_eq!(own.registered.text("registration_client_uri"), format!("{PUBLIC}{}", own.path));
    own.get().await.is(200);
    own.put(json!({})).await.is(200);
    own.holder.delete(&own.path).await.is(204);
}

/// MUST · RFC 7592 §2, RFC 6750 §3 · Without a valid token the answer is 401 with `WWW-Authenticate: Bearer error="invalid_token"`.
#[tokio::test]
async fn g02_no_token_or_a_wrong_one_is_401() {
    let house = House::open().await;
    let own = Own::of(&house).await;
    let token = own.registered.text("registration_access_token");
    for caller in [house.anyone(), house.holder("gbr_wrong"), house.holder(""), house.admin("default"), house.holder(&token.to_uppercase())]
    {
        closed(caller.get(&own.path).await);
        closed(caller.put(&own.path, own.asking(json!({}))).await);
        closed(caller.delete(&own.path).await);
    }
    closed(house.anyone().get(&format!("{}?access_token={token}", own.path)).await);
    own.get().await.is(200);
}

/// MUST · RFC 7592 §2.1, §2.2, §2.3 · A client that is not there is 401, not 404, and a token that once was its own is void.
#[tokio::test]
async fn g03_an_absent_client_is_401_too() {
    let house = House::open().await;
    let (own, gone) = (Own::of(&house).await, Own::of(&house).await);
    gone.holder.delete(&gone.path).await.is(204);
    for path in ["/oauth/register/018f0000-0000-7000-8000-000000000000", "/oauth/register/nobody", "/oauth/register/%F0%9F%94%91"] {
        closed(own.holder.get(path).await);
        closed(own.holder.delete(path).await);
    }
    closed(gone.get().await);
    closed(gone.put(json!({})).await);
}

/// MUST · RFC 7592 §2.1 · One client's token at another's place is answered in the same words as no such client; a client that may
/// not change anything is 403.
#[tokio::test]
async fn g04_another_clients_token_is_told_nothing() {
    let house = House::open().await;
    let (one, other) = (Own::of(&house).await, Own::of(&house).await);
    let wrong = closed(one.holder.get(&other.path).await);
    let absent = closed(one.holder.get("/oauth/register/018f0000-0000-7000-8000-000000000000").await);
    assert_eq!(wrong.text, absent.text);
    closed(one.holder.put(&other.path, other.asking(json!({}))).await);
    closed(one.holder.delete(&other.path).await);
    house.admin("default").post(&format!("{}/revoke", client(DEFAULT, &one.id)), json!({})).await.is(200);
    one.put(json!({ "redirect_uris": [OTHER] })).await.refuses(403, "access_denied");
}

/// MUST · RFC 7592 §2.1, §3 · Reading is 200 with all metadata, the place and the token, and is not stored on the way.
#[tokio::test]
async fn g05_reading_gives_everything_back() {
    let house = House::open().await;
    let own = Own::of(&house).await;
    let read = own.get().await.is(200);
    let mut expected = own.registered.body.clone();
    for shown_once in ["client_secret", "client_secret_expires_at"] {
        expected.as_object_mut().unwrap().remove(shown_once).unwrap();
    }
    assert_eq!(read.body, expected);
    assert_eq!((read.header("content-type"), read.header("cache-control")), ("application/json", "no-store"));
}

/// MAY · RFC 7592 §2.1, §3, §5 · Reading and replacing leave `client_id`, token and secret as they are; of the token only a hash is
/// kept, so the one that was presented is given back.
#[tokio::test]
async fn g06_reading_and_replacing_rotate_nothing() {
    let house = House::open().await;
    let own = Own::of(&house).await;
    for _ in 0..2 {
        for answer in [own.get().await.is(200), own.put(json!({})).await.is(200)] {
            assert_eq!(answer["client_id"], own.registered["client_id"]);
            assert_eq!(answer["registration_access_token"], own.registered["registration_access_token"]);
        }
    }
    own.put(json!({ "client_secret": own.registered["client_secret"] })).await.is(200);
}

/// MUST · RFC 7592 §2.2 · A PUT replaces everything: what it leaves out, or has as null, is deleted or set to its default.
#[tokio::test]
async fn g07_what_a_replacement_leaves_out_is_gone() {
    let house = House::open().await;
    let own = Own::of(&house).await;
    own.put(json!({ "client_name": "Renamed", "scope": "write", "grant_types": ["authorization_code", "refresh_token"] })).await.is(200);
    let answer = own.put(json!({ "client_name": null })).await.is(200);
    for body in [answer.body, own.get().await.is(200).body] {
        assert!(["client_name", "scope", "contacts"].iter().all(|name| body.get(name).is_none()), "{body}");
        assert_eq!(body["grant_types"], json!(["authorization_code"]));
    }
}

/// MUST · RFC 7592 §2.2 · A PUT names the client's own `client_id`.
#[tokio::test]
async fn g08_a_replacement_names_its_client() {
    let house = House::open().await;
    let own = Own::of(&house).await;
    let wrong = [json!("another"), Value::Null, json!(7), json!(own.id.to_uppercase())].map(|id| json!({ "client_id": id }));
    own.all_refused(&house, "invalid_client_metadata", &wrong).await;
    own.holder.put(&own.path, asking(json!({}))).await.refuses(400, "invalid_client_metadata");
}

/// MUST · RFC 7592 §2.2 · A PUT has none of the members that are the server's to say.
#[tokio::test]
async fn g09_a_replacement_has_nothing_that_is_the_servers_to_say() {
    let house = House::open().await;
    let own = Own::of(&house).await;
    let own_values = ["registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"];
    let requests = own_values.map(|name| json!({ name: own.registered[name] }));
    own.all_refused(&house, "invalid_client_metadata", &requests).await;
}

/// MUST · RFC 7592 §2.2 · A `client_secret` in a PUT is the current one; a client cannot choose its own.
#[tokio::test]
async fn g10_a_client_cannot_choose_its_secret() {
    let house = House::open().await;
    let own = Own::of(&house).await;
    let wrong =
        [json!("gbs_chosen"), json!("x"), json!(7), json!([own.registered["client_secret"]])].map(|text| json!({ "client_secret": text }));
    own.all_refused(&house, "invalid_client_metadata", &wrong).await;
    let answer = own.put(json!({ "client_secret": own.registered["client_secret"] })).await.is(200);
    assert!(answer.body.get("client_secret").is_none());
}

/// MUST · RFC 7592 §2.2, §3 · A PUT that fails is 400 with the codes of RFC 7591; one that succeeds is 200 with everything.
#[tokio::test]
async fn g11_a_replacement_is_answered_like_a_registration() {
    let house = House::open().await;
    let own = Own::of(&house).await;
    let redirects = ["http://evil.com/cb", "javascript:alert(1)", "unlisted://cb"].map(|uri| json!({ "redirect_uris": [uri] }));
    own.all_refused(&house, "invalid_redirect_uri", &redirects).await;
    let metadata = [json!({ "scope": ["a"] }), json!({ "grant_types": ["implicit"] }), json!({ "logo_uri": "data:," })];
    own.all_refused(&house, "invalid_client_metadata", &metadata).await;
    let answer = own.put(json!({ "client_name": "Renamed", "client_name#fr": "Renommé" })).await.is(200);
    assert_eq!(answer.body, own.get().await.body);
    for name in ["client_id", "client_id_issued_at", "redirect_uris", "grant_types", "response_types", "token_endpoint_auth_method"] {
        assert_eq!(answer[name], own.registered[name], "{name}");
    }
    assert_eq!((&answer["client_name"], &answer["client_name#fr"]), (&json!("Renamed"), &json!("Renommé")));
}

/// MAY · RFC 7592 §2.2 · Redirect URIs that a PUT adds wait for a review, and the answer echoes those that serve until then.
#[tokio::test]
async fn g12_while_a_change_waits_the_answer_says_what_serves() {
    let house = House::open().await;
    let own = Own::of(&house).await;
    for answer in [own.put(json!({ "redirect_uris": [CALLBACK, OTHER] })).await.is(200), own.get().await.is(200)] {
        assert_eq!(answer["redirect_uris"], json!([CALLBACK]));
        assert_eq!(answer["gatebook"]["staged_change"]["added"], json!([OTHER]));
    }
    house.admin("default").put(&format!("{}/approve-redirects", client(DEFAULT, &own.id)), json!({})).await.is(200);
    assert_eq!(own.get().await.is(200)["redirect_uris"], json!([CALLBACK, OTHER]));
}

/// MUST · RFC 7592 §2.3 · DELETE is 204 without a body; identifier, secret and token are void at once. Grants and tokens that the
/// authorization server gave are its own to end: the register's every door says that the client is deleted.
#[tokio::test]
async fn g13_deleting_ends_identifier_secret_and_token_at_once() {
    let house = House::open().await;
    let own = Own::of(&house).await;
    assert!(own.holder.delete(&own.path).await.is(204).text.is_empty());
    closed(own.get().await);
    closed(own.put(json!({ "client_secret": own.registered["client_secret"] })).await);
    let shown = house.shown(&own.id).await;
    assert_eq!((&shown["status"], &shown["reason"]), (&json!("deleted"), &json!("client_deleted")));
}

/// MUST · RFC 7592 §2.3 · A second DELETE is 401; a method that is not supported is 405.
#[tokio::test]
async fn g14_a_second_delete_is_401_and_another_method_405() {
    let house = House::open().await;
    let own = Own::of(&house).await;
    for method in [Method::POST, Method::PATCH] {
        assert_eq!(own.holder.call(method, &own.path, Some(json!({}))).await.is(405).header("allow"), "GET, PUT, DELETE, OPTIONS");
    }
    own.holder.delete(&own.path).await.is(204);
    let before = house.head().await;
    closed(own.holder.delete(&own.path).await);
    assert_eq!(house.head().await, before);
}

/// SHOULD · RFC 7592 §5 · The registration access token is good for as long as the client is registered, and opaque.
#[tokio::test]
async fn g15_the_token_lives_as_long_as_the_client() {
    let house = House::open().await;
    let own = Own::of(&house).await;
    let token = own.registered.text("registration_access_token");
    assert!(token.len() == 47 && !token.contains(&own.id) && !token.contains('.'), "{token}");
    house.clock.advance(chrono::TimeDelta::days(20 * 365));
    own.get().await.is(200);
    own.put(json!({ "client_name": "Still here" })).await.is(200);
}
