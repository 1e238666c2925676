//! `GET /authsec/audit/events[/{event_id}]`: who did what, when, from where and in answer to which call.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use gatebook_events::envelope::EventId;
use gatebook_projections::history::HistoryQuery;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{page_limit, parameter};
use crate::application::audit::entry::render;
use crate::application::services::Services;
use crate::http::caller::{Administrator, Path, Query};
use crate::http::consistency::{self, Fresh};
use crate::http::error::{Failure, Problem};
use crate::http::parameters;
use crate::http::response;

pub mod export;

/// The filters of the trail.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filters {
    client_id: Option<String>,
    resource_server: Option<String>,
    actor: Option<String>,
    r#type: Option<String>,
    since: Option<String>,
    until: Option<String>,
    /// `newest` (the default) or `oldest` first.
    order: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

impl Filters {
    fn query(self, caller: &Administrator) -> Result<HistoryQuery, Problem> {
        Ok(HistoryQuery {
            tenant: caller.tenant().clone(),
            resource_server: parameter(caller, "resource_server", self.resource_server.as_deref())?,
            client_id: self.client_id.as_deref().map(|text| super::client_key(caller, text)).transpose()?.map(|(id, _)| id),
            actor: self.actor,
            event_name: parameters::event_type(self.r#type.as_deref()).map_err(|failure| caller.problem(failure))?,
            since: parameter::<DateTime<Utc>>(caller, "since", self.since.as_deref())?,
            until: parameter::<DateTime<Utc>>(caller, "until", self.until.as_deref())?,
            up_to: None,
            cursor: parameter(caller, "cursor", self.cursor.as_deref())?,
            newest_first: parameters::newest_first(self.order.as_deref()).map_err(|failure| caller.problem(failure))?,
            limit: page_limit(self.limit),
        })
    }
}

/// `GET /authsec/audit/events`
pub async fn list(
    State(services): State<Services>,
    caller: Administrator,
    Query(filters): Query<Filters>,
    headers: HeaderMap,
) -> Result<Fresh<Json<Value>>, Problem> {
    caller.must_audit()?;
    let query = filters.query(&caller)?;
    let page = consistency::read(&services, &services.history, &headers, move |history| history.events(&query))
        .await
        .map_err(|failure| caller.problem(failure))?;
    Ok(page.map(|page| {
        let mut body = Map::new();
        body.insert("events".to_owned(), page.rows.iter().map(render).collect());
        response::put(&mut body, "next_cursor", page.next_cursor.map(|cursor| cursor.to_string()));
        Json(Value::Object(body))
    }))
}

/// `GET /authsec/audit/events/{event_id}`
pub async fn read(
    State(services): State<Services>,
    caller: Administrator,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Fresh<Json<Value>>, Problem> {
    caller.must_audit()?;
    let missing = || caller.problem(Failure::not_found("event"));
    let id = EventId(Uuid::try_parse(&id).map_err(|_| missing())?);
    let tenant = caller.tenant().clone();
    let row = consistency::read(&services, &services.history, &headers, move |history| history.event(&tenant, id))
        .await
        .map_err(|failure| caller.problem(failure))?;
    let body = row.body.as_ref().map(render).ok_or_else(missing)?;
    Ok(row.map(|_| Json(body)))
}
