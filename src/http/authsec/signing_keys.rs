//! `GET /authsec/signing-keys`, and their rotation: what access tokens are signed with. For administrators of the tenant `default`,
//! because every tenant's tokens are.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::application::services::Services;
use crate::http::caller::{Administrator, Path};
use crate::http::error::{Failure, Problem};
use crate::http::json::members;
use crate::http::response;

/// How soon another key takes over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    #[serde(default)]
    at_once: bool,
}

/// Every key that is published.
pub async fn list(State(services): State<Services>, caller: Administrator) -> Result<Json<Value>, Problem> {
    caller.must_operate()?;
    shown(&services, &caller).await
}

/// Another key takes over, in ten minutes or at once; the old one stays published until its last token is over.
pub async fn rotate(
    State(services): State<Services>,
    caller: Administrator,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    caller.must_operate()?;
    let Members { at_once } = members(&headers, body).await.map_err(|failure| caller.problem(failure))?;
    let now = services.commands.clock().now();
    let rotated = services.access_tokens.ring().rotate(at_once, now).await.map_err(|error| caller.problem(error))?;
    if !rotated {
        let detail = "the keys come from token-key-files: put the new one first there, and keep the old one until its tokens are over";
        return Err(caller.problem(Failure::request(StatusCode::CONFLICT, "keys-are-configured", detail)));
    }
    tracing::info!(subject = caller.admin.subject, at_once, "an administrator had the keys for access tokens rotated");
    shown(&services, &caller).await
}

/// A key that somebody else may have is taken back, and with it every token that it signed.
pub async fn withdraw(State(services): State<Services>, caller: Administrator, Path(key_id): Path<String>) -> Result<StatusCode, Problem> {
    caller.must_operate()?;
    let now = services.commands.clock().now();
    let withdrawn = services.access_tokens.ring().withdraw(&key_id, now).await.map_err(|error| caller.problem(error))?;
    if !withdrawn {
        return Err(caller.problem(Failure::not_found("signing key of our own")));
    }
    tracing::warn!(subject = caller.admin.subject, key = key_id, "an administrator took a key for access tokens back");
    Ok(StatusCode::NO_CONTENT)
}

async fn shown(services: &Services, caller: &Administrator) -> Result<Json<Value>, Problem> {
    let now = services.commands.clock().now();
    let keys = services.access_tokens.ring().list(now).await.map_err(|error| caller.problem(error))?;
    let show = |key: &crate::application::access_tokens::PublishedKey| {
        let mut body = Map::new();
        body.insert("kid".to_owned(), key.id.as_str().into());
        body.insert("alg".to_owned(), key.algorithm.as_str().into());
        body.insert("signs".to_owned(), key.signs.into());
        response::put(&mut body, "created_at", key.created_at.map(response::time));
        response::put(&mut body, "signs_from", key.signs_from.map(response::time));
        response::put(&mut body, "published_until", key.published_until.map(response::time));
        Value::Object(body)
    };
    Ok(Json(json!({ "signing_keys": keys.iter().map(show).collect::<Vec<_>>() })))
}
