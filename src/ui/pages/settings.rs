//! `/ui/servers/{id}/settings`: which ways in are open, by what rules, and what becomes of those who are in. What is sent
//! here is sent on to the API as it is.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use gatebook_events::admission::RegistrationType;
use gatebook_events::reason;
use gatebook_events::redirect::WebUri;
use gatebook_events::resource_server::Life;
use gatebook_projections::directory::ResourceServerRow;
use maud::{Markup, html};
use serde_json::{Value, json};

use crate::application::services::Services;
use crate::http::authsec::{rehearse, resource_servers};
use crate::http::caller;
use crate::http::error::Failure;
use crate::ui::parts::error_page::{Sorry, capital};
use crate::ui::parts::format;
use crate::ui::parts::layout::{self, Frame, Place, Tab};
use crate::ui::parts::server;
use crate::ui::parts::session::{Change, Posted, Visitor};

mod rules;

use rules::Draft;

/// `GET /ui/servers/{id}/settings`
pub async fn page(State(services): State<Services>, visitor: Visitor, Path(id): Path<String>) -> Result<Response, Sorry> {
    let frame = Frame::open(&services, &visitor).await?;
    let row = server::named(&visitor, &frame, &id)?;
    let draft = Draft::of(&row.policy);
    Ok(shown(&services, &visitor, &frame, row, (&draft, None)))
}

/// `POST /ui/servers/{id}/settings`: name and identifier.
pub async fn rename(State(services): State<Services>, Path(id): Path<String>, Change(posted): Change) -> Result<Response, Sorry> {
    let Posted { visitor, fields } = posted;
    let members = json!({ "name": fields.text("name").unwrap_or_default(), "resource": fields.text("resource").unwrap_or_default() });
    edit(&services, &visitor, id, members, "The name and the identifier are saved.").await
}

/// `POST /ui/servers/{id}/settings/modes`
pub async fn modes(State(services): State<Services>, Path(id): Path<String>, Change(posted): Change) -> Result<Response, Sorry> {
    let Posted { visitor, fields } = posted;
    let modes: Vec<&str> = fields.all("modes").collect();
    let members = json!({ "registration_modes": modes, "effect_on_existing": fields.text("effect").unwrap_or("keep") });
    let said = if modes.is_empty() { "Nobody new comes in any more.".to_owned() } else { format!("Open now: {}.", modes.join(", ")) };
    edit(&services, &visitor, id, members, &said).await
}

/// `POST /ui/servers/{id}/settings/rules`: saves the rules, or says whom they would turn away.
pub async fn rules(State(services): State<Services>, Path(id): Path<String>, Change(posted): Change) -> Result<Response, Sorry> {
    let Posted { visitor, fields } = posted;
    let frame = Frame::open(&services, &visitor).await?;
    let row = server::named(&visitor, &frame, &id)?;
    let draft = Draft::sent(&fields);
    let patch = match draft.patch() {
        Ok(patch) => patch,
        Err(wrong) => return Ok(shown(&services, &visitor, &frame, row, (&draft, Some(Err(wrong))))),
    };
    let (state, target) = (State(services.clone()), caller::Path(id.clone()));
    let (headers, body) = sent(&json!({ "policy": patch }));
    if fields.text("action") == Some("rehearse") {
        let rehearsed = rehearse::rehearse(state, visitor.caller.clone(), target, headers, body).await;
        let told = rehearsed.map(|fresh| fresh.body.0).map_err(|problem| capital(&problem.0.told().1));
        return Ok(shown(&services, &visitor, &frame, row, (&draft, Some(told))));
    }
    match resource_servers::edit(state, visitor.caller.clone(), target, headers, body).await {
        Ok(_) => Ok(layout::go(
            &services,
            &visitor.links.server(row.id, "settings"),
            true,
            "The rules are saved. They hold for whoever comes from now on.",
        )),
        Err(problem) => Ok(shown(&services, &visitor, &frame, row, (&draft, Some(Err(capital(&problem.0.told().1)))))),
    }
}

/// `POST /ui/servers/{id}/settings/retire`
pub async fn retire(State(services): State<Services>, Path(id): Path<String>, Change(posted): Change) -> Result<Response, Sorry> {
    let Posted { visitor, fields } = posted;
    let frame = Frame::open(&services, &visitor).await?;
    let row = server::named(&visitor, &frame, &id)?;
    let back = visitor.links.server(row.id, "settings");
    if fields.text("name") != Some(row.name.trim()) {
        return Ok(layout::go(&services, &back, false, "Nothing was changed: type the name of the resource server to retire it."));
    }
    let (headers, body) = sent(&json!({ "reason": fields.text("reason").unwrap_or_default() }));
    let done = resource_servers::retire(State(services.clone()), visitor.caller.clone(), caller::Path(id), headers, body).await;
    done.map_err(|problem| visitor.told(problem))?;
    Ok(layout::go(&services, &visitor.links.overview(), true, format!("{} is retired. Its history stays.", format::inert_text(&row.name))))
}

/// `GET /ui/servers/new`
pub async fn new(State(services): State<Services>, visitor: Visitor) -> Result<Response, Sorry> {
    visitor.caller.must_change().map_err(|problem| visitor.told(problem))?;
    let frame = Frame::open(&services, &visitor).await?;
    let content = html! {
        div.head { h1 { "Add a resource server" } }
        p.help { "An MCP server or an API that clients want to call. It starts open to all three ways in; you set the rules on its page." }
        form.fields method="post" action=(visitor.links.to("/servers")) {
            (visitor.guard())
            (names("", ""))
            p.actions { button.primary type="submit" { "Add it" } }
        }
    };
    Ok(frame.page(&services, &visitor, Place::NewServer, "Add a resource server", &content))
}

/// `POST /ui/servers`
pub async fn create(State(services): State<Services>, Change(posted): Change) -> Result<Response, Sorry> {
    let Posted { visitor, fields } = posted;
    let (headers, body) =
        sent(&json!({ "name": fields.text("name").unwrap_or_default(), "resource": fields.text("resource").unwrap_or_default() }));
    match resource_servers::create(State(services.clone()), visitor.caller.clone(), headers, body).await {
        Ok((_, Json(created))) => {
            let id = created.pointer("/id").and_then(Value::as_str).unwrap_or_default();
            Ok(layout::go(&services, &visitor.links.to(&format!("/servers/{id}/clients")), true, "The resource server was added."))
        }
        Err(problem) => Ok(layout::go(&services, &visitor.links.to("/servers/new"), false, capital(&problem.0.told().1))),
    }
}

async fn edit(services: &Services, visitor: &Visitor, id: String, members: Value, said: &str) -> Result<Response, Sorry> {
    let back = visitor.links.to(&format!("/servers/{}/settings", crate::ui::parts::links::encoded(&id)));
    let (headers, body) = sent(&members);
    match resource_servers::edit(State(services.clone()), visitor.caller.clone(), caller::Path(id), headers, body).await {
        Ok(_) => Ok(layout::go(services, &back, true, said)),
        Err(problem) if problem.0.status().is_client_error() && !matches!(&problem.0, Failure::Admin(_)) => {
            Ok(layout::go(services, &back, false, capital(&problem.0.told().1)))
        }
        Err(problem) => Err(visitor.told(problem)),
    }
}

/// What a form says, as the API takes it.
fn sent(members: &Value) -> (HeaderMap, Body) {
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    (headers, Body::from(members.to_string()))
}

fn names(name: &str, resource: &str) -> Markup {
    html! {
        div.pair {
            div.field { label for="name" { "Name" } input #name type="text" name="name" value=(name) required maxlength="256" autocomplete="off"; }
            div.field {
                label for="resource" { "Resource identifier" }
                input #resource .code type="url" name="resource" value=(resource) autocomplete="off" placeholder="https://mcp.example.com/" aria-describedby="resource-help";
                p #resource-help .help { "What clients name as " code { "resource" } " (RFC 8707). May be left out." }
            }
        }
    }
}

/// What became of a draft that was sent: whom it would turn away, or what is wrong with it.
type Told = Result<Value, String>;

fn shown(
    services: &Services,
    visitor: &Visitor,
    frame: &Frame,
    row: &ResourceServerRow,
    (draft, told): (&Draft, Option<Told>),
) -> Response {
    let here = visitor.links.server(row.id, "settings");
    let fixed = !visitor.may_change() || row.life == Life::Retired;
    let content = html! {
        (server::head(visitor, row, Tab::Settings))
        @if fixed { p.note.plain { @if row.life == Life::Retired { "It is retired: nothing changes any more." } @else { "Administrators change what is here." } } }
        section.card aria-labelledby="modes" {
            h2 #modes { "Ways in" }
            form method="post" action={ (here) "/modes" } {
                (visitor.guard())
                fieldset.switches disabled[fixed] {
                    legend.unseen { "Ways in" }
                    @for kind in RegistrationType::ALL { (switch(row, kind)) }
                    fieldset {
                        legend { "Those who came by a way that is off once you save" }
                        label.tick { input type="radio" name="effect" value="keep" checked; span { "stay as they are" span.help { "Nobody new comes that way; who is in stays in, and who is suspended stays suspended." } } }
                        label.tick { input type="radio" name="effect" value="suspend"; span { "are suspended until it is switched on again" span.help { "They may not act from the moment you save." } } }
                    }
                    p.actions { button.primary type="submit" { "Save the ways in" } }
                }
            }
        }
        section.card #rules aria-labelledby="rules-title" {
            h2 #rules-title { "Rules" }
            p.help { "They hold for whoever comes from now on. Rehearse them first: you see whom of those who are in they would turn away." }
            @match &told {
                Some(Err(wrong)) => p.said.bad role="alert" { (wrong) },
                Some(Ok(rehearsed)) => (outcome(visitor, row, rehearsed)),
                None => {},
            }
            form method="post" action={ (here) "/rules" } {
                (visitor.guard())
                fieldset.fields disabled[fixed] {
                    legend.unseen { "Rules" }
                    (draft.fields(&row.policy))
                    p.actions {
                        button type="submit" name="action" value="rehearse" { "Rehearse" }
                        button.primary type="submit" name="action" value="save" { "Save the rules" }
                    }
                }
            }
        }
        section.card aria-labelledby="names" {
            h2 #names { "Name and identifier" }
            form method="post" action=(here) {
                (visitor.guard())
                fieldset.fields disabled[fixed] {
                    legend.unseen { "Name and identifier" }
                    (names(&row.name, row.resource.as_ref().map(WebUri::as_str).unwrap_or_default()))
                    p.actions { button.primary type="submit" { "Save" } }
                }
            }
            dl.facts {
                dt { "Id" } dd { code { (row.id) } }
                dt { "Clients register at" } dd { code { (&services.public_url) "/rs/" (row.id) "/oauth/register" } }
                dt { "Added" } dd { (format::time(row.created_at)) }
            }
        }
        @if !fixed {
            section.card aria-labelledby="end" {
                h2 #end { "Retire" }
                details #retire {
                    summary { "End this resource server" }
                    form.fields method="post" action={ (here) "/retire" } {
                        (visitor.guard())
                        p { "None of its " (format::number(row.counts.total, "client", "clients")) " may act there any more. It cannot be undone; the history stays." }
                        div.field { label for="retire-name" { "Type its name to confirm" } input #retire-name type="text" name="name" autocomplete="off" required; }
                        div.field { label for="retire-reason" { "Reason, for the history" } input #retire-reason type="text" name="reason" maxlength=(reason::MOST) autocomplete="off"; }
                        p.actions { button.danger type="submit" { "Retire it" } }
                    }
                }
            }
        }
    };
    frame.page(services, visitor, Place::Server(row.id, Tab::Settings), &format!("Settings of {}", format::inert_text(&row.name)), &content)
}

/// One way in, what it is, and who came by it.
fn switch(row: &ResourceServerRow, kind: RegistrationType) -> Markup {
    let (name, about) = match kind {
        RegistrationType::Dcr => ("Clients register themselves", "Dynamic client registration (RFC 7591): what most MCP clients do."),
        RegistrationType::Cimd => {
            ("Clients are described by a document", "Their client id is the URL of a document that they host (CIMD).")
        }
        RegistrationType::Prereg => ("Administrators enter clients", "Pre-registration, by these pages or the API."),
    };
    let count = row.counts.by_type.get(&kind).copied().unwrap_or_default();
    let on = row.registration_modes.contains(&kind);
    html! {
        div.switch {
            label.tick { input type="checkbox" name="modes" value=(kind.as_str()) checked[on]; span { (name) " " (format::tag(kind)) } }
            p.effect.help {
                (about) " "
                @if count == 0 { "Nobody has come this way." } @else { (format::number(count, "client", "clients")) " came this way." }
                @if row.suspended_modes.contains(&kind) { b { " They are suspended while it is off, and are back when it is on." } }
                @else if !on && count > 0 { " They go on as they are." }
            }
        }
    }
}

/// What those who come would meet, in a sentence for each way.
fn newcomers(rehearsed: &Value) -> String {
    let ways =
        [("dcr", "clients that register themselves"), ("cimd", "clients with a document"), ("prereg", "clients that administrators enter")];
    let told = ways.map(|(way, who)| {
        let says = |name: &str| rehearsed.pointer(&format!("/newcomers/{way}/{name}"));
        let yes = |name: &str| says(name).and_then(Value::as_bool).unwrap_or_default();
        let waits = says("admission").and_then(Value::as_str) == Some("review");
        match (yes("admitted"), yes("initial_access_token")) {
            (false, _) => format!("{who} are refused"),
            (true, token) => {
                let how = if waits { "wait" } else { "are let in" };
                format!("{who} {how}{}", if token { " if they have an initial access token" } else { "" })
            }
        }
    });
    format!("{}.", told.join("; "))
}

/// Whom a draft would turn away.
fn outcome(visitor: &Visitor, row: &ResourceServerRow, rehearsed: &Value) -> Markup {
    let number = |name: &str| rehearsed.get(name).and_then(Value::as_u64).unwrap_or_default();
    let clients = rehearsed.get("clients").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |client: &Value, name: &str| client.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    html! {
        div.rehearsal role="status" {
            p.note.plain {
                "Of " (format::number(number("judged"), "client", "clients")) " that are in, "
                b { (format::grouped(number("would_be_refused"))) " would be refused" } ", " b { (format::grouped(number("would_wait"))) " would wait" } " and " b { (format::grouped(number("would_be_narrowed"))) " would get less than they ask for" } " if they came today. Nothing is saved yet."
            }
            p.help { "Newcomers: " (newcomers(rehearsed)) }
            @if !clients.is_empty() {
                div.scroll tabindex="0" role="region" aria-label="Clients that the draft would turn away" {
                    table {
                        thead { tr { th scope="col" { "Client" } th scope="col" { "Outcome" } th scope="col" { "Because" } } }
                        tbody { @for client in clients.iter().take(100) {
                            @let client_id = text(client, "client_id");
                            @let name = text(client, "client_name");
                            tr {
                                td { a href=(visitor.links.client(row.id, &client_id, "")) { (format::inert(if name.is_empty() { &client_id } else { &name })) } }
                                td { @match text(client, "outcome").as_str() {
                                    "refuse" => span.badge.denied { "Refused" },
                                    "narrow" => span.badge.pending { "Less" },
                                    _ => span.badge.pending { "Would wait" },
                                } }
                                td { code { (text(client, "rule")) } " " (format::inert(&text(client, "detail"))) }
                            }
                        } }
                    }
                }
            }
        }
    }
}
