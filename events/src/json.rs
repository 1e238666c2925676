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
    let value = Strict { depth: 0 }.deserialize(&mut reader).map_err(|error| JsonProblem::Malformed(error.to_string()))?;
    reader.end().map_err(|_| JsonProblem::GoesOn)?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(JsonProblem::NotAnObject),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
