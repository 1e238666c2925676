//! Bodies: JSON of at most 64 KiB that arrives in time, read as strictly as every other document (`events/src/json.rs`).

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use gatebook_events::json;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::Failure;

/// The largest body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// How long a body may take to arrive: whoever drips it holds a connection, not a task for ever.
const PATIENCE: Duration = Duration::from_secs(15);

/// Reads the body of a request that must be a JSON object. `code` is what the caller's protocol calls a malformed one.
pub async fn object(headers: &HeaderMap, body: Body, code: &'static str) -> Result<Map<String, Value>, Failure> {
    if !is_json(headers) {
        return Err(Failure::request(StatusCode::UNSUPPORTED_MEDIA_TYPE, code, "the content type has to be application/json"));
    }
    parse(&bytes(body, code).await?, code)
}

/// Reads a body that may be empty, as one without members; otherwise as [`object`] does, into a type whose unknown members
/// are refused: an administrator's typing error must not pass for a decision.
pub async fn members<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Failure> {
    const CODE: &str = "invalid-request";
    let bytes = bytes(body, CODE).await?;
    let object = if bytes.is_empty() {
        Map::new()
    } else if is_json(headers) {
        parse(&bytes, CODE)?
    } else {
        return Err(Failure::request(StatusCode::UNSUPPORTED_MEDIA_TYPE, CODE, "the content type has to be application/json"));
    };
    typed(object)
}

/// Members as a type.
pub fn typed<T: DeserializeOwned>(object: Map<String, Value>) -> Result<T, Failure> {
    serde_json::from_value(Value::Object(object))
        .map_err(|error| Failure::request(StatusCode::BAD_REQUEST, "invalid-request", json::ascii(&error.to_string())))
}

async fn bytes(body: Body, code: &'static str) -> Result<Bytes, Failure> {
    let whole = tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, MAX_BODY)).await;
    let whole = whole.map_err(|_| Failure::request(StatusCode::REQUEST_TIMEOUT, code, "the body did not arrive in time"))?;
    whole.map_err(|_| Failure::request(StatusCode::PAYLOAD_TOO_LARGE, code, "the body has to arrive whole and be at most 65536 bytes long"))
}

fn parse(bytes: &[u8], code: &'static str) -> Result<Map<String, Value>, Failure> {
    json::object(bytes).map_err(|problem| Failure::request(StatusCode::BAD_REQUEST, code, format!("the body {problem}")))
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(|value| value.split(';').next());
    media_type.is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"))
}
