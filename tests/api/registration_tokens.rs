//! Initial access tokens (RFC 7591 §3): who may issue them, what they open, and who came by them.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::house::{Caller, DEFAULT, House, client, clients};

fn tokens(server: &str) -> String {
    format!("/authsec/resource-servers/{server}/registration-tokens")
}

async fn issue(house: &House, members: Value) -> Answer {
    house.admin("default").post(&tokens(DEFAULT), members).await.is(201)
}

/// Whoever holds a token that was issued with these members.
async fn holder(house: &House, members: Value) -> Caller<'_> {
    house.holder(&issue(house, members).await.text("initial_access_token"))
}

async fn want_tokens(house: &House) {
    house.edit_default(json!({ "policy": { "require_initial_access_token": true } })).await;
}

fn app() -> Value {
    json!({ "client_name": "App", "redirect_uris": ["https://app.example/cb"] })
}

#[tokio::test]
async fn r3_where_a_token_is_wanted_nobody_registers_without_one() {
    let house = House::open().await;
    want_tokens(&house).await;
    let head = house.head().await;
    for path in ["/oauth/register", &format!("/rs/{DEFAULT}/oauth/register")] {
        let answer = house.anyone().post(path, app()).await.refuses(401, "invalid_token");
        assert_eq!(answer.header("www-authenticate"), "Bearer", "RFC 6750 section 3.1: no error where nothing was presented");
    }
    assert_eq!(house.head().await, head, "a refusal leaves nothing behind");
    holder(&house, json!({ "label": "ci" })).await.post("/oauth/register", app()).await.is(201);
    // Administrators still enter clients, and one who cannot register at all is told so.
    house.entered("ci").await;
    house.edit_default(json!({ "registration_modes": ["prereg"] })).await;
    house.anyone().post("/oauth/register", app()).await.refuses(403, "access_denied");
}

#[tokio::test]
async fn r3_every_bad_token_gets_the_same_answer_whether_or_not_one_is_wanted() {
    let house = House::open().await;
    let elsewhere = house.server("default", json!({ "name": "Other", "resource": "https://other.example/mcp" })).await;
    let foreign = house.server("acme", json!({ "name": "Acme" })).await;
    let spent = issue(&house, json!({ "label": "once", "max_uses": 1 })).await;
    let once = house.holder(&spent.text("initial_access_token"));
    once.post("/oauth/register", app()).await.is(201);
    let revoked = issue(&house, json!({ "label": "revoked" })).await;
    house.admin("default").delete(&format!("{}/{}", tokens(DEFAULT), revoked.text("id"))).await.is(204);
    let short = issue(&house, json!({ "label": "short", "expires_at": "2027-01-15T08:00:01Z" })).await;
    house.clock.advance(TimeDelta::seconds(1));
    let other = house.admin("default").post(&tokens(&elsewhere), json!({ "label": "other" })).await.is(201);
    let another = house.admin("acme").post(&tokens(&foreign), json!({ "label": "acme" })).await.is(201);
    let good = issue(&house, json!({ "label": "good" })).await.text("initial_access_token");
    let here = format!("/rs/{DEFAULT}/oauth/register");
    let registered = house.anyone().post(&here, app()).await.is(201);

    let bad = [
        spent.text("initial_access_token"),
        revoked.text("initial_access_token"),
        short.text("initial_access_token"),
        other.text("initial_access_token"),
        another.text("initial_access_token"),
        format!("{}{}", &good[..good.len() - 1], if good.ends_with('A') { 'E' } else { 'A' }),
        format!("{good}x"),
        good.replace("gbi_6", "gbi_7"),
        good.to_uppercase(),
        "gbi_".to_owned(),
        "something else".to_owned(),
        registered.text("registration_access_token"),
    ];
    let mut answers = Vec::new();
    for wanted in [false, true] {
        house.edit_default(json!({ "policy": { "require_initial_access_token": wanted } })).await;
        let head = house.head().await;
        for token in &bad {
            for body in [app(), json!({ "redirect_uris": 7 })] {
                let answer = house.holder(token).post(&here, body).await.refuses(401, "invalid_token");
                answers.push((answer.text.clone(), answer.header("www-authenticate").to_owned()));
            }
        }
        assert_eq!(house.head().await, head, "a refusal leaves nothing behind");
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0].1, "Bearer error=\"invalid_token\"");
    house.holder(&good).post(&here, app()).await.is(201);
}

#[tokio::test]
async fn a_token_takes_its_client_to_its_own_resource_server() {
    let house = House::open().await;
    let other = house.server("default", json!({ "name": "Other", "resource": "https://other.example/mcp" })).await;
    let made = house.admin("default").post(&tokens(&other), json!({ "label": "other" })).await.is(201);
    let holder = house.holder(&made.text("initial_access_token"));
    let named = json!({ "redirect_uris": ["https://app.example/cb"], "resource": "https://other.example/mcp" });
    for (path, body) in [("/oauth/register", app()), ("/oauth/register", named.clone()), (&format!("/rs/{other}/oauth/register"), named)] {
        let answer = holder.post(path, body).await.is(201);
        assert_eq!(answer["gatebook"]["resource_server_id"], *other);
    }
    holder.post(&format!("/rs/{DEFAULT}/oauth/register"), app()).await.refuses(401, "invalid_token");
    let unknown = json!({ "redirect_uris": ["https://app.example/cb"], "resource": "https://nobody.example/mcp" });
    holder.post("/oauth/register", unknown).await.refuses(400, "invalid_target");
    house.admin("default").delete(&format!("/authsec/resource-servers/{other}")).await.is(204);
    holder.post("/oauth/register", app()).await.refuses(404, "invalid_target");
}

#[tokio::test]
async fn of_many_who_register_at_once_exactly_as_many_come_in_as_the_token_has_uses() {
    let house = House::open().await;
    want_tokens(&house).await;
    let made = issue(&house, json!({ "label": "five", "max_uses": 5 })).await;
    let token = made.text("initial_access_token");
    let all = futures_util::future::join_all((0..24).map(|_| {
        let holder = house.holder(&token);
        async move { holder.post("/oauth/register", app()).await }
    }));
    let answers = all.await;
    let mut came: Vec<String> = answers.iter().filter(|answer| answer.status == 201).map(|answer| answer.text("client_id")).collect();
    assert_eq!(came.len(), 5);
    assert!(answers.iter().all(|answer| answer.status == 201 || answer.body["error"] == "invalid_token"));
    let page = house.admin("default").get(&format!("{}/{}", tokens(DEFAULT), made.text("id"))).await.is(200);
    assert_eq!((&page["uses"], &page["state"]), (&json!(5), &json!("used_up")));
    let numbers: Vec<&Value> = page["clients"].as_array().unwrap().iter().map(|entry| &entry["number"]).collect();
    assert_eq!(numbers, [5, 4, 3, 2, 1]);
    let mut named: Vec<String> =
        page["clients"].as_array().unwrap().iter().map(|entry| entry["client_id"].as_str().unwrap().to_owned()).collect();
    came.sort();
    named.sort();
    assert_eq!(came, named, "the token names whom it let in, and nobody else");
}

#[tokio::test]
async fn what_is_refused_for_another_reason_costs_no_use() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "redirect_rules": [{ "kind": "host", "host": "app.example" }] } })).await;
    let made = issue(
        &house,
        json!({ "label": "once", "max_uses": 1, "clamps": { "redirect_rules": [{ "kind": "loopback" },
        { "kind": "host", "host": "app.example", "path_prefix": "/cb" }] } }),
    )
    .await;
    let holder = house.holder(&made.text("initial_access_token"));
    let head = house.head().await;
    holder.post("/oauth/register", json!({ "redirect_uris": 7 })).await.refuses(400, "invalid_redirect_uri");
    for (outside, whose) in [("https://app.example/other", "initial access token"), ("http://localhost/cb", "resource server")] {
        let answer = holder.post("/oauth/register", json!({ "redirect_uris": [outside] })).await.refuses(400, "invalid_redirect_uri");
        assert!(answer.text("error_description").contains(whose), "{}", answer.text);
    }
    assert_eq!(house.head().await, head);
    holder.post("/oauth/register", app()).await.is(201);
}

#[tokio::test]
async fn what_a_token_clamps_stays_clamped_whatever_the_client_asks_later() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "redirect_changes": "auto", "scope_ceiling": "a b c" } })).await;
    let clamps =
        json!({ "scope": "b c d", "grant_types": ["authorization_code"], "redirect_rules": [{ "kind": "host", "host": "app.example" }] });
    let made = issue(&house, json!({ "label": "clamped", "clamps": clamps })).await;
    assert_eq!(made["clamps"]["scope"], "b c d");
    let asked =
        json!({ "redirect_uris": ["https://app.example/cb"], "scope": "a b d", "grant_types": ["authorization_code", "refresh_token"] });
    let own = house.holder(&made.text("initial_access_token")).post("/oauth/register", asked).await.is(201);
    assert_eq!((&own["scope"], &own["grant_types"]), (&json!("b"), &json!(["authorization_code"])));

    let (id, client_holder) = (own.text("client_id"), house.holder(&own.text("registration_access_token")));
    let path = format!("/oauth/register/{id}");
    let wider = json!({ "client_id": id, "redirect_uris": ["https://app.example/cb", "https://app.example/more"],
        "grant_types": ["refresh_token", "authorization_code"] });
    let changed = client_holder.put(&path, wider).await.is(200);
    assert_eq!((&changed["scope"], &changed["grant_types"]), (&json!("b c"), &json!(["authorization_code"])));
    assert_eq!(changed["redirect_uris"], json!(["https://app.example/cb", "https://app.example/more"]));
    let head = house.head().await;
    for outside in ["https://evil.example/cb", "http://localhost/cb"] {
        let body = json!({ "client_id": id, "redirect_uris": ["https://app.example/cb", outside] });
        client_holder.put(&path, body).await.refuses(400, "invalid_redirect_uri");
    }
    client_holder
        .put(&path, json!({ "client_id": id, "grant_types": ["refresh_token"], "redirect_uris": ["https://app.example/cb"] }))
        .await
        .refuses(400, "invalid_client_metadata");
    assert_eq!(house.head().await, head, "a refusal leaves nothing behind");
    // The token's end changes nothing for those who came by it.
    house.admin("default").delete(&format!("{}/{}", tokens(DEFAULT), made.text("id"))).await.is(204);
    client_holder.get(&path).await.is(200);
}

#[tokio::test]
async fn the_way_from_token_to_client_can_be_read_from_both_ends() {
    let house = House::open().await;
    let made = issue(&house, json!({ "label": "Nightly", "max_uses": 9, "expires_at": "2027-06-01T00:00:00Z" })).await;
    let (id, secret) = (made.text("id"), made.text("initial_access_token"));
    assert!(secret.starts_with("gbi_") && secret.contains(&id.replace('-', "")), "{secret}");
    assert_eq!(
        made.body,
        json!({ "id": id, "resource_server_id": DEFAULT, "label": "Nightly", "state": "active", "created_at": "2027-01-15T08:00:00.000000Z",
            "expires_at": "2027-06-01T00:00:00.000000Z", "uses": 0, "max_uses": 9, "clamps": {}, "clients": [], "initial_access_token": secret })
    );
    let came = house.holder(&secret).post("/oauth/register", app()).await.is(201).text("client_id");
    let (path, viewer) = (format!("{}/{id}", tokens(DEFAULT)), house.viewer("default"));
    let shown = viewer.get(&path).await.is(200);
    assert_eq!(shown["clients"], json!([{ "client_id": came, "number": 1, "used_at": "2027-01-15T08:00:00.000000Z" }]));
    let listed = viewer.get(&tokens(DEFAULT)).await.is(200);
    assert_eq!(
        (&listed["registration_tokens"][0]["latest_client_ids"], &listed["registration_tokens"][0]["uses"]),
        (&json!([came]), &json!(1))
    );
    assert_eq!(house.shown(&came).await["initial_access_token_id"], *id);
    assert!(house.shown(&house.registered("Open").await.text("client_id")).await.body.get("initial_access_token_id").is_none());

    let names = ["initial_access_token.used", "client.registered", "registration.requested", "registration.approved"];
    assert_eq!(house.names_of(&came).await, names);
    let events = house.events_of(&came).await;
    let (approved, by_client) = events.split_last().unwrap();
    assert!(by_client.iter().all(|event| event["actor"] == json!({ "kind": "anonymous", "id": id, "via": "dcr" })), "{events:?}");
    assert_eq!(approved["actor"]["kind"], "policy");
    assert_eq!(events[0]["data"], json!({ "client_id": came, "count": 1 }));
    assert_eq!(events[1]["data"]["initial_access_token"], *id);

    let admin = house.admin("default");
    admin.call(Method::DELETE, &path, Some(json!({ "reason": "it leaked" }))).await.is(204);
    let head = house.head().await;
    admin.delete(&path).await.is(204);
    assert_eq!(house.head().await, head, "it is revoked already");
    let shown = viewer.get(&path).await.is(200);
    assert_eq!((&shown["state"], &shown["revoked_because"]), (&json!("revoked"), &json!("it leaked")));
    let trail = house.auditor("default").get("/authsec/audit/events?type=initial_access_token.issued").await.is(200);
    assert_eq!(trail["events"][0]["data"]["token"], "[kept out]");
}

#[tokio::test]
async fn one_who_comes_by_a_token_shares_its_client_with_nobody_and_sharing_opens_no_way_around_a_token() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "instances": "share" } })).await;
    let public = json!({ "redirect_uris": ["http://localhost:1/cb"], "token_endpoint_auth_method": "none" });
    let shared = house.anyone().post("/oauth/register", public.clone()).await.is(201).text("client_id");
    let holder = holder(&house, json!({ "label": "two", "max_uses": 2 })).await;
    let mut ids = vec![shared.clone()];
    for _ in 0..2 {
        let own = holder.post("/oauth/register", public.clone()).await.is(201);
        assert!(own.body["registration_access_token"].is_string());
        ids.push(own.text("client_id"));
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    assert_eq!(house.anyone().post("/oauth/register", public.clone()).await.is(201)["client_id"], *shared);
    want_tokens(&house).await;
    house.anyone().post("/oauth/register", public).await.refuses(401, "invalid_token");
}

#[tokio::test]
async fn a_full_register_costs_no_use() {
    let house = House::open().await;
    house.edit_default(json!({ "policy": { "max_clients": 1 } })).await;
    house.registered("First").await;
    let made = issue(&house, json!({ "label": "once", "max_uses": 1 })).await;
    let holder = house.holder(&made.text("initial_access_token"));
    holder.post("/oauth/register", app()).await.refuses(403, "access_denied");
    house.edit_default(json!({ "policy": { "max_clients": 2 } })).await;
    holder.post("/oauth/register", app()).await.is(201);
}

#[tokio::test]
async fn tokens_and_those_who_came_by_them_are_read_page_by_page() {
    let house = House::open().await;
    for number in 0..3 {
        house.clock.advance(TimeDelta::seconds(1));
        issue(&house, json!({ "label": format!("{number}") })).await;
    }
    let (viewer, mut labels, mut next) = (house.viewer("default"), Vec::new(), String::new());
    loop {
        let page = viewer.get(&format!("{}?limit=2{next}", tokens(DEFAULT))).await.is(200);
        labels.extend(page["registration_tokens"].as_array().unwrap().iter().map(|row| row["label"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(labels, ["2", "1", "0"]);
    let made = issue(&house, json!({ "label": "many" })).await;
    let holder = house.holder(&made.text("initial_access_token"));
    for _ in 0..3 {
        holder.post("/oauth/register", app()).await.is(201);
    }
    let path = format!("{}/{}", tokens(DEFAULT), made.text("id"));
    let first = viewer.get(&format!("{path}?limit=2")).await.is(200);
    let rest = viewer.get(&format!("{path}?limit=2&cursor={}", first.text("next_cursor"))).await.is(200);
    assert_eq!((&first["clients"][1]["number"], &rest["clients"][0]["number"]), (&json!(2), &json!(1)));
    viewer.get(&format!("{path}?cursor=00")).await.problem(400, "invalid-cursor");
}

#[tokio::test]
async fn only_administrators_issue_and_revoke_and_only_within_their_tenant() {
    let house = House::open().await;
    let made = issue(&house, json!({ "label": "ci" })).await;
    let path = format!("{}/{}", tokens(DEFAULT), made.text("id"));
    let head = house.head().await;
    for reader in [house.viewer("default"), house.auditor("default")] {
        reader.post(&tokens(DEFAULT), json!({ "label": "x" })).await.problem(403, "forbidden");
        reader.delete(&path).await.problem(403, "forbidden");
        reader.get(&path).await.is(200);
        reader.get(&tokens(DEFAULT)).await.is(200);
    }
    let stranger = house.admin("acme");
    stranger.post(&tokens(DEFAULT), json!({ "label": "x" })).await.problem(404, "not-found");
    stranger.get(&tokens(DEFAULT)).await.problem(404, "not-found");
    stranger.get(&path).await.problem(404, "not-found");
    stranger.delete(&path).await.problem(404, "not-found");
    house.anyone().get(&path).await.problem(401, "unauthorized");
    house.holder(&made.text("initial_access_token")).get(&path).await.problem(401, "unauthorized");
    let admin = house.admin("default");
    for nowhere in ["no-id", DEFAULT] {
        admin.get(&format!("{}/{nowhere}", tokens(DEFAULT))).await.problem(404, "not-found");
        admin.delete(&format!("{}/{nowhere}", tokens(DEFAULT))).await.problem(404, "not-found");
    }
    for bad in [
        json!({}),
        json!({ "label": "" }),
        json!({ "label": "x", "max_uses": 0 }),
        json!({ "label": "x", "max_uses": -1 }),
        json!({ "label": "x", "expires_at": "2027-01-15T08:00:00Z" }),
        json!({ "label": "x", "expires_at": "soon" }),
        json!({ "label": "x", "clamps": { "redirect_rules": [{ "kind": "exact", "uri": "http://evil.example/" }] } }),
        json!({ "label": "x", "clamps": { "scope": "a  b" } }),
        json!({ "label": "x", "clamps": { "grants": [] } }),
        json!({ "label": "x", "colour": "blue" }),
    ] {
        admin.post(&tokens(DEFAULT), bad).await.problem(400, "invalid-request");
    }
    assert_eq!(house.head().await, head, "what was refused left nothing behind");
    assert_eq!(admin.get(&clients(DEFAULT)).await.is(200)["clients"], json!([]));
    admin.get(&client(DEFAULT, "nobody")).await.problem(404, "not-found");
}
