//! Two nodes do as one: what is written at either is seen at both, at once where a caller says so and soon where not.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::instance::{Caller, DEFAULT_SERVER, answer};
use crate::nodes::{Cluster, decision, listed_after, register, until};

/// What is written at one node has to be seen at the other's doors within this. It takes milliseconds; a busy machine gets more.
const SOON: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_at_one_node_is_read_at_the_other() {
    let Some(cluster) = Cluster::start("two nodes", 1) else { return };
    let (one, other) = (cluster.node(0, &[]), cluster.node(1, &[]));
    let (at_one, at_other) = (Caller::anyone(&one), Caller::anyone(&other));
    let (admin_one, admin_other) = (cluster.admin(&one), cluster.admin(&other));
    for turn in 0..20 {
        let ((from, to), (admin_from, admin_to)) = if turn % 2 == 0 {
            ((&at_one, &at_other), (&admin_one, &admin_other))
        } else {
            ((&at_other, &at_one), (&admin_other, &admin_one))
        };
        // A client that it has never heard of is asked for at the cluster.
        let (client_id, token) = register(from, &format!("client {turn}")).await;
        let own = to.with(&token).get(&format!("/oauth/register/{client_id}")).await;
        assert_eq!(own["client_id"], client_id.as_str());
        assert_eq!(decision(admin_to, &client_id).await.1["decision"], "allow");
        // What it knows in part waits for what a caller names.
        let path = format!("{DEFAULT_SERVER}/clients/{client_id}/suspend");
        let request = admin_from.request(Method::POST, &path, Some(&json!({ "reason": "for the test" })));
        let response = request.send().await.unwrap();
        let position = response.headers()["gatebook-position"].to_str().unwrap().to_owned();
        let row = listed_after(admin_to, &position).await.unwrap().into_iter().find(|row| row["client_id"] == client_id.as_str()).unwrap();
        assert_eq!(row["status"], "suspended");
        let asked = admin_to.request(Method::POST, "/oauth/decisions", Some(&json!({ "client_id": client_id })));
        let (status, said) = answer(asked.header("gatebook-position", &position)).await.unwrap();
        assert_eq!((status, &said["decision"]), (200, &json!("deny")), "{said}");
    }
    // Both have the same lists and the same history, in the same order.
    let head = admin_one.get("/authsec/cluster").await["nodes"][0]["position"].as_str().unwrap().to_owned();
    listed_after(&admin_other, &head).await.unwrap();
    let (mut left, mut right) = (admin_one.everything().await, admin_other.everything().await);
    without_uses(&mut left);
    without_uses(&mut right);
    assert!(left == right, "the nodes show different things");
}

#[tokio::test(flavor = "multi_thread")]
async fn b9_only_a_caller_that_is_known_waits_for_a_position_that_this_node_has_not_heard_of() {
    let Some(cluster) = Cluster::start("positions of the future", 3) else { return };
    // The longest that a read may wait: whoever waits here does not come back within the patience of this test.
    let one = cluster.node(0, &["--read-wait", "2"]);
    let (at_one, admin) = (Caller::anyone(&one), cluster.admin(&one));
    let question = json!({ "client_id": "x" });
    let ask = async |caller: &Caller| {
        let asked = std::time::Instant::now();
        let request = caller.request(Method::POST, "/oauth/decisions", Some(&question)).header("gatebook-position", "999999999");
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.headers().contains_key("retry-after"), asked.elapsed() >= Duration::from_secs(2))
    };
    assert_eq!(ask(&at_one).await, (503, true, false), "it is told at once to come back");
    assert_eq!(ask(&at_one.with("no token")).await, (503, true, false));
    let (status, _, waited) = ask(&admin).await;
    assert_eq!((status, waited), (503, true), "it waits, and then it is said");
}

#[tokio::test(flavor = "multi_thread")]
async fn revocations_and_modes_are_seen_at_the_other_nodes_doors_in_time() {
    let Some(cluster) = Cluster::start("doors of two nodes", 3) else { return };
    let (one, other) = (cluster.node(0, &[]), cluster.node(1, &[]));
    let (admin_one, admin_other) = (cluster.admin(&one), cluster.admin(&other));
    let (at_one, at_other) = (Caller::anyone(&one), Caller::anyone(&other));
    let mut longest = (Duration::ZERO, Duration::ZERO);
    for turn in 0..20 {
        let (client_id, _) = register(&at_one, &format!("client {turn}")).await;
        assert_eq!(decision(&admin_other, &client_id).await.1["decision"], "allow");
        let path = format!("{DEFAULT_SERVER}/clients/{client_id}/revoke");
        admin_one.post(&path, &json!({ "reason": "for the test" })).await;
        let seen =
            until("the revocation is seen", async || (decision(&admin_other, &client_id).await.1["decision"] == "deny").then_some(()));
        longest.0 = longest.0.max(seen.await.1);

        // The door for clients that register themselves is shut at one node and opened at the other.
        for (modes, status) in [(json!(["cimd", "prereg"]), 403), (json!(["dcr", "cimd", "prereg"]), 201)] {
            let (status_now, body) =
                admin_one.call(Method::PATCH, DEFAULT_SERVER, Some(&json!({ "registration_modes": modes }))).await.unwrap();
            assert_eq!(status_now, 200, "{body}");
            let body = json!({ "client_name": "late", "redirect_uris": ["http://localhost/cb"], "token_endpoint_auth_method": "none" });
            let seen = until("the modes are seen", async || {
                let (answered, _) = at_other.call(Method::POST, "/oauth/register", Some(&body)).await.unwrap();
                (answered == status).then_some(())
            });
            longest.1 = longest.1.max(seen.await.1);
        }
    }
    println!("seen at the other node's doors after at most: a revocation {:?}, modes {:?}", longest.0, longest.1);
    assert!(longest.0 < SOON && longest.1 < SOON, "{longest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_answers_nothing_once_what_it_knows_may_be_past() {
    let Some(cluster) = Cluster::start("a node that is cut off", 1) else { return };
    let node = cluster.node(0, &["--max-staleness", "2"]);
    let (anyone, admin) = (Caller::anyone(&node), cluster.admin(&node));
    let (client_id, _) = register(&anyone, "cut off").await;
    assert_eq!(decision(&admin, &client_id).await.0, 200);
    cluster.nats.pause(0);
    let paused = Instant::now();
    let (status, took) = until("the doors shut", async || {
        let (status, _) = decision(&admin, &client_id).await;
        (status != 200).then_some(status)
    })
    .await;
    println!("a node that was cut off, and may answer by what is 2 s old, shut its doors after {took:?}");
    assert_eq!(status, 503);
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert_eq!(anyone.call(Method::GET, "/health", None).await.unwrap().0, 503);
    cluster.nats.go_on(0);
    until("the doors open again", async || (decision(&admin, &client_id).await.0 == 200).then_some(())).await;
    register(&anyone, "after").await;
    println!("and opened them again {:?} after it was cut off", paused.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_idempotency_key_is_one_client_at_both_nodes_and_one_reservation_is_shared() {
    let Some(cluster) = Cluster::start("what nodes agree on", 1) else { return };
    let (one, other) = (cluster.node(0, &[]), cluster.node(1, &[]));
    let (admin_one, admin_other) = (cluster.admin(&one), cluster.admin(&other));
    let body = json!({ "client_name": "job", "redirect_uris": ["https://ci.example.com/cb"] });
    let enter = async |admin: &Caller| {
        let request = admin.request(Method::POST, &format!("{DEFAULT_SERVER}/clients"), Some(&body)).header("idempotency-key", "once");
        answer(request).await.unwrap()
    };
    let (left, right) = tokio::join!(enter(&admin_one), enter(&admin_other));
    assert_eq!((left.0, right.0), (201, 201), "{} {}", left.1, right.1);
    assert_eq!((&left.1["client_id"], &left.1["client_secret"]), (&right.1["client_id"], &right.1["client_secret"]));

    let (status, shared) =
        admin_one.call(Method::PATCH, DEFAULT_SERVER, Some(&json!({ "policy": { "instances": "share" } }))).await.unwrap();
    assert_eq!(status, 200, "{shared}");
    let head = admin_one.get("/authsec/cluster").await["nodes"][0]["position"].as_str().unwrap().to_owned();
    listed_after(&admin_other, &head).await.unwrap();
    let body =
        json!({ "client_name": "Claude Code", "redirect_uris": ["http://localhost/callback"], "token_endpoint_auth_method": "none" });
    until("the policy is known at both", async || {
        let at_other = Caller::anyone(&other).post("/oauth/register", &body).await;
        at_other["registration_access_token"].is_null().then_some(())
    })
    .await;
    let all: Vec<_> = (0..8).map(|n| Caller::anyone(if n % 2 == 0 { &one } else { &other })).collect();
    let named = futures_util::future::join_all(all.iter().map(|caller| caller.post("/oauth/register", &body))).await;
    assert!(named.iter().all(|answer| answer["client_id"] == named[0]["client_id"]), "{named:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_initial_access_token_is_used_no_more_often_than_it_may_at_both_nodes_together() {
    let Some(cluster) = Cluster::start("uses at two nodes", 1) else { return };
    let (one, other) = (cluster.node(0, &[]), cluster.node(1, &[]));
    let admin = cluster.admin(&one);
    let issued = admin.post(&format!("{DEFAULT_SERVER}/registration-tokens"), &json!({ "label": "five", "max_uses": 5 })).await;
    let token = issued["initial_access_token"].as_str().unwrap().to_owned();
    let body = json!({ "client_name": "invited", "redirect_uris": ["http://localhost/cb"], "token_endpoint_auth_method": "none" });
    let callers: Vec<_> = (0..12).map(|n| Caller::anyone(if n % 2 == 0 { &one } else { &other }).with(&token)).collect();
    let calls = callers.iter().map(|caller| caller.call(Method::POST, "/oauth/register", Some(&body)));
    let answers = futures_util::future::join_all(calls).await;
    let statuses: Vec<u16> = answers.into_iter().map(|answer| answer.unwrap().0).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 5, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 7, "{statuses:?}");
}

/// When a client was used is known to the node that saw it.
fn without_uses(shown: &mut Value) {
    match shown {
        Value::Object(members) => {
            members.retain(|name, _| !matches!(name.as_str(), "first_seen_at" | "last_seen_at"));
            members.values_mut().for_each(without_uses);
        }
        Value::Array(items) => items.iter_mut().for_each(without_uses),
        _ => {}
    }
}
