//! `GET /ui/audit/export`: the events that the filter shows, all of them, as the API exports them.

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use super::{LIMIT, query};
use crate::application::services::Services;
use crate::http::authsec::audit::export::{Format, begin};
use crate::ui::parts::error_page::Sorry;
use crate::ui::parts::forms::Fields;
use crate::ui::parts::session::Visitor;

/// Lines for programs, or a table.
pub async fn export(State(services): State<Services>, visitor: Visitor, RawQuery(asked): RawQuery) -> Result<Response, Sorry> {
    visitor.caller.must_audit().map_err(|problem| visitor.told(problem))?;
    let fields = Fields::parse(asked.unwrap_or_default().as_bytes());
    let query = query(&visitor, &fields, LIMIT)?;
    let format = fields.parsed("format", "one of `ndjson`, `csv`").map_err(|failure| visitor.sorry(failure))?.unwrap_or(Format::Ndjson);
    let begun = begin(&services, &HeaderMap::new(), query, format).await.map_err(|failure| visitor.sorry(failure))?;
    Ok(begun.into_response())
}
