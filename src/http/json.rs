//! Bodies read strictly: JSON in UTF-8, at most 64 KiB, at most 16 levels deep, no key twice. What another reader could
//! understand differently is refused (RFC 8259 §4).

use std::fmt;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::error::Failure;

/// The largest body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// How long a body may take to arrive: whoever drips it holds a connection, not a task for ever.
const PATIENCE: Duration = Duration::from_secs(15);
/// The deepest nesting of arrays and objects.
const MAX_DEPTH: usize = 16;

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
        .map_err(|error| Failure::request(StatusCode::BAD_REQUEST, "invalid-request", ascii(&error.to_string())))
}

async fn bytes(body: Body, code: &'static str) -> Result<Bytes, Failure> {
    let whole = tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, MAX_BODY)).await;
    let whole = whole.map_err(|_| Failure::request(StatusCode::REQUEST_TIMEOUT, code, "the body did not arrive in time"))?;
    whole.map_err(|_| Failure::request(StatusCode::PAYLOAD_TOO_LARGE, code, "the body has to arrive whole and be at most 65536 bytes long"))
}

fn parse(bytes: &[u8], code: &'static str) -> Result<Map<String, Value>, Failure> {
    let refuse = |detail: &str| Failure::request(StatusCode::BAD_REQUEST, code, ascii(detail));
    let text = std::str::from_utf8(bytes).map_err(|_| refuse("the body is not UTF-8"))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value =
        Strict { depth: 0 }.deserialize(&mut reader).map_err(|error| refuse(&format!("the body is not acceptable JSON: {error}")))?;
    reader.end().map_err(|_| refuse("the body goes on after its JSON value"))?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(refuse("the body is not a JSON object")),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(|value| value.split(';').next());
    media_type.is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"))
}

/// Error descriptions are ASCII (RFC 6749 §5.2), and a caller's own text has no place in them.
fn ascii(text: &str) -> String {
    text.chars().filter(|c| (' '..='~').contains(c) && !matches!(c, '"' | '\\' | '<' | '>')).take(200).collect()
}

struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH { Err(E::custom("nested too deeply")) } else { Ok(Self { depth: self.depth + 1 }) }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self.deeper()?)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(self.deeper()?)?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a key appears twice"));
            }
        }
        Ok(Value::Object(object))
    }
}
