//! The names of things: tenants, clients, resource servers, and the streams that their events stand in.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

/// Keys of clients that Gatebook did not name itself are UUIDs version 5 in this namespace.
const CLIENT_NAMESPACE: Uuid = Uuid::from_u128(0x6f0a_31c5_54a8_4d0e_9f7e_2a3b_6c1d_88e2);

/// Who owns resource servers and registrations. Nothing crosses from one tenant to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct TenantId(#[serde(deserialize_with = "shared")] Arc<str>);

impl TenantId {
    /// The tenant that a fresh instance has.
    pub fn default_tenant() -> Self {
        Self(Arc::from("default"))
    }

    /// 1 to 128 characters out of letters, digits and `.` `_` `:` `@` `-`.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '@' | '-');
        if text.is_empty() || text.len() > 128 || !text.chars().all(known) {
            return Err(InvalidName("a tenant is 1 to 128 characters out of letters, digits and . _ : @ -"));
        }
        Ok(Self(Arc::from(text)))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The public identifier of a client (RFC 6749 §2.2): one that Gatebook drew, or the URL of the client's own document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct ClientId(#[serde(deserialize_with = "shared")] Arc<str>);

impl ClientId {
    /// The longest identifier, in bytes; that of a metadata document's URL.
    pub const MAX_LENGTH: usize = 2048;

    /// The identifier of a client that Gatebook names: its key as text, so it never looks like a URL (CIMD §6.9)
    /// and is drawn from a space that no user identifier shares (RFC 9700 §4.15).
    pub fn of_key(key: ClientKey) -> Self {
        Self(Arc::from(key.to_string()))
    }

    /// The identifier of a client that is known by its document; the URL is judged already.
    pub(crate) fn of_url(url: &Arc<str>) -> Self {
        Self(url.clone())
    }

    /// Any identifier as a caller names it: 1 to 2048 printable ASCII characters (RFC 6749 appendix A.1).
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() || text.len() > Self::MAX_LENGTH || !text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return Err(InvalidName("a client_id is 1 to 2048 printable ASCII characters"));
        }
        Ok(Self(Arc::from(text)))
    }

    /// The identifier that a client brings from where it was registered before. One that looks like the URL of a document is a
    /// client that hosts its own (CIMD §3), and nobody else may be entered under it.
    pub fn brought(text: &str) -> Result<Self, InvalidName> {
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        if ["https", "http"].iter().any(|web| scheme.eq_ignore_ascii_case(web)) {
            return Err(InvalidName("a client_id that is a URL is kept for clients that host their own document"));
        }
        Self::parse(text)
    }

    /// The key of the client with this identifier: the UUID itself, or the version 5 UUID of any other text.
    pub fn key(&self) -> ClientKey {
        // Only the canonical spelling is the client's own name; `{…}`, upper case or undashed text is another identifier.
        ClientKey(canonical(&self.0).unwrap_or_else(|| Uuid::new_v5(&CLIENT_NAMESPACE, self.0.as_bytes())))
    }

    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a client is known by inside: short, of fixed form, safe in a stream name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct ClientKey(pub Uuid);

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identifies a resource server within the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct ResourceServerId(pub Uuid);

impl ResourceServerId {
    /// The resource server that a fresh instance has, so that a first registration needs no set-up.
    pub const DEFAULT: Self = Self(Uuid::from_u128(0x6761_7465_626f_4f6b_8000_0000_0000_0001));
}

impl fmt::Display for ResourceServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ResourceServerId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        canonical(text).map(Self).ok_or(InvalidName("a resource server id is a UUID"))
    }
}

/// Identifies one initial access token (RFC 7591 §1.2) of a resource server. It is no secret; lists and events name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct InitialAccessTokenId(pub Uuid);

impl fmt::Display for InitialAccessTokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for InitialAccessTokenId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        canonical(text).map(Self).ok_or(InvalidName("the id of an initial access token is a UUID"))
    }
}

/// Identifies one service token. It is no secret; lists and events name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServiceTokenId(pub Uuid);

impl fmt::Display for ServiceTokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ServiceTokenId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        canonical(text).map(Self).ok_or(InvalidName("the id of a service token is a UUID"))
    }
}

/// Identifies one webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WebhookId(pub Uuid);

impl fmt::Display for WebhookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for WebhookId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        canonical(text).map(Self).ok_or(InvalidName("the id of a webhook is a UUID"))
    }
}

/// Identifies one staged change of redirect URIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct ChangeId(pub Uuid);

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ChangeId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        canonical(text).map(Self).ok_or(InvalidName("a change_id is a UUID"))
    }
}

/// A text that is not a name of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(pub &'static str);

/// Reads a text into where it is shared from, at once: through a `String`, as serde would, is two allocations more.
pub(crate) fn shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = Arc<str>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<E>(self, text: &str) -> Result<Arc<str>, E> {
            Ok(Arc::from(text))
        }
    }
    deserializer.deserialize_str(Text)
}

/// A UUID in its canonical spelling only, so that a thing has one name.
pub(crate) fn canonical(text: &str) -> Option<Uuid> {
    // Of the spellings that are read, only the one with hyphens has this length, and upper case is then all that can differ.
    let spelt = text.len() == 36 && !text.bytes().any(|byte| byte.is_ascii_uppercase());
    Uuid::try_parse(text).ok().filter(|_| spelt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_comes_from_elsewhere_keeps_its_identifier_unless_it_is_a_url() {
        for text in ["billing", "urn:example:billing", "app://billing", "11111111-1111-4111-8111-111111111111", "a b"] {
            assert_eq!(ClientId::brought(text).unwrap().as_str(), text);
        }
        for text in ["https://app.example/client.json", "HTTP://app.example", "", "b\u{e9}ta", "a\nb"] {
            assert!(ClientId::brought(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_client_id_has_one_key_and_another_spelling_is_another_client() {
        let key = ClientKey(Uuid::from_u128(0xabc));
        let id = ClientId::of_key(key);
        assert_eq!(id.key(), key);
        let shouted = ClientId::parse(&id.as_str().to_uppercase()).unwrap();
        assert_ne!(shouted.key(), key);
        let url = ClientId::parse("https://app.example/client.json").unwrap();
        assert_eq!(url.key().0.get_version_num(), 5);
    }
}
