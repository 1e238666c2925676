//! `GET /authsec/approvals`: everything that waits for this tenant, over all its resource servers, oldest first.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use gatebook_events::redirect::RedirectUris;
use gatebook_projections::approvals::{WaitingRow, Wish};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{page_limit, parameter};
use crate::application::look_alikes::{Doubts, Shown};
use crate::application::services::Services;
use crate::http::caller::{Administrator, Query};
use crate::http::consistency::{self, Fresh};
use crate::http::error::Problem;
use crate::http::response;

/// Which page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    cursor: Option<String>,
    limit: Option<usize>,
}

/// `GET /authsec/approvals`
pub async fn list(
    State(services): State<Services>,
    caller: Administrator,
    Query(page): Query<Page>,
    headers: HeaderMap,
) -> Result<Fresh<Json<Value>>, Problem> {
    let tenant = caller.tenant().clone();
    let cursor = parameter(&caller, "cursor", page.cursor.as_deref())?;
    let limit = page_limit(page.limit);
    let wanted = tenant.clone();
    let waiting =
        consistency::read(&services, &services.approvals, &headers, move |approvals| approvals.waiting(&wanted, cursor.as_ref(), limit))
            .await
            .map_err(|failure| caller.problem(failure))?;
    let rows = waiting.body.rows.clone();
    let doubts = consistency::read(&services, &services.directory, &headers, move |directory| {
        rows.iter().map(|row| shown(row, &row.as_approved()).doubts(directory, &tenant)).collect::<Result<Vec<_>, _>>()
    })
    .await
    .map_err(|failure| caller.problem(failure))?
    .body;
    Ok(waiting.map(|page| {
        let mut body = Map::new();
        body.insert("approvals".to_owned(), page.rows.iter().zip(&doubts).map(|(row, doubts)| render(row, doubts)).collect());
        body.insert("count".to_owned(), page.total.into());
        response::put(&mut body, "next_cursor", page.next_cursor.map(|cursor| cursor.to_string()));
        Json(Value::Object(body))
    }))
}

/// Whom a look-alike is looked for of.
pub fn shown<'a>(row: &'a WaitingRow, redirect_uris: &'a RedirectUris) -> Shown<'a> {
    let WaitingRow { client_id, registration_type, .. } = row;
    Shown { name: row.name_as_approved(), client_id, registration_type: *registration_type, redirect_uris }
}

fn render(row: &WaitingRow, doubts: &Doubts) -> Value {
    let mut body = Map::new();
    let kind = match &row.wish {
        Wish::Registration => "registration",
        Wish::Revival => "revival",
        Wish::Redirects { .. } => "redirects",
    };
    body.insert("kind".to_owned(), kind.into());
    body.insert("resource_server_id".to_owned(), row.resource_server.to_string().into());
    body.insert("resource_server_name".to_owned(), row.resource_server_name.clone().into());
    body.insert("client_id".to_owned(), row.client_id.to_string().into());
    body.insert("registration_type".to_owned(), row.registration_type.as_str().into());
    response::put(&mut body, "client_name", row.client_name.clone());
    body.insert("since".to_owned(), response::time(row.since).into());
    body.insert("redirect_uris".to_owned(), json!(row.redirect_uris));
    response::put(&mut body, "origin", row.origin.clone());
    response::put(&mut body, "metadata", row.metadata.as_ref().map(|metadata| Value::Object(metadata.members())));
    body.insert("registration_version".to_owned(), row.version.to_string().into());
    if let Wish::Redirects { change_id, added, removed, result, metadata, manifest, serves_at } = &row.wish {
        let changes = row.metadata.as_ref().zip(metadata.as_ref()).map(|(now, then)| response::member_changes(now, then));
        response::put(&mut body, "changes", changes);
        response::put(&mut body, "pending_redirect_uris", (!result.is_empty()).then(|| json!(result)));
        response::put(&mut body, "manifest", manifest.as_ref().map(|manifest| json!(manifest)));
        response::put(&mut body, "serves_at", serves_at.map(response::time));
        body.insert("change_id".to_owned(), change_id.to_string().into());
        body.insert("added".to_owned(), json!(added));
        body.insert("removed".to_owned(), json!(removed));
    }
    response::doubts(&mut body, doubts);
    Value::Object(body)
}
