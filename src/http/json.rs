//! Bodies: JSON of at most 64 KiB that arrives in time, read strictly.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::Failure;

mod strict;

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
        .map_err(|error| Failure::request(StatusCode::BAD_REQUEST, "invalid-request", strict::ascii(&error.to_string())))
}

async fn bytes(body: Body, code: &'static str) -> Result<Bytes, Failure> {
    let whole = tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, MAX_BODY)).await;
    let whole = whole.map_err(|_| Failure::request(StatusCode::REQUEST_TIMEOUT, code, "the body did not arrive in time"))?;
    whole.map_err(|_| Failure::request(StatusCode::PAYLOAD_TOO_LARGE, code, "the body has to arrive whole and be at most 65536 bytes long"))
}

fn parse(bytes: &[u8], code: &'static str) -> Result<Map<String, Value>, Failure> {
    strict::object(bytes).map_err(|detail| Failure::request(StatusCode::BAD_REQUEST, code, detail))
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(|value| value.split(';').next());
    media_type.is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Any JSON that is not too deep, without fractions.
    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..5).prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_object_is_read_as_what_was_written(name in any::<String>(), value in values(), pretty in any::<bool>()) {
            let written = json!({ name: value });
            let text = if pretty { serde_json::to_string_pretty(&written) } else { serde_json::to_string(&written) }.unwrap();
            prop_assert_eq!(strict::object(text.as_bytes()).map(Value::Object), Ok(written));
        }

        #[test]
        fn a_key_twice_is_refused_wherever_it_is_and_however_it_is_spelt(name in "[a-z]{1,8}", value in values(), depth in 0_usize..12) {
            let spelt = name.chars().map(|letter| format!("\\u{:04x}", u32::from(letter))).collect::<Vec<_>>().concat();
            let pair = format!("{{\"{name}\":{value},\"{spelt}\":{value}}}");
            let body = format!("{}{pair}{}", "{\"a\":[".repeat(depth / 2), "]}".repeat(depth / 2));
            prop_assert!(serde_json::from_str::<Value>(&body).is_ok());
            prop_assert!(strict::object(body.as_bytes()).is_err());
        }

        #[test]
        fn no_bytes_lead_to_a_panic_or_to_a_sentence_that_repeats_them(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Err(sentence) = strict::object(&bytes) {
                prop_assert!(sentence.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{sentence}");
            }
        }
    }

    #[test]
    fn what_is_deeper_than_sixteen_levels_is_refused() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(strict::object(nested(15).as_bytes()).is_ok());
        assert!(strict::object(nested(16).as_bytes()).is_err());
        assert!(strict::object(nested(30_000).as_bytes()).is_err());
    }
}
