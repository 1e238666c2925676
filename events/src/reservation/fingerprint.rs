//! What tells one program's registrations from another's.

use std::fmt;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::metadata::ClientMetadata;
use crate::redirect::RedirectUri;

/// Names the canonical form; another form is another name, so that old fingerprints never mean something new.
const FORM: &[u8] = b"gatebook shared client 1\n";
/// Says who wrote the software, in a text that is not kept: two of them cannot be compared.
const STATEMENT: &str = "software_statement";

/// The SHA-256 of all that a public client says about itself, with loopback ports left out (RFC 8252 §7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of metadata as it will be registered, with the names of what was ignored of the request. None for a
    /// client that shares its identifier with nobody: one that has credentials, or came with a software statement.
    pub fn of(metadata: &ClientMetadata, ignored: &[Box<str>]) -> Option<Self> {
        if metadata.is_confidential() || metadata.software_statement.is_some() || ignored.iter().any(|name| **name == *STATEMENT) {
            return None;
        }
        let mut members = serde_json::to_value(metadata).ok()?;
        let mut shapes: Vec<String> = metadata.redirect_uris.iter().map(RedirectUri::shape).collect();
        shapes.sort_unstable();
        shapes.dedup();
        *members.get_mut("redirect_uris")? = shapes.into();
        for set in ["grant_types", "response_types"] {
            if let Some(words) = members.get_mut(set).and_then(Value::as_array_mut) {
                words.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
            }
        }
        let mut hash = Sha256::new();
        hash.update(FORM);
        feed(&mut hash, &members);
        Some(Self(hash.finalize().into()))
    }

    /// The fingerprint with this name: 64 hexadecimal digits in lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// JSON with its members in the order of their names, whatever order the library keeps them in.
fn feed(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            hash.update(b"{");
            for (name, value) in members {
                hash.update(Value::from(name.as_str()).to_string());
                hash.update(b":");
                feed(hash, value);
                hash.update(b",");
            }
            hash.update(b"}");
        }
        Value::Array(items) => {
            hash.update(b"[");
            for item in items {
                feed(hash, item);
                hash.update(b",");
            }
            hash.update(b"]");
        }
        plain => hash.update(plain.to_string()),
    }
}
