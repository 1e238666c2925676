//! What an answer says about asking again (RFC 9111, RFC 9110 §8.8 and §10.2.3). Times are only ever compared with the
//! answer's own `Date`, so that no clock has to agree with another.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use chrono::DateTime;
use serde::{Deserialize, Serialize};

/// The longest validator that is kept, in bytes.
const LONGEST_VALIDATOR: usize = 256;
/// No freshness and no pause is taken to be longer.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// What to ask with next time, so that an unchanged document is not sent again. Kept as sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// `ETag`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<Box<str>>,
    /// `Last-Modified`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<Box<str>>,
}

impl Validators {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let kept = |name| text(headers, name).filter(|text| !text.is_empty() && text.len() <= LONGEST_VALIDATOR).map(Box::from);
        Self { etag: kept(header::ETAG), last_modified: kept(header::LAST_MODIFIED) }
    }

    /// These, and `known` where an answer without a document does not repeat them (RFC 9110 §15.4.5).
    pub(super) fn or(self, known: &Self) -> Self {
        let Self { etag, last_modified } = known.clone();
        Self { etag: self.etag.or(etag), last_modified: self.last_modified.or(last_modified) }
    }

    /// The headers of a conditional request.
    pub(super) fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let both = [(header::IF_NONE_MATCH, &self.etag), (header::IF_MODIFIED_SINCE, &self.last_modified)];
        both.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::from_str(text.as_deref()?).ok()?)))
    }
}

/// For how long the answer need not be asked for again; none where it says nothing.
pub(super) fn fresh_for(headers: &HeaderMap) -> Option<Duration> {
    let directives: Vec<String> = headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase())
        .collect();
    let has = |name: &str| directives.iter().any(|directive| directive.split('=').next() == Some(name));
    if has("no-store") || has("no-cache") {
        return Some(Duration::ZERO);
    }
    let age = text(headers, header::AGE).and_then(seconds).unwrap_or_default();
    for name in ["s-maxage", "max-age"] {
        if has(name) {
            let value = directives.iter().find_map(|directive| directive.strip_prefix(name)?.strip_prefix('='));
            // RFC 9111 §4.2.1: what cannot be read is stale.
            return Some(value.and_then(|value| seconds(value.trim_matches('"'))).unwrap_or_default().saturating_sub(age));
        }
    }
    // RFC 9111 §5.3: an invalid date, `0` above all, is in the past.
    headers.contains_key(header::EXPIRES).then(|| until(headers, header::EXPIRES).unwrap_or_default().saturating_sub(age))
}

/// For how long the host asks to be left alone.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    text(headers, header::RETRY_AFTER).and_then(seconds).or_else(|| until(headers, header::RETRY_AFTER))
}

/// From the answer's own date to the date in a header.
fn until(headers: &HeaderMap, name: HeaderName) -> Option<Duration> {
    let date = |name| text(headers, name).and_then(|text| DateTime::parse_from_rfc2822(text).ok());
    let between = date(name)?.signed_duration_since(date(header::DATE)?);
    between.to_std().ok().map(|between| between.min(LONGEST))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

fn seconds(text: &str) -> Option<Duration> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
    }

    /// SHOULD, CIMD §4.4.
    #[test]
    fn c20_cache_control_goes_before_expires_and_silence_is_told_from_stale() {
        const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (lines, expected) in [
            (&[][..], None),
            (&[("cache-control", "public")], None),
            (&[("cache-control", "max-age=60")], Some(60)),
            (&[("cache-control", "public, Max-Age=\"60\"")], Some(60)),
            (&[("cache-control", "max-age=60, s-maxage=10")], Some(10)),
            (&[("cache-control", "max-age=60"), ("age", "50")], Some(10)),
            (&[("cache-control", "max-age=60"), ("age", "70")], Some(0)),
            (&[("cache-control", "max-age=60, no-cache")], Some(0)),
            (&[("cache-control", "no-store")], Some(0)),
            (&[("cache-control", "max-age=-1")], Some(0)),
            (&[("cache-control", "max-age=99999999999999999999999")], Some(LONGEST.as_secs())),
            (&[DATE, ("expires", "Sun, 06 Nov 1994 08:50:37 GMT")], Some(60)),
            (&[DATE, ("expires", "Sun, 06 Nov 1994 08:48:37 GMT")], Some(0)),
            (&[DATE, ("expires", "0")], Some(0)),
            (&[("expires", "Sun, 06 Nov 2094 08:50:37 GMT")], Some(0)),
            (&[DATE, ("expires", "Sun, 06 Nov 1994 08:50:37 GMT"), ("cache-control", "max-age=5")], Some(5)),
        ] {
            assert_eq!(fresh_for(&headers(lines)), expected.map(Duration::from_secs), "{lines:?}");
        }
    }

    #[test]
    fn a_pause_is_read_in_seconds_or_as_a_date() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(retry_after(&headers(&[("retry-after", "120")])), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(&headers(&[date, ("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")])), Some(Duration::from_secs(10)));
        assert_eq!(retry_after(&headers(&[("retry-after", "soon")])), None);
    }

    #[test]
    fn validators_go_back_as_they_came_and_an_answer_without_them_keeps_the_old_ones() {
        let known = Validators::of(&headers(&[("etag", "W/\"a\""), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")]));
        let sent: Vec<_> = known.headers().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        assert_eq!(sent, ["if-none-match: W/\"a\"", "if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT"]);
        let next = Validators::of(&headers(&[("etag", "\"b\"")])).or(&known);
        assert_eq!((next.etag.as_deref(), next.last_modified), (Some("\"b\""), known.last_modified));
        assert_eq!(Validators::of(&headers(&[("etag", &"a".repeat(257))])), Validators::default());
    }
}
