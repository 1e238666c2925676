//! `/authsec/resource-servers/{id}/registration-tokens[/{token_id}]`: initial access tokens (RFC 7591 §3) are issued, listed with
//! the clients that came by them, and revoked. A token is shown once.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use gatebook_events::clamps::Clamps;
use gatebook_events::identity::{InitialAccessTokenId, ResourceServerId};
use gatebook_events::initial_access_token::InitialAccessTokenCommand;
use gatebook_events::metadata::GrantType;
use gatebook_events::reason;
use gatebook_events::redirect_rule::RedirectRule;
use gatebook_events::scope::Scope;
use gatebook_events::secret::TokenHash;
use gatebook_events::stream::Stream;
use gatebook_projections::directory::UseRow;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::repeat::{self, RepeatKey};
use super::resource_servers::{checked_name, invalid};
use super::{page_limit, parameter, server_id};
use crate::application::error::UseCaseError;
use crate::application::services::Services;
use crate::credentials::secrets::InitialAccessToken;
use crate::http::caller::{Administrator, Path, Query};
use crate::http::consistency::{self, Fresh};
use crate::http::error::{Failure, Problem};
use crate::http::json::members;
use crate::http::response;

/// How many of the clients that came by a token last are named in the list; the token's own page has all of them.
const LATEST: usize = 20;

/// What is said of a new token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    label: String,
    expires_at: Option<DateTime<Utc>>,
    max_uses: Option<u32>,
    #[serde(default)]
    clamps: NewClamps,
}

/// What a client that registers with it may be at most.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct NewClamps {
    scope: Option<Scope>,
    redirect_rules: Vec<RedirectRule>,
    grant_types: Vec<GrantType>,
}

/// What may be said of a revocation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    #[serde(default, deserialize_with = "reason::read")]
    reason: Option<String>,
}

/// Which page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    cursor: Option<String>,
    limit: Option<usize>,
}

/// `POST …/registration-tokens`
pub async fn issue(
    State(services): State<Services>,
    caller: Administrator,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Fresh<(StatusCode, Json<Value>)>, Problem> {
    caller.must_change()?;
    let server = server_id(&caller, &id)?;
    let asked: NewToken = members(&headers, body).await.map_err(|failure| caller.problem(failure))?;
    let label = checked_name(asked.label).map_err(|failure| caller.problem(failure))?;
    let NewClamps { scope, redirect_rules, grant_types } = asked.clamps;
    let clamps = Clamps { scope, redirect_rules, grant_types };
    clamps.check().map_err(|sentence| caller.problem(invalid(&sentence)))?;
    let about = server.to_string();
    let key = RepeatKey::of(&services, &caller, &headers, "initial access token", &[&about]).map_err(|failure| caller.problem(failure))?;
    let id = InitialAccessTokenId(key.as_ref().map_or_else(Uuid::now_v7, RepeatKey::id));
    let none = |_| caller.problem(UseCaseError::Internal("no random bits are to be had"));
    let drawn = || InitialAccessToken::try_draw(server, id).map_err(none);
    let token = key.as_ref().map_or_else(drawn, |key| Ok(InitialAccessToken::of(server, id, key.bits())))?;
    let command = InitialAccessTokenCommand::Issue {
        tenant: caller.tenant().clone(),
        label,
        token: TokenHash(token.hash()),
        expires_at: asked.expires_at,
        max_uses: asked.max_uses,
        clamps,
        at: services.commands.clock().now(),
    };
    let done = services.commands.issue_token(&caller.cause, (server, id), caller.tenant(), &command).await;
    let stream = Stream::InitialAccessToken(server, id);
    repeat::made(&services, key.as_ref(), stream, done).await.map_err(|failure| caller.problem(failure))?;
    let shown = show(&services, &caller, &headers, (server, id), Page { cursor: None, limit: None }).await?;
    Ok(shown.map(|mut body| {
        body.insert("initial_access_token".to_owned(), token.expose().into());
        (StatusCode::CREATED, Json(Value::Object(body)))
    }))
}

/// `GET …/registration-tokens`
pub async fn list(
    State(services): State<Services>,
    caller: Administrator,
    Path(id): Path<String>,
    Query(page): Query<Page>,
    headers: HeaderMap,
) -> Result<Fresh<Json<Value>>, Problem> {
    let server = server_id(&caller, &id)?;
    let cursor = parameter(&caller, "cursor", page.cursor.as_deref())?;
    let (tenant, limit, now) = (caller.tenant().clone(), page_limit(page.limit), services.commands.clock().now());
    let page = consistency::read(&services, &services.directory, &headers, move |directory| {
        if directory.resource_server(&tenant, server)?.is_none() {
            return Ok(None);
        }
        directory.initial_access_tokens(&tenant, server, cursor.as_ref(), (limit, LATEST)).map(Some)
    })
    .await
    .map_err(|failure| caller.problem(failure))?;
    if page.body.is_none() {
        return Err(caller.problem(Failure::not_found("resource server")));
    }
    Ok(page.map(|page| {
        let mut body = Map::new();
        if let Some(page) = page {
            let rows = page.rows.iter().map(|(row, latest)| {
                let mut body = response::initial_access_token(row, now);
                body.insert("latest_client_ids".to_owned(), latest.iter().map(|row| row.client_id.as_str()).collect());
                body
            });
            body.insert("registration_tokens".to_owned(), rows.collect());
            response::put(&mut body, "next_cursor", page.next_cursor.map(|cursor| cursor.to_string()));
        }
        Json(Value::Object(body))
    }))
}

/// `GET …/registration-tokens/{token_id}`
pub async fn read(
    State(services): State<Services>,
    caller: Administrator,
    Path((id, token_id)): Path<(String, String)>,
    Query(page): Query<Page>,
    headers: HeaderMap,
) -> Result<Fresh<Json<Value>>, Problem> {
    let target = target(&caller, &id, &token_id)?;
    Ok(show(&services, &caller, &headers, target, page).await?.map(|body| Json(Value::Object(body))))
}

/// `DELETE …/registration-tokens/{token_id}`: nobody comes by it any more; those who did stay, and so does its history.
pub async fn revoke(
    State(services): State<Services>,
    caller: Administrator,
    Path((id, token_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    caller.must_change()?;
    let target = target(&caller, &id, &token_id)?;
    let asked: Reason = members(&headers, body).await.map_err(|failure| caller.problem(failure))?;
    services.commands.revoke_token(&caller.cause, target, caller.tenant(), asked.reason).await.map_err(|error| caller.problem(error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// One token with a page of those who came by it, the latest first.
async fn show(
    services: &Services,
    caller: &Administrator,
    headers: &HeaderMap,
    target: (ResourceServerId, InitialAccessTokenId),
    page: Page,
) -> Result<Fresh<Map<String, Value>>, Problem> {
    let cursor = parameter(caller, "cursor", page.cursor.as_deref())?;
    let (tenant, limit, now) = (caller.tenant().clone(), page_limit(page.limit), services.commands.clock().now());
    let found = consistency::read(services, &services.directory, headers, move |directory| {
        directory.initial_access_token(&tenant, target, cursor.as_ref(), limit)
    })
    .await
    .map_err(|failure| caller.problem(failure))?;
    let body = found.body.as_ref().map(|found| {
        let mut body = response::initial_access_token(&found.token, now);
        body.insert("clients".to_owned(), found.rows.iter().map(client).collect());
        response::put(&mut body, "next_cursor", found.next_cursor.as_ref().map(ToString::to_string));
        body
    });
    let body = body.ok_or_else(|| caller.problem(missing()))?;
    Ok(found.map(|_| body))
}

fn client(row: &UseRow) -> Value {
    let mut body = Map::new();
    body.insert("client_id".to_owned(), row.client_id.as_str().into());
    body.insert("number".to_owned(), row.number.into());
    body.insert("used_at".to_owned(), response::time(row.used_at).into());
    body.into()
}

fn target(caller: &Administrator, server: &str, id: &str) -> Result<(ResourceServerId, InitialAccessTokenId), Problem> {
    Ok((server_id(caller, server)?, id.parse().map_err(|_| caller.problem(missing()))?))
}

fn missing() -> Failure {
    Failure::not_found("registration token")
}
