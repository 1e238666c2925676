//! One decision about many clients: first what is about to happen to each, then the same and nothing else.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::StreamExt;
use gatebook_events::admission::Status;
use gatebook_events::answer_version::AnswerVersion;
use gatebook_events::identity::{ClientId, ResourceServerId};
use gatebook_events::reason;
use gatebook_events::registration::RegistrationCommand;
use gatebook_projections::directory::{ListClients, RegistrationRow, ResourceServerRow};
use maud::{Markup, html};

use super::clients::{ACTIONS, Asked};
use crate::application::services::Services;
use crate::http::authsec::decisions::command;
use crate::http::error::Failure;
use crate::ui::parts::error_page::{Sorry, capital};
use crate::ui::parts::format;
use crate::ui::parts::forms::Fields;
use crate::ui::parts::layout::{self, Frame, Place, Tab};
use crate::ui::parts::server;
use crate::ui::parts::session::{Change, Posted, Visitor};

/// The most clients that one decision is about.
const MOST: usize = 1000;
/// How many of them are decided about at a time; the log takes those together.
const AT_ONCE: usize = 32;
/// How many are named on the page of a preview, of each kind.
const NAMED: usize = 200;

/// What would become of a client.
struct Outcome {
    row: RegistrationRow,
    /// How the registration stands, and how it would stand; or why not.
    stands: Result<(Status, Status), String>,
}

/// `POST /ui/servers/{id}/clients/preview`: changes nothing.
pub async fn preview(State(services): State<Services>, Path(id): Path<String>, Change(posted): Change) -> Result<Response, Sorry> {
    let Posted { visitor, fields } = posted;
    let frame = Frame::open(&services, &visitor).await?;
    let row = server::named(&visitor, &frame, &id)?;
    let here = visitor.links.server(row.id, "clients");
    let Some((action, text)) = action(&fields) else { return Err(visitor.sorry(Failure::not_found("action"))) };
    let (rows, more) = selected(&services, &visitor, row.id, &fields).await?;
    if rows.is_empty() {
        return Ok(layout::go(&services, &here, false, "No client was selected."));
    }
    let many = more.then_some(rows.len());
    let would = command(action, None, None).ok_or_else(|| visitor.sorry(Failure::not_found("action")))?;
    let outcomes: Vec<Outcome> = futures_util::stream::iter(rows)
        .map(|row| async {
            let target = (row.resource_server, row.client_key);
            let stands = services.commands.outlook(visitor.tenant(), target, &would).await.map_err(|error| capital(&error.to_string()));
            Outcome { row, stands }
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let content = html! {
        (server::head(&visitor, row, Tab::Clients))
        (shown(&visitor, row, (action, text), &outcomes, (many, &fields)))
    };
    Ok(frame.page(&services, &visitor, Place::Server(row.id, Tab::Clients), &format!("{text} clients"), &content))
}

/// `POST /ui/servers/{id}/clients/decide`: about those that the preview named.
pub async fn decide(State(services): State<Services>, Path(id): Path<String>, Change(posted): Change) -> Result<Response, Sorry> {
    let Posted { visitor, fields } = posted;
    let server: ResourceServerId = id.parse().map_err(|_| visitor.sorry(Failure::not_found("resource server")))?;
    let Some((action, _)) = action(&fields) else { return Err(visitor.sorry(Failure::not_found("action"))) };
    let reason = fields.reason().map_err(|failure| visitor.sorry(failure))?;
    let would = command(action, reason, None).ok_or_else(|| visitor.sorry(Failure::not_found("action")))?;
    let Some(named) = shown_ones(&fields) else {
        let detail = "the form does not say which state of each client it is about; begin again from the list";
        return Err(visitor.sorry(Failure::request(StatusCode::BAD_REQUEST, "invalid-request", detail)));
    };
    let whole = action == "suspend" && fields.has("family", "1");
    let (commands, cause, tenant) = (&services.commands, &visitor.caller.cause, visitor.tenant());
    let done: Vec<Result<bool, String>> = futures_util::stream::iter(named)
        .map(|(client_id, shown)| {
            let would = &would;
            async move {
                let done = commands.decide_registration(cause, tenant, (server, client_id.key()), would, Some(shown)).await;
                if let (true, true, RegistrationCommand::Suspend { reason }) = (whole, done.is_ok(), would) {
                    let suspended = commands.suspend_family(cause, tenant, (server, client_id.key()), reason.clone()).await;
                    suspended.map_err(|error| error.to_string())?;
                }
                done.map(|done| done.position.is_some()).map_err(|error| error.to_string())
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let changed = done.iter().filter(|done| **done == Ok(true)).count() as u64;
    let refused = done.iter().filter(|done| done.is_err()).count() as u64;
    let mut said = format!("{} {}.", format::number(changed, "client was", "clients were"), past(action));
    if refused > 0 {
        said.push(' ');
        said.push_str(&format::number(refused, "was", "were"));
        said.push_str(" not, because of a change since the preview.");
    }
    Ok(layout::go(&services, &visitor.links.server(server, "clients"), refused == 0, said))
}

/// The clients that a preview named, each with the state in which it was shown; none unless each has one.
fn shown_ones(fields: &Fields) -> Option<Vec<(ClientId, AnswerVersion)>> {
    let (clients, versions) = (fields.all("client"), fields.all("version"));
    if clients.count() != versions.count() {
        return None;
    }
    let pairs = fields.all("client").zip(fields.all("version")).take(MOST);
    pairs.map(|(client, version)| Some((ClientId::parse(client).ok()?, version.parse().ok()?))).collect()
}

fn action(fields: &Fields) -> Option<(&'static str, &'static str)> {
    let asked = fields.text("action")?;
    ACTIONS.into_iter().find(|(name, _)| *name == asked)
}

/// What was decided, after "were".
pub fn past(action: &str) -> &'static str {
    match action {
        "approve" => "approved",
        "deny" => "denied",
        "suspend" => "suspended",
        "reinstate" => "reinstated",
        "revoke" => "revoked",
        "restore" => "restored",
        _ => "changed",
    }
}

/// The clients that were ticked, and those of the families that were, as far as the filter shows them; and whether there are more.
async fn selected(
    services: &Services,
    visitor: &Visitor,
    id: ResourceServerId,
    fields: &Fields,
) -> Result<(Vec<RegistrationRow>, bool), Sorry> {
    let named: Vec<ClientId> = fields.all("client").take(MOST).filter_map(|text| ClientId::parse(text).ok()).collect();
    let families: Vec<String> = fields.all("family").map(str::to_owned).collect();
    let filter = Asked::of(visitor, id, fields.clone(), MOST)?.list;
    let tenant = visitor.tenant().clone();
    let found = visitor.read(services, &services.directory, move |directory| {
        let (mut rows, mut more): (Vec<RegistrationRow>, bool) = (Vec::new(), false);
        for client_id in &named {
            rows.extend(directory.client(&tenant, id, client_id)?);
        }
        for family in families {
            let limit = MOST.saturating_sub(rows.len());
            let page = directory.clients(&ListClients { family: Some(family), cursor: None, limit, ..filter.clone() })?;
            // A page may end before its limit, where clients say much about themselves.
            more |= page.next_cursor.is_some() || limit == 0;
            rows.extend(page.rows);
        }
        more |= rows.len() >= MOST;
        Ok((rows, more))
    });
    Ok(found.await?.body)
}

fn shown(
    visitor: &Visitor,
    server: &ResourceServerRow,
    (action, text): (&str, &str),
    outcomes: &[Outcome],
    (many, fields): (Option<usize>, &Fields),
) -> Markup {
    // Of one client the version that its own page or card showed goes on: what it has become since was not looked at.
    let shown = fields.text("version").filter(|_| outcomes.len() == 1).map(str::to_owned);
    let changing: Vec<&Outcome> = outcomes.iter().filter(|of| of.stands.as_ref().is_ok_and(|(now, then)| now != then)).collect();
    let same: Vec<&Outcome> = outcomes.iter().filter(|of| of.stands.as_ref().is_ok_and(|(now, then)| now == then)).collect();
    let refused: Vec<&Outcome> = outcomes.iter().filter(|of| of.stands.is_err()).collect();
    let here = visitor.links.server(server.id, "clients");
    html! {
        section.preview aria-labelledby="about" {
            h2 #about { (text) " " (format::number(changing.len() as u64, "client", "clients")) "?" }
            @if let Some(first) = many { p.note { "Only the first " (format::grouped(first as u64)) " of those selected. Do the rest afterwards." } }
            p { (consequence(action)) }
            @if changing.is_empty() {
                p.note { "Nothing would change." }
                p.actions { a.button href=(here) { "Back to the list" } }
            } @else {
                form method="post" action={ (here) "/decide" } {
                    (visitor.guard())
                    input type="hidden" name="action" value=(action);
                    @for of in &changing {
                        input type="hidden" name="client" value=(of.row.client_id.as_str());
                        input type="hidden" name="version" value=(shown.clone().unwrap_or_else(|| of.row.version.to_string()));
                    }
                    label for="reason" { "Reason, for the history" }
                    input #reason type="text" name="reason" maxlength=(reason::MOST) autocomplete="off" value=[fields.text("reason")] autofocus;
                    @if action == "suspend" {
                        label.tick { input type="checkbox" name="family" value="1" checked[fields.text("family") == Some("1")]; span { "The whole program of each" span.help { "Whoever registers as the same program from now on stands suspended too, until a client of it is reinstated." } } }
                    }
                    p.actions {
                        button.primary.danger[matches!(action, "revoke" | "suspend")] type="submit" { (text) " " (format::number(changing.len() as u64, "client", "clients")) }
                        a.button href=(here) { "Cancel" }
                    }
                }
            }
            (outcomes_table("What will happen", visitor, &changing))
            (outcomes_table("Stays as it is", visitor, &same))
            (outcomes_table("Cannot be done", visitor, &refused))
        }
    }
}

fn consequence(action: &str) -> &'static str {
    match action {
        "approve" => "They may act from the moment you confirm.",
        "suspend" => {
            "They may not act from the moment you confirm, until somebody reinstates them. Tokens that they hold live until they expire."
        }
        "reinstate" => "They may act again from the moment you confirm.",
        "revoke" => "They may not act any more, and do not come in by registering again. It can be undone by restoring them.",
        "restore" => "Each returns to where it stood before it was revoked.",
        _ => "",
    }
}

fn outcomes_table(heading: &str, visitor: &Visitor, outcomes: &[&Outcome]) -> Markup {
    html! {
        @if !outcomes.is_empty() {
            h3 { (heading) " " span.count { (format::grouped(outcomes.len() as u64)) } }
            div.scroll tabindex="0" role="region" aria-label=(heading) {
                table.clients {
                    thead { tr { th scope="col" { "Client" } th scope="col" { "Type" } th scope="col" { "Status" } } }
                    tbody {
                        @for Outcome { row, stands } in outcomes.iter().take(NAMED) {
                            tr {
                                td.who { div { a.open href=(visitor.links.client(row.resource_server, row.client_id.as_str(), "")) {
                                    (format::client(row.registration_type, &row.client_id, row.metadata.client_name.as_deref(), &row.redirect_uris))
                                } } }
                                td { (format::tag(row.registration_type)) }
                                td.stands {
                                    (format::badge(row.reason))
                                    @match stands {
                                        Ok((now, then)) if now != then => { span.arrow { " → " } span.badge.(then.as_str()) { (format::status_word(then.as_str())) } },
                                        Ok(_) => {},
                                        Err(why) => { " " span.muted { (why) } },
                                    }
                                }
                            }
                        }
                    }
                }
            }
            @if outcomes.len() > NAMED { p.muted { "And " (format::grouped((outcomes.len() - NAMED) as u64)) " more." } }
        }
    }
}
