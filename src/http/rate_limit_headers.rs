//! How much of its allowance a caller has left, as draft-ietf-httpapi-ratelimit-headers-10 spells it: a structured list of
//! policies (`q` registrations in `w` seconds) and one of what remains (`r`) and when there is more (`t` seconds).

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::application::rate_limits::Allowance;

/// Which ceilings there are.
pub const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What is left below each of them.
pub const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Both fields; neither where there is no ceiling.
pub fn headers(allowances: &[Allowance]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if allowances.is_empty() {
        return headers;
    }
    let list = |item: &dyn Fn(&Allowance) -> String| allowances.iter().map(item).collect::<Vec<_>>().join(", ");
    let policy = list(&|of| format!("\"{}\";q={};w={}", of.ceiling.as_str(), of.most, of.ceiling.window()));
    let limit = list(&|of| format!("\"{}\";r={};t={}", of.ceiling.as_str(), of.remaining, of.seconds));
    for (name, text) in [(POLICY, policy), (LIMIT, limit)] {
        // Names and numbers are always a header's text.
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
    headers
}
