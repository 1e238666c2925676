//! `GET /health`: whether the service can do its work, for load balancers, and why not.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::authsec::projections::trouble;
use crate::application::services::Services;
use crate::application::services::followers;
use crate::application::services::side_db_troubles;
use crate::http::response;
use crate::read_models::Trouble;

/// 200 while the log answers, takes what is appended and gives what is read, and every projection follows it, 503 otherwise. Tables that are being built, and builds that failed
/// while others serve, take nothing away from it; neither does a feed that is behind. What the surroundings refuse is told apart from
/// what stopped: it is tried again by itself, and so health comes back by itself.
pub async fn health(State(services): State<Services>) -> (StatusCode, Json<Value>) {
    let refused = services.watched_log.refused().await;
    let log = services.log.head().await.is_ok() && refused.is_empty();
    let (mut stopped, mut retrying, mut building, mut troubles) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for follower in followers(&services) {
        let (name, progress) = (follower.identity().0, follower.progress());
        let named = |trouble: &Trouble, of: &str| named(trouble, name, of);
        troubles.extend(progress.stopped.as_deref().map(|stopped| named(stopped, "following")));
        troubles.extend(progress.retrying.as_deref().map(|refused| named(refused, "following")));
        troubles.extend(progress.build_failed.as_deref().map(|failed| named(failed, "building")));
        if progress.stands_still() {
            stopped.push(name);
        }
        if progress.is_refused() {
            retrying.push(name);
        }
        if progress.building.is_some() {
            building.push(name);
        }
    }
    let healthy = log && stopped.is_empty() && retrying.is_empty();
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut body = Map::new();
    body.insert("status".to_owned(), if healthy { "ok" } else { "failing" }.into());
    body.insert("log".to_owned(), if log { "ok" } else { "unavailable" }.into());
    if !refused.is_empty() {
        let told = refused.iter().map(|refusal| {
            let mut told = Map::new();
            told.insert("of".to_owned(), refusal.of.into());
            told.insert("cause".to_owned(), (*refusal.cause).into());
            told.insert("since".to_owned(), response::time(refusal.since).into());
            Value::Object(told)
        });
        body.insert("log_refuses".to_owned(), told.collect());
    }
    body.insert("stopped_projections".to_owned(), json!(stopped));
    if !retrying.is_empty() {
        body.insert("retrying_projections".to_owned(), json!(retrying));
    }
    let room = &services.disk_space;
    let mut disk = Map::from_iter([("strangers".to_owned(), if room.has_some_for_strangers() { "admitted" } else { "refused" }.into())]);
    response::put(&mut disk, "free_bytes", room.free());
    body.insert("disk".to_owned(), disk.into());
    if !building.is_empty() {
        body.insert("building_projections".to_owned(), json!(building));
    }
    if let Some(feed) = services.feed.as_ref() {
        let progress = feed.progress();
        let mut told = Map::from_iter([("position".to_owned(), progress.position.to_string().into())]);
        response::put(&mut told, "trouble", progress.trouble.as_deref());
        body.insert("feed".to_owned(), told.into());
    }
    let warnings = warnings(&services);
    if !warnings.is_empty() {
        body.insert("warnings".to_owned(), warnings.into());
    }
    if !troubles.is_empty() {
        body.insert("troubles".to_owned(), troubles.into());
    }
    (status, Json(Value::Object(body)))
}

/// What an operator should see to, though the service does its work.
fn warnings(services: &Services) -> Vec<Value> {
    let warning = |of: &str, cause: &str| json!({ "of": of, "cause": cause });
    let mut warnings = Vec::new();
    if let Some(cause) = services.authorization_server.trouble() {
        warnings.push(warning("upstream", &format!("the authorization server's metadata cannot be fetched: {cause}")));
    }
    if let Some(ahead) = services.access_tokens.ring().drawn_ahead(services.commands.clock().now()) {
        let cause =
            format!("the key for access tokens was drawn for {} while the clock was ahead; it signs already", response::time(ahead));
        warnings.push(warning("signing_keys", &cause));
    }
    warnings.extend(side_db_troubles(services).iter().map(|(what, cause)| warning(what, cause)));
    warnings
}

fn named(found: &Trouble, projection: &str, of: &str) -> Value {
    let mut body = Map::from_iter([("projection".to_owned(), projection.into()), ("while".to_owned(), of.into())]);
    body.extend(trouble(found));
    Value::Object(body)
}
