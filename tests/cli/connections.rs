//! What the server bounds below everything that it serves: connections, heads, bodies and pauses.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::place;
use crate::flag;
use crate::instance::{Instance, gatebook, run, said};

/// Far longer than any bound that is set here.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection from an address of this machine, each of which is a source of its own.
fn connect(service: &Instance, from: u8) -> TcpStream {
    let address: SocketAddr = service.url.strip_prefix("http://").unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, from), 0))).unwrap();
        socket.connect(address).await.unwrap()
    });
    let stream = stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// All that comes until the service closes the connection, which it must do in time.
fn to_its_end(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the connection is still open: {error}"),
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn ask(stream: &mut TcpStream, close: bool) -> String {
    let connection = if close { "close" } else { "keep-alive" };
    write!(stream, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n").unwrap();
    if close {
        return to_its_end(stream);
    }
    let mut buffer = [0; 16 * 1024];
    let read = stream.read(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

#[test]
fn b4_connections_of_one_source_are_bounded_and_others_get_in() {
    let (_folder, data) = place();
    let service = Instance::start_with(&data, &["--max-connections-per-source", "4"]);
    let mut held: Vec<TcpStream> = (0..4).map(|_| connect(&service, 2)).collect();
    for stream in &mut held {
        assert!(ask(stream, false).starts_with("HTTP/1.1 200"));
    }
    // This machine's own addresses are let in for one call each beyond the bound; so many at a time.
    let brief: Vec<TcpStream> = (0..16).map(|_| connect(&service, 2)).collect();
    let refused = ask(&mut connect(&service, 2), true);
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 1\r\n"), "{refused}");
    assert!(refused.contains("there are too many connections from this source"), "{refused}");
    assert!(ask(&mut connect(&service, 3), true).starts_with("HTTP/1.1 200"), "another source");
    drop(brief);
    let health = said(run(&["health", "--url", &service.url]));
    assert!(health.contains("\"ok\""), "{health}");
    // Once one is closed, the next comes in as before.
    drop(held.pop());
    let started = Instant::now();
    loop {
        let mut again = connect(&service, 2);
        if !ask(&mut again, false).contains("connection: close") {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "the place is not free again");
    }
}

#[test]
fn b4_where_all_connections_are_taken_one_that_stands_still_makes_room() {
    let (_folder, data) = place();
    let service = Instance::start_with(&data, &["--max-connections", "3", "--max-connections-per-source", "0"]);
    let mut held: Vec<TcpStream> = (0..3).map(|_| connect(&service, 2)).collect();
    let mut newcomer = connect(&service, 3);
    let answer = ask(&mut newcomer, false);
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("connection: close"), "{answer}");
    assert_eq!(to_its_end(&mut held[0]), "", "the one that stood still for longest");
    assert!(ask(&mut held[2], true).starts_with("HTTP/1.1 200"));
}

#[test]
fn b4_a_head_that_is_trickled_and_a_connection_that_is_left_alone_are_closed() {
    let (_folder, data) = place();
    let service = Instance::start_with(&data, &["--head-seconds", "1", "--idle-seconds", "2"]);
    let (mut silent, mut slow, mut idle) = (connect(&service, 2), connect(&service, 2), connect(&service, 2));
    slow.write_all(b"GET /health HTTP/1.1\r\nHost: local").unwrap();
    assert!(ask(&mut idle, false).starts_with("HTTP/1.1 200"));
    assert_eq!((to_its_end(&mut silent), to_its_end(&mut slow), to_its_end(&mut idle)), (String::new(), String::new(), String::new()));
    let mut second = connect(&service, 2);
    assert!(ask(&mut second, false).starts_with("HTTP/1.1 200"));
    second.write_all(b"G").unwrap();
    assert_eq!(to_its_end(&mut second), "", "a second head has its time too");
}

#[test]
fn b4_a_long_head_is_refused() {
    let (_folder, data) = place();
    let service = Instance::start(&data);
    let mut stream = connect(&service, 2);
    let head = format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: {}", "a".repeat(70_000));
    let _refused_meanwhile = stream.write_all(head.as_bytes());
    let answer = to_its_end(&mut stream);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[test]
fn b4_a_form_that_is_trickled_is_answered_in_time() {
    let (_folder, data) = place();
    let service = Instance::start_with(&data, &["--body-seconds", "1"]);
    for (path, media_type) in [("/ui/sign-in", "application/x-www-form-urlencoded"), ("/oauth/register", "application/json")] {
        let mut stream = connect(&service, 2);
        write!(stream, "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\nContent-Length: 100\r\n\r\na").unwrap();
        let answer = to_its_end(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 408"), "{path}: {answer}");
    }
}

#[test]
fn b4_http2_without_tls_is_spoken_only_where_it_is_wanted() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    for (flags, spoken) in [(&[][..], false), (&["--http2"][..], true)] {
        let (_folder, data) = place();
        let service = Instance::start_with(&data, flags);
        let mut stream = connect(&service, 2);
        stream.write_all(PREFACE).unwrap();
        let mut first = [0; 4];
        let settings = stream.read_exact(&mut first).is_ok() && first[3] == 4;
        assert_eq!(settings, spoken, "{flags:?}: {first:?}");
    }
}

#[test]
fn b4_the_service_may_open_as_many_descriptors_as_the_system_lets_it() {
    let (_folder, data) = place();
    let serve = gatebook(&["serve", "--listen", "127.0.0.1:0", "--data", flag(&data)]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -S -n 200; exec \"$0\" \"$@\""]).arg(serve.get_program()).args(serve.get_args());
    let service = Instance::of(shell);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", service.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[3], words[4], "{line}");
    assert_ne!(words[3], "200");
}
