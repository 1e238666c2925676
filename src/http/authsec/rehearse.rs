//! `POST /authsec/resource-servers/{id}/policy/rehearse`: whom a draft policy would refuse or send to review, before
//! anything changes. `GET /authsec/presets`: the shipped redirect rules.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use gatebook_events::Rejection;
use gatebook_events::admission::Status;
use gatebook_events::admission::{Admission, Modes, RegistrationType};
use gatebook_events::clamps::Clamps;
use gatebook_events::metadata::ClientMetadata;
use gatebook_events::resource_server::{Coming, Policy, Warrant, presets};
use gatebook_events::scope::Scope;
use gatebook_projections::directory::{ListClients, RegistrationRow};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::resource_servers::{fetched, merged};
use super::server_id;
use crate::application::services::Services;
use crate::http::caller::{Administrator, Path};
use crate::http::consistency::{self, Fresh};
use crate::http::error::{Failure, Problem};
use crate::http::json::members;
use crate::http::response;

/// How many registrations are read at once, and the most that are named in an answer.
const PAGE: usize = 500;

/// A draft, merged into the rules that hold as a change would be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    policy: Map<String, Value>,
}

/// Judges every registration that stands by the draft. Changes nothing.
pub async fn rehearse(
    State(services): State<Services>,
    caller: Administrator,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Fresh<Json<Value>>, Problem> {
    let id = server_id(&caller, &id)?;
    let draft: Draft = members(&headers, body).await.map_err(|failure| caller.problem(failure))?;
    let server = services.commands.resource_server(id).await.map_err(|error| caller.problem(error))?;
    if server.tenant.as_ref() != Some(caller.tenant()) {
        return Err(caller.problem(Failure::not_found("resource server")));
    }
    let policy = merged(&server.policy, Some(draft.policy)).map_err(|failure| caller.problem(failure))?;
    fetched(&services, &server.policy, &policy).map_err(|failure| caller.problem(failure))?;
    let ways = ways(&server.modes, &policy);
    let list = ListClients::all(caller.tenant().clone(), id, PAGE);
    let outcome = consistency::read(&services, &services.directory, &headers, move |directory| {
        let mut outcome = Outcome::default();
        let mut list = list;
        loop {
            let page = directory.clients(&list)?;
            for row in &page.rows {
                outcome.judge(&policy, row);
            }
            match page.next_cursor {
                Some(cursor) => list.cursor = Some(cursor),
                None => return Ok(outcome),
            }
        }
    })
    .await
    .map_err(|failure| caller.problem(failure))?;
    Ok(outcome.map(|outcome| Json(outcome.render(&ways))))
}

/// `GET /authsec/presets`
pub async fn presets_list(_caller: Administrator) -> Json<Value> {
    Json(json!({ "presets": presets() }))
}

#[derive(Default)]
struct Outcome {
    judged: usize,
    refused: usize,
    to_review: usize,
    narrowed: usize,
    named: Vec<Value>,
}

impl Outcome {
    /// What would become of this client if it came today. One that is denied or revoked is out under any policy.
    fn judge(&mut self, policy: &Policy, row: &RegistrationRow) {
        if matches!(row.registration_status, Status::Denied | Status::Revoked) {
            return;
        }
        self.judged += 1;
        let metadata = ClientMetadata { redirect_uris: row.redirect_uris.clone(), ..row.metadata.clone() };
        let beyond = row.metadata.scope.as_ref().and_then(|scope| policy.beyond_ceiling(scope));
        // By which token it came it would come again. Who answered for a document's client is not known, so it comes alone.
        let unclamped = Clamps::default();
        let coming = match (row.registration_type, row.initial_access_token) {
            (RegistrationType::Prereg, _) => Coming::entered(RegistrationType::Prereg),
            (by, Some(_)) => Coming { by, warrant: Warrant::Token(&unclamped) },
            (by, None) => Coming::alone(by),
        };
        let admitted = policy.warranted(coming).and_then(|()| policy.judge_terms(coming, metadata));
        let unwelcome = admitted.as_ref().map_or(0, |admitted| row.redirect_uris.len() - admitted.metadata.redirect_uris.len());
        self.narrowed += usize::from(beyond.is_some() || unwelcome > 0);
        let (outcome, rule) = match (admitted.map(|admitted| admitted.admission), beyond) {
            (Ok(Admission::Auto), None) if unwelcome == 0 => return,
            (Ok(Admission::Auto), None) => ("narrow", ("redirect_rules", format!("{unwelcome} of its redirect URIs would not serve"))),
            (Ok(Admission::Auto), Some(beyond)) => ("narrow", narrowing(&beyond)),
            (Ok(Admission::Review), _) => ("review", review_rule(policy, row)),
            (Err(rejection), _) => ("refuse", rule_of(&rejection)),
        };
        match outcome {
            "refuse" => self.refused += 1,
            "review" => self.to_review += 1,
            _ => {}
        }
        if self.named.len() < PAGE {
            let mut named = Map::new();
            named.insert("client_id".to_owned(), row.client_id.as_str().into());
            response::put(&mut named, "client_name", row.metadata.client_name.as_deref());
            named.insert("registration_type".to_owned(), row.registration_type.as_str().into());
            named.insert("status".to_owned(), row.reason.status().into());
            named.insert("outcome".to_owned(), outcome.into());
            named.insert("rule".to_owned(), rule.0.into());
            named.insert("detail".to_owned(), rule.1.into());
            self.named.push(named.into());
        }
    }

    fn render(self, ways: &Map<String, Value>) -> Value {
        json!({
            "judged": self.judged,
            "would_be_refused": self.refused,
            "would_wait": self.to_review,
            "would_be_narrowed": self.narrowed,
            "clients": self.named,
            "newcomers": ways,
        })
    }
}

/// What a client that comes would meet, by the way in which it comes.
fn ways(modes: &Modes, policy: &Policy) -> Map<String, Value> {
    let way = |by: &RegistrationType| {
        let way = json!({
            "admitted": modes.contains(by),
            "admission": policy.admission.of(*by),
            "initial_access_token": policy.wants_token(*by),
        });
        (by.as_str().to_owned(), way)
    };
    RegistrationType::ALL.iter().map(way).collect()
}

/// The policy's member that says so, and a sentence.
fn rule_of(rejection: &Rejection) -> (&'static str, String) {
    let member = match rejection {
        Rejection::RedirectOutsideRules(_) => "redirect_rules",
        Rejection::SchemeNotListed(_) => "private_use_schemes",
        Rejection::GrantsNotAdmitted => "self_registered_grants",
        Rejection::InitialAccessTokenRequired => "require_initial_access_token",
        Rejection::SoftwareStatementRequired => "require_software_statement",
        _ => "policy",
    };
    (member, rejection.to_string())
}

/// Such a client is let in, and perhaps turned away by the authorization server: many ask it for what they wanted, not for what they
/// were registered with.
fn narrowing(beyond: &Scope) -> (&'static str, String) {
    (
        "scope_ceiling",
        format!(
            "it asks for {}, and a client that asks the authorization server for more than it is registered with is turned away there",
            beyond.as_str()
        ),
    )
}

fn review_rule(policy: &Policy, row: &RegistrationRow) -> (&'static str, String) {
    let by_redirects = policy.judge(&row.redirect_uris) == Ok(Admission::Review);
    if by_redirects {
        ("outside_rules", "a redirect URI is outside the rules, and what is outside waits".to_owned())
    } else {
        let each = match (row.registration_type, policy.are_shared(&row.redirect_uris)) {
            (RegistrationType::Dcr, false) if !row.metadata.is_confidential() => {
                ", and each registration of the same program is a client of its own: instances_under_review lets them be one"
            }
            (RegistrationType::Dcr, true) if !row.metadata.is_confidential() => ", and identical ones are one client",
            _ => "",
        };
        ("admission", format!("clients that come by {} wait{each}", row.registration_type.as_str()))
    }
}
