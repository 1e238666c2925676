//! `/authsec/service-tokens[/{token_id}]`: what authorization servers and gateways ask with. Created, listed and revoked; a token is
//! shown once.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use gatebook_events::identity::{ResourceServerId, ServiceTokenId};
use gatebook_events::reason;
use gatebook_events::secret::TokenHash;
use gatebook_events::service_token::{Created, ServiceScope};
use gatebook_events::stream::Stream;
use gatebook_projections::directory::ServiceTokenRow;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::repeat::{self, RepeatKey};
use super::resource_servers::{checked_name, invalid};
use super::{page_limit, parameter};
use crate::application::error::UseCaseError;
use crate::application::services::Services;
use crate::credentials::secrets::ServiceToken;
use crate::http::caller::{Administrator, Path, Query};
use crate::http::consistency::{self, Fresh};
use crate::http::error::{Failure, Problem};
use crate::http::json::members;
use crate::http::response;

/// The most resource servers that one token is bound to.
const MOST_SERVERS: usize = 100;

/// What is said of a new token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    label: String,
    scopes: Vec<ServiceScope>,
    #[serde(default)]
    resource_servers: Vec<ResourceServerId>,
    expires_at: Option<DateTime<Utc>>,
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

/// `POST /authsec/service-tokens`
pub async fn create(
    State(services): State<Services>,
    caller: Administrator,
    headers: HeaderMap,
    body: Body,
) -> Result<Fresh<(StatusCode, Json<Value>)>, Problem> {
    caller.must_change()?;
    let asked: NewToken = members(&headers, body).await.map_err(|failure| caller.problem(failure))?;
    let label = checked_name(asked.label).map_err(|failure| caller.problem(failure))?;
    let (mut scopes, mut resource_servers) = (asked.scopes, asked.resource_servers);
    scopes.sort_unstable();
    scopes.dedup();
    resource_servers.sort_unstable();
    resource_servers.dedup();
    if resource_servers.len() > MOST_SERVERS {
        return Err(caller.problem(invalid("resource_servers has more than 100 entries")));
    }
    let key = RepeatKey::of(&services, &caller, &headers, "service token", &[]).map_err(|failure| caller.problem(failure))?;
    let id = ServiceTokenId(key.as_ref().map_or_else(Uuid::now_v7, RepeatKey::id));
    let drawn = || ServiceToken::try_draw(id).map_err(|_| caller.problem(UseCaseError::Internal("no random bits are to be had")));
    let token = key.as_ref().map_or_else(drawn, |key| Ok(ServiceToken::of(id, key.bits())))?;
    let created = Created {
        tenant: caller.tenant().clone(),
        label,
        token: TokenHash(token.hash()),
        scopes,
        resource_servers,
        expires_at: asked.expires_at,
    };
    let done = services.commands.create_service_token(&caller.cause, id, created).await;
    repeat::made(&services, key.as_ref(), Stream::ServiceToken(id), done).await.map_err(|failure| caller.problem(failure))?;
    let shown = show(&services, &caller, &headers, id).await?;
    Ok(shown.map(|mut body| {
        body.insert("service_token".to_owned(), token.expose().into());
        (StatusCode::CREATED, Json(Value::Object(body)))
    }))
}

/// `GET /authsec/service-tokens`
pub async fn list(
    State(services): State<Services>,
    caller: Administrator,
    Query(page): Query<Page>,
    headers: HeaderMap,
) -> Result<Fresh<Json<Value>>, Problem> {
    let cursor = parameter(&caller, "cursor", page.cursor.as_deref())?;
    let (tenant, limit, now) = (caller.tenant().clone(), page_limit(page.limit), services.commands.clock().now());
    let query = consistency::read(&services, &services.directory, &headers, move |directory| {
        directory.service_tokens(&tenant, cursor.as_ref(), limit)
    });
    Ok(query.await.map_err(|failure| caller.problem(failure))?.map(|page| {
        let mut body = Map::new();
        body.insert("service_tokens".to_owned(), page.rows.iter().map(|row| token(row, now)).collect());
        response::put(&mut body, "next_cursor", page.next_cursor.map(|cursor| cursor.to_string()));
        Json(Value::Object(body))
    }))
}

/// `GET /authsec/service-tokens/{token_id}`
pub async fn read(
    State(services): State<Services>,
    caller: Administrator,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Fresh<Json<Value>>, Problem> {
    let id = id.parse().map_err(|_| caller.problem(missing()))?;
    Ok(show(&services, &caller, &headers, id).await?.map(|body| Json(Value::Object(body))))
}

/// `DELETE /authsec/service-tokens/{token_id}`: the next call with it is refused; its history stays.
pub async fn revoke(
    State(services): State<Services>,
    caller: Administrator,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    caller.must_change()?;
    let id = id.parse().map_err(|_| caller.problem(missing()))?;
    let asked: Reason = members(&headers, body).await.map_err(|failure| caller.problem(failure))?;
    let done = services.commands.revoke_service_token(&caller.cause, id, caller.tenant(), asked.reason).await;
    done.map_err(|error| caller.problem(error))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn show(
    services: &Services,
    caller: &Administrator,
    headers: &HeaderMap,
    id: ServiceTokenId,
) -> Result<Fresh<Map<String, Value>>, Problem> {
    let (tenant, now) = (caller.tenant().clone(), services.commands.clock().now());
    let found = consistency::read(services, &services.directory, headers, move |directory| directory.service_token(&tenant, id));
    let found = found.await.map_err(|failure| caller.problem(failure))?;
    let body = found.body.as_ref().map(|row| token(row, now)).ok_or_else(|| caller.problem(missing()))?;
    Ok(found.map(|_| body))
}

fn token(row: &ServiceTokenRow, now: DateTime<Utc>) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("id".to_owned(), row.id.to_string().into());
    body.insert("label".to_owned(), row.token.label.clone().into());
    body.insert("state".to_owned(), row.token.usability(now).as_str().into());
    body.insert("scopes".to_owned(), json!(row.token.scopes));
    if !row.token.resource_servers.is_empty() {
        body.insert("resource_servers".to_owned(), json!(row.token.resource_servers));
    }
    body.insert("created_at".to_owned(), response::time(row.created_at).into());
    response::put(&mut body, "expires_at", row.token.expires_at.map(response::time));
    response::put(&mut body, "revoked_at", row.revoked_at.map(response::time));
    response::put(&mut body, "revoked_because", row.revoked_because.clone());
    body
}

fn missing() -> Failure {
    Failure::not_found("service token")
}
