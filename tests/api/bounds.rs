//! What one caller may have at a time: pages that end at their bytes, reads that are under way, event streams that listen.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use gatebook::credentials::admin::Role;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::house::{Caller, DEFAULT, House, clients};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// So many clients that say so much about themselves that three pages do not hold them.
const LARGE: usize = 40;

/// Enters a client with about 60 KB of redirect URIs.
async fn enter_large(house: &House, number: usize) {
    let uris: Vec<String> = (0..30).map(|uri| format!("https://app.example/{number}/{uri}/{}", "a".repeat(1_950))).collect();
    house
        .admin("default")
        .post(&clients(DEFAULT), json!({ "client_name": format!("large {number}"), "redirect_uris": uris }))
        .await
        .is(201);
}

/// Every row of a list, page after page: how long the longest page was, how many pages there were, and how many different rows.
async fn paged(caller: &Caller<'_>, path: &str, list: &str, id: &str) -> (usize, usize, usize) {
    let (mut longest, mut pages, mut rows, mut cursor) = (0, 0, HashSet::new(), String::new());
    loop {
        let mark = if path.contains('?') { '&' } else { '?' };
        let page = caller.get(&format!("{path}{mark}limit=500{cursor}")).await.is(200);
        (longest, pages) = (longest.max(page.text.len()), pages + 1);
        let shown = page[list].as_array().unwrap();
        assert!(!shown.is_empty() || pages > 1, "{path}");
        for row in shown {
            assert!(rows.insert(row[id].to_string()), "{path}: {} is shown twice", row[id]);
        }
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (longest, pages, rows.len()),
        }
    }
}

#[tokio::test]
async fn b5_a_page_ends_at_its_bytes_and_the_next_one_goes_on() {
    let house = House::open().await;
    for number in 0..LARGE {
        enter_large(&house, number).await;
    }
    for sort in ["newest", "oldest", "name"] {
        let (longest, pages, rows) =
            paged(&house.viewer("default"), &format!("{}?sort={sort}", clients(DEFAULT)), "clients", "client_id").await;
        assert_eq!(rows, LARGE, "{sort}");
        assert!(pages >= 3 && longest < 4 * 1024 * 1024, "{sort}: {pages} pages, the longest of {longest} bytes");
    }
    let events: usize = house.head().await.to_string().parse().unwrap();
    let (longest, pages, rows) = paged(&house.auditor("default"), "/authsec/audit/events", "events", "event_id").await;
    assert_eq!(rows, events);
    assert!(pages >= 3 && longest < 2 * 1024 * 1024, "{pages} pages, the longest of {longest} bytes");
    let export = house.auditor("default").get("/authsec/audit/export").await.is(200);
    assert_eq!(export.text.lines().count(), events + 1, "an export is whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn b5_reads_that_are_not_taken_hold_up_their_own_tenant_only() {
    let house = House::with(|settings| settings.max_reads_per_tenant = Some(1)).await;
    for number in 0..2 * LARGE {
        enter_large(&house, number).await;
    }
    let (auditor, other) = (house.auditor("default"), house.auditor("acme"));
    // More than the buffers of a connection hold.
    let unread = unread(&house, "/authsec/audit/export").await;
    let refused = auditor.get(&clients(DEFAULT)).await.problem(429, "temporarily-unavailable");
    assert_eq!((refused.text("detail").as_str(), refused.header("retry-after")), ("too many reads by this caller at a time", "5"));
    other.get("/authsec/resource-servers").await.is(200);
    drop(unread);
    let started = Instant::now();
    while auditor.get(&clients(DEFAULT)).await.status != 200 {
        assert!(started.elapsed() < PATIENCE, "the place is not free again");
    }
}

/// Asks for a page and takes nothing of the answer but its first bytes.
async fn unread(house: &House, path: &str) -> std::net::TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(house.url().strip_prefix("http://").unwrap().parse().unwrap()).await.unwrap();
    let mut stream = stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    let token = house.token("default", Role::Auditor, "otto");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
    tokio::task::spawn_blocking(move || {
        stream.read_exact(&mut [0; 64]).unwrap();
        stream
    })
    .await
    .unwrap()
}

async fn listen(house: &House, tenant: &str, subject: &str) -> Response {
    let caller = house.holder(&house.token(tenant, Role::Auditor, subject));
    caller.request(Method::GET, "/authsec/audit/stream?after=0").send().await.unwrap()
}

#[tokio::test]
async fn b7_event_streams_are_bounded_for_each_caller_each_tenant_and_in_all() {
    let house = House::with(|settings| (settings.max_streams, settings.max_streams_per_subject) = (Some(4), Some(1))).await;
    house.server("acme", json!({ "name": "Acme" })).await;
    house.server("other", json!({ "name": "Other" })).await;
    let mut held = Vec::new();
    for (tenant, subject, refused) in [
        ("default", "otto", None),
        ("default", "otto", Some("too many event streams of this caller at a time")),
        ("default", "olga", None),
        ("default", "omar", Some("too many event streams of this tenant at a time")),
        ("acme", "otto", None),
        ("acme", "olga", None),
        ("other", "otto", Some("too many event streams at a time")),
    ] {
        let response = listen(&house, tenant, subject).await;
        let status = response.status().as_u16();
        if let Some(detail) = refused {
            assert_eq!((status, &response.headers()["retry-after"]), (429, &"30".parse().unwrap()), "{tenant} {subject}");
            let body: Value = response.json().await.unwrap();
            assert_eq!(body["detail"], detail);
        } else {
            assert_eq!(status, 200, "{tenant} {subject}");
            held.push(response);
        }
    }
    drop(held);
    let started = Instant::now();
    while listen(&house, "other", "otto").await.status() != 200 {
        assert!(started.elapsed() < PATIENCE, "the places are not free again");
    }
}

#[tokio::test]
async fn b7_an_event_stream_ends_with_its_token_and_says_so() {
    let house = House::open().await;
    let token = house.token_for("default", Role::Auditor, "otto", TimeDelta::seconds(2));
    let caller = house.holder(&token);
    let mut stream = caller.request(Method::GET, "/authsec/audit/stream?after=0").send().await.unwrap();
    assert_eq!(stream.status(), 200);
    let whole = async {
        let mut text = String::new();
        while let Some(chunk) = stream.chunk().await.unwrap() {
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        text
    };
    let text = tokio::time::timeout(PATIENCE, whole).await.expect("the stream goes on without a token");
    assert!(text.contains("event: resource_server.created\n"), "{text}");
    assert!(text.ends_with(": the token is over\n\nevent: end\ndata: {\"reason\":\"token-expired\"}\n\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn b7_every_stream_of_a_tenant_gets_every_event_once_and_in_order() {
    const STREAMS: usize = 16;
    const CLIENTS: usize = 60;
    let house = House::open().await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(listen(&house, "default", "otto").await);
    }
    let register = async {
        for number in 0..CLIENTS {
            house.registered(&number.to_string()).await;
        }
        house.head().await.to_string()
    };
    let hear = futures_util::future::join_all(streams.iter_mut().map(|stream| async move {
        let (mut text, mut ids) = (String::new(), Vec::<u64>::new());
        // Two events a client, and what a fresh instance has.
        while ids.len() < 2 * CLIENTS {
            text.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
            ids = text.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| id.parse().unwrap()).collect();
        }
        ids
    }));
    let (_, heard) = tokio::time::timeout(PATIENCE, async { tokio::join!(register, hear) }).await.expect("an event does not come");
    for ids in heard {
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        assert!(ids.windows(2).all(|two| two[1] == two[0] + 1), "one is missing: {ids:?}");
    }
}
