//! Bodies: JSON of at most 64 KiB that arrives in time, read as strictly as every other document (`events/src/json.rs`).

use crate::application::error::UseCaseError;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use gatebook_events::json;
use reqwest::Url;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::Failure;
use super::timely::{self, Unread};

/// The largest body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// What an administrator's malformed body is called.
const CODE: &str = "invalid-request";

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
    typed(maybe_object(headers, body).await?)
}

/// Reads an edit as [`members`] does. A null takes away what may be taken away, which is `emptied`'s member with what it is
/// then; any other null would pass for a member that was left out, and is refused.
pub async fn patch<T: DeserializeOwned>(headers: &HeaderMap, body: Body, emptied: &[(&str, Value)]) -> Result<T, Failure> {
    let mut object = maybe_object(headers, body).await?;
    for (name, value) in object.iter_mut().filter(|(_, value)| value.is_null()) {
        let Some((_, empty)) = emptied.iter().find(|(known, _)| known == name) else {
            let detail = format!("`{}` is null: leave it out, or say what it is from now on", json::ascii(name));
            return Err(Failure::request(StatusCode::BAD_REQUEST, CODE, detail));
        };
        *value = empty.clone();
    }
    typed(object)
}

async fn maybe_object(headers: &HeaderMap, body: Body) -> Result<Map<String, Value>, Failure> {
    let bytes = bytes(body, CODE).await?;
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    if is_json(headers) {
        return parse(&bytes, CODE);
    }
    Err(Failure::request(StatusCode::UNSUPPORTED_MEDIA_TYPE, CODE, "the content type has to be application/json"))
}

/// Reads the parameters of a request: a form (RFC 6749 appendix B), or a JSON object. A parameter without a value is none, and one
/// that is sent twice is refused (RFC 6749 §3.2).
pub async fn fields(headers: &HeaderMap, body: Body, code: &'static str) -> Result<Map<String, Value>, Failure> {
    if is_json(headers) {
        return object(headers, body, code).await;
    }
    let mut fields = Map::new();
    for (name, value) in form(headers, body, code).await?.0 {
        if fields.insert(name, value.into()).is_some() {
            return Err(sent_twice(code));
        }
    }
    Ok(fields)
}

/// Reads a form (RFC 6749 appendix B).
pub async fn form(headers: &HeaderMap, body: Body, code: &'static str) -> Result<Form, Failure> {
    let invalid = |status, detail: &str| Failure::request(status, code, detail);
    if !is_of_type(headers, "application/x-www-form-urlencoded") {
        let detail = "the content type has to be application/x-www-form-urlencoded";
        return Err(invalid(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let bytes = bytes(body, code).await?;
    let text = std::str::from_utf8(&bytes).map_err(|_| invalid(StatusCode::BAD_REQUEST, "the body is not UTF-8"))?;
    let mut url = Url::parse("form:").map_err(|_| UseCaseError::Internal("a form cannot be read"))?;
    url.set_query(Some(text));
    let pairs = url.query_pairs().filter(|(_, value)| !value.is_empty());
    Ok(Form(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect(), code))
}

/// The parameters of a form. One without a value is none (RFC 6749 §3.2).
pub struct Form(Vec<(String, String)>, &'static str);

impl Form {
    /// A parameter that may be sent once.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Failure> {
        let mut all = self.all(name);
        let first = all.next();
        if all.next().is_some() { Err(sent_twice(self.1)) } else { Ok(first) }
    }

    /// A parameter that may be sent more often.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn sent_twice(code: &'static str) -> Failure {
    Failure::request(StatusCode::BAD_REQUEST, code, "a parameter is sent twice")
}

/// Members as a type.
pub fn typed<T: DeserializeOwned>(object: Map<String, Value>) -> Result<T, Failure> {
    serde_json::from_value(Value::Object(object))
        .map_err(|error| Failure::request(StatusCode::BAD_REQUEST, "invalid-request", json::ascii(&error.to_string())))
}

async fn bytes(body: Body, code: &'static str) -> Result<Bytes, Failure> {
    timely::read(body, MAX_BODY).await.map_err(|unread| match unread {
        Unread::Late => Failure::request(StatusCode::REQUEST_TIMEOUT, code, "the body did not arrive in time"),
        Unread::TooLongOrCutOff => {
            Failure::request(StatusCode::PAYLOAD_TOO_LARGE, code, "the body has to arrive whole and be at most 65536 bytes long")
        }
    })
}

fn parse(bytes: &[u8], code: &'static str) -> Result<Map<String, Value>, Failure> {
    json::object(bytes).map_err(|problem| Failure::request(StatusCode::BAD_REQUEST, code, format!("the body {problem}")))
}

fn is_json(headers: &HeaderMap) -> bool {
    is_of_type(headers, "application/json")
}

fn is_of_type(headers: &HeaderMap, wanted: &str) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(|value| value.split(';').next());
    media_type.is_some_and(|value| value.trim().eq_ignore_ascii_case(wanted))
}
