//! `/authsec/webhooks/{webhook_id}/dead-letters`: what a webhook did not take after the last attempt. Looked at, sent again, or given up.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use gatebook_events::envelope::{EventId, Position};
use gatebook_events::identity::WebhookId;
use gatebook_events::webhook::{EventDropped, WebhookCommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::webhooks::{Reason, change, the_tenants, webhook_id};
use super::{page_limit, parameter};
use crate::application::services::Services;
use crate::delivery::webhooks::{Change, Letter};
use crate::http::caller::{Administrator, Path, Query};
use crate::http::consistency::Written;
use crate::http::error::{Failure, Problem};
use crate::http::json::members;
use crate::http::response;

/// Which page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    cursor: Option<String>,
    limit: Option<usize>,
}

/// `GET …/dead-letters`, the oldest first.
pub async fn list(
    State(services): State<Services>,
    caller: Administrator,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Problem> {
    caller.must_audit()?;
    let id = webhook_id(&caller, &id)?;
    the_tenants(&services, &caller, id).await?;
    let after = parameter::<Position>(&caller, "cursor", page.cursor.as_deref())?.unwrap_or_default();
    let limit = page_limit(page.limit);
    let outbox = services.webhooks.outbox(id).await.map_err(|error| caller.problem(error))?;
    let mut letters = outbox.dead(id, after, limit + 1).await.map_err(|error| caller.problem(error))?;
    let more = letters.len() > limit;
    letters.truncate(limit);
    let next = letters.last().filter(|_| more).map(|(letter, _)| letter.position.to_string());
    let shown = |(letter, held): &(Letter, u64)| {
        let mut body = render(letter);
        body.insert("held_behind".to_owned(), (*held).into());
        body
    };
    let mut body = Map::new();
    body.insert("dead_letters".to_owned(), json!(letters.iter().map(shown).collect::<Vec<_>>()));
    response::put(&mut body, "next_cursor", next);
    Ok(Json(Value::Object(body)))
}

/// `GET …/dead-letters/{event_id}`
pub async fn read(
    State(services): State<Services>,
    caller: Administrator,
    Path((id, event)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    caller.must_audit()?;
    let (_, letter) = dead_letter(&services, &caller, (&id, &event)).await?;
    Ok(Json(Value::Object(render(&letter))))
}

/// `POST …/dead-letters/retry`: all of them are sent again.
pub async fn retry_all(State(services): State<Services>, caller: Administrator, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    caller.must_change()?;
    let id = webhook_id(&caller, &id)?;
    the_tenants(&services, &caller, id).await?;
    let number = services.webhooks.change(id, Change::Revive(None)).await.map_err(|error| caller.problem(error))?;
    services.webhooks.insist(id).await;
    Ok(Json(json!({ "retried": number })))
}

/// `POST …/dead-letters/{event_id}/retry`
pub async fn retry(
    State(services): State<Services>,
    caller: Administrator,
    Path((id, event)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    caller.must_change()?;
    let (id, letter) = dead_letter(&services, &caller, (&id, &event)).await?;
    services.webhooks.change(id, Change::Revive(Some(letter.event_id))).await.map_err(|error| caller.problem(error))?;
    services.webhooks.insist(id).await;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE …/dead-letters/{event_id}`: it is never sent, which the history says; what waited behind it goes on.
pub async fn drop_letter(
    State(services): State<Services>,
    caller: Administrator,
    Path((id, event)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Written<StatusCode>, Problem> {
    caller.must_change()?;
    let Reason { reason } = members(&headers, body).await.map_err(|failure| caller.problem(failure))?;
    let (id, letter) = dead_letter(&services, &caller, (&id, &event)).await?;
    let dropped = EventDropped { event_id: letter.event_id, reason };
    let done = change(&services, &caller, id, &WebhookCommand::DropEvent(dropped)).await?;
    services.webhooks.change(id, Change::Drop(letter.event_id)).await.map_err(|error| caller.problem(error))?;
    services.webhooks.insist(id).await;
    Ok(Written(StatusCode::NO_CONTENT, done.position))
}

async fn dead_letter(services: &Services, caller: &Administrator, (id, event): (&str, &str)) -> Result<(WebhookId, Letter), Problem> {
    let id = webhook_id(caller, id)?;
    the_tenants(services, caller, id).await?;
    let missing = || caller.problem(Failure::not_found("dead letter"));
    let event = EventId(Uuid::try_parse(event).map_err(|_| missing())?);
    let outbox = services.webhooks.outbox(id).await.map_err(|error| caller.problem(error))?;
    let letter = outbox.dead_letter(id, event).await.map_err(|error| caller.problem(error))?;
    letter.map(|letter| (id, letter)).ok_or_else(missing)
}

fn render(letter: &Letter) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("event_id".to_owned(), letter.event_id.0.to_string().into());
    body.insert("type".to_owned(), letter.name.clone().into());
    body.insert("position".to_owned(), letter.position.to_string().into());
    body.insert("subject".to_owned(), letter.stream.clone().into());
    body.insert("attempts".to_owned(), letter.attempts.into());
    response::put(&mut body, "tried_at", letter.tried_at.map(response::time));
    response::put(&mut body, "dead_since", letter.dead_at.map(response::time));
    response::put(&mut body, "trouble", letter.trouble.clone());
    body
}
