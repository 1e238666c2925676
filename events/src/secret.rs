//! What is kept of a secret. There is no type for a plaintext secret here, so none can get into an event.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Rejection;

/// A client secret as an argon2id PHC string, which names the cost that it was made with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct SecretHash(Box<str>);

impl SecretHash {
    /// Takes a PHC string; anything else is refused, so that no secret gets in by mistake.
    pub fn try_new(phc: &str) -> Result<Self, NotAHash> {
        if phc.starts_with("$argon2id$") && phc.split('$').count() == 6 { Ok(Self(Box::from(phc))) } else { Err(NotAHash) }
    }

    /// The PHC string.
    pub fn as_phc(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// The text was not an argon2id PHC string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an argon2id hash")]
pub struct NotAHash;

/// The SHA-256 of a token of 256 random bits; stored as hexadecimal text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

#[cfg(feature = "schemas")]
impl schemars::JsonSchema for TokenHash {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TokenHash".into()
    }

    fn json_schema(_generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
    }
}

impl Serialize for TokenHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_hexadecimal(&self.0))
    }
}

/// Two lower-case digits a byte.
pub(crate) fn to_hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let mut hash = [0; 32];
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(serde::de::Error::custom("a token hash is 64 hexadecimal digits"));
        }
        for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
            *byte = digits.ok_or_else(|| serde::de::Error::custom("a token hash is 64 hexadecimal digits"))?;
        }
        Ok(Self(hash))
    }
}

/// A client secret as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct KeptSecret {
    /// The hash.
    pub hash: SecretHash,
    /// When it stops working; never, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// How a new secret takes the place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// When it is asked for.
    pub at: DateTime<Utc>,
    /// Until when the old one works too; not at all, if absent.
    pub old_valid_until: Option<DateTime<Utc>>,
    /// Whether an overlap that was promised before may end by it, although its time is not over.
    pub end_overlap: bool,
    /// By which the same request is known when it is sent again; none for one that is not.
    pub repeat_key: Option<Box<str>>,
}

impl Rotation {
    /// Refuses to break a promise: there are two secrets at most, so the one before the current one would end before its time.
    pub fn keeps(&self, promised: Option<DateTime<Utc>>) -> Result<(), Rejection> {
        match promised {
            Some(until) if until > self.at && !self.end_overlap => Err(Rejection::OverlapUnderWay(until)),
            _ => Ok(()),
        }
    }

    /// Whether this very request was carried out last.
    pub fn repeats(&self, last: Option<&str>) -> bool {
        self.repeat_key.is_some() && self.repeat_key.as_deref() == last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_hash_is_stored_as_the_text_it_is_read_back_from() {
        let hash = TokenHash([0xa5; 32]);
        let text = serde_json::to_string(&hash).unwrap();
        assert_eq!(text, format!("\"{}\"", "a5".repeat(32)));
        assert_eq!(serde_json::from_str::<TokenHash>(&text).unwrap(), hash);
        assert!(serde_json::from_str::<TokenHash>("\"a5\"").is_err());
        for not_digits in ["zz", "+a"] {
            assert!(serde_json::from_str::<TokenHash>(&format!("\"{}\"", not_digits.repeat(32))).is_err());
        }
    }

    #[test]
    fn a_secret_is_not_mistaken_for_its_hash() {
        assert!(SecretHash::try_new("gbs_not-a-hash").is_err());
        assert!(SecretHash::try_new("$argon2id$v=19$m=64,t=1,p=1$c2FsdA$aGFzaA").is_ok());
    }
}
