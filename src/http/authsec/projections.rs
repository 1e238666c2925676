//! Read models, as operators handle them: how far each has come, building one anew, trying again, and going on without an event
//! that cannot be read.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use gatebook_events::envelope::{EventId, Position};
use gatebook_events::projection::{EventSkipped, ProjectionName, SkipTakenBack, Upkeep};
use gatebook_events::reason;
use gatebook_events::stream::Stream;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::application::error::UseCaseError;
use crate::application::services::Services;
use crate::application::services::followers;
use crate::http::caller::{Administrator, Path};
use crate::http::consistency::Written;
use crate::http::error::{Failure, Problem};
use crate::http::json::members;
use crate::http::response;
use crate::read_models::{Follower, Trouble};

/// Which event, and why it may be missing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    event_id: Option<Uuid>,
    #[serde(default, deserialize_with = "reason::read")]
    reason: Option<String>,
}

/// `GET /authsec/projections`
pub async fn list(State(services): State<Services>, caller: Administrator) -> Result<Json<Value>, Problem> {
    caller.must_audit()?;
    let head = services.log.head().await.map_err(|error| caller.problem(error))?;
    let now = services.commands.clock().now();
    let shown: Vec<Value> = followers(&services).iter().map(|follower| show(*follower, head, now)).collect();
    Ok(Json(json!({ "projections": shown })))
}

/// `POST /authsec/projections/{name}/rebuild`: builds the tables anew beside those that serve. The second time, nothing happens
/// while the first is under way.
pub async fn rebuild(
    State(services): State<Services>,
    caller: Administrator,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let follower = operated(&services, &caller, &name)?;
    let begun = follower.rebuild().await;
    accepted(&services, &caller, follower, begun).await
}

/// `POST /authsec/projections/{name}/retry`: goes on where it stands still, and with a build that failed.
pub async fn retry(
    State(services): State<Services>,
    caller: Administrator,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let follower = operated(&services, &caller, &name)?;
    let begun = follower.retry().await;
    accepted(&services, &caller, follower, begun).await
}

/// `POST /authsec/projections/{name}/skip`: goes on without the event that it stands before.
pub async fn skip(
    State(services): State<Services>,
    caller: Administrator,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Written<(StatusCode, Json<Value>)>, Problem> {
    let follower = operated(&services, &caller, &name)?;
    let (event_id, reason) = named(&caller, &headers, body).await?;
    let name = ProjectionName::parse(&name).map_err(|_| caller.problem(Failure::not_found("projection")))?;
    let upkeep: Upkeep = services.commands.load(Stream::Projection(name)).await.map_err(|error| caller.problem(error))?;
    let (version, progress) = (follower.identity().1, follower.progress());
    let troubles = [&progress.stopped, &progress.build_failed];
    let poison = troubles.into_iter().flatten().filter_map(|trouble| trouble.poison.as_ref()).find(|poison| poison.event_id == event_id);
    let position = match poison {
        Some(poison) => {
            let skip = EventSkipped {
                projection_version: version,
                event_id,
                event_name: (*poison.event_name).into(),
                position: poison.position.to_string().into(),
                reason,
            };
            services.commands.skip_event(&caller.cause, name, skip).await.map_err(|error| caller.problem(error))?.position
        }
        None if upkeep.left_out(version).any(|left_out| left_out == event_id) => None,
        None => {
            let detail = "the projection does not stand still before this event";
            return Err(caller.problem(Failure::request(StatusCode::CONFLICT, "not-at-this-event", detail)));
        }
    };
    let begun = follower.retry().await;
    Ok(Written(accepted(&services, &caller, follower, begun).await?, position))
}

/// `POST /authsec/projections/{name}/unskip`: leaves an event out no longer, and builds the tables anew with it. A build under way
/// began without it and has to end first. The second time it is no news, and another build.
pub async fn unskip(
    State(services): State<Services>,
    caller: Administrator,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Written<(StatusCode, Json<Value>)>, Problem> {
    let follower = operated(&services, &caller, &name)?;
    let (event_id, reason) = named(&caller, &headers, body).await?;
    let name = ProjectionName::parse(&name).map_err(|_| caller.problem(Failure::not_found("projection")))?;
    if follower.progress().building.is_some() {
        let detail = "the projection is being built without this event; ask again once that is done";
        return Err(caller.problem(Failure::request(StatusCode::CONFLICT, "build-under-way", detail)));
    }
    let back = SkipTakenBack { projection_version: follower.identity().1, event_id, reason };
    let position = services.commands.take_skip_back(&caller.cause, name, back).await.map_err(|error| caller.problem(error))?.position;
    let begun = follower.rebuild().await;
    Ok(Written(accepted(&services, &caller, follower, begun).await?, position))
}

/// The event that is meant, and why.
async fn named(caller: &Administrator, headers: &HeaderMap, body: Body) -> Result<(EventId, Box<str>), Problem> {
    let asked: Members = members(headers, body).await.map_err(|failure| caller.problem(failure))?;
    let refuse = |detail: &str| caller.problem(Failure::request(StatusCode::BAD_REQUEST, "invalid-request", detail));
    let event_id = asked.event_id.map(EventId).ok_or_else(|| refuse("event_id is missing"))?;
    Ok((event_id, asked.reason.unwrap_or_default().into()))
}

fn operated<'a>(services: &'a Services, caller: &Administrator, name: &str) -> Result<&'a dyn Follower, Problem> {
    caller.must_operate()?;
    let named = followers(services).into_iter().find(|follower| follower.identity().0 == name);
    named.ok_or_else(|| caller.problem(Failure::not_found("projection")))
}

async fn accepted(
    services: &Services,
    caller: &Administrator,
    follower: &dyn Follower,
    begun: bool,
) -> Result<(StatusCode, Json<Value>), Problem> {
    if !begun {
        return Err(caller.problem(UseCaseError::Internal("the projection has ended")));
    }
    let head = services.log.head().await.map_err(|error| caller.problem(error))?;
    Ok((StatusCode::ACCEPTED, Json(show(follower, head, services.commands.clock().now()))))
}

fn show(follower: &dyn Follower, head: Position, now: DateTime<Utc>) -> Value {
    let ((name, version), progress) = (follower.identity(), follower.progress());
    let mut body = Map::new();
    body.insert("name".to_owned(), name.into());
    body.insert("version".to_owned(), version.into());
    response::put(&mut body, "serving_version", Some(progress.version).filter(|serving| *serving != version));
    body.insert("state".to_owned(), progress.state(head).into());
    body.insert("position".to_owned(), progress.position.to_string().into());
    body.insert("head".to_owned(), head.to_string().into());
    body.insert("lag_events".to_owned(), progress.lag_events(head).into());
    body.insert("lag_seconds".to_owned(), rounded(progress.lag_seconds(head, now)));
    body.insert("events_per_second".to_owned(), rounded(progress.pace.events_per_second()));
    response::put(&mut body, "stopped", progress.stopped.as_deref().map(trouble).map(Value::Object));
    response::put(&mut body, "retrying", progress.retrying.as_deref().map(trouble).map(Value::Object));
    let build = progress.building.map(|building| {
        let mut build = Map::new();
        build.insert("position".to_owned(), building.position.to_string().into());
        build.insert("percent".to_owned(), building.percent(head).into());
        build.insert("events_per_second".to_owned(), rounded(building.events_per_second()));
        response::put(&mut build, "seconds_left", building.seconds_left(head));
        Value::Object(build)
    });
    response::put(&mut body, "build", build);
    response::put(&mut body, "build_failed", progress.build_failed.as_deref().map(trouble).map(Value::Object));
    Value::Object(body)
}

/// To a tenth, as nobody reads more of it.
fn rounded(number: f64) -> Value {
    json!((number * 10.0).round() / 10.0)
}

/// Why something stands still, and before which event.
pub fn trouble(trouble: &Trouble) -> Map<String, Value> {
    let mut body = Map::from_iter([("cause".to_owned(), Value::from(trouble.cause.as_str()))]);
    if trouble.passes {
        body.insert("tried_again".to_owned(), true.into());
    }
    if let Some(poison) = &trouble.poison {
        body.insert("event_id".to_owned(), poison.event_id.0.to_string().into());
        body.insert("event".to_owned(), (*poison.event_name).into());
        body.insert("position".to_owned(), poison.position.to_string().into());
        response::put(&mut body, "needs_version", poison.needs_version);
    }
    body
}
