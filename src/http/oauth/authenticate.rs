//! `POST /oauth/authenticate`: an authorization server has a client's credentials checked, and hears whether it may act.

use std::net::IpAddr;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use gatebook_events::decision::Refusal;
use gatebook_events::identity::ClientId;
use gatebook_events::standing::Decision;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::credentials::JWT_BEARER;
use super::decisions::{invalid, members, target};
use crate::application::authentication::Credential;
use crate::application::decisions::{self, Answer, Presented};
use crate::application::services::Services;
use crate::credentials::secrets::ClientSecret;
use crate::http::caller::{Anyone, Authenticator};
use crate::http::consistency::Written;
use crate::http::error::OauthError;
use crate::http::json as body_json;
use crate::http::response;

/// What a client showed, as its authorization server passes it on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    client_id: String,
    client_secret: Option<String>,
    client_assertion: Option<String>,
    client_assertion_type: Option<String>,
    resource: Option<String>,
    /// The address that the client came from; the caller's own, if absent.
    source: Option<IpAddr>,
}

/// Always 200 where the question could be understood. Of a client that may not act the credentials are not looked at.
pub async fn authenticate(
    State(services): State<Services>,
    Authenticator(caller): Authenticator,
    from: Anyone,
    headers: HeaderMap,
    body: Body,
) -> Result<Written<Json<Map<String, Value>>>, OauthError> {
    let shown = body_json::fields(&headers, body, "invalid_request").await?;
    let shown: Shown =
        serde_json::from_value(Value::Object(shown)).map_err(|error| invalid(gatebook_events::json::ascii(&error.to_string())))?;
    let client_id = ClientId::parse(&shown.client_id).map_err(|_| invalid("client_id is not 1 to 2048 printable ASCII characters"))?;
    let credential = match (shown.client_secret, shown.client_assertion, shown.client_assertion_type.as_deref()) {
        (Some(secret), None, None) => Credential::Secret(ClientSecret::received(secret), None),
        (None, Some(assertion), Some(JWT_BEARER)) => Credential::Assertion(assertion),
        (None, None, None) => Credential::None,
        // RFC 6749 §2.3: one method a request.
        _ => return Err(invalid("either client_secret, or client_assertion with its client_assertion_type").into()),
    };
    let server = target(&services, &caller, shown.resource.as_deref()).await?;
    let source = shown.source.unwrap_or(from.address);
    let presented = Presented { client_id, or_else: None, credential, source };
    let (answer, refusal) = Box::pin(decisions::prove(&services, server, &presented)).await?;
    Ok(Written(Json(render(&presented.client_id, &answer, refusal)), answer.position))
}

fn render(client_id: &ClientId, answer: &Answer, refusal: Option<Refusal>) -> Map<String, Value> {
    let standing = answer.verdict.reason;
    let mut body = Map::new();
    body.insert("decision".to_owned(), json!(standing.decision()));
    body.insert("client_id".to_owned(), client_id.as_str().into());
    let authenticated = answer.client.as_ref().filter(|_| standing.decision() == Decision::Allow && refusal.is_none());
    if let Some(client) = authenticated {
        body.insert("client".to_owned(), members(client).into());
        body.insert("warnings".to_owned(), json!(answer.warnings));
        response::put(&mut body, "registration_version", answer.version.map(|version| version.to_string()));
    }
    body.insert("authenticated".to_owned(), authenticated.is_some().into());
    body.insert("reason".to_owned(), refusal.map_or(standing.as_str(), Refusal::as_str).into());
    response::put(&mut body, "cure", standing.cure());
    response::put(&mut body, "retry_after", answer.retry_after);
    body
}
