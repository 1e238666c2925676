//! What a monitoring system reads, on a listener of its own.
#![expect(clippy::float_cmp, reason = "whole numbers, as the text has them")]

use std::collections::BTreeMap;

use chrono::TimeDelta;
use gatebook::http;
use serde_json::json;
use tokio::net::TcpListener;

use crate::HERE;
use crate::admin;
use crate::ask;
use crate::author::Author;
use crate::house::House;
use crate::refresh;
use crate::until;
use crate::with_a_client;

/// The samples of a page by name and labels, as they are written.
async fn scraped(house: &House) -> BTreeMap<String, f64> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    let service = http::metrics_router(house.app.services().clone());
    let server = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    let response = reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    let page = response.text().await.unwrap();
    server.abort();
    assert!(page.ends_with("# EOF\n"), "{page}");
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.rsplit_once(' ').unwrap()).map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

#[tokio::test]
async fn a_scrape_tells_what_happened_and_how_far_everything_is() {
    let (house, author) = with_a_client().await;
    house.registered("App").await;
    house.entered("Job").await;
    house.anyone().post("/oauth/register", json!({ "redirect_uris": ["http://evil.example/cb"] })).await.is(400);
    ask(&house, &author, json!({ "redirect_uri": "https://elsewhere.example/cb" })).await;
    author.tags("\"v1\"");
    refresh(&house, &author).await;
    refresh(&house, &author).await;
    let read = scraped(&house).await;
    for (name, expected) in [
        ("gatebook_registrations_total{type=\"cimd\",outcome=\"registered\"}", 1.0),
        ("gatebook_registrations_total{type=\"dcr\",outcome=\"registered\"}", 1.0),
        ("gatebook_registrations_total{type=\"dcr\",outcome=\"refused\"}", 1.0),
        ("gatebook_registrations_total{type=\"prereg\",outcome=\"registered\"}", 1.0),
        ("gatebook_decisions_total{outcome=\"allow\"}", 1.0),
        ("gatebook_decisions_total{outcome=\"deny\"}", 1.0),
        ("gatebook_document_fetches_total{outcome=\"read\"}", 2.0),
        ("gatebook_document_fetches_total{outcome=\"not_modified\"}", 1.0),
        ("gatebook_projection_up{projection=\"history\"}", 1.0),
        ("gatebook_polls_due", 0.0),
        ("gatebook_polls_overdue", 0.0),
    ] {
        assert_eq!(read.get(name), Some(&expected), "{name}: {read:#?}");
    }
    let head: f64 = house.head().await.to_string().parse().unwrap();
    assert_eq!(read["gatebook_log_head"], head);
    assert!(read["gatebook_appends_total"] >= 7.0 && read["gatebook_appends_total"] <= head, "{read:#?}");
    for name in ["directory", "approvals", "history"] {
        let (position, lag) = (
            read[&format!("gatebook_projection_position{{projection=\"{name}\"}}")],
            read[&format!("gatebook_projection_lag{{projection=\"{name}\"}}")],
        );
        assert!((position + lag - head).abs() < f64::EPSILON, "{name} {position} {lag}");
    }
}

#[tokio::test]
async fn documents_are_counted_by_their_health_and_polls_by_how_late_they_are() {
    let (house, author) = with_a_client().await;
    let health = async |health: &str| scraped(&house).await[&format!("gatebook_documents{{health=\"{health}\"}}")];
    until("a good document", async || health("good").await == 1.0).await;
    assert_eq!((health("unreachable").await, health("withdrawn").await), (0.0, 0.0));
    author.answers(503);
    refresh(&house, &author).await;
    until("an unreachable document", async || health("unreachable").await == 1.0).await;
    author.answers(410);
    refresh(&house, &author).await;
    until("a withdrawn document", async || health("withdrawn").await == 1.0).await;
    let read = scraped(&house).await;
    assert_eq!(read["gatebook_document_fetches_total{outcome=\"server_error\"}"], 1.0);
    assert_eq!(read["gatebook_document_fetches_total{outcome=\"gone\"}"], 1.0);
}

#[tokio::test]
async fn no_label_says_which_client_or_which_host_and_the_public_listener_has_no_such_page() {
    let (house, author) = with_a_client().await;
    let other = Author::publish(&[HERE]).await;
    admin(&house)
        .post("/authsec/resource-servers/67617465-626f-4f6b-8000-000000000001/clients/cimd", json!({ "client_id": other.url() }))
        .await
        .is(201);
    let read = scraped(&house).await;
    let names: Vec<&str> = read.keys().map(String::as_str).collect();
    for word in [author.url(), "127.0.0.1".to_owned(), "app.example".to_owned(), "67617465".to_owned()] {
        assert!(names.iter().all(|name| !name.contains(&word)), "{word} in {names:?}");
    }
    house.anyone().get("/metrics").await.is(404);
    house.admin("default").get("/metrics").await.is(404);
}

#[tokio::test]
async fn polls_that_do_not_happen_are_overdue() {
    let house = House::with(|settings| settings.allow_loopback_manifests = Some(true)).await;
    let author = Author::publish(&[HERE]).await;
    ask(&house, &author, json!({})).await;
    house.app.close().await;
    house.clock.advance(TimeDelta::days(2));
    let read = scraped(&house).await;
    assert_eq!((read["gatebook_polls_due"], read["gatebook_polls_overdue"]), (1.0, 1.0));
}
