//! `POST /oauth/token`: access tokens for clients that act for themselves (RFC 6749 §4.4), good at one resource server (RFC 8707).

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use gatebook_events::client::Client;
use gatebook_events::decision::{Question, Reason};
use gatebook_events::identity::{ClientKey, ResourceServerId, Stream};
use gatebook_events::metadata::GrantType;
use gatebook_events::registration::{Registration, Status};
use gatebook_events::scope::Scope;
use gatebook_events::standing::Decision;
use serde_json::{Map, Value};

use super::credentials;
use crate::access_tokens::Grant;
use crate::app::App;
use crate::authentication;
use crate::doors::{self, Effective, Subject};
use crate::http::caller::Anyone;
use crate::http::error::{Failure, OauthError};
use crate::http::json as body_json;
use crate::http::wire;

/// Who the client is comes first, then whether it may: nobody else is told how it stands.
pub async fn token(State(app): State<App>, from: Anyone, headers: HeaderMap, body: Body) -> Result<Json<Map<String, Value>>, OauthError> {
    let form = body_json::form(&headers, body, "invalid_request").await?;
    let grant_type = form.one("grant_type")?.ok_or_else(|| refuse("invalid_request", "grant_type is missing"))?;
    if grant_type != GrantType::ClientCredentials.as_str() {
        return Err(refuse("unsupported_grant_type", "this endpoint gives tokens for client_credentials only").into());
    }
    let presented = credentials::presented(&headers, &form)?;
    let scope = form.one("scope")?.map(Scope::parse).transpose();
    let scope = scope.map_err(|_| refuse("invalid_scope", "scope has a character that is not allowed"))?.flatten();
    let client: Client = app.commands().load(Stream::Client(presented.client_id.key())).await?;
    let profile = client.registered().filter(|profile| profile.client_id == presented.client_id).ok_or(Failure::Client)?;
    if authentication::authenticate(&app, profile, &presented.credential, from.address).await?.is_err() {
        return Err(Failure::Client.into());
    }
    let resources: Vec<&str> = form.all("resource").collect();
    let server = target(&app, presented.client_id.key(), &resources).await?;
    let question = Question { grant_type: Some(grant_type), scope: scope.as_ref(), redirect_uri: None };
    let answer = doors::ask(&app, server, &Subject { client_id: &presented.client_id, since: None }, &question).await?;
    app.metrics().decided(answer.verdict.reason.decision().as_str());
    let client = match &answer.client {
        Some(client) if answer.verdict.reason.decision() == Decision::Allow => client,
        Some(_) | None => return Err(no(answer.verdict.reason).into()),
    };
    let scope = granted(client, scope)?;
    let known = app.commands().resource_server(server).await?;
    let grant = Grant { client_id: presented.client_id, resource_server: server, scope };
    let (tokens, now) = (app.access_tokens(), app.commands().clock().now());
    let issued = tokens.issue(&grant, &tokens.audience(server, &known), now).await.map_err(Failure::from)?;
    let mut body = Map::new();
    body.insert("access_token".to_owned(), issued.token.into());
    body.insert("token_type".to_owned(), "Bearer".into());
    body.insert("expires_in".to_owned(), issued.expires_in.into());
    wire::put(&mut body, "scope", grant.scope.map(|scope| scope.as_str().to_owned()));
    Ok(Json(body))
}

/// The resource server that a client asks a token for: the one that it names among those that it is registered at, else the only
/// one of them. A token is good at one, so that none can hand it on to another.
async fn target(app: &App, client: ClientKey, resources: &[&str]) -> Result<ResourceServerId, Failure> {
    let invalid = |detail: &str| refuse("invalid_target", detail);
    let resource = match resources {
        [] => None,
        [one] => Some(*one),
        _ => return Err(invalid("a token is good at one resource server: name one")),
    };
    let roster = app.known_servers().await?;
    let Some(resource) = resource else {
        let at = app.registered_at(client).await?;
        let mut active = at.into_iter().filter(|id| roster.get(*id).is_some_and(|known| known.server.is_active()));
        let first = active.next().ok_or_else(|| invalid("the client is registered at no resource server"))?;
        return match active.next() {
            None => Ok(first),
            Some(_) => Err(invalid("the client is registered at several resource servers: name one by its resource")),
        };
    };
    let mut named = roster.all_with_resource(resource);
    // Where it has no identifier of its own, it is called as in its tokens.
    let here = resource.strip_prefix(app.public_url()).and_then(|rest| rest.strip_prefix("/rs/")).and_then(|id| id.parse().ok());
    named.extend(here.filter(|id| roster.get(*id).is_some_and(|known| known.server.is_active())));
    for id in named {
        let registration: Registration = app.commands().load(Stream::Registration(id, client)).await?;
        if registration.status != Status::None {
            return Ok(id);
        }
    }
    Err(invalid("resource names no resource server that the client is registered at"))
}

/// What was asked for, or all that it has. A client that nobody bounded gets none, for there is nothing to hold a wish against.
fn granted(client: &Effective, asked: Option<Scope>) -> Result<Option<Scope>, Failure> {
    match (asked, &client.metadata.scope) {
        (None, most) => Ok(most.clone()),
        (Some(asked), Some(_)) => Ok(Some(asked)),
        (Some(_), None) => Err(refuse("invalid_scope", "no scope is registered for this client")),
    }
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
