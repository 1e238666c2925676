//! `GET /metrics`, on the listener of its own.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::application::metrics::{CONTENT_TYPE, scrape};
use crate::application::services::Services;

/// `GET /metrics`
pub async fn metrics(State(services): State<Services>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], scrape(&services).await)
}
