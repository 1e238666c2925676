//! `GET /authsec/projections`: how far each projection has come, and whether it goes on.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::app::App;
use crate::http::caller::Administrator;
use crate::http::error::Problem;

/// `GET /authsec/projections`
pub async fn list(State(app): State<App>, caller: Administrator) -> Result<Json<Value>, Problem> {
    caller.must_audit()?;
    let head = app.log().head().await.map_err(|error| caller.problem(error))?;
    let show = |follower: &&dyn crate::projector::Follower| {
        let (name, version) = follower.identity();
        let progress = follower.progress();
        let state = match (&progress.stopped, progress.position >= head) {
            (Some(_), _) => "stopped",
            (None, true) => "live",
            (None, false) => "catching_up",
        };
        let body = json!({ "name": name, "version": version, "position": progress.position.to_string(), "head": head.to_string(), "state": state });
        match (body, progress.stopped) {
            (Value::Object(mut body), Some(cause)) => {
                body.insert("cause".to_owned(), (*cause).into());
                Value::Object(body)
            }
            (body, _) => body,
        }
    };
    Ok(Json(json!({ "projections": app.followers().iter().map(show).collect::<Vec<_>>() })))
}
