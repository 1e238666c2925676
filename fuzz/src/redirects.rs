//! Redirect URIs: two texts, and a third for a path prefix, with a line break between them. What is accepted and what matches
//! is held against the `url` crate, which reads as browsers do (WHATWG).

use std::net::Ipv6Addr;

use gatebook_events::redirect::{RedirectUri, WebUri};
use gatebook_events::redirect_rule::RedirectRule;
use gatebook_events::resource_server::Policy;
use url::{Host, Url};

use super::is_a_sentence_for_anybody;

/// What must hold for any two redirect URIs and any path prefix.
pub fn redirects(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.splitn(3, '\n');
    let (registered, requested, prefix) =
        (lines.next().unwrap_or_default(), lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let (one, other) = (judged(registered), judged(requested));
    if let Some(one) = &one {
        matching(one, requested, other.as_ref());
        if let Some(other) = &other {
            host_rule(one, other, prefix);
        }
    }
}

/// What is accepted is kept to the letter, and a browser reads it as we do.
fn judged(text: &str) -> Option<RedirectUri> {
    link(text);
    let uri = match RedirectUri::parse(text) {
        Ok(uri) => uri,
        Err(problem) => {
            is_a_sentence_for_anybody(&problem.to_string());
            return None;
        }
    };
    assert_eq!(uri.as_str(), text);
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'*' && byte != b'\\'));
    assert!(uri.matches(text));
    let stored = serde_json::to_string(&uri).unwrap();
    assert_eq!(serde_json::from_str::<RedirectUri>(&stored).unwrap(), uri);

    let url = match Url::parse(text) {
        Ok(url) => url,
        // A browser may refuse more than we do: punycode that decodes to nothing, what looks like a host in a private-use URI.
        Err(error) => {
            assert!(uri.private_use_scheme().is_some() || has_punycode(uri.host()), "a browser does not read {text:?}: {error}");
            return Some(uri);
        }
    };
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{text:?}");
    match uri.private_use_scheme() {
        Some(scheme) => assert_eq!(url.scheme(), scheme),
        None => assert!(web(&uri, &url), "{text:?} is {url} to a browser"),
    }
    let home =
        matches!(url.host(), Some(Host::Domain("localhost") | Host::Ipv4(std::net::Ipv4Addr::LOCALHOST) | Host::Ipv6(Ipv6Addr::LOCALHOST)));
    assert_eq!(uri.is_loopback(), home && url.scheme() == "http", "{text:?}");
    Some(uri)
}

/// The same host, port, path and query.
fn web(uri: &RedirectUri, url: &Url) -> bool {
    let host = uri.host();
    let same_host = match url.host() {
        Some(Host::Domain(name)) => host.eq_ignore_ascii_case(name),
        Some(Host::Ipv4(address)) => host.parse() == Ok(address),
        Some(Host::Ipv6(address)) => host.trim_matches(['[', ']']).parse() == Ok(address),
        None => false,
    };
    let default = if url.scheme() == "https" { 443 } else { 80 };
    let (path, query) = match uri.path_and_query().split_once('?') {
        Some((path, query)) => (path, Some(query.replace('\'', "%27"))),
        None => (uri.path_and_query(), None),
    };
    let path = if path.is_empty() { "/" } else { path };
    let same_path = climbs(path) || url.path() == path;
    same_host && url.port_or_known_default() == Some(port(uri).unwrap_or(default)) && same_path && url.query() == query.as_deref()
}

/// A match is the same text, or the same loopback URI on another port; and then it is so for a browser too.
fn matching(one: &RedirectUri, requested: &str, other: Option<&RedirectUri>) {
    let matches = one.matches(requested);
    assert!(!matches || other.is_some(), "{one} matches {requested:?}, which could not be registered");
    let Some(other) = other else { return };
    assert_eq!(matches, other.matches(one.as_str()), "{one} and {other} disagree");
    assert_eq!(matches, one.shape() == other.shape(), "{one} and {other}");
    if !matches || one == other {
        return;
    }
    assert!(one.is_loopback() && other.is_loopback());
    assert_eq!((one.host(), one.path_and_query()), (other.host(), other.path_and_query()));
    let (mut a, mut b) = (Url::parse(one.as_str()).unwrap(), Url::parse(other.as_str()).unwrap());
    a.set_port(None).unwrap();
    b.set_port(None).unwrap();
    assert_eq!(a, b, "to a browser more than the port differs");
}

/// What a host rule expects goes, in a browser too, to that host's default port and below that path.
fn host_rule(one: &RedirectUri, other: &RedirectUri, prefix: &str) {
    let host = one.host().to_ascii_lowercase();
    let rule = RedirectRule::Host { host: host.clone(), path_prefix: prefix.to_owned() };
    let policy = Policy { redirect_rules: vec![rule.clone()], ..Policy::default() };
    if policy.check().is_err() || !rule.expects(other) {
        return;
    }
    let Ok(url) = Url::parse(other.as_str()) else { return };
    assert!(url.scheme() == "https" && url.port().is_none(), "{other}");
    assert!(other.host().eq_ignore_ascii_case(&host), "{other} is not at {host}");
    assert!(url.path().starts_with(prefix), "{other} is {url} to a browser, and not below {prefix}");
}

/// A link goes where it seems to go.
fn link(text: &str) {
    let Ok(link) = WebUri::parse(text) else { return };
    assert_eq!(link.as_str(), text);
    match Url::parse(text) {
        Ok(url) => {
            assert!(matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none(), "{text:?}");
            assert_eq!(url.scheme() == "https", link.is_https());
        }
        Err(_) => assert!(has_punycode(text), "a browser does not read {text:?}"),
    }
}

/// The port in the text, where there is one.
fn port(uri: &RedirectUri) -> Option<u16> {
    let (_, after) = uri.as_str().split_once("://")?;
    let authority = &after[..after.len() - uri.path_and_query().len()];
    authority[uri.host().len()..].strip_prefix(':')?.parse().ok()
}

/// Whether a browser would take segments out of the path.
fn climbs(path: &str) -> bool {
    path.split('/').any(|segment| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | ".."))
}

fn has_punycode(text: &str) -> bool {
    text.to_ascii_lowercase().contains("xn--")
}
