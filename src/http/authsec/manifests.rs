//! Clients that host their own document, as administrators handle them: entered by URL, tried first, read again now, and
//! taken back to an earlier version.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use gatebook_events::Rejection;
use gatebook_events::admission::RegistrationType;
use gatebook_events::client::differences;
use gatebook_events::manifest::{ManifestUrl, Trouble};
use gatebook_events::reason;
use gatebook_events::resource_server::{Coming, Judgement};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{client_key, clients, server_id};
use crate::aggregates::CommandError;
use crate::application::look_alikes::Shown;
use crate::application::metrics::Outcome;
use crate::application::register::admission;
use crate::application::register::rules::{Guarantor, Rules};
use crate::application::registrations::registered_at;
use crate::application::registrations::registered_with;
use crate::application::services::Services;
use crate::http::caller::{Administrator, Path};
use crate::http::consistency::{self, Fresh};
use crate::http::error::{Failure, Problem};
use crate::http::json::members;
use crate::http::response;

/// Which document.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    client_id: String,
    /// What the document says, for where its host cannot be reached: its text, or the object itself.
    document: Option<Value>,
}

/// Which version, and why.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Back {
    version: u32,
    #[serde(default, deserialize_with = "reason::read")]
    reason: Option<String>,
}

/// `POST …/clients/cimd`: enters the client of a document, approved at once: the administrator vouches for it.
pub async fn enter(
    State(services): State<Services>,
    caller: Administrator,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Fresh<Json<Value>>), Problem> {
    caller.must_change()?;
    let rules = own_rules(&services, &caller, &id).await?;
    let id = rules.id;
    let (url, text) = named(&services, &caller, &headers, body).await?;
    rules.server.receives(VOUCHED).map_err(|closed| caller.problem(CommandError::from(closed)))?;
    let read = services.manifests.read_or_take(&url, text.as_deref()).await.map_err(|failure| caller.problem(failure))?;
    let document = (&url.client_id(), read);
    let done = admission::register_document(&services, &caller.cause, &rules, Guarantor::Administrator, document).await;
    services.metrics.registered(RegistrationType::Cimd, Outcome::of(&done));
    done.map_err(|failure| caller.problem(failure))?;
    let shown = clients::show(&services, &caller, &headers, &id.to_string(), url.as_str()).await?;
    Ok((StatusCode::CREATED, shown.map(|body| Json(Value::Object(body)))))
}

/// `POST …/clients/cimd/preview`: what would be registered, without registering.
pub async fn preview(
    State(services): State<Services>,
    caller: Administrator,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    caller.must_change()?;
    let rules = own_rules(&services, &caller, &id).await?;
    let (url, text) = named(&services, &caller, &headers, body).await?;
    let read = services.manifests.read_or_take(&url, text.as_deref()).await;
    let read = read.map_err(|failure| caller.problem(failure))?;
    let known = services.commands.client_of(caller.tenant(), url.client_id().key()).await.map_err(|error| caller.problem(error))?;

    let mut answer = Map::new();
    answer.insert("client_id".to_owned(), url.as_str().into());
    response::put(&mut answer, "entered", read.entered.then_some(true));
    answer.insert("content_hash".to_owned(), read.document.content_hash.as_str().into());
    answer.insert("warnings".to_owned(), json!(read.document.warnings));
    response::put(&mut answer, "left_out", (!read.document.left_out.is_empty()).then(|| json!(read.document.left_out)));
    answer.insert("ignored".to_owned(), json!(read.document.ignored));
    // What is known of it by others is not for this tenant to hear.
    let registered = registered_with(&services, caller.tenant(), url.client_id().key()).await.map_err(|failure| caller.problem(failure))?;
    if let Some(profile) = known.registered().filter(|_| registered) {
        let current = profile.manifest.as_ref().and_then(|manifest| manifest.current());
        response::put(&mut answer, "known_version", current.map(|current| current.number));
        let same = current.is_some_and(|current| current.content_hash == read.document.content_hash);
        let differences = if same { [].into() } else { differences(&profile.metadata, &read.document.metadata) };
        answer.insert("differences".to_owned(), json!(differences));
    }
    let (tenant, client_id, metadata) = (caller.tenant().clone(), url.client_id(), read.document.metadata.clone());
    let doubts = consistency::read(&services, &services.directory, &headers, move |directory| {
        let (name, kind) = (metadata.client_name.as_deref(), RegistrationType::Cimd);
        let shown = Shown { name, client_id: &client_id, registration_type: kind, redirect_uris: &metadata.redirect_uris };
        shown.doubts(directory, &tenant)
    })
    .await;
    response::doubts(&mut answer, &doubts.map_err(|failure| caller.problem(failure))?.body);
    match rules.server.judge(VOUCHED, read.document.metadata.clone()) {
        Ok(Judgement { metadata, admission }) => {
            answer.insert("metadata".to_owned(), Value::Object(metadata.members()));
            // What the rules would do with the client if it came by itself; one that an administrator enters is approved.
            let alone = rules.server.judge(Guarantor::Nobody.coming(RegistrationType::Cimd), read.document.metadata.clone());
            answer.insert("admission".to_owned(), json!(alone.map_or(admission, |alone| alone.admission)));
        }
        Err(rejection) => {
            answer.insert("metadata".to_owned(), Value::Object(read.document.metadata.members()));
            answer.insert("admission".to_owned(), "refuse".into());
            answer.insert("refusal".to_owned(), rejection.to_string().into());
        }
    }
    Ok(Json(Value::Object(answer)))
}

/// `POST …/clients/{client_id}/refresh`: reads the document now.
pub async fn refresh(
    State(services): State<Services>,
    caller: Administrator,
    Path((id, client_id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Fresh<Json<Value>>, Problem> {
    caller.must_change()?;
    own_rules(&services, &caller, &id).await?;
    // Whoever does not see the client may not make anybody read its document either.
    clients::show(&services, &caller, &headers, &id, &client_id).await?;
    let key = client_key(&caller, &client_id)?.1;
    let no_document = || caller.problem(CommandError::from(gatebook_events::Rejection::NoDocument));
    let url = services.manifests.manifests().url(&client_id).map_err(|_| no_document())?;
    let servers = registered_at(&services, key).await.map_err(|failure| caller.problem(failure))?;
    let polled = services.manifests.refresh(&url, &servers).await.map_err(|error| caller.problem(error))?;
    let shown = clients::show(&services, &caller, &headers, &id, &client_id).await?;
    Ok(shown.map(|mut body| {
        let mut refresh = Map::new();
        refresh.insert("changed".to_owned(), polled.changed.into());
        response::put(&mut refresh, "trouble", polled.trouble.map(Trouble::as_str));
        // Its host was not asked, and may be after so many seconds.
        response::put(&mut refresh, "tried", polled.retry_after.map(|_| false));
        response::put(&mut refresh, "retry_after", polled.retry_after);
        body.insert("refresh".to_owned(), refresh.into());
        Json(Value::Object(body))
    }))
}

/// `POST /authsec/manifests/poll`: every document of the tenant's clients is read again now; soaking changes whose time has
/// come serve.
pub async fn poll(
    State(services): State<Services>,
    caller: Administrator,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Value>), Problem> {
    caller.must_change()?;
    let tenant = caller.tenant().clone();
    let documents = consistency::read(&services, &services.directory, &headers, move |directory| directory.documents_of(&tenant)).await;
    let documents = documents.map_err(|failure| caller.problem(failure))?.body;
    let due = documents.len();
    services.manifests.hasten(documents).await;
    Ok((StatusCode::ACCEPTED, Json(json!({ "due": due }))))
}

/// `POST …/clients/{client_id}/roll-back`: the redirect URIs of an earlier version serve again.
pub async fn roll_back(
    State(services): State<Services>,
    caller: Administrator,
    Path((id, client_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Fresh<Json<Value>>, Problem> {
    caller.must_change()?;
    let asked: Back = members(&headers, body).await.map_err(|failure| caller.problem(failure))?;
    let target = (server_id(&caller, &id)?, client_key(&caller, &client_id)?.1);
    let done = services.commands.roll_back(&caller.cause, caller.tenant(), target, asked.version, asked.reason).await;
    done.map_err(|error| caller.problem(error))?;
    Ok(clients::show(&services, &caller, &headers, &id, &client_id).await?.map(|body| Json(Value::Object(body))))
}

/// `GET …/clients/{client_id}/manifest`: every version of the document, the newest first, and what each changed.
pub async fn versions(
    State(services): State<Services>,
    caller: Administrator,
    Path((id, client_id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    clients::show(&services, &caller, &headers, &id, &client_id).await?;
    let key = client_key(&caller, &client_id)?.1;
    let versions = services.commands.document_versions(caller.tenant(), key).await.map_err(|error| caller.problem(error))?;
    let render = |known: &crate::application::manifests::versions::KnownVersion| {
        let versioned = &known.versioned;
        let mut version = json!({
            "version": versioned.number,
            "content_hash": versioned.content_hash,
            "recorded_at": response::time(known.recorded_at),
            "differences": versioned.differences,
            "warnings": versioned.warnings,
            "ignored": versioned.ignored,
            "metadata": versioned.metadata.members(),
            "document": versioned.document,
        });
        if let Value::Object(version) = &mut version {
            response::put(version, "left_out", (!versioned.left_out.is_empty()).then(|| json!(versioned.left_out)));
            response::put(version, "entered", versioned.entered_for.is_some().then_some(true));
        }
        version
    };
    Ok(Json(json!({ "client_id": client_id, "versions": versions.iter().rev().map(render).collect::<Vec<_>>() })))
}

/// A client whose document an administrator looked at.
const VOUCHED: Coming<'static> = Coming::entered(RegistrationType::Cimd);

async fn own_rules(services: &Services, caller: &Administrator, id: &str) -> Result<Rules, Problem> {
    let id = server_id(caller, id)?;
    let rules = services.commands.rules_of(caller.tenant(), id).await;
    rules.map_err(|error| match error {
        CommandError::Rejected(Rejection::NoSuchResourceServer) => caller.problem(Failure::not_found("resource server")),
        error => caller.problem(error),
    })
}

/// Which document, and its text if that was sent too.
async fn named(
    services: &Services,
    caller: &Administrator,
    headers: &HeaderMap,
    body: Body,
) -> Result<(ManifestUrl, Option<String>), Problem> {
    let named: Named = members(headers, body).await.map_err(|failure| caller.problem(failure))?;
    let refuse = |problem: &dyn std::fmt::Display| {
        caller.problem(Failure::request(StatusCode::BAD_REQUEST, "invalid-client-id", format!("client_id {problem}")))
    };
    let url = services.manifests.manifests().url(&named.client_id).map_err(|problem| refuse(&problem))?;
    let text = named.document.map(|document| match document {
        Value::String(text) => text,
        other => other.to_string(),
    });
    Ok((url, text))
}
