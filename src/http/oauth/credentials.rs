//! What a client shows of itself at the token endpoint (RFC 6749 §2.3, RFC 7523 §2.2).

use std::net::IpAddr;

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gatebook_events::identity::ClientId;
use reqwest::Url;
use serde_json::{Map, Value};

use crate::application::authentication::Credential;
use crate::application::decisions::Presented;
use crate::application::error::UseCaseError;
use crate::credentials::secrets::ClientSecret;
use crate::http::error::Failure;
use crate::http::json::Form;

/// RFC 7523 §2.2
pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What the request shows; one way at a time (RFC 6749 §2.3). A client that shows nothing is one that cannot be served.
pub(super) fn presented(headers: &HeaderMap, form: &Form, source: IpAddr) -> Result<Presented, Failure> {
    let named = form.one("client_id")?;
    let (secret, assertion) = (form.one("client_secret")?, form.one("client_assertion")?);
    let kind = form.one("client_assertion_type")?;
    let received = |secret: &str| ClientSecret::received(secret.to_owned());
    let (ids, credential) = match (basic(headers)?, secret, assertion) {
        (Some((ids, secrets)), None, None) => (ids, Credential::Secret(received(&secrets.as_form), secrets.as_sent().map(received))),
        (None, Some(secret), None) => (Readings::one(named.ok_or(UseCaseError::Client)?), Credential::Secret(received(secret), None)),
        (None, None, Some(assertion)) if kind == Some(JWT_BEARER) => {
            (Readings::one(&subject(assertion).ok_or(UseCaseError::Client)?), Credential::Assertion(assertion.to_owned()))
        }
        (None, None, Some(_)) => return Err(invalid("client_assertion_type is not that of a JWT (RFC 7523 section 2.2)")),
        (None, None, None) => (Readings::one(named.ok_or(UseCaseError::Client)?), Credential::None),
        _ => return Err(invalid("a client shows one credential in a request")),
    };
    // RFC 7521 §4.2: where it is named besides, it has to be the same.
    let meant = [Some(ids.as_form.as_str()), ids.as_sent()].into_iter().flatten().filter(|id| named.is_none_or(|named| named == *id));
    let mut meant = meant.filter_map(|id| ClientId::parse(id).ok());
    match (meant.next(), named) {
        (Some(client_id), _) => Ok(Presented { client_id, or_else: meant.next(), credential, source }),
        (None, Some(_)) => Err(invalid("client_id names another client than the credential does")),
        (None, None) => Err(UseCaseError::Client.into()),
    }
}

/// A part of a `Basic` header in the two ways in which clients write it.
#[derive(Debug, PartialEq, Eq)]
struct Readings {
    /// Encoded as in a form, as RFC 6749 §2.3.1 has it. What is no encoding is taken as it is.
    as_form: String,
    /// As RFC 7617 has it.
    as_sent: String,
}

impl Readings {
    fn of(text: &str) -> Self {
        Self { as_form: form_decoded(text), as_sent: text.to_owned() }
    }

    fn one(text: &str) -> Self {
        Self { as_form: text.to_owned(), as_sent: text.to_owned() }
    }

    /// The second reading, where it is another one.
    fn as_sent(&self) -> Option<&str> {
        (self.as_form != self.as_sent).then_some(self.as_sent.as_str())
    }
}

/// Id and secret out of a `Basic` header. An id that is a URL is not cut at its colon, since its encoding has none.
fn basic(headers: &HeaderMap) -> Result<Option<(Readings, Readings)>, Failure> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let malformed = || UseCaseError::Client;
    let (scheme, credentials) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(malformed().into());
    }
    let decoded = STANDARD.decode(credentials.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(malformed)?;
    let (id, secret) = decoded.split_once(':').ok_or_else(malformed)?;
    Ok(Some((Readings::of(id), Readings::of(secret))))
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

    fn of(header: &str) -> Option<(Readings, Readings)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, header.parse().unwrap());
        basic(&headers).ok().flatten()
    }

    #[test]
    fn w7_a_basic_header_is_read_as_a_form_and_as_it_was_sent() {
        let read = |text: &str, as_form: &str| Readings { as_form: as_form.to_owned(), as_sent: text.to_owned() };
        let pair = |id: &str, secret: &str| Some((read(id, id), read(secret, secret)));
        assert_eq!(of(&format!("Basic {}", STANDARD.encode("ci:gbs_a-b_c"))), pair("ci", "gbs_a-b_c"));
        let url = "https%3A%2F%2Fapp.example%2Fclient.json";
        assert_eq!(
            of(&format!("basic {}", STANDARD.encode(format!("{url}:a%2Bb+c")))),
            Some((read(url, "https://app.example/client.json"), read("a%2Bb+c", "a+b c")))
        );
        assert_eq!(of(&format!("Basic {}", STANDARD.encode("ci:100%&more=#1"))), pair("ci", "100%&more=#1"));
        for bad in ["Basic", "Basic !!!", "Bearer abc", &format!("Basic {}", STANDARD.encode("no colon"))] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
