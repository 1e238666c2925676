//! `POST …/clients/{client_id}/rotate-secret` and `…/revoke-old-secret`.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use gatebook_events::client::ClientCommand;
use gatebook_events::envelope::Position;
use gatebook_events::identity::{ClientKey, ResourceServerId};
use gatebook_events::secret::KeptSecret;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{client_key, server_id};
use crate::app::App;
use crate::http::caller::{Administrator, Path};
use crate::http::error::{Failure, Problem};
use crate::http::fresh::Written;
use crate::http::json::members;
use crate::http::oauth::register::draw_secret;
use crate::http::wire;
use crate::secrets::ClientSecret;

/// The longest time that two secrets may work side by side, in seconds: 90 days.
const MAX_OVERLAP: u32 = 90 * 24 * 3600;

/// The members of a rotation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    /// For how many seconds the old secret still works.
    #[serde(default)]
    overlap_seconds: u32,
}

/// A new secret, shown once.
pub async fn rotate(
    State(app): State<App>,
    caller: Administrator,
    Path((id, client_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Written<Json<Map<String, Value>>>, Problem> {
    caller.must_change()?;
    let target = (server_id(&caller, &id)?, client_key(&caller, &client_id)?.1);
    let asked: Members = members(&headers, body).await.map_err(|failure| caller.problem(failure))?;
    let rotated = replace(&app, &caller, target, asked.overlap_seconds).await.map_err(|failure| caller.problem(failure))?;
    let mut body = Map::new();
    body.insert("client_id".to_owned(), client_id.into());
    body.insert("client_secret".to_owned(), rotated.secret.expose().into());
    body.insert("client_secret_expires_at".to_owned(), 0.into());
    wire::put(&mut body, "old_secret_valid_until", rotated.old_valid_until.map(wire::time));
    Ok(Written(Json(body), rotated.position))
}

/// A secret that took the place of another.
pub struct Rotated {
    /// The new one, which is shown once.
    pub secret: ClientSecret,
    /// Until when the old one works too.
    pub old_valid_until: Option<DateTime<Utc>>,
    /// Where that stands in the log.
    pub position: Option<Position>,
}

/// Gives a client a new secret; the old one works for so many seconds more.
pub async fn replace(
    app: &App,
    caller: &Administrator,
    target: (ResourceServerId, ClientKey),
    overlap_seconds: u32,
) -> Result<Rotated, Failure> {
    if overlap_seconds > MAX_OVERLAP {
        return Err(Failure::request(StatusCode::BAD_REQUEST, "invalid-request", "overlap_seconds is more than 90 days"));
    }
    let old_valid_until = (overlap_seconds > 0).then(|| app.commands().clock().now() + TimeDelta::seconds(i64::from(overlap_seconds)));
    let (secret, hash) = draw_secret()?;
    let kept = KeptSecret { hash, expires_at: None };
    let rotate = |by| ClientCommand::RotateSecret { by, secret: kept, old_valid_until };
    let done = app.commands().decide_client(&caller.cause, caller.tenant(), target, rotate).await?;
    Ok(Rotated { secret, old_valid_until, position: done.position })
}

/// Ends the overlap now.
pub async fn revoke_old(
    State(app): State<App>,
    caller: Administrator,
    Path((id, client_id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    caller.must_change()?;
    let target = (server_id(&caller, &id)?, client_key(&caller, &client_id)?.1);
    let revoke = |by| ClientCommand::RevokeOldSecret { by };
    app.commands().decide_client(&caller.cause, caller.tenant(), target, revoke).await.map_err(|error| caller.problem(error))?;
    Ok(StatusCode::NO_CONTENT)
}
