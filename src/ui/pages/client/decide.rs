//! `POST …/clients/{client_id}/decide` and `…/redirects`: what an administrator decides about one client.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use gatebook_events::Rejection;
use gatebook_events::answer_version::AnswerVersion;
use gatebook_events::identity::{ChangeId, ClientId, ResourceServerId};
use gatebook_events::registration::RegistrationCommand;

use crate::aggregates::CommandError;
use crate::application::services::Services;
use crate::http::authsec::decisions::command;
use crate::http::error::Failure;
use crate::ui::pages::bulk::past;
use crate::ui::parts::error_page::{Sorry, capital};
use crate::ui::parts::format;
use crate::ui::parts::forms::Fields;
use crate::ui::parts::layout;
use crate::ui::parts::session::{Change, Posted, Visitor};

/// Its standing.
pub async fn decide(
    State(services): State<Services>,
    Path(target): Path<(String, String)>,
    Change(posted): Change,
) -> Result<Response, Sorry> {
    let Posted { visitor, fields } = posted;
    let action = fields.text("action").unwrap_or_default();
    let reason = fields.reason().map_err(|failure| visitor.sorry(failure))?;
    let would = command(action, reason, None).ok_or_else(|| visitor.sorry(Failure::not_found("decision")))?;
    // A page decides about what it showed.
    let Some(shown) = fields.text("version").and_then(|text| text.parse::<AnswerVersion>().ok()) else {
        let detail = "the form does not say which state of the client it is about; open the page again";
        return Err(visitor.sorry(Failure::request(StatusCode::BAD_REQUEST, "invalid-request", detail)));
    };
    if let (RegistrationCommand::Suspend { reason }, true) = (&would, fields.has("family", "1")) {
        let missing = || visitor.sorry(Failure::not_found("client"));
        let server: ResourceServerId = target.0.parse().map_err(|_| missing())?;
        let key = ClientId::parse(&target.1).map_err(|_| missing())?.key();
        let as_shown = services.commands.must_be_as_shown(visitor.tenant(), (server, key), Some(shown)).await;
        as_shown.map_err(|error| visitor.sorry(error))?;
        let suspended = services.commands.suspend_family(&visitor.caller.cause, visitor.tenant(), (server, key), reason.clone()).await;
        suspended.map_err(|error| visitor.sorry(error))?;
    }
    carry_out(&services, &visitor, &target, &fields, (&would, Some(shown), past(action))).await
}

/// A change of its redirect URIs or other metadata.
pub async fn redirects(
    State(services): State<Services>,
    Path(target): Path<(String, String)>,
    Change(posted): Change,
) -> Result<Response, Sorry> {
    let Posted { visitor, fields } = posted;
    let change_id: Option<ChangeId> = fields.text("change").and_then(|text| text.parse().ok());
    if change_id.is_none() {
        return Err(visitor.sorry(Failure::not_found("change")));
    }
    let (would, done) = match fields.text("action") {
        Some("approve") => (RegistrationCommand::ApproveRedirects { change_id }, "given what it asked for"),
        Some("reject") => {
            let reason = fields.reason().map_err(|failure| visitor.sorry(failure))?;
            (RegistrationCommand::RejectRedirects { change_id, reason }, "refused what it asked for")
        }
        _ => return Err(visitor.sorry(Failure::not_found("decision"))),
    };
    carry_out(&services, &visitor, &target, &fields, (&would, None, done)).await
}

async fn carry_out(
    services: &Services,
    visitor: &Visitor,
    (id, client_id): &(String, String),
    fields: &Fields,
    (would, shown, done): (&RegistrationCommand, Option<AnswerVersion>, &str),
) -> Result<Response, Sorry> {
    let missing = || visitor.sorry(Failure::not_found("client"));
    let server: ResourceServerId = id.parse().map_err(|_| missing())?;
    let client_id = ClientId::parse(client_id).map_err(|_| missing())?;
    let address = match fields.text("back") {
        Some("queue") => visitor.links.to("/approvals"),
        _ => visitor.links.client(server, client_id.as_str(), ""),
    };
    let target = (server, client_id.key());
    let carried = services.commands.decide_registration(&visitor.caller.cause, visitor.tenant(), target, would, shown).await;
    match carried {
        Ok(outcome) => {
            let tenant = visitor.tenant().clone();
            let wanted = client_id.clone();
            let row = visitor.read(services, &services.directory, move |directory| directory.client(&tenant, server, &wanted)).await?.body;
            let name = row.and_then(|row| row.metadata.client_name.map(String::from)).unwrap_or_else(|| client_id.to_string());
            let was = if outcome.position.is_some() { "was" } else { "was already" };
            Ok(layout::go(services, &address, true, format!("{} {was} {done}.", format::inert_text(&name))))
        }
        Err(CommandError::Rejected(Rejection::Moved(_))) => {
            let text = "Nothing was changed: the client has changed since the page was shown. This is how it stands now.";
            Ok(layout::go(services, &address, false, text))
        }
        // What a person decided about is shown to them again as it stands now.
        Err(CommandError::Rejected(rejection)) if !matches!(rejection, Rejection::NoSuchRegistration | Rejection::NoSuchResourceServer) => {
            Ok(layout::go(services, &address, false, format!("Nothing was changed: {}", capital(&rejection.to_string()))))
        }
        Err(error) => Err(visitor.sorry(error)),
    }
}
