//! `POST …/clients/{client_id}/rotate-secret` and `…/revoke-old-secret`.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use gatebook_events::client::{Client, ClientCommand};
use gatebook_events::envelope::Position;
use gatebook_events::identity::{ClientKey, ResourceServerId};
use gatebook_events::secret::{KeptSecret, Rotation};
use gatebook_events::stream::Stream;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::repeat::{self, RepeatKey};
use super::{client_key, server_id};
use crate::application::error::UseCaseError;
use crate::application::services::Services;
use crate::credentials::secrets::ClientSecret;
use crate::http::caller::{Administrator, Path};
use crate::http::consistency::Written;
use crate::http::error::{Failure, Problem};
use crate::http::json::members;
use crate::http::oauth::register::hash_drawn;
use crate::http::response;

/// The longest time that two secrets may work side by side, in seconds: 90 days.
const MAX_OVERLAP: u32 = 90 * 24 * 3600;

/// The members of a rotation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    /// For how many seconds the old secret still works.
    #[serde(default)]
    overlap_seconds: u32,
    /// Whether the overlap of an earlier rotation may end by it.
    #[serde(default)]
    end_overlap: bool,
}

/// A new secret, shown once; the same one to the same `Idempotency-Key`.
pub async fn rotate(
    State(services): State<Services>,
    caller: Administrator,
    Path((id, client_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Written<Json<Map<String, Value>>>, Problem> {
    caller.must_change()?;
    let target = (server_id(&caller, &id)?, client_key(&caller, &client_id)?.1);
    let asked: Members = members(&headers, body).await.map_err(|failure| caller.problem(failure))?;
    let key =
        RepeatKey::of(&services, &caller, &headers, "rotate secret", &[&id, &client_id]).map_err(|failure| caller.problem(failure))?;
    let wanted = Wanted { overlap_seconds: asked.overlap_seconds, end_overlap: asked.end_overlap, key };
    let rotated = replace(&services, &caller, target, wanted).await.map_err(|failure| caller.problem(failure))?;
    let mut body = Map::new();
    body.insert("client_id".to_owned(), client_id.into());
    body.insert("client_secret".to_owned(), rotated.secret.expose().into());
    body.insert("client_secret_expires_at".to_owned(), 0.into());
    response::put(&mut body, "old_secret_valid_until", rotated.old_valid_until.map(response::time));
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

/// How a secret is to be replaced.
pub struct Wanted {
    /// For how many seconds the old one still works.
    pub overlap_seconds: u32,
    /// Whether the overlap of an earlier rotation may end by it.
    pub end_overlap: bool,
    /// The key of a request that may be sent again.
    pub key: Option<RepeatKey>,
}

/// Gives a client a new secret; the old one works for so many seconds more.
pub async fn replace(
    services: &Services,
    caller: &Administrator,
    target: (ResourceServerId, ClientKey),
    wanted: Wanted,
) -> Result<Rotated, Failure> {
    let Wanted { overlap_seconds, end_overlap, key } = wanted;
    if overlap_seconds > MAX_OVERLAP {
        let detail = format!("overlap_seconds is {overlap_seconds}, and at most {MAX_OVERLAP} (90 days)");
        return Err(Failure::request(StatusCode::BAD_REQUEST, "invalid-request", detail));
    }
    let (at, overlap) = (services.commands.clock().now(), TimeDelta::seconds(i64::from(overlap_seconds)));
    let repeat_key = key.as_ref().map(RepeatKey::mark);
    let secret = match (key, &repeat_key) {
        (Some(key), Some(mark)) => {
            let known = services.commands.rotations(Stream::Client(target.1), mark).await?;
            if let Some(before) = known.found {
                repeat::rotated(&before, overlap, at)?;
                return again(services, target.1, &key.numbered(before.number).client_secret(), before.old_valid_until).await;
            }
            key.numbered(known.count).client_secret()
        }
        _ => ClientSecret::try_draw().map_err(|_| UseCaseError::Internal("no random bits are to be had"))?,
    };
    let old_valid_until = (overlap_seconds > 0).then(|| at + overlap);
    let kept = KeptSecret { hash: hash_drawn(&secret)?, expires_at: None };
    let rotation = Rotation { at, old_valid_until, end_overlap, repeat_key };
    let rotate = |by| ClientCommand::RotateSecret { by, secret: kept, rotation };
    let done = services.commands.decide_client(&caller.cause, caller.tenant(), target, rotate).await?;
    Ok(Rotated { secret, old_valid_until, position: done.position })
}

/// The answer that a rotation got before, if its secret is still the client's.
async fn again(
    services: &Services,
    key: ClientKey,
    secret: &ClientSecret,
    old_valid_until: Option<DateTime<Utc>>,
) -> Result<Rotated, Failure> {
    let client: Client = services.commands.load(Stream::Client(key)).await?;
    let kept = client.registered().and_then(|profile| profile.secret.as_ref());
    let Some(kept) = kept else { return Err(repeat::used("the client has no secret any more")) };
    let current =
        services.secrets.verify(secret, kept.hash.as_phc()).await.map_err(|_| UseCaseError::Internal("a secret could not be verified"))?;
    if !current {
        return Err(repeat::used("the secret that this key gave was replaced"));
    }
    Ok(Rotated { secret: secret.clone(), old_valid_until, position: None })
}

/// Ends the overlap now.
pub async fn revoke_old(
    State(services): State<Services>,
    caller: Administrator,
    Path((id, client_id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    caller.must_change()?;
    let target = (server_id(&caller, &id)?, client_key(&caller, &client_id)?.1);
    let revoke = |by| ClientCommand::RevokeOldSecret { by };
    services.commands.decide_client(&caller.cause, caller.tenant(), target, revoke).await.map_err(|error| caller.problem(error))?;
    Ok(StatusCode::NO_CONTENT)
}
