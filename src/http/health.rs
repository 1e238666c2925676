//! `GET /health`: whether the service can do its work, for load balancers, and why not.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::authsec::projections::trouble;
use super::wire;
use crate::app::App;
use crate::projector::Trouble;

/// 200 while the log answers and every projection follows it, 503 otherwise. Tables that are being built, and builds that failed
/// while others serve, take nothing away from it; neither does a feed that is behind.
pub async fn health(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let log = app.log().head().await.is_ok();
    let (mut stopped, mut building, mut troubles) = (Vec::new(), Vec::new(), Vec::new());
    for follower in app.followers() {
        let (name, progress) = (follower.identity().0, follower.progress());
        let named = |trouble: &Trouble, of: &str| named(trouble, name, of);
        troubles.extend(progress.stopped.as_deref().map(|stopped| named(stopped, "following")));
        troubles.extend(progress.build_failed.as_deref().map(|failed| named(failed, "building")));
        if progress.stands_still() {
            stopped.push(name);
        }
        if progress.building.is_some() {
            building.push(name);
        }
    }
    let healthy = log && stopped.is_empty();
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut body = Map::new();
    body.insert("status".to_owned(), if healthy { "ok" } else { "failing" }.into());
    body.insert("log".to_owned(), if log { "ok" } else { "unavailable" }.into());
    body.insert("stopped_projections".to_owned(), json!(stopped));
    let room = app.room();
    let mut disk = Map::from_iter([("strangers".to_owned(), if room.has_some_for_strangers() { "admitted" } else { "refused" }.into())]);
    wire::put(&mut disk, "free_bytes", room.free());
    body.insert("disk".to_owned(), disk.into());
    if !building.is_empty() {
        body.insert("building_projections".to_owned(), json!(building));
    }
    if let Some(feed) = app.feed() {
        let progress = feed.progress();
        let mut told = Map::from_iter([("position".to_owned(), progress.position.to_string().into())]);
        wire::put(&mut told, "trouble", progress.trouble.as_deref());
        body.insert("feed".to_owned(), told.into());
    }
    if !troubles.is_empty() {
        body.insert("troubles".to_owned(), troubles.into());
    }
    (status, Json(Value::Object(body)))
}

fn named(found: &Trouble, projection: &str, of: &str) -> Value {
    let mut body = Map::from_iter([("projection".to_owned(), projection.into()), ("while".to_owned(), of.into())]);
    body.extend(trouble(found));
    Value::Object(body)
}
