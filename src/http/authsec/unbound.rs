//! `/authsec/unbound-clients[/{client_id}]`: clients that registered themselves where no resource server was meant, until one takes
//! them. They concern the instance, so they are for administrators of the tenant that every instance has.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use gatebook_events::identity::TenantId;
use gatebook_events::reason;
use gatebook_projections::directory::UnboundRow;
use gatebook_projections::history::HistoryQuery;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{client_key, page_limit, parameter};
use crate::application::audit::entry;
use crate::application::services::Services;
use crate::http::caller::{Administrator, Path, Query};
use crate::http::consistency::{self, Fresh};
use crate::http::error::{Failure, Problem};
use crate::http::json::members;
use crate::http::response;

/// How many of a client's latest events are shown with it.
const HISTORY_HEAD: usize = 20;

/// Which page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    cursor: Option<String>,
    limit: Option<usize>,
}

/// What may be said of a deletion.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    #[serde(default, deserialize_with = "reason::read")]
    reason: Option<String>,
}

/// Refuses administrators of other tenants: such a client is no business of theirs.
pub fn must_see(caller: &Administrator) -> Result<(), Problem> {
    if *caller.tenant() == TenantId::default_tenant() {
        return Ok(());
    }
    let detail = "clients that no resource server took are for administrators of the tenant default";
    Err(caller.problem(Failure::request(StatusCode::FORBIDDEN, "not-operator", detail)))
}

/// `GET /authsec/unbound-clients`
pub async fn list(
    State(services): State<Services>,
    caller: Administrator,
    Query(page): Query<Page>,
    headers: HeaderMap,
) -> Result<Fresh<Json<Value>>, Problem> {
    must_see(&caller)?;
    let cursor = parameter(&caller, "cursor", page.cursor.as_deref())?;
    let limit = page_limit(page.limit);
    let query = consistency::read(&services, &services.directory, &headers, move |directory| directory.unbound(cursor.as_ref(), limit));
    Ok(query.await.map_err(|failure| caller.problem(failure))?.map(|page| {
        let mut body = Map::new();
        body.insert("clients".to_owned(), page.rows.iter().map(render).collect());
        body.insert("total".to_owned(), page.total.into());
        response::put(&mut body, "next_cursor", page.next_cursor.map(|cursor| cursor.to_string()));
        Json(Value::Object(body))
    }))
}

/// `GET /authsec/unbound-clients/{client_id}`: one of them, with the head of its history for those who may read it.
pub async fn read(
    State(services): State<Services>,
    caller: Administrator,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Result<Fresh<Json<Value>>, Problem> {
    must_see(&caller)?;
    let (client_id, _) = client_key(&caller, &client_id)?;
    let wanted = client_id.clone();
    let found = consistency::read(&services, &services.directory, &headers, move |directory| directory.unbound_client(&wanted));
    let found = found.await.map_err(|failure| caller.problem(failure))?;
    let Some(Value::Object(mut body)) = found.body.as_ref().map(render) else { return Err(caller.problem(Failure::not_found("client"))) };
    if caller.must_audit().is_ok() {
        let query = HistoryQuery { client_id: Some(client_id), ..HistoryQuery::all(caller.tenant().clone(), HISTORY_HEAD) };
        let page = consistency::read(&services, &services.history, &headers, move |history| history.events(&query)).await;
        let page = page.map_err(|failure| caller.problem(failure))?;
        body.insert("history".to_owned(), page.body.rows.iter().map(entry::render).collect());
    }
    Ok(found.map(|_| Json(Value::Object(body))))
}

/// `DELETE /authsec/unbound-clients/{client_id}`: it is no client any more; its history stays.
pub async fn delete(
    State(services): State<Services>,
    caller: Administrator,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    caller.must_operate()?;
    let asked: Members = members(&headers, body).await.map_err(|failure| caller.problem(failure))?;
    let (client_id, key) = client_key(&caller, &client_id)?;
    let found = consistency::read(&services, &services.directory, &headers, move |directory| directory.unbound_client(&client_id));
    let found = found.await.map_err(|failure| caller.problem(failure))?;
    if found.body.is_none() {
        return Err(caller.problem(Failure::not_found("client")));
    }
    services.commands.delete_unbound(&caller.cause, key, asked.reason).await.map_err(|error| caller.problem(error))?;
    Ok(StatusCode::NO_CONTENT)
}

fn render(row: &UnboundRow) -> Value {
    let mut body = row.metadata.members();
    body.insert("client_id".to_owned(), row.client_id.as_str().into());
    body.insert("registration_type".to_owned(), "dcr".into());
    body.insert("registered_at".to_owned(), response::time(row.registered_at).into());
    body.insert("updated_at".to_owned(), response::time(row.updated_at).into());
    body.insert("has_secret".to_owned(), row.has_secret.into());
    Value::Object(body)
}
