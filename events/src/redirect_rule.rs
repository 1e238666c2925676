//! Which redirect URIs are expected.

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::redirect::RedirectUri;

mod presets;

pub(crate) use presets::find;
pub use presets::{Preset, presets};

/// A redirect URI that is expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RedirectRule {
    /// This very URI.
    Exact {
        /// The URI.
        uri: String,
    },
    /// `https` on this host and default port, below this path.
    Host {
        /// The host, in lower case.
        host: String,
        /// The path, or the one that it is below: a prefix ends at a segment, so `/app` means `/app` and what is below `/app/`, and
        /// `/app/` only the latter. The query is not looked at. `/` when absent.
        #[serde(default = "root")]
        path_prefix: String,
    },
    /// `http` on a loopback host.
    Loopback,
    /// What a known vendor does.
    Preset {
        /// The vendor.
        preset: String,
        /// The version of the shipped data.
        version: u16,
    },
    /// A private-use scheme.
    Scheme {
        /// The scheme, in lower case.
        scheme: String,
    },
}

impl RedirectRule {
    /// Whether the rule expects this URI.
    pub fn expects(&self, uri: &RedirectUri) -> bool {
        match self {
            Self::Exact { uri: expected } => uri.as_str() == expected,
            Self::Host { host, path_prefix } => below(uri, host, path_prefix),
            Self::Loopback => uri.is_loopback(),
            Self::Preset { preset, version } => {
                presets::find(preset, *version).is_some_and(|known| known.rules.iter().any(|rule| rule.expects(uri)))
            }
            Self::Scheme { scheme } => uri.private_use_scheme().as_ref() == Some(scheme),
        }
    }
}

fn root() -> String {
    "/".to_owned()
}

/// A path that climbs for some server is not below anything; a port is another service of the host.
fn below(uri: &RedirectUri, host: &str, prefix: &str) -> bool {
    let Some(rest) = uri
        .as_str()
        .strip_prefix("https://")
        .and_then(|rest| rest.get(..host.len()).filter(|h| h.eq_ignore_ascii_case(host)).and(rest.get(host.len()..)))
    else {
        return false;
    };
    let path = rest.split('?').next().unwrap_or(rest);
    at_or_below(path, prefix) && !may_climb(path)
}

/// Whether some server may read a path as one that leads elsewhere: a segment of dots, with parameters after `;` or without, a hidden
/// slash or backslash, or bytes that are no UTF-8 (such as an overlong dot), however often it is percent-encoded.
fn may_climb(path: &str) -> bool {
    let mut path = path.to_owned();
    loop {
        let dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
        if path.split('/').any(dots) || path.contains('\\') {
            return true;
        }
        let Ok(decoded) = percent_decode_str(&path).decode_utf8() else { return true };
        if decoded == path {
            return false;
        }
        if decoded.matches('/').count() > path.matches('/').count() {
            return true;
        }
        path = decoded.into_owned();
    }
}

fn at_or_below(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix);
    path.starts_with('/') && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}
