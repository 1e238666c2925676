//! What an administrator decides about a client at a resource server: its standing, and changes of its redirect URIs.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use gatebook_events::answer_version::AnswerVersion;
use gatebook_events::identity::{ChangeId, InvalidName};
use gatebook_events::reason;
use gatebook_events::registration::RegistrationCommand;
use serde::Deserialize;
use serde_json::Value;

use super::{client_key, clients, server_id};
use crate::application::services::Services;
use crate::http::caller::{Administrator, Path};
use crate::http::consistency::Fresh;
use crate::http::error::{Failure, Problem};
use crate::http::json::members;

/// The members that a decision may have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    #[serde(default, deserialize_with = "reason::read")]
    reason: Option<String>,
    until: Option<DateTime<Utc>>,
    change_id: Option<String>,
    family: Option<bool>,
    registration_version: Option<String>,
}

impl Members {
    /// Refuses what means nothing to this decision, so that nobody takes it for done.
    fn says_only(&self, means: &[&str]) -> Result<(), Failure> {
        let said = [
            ("reason", self.reason.is_some()),
            ("until", self.until.is_some()),
            ("change_id", self.change_id.is_some()),
            ("registration_version", self.registration_version.is_some()),
        ];
        match said.iter().find(|(name, said)| *said && !means.contains(name)) {
            None => Ok(()),
            Some((name, _)) => {
                let detail = format!("`{name}` means nothing to this decision; right are {}", means.join(", "));
                Err(Failure::request(StatusCode::BAD_REQUEST, "invalid-request", detail))
            }
        }
    }
}

/// `POST …/clients/{client_id}/{approve,deny,suspend,reinstate,revoke,restore}`
pub async fn decide(
    State(services): State<Services>,
    caller: Administrator,
    Path((id, client_id, decision)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Fresh<Json<Value>>, Problem> {
    let asked = asked(&caller, &headers, body).await?;
    let means = if decision == "deny" { &["reason", "registration_version", "until"][..] } else { &["reason", "registration_version"] };
    asked.says_only(means).map_err(|failure| caller.problem(failure))?;
    let shown = shown(&caller, &asked)?;
    let family = asked.family == Some(true);
    if family && decision != "suspend" {
        let detail = "family is for suspend; reinstating a client of a suspended family lifts that";
        return Err(caller.problem(Failure::request(StatusCode::BAD_REQUEST, "invalid-request", detail)));
    }
    let command = command(&decision, asked.reason.clone(), asked.until).ok_or_else(|| caller.problem(Failure::not_found("page")))?;
    if family {
        let target = (server_id(&caller, &id)?, client_key(&caller, &client_id)?.1);
        let as_shown = services.commands.must_be_as_shown(caller.tenant(), target, shown).await;
        as_shown.map_err(|error| caller.problem(error))?;
        let suspended = services.commands.suspend_family(&caller.cause, caller.tenant(), target, asked.reason).await;
        suspended.map_err(|error| caller.problem(error))?;
    }
    carry_out(&services, &caller, &headers, (&id, &client_id), (&command, shown)).await
}

/// What a decision is called in a path.
pub fn command(decision: &str, reason: Option<String>, until: Option<DateTime<Utc>>) -> Option<RegistrationCommand> {
    Some(match decision {
        "approve" => RegistrationCommand::Approve { reason },
        "deny" => RegistrationCommand::Deny { reason, until },
        "suspend" => RegistrationCommand::Suspend { reason },
        "reinstate" => RegistrationCommand::Reinstate { reason },
        "revoke" => RegistrationCommand::Revoke { reason },
        "restore" => RegistrationCommand::Restore { reason },
        _ => return None,
    })
}

/// `DELETE …/clients/{client_id}` revokes; nothing is ever erased.
pub async fn revoke_by_delete(
    State(services): State<Services>,
    caller: Administrator,
    Path((id, client_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let asked = asked(&caller, &headers, body).await?;
    asked.says_only(&["reason", "registration_version"]).map_err(|failure| caller.problem(failure))?;
    let shown = shown(&caller, &asked)?;
    let command = RegistrationCommand::Revoke { reason: asked.reason };
    carry_out(&services, &caller, &headers, (&id, &client_id), (&command, shown)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT …/clients/{client_id}/approve-redirects`
pub async fn approve_redirects(
    State(services): State<Services>,
    caller: Administrator,
    Path((id, client_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Fresh<Json<Value>>, Problem> {
    let asked = asked(&caller, &headers, body).await?;
    asked.says_only(&["change_id"]).map_err(|failure| caller.problem(failure))?;
    let change_id = change_id(&caller, &asked)?;
    carry_out(&services, &caller, &headers, (&id, &client_id), (&RegistrationCommand::ApproveRedirects { change_id }, None)).await
}

/// `PUT …/clients/{client_id}/reject-redirects`
pub async fn reject_redirects(
    State(services): State<Services>,
    caller: Administrator,
    Path((id, client_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Fresh<Json<Value>>, Problem> {
    let asked = asked(&caller, &headers, body).await?;
    asked.says_only(&["change_id", "reason"]).map_err(|failure| caller.problem(failure))?;
    let change_id = change_id(&caller, &asked)?;
    let reject = RegistrationCommand::RejectRedirects { change_id, reason: asked.reason };
    carry_out(&services, &caller, &headers, (&id, &client_id), (&reject, None)).await
}

async fn asked(caller: &Administrator, headers: &HeaderMap, body: Body) -> Result<Members, Problem> {
    caller.must_change()?;
    members(headers, body).await.map_err(|failure| caller.problem(failure))
}

fn change_id(caller: &Administrator, asked: &Members) -> Result<Option<ChangeId>, Problem> {
    let refuse = |_| caller.problem(Failure::request(StatusCode::BAD_REQUEST, "invalid-request", "change_id is not a UUID"));
    asked.change_id.as_deref().map(str::parse).transpose().map_err(refuse)
}

/// Which state of the client the decision is about, if it says so: another one is 409.
fn shown(caller: &Administrator, asked: &Members) -> Result<Option<AnswerVersion>, Problem> {
    let refuse = |problem: InvalidName| caller.problem(Failure::request(StatusCode::BAD_REQUEST, "invalid-request", problem.to_string()));
    asked.registration_version.as_deref().map(str::parse).transpose().map_err(refuse)
}

/// The answer is the client as it is after the decision.
async fn carry_out(
    services: &Services,
    caller: &Administrator,
    headers: &HeaderMap,
    (id, client_id): (&str, &str),
    (command, shown): (&RegistrationCommand, Option<AnswerVersion>),
) -> Result<Fresh<Json<Value>>, Problem> {
    let target = (server_id(caller, id)?, client_key(caller, client_id)?.1);
    let decided = services.commands.decide_registration(&caller.cause, caller.tenant(), target, command, shown).await;
    decided.map_err(|error| caller.problem(error))?;
    Ok(clients::show(services, caller, headers, id, client_id).await?.map(|body| Json(Value::Object(body))))
}
