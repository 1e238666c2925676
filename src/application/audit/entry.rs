//! An event of the trail as JSON: in lists, exports and streams alike.

use gatebook_projections::history::HistoryRow;
use serde_json::{Map, Value};

use crate::platform::json::{put, time};

/// One event of the trail.
pub fn render(row: &HistoryRow) -> Value {
    let mut actor = Map::new();
    actor.insert("kind".to_owned(), row.actor_kind.as_str().into());
    put(&mut actor, "id", row.actor_id.clone());
    put(&mut actor, "via", row.actor_via.clone());
    let mut body = Map::new();
    body.insert("event_id".to_owned(), row.id.0.to_string().into());
    body.insert("position".to_owned(), row.position.to_string().into());
    body.insert("type".to_owned(), row.name.clone().into());
    body.insert("version".to_owned(), row.version.into());
    body.insert("recorded_at".to_owned(), time(row.recorded_at).into());
    put(&mut body, "resource_server_id", row.resource_server.map(|id| id.to_string()));
    put(&mut body, "client_id", row.client_id.as_ref().map(ToString::to_string));
    body.insert("actor".to_owned(), actor.into());
    put(&mut body, "request_id", row.request_id.clone());
    put(&mut body, "causation_id", row.causation_id.map(|id| id.0.to_string()));
    put(&mut body, "origin", row.origin.clone());
    body.insert("data".to_owned(), serde_json::from_str(&row.data).unwrap_or_default());
    Value::Object(body)
}
