//! Redirect URIs: what may be registered, and the one matcher that every door uses.
//!
//! Everything is judged on the text as it was sent. URL libraries repair what they read (`127.1` becomes `127.0.0.1`,
//! `https:///cb` gains a host, a tab vanishes), and what has been repaired can no longer be refused. The text is also
//! what is stored, compared and returned. The vectors are in `events/tests/redirect_vectors.json`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest redirect URI, in bytes.
pub const MAX_LENGTH: usize = 2048;
/// The most redirect URIs that one client may have.
pub const MAX_COUNT: usize = 100;

/// Schemes that run, read or open something on the user's machine; refused whatever a policy lists.
const HOSTILE_SCHEMES: [&str; 18] = [
    "javascript",
    "data",
    "file",
    "blob",
    "vbscript",
    "about",
    "ws",
    "wss",
    "view-source",
    "intent",
    "filesystem",
    "jar",
    "mailto",
    "tel",
    "ftp",
    "chrome",
    "chrome-extension",
    "resource",
];

/// A redirect URI that was acceptable when it was registered (RFC 6749 §3.1.2, RFC 8252 §7, RFC 9700 §4.1).
///
/// Reading one back from storage trusts the text: rules get stricter, and a past fact must stay readable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct RedirectUri(#[serde(deserialize_with = "crate::identity::shared")] Arc<str>);

impl RedirectUri {
    /// Judges a text as sent. Whether a private-use scheme without a period is welcome is for the resource server's
    /// policy to say; everything else is decided here.
    pub fn parse(text: &str) -> Result<Self, RedirectProblem> {
        let uri = Uri::split(text)?;
        match uri.kind()? {
            Kind::Https => uri.check_labels()?,
            Kind::Loopback | Kind::PrivateUse => {}
        }
        Ok(Self(Arc::from(text)))
    }

    /// Whether a request that names `requested` may be answered there: simple string comparison (RFC 9700 §4.1.3),
    /// except that on a loopback host the port is not compared (RFC 8252 §7.3). `localhost` is not `127.0.0.1`.
    pub fn matches(&self, requested: &str) -> bool {
        if *self.0 == *requested {
            return true;
        }
        match (Uri::split(&self.0), Uri::split(requested)) {
            (Ok(mine), Ok(theirs)) => {
                mine.is_loopback()
                    && theirs.is_loopback()
                    && mine.host == theirs.host
                    && mine.scheme == theirs.scheme
                    && mine.rest == theirs.rest
            }
            _ => false,
        }
    }

    /// The text exactly as it was registered.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host that an answer goes to, or the scheme of a private-use URI: what a person has to see.
    pub fn host(&self) -> &str {
        match Uri::split(&self.0) {
            Ok(uri) if uri.is_web() => uri.host,
            Ok(uri) => uri.scheme,
            Err(_) => &self.0,
        }
    }

    /// Whether the answer stays on the user's machine: `http` to a loopback host (RFC 8252 §7.3).
    pub fn is_loopback(&self) -> bool {
        Uri::split(&self.0).is_ok_and(|uri| uri.is_loopback())
    }

    /// The scheme, in lower case, if this is a private-use URI (RFC 8252 §7.1).
    pub fn private_use_scheme(&self) -> Option<String> {
        Uri::split(&self.0).ok().filter(|uri| !uri.is_web()).map(|uri| uri.scheme.to_ascii_lowercase())
    }

    /// Whether no other machine ever gets the answer: a loopback or a private-use URI.
    pub fn stays_on_the_machine(&self) -> bool {
        self.is_loopback() || self.private_use_scheme().is_some()
    }

    /// The URI with a loopback port erased, so that instances of one program look alike.
    pub fn shape(&self) -> String {
        match Uri::split(&self.0) {
            Ok(uri) if uri.is_loopback() => format!("{}://{}{}", uri.scheme, uri.host, uri.rest),
            _ => self.0.to_string(),
        }
    }

    /// The path with its query, as sent; empty when there is none.
    pub fn path_and_query(&self) -> &str {
        Uri::split(&self.0).map_or("", |uri| uri.rest)
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Distinct redirect URIs in the order in which they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct RedirectUris(Vec<RedirectUri>);

impl RedirectUris {
    /// Judges a list as sent. A repeated URI counts once.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, RedirectProblem> {
        Self::parse_each(texts).map_err(|(_, problem)| problem)
    }

    /// The same, with which of them is at fault, counted from 0.
    pub fn parse_each<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, (usize, RedirectProblem)> {
        let mut uris = Vec::new();
        for (entry, text) in texts.into_iter().enumerate() {
            let uri = RedirectUri::parse(text).map_err(|problem| (entry, problem))?;
            if uris.contains(&uri) {
                continue;
            }
            if uris.len() == MAX_COUNT {
                return Err((entry, RedirectProblem::TooMany));
            }
            uris.push(uri);
        }
        Ok(Self(uris))
    }

    /// The registered URI, if any, that lets a request name `requested`.
    pub fn matching(&self, requested: &str) -> Option<&RedirectUri> {
        self.0.iter().find(|uri| uri.matches(requested))
    }

    /// Whether the very text is in the list.
    pub fn contains(&self, uri: &RedirectUri) -> bool {
        self.0.contains(uri)
    }

    /// Those for which this holds.
    pub fn filter(&self, holds: impl Fn(&RedirectUri) -> bool) -> Self {
        Self(self.0.iter().filter(|uri| holds(uri)).cloned().collect())
    }

    /// What is in this list and not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        Self(self.0.iter().filter(|uri| !other.contains(uri)).cloned().collect())
    }

    /// This list followed by what only `other` has.
    pub fn with(&self, other: &Self) -> Self {
        let mut all = self.0.clone();
        all.extend(other.without(self).0);
        Self(all)
    }

    /// The URIs in order.
    pub fn iter(&self) -> std::slice::Iter<'_, RedirectUri> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether both hold the same URIs, in whatever order.
    pub fn same_set(&self, other: &Self) -> bool {
        self.len() == other.len() && self.without(other).is_empty()
    }
}

impl<'a> IntoIterator for &'a RedirectUris {
    type Item = &'a RedirectUri;
    type IntoIter = std::slice::Iter<'a, RedirectUri>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A link to a page, image or key set: `https`, or `http` (RFC 7591 §2). Kept as sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct WebUri(Box<str>);

impl WebUri {
    /// Judges a text as sent.
    pub fn parse(text: &str) -> Result<Self, RedirectProblem> {
        let uri = Uri::split(text)?;
        if !uri.is_web() {
            return Err(RedirectProblem::NotWeb);
        }
        uri.check_labels()?;
        Ok(Self(Box::from(text)))
    }

    /// The text exactly as sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host, as sent.
    pub fn host(&self) -> &str {
        Uri::split(&self.0).map_or("", |uri| uri.host)
    }

    /// Whether it is reached over TLS.
    pub fn is_https(&self) -> bool {
        self.0.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
    }
}

/// Why a text is not an acceptable redirect URI. The sentences are ASCII and may be shown to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's sentence is its documentation")]
pub enum RedirectProblem {
    #[error("is empty")]
    Empty,
    #[error("is longer than 2048 characters")]
    TooLong,
    #[error("is one of more than 100")]
    TooMany,
    #[error("contains a space, a control character or a character outside ASCII")]
    Character,
    #[error("contains a character that RFC 3986 does not allow in a URI")]
    NotUriCharacter,
    #[error("contains a wildcard")]
    Wildcard,
    #[error("has a fragment")]
    Fragment,
    #[error("has a malformed percent-encoding")]
    PercentEncoding,
    #[error("is not an absolute URI")]
    NotAbsolute,
    #[error("has no host")]
    NoHost,
    #[error("has user information before the host")]
    UserInfo,
    #[error("has a port that is not a number from 1 to 65535")]
    Port,
    #[error("has a host that is not a plain name or address")]
    Host,
    #[error("has a host with a label from xn-- that stands for no name (RFC 5890)")]
    ALabel,
    #[error("uses http for a host other than 127.0.0.1, [::1] or localhost")]
    PlainHttp,
    #[error("uses a scheme that is never allowed")]
    HostileScheme,
    #[error("has nothing after its scheme")]
    Bare,
    #[error("is not an http or https URL")]
    NotWeb,
}

/// What kinds of redirect URI there are.
enum Kind {
    Https,
    Loopback,
    PrivateUse,
}

/// A URI split along RFC 3986 §3, every part a slice of the text as sent.
pub(crate) struct Uri<'a> {
    pub(crate) scheme: &'a str,
    /// Empty where there is no authority.
    pub(crate) host: &'a str,
    /// Everything after the authority, or after the scheme's colon where there is no authority.
    pub(crate) rest: &'a str,
}

impl<'a> Uri<'a> {
    pub(crate) fn split(text: &'a str) -> Result<Self, RedirectProblem> {
        check_characters(text)?;
        let (scheme, after) = text.split_once(':').ok_or(RedirectProblem::NotAbsolute)?;
        let mut letters = scheme.bytes();
        let starts_well = letters.next().is_some_and(|b| b.is_ascii_alphabetic());
        if !starts_well || !letters.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')) {
            return Err(RedirectProblem::NotAbsolute);
        }
        let web = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
        let Some(after_slashes) = after.strip_prefix("//") else {
            // `https:/cb` and `https:cb` are what a lenient parser turns into a host of the attacker's choice.
            return if web { Err(RedirectProblem::NoHost) } else { Ok(Self { scheme, host: "", rest: after }) };
        };
        let end = after_slashes.find(['/', '?']).unwrap_or(after_slashes.len());
        let (authority, rest) = after_slashes.split_at(end);
        if authority.contains('@') {
            return Err(RedirectProblem::UserInfo);
        }
        if !web {
            return Ok(Self { scheme, host: authority, rest });
        }
        let host = check_authority(authority)?;
        Ok(Self { scheme, host, rest })
    }

    fn kind(&self) -> Result<Kind, RedirectProblem> {
        if self.scheme.eq_ignore_ascii_case("https") {
            return Ok(Kind::Https);
        }
        if self.scheme.eq_ignore_ascii_case("http") {
            return if self.is_loopback() { Ok(Kind::Loopback) } else { Err(RedirectProblem::PlainHttp) };
        }
        if HOSTILE_SCHEMES.iter().any(|hostile| self.scheme.eq_ignore_ascii_case(hostile)) {
            return Err(RedirectProblem::HostileScheme);
        }
        if self.host.is_empty() && matches!(self.rest, "" | "/") {
            return Err(RedirectProblem::Bare);
        }
        Ok(Kind::PrivateUse)
    }

    /// A label from `xn--` has to be one that a name beyond ASCII leads to: browsers do not go to another one, and libraries read it
    /// in different ways (RFC 5890 §2.3.2.1, UTS #46 §4). Judged when a text comes in; what is stored stays readable.
    pub(crate) fn check_labels(&self) -> Result<(), RedirectProblem> {
        let encoded = |label: &str| label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--"));
        let wrong = self.host.split('.').any(encoded) && idna::domain_to_ascii_cow(self.host.as_bytes(), idna::AsciiDenyList::URL).is_err();
        if wrong { Err(RedirectProblem::ALabel) } else { Ok(()) }
    }

    fn is_web(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("https") || self.scheme.eq_ignore_ascii_case("http")
    }

    /// Only these three spellings: others that lead home (`127.1`, `[0:0:0:0:0:0:0:1]`) are how filters are walked around.
    fn is_loopback(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("http")
            && (self.host == "127.0.0.1" || self.host == "[::1]" || self.host.eq_ignore_ascii_case("localhost"))
    }
}

fn check_characters(text: &str) -> Result<(), RedirectProblem> {
    if text.is_empty() {
        return Err(RedirectProblem::Empty);
    }
    if text.len() > MAX_LENGTH {
        return Err(RedirectProblem::TooLong);
    }
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            0..=0x20 | 0x7f.. => return Err(RedirectProblem::Character),
            b'*' => return Err(RedirectProblem::Wildcard),
            b'#' => return Err(RedirectProblem::Fragment),
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => return Err(RedirectProblem::NotUriCharacter),
            b'%' => {
                let hex = |next: Option<u8>| next.is_some_and(|b| b.is_ascii_hexdigit());
                if !hex(bytes.next()) || !hex(bytes.next()) {
                    return Err(RedirectProblem::PercentEncoding);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The host of `host[:port]`, once both are known to mean what they seem to.
fn check_authority(authority: &str) -> Result<&str, RedirectProblem> {
    let (host, port) = if let Some(inner) = authority.strip_prefix('[') {
        let (address, after) = inner.split_once(']').ok_or(RedirectProblem::Host)?;
        address.parse::<Ipv6Addr>().map_err(|_| RedirectProblem::Host)?;
        let host = authority.get(..address.len() + 2).ok_or(RedirectProblem::Host)?;
        let port = if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or(RedirectProblem::Host)?) };
        (host, port)
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (check_name(host)?, Some(port)),
            None => (check_name(authority)?, None),
        }
    };
    match port {
        Some(digits) if digits.len() > 5 || !digits.bytes().all(|b| b.is_ascii_digit()) => Err(RedirectProblem::Port),
        Some(digits) if digits.parse::<u16>().is_ok_and(|port| port > 0) => Ok(host),
        Some(_) => Err(RedirectProblem::Port),
        None => Ok(host),
    }
}

fn check_name(host: &str) -> Result<&str, RedirectProblem> {
    if host.is_empty() {
        return Err(RedirectProblem::NoHost);
    }
    let label_is_plain =
        |label: &str| !label.is_empty() && label.len() <= 63 && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if host.len() > 253 || !host.split('.').all(label_is_plain) {
        return Err(RedirectProblem::Host);
    }
    // A last label that is a number makes URL libraries read the whole as an IPv4 address in any base: `0177.0.0.1`, `2130706433`.
    let last = host.rsplit('.').next().unwrap_or(host);
    let numeric = last.bytes().all(|b| b.is_ascii_digit())
        || last.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x")) && last.bytes().skip(2).all(|b| b.is_ascii_hexdigit());
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return Err(RedirectProblem::Host);
    }
    Ok(host)
}

#[cfg(test)]
mod tests;
