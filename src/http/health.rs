//! `GET /health`: whether the service can do its work, for load balancers. Details are for administrators.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::app::App;

/// 200 while the log answers and every projection follows it, 503 otherwise.
pub async fn health(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let log = app.log().head().await.is_ok();
    let stopped: Vec<&str> = app.followers().iter().filter(|f| f.progress().stopped.is_some()).map(|f| f.identity().0).collect();
    let healthy = log && stopped.is_empty();
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({ "status": if healthy { "ok" } else { "failing" }, "log": if log { "ok" } else { "unavailable" }, "stopped_projections": stopped });
    (status, Json(body))
}
