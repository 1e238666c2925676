//! `/ui`: the tenant's resource servers at a glance.

use axum::extract::State;
use axum::response::Response;
use maud::html;

use super::frame::{Frame, Place};
use super::sorry::Sorry;
use super::visitor::Visitor;
use crate::app::App;

/// `GET /ui`
pub async fn page(State(app): State<App>, visitor: Visitor) -> Result<Response, Sorry> {
    let frame = Frame::open(&app, &visitor).await?;
    let content = html! { h1 { "Overview" } };
    Ok(frame.page(&app, &visitor, Place::Overview, "Overview", &content))
}
