//! A request says once whom it is for (RFC 9112 §3.2, RFC 9113 §8.3.1): what a proxy and this service could read differently is
//! refused.

use axum::Json;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::error::{Failure, Problem};
use super::request_id::RequestId;

/// Lets requests through that name one host.
pub async fn must_be_one(request: Request, next: Next) -> Response {
    match wrong(&request) {
        None => next.run(request).await,
        Some(detail) => refuse(&request, detail),
    }
}

fn wrong(request: &Request) -> Option<&'static str> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    // HTTP/2 says it in the target; HTTP/1.0 need not say it at all.
    let needs_none = request.version() == Version::HTTP_10 || (request.version() > Version::HTTP_11 && request.uri().authority().is_some());
    match (first, second) {
        (_, Some(_)) => Some("the request has more than one Host header"),
        (None, None) if needs_none => None,
        (None, None) => Some("the request has no Host header"),
        (Some(host), None) if is_host(host) => None,
        (Some(_), None) => Some("the Host header is not a host with an optional port"),
    }
}

fn is_host(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|text| !text.contains('@') && text.parse::<Authority>().is_ok_and(|authority| !authority.host().is_empty()))
}

fn refuse(request: &Request, detail: &'static str) -> Response {
    let path = request.uri().path();
    let mut response = if ["/oauth/", "/rs/", "/.well-known/"].iter().any(|start| path.starts_with(start)) {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_request", "error_description": detail }))).into_response()
    } else {
        let id = request.extensions().get::<RequestId>().cloned().unwrap_or(RequestId(HeaderValue::from_static("none")));
        Problem(Failure::request(StatusCode::BAD_REQUEST, "invalid-request", detail), id).into_response()
    };
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn asks(version: Version, uri: &str, hosts: &[&'static str]) -> Option<&'static str> {
        let mut request = Request::builder().version(version).uri(uri).body(Body::empty()).unwrap();
        for host in hosts {
            request.headers_mut().append(header::HOST, HeaderValue::from_static(host));
        }
        wrong(&request)
    }

    #[test]
    fn w11_one_host_is_one_host_in_every_version_of_http() {
        for host in ["gate.example", "gate.example:8080", "127.0.0.1:1", "[::1]:8080", "GATE.example"] {
            assert_eq!(asks(Version::HTTP_11, "/", &[host]), None, "{host}");
        }
        for host in ["", "a@gate.example", "gate example", "gate.example/", "gate.example, other.example"] {
            assert!(asks(Version::HTTP_11, "/", &[host]).is_some(), "{host}");
        }
        assert!(asks(Version::HTTP_11, "/", &[]).is_some() && asks(Version::HTTP_11, "/", &["a.example", "a.example"]).is_some());
        assert!(asks(Version::HTTP_11, "http://gate.example/", &[]).is_some(), "a target with a host does not replace the header");
        assert_eq!(asks(Version::HTTP_10, "/", &[]), None);
        assert!(asks(Version::HTTP_10, "/", &["a.example", "b.example"]).is_some());
        assert_eq!(asks(Version::HTTP_2, "https://gate.example/", &[]), None);
        assert!(asks(Version::HTTP_2, "/", &[]).is_some());
    }
}
