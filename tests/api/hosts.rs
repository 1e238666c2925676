//! A request that does not say once whom it is for, as nothing but a plain socket can send it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::house::House;

/// The answer to a request line with these header lines.
async fn answer(house: &House, line: &str, headers: &str) -> String {
    let mut socket = TcpStream::connect(house.url().strip_prefix("http://").unwrap()).await.unwrap();
    socket.write_all(format!("{line}\r\n{headers}Connection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn w11_a_request_without_a_host_or_with_two_is_400_everywhere() {
    let house = House::open().await;
    for path in ["/health", "/oauth/register", "/.well-known/jwks.json", "/authsec/resource-servers", "/ui", "/nothing"] {
        for (headers, reason) in [
            ("", "the request has no Host header"),
            ("Host: a.example\r\nHost: a.example\r\n", "the request has more than one Host header"),
            ("Host: a.example\r\nHost: b.example\r\n", "the request has more than one Host header"),
            ("Host:\r\n", "the Host header is not a host with an optional port"),
            ("Host: a@b.example\r\n", "the Host header is not a host with an optional port"),
        ] {
            let text = answer(&house, &format!("GET {path} HTTP/1.1"), headers).await;
            assert!(text.starts_with("HTTP/1.1 400 ") && text.contains(reason), "{path} {headers:?}: {text}");
            assert!(text.to_lowercase().contains("x-request-id: "), "{text}");
            let problem = text.contains("application/problem+json");
            assert_eq!(problem, !path.starts_with("/oauth") && !path.starts_with("/.well-known"), "{path}: {text}");
        }
    }
    for (line, headers) in [
        ("GET /health HTTP/1.1", "Host: gate.example\r\n"),
        ("GET /health HTTP/1.1", "Host: [::1]:8080\r\n"),
        ("GET http://gate.example/health HTTP/1.1", "Host: gate.example\r\n"),
        ("GET /health HTTP/1.0", ""),
    ] {
        let text = answer(&house, line, headers).await;
        assert!(text.split(' ').nth(1) == Some("200"), "{line} {headers:?}: {text}");
    }
}
