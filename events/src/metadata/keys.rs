//! A client's public keys by value (RFC 7517), with nothing private among them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::MetadataError;

/// The most keys that one client may register.
const MAX_KEYS: usize = 10;
/// Members that hold private or symmetric key material (RFC 7518 §6.2.2, §6.3.2, §6.4).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A JWK Set of public keys, kept as sent but for members that are null, which count as omitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Jwks(Value);

impl Jwks {
    /// Judges a set as sent.
    pub(crate) fn parse(value: &Value) -> Result<Self, MetadataError> {
        const NOT_A_SET: MetadataError = MetadataError::metadata("jwks", "is not an object with an array \"keys\" of one to ten keys");
        let keys = value.get("keys").and_then(Value::as_array).ok_or(NOT_A_SET)?;
        if keys.is_empty() || keys.len() > MAX_KEYS {
            return Err(NOT_A_SET);
        }
        for (entry, key) in keys.iter().enumerate() {
            let key = key.as_object().ok_or(MetadataError::metadata("jwks", "is a key that is not an object").at(entry))?;
            if PRIVATE.iter().any(|member| key.contains_key(*member)) {
                let problem = "is a key with private or symmetric key material; right are public keys";
                return Err(MetadataError::metadata("jwks", problem).at(entry));
            }
            if !key.get("kty").is_some_and(Value::is_string) {
                return Err(MetadataError::metadata("jwks", "is a key without a \"kty\"").at(entry));
            }
        }
        if has_inexact_number(value) {
            return Err(MetadataError::metadata("jwks", "has a number that is not a whole one of at most 64 bits"));
        }
        Ok(Self(without_nulls(value)))
    }

    /// Whether this is a set without a key, as generators write one where they have none: `{}`, or an empty list of keys.
    pub(crate) fn is_empty(value: &Value) -> bool {
        let none = |keys: &Value| keys.is_null() || keys.as_array().is_some_and(Vec::is_empty);
        value.as_object().is_some_and(|set| set.iter().all(|(name, value)| name == "keys" && none(value)))
    }

    /// Whether any key in it has private or symmetric material.
    pub(super) fn has_private(value: &Value) -> bool {
        let keys = value.get("keys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
        keys.into_iter().any(|key| PRIVATE.iter().any(|member| key.contains_key(*member)))
    }

    /// The set without its nulls.
    pub fn as_value(&self) -> &Value {
        &self.0
    }
}

/// Such a number is another one after it was written and read (RFC 8259 §6), and what was registered is what is stored and
/// echoed. No member of a key has one.
fn has_inexact_number(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.values().any(has_inexact_number),
        Value::Array(items) => items.iter().any(has_inexact_number),
        Value::Number(number) => number.is_f64(),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// What is registered is echoed, and no answer has a null.
fn without_nulls(value: &Value) -> Value {
    let kept = |value: &&Value| !value.is_null();
    match value {
        Value::Object(members) => {
            members.iter().filter(|(_, value)| kept(value)).map(|(name, value)| (name.clone(), without_nulls(value))).collect()
        }
        Value::Array(items) => items.iter().filter(kept).map(without_nulls).collect(),
        other => other.clone(),
    }
}
