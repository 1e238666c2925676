//! `GET /authsec/resource-servers/{id}/clients[/{client_id}]`: who is allowed in, and how they came; now or at a moment.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use gatebook_events::admission::RegistrationType;
use gatebook_events::identity::ResourceServerId;
use gatebook_projections::directory::{ListClients, RegistrationRow, Sort};
use gatebook_projections::history::HistoryQuery;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::as_of::{self, Then};
use super::{client_key, page_limit, parameter, server_id};
use crate::application::audit::entry;
use crate::application::look_alikes::Shown;
use crate::application::services::Services;
use crate::http::caller::{Administrator, Path, Query};
use crate::http::consistency::{self, Fresh};
use crate::http::error::{Failure, Problem};
use crate::http::parameters;
use crate::http::response;

/// How many of a client's latest events are shown with it.
const HISTORY_HEAD: usize = 20;

/// In which order clients are listed, by the name of each.
pub const SORTS: [(&str, Sort); 3] = [("newest", Sort::NewestFirst), ("oldest", Sort::OldestFirst), ("name", Sort::Name)];

/// The filters of the list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filters {
    r#type: Option<String>,
    status: Option<String>,
    q: Option<String>,
    family: Option<String>,
    sort: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
    as_of: Option<String>,
}

/// The moment that is asked about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    as_of: Option<String>,
}

/// `GET /authsec/resource-servers/{id}/clients`
pub async fn list(
    State(services): State<Services>,
    caller: Administrator,
    Path(id): Path<String>,
    Query(filters): Query<Filters>,
    headers: HeaderMap,
) -> Result<Fresh<Json<Value>>, Problem> {
    let id = server_id(&caller, &id)?;
    let refuse = |failure| caller.problem(failure);
    let types = RegistrationType::ALL.map(|kind| (kind.as_str(), kind));
    let registration_type = parameters::one_of("type", filters.r#type.as_deref(), &types).map_err(refuse)?;
    let sort = parameters::one_of("sort", filters.sort.as_deref(), &SORTS).map_err(refuse)?.unwrap_or(Sort::NewestFirst);
    let query = ListClients {
        tenant: caller.tenant().clone(),
        resource_server: id,
        registration_type,
        status: parameters::status(filters.status.as_deref()).map_err(refuse)?,
        text: filters.q,
        family: filters.family,
        sort,
        cursor: parameter(&caller, "cursor", filters.cursor.as_deref())?,
        limit: page_limit(filters.limit),
    };
    let then = then(&services, &caller, &headers, (id, "resource server"), filters.as_of.as_deref()).await?;
    let page = as_of::read(&services, &headers, then.as_ref(), move |directory| {
        if directory.resource_server(&query.tenant, id)?.is_none() {
            return Ok(None);
        }
        directory.clients(&query).map(Some)
    })
    .await
    .map_err(|failure| caller.problem(failure))?;
    if page.body.is_none() {
        return Err(caller.problem(Failure::not_found("resource server")));
    }
    // When clients were used is no event, so nobody knows what was known of it then.
    let live = page.body.iter().filter(|_| then.is_none());
    let uses = services.usage.of(live.flat_map(|page| &page.rows).map(|row| (id, row.client_key)).collect()).await;
    Ok(page.map(|page| {
        let mut body = Map::new();
        if let Some(page) = page {
            let render = |row: &RegistrationRow| {
                let mut client = response::registration(row);
                response::uses(&mut client, uses.get(&(id, row.client_key)));
                Value::Object(client)
            };
            body.insert("clients".to_owned(), page.rows.iter().map(render).collect());
            response::put(&mut body, "next_cursor", page.next_cursor.map(|cursor| cursor.to_string()));
            if let Some(then) = &then {
                then.put(&mut body);
            }
            response::put(
                &mut body,
                "counts",
                page.counts.map(|counts| json!({ "by_type": counts.by_type, "by_status": counts.by_status })),
            );
        }
        Json(Value::Object(body))
    }))
}

/// `GET /authsec/resource-servers/{id}/clients/{client_id}`
pub async fn read(
    State(services): State<Services>,
    caller: Administrator,
    Path((id, client_id)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Fresh<Json<Value>>, Problem> {
    let then = then(&services, &caller, &headers, (server_id(&caller, &id)?, "client"), asked.as_of.as_deref()).await?;
    let body = show_then(&services, &caller, &headers, (&id, &client_id), then.as_ref()).await?;
    Ok(body.map(|body| Json(Value::Object(body))))
}

async fn then(
    services: &Services,
    caller: &Administrator,
    headers: &HeaderMap,
    of: (ResourceServerId, &'static str),
    text: Option<&str>,
) -> Result<Option<Then>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let asked = as_of::parse(text).map_err(|failure| caller.problem(failure))?;
    Then::of(services, caller, headers, of, asked).await.map(Some).map_err(|failure| caller.problem(failure))
}

/// One client with its staged change and, for those who may read it, the head of its history.
pub async fn show(
    services: &Services,
    caller: &Administrator,
    headers: &HeaderMap,
    id: &str,
    client_id: &str,
) -> Result<Fresh<Map<String, Value>>, Problem> {
    show_then(services, caller, headers, (id, client_id), None).await
}

/// The same as it was at a moment.
async fn show_then(
    services: &Services,
    caller: &Administrator,
    headers: &HeaderMap,
    (id, client_id): (&str, &str),
    then: Option<&Then>,
) -> Result<Fresh<Map<String, Value>>, Problem> {
    let id = server_id(caller, id)?;
    let (client_id, _) = client_key(caller, client_id)?;
    let tenant = caller.tenant().clone();
    let wanted = client_id.clone();
    let row = as_of::read(services, headers, then, move |directory| {
        let row = directory.client(&tenant, id, &wanted)?;
        row.map(|row| Ok((Shown::of(&row).doubts(directory, &tenant)?, row))).transpose()
    })
    .await
    .map_err(|failure| caller.problem(failure))?;
    let (doubts, client) = row.body.as_ref().ok_or_else(|| caller.problem(Failure::not_found("client")))?;
    let mut body = response::registration(client);
    if let Some(then) = then {
        then.put(&mut body);
    } else {
        let which = (id, client.client_key);
        response::uses(&mut body, services.usage.of(vec![which]).await.get(&which));
    }
    response::doubts(&mut body, doubts);
    if caller.must_audit().is_ok() {
        let all = HistoryQuery::all(caller.tenant().clone(), HISTORY_HEAD);
        let query = HistoryQuery { client_id: Some(client_id), up_to: then.map(Then::position), ..all };
        let page = consistency::read(services, &services.history, headers, move |history| history.events(&query))
            .await
            .map_err(|failure| caller.problem(failure))?;
        body.insert("history".to_owned(), page.body.rows.iter().map(entry::render).collect());
    }
    Ok(row.map(|_| body))
}
