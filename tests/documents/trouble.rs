//! Documents that are out of reach, taken away or broken, and what comes back.

use chrono::TimeDelta;
use serde_json::json;

use crate::HERE;
use crate::THERE;
use crate::admin;
use crate::ask;
use crate::house::House;
use crate::refresh;
use crate::rules;
use crate::serves;
use crate::shown;
use crate::story;
use crate::until;
use crate::with_a_client;

#[tokio::test]
async fn while_the_host_is_out_of_reach_the_last_good_document_serves_and_that_is_told_once() {
    let (house, author) = with_a_client().await;
    author.answers(503);
    for _ in 0..3 {
        assert_eq!(refresh(&house, &author).await["refresh"]["trouble"], "server_error");
    }
    assert!(serves(&house, &author, HERE).await);
    let answer = ask(&house, &author, json!({})).await;
    assert!(answer["warnings"].as_array().unwrap().contains(&json!("document_unreachable")), "{}", answer.text);
    assert_eq!(shown(&house, &author).await["manifest"]["health"], "unreachable");
    author.answers(200);
    refresh(&house, &author).await;
    assert_eq!(shown(&house, &author).await["manifest"]["health"], "good");
    let story = story(&house, &author).await;
    let told = |name: &str| story.iter().filter(|known| *known == name).count();
    assert_eq!((told("client.manifest_unreachable"), told("client.manifest_recovered")), (1, 1), "{story:?}");
}

#[tokio::test]
async fn the_last_good_document_does_not_serve_for_ever() {
    let (house, author) = with_a_client().await;
    author.answers(503);
    refresh(&house, &author).await;
    house.clock.advance(TimeDelta::days(6));
    refresh(&house, &author).await;
    assert!(serves(&house, &author, HERE).await);
    house.clock.advance(TimeDelta::days(1));
    refresh(&house, &author).await;
    let answer = ask(&house, &author, json!({})).await;
    assert_eq!((&answer["decision"], &answer["reason"]), (&json!("deny"), &json!("manifest_withdrawn")));
}

#[tokio::test]
async fn a_document_that_is_gone_or_broken_suspends_its_client_until_it_is_back() {
    for break_it in 0..3 {
        let (house, author) = with_a_client().await;
        match break_it {
            0 => author.answers(410),
            1 => author.answers(404),
            _ => author.says(json!({ "client_id": "https://other.example/client.json" })),
        }
        refresh(&house, &author).await;
        refresh(&house, &author).await;
        let row = shown(&house, &author).await;
        assert_eq!(
            (&row["status"], &row["reason"], &row["manifest"]["health"]),
            (&json!("suspended"), &json!("manifest_withdrawn"), &json!("withdrawn"))
        );
        let answer = ask(&house, &author, json!({ "redirect_uri": HERE })).await;
        assert_eq!(answer["reason"], "manifest_withdrawn");
        author.answers(200);
        author.claims(&[HERE, THERE]);
        refresh(&house, &author).await;
        assert!(serves(&house, &author, HERE).await);
        assert!(!serves(&house, &author, THERE).await, "what comes back wider waits like any other widening");
        let story = story(&house, &author).await;
        let told = |name: &str| story.iter().filter(|known| *known == name).count();
        assert_eq!((told("client.manifest_withdrawn"), told("client.manifest_recovered")), (1, 1), "{story:?}");
    }
}

#[tokio::test]
async fn a_policy_may_keep_those_whose_document_is_gone() {
    let (house, author) = with_a_client().await;
    rules(&house, json!({ "manifests": { "on_withdrawal": "keep" } })).await;
    author.answers(404);
    refresh(&house, &author).await;
    assert!(serves(&house, &author, HERE).await);
    assert_eq!(shown(&house, &author).await["status"], "approved");
}

#[tokio::test]
async fn a_document_is_asked_for_on_condition_and_whole_after_trouble() {
    let (house, author) = with_a_client().await;
    author.tags("\"v1\"");
    refresh(&house, &author).await;
    assert_eq!(author.asked(), (2, 0));
    refresh(&house, &author).await;
    assert_eq!(author.asked(), (3, 1), "what is known is named");
    author.answers(500);
    refresh(&house, &author).await;
    author.answers(200);
    refresh(&house, &author).await;
    assert_eq!(author.asked(), (5, 2));
    assert_eq!(shown(&house, &author).await["manifest"]["health"], "good");
}

#[tokio::test]
async fn documents_are_read_again_by_themselves_and_after_a_restart_too() {
    let (house, author) = with_a_client().await;
    author.claims(&[HERE, THERE]);
    // A poll that was under way when the document changed comes again an hour later.
    let mut looks = 0_u32;
    let staged = async || {
        if looks.is_multiple_of(100) {
            house.clock.advance(TimeDelta::hours(2));
        }
        looks += 1;
        shown(&house, &author).await.body.get("staged_change").is_some()
    };
    until("a staged change", staged).await;
    let later = house.clock.now() + TimeDelta::hours(4);
    let folder = house.end().await;
    author.claims(&[HERE]);
    let house = House::begin(folder, later, |settings| settings.allow_loopback_manifests = Some(true)).await;
    until("a withdrawn change", async || shown(&house, &author).await.body.get("staged_change").is_none()).await;
    admin(&house).get("/authsec/approvals").await.is(200);
}
