//! A client manages its own registration (RFC 7592), line by line of the checklist.

use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::house::{Caller, DEFAULT, House, client};

/// A client that registered itself, with what it takes to manage it.
struct Own<'a> {
    holder: Caller<'a>,
    id: String,
    path: String,
    secret: String,
}

impl Own<'_> {
    /// A request that replaces everything: with these redirect URIs and nothing else.
    fn with_redirects(&self, uris: &[&str]) -> Value {
        json!({ "client_id": self.id, "redirect_uris": uris })
    }

    async fn put(&self, body: Value) -> Answer {
        self.holder.put(&self.path, body).await
    }

    async fn read(&self) -> Answer {
        self.holder.get(&self.path).await
    }
}

const OLD: &str = "https://app.example/cb";
const NEW: &str = "https://app.example/new";

async fn own(house: &House) -> Own<'_> {
    let answer = house.registered("Dashboard").await;
    let id = answer.text("client_id");
    let holder = house.holder(&answer.text("registration_access_token"));
    Own { holder, path: format!("/oauth/register/{id}"), id, secret: answer.text("client_secret") }
}

#[track_caller]
fn closed(answer: Answer) -> Answer {
    let answer = answer.refuses(401, "invalid_token");
    assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    answer
}

#[tokio::test]
async fn g1_g5_the_holder_reads_everything_and_is_given_the_token_back() {
    let house = House::open().await;
    let registered = house.registered("Dashboard").await;
    let path = format!("/oauth/register/{}", registered.text("client_id"));
    let read = house.holder(&registered.text("registration_access_token")).get(&path).await.is(200);
    let mut expected = registered.body.clone();
    for shown_once in ["client_secret", "client_secret_expires_at"] {
        expected.as_object_mut().unwrap().remove(shown_once);
    }
    assert_eq!(read.body, expected);
}

#[tokio::test]
async fn g2_g3_g4_no_token_a_wrong_one_and_no_client_are_the_same_answer() {
    let house = House::open().await;
    let (one, other) = (own(&house).await, own(&house).await);
    let nobody = "/oauth/register/018f0000-0000-7000-8000-000000000000";
    let deleted = own(&house).await;
    deleted.holder.delete(&deleted.path).await.is(204);
    let entered = house.entered("ci").await.text("client_id");
    let mut texts = Vec::new();
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let body = (method == Method::PUT).then(|| one.with_redirects(&[OLD]));
        for (caller, path) in [
            (&house.anyone(), one.path.as_str()),
            (&house.holder("gbr_wrong"), one.path.as_str()),
            (&other.holder, one.path.as_str()),
            (&one.holder, nobody),
            (&house.anyone(), nobody),
            (&deleted.holder, deleted.path.as_str()),
            (&house.admin("default"), one.path.as_str()),
            (&one.holder, &format!("/oauth/register/{entered}")),
            (&one.holder, "/oauth/register/https%3A%2F%2Fapp.example%2Fclient.json"),
            (&one.holder, "/oauth/register/%F0%9F%94%91"),
            (&one.holder, "/oauth/register/%ff"),
            (&one.holder, &one.path.to_uppercase().replace("/OAUTH/REGISTER", "/oauth/register")),
        ] {
            texts.push(closed(caller.call(method.clone(), path, body.clone()).await).text);
        }
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "the answers tell one case from another");
    one.read().await.is(200);
}

#[tokio::test]
async fn g2_a_token_anywhere_but_in_the_header_is_no_token() {
    let house = House::open().await;
    let answer = house.registered("Dashboard").await;
    let token = answer.text("registration_access_token");
    let path = format!("/oauth/register/{}", answer.text("client_id"));
    closed(house.anyone().get(&format!("{path}?access_token={token}")).await);
    closed(house.anyone().with("authorization", &format!("Basic {token}")).get(&path).await);
    house.anyone().with("authorization", &format!("bearer  {token}")).get(&path).await.is(200);
}

#[tokio::test]
async fn g6_reading_and_replacing_leave_identifier_token_and_secret_as_they_are() {
    let house = House::open().await;
    let own = own(&house).await;
    for _ in 0..2 {
        assert_eq!(own.read().await.is(200)["client_id"], *own.id);
        let answer = own.put(own.with_redirects(&[OLD])).await.is(200);
        assert_eq!(answer["client_id"], *own.id);
        assert!(answer.body.get("client_secret").is_none());
    }
    own.put(json!({ "client_id": own.id, "client_secret": own.secret, "redirect_uris": [OLD] })).await.is(200);
}

#[tokio::test]
async fn g7_what_is_left_out_is_deleted_or_set_to_its_default() {
    let house = House::open().await;
    let own = own(&house).await;
    let full = json!({ "client_id": own.id, "client_name": "Renamed", "redirect_uris": [OLD], "scope": "read", "logo_uri": "https://app.example/l.png",
        "grant_types": ["authorization_code", "refresh_token"], "contacts": ["a@app.example"], "x_unknown": 1 });
    let answer = own.put(full).await.is(200);
    assert_eq!((&answer["client_name"], &answer["scope"]), (&json!("Renamed"), &json!("read")));
    let answer = own.put(own.with_redirects(&[OLD])).await.is(200);
    for gone in ["client_name", "scope", "logo_uri", "contacts"] {
        assert!(answer.body.get(gone).is_none(), "{gone}");
    }
    assert_eq!(answer["grant_types"], json!(["authorization_code"]));
    let before = house.head().await;
    own.put(own.with_redirects(&[OLD])).await.is(200);
    assert_eq!(house.head().await, before, "nothing changed, and that is no event");
    let updated = house.events_of(&own.id).await.into_iter().find(|event| event["type"] == "client.metadata_updated").unwrap();
    assert_eq!(updated["data"]["ignored"], json!(["x_unknown"]));
    assert_eq!(updated["actor"], json!({ "kind": "client", "id": own.id, "via": "rfc7592" }));
}

#[tokio::test]
async fn g8_g9_g10_g11_what_a_client_may_not_say_is_refused_and_changes_nothing() {
    let house = House::open().await;
    let own = own(&house).await;
    let before = house.head().await;
    let good = own.with_redirects(&[OLD]);
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    own.put(json!({ "redirect_uris": [OLD] })).await.refuses(400, "invalid_client_metadata");
    for wrong in [json!("somebody-else"), json!(null), json!(7), json!(own.id.to_uppercase())] {
        own.put(with("client_id", wrong)).await.refuses(400, "invalid_client_metadata");
    }
    for servers_own in ["registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"] {
        own.put(with(servers_own, json!("x"))).await.refuses(400, "invalid_client_metadata");
    }
    for secret in [json!("gbs_chosen"), json!(7), json!(["x"])] {
        own.put(with("client_secret", secret)).await.refuses(400, "invalid_client_metadata");
    }
    own.put(with("redirect_uris", json!(["http://evil.com/cb"]))).await.refuses(400, "invalid_redirect_uri");
    own.put(with("redirect_uris", json!(["myide://cb"]))).await.refuses(400, "invalid_redirect_uri");
    own.put(with("scope", json!(["a"]))).await.refuses(400, "invalid_client_metadata");
    own.put(with("grant_types", json!(["client_credentials"]))).await.refuses(400, "invalid_client_metadata");
    own.holder.send(Method::PUT, &own.path, Some("text/plain"), b"{}".to_vec()).await.refuses(415, "invalid_client_metadata");
    own.holder.send(Method::PUT, &own.path, Some("application/json"), b"{".to_vec()).await.refuses(400, "invalid_client_metadata");
    assert_eq!(house.head().await, before);
}

#[tokio::test]
async fn g12_widening_waits_and_the_answer_says_what_serves() {
    let house = House::open().await;
    let own = own(&house).await;
    let answer = own.put(own.with_redirects(&[OLD, NEW])).await.is(200);
    assert_eq!(answer["redirect_uris"], json!([OLD]));
    let staged = &answer["gatebook"]["staged_change"];
    assert_eq!((&staged["added"], &staged["removed"]), (&json!([NEW]), &json!([])));
    assert_eq!(answer["gatebook"]["status"], "approved");
    let shown = house.shown(&own.id).await;
    assert_eq!(shown["redirect_uris"], json!([OLD]));
    assert_eq!(shown["staged_change"]["change_id"], staged["change_id"]);
    assert_eq!(own.read().await.is(200)["gatebook"]["staged_change"], *staged);
    let again = own.put(own.with_redirects(&[OLD, NEW])).await.is(200);
    assert_eq!(again["gatebook"]["staged_change"]["change_id"], staged["change_id"], "the same wish is the same change");
    let newer = own.put(own.with_redirects(&[OLD, "https://app.example/newer"])).await.is(200);
    assert_ne!(newer["gatebook"]["staged_change"]["change_id"], staged["change_id"]);
    let reverted = own.put(own.with_redirects(&[OLD])).await.is(200);
    assert!(reverted["gatebook"].get("staged_change").is_none(), "{}", reverted.text);
    house.admin("default").put(&format!("{}/approve-redirects", client(DEFAULT, &own.id)), json!({})).await.problem(409, "nothing-staged");
}

#[tokio::test]
async fn narrowing_serves_at_once_and_a_swap_narrows_now_and_widens_later() {
    let house = House::open().await;
    let own = own(&house).await;
    own.put(own.with_redirects(&[OLD, NEW])).await.is(200);
    house.admin("default").put(&format!("{}/approve-redirects", client(DEFAULT, &own.id)), json!({})).await.is(200);
    let narrowed = own.put(own.with_redirects(&[NEW])).await.is(200);
    assert_eq!(narrowed["redirect_uris"], json!([NEW]));
    assert!(narrowed["gatebook"].get("staged_change").is_none());
    let swapped = own.put(own.with_redirects(&[OLD])).await.is(200);
    assert_eq!(swapped["redirect_uris"], json!([]));
    assert_eq!(swapped["gatebook"]["staged_change"]["added"], json!([OLD]));
}

#[tokio::test]
async fn a_policy_that_trusts_clients_lets_a_wider_list_serve_at_once() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "redirect_changes": "auto" } })).await;
    let own = own(&house).await;
    let answer = own.put(own.with_redirects(&[OLD, NEW])).await.is(200);
    assert_eq!(answer["redirect_uris"], json!([OLD, NEW]));
    assert!(answer["gatebook"].get("staged_change").is_none());
}

#[tokio::test]
async fn who_was_revoked_or_denied_changes_nothing_and_may_still_leave() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "admission": { "dcr": "review" } } })).await;
    for decision in ["revoke", "deny"] {
        let own = own(&house).await;
        house.admin("default").post(&format!("{}/{decision}", client(DEFAULT, &own.id)), json!({ "reason": "no" })).await.is(200);
        let before = house.head().await;
        own.put(own.with_redirects(&[OLD, NEW])).await.refuses(403, "access_denied");
        assert_eq!(house.head().await, before);
        own.read().await.is(200);
        own.holder.delete(&own.path).await.is(204);
    }
}

#[tokio::test]
async fn g13_g14_deleting_ends_it_at_once_and_for_ever() {
    let house = House::open().await;
    let own = own(&house).await;
    let answer = own.holder.delete(&own.path).await.is(204);
    assert!(answer.text.is_empty());
    let before = house.head().await;
    closed(own.holder.delete(&own.path).await);
    closed(own.read().await);
    closed(own.put(own.with_redirects(&[OLD])).await);
    assert_eq!(house.head().await, before);
    assert_eq!(house.shown(&own.id).await["status"], "deleted");
    assert_eq!(house.names_of(&own.id).await.last().unwrap(), "client.deleted");
}

#[tokio::test]
async fn g14_other_methods_are_405_and_say_which_there_are() {
    let house = House::open().await;
    let own = own(&house).await;
    for method in [Method::POST, Method::PATCH] {
        let answer = own.holder.call(method, &own.path, Some(json!({}))).await.refuses(405, "invalid_request");
        assert_eq!(answer.header("allow"), "GET, PUT, DELETE, OPTIONS");
    }
}

#[tokio::test]
async fn a_client_that_becomes_confidential_is_given_its_first_secret_and_one_that_becomes_public_loses_it() {
    let house = House::open().await;
    let own = own(&house).await;
    let public = json!({ "client_id": own.id, "redirect_uris": [OLD], "token_endpoint_auth_method": "none" });
    let answer = own.put(public.clone()).await.is(200);
    assert!(answer.body.get("client_secret").is_none());
    assert_eq!(house.shown(&own.id).await["has_secret"], false);
    let answer = own.put(own.with_redirects(&[OLD])).await.is(200);
    assert_ne!(answer.text("client_secret"), own.secret);
    assert_eq!(answer["client_secret_expires_at"], 0);
    own.put(json!({ "client_id": own.id, "redirect_uris": [OLD], "client_secret": own.secret }))
        .await
        .refuses(400, "invalid_client_metadata");
}
