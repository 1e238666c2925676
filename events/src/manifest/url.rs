//! The URL of a client's own document, which is its `client_id` (CIMD §3). Judged on the text as sent: what a URL library
//! would repair or rewrite is refused, so that there is one spelling, and it is the one that is compared and fetched.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::identity::ClientId;
use crate::redirect::{RedirectProblem, Uri};

/// Hosts that are this very machine, in the only spellings that are understood.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The URL of a client's document: `https`, a named host in lower case, a path, and nothing that reads in two ways.
///
/// A query is allowed, because CIMD §3 says SHOULD NOT and key sets (`jwks_uri`) do have one; it makes a warning.
/// A port is allowed, the scheme's own is not: `https://a.example:443/c` and `https://a.example/c` would be two clients.
/// Reading one back from storage trusts the text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ManifestUrl(#[serde(deserialize_with = "crate::identity::shared")] Arc<str>);

/// Whether a `client_id` claims to be the URL of a document, well formed or not. Identifiers that are drawn here never do
/// (CIMD §6.9).
pub fn is_url_client_id(text: &str) -> bool {
    let starts = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    starts("https:") || starts("http:")
}

impl ManifestUrl {
    /// Judges a text as sent.
    pub fn parse(text: &str) -> Result<Self, ManifestUrlProblem> {
        Self::judge(text, false)
    }

    /// The same, and also `http` and `https` to `localhost`, `127.0.0.1` or `[::1]`: for development only (CIMD §6.5).
    pub fn parse_for_development(text: &str) -> Result<Self, ManifestUrlProblem> {
        Self::judge(text, true)
    }

    fn judge(text: &str, loopback_allowed: bool) -> Result<Self, ManifestUrlProblem> {
        let uri = Uri::split(text)?;
        // The raw text, so that `HTTPS://` is no second spelling.
        let known_scheme = text.starts_with("https://") || loopback_allowed && text.starts_with("http://");
        if !known_scheme {
            return Err(ManifestUrlProblem::NotHttps);
        }
        if LOOPBACK.contains(&uri.host) {
            if !loopback_allowed {
                return Err(ManifestUrlProblem::Loopback);
            }
        } else if uri.scheme == "http" {
            return Err(ManifestUrlProblem::NotHttps);
        } else {
            check_host(uri.host)?;
            uri.check_labels()?;
        }
        let url = Self(Arc::from(text));
        check_port(&url)?;
        check_path(uri.rest)?;
        Ok(url)
    }

    /// The text exactly as sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The identifier of the client whose document this is.
    pub fn client_id(&self) -> ClientId {
        ClientId::of_url(&self.0)
    }

    /// Whether it is reached over TLS; anything else is for development.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }

    /// Whether it points to this very machine.
    pub fn is_loopback(&self) -> bool {
        LOOPBACK.contains(&self.host())
    }

    /// The host without its port; an IPv6 address in its brackets.
    pub fn host(&self) -> &str {
        let authority = self.authority();
        match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => host,
            _ => authority,
        }
    }

    /// The port that is connected to.
    pub fn port(&self) -> u16 {
        self.written_port().and_then(|port| port.parse().ok()).unwrap_or(self.usual_port())
    }

    /// The host, with a port if one is written: what a request names in `Host` (RFC 9110 §7.2).
    pub fn authority(&self) -> &str {
        self.split().0
    }

    /// What is asked for at the host.
    pub fn path_and_query(&self) -> &str {
        self.split().1
    }

    /// Whether there is a query.
    pub fn has_query(&self) -> bool {
        self.0.contains('?')
    }

    fn split(&self) -> (&str, &str) {
        let after = self.0.split_once("://").map_or("", |(_, after)| after);
        after.split_at(after.find(['/', '?']).unwrap_or(after.len()))
    }

    fn written_port(&self) -> Option<&str> {
        self.authority().rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'))
    }

    fn usual_port(&self) -> u16 {
        if self.is_https() { 443 } else { 80 }
    }
}

impl fmt::Display for ManifestUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not the URL of a client's document. The sentences are ASCII and may be shown to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's sentence is its documentation")]
pub enum ManifestUrlProblem {
    #[error(transparent)]
    Uri(#[from] RedirectProblem),
    #[error("does not start with https://")]
    NotHttps,
    #[error("names this very host, which is for development only")]
    Loopback,
    #[error("has an address instead of a host name")]
    Address,
    #[error("has a host that is not a name in lower case")]
    Host,
    #[error("writes out the port that its scheme has anyway, or a port with a leading zero")]
    Port,
    #[error("has no path beyond the slash")]
    Path,
    #[error("has a . or .. segment in its path")]
    DotSegment,
    #[error("has a character that URL libraries rewrite")]
    Rewritten,
}

/// Letters, digits and hyphens (RFC 1123 §2.1) in lower case. What has passed before is no odd spelling of a number.
fn check_host(host: &str) -> Result<(), ManifestUrlProblem> {
    if host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok() {
        return Err(ManifestUrlProblem::Address);
    }
    let letters = |label: &str| label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let plain = |label: &str| letters(label) && !label.starts_with('-') && !label.ends_with('-');
    if host.split('.').all(plain) { Ok(()) } else { Err(ManifestUrlProblem::Host) }
}

fn check_port(url: &ManifestUrl) -> Result<(), ManifestUrlProblem> {
    match url.written_port() {
        Some(port) if port.starts_with('0') || url.port() == url.usual_port() => Err(ManifestUrlProblem::Port),
        _ => Ok(()),
    }
}

fn check_path(rest: &str) -> Result<(), ManifestUrlProblem> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if path.bytes().all(|b| b == b'/') {
        return Err(ManifestUrlProblem::Path);
    }
    let dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if path.split('/').any(dots) {
        return Err(ManifestUrlProblem::DotSegment);
    }
    if rest.contains(['[', ']']) || query.contains('\'') {
        return Err(ManifestUrlProblem::Rewritten);
    }
    Ok(())
}
