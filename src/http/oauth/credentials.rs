//! What a client shows of itself at the token endpoint (RFC 6749 §2.3, RFC 7523 §2.2).

use std::net::IpAddr;

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gatebook_events::identity::ClientId;
use reqwest::Url;
use serde_json::{Map, Value};

use crate::authentication::Credential;
use crate::doors::Presented;
use crate::http::error::Failure;
use crate::http::json::Form;
use crate::secrets::ClientSecret;

/// RFC 7523 §2.2
pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What the request shows; one way at a time (RFC 6749 §2.3). A client that shows nothing is one that cannot be served.
pub(super) fn presented(headers: &HeaderMap, form: &Form, source: IpAddr) -> Result<Presented, Failure> {
    let named = form.one("client_id")?;
    let (secret, assertion) = (form.one("client_secret")?, form.one("client_assertion")?);
    let kind = form.one("client_assertion_type")?;
    let (id, credential) = match (basic(headers)?, secret, assertion) {
        (Some((id, secret)), None, None) => (id, Credential::Secret(ClientSecret::received(secret))),
        (None, Some(secret), None) => {
            (named.ok_or(Failure::Client)?.to_owned(), Credential::Secret(ClientSecret::received(secret.to_owned())))
        }
        (None, None, Some(assertion)) if kind == Some(JWT_BEARER) => {
            (subject(assertion).ok_or(Failure::Client)?, Credential::Assertion(assertion.to_owned()))
        }
        (None, None, Some(_)) => return Err(invalid("client_assertion_type is not that of a JWT (RFC 7523 section 2.2)")),
        (None, None, None) => (named.ok_or(Failure::Client)?.to_owned(), Credential::None),
        _ => return Err(invalid("a client shows one credential in a request")),
    };
    // RFC 7521 §4.2: where it is named besides, it has to be the same.
    if named.is_some_and(|named| named != id) {
        return Err(invalid("client_id names another client than the credential does"));
    }
    Ok(Presented { client_id: ClientId::parse(&id).map_err(|_| Failure::Client)?, credential, source })
}

/// Id and secret out of a `Basic` header, each encoded as in a form (RFC 6749 §2.3.1). Some clients send them as they are: what
/// is no encoding is taken so, and an id that is a URL is not cut at its colon, since its encoding has none.
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, Failure> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let malformed = || Failure::Client;
    let (scheme, credentials) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(malformed());
    }
    let decoded = STANDARD.decode(credentials.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(malformed)?;
    let (id, secret) = decoded.split_once(':').ok_or_else(malformed)?;
    Ok(Some((form_decoded(id), form_decoded(secret))))
}

fn form_decoded(text: &str) -> String {
    let Ok(mut url) = Url::parse("form:") else { return text.to_owned() };
    url.set_query(Some(&format!("v={}", text.replace('&', "%26").replace('#', "%23"))));
    url.query_pairs().next().map_or_else(|| text.to_owned(), |(_, value)| value.into_owned())
}

/// Whom an assertion is about. Nothing in it is believed yet; it only says whose keys it is held against.
fn subject(assertion: &str) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1)?).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(&claims).ok()?;
    claims.get("sub")?.as_str().map(str::to_owned)
}

fn invalid(detail: &str) -> Failure {
    Failure::request(StatusCode::BAD_REQUEST, "invalid_request", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &str) -> Option<(String, String)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, header.parse().unwrap());
        basic(&headers).ok().flatten()
    }

    #[test]
    fn a_basic_header_is_decoded_twice_and_what_is_no_encoding_stays() {
        let pair = |id: &str, secret: &str| Some((id.to_owned(), secret.to_owned()));
        assert_eq!(of(&format!("Basic {}", STANDARD.encode("ci:gbs_a-b_c"))), pair("ci", "gbs_a-b_c"));
        let url = "https%3A%2F%2Fapp.example%2Fclient.json";
        assert_eq!(of(&format!("basic {}", STANDARD.encode(format!("{url}:a%2Bb+c")))), pair("https://app.example/client.json", "a+b c"));
        assert_eq!(of(&format!("Basic {}", STANDARD.encode("ci:100%&more=#1"))), pair("ci", "100%&more=#1"));
        for bad in ["Basic", "Basic !!!", "Bearer abc", &format!("Basic {}", STANDARD.encode("no colon"))] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
