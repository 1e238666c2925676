//! `/authsec/resource-servers`: create, list, read, edit and retire.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use gatebook_events::admission::{Modes, RegistrationType};
use gatebook_events::identity::ResourceServerId;
use gatebook_events::json::ascii;
use gatebook_events::redirect::WebUri;
use gatebook_events::resource_server::{EffectOnExisting, Policy, ResourceServerCommand};
use gatebook_events::{name, reason};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::server_id;
use crate::application::services::Services;
use crate::http::caller::{Administrator, Path};
use crate::http::consistency::{self, Fresh};
use crate::http::error::{Failure, Problem};
use crate::http::json::{self as body_json, members};
use crate::http::response;

/// What is said of a new resource server.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    name: Option<String>,
    resource: Option<String>,
    registration_modes: Option<Modes>,
    policy: Option<Map<String, Value>>,
}

/// What an edit says; what is absent stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    name: Option<String>,
    /// An empty text takes it away, as null does.
    resource: Option<String>,
    registration_modes: Option<Modes>,
    /// Without `registration_modes`: what becomes of registrations of a type that is off already.
    #[serde(default)]
    effect_on_existing: EffectOnExisting,
    /// Merged into the rules that hold (RFC 7396).
    policy: Option<Map<String, Value>>,
}

/// What may be said of an end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    #[serde(default, deserialize_with = "reason::read")]
    reason: Option<String>,
}

/// `POST /authsec/resource-servers`
pub async fn create(
    State(services): State<Services>,
    caller: Administrator,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    caller.must_change()?;
    let asked: Wish = members(&headers, body).await.map_err(|failure| caller.problem(failure))?;
    let name = asked.name.ok_or_else(|| caller.problem(invalid("name is missing")))?;
    let name = checked_name(name).map_err(|failure| caller.problem(failure))?;
    let resource = checked_resource(asked.resource.as_deref()).map_err(|failure| caller.problem(failure))?.flatten();
    let policy = merged(&Policy::of_new_server(), asked.policy).map_err(|failure| caller.problem(failure))?;
    fetched(&services, &Policy::default(), &policy).map_err(|failure| caller.problem(failure))?;
    let id = ResourceServerId(Uuid::now_v7());
    let modes = asked.registration_modes.unwrap_or_else(|| RegistrationType::ALL.into());
    let command = ResourceServerCommand::Create { tenant: caller.tenant().clone(), name, resource, modes, policy };
    services.commands.create_resource_server(&caller.cause, id, &command).await.map_err(|error| caller.problem(error))?;
    let row = show(&services, &caller, &headers, id).await?;
    Ok((StatusCode::CREATED, Json(row.body)))
}

/// `GET /authsec/resource-servers`
pub async fn list(State(services): State<Services>, caller: Administrator, headers: HeaderMap) -> Result<Fresh<Json<Value>>, Problem> {
    let tenant = caller.tenant().clone();
    let rows = consistency::read(&services, &services.directory, &headers, move |directory| directory.resource_servers(&tenant))
        .await
        .map_err(|failure| caller.problem(failure))?;
    Ok(rows.map(|rows| Json(json!({ "resource_servers": rows.iter().map(response::resource_server).collect::<Vec<_>>() }))))
}

/// `GET /authsec/resource-servers/{id}`
pub async fn read(
    State(services): State<Services>,
    caller: Administrator,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Fresh<Json<Value>>, Problem> {
    let id = server_id(&caller, &id)?;
    Ok(show(&services, &caller, &headers, id).await?.map(Json))
}

/// `PATCH /authsec/resource-servers/{id}`
pub async fn edit(
    State(services): State<Services>,
    caller: Administrator,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Fresh<Json<Value>>, Problem> {
    caller.must_change()?;
    let id = server_id(&caller, &id)?;
    let asked: Edit =
        body_json::patch(&headers, body, &[("resource", Value::from(""))]).await.map_err(|failure| caller.problem(failure))?;
    let name = asked.name.map(checked_name).transpose().map_err(|failure| caller.problem(failure))?;
    let resource = checked_resource(asked.resource.as_deref()).map_err(|failure| caller.problem(failure))?;
    let policy = match asked.policy {
        None => None,
        Some(patch) => {
            let server = services.commands.resource_server(id).await.map_err(|error| caller.problem(error))?;
            let policy = merged(&server.policy, Some(patch)).map_err(|failure| caller.problem(failure))?;
            fetched(&services, &server.policy, &policy).map_err(|failure| caller.problem(failure))?;
            Some(policy)
        }
    };
    let (modes, effect_on_existing) = (asked.registration_modes, asked.effect_on_existing);
    let command = ResourceServerCommand::Edit { name, resource, modes, effect_on_existing, policy };
    services.commands.change_resource_server(&caller.cause, caller.tenant(), id, &command).await.map_err(|error| caller.problem(error))?;
    Ok(show(&services, &caller, &headers, id).await?.map(Json))
}

/// `DELETE /authsec/resource-servers/{id}`: no client may act there any more; the history stays.
pub async fn retire(
    State(services): State<Services>,
    caller: Administrator,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    caller.must_change()?;
    let id = server_id(&caller, &id)?;
    let asked: End = members(&headers, body).await.map_err(|failure| caller.problem(failure))?;
    let command = ResourceServerCommand::Retire { reason: asked.reason };
    services.commands.change_resource_server(&caller.cause, caller.tenant(), id, &command).await.map_err(|error| caller.problem(error))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn show(services: &Services, caller: &Administrator, headers: &HeaderMap, id: ResourceServerId) -> Result<Fresh<Value>, Problem> {
    let tenant = caller.tenant().clone();
    let row = consistency::read(services, &services.directory, headers, move |directory| directory.resource_server(&tenant, id))
        .await
        .map_err(|failure| caller.problem(failure))?;
    let body = row.body.as_ref().map(response::resource_server).ok_or_else(|| caller.problem(Failure::not_found("resource server")))?;
    Ok(row.map(|_| body))
}

pub(super) fn checked_name(name: String) -> Result<String, Failure> {
    name::check(&name).map_err(|problem| invalid(&format!("the name {problem}")))?;
    Ok(name)
}

#[expect(clippy::option_option, reason = "not said, taken away and given are three things")]
fn checked_resource(resource: Option<&str>) -> Result<Option<Option<WebUri>>, Failure> {
    match resource {
        None => Ok(None),
        Some("") => Ok(Some(None)),
        Some(text) => WebUri::parse(text).map(|uri| Some(Some(uri))).map_err(|problem| invalid(&format!("resource {problem}"))),
    }
}

/// Whether the key sets that rules name anew are at URLs that are fetched here.
pub(super) fn fetched(services: &Services, before: &Policy, after: &Policy) -> Result<(), Failure> {
    let new = after.software_statement_issuers.iter().filter(|issuer| !before.software_statement_issuers.contains(issuer));
    for uri in new.filter_map(|issuer| issuer.jwks_uri.as_ref()) {
        services.manifests.manifests().url(uri.as_str()).map_err(|problem| {
            let uri = gatebook_events::json::ascii(uri.as_str());
            invalid(&format!("software_statement_issuers has the jwks_uri {uri}, which is never fetched: it {problem}"))
        })?;
    }
    Ok(())
}

pub(super) fn merged(policy: &Policy, patch: Option<Map<String, Value>>) -> Result<Policy, Failure> {
    const KNOWN: [&str; 20] = [
        "admission",
        "redirect_changes",
        "redirect_rules",
        "outside_rules",
        "private_use_schemes",
        "scope_ceiling",
        "authorization_server_scopes",
        "self_registered_grants",
        "manifests",
        "require_initial_access_token",
        "initial_access_token_for",
        "software_statement_issuers",
        "require_software_statement",
        "registrations_per_minute",
        "max_clients",
        "max_metadata_bytes",
        "instances",
        "instances_under_review",
        "dormant_after_days",
        "revive",
    ];
    let Some(patch) = patch else { return Ok(policy.clone()) };
    if let Some(unknown) = patch.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(unknown_member(unknown, KNOWN));
    }
    let (before, mut defaults) = (json!(policy), json!(Policy::default()));
    // It is not written down where it is as it always was.
    if let Some(manifests) = defaults.pointer_mut("/manifests").and_then(Value::as_object_mut) {
        manifests.insert("announce".to_owned(), true.into());
    }
    let mut value = before.clone();
    merge(&mut value, patch.clone(), &defaults, "")?;
    let policy: Policy = serde_json::from_value(value).map_err(|error| wrong_form(&before, patch, &defaults, &error))?;
    policy.check().map_err(|sentence| invalid(&sentence))?;
    Ok(policy)
}

/// Which member of a patch is not of its form, and what the reader says of it: each is tried alone.
fn wrong_form(before: &Value, patch: Map<String, Value>, defaults: &Value, error: &serde_json::Error) -> Failure {
    for (name, member) in patch {
        let mut value = before.clone();
        let alone = Map::from_iter([(name.clone(), member)]);
        if merge(&mut value, alone, defaults, "").is_ok()
            && let Err(error) = serde_json::from_value::<Policy>(value)
        {
            return invalid(&format!("policy.{name} is not of its form: {}", ascii(&error.to_string())));
        }
    }
    invalid(&format!("policy has a member that is not of its form: {}", ascii(&error.to_string())))
}

fn unknown_member<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Failure {
    let known: Vec<&str> = known.into_iter().collect();
    invalid(&format!("policy has no member `{}`; its members are {}", ascii(name), known.join(", ")))
}

/// RFC 7396, where what is taken away falls back to its default. `place` is where the value is.
fn merge(value: &mut Value, patch: Map<String, Value>, defaults: &Value, place: &str) -> Result<(), Failure> {
    let Value::Object(members) = value else { return Ok(()) };
    for (name, member) in patch {
        match (members.get_mut(&name), member, defaults.get(&name)) {
            (_, Value::Null, None) => drop(members.remove(&name)),
            (_, Value::Null, Some(default)) => drop(members.insert(name, default.clone())),
            (Some(old @ Value::Object(_)), Value::Object(patch), Some(defaults)) => {
                let place = format!("{place}{name}.");
                let known = || defaults.as_object().into_iter().flat_map(Map::keys).map(String::as_str);
                if let Some(unknown) = patch.keys().find(|name| defaults.get(name).is_none()) {
                    return Err(unknown_member(&format!("{place}{unknown}"), known()));
                }
                merge(old, patch, defaults, &place)?;
            }
            (_, member, _) => drop(members.insert(name, member)),
        }
    }
    Ok(())
}

pub(super) fn invalid(detail: &str) -> Failure {
    Failure::request(StatusCode::BAD_REQUEST, "invalid-request", detail)
}
