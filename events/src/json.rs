//! JSON read strictly: UTF-8, one object, at most 16 levels deep, no key twice. What another reader could understand
//! differently is refused (RFC 8259 §4).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The deepest nesting of arrays and objects.
const MAX_DEPTH: usize = 16;

/// Why bytes are not an acceptable JSON object. Completes "the body …"; it names positions and never what stands there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonProblem {
    /// Some byte is no text.
    #[error("is not UTF-8")]
    NotUtf8,
    /// Not JSON, nested too deeply, or a key appears twice.
    #[error("is not acceptable JSON: {0}")]
    Malformed(String),
    /// A second value follows.
    #[error("goes on after its JSON value")]
    GoesOn,
    /// An array, a text or a number.
    #[error("is not a JSON object")]
    NotAnObject,
}

/// Reads one object.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, JsonProblem> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonProblem::NotUtf8)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict { depth: 0 }.deserialize(&mut reader).map_err(|error| JsonProblem::Malformed(ascii(&error.to_string())))?;
    reader.end().map_err(|_| JsonProblem::GoesOn)?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(JsonProblem::NotAnObject),
    }
}

/// Error descriptions are ASCII (RFC 6749 §5.2), and a caller's own text has no place in them.
pub fn ascii(text: &str) -> String {
    text.chars().filter(|c| (' '..='~').contains(c) && !matches!(c, '"' | '\\' | '<' | '>')).take(200).collect()
}

/// Reads one value as strictly as [`object`] does, out of a document that holds more than that.
#[derive(Debug, Default)]
pub struct Strict {
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
            prop_assert_eq!(object(text.as_bytes()).map(Value::Object), Ok(written));
        }

        #[test]
        fn a_key_twice_is_refused_wherever_it_is_and_however_it_is_spelt(name in "[a-z]{1,8}", value in values(), depth in 0_usize..12) {
            let spelt = name.chars().map(|letter| format!("\\u{:04x}", u32::from(letter))).collect::<Vec<_>>().concat();
            let pair = format!("{{\"{name}\":{value},\"{spelt}\":{value}}}");
            let body = format!("{}{pair}{}", "{\"a\":[".repeat(depth / 2), "]}".repeat(depth / 2));
            prop_assert!(serde_json::from_str::<Value>(&body).is_ok());
            prop_assert!(object(body.as_bytes()).is_err());
        }

        #[test]
        fn no_bytes_lead_to_a_panic_or_to_a_sentence_that_repeats_them(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Err(problem) = object(&bytes) {
                let sentence = problem.to_string();
                prop_assert!(sentence.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{sentence}");
            }
        }
    }

    #[test]
    fn what_is_deeper_than_sixteen_levels_is_refused() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(object(nested(15).as_bytes()).is_ok());
        assert!(object(nested(16).as_bytes()).is_err());
        assert!(object(nested(30_000).as_bytes()).is_err());
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        assert_eq!(object(br#"{"a": [1, -2, 0.5, true, null, "b"]}"#).unwrap().len(), 1);
        assert_eq!(object(b"\"a\""), Err(JsonProblem::NotAnObject));
        assert_eq!(object(b"{} {}"), Err(JsonProblem::GoesOn));
        assert_eq!(object(b"{\"a\": \"\xff\"}"), Err(JsonProblem::NotUtf8));
        let nested = |depth| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(object(nested(15).as_bytes()).is_ok());
        for text in ["", "{", "{'a': 1}", "{\"a\": 1, \"a\": 1}", "{\"a\": {\"b\": 1, \"\\u0062\": 2}}", "\u{feff}{}", &nested(16)] {
            assert!(matches!(object(text.as_bytes()), Err(JsonProblem::Malformed(_))), "{text}");
        }
    }
}
