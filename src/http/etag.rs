//! Answers that a caller may hold and has to ask about before it uses them again (RFC 9110 §8.8.3, RFC 9111 §5.2.2): the tag is
//! what the answer says, so nothing that changed it can be missed.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The answer, or 304 for a caller who holds it already.
pub fn answer(asked: &HeaderMap, body: &Map<String, Value>) -> Response {
    let text = Value::Object(body.clone()).to_string();
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(&text)));
    let mut response = if holds(asked, &tag) { StatusCode::NOT_MODIFIED.into_response() } else { Json(body).into_response() };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=0, must-revalidate"));
    headers.insert(header::VARY, HeaderValue::from_static("Authorization"));
    // Base64url between quotes is always a header's text.
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// `If-None-Match` compares weakly (RFC 9110 §13.1.2).
fn holds(asked: &HeaderMap, tag: &str) -> bool {
    let values = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).any(|held| held == "*" || held.strip_prefix("W/").unwrap_or(held) == tag)
}
