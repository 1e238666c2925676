//! Told to stop, the service finishes what it accepted: nobody's answer is cut off, and it ends within seconds.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::instance::{Caller, Instance, claude};
use crate::listed;

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_stands_when_and_only_when_it_was_answered_although_the_service_stops() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let service = Instance::start(&data);
    let address = service.url.strip_prefix("http://").unwrap().to_owned();
    let mut callers = JoinSet::new();
    for caller in 0..16 {
        let address = address.clone();
        callers.spawn_blocking(move || {
            let mut answered = Vec::new();
            // A connection for each call, so that one that fails was refused as a connection and not dropped in the middle.
            while let Some(name) = register(&address, &format!("caller {caller} call {}", answered.len())) {
                answered.push(name);
            }
            answered
        });
    }
    tokio::time::sleep(Duration::from_millis(400)).await;
    service.stop();
    let mut answered = HashSet::new();
    while let Some(names) = callers.join_next().await {
        answered.extend(names.unwrap());
    }

    let service = Instance::start(&data);
    let listed = listed(&Caller::admin(&service, &data)).await;
    let standing: HashSet<String> = listed.values().map(|row| row["client_name"].as_str().unwrap().to_owned()).collect();
    assert!(answered.len() > 16, "{} is no load", answered.len());
    let (lost, unsaid) = (answered.difference(&standing).count(), standing.difference(&answered).count());
    assert_eq!((lost, unsaid), (0, 0), "answered and lost, done and not answered, of {}", answered.len());
    service.stop();
}

/// Registers over a connection of its own and says the client's name, if the service was there. An answer that begins must
/// also end.
fn register(address: &str, name: &str) -> Option<String> {
    let body = json!({ "client_name": name, "redirect_uris": ["https://app.example.com/cb"] }).to_string();
    let mut connection = TcpStream::connect(address).ok()?;
    connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(
        connection,
        "POST /oauth/register HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .ok()?;
    let answer = read_answer(&mut connection)?;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    Some(name.to_owned())
}

/// A whole answer, or none at all where the connection was closed before one began.
fn read_answer(connection: &mut TcpStream) -> Option<String> {
    let mut answer = Vec::new();
    let ended = connection.read_to_end(&mut answer);
    if answer.is_empty() {
        return None;
    }
    let answer = String::from_utf8(answer).unwrap();
    ended.unwrap_or_else(|error| panic!("an answer was cut off: {error}: {answer}"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("an answer was cut off: {answer}"));
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    assert_eq!(length.unwrap().parse::<usize>().unwrap(), body.len(), "an answer was cut off: {answer}");
    Some(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_body_is_still_on_its_way_is_answered_and_a_stream_ends_properly() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut service = Instance::start(&data);
    let address = service.url.strip_prefix("http://").unwrap().to_owned();
    let admin = Caller::admin(&service, &data);
    let mut stream = admin.request(Method::GET, "/authsec/audit/stream?after=0", None).send().await.unwrap();
    assert_eq!(stream.status().as_u16(), 200);
    let first = stream.chunk().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("resource_server.created"), "{first:?}");
    // An idle connection that is kept open must not keep the service from ending.
    let idle = Caller::anyone(&service);
    idle.get("/health").await;

    let body = claude(41_000).to_string();
    let (one, other) = body.split_at(body.len() / 2);
    let mut slow = TcpStream::connect(&address).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(
        slow,
        "POST /oauth/register HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{one}",
        body.len()
    )
    .unwrap();
    // Long enough for the service to have begun with it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    service.terminate();
    let told = Instant::now();
    // The stream ends as a stream ends, while the call is still open.
    while let Some(chunk) = stream.chunk().await.expect("the stream was cut off") {
        assert!(told.elapsed() < Duration::from_secs(5), "the stream goes on: {chunk:?}");
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    slow.write_all(other.as_bytes()).unwrap();
    let answer = read_answer(&mut slow).expect("a call that was under way was not answered");
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert!(service.wait(Duration::from_secs(3)).success());
    assert!(TcpStream::connect(&address).is_err(), "somebody still listens");
}

/// A supervisor may change its mind at once.
#[test]
fn a_service_that_has_just_said_that_it_listens_can_be_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for _ in 0..20 {
        let (greeting, complaints) = Instance::start(&data).stop();
        assert!(greeting.starts_with("listening on http://127.0.0.1:"), "{greeting}");
        assert_eq!(complaints, "");
    }
}
