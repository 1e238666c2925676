//! `POST /oauth/token`: access tokens for clients that act for themselves (RFC 6749 §4.4), good at one resource server (RFC 8707).

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use gatebook_events::decision::Reason;
use gatebook_events::metadata::GrantType;
use gatebook_events::scope::Scope;
use gatebook_events::standing::Decision;
use serde_json::{Map, Value};

use super::credentials;
use crate::application::decisions;
use crate::application::services::Services;
use crate::http::caller::Anyone;
use crate::http::error::{Failure, OauthError};
use crate::http::json as body_json;
use crate::http::response;

/// What a client gets is for the doors to say.
pub async fn token(
    State(services): State<Services>,
    from: Anyone,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Map<String, Value>>, OauthError> {
    let form = body_json::form(&headers, body, "invalid_request").await?;
    let grant_type = form.one("grant_type")?.ok_or_else(|| refuse("invalid_request", "grant_type is missing"))?;
    if grant_type != GrantType::ClientCredentials.as_str() {
        return Err(refuse("unsupported_grant_type", "this endpoint gives tokens for client_credentials only").into());
    }
    let presented = credentials::presented(&headers, &form, from.address)?;
    let scope = form.one("scope")?.map(Scope::parse).transpose();
    let scope = scope.map_err(|_| refuse("invalid_scope", "scope has a character that is not allowed"))?.flatten();
    let resources: Vec<&str> = form.all("resource").collect();
    // A request that is refused before need not carry all that a check of credentials takes.
    let granted = Box::pin(decisions::grant(&services, &presented, &resources, scope.as_ref())).await?;
    services.metrics.decided(granted.as_ref().map_or_else(|reason| reason.decision(), |_| Decision::Allow).as_str());
    let grant = granted.map_err(no)?;
    let server = services.commands.resource_server(grant.resource_server).await?;
    let (tokens, now) = (&services.access_tokens, services.commands.clock().now());
    let issued = tokens.issue(&grant, &tokens.audience(grant.resource_server, &server), now).await.map_err(Failure::from)?;
    let mut body = Map::new();
    body.insert("access_token".to_owned(), issued.token.into());
    body.insert("token_type".to_owned(), "Bearer".into());
    body.insert("expires_in".to_owned(), issued.expires_in.into());
    response::put(&mut body, "scope", grant.scope.map(|scope| scope.as_str().to_owned()));
    Ok(Json(body))
}

/// A client that is who it says hears why it gets no token (RFC 6749 §5.2).
fn no(reason: Reason) -> Failure {
    let code = if reason == Reason::ScopeNotRegistered { "invalid_scope" } else { "unauthorized_client" };
    let cure = reason.cure().map(|cure| format!("; {cure}")).unwrap_or_default();
    refuse(code, format!("the client gets no token there: {}{cure}", reason.as_str()))
}

fn refuse(code: &'static str, detail: impl Into<String>) -> Failure {
    Failure::request(StatusCode::BAD_REQUEST, code, detail)
}
