//! `/ui/servers/{id}/clients/{client_id}`: one client, what it may do, what waits, and all that happened to it.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use gatebook_events::admission::RegistrationType;
use gatebook_events::admission::Status;
use gatebook_events::client::Profile;
use gatebook_events::identity::{ClientId, ResourceServerId};
use gatebook_events::reason;
use gatebook_events::registration::AdmittedMetadata;
use gatebook_events::standing::Reason;
use gatebook_projections::directory::{RegistrationRow, ResourceServerRow};
use gatebook_projections::history::{HistoryQuery, HistoryRow};
use maud::{Markup, html};

use super::clients::ACTIONS;
use crate::application::look_alikes::{Doubts, Shown};
use crate::application::services::Services;
use crate::http::authsec::decisions::command;
use crate::http::error::Failure;
use crate::http::response;
use crate::ui::parts::error_page::Sorry;
use crate::ui::parts::event_text;
use crate::ui::parts::format;
use crate::ui::parts::forms::Fields;
use crate::ui::parts::layout::{Frame, Place, Tab};
use crate::ui::parts::server;
use crate::ui::parts::session::Visitor;
use crate::ui::parts::warnings;

pub(crate) mod decisions;

mod credentials;
mod decide;
mod document;
mod staged;

pub use credentials::{once, revoke_old, rotate};
pub use decide::{decide, redirects};
pub use document::{refresh, roll_back};
pub use staged::{Decision, difference, forms, metadata_difference, plain};

/// The most events that are shown of a client.
const MOST_EVENTS: usize = 500;

/// A client that a page is about.
pub struct Subject {
    /// Its registration, as lists have it.
    pub row: RegistrationRow,
    /// What to know before deciding.
    pub doubts: Doubts,
    /// Who it is, as its events have it now.
    pub profile: Profile,
}

impl Subject {
    /// The client that a path names, at a resource server of the visitor's tenant.
    pub async fn find(services: &Services, visitor: &Visitor, id: ResourceServerId, client_id: &str) -> Result<Self, Sorry> {
        let missing = || visitor.sorry(Failure::not_found("client"));
        let client_id = ClientId::parse(client_id).map_err(|_| missing())?;
        let tenant = visitor.tenant().clone();
        let wanted = client_id.clone();
        let found = visitor.read(services, &services.directory, move |directory| {
            let row = directory.client(&tenant, id, &wanted)?;
            row.map(|row| Ok((Shown::of(&row).doubts(directory, &tenant)?, row))).transpose()
        });
        let (doubts, row) = found.await?.body.ok_or_else(missing)?;
        let client = services.commands.client_of(visitor.tenant(), row.client_key).await.map_err(|error| visitor.sorry(error))?;
        let profile = client.profile.ok_or_else(missing)?;
        Ok(Self { row, doubts, profile: *profile })
    }

    /// What it is called in a title.
    pub fn name(&self) -> String {
        format::inert_text(self.row.metadata.client_name.as_deref().unwrap_or(self.row.client_id.as_str()))
    }
}

/// `GET /ui/servers/{id}/clients/{client_id}`
pub async fn page(
    State(services): State<Services>,
    visitor: Visitor,
    Path((id, client_id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Sorry> {
    let frame = Frame::open(&services, &visitor).await?;
    let server = server::named(&visitor, &frame, &id)?;
    let subject = Subject::find(&services, &visitor, server.id, &client_id).await?;
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let offered = offered(&services, &visitor, &subject.row).await;
    let asked = crate::ui::pages::client::decisions::asked(&services, &visitor, &subject.row, &fields).await?;
    let versions = document::versions(&services, &visitor, &subject.row).await?;
    let events = history(&services, &visitor, &subject.row).await?;
    let content = html! {
        p.crumbs { a href=(visitor.links.server(server.id, "clients")) { (format::inert(&server.name)) } " / Clients" }
        (head(&subject))
        div #standing data-live { (waits(&visitor, &subject)) (warnings::list(subject.row.metadata.client_name.as_deref(), &subject.doubts.0, subject.doubts.1.as_ref())) }
        div.columns {
            div {
                div #redirects .card data-live { (serving(&subject)) }
                (said(&subject))
                @if versions.is_empty() { (story(&visitor, &frame.servers, events.as_deref())) }
            }
            div {
                div #decisions .card data-live { (standing(&visitor, server, &subject, &offered)) }
                (credentials::card(&visitor, &subject, &services.instance_key, services.commands.clock().now()))
                (crate::ui::pages::client::decisions::card(&visitor, &subject, &fields, asked.as_ref()))
            }
        }
        @if !versions.is_empty() {
            (document::card(&visitor, &subject, &versions, &fields))
            (story(&visitor, &frame.servers, events.as_deref()))
        }
    };
    Ok(frame.page(&services, &visitor, Place::Server(server.id, Tab::Clients), &subject.name(), &content))
}

/// All that happened to it; nothing for whoever may not read it.
fn story(visitor: &Visitor, servers: &[ResourceServerRow], events: Option<&[HistoryRow]>) -> Markup {
    html! {
        @if let Some(events) = events {
            section.card aria-labelledby="history" {
                h2 #history { "History" }
                div #events data-live { (event_text::of_client(&visitor.links, servers, events)) }
            }
        }
    }
}

fn head(subject: &Subject) -> Markup {
    let row = &subject.row;
    html! {
        div.head {
            h1 {
                (format::host(row.registration_type, &row.client_id, &row.redirect_uris)) " "
                @match row.metadata.client_name.as_deref() { Some(name) => span.named { (format::inert(name)) } None => span.named.muted { "a client without a name" } }
            }
            p.actions.facts-line {
                (format::tag(row.registration_type)) span #badge data-live { (format::badge(row.reason)) }
                code.id { (format::inert(row.client_id.as_str())) } (format::copied(row.client_id.as_str(), "the client id"))
            }
        }
    }
}

/// What waits for a decision comes before everything else.
fn waits(visitor: &Visitor, subject: &Subject) -> Markup {
    let row = &subject.row;
    let decision = if row.registration_status == Status::Pending {
        Some((Decision::Registration(row.version), "It asks to be let in", row.requested_at))
    } else {
        row.staged.as_ref().map(|change| {
            let asks = if change.metadata.is_some() { "It asks for a change" } else { "It asks for other redirect URIs" };
            (Decision::Redirects(change.change_id), asks, row.staged_at.unwrap_or(row.updated_at))
        })
    };
    let Some((decision, heading, since)) = decision else { return html! {} };
    html! {
        section.card aria-labelledby="waits" {
            h2 #waits { (heading) }
            p.muted { "Waits since " (format::time(since)) "." @if let Some(change) = &row.staged { " " (staged::origin(&change.origin, change.manifest.as_ref())) } }
            @if let Some(at) = row.staged.as_ref().and_then(|change| change.serves_at) { p.note { "Serves " (format::time(at)) " unless somebody objects." } }
            @match &row.staged {
                Some(change) => {
                    @if let Some(then) = &change.metadata { (metadata_difference(&AdmittedMetadata::of(&row.metadata), then)) }
                    (difference(&row.redirect_uris, &change.added, &change.removed))
                },
                None => (difference(&gatebook_events::redirect::RedirectUris::default(), &row.redirect_uris, &gatebook_events::redirect::RedirectUris::default())),
            }
            (forms(visitor, (row.resource_server, &row.client_id), &decision, ("client", subject.doubts.1.is_some())))
        }
    }
}

fn serving(subject: &Subject) -> Markup {
    let row = &subject.row;
    let claimed = row.claimed.redirect_uris.without(&row.redirect_uris);
    html! {
        h2 { @if row.reason == Reason::Approved { "Redirect URIs that serve" } @else { "Redirect URIs that would serve" } }
        @if row.redirect_uris.is_empty() { p.muted { "None: nobody is sent back to this client." } }
        @else { ul.difference { @for uri in &row.redirect_uris { li { (format::redirect_uri(uri)) } } } }
        @if !claimed.is_empty() {
            details #claimed {
                summary { (format::number(claimed.len() as u64, "more is claimed", "more are claimed")) " and does not serve" }
                ul.difference { @for uri in &claimed { li { (format::redirect_uri(uri)) } } }
            }
        }
    }
}

/// What the client says about itself: text, and never a picture or a link that is followed by itself.
fn said(subject: &Subject) -> Markup {
    let row = &subject.row;
    let said = &row.metadata;
    let uris = [
        ("Home page", &said.client_uri),
        ("Logo", &said.logo_uri),
        ("Terms", &said.tos_uri),
        ("Privacy", &said.policy_uri),
        ("Keys at", &said.jwks_uri),
    ];
    html! {
        section.card aria-labelledby="says" {
            h2 #says { "What it says about itself" }
            @if let Some(other) = response::differing(&row.metadata, &row.claimed) {
                details #says-otherwise {
                    summary { "It says otherwise by now; this is what was admitted" }
                    dl.facts { @for (member, value) in &other { dt { code { (format::inert(member)) } } dd { (format::inert(&plain(value))) } } }
                }
            }
            dl.facts {
                @if let Some(name) = &said.client_name { dt { "Name" } dd { (format::inert(name)) } }
                @for (name, text) in &said.localized { dt { code { (format::inert(name)) } } dd { (format::inert(text)) } }
                dt { "Kind" } dd { (said.application_type.as_str()) ", " @if said.is_confidential() { "confidential" } @else { "public" } }
                dt { "Grants" } dd { (said.grant_types.iter().map(|grant| grant.as_str()).collect::<Vec<_>>().join(", ")) }
                dt { "Proves itself by" } dd { (said.token_endpoint_auth_method.as_str()) }
                dt { "Scope" } dd { @match &said.scope { Some(scope) => { (format::inert(scope.as_str())) } None => span.muted { "not bounded" } } }
                @for (name, uri) in uris { @if let Some(uri) = uri { dt { (name) } dd { code.uri { (format::inert(uri.as_str())) } } } }
                @if let Some(id) = &said.software_id { dt { "Software" } dd { (format::inert(id)) @if let Some(version) = &said.software_version { " " (format::inert(version)) } } }
                @if !said.contacts.is_empty() { dt { "Contacts" } dd { @for contact in &said.contacts { (format::inert(contact)) " " } } }
                @if let Some(statement) = &said.software_statement { dt { "Vouched for by" } dd { (format::inert(&statement.issuer)) } }
                @if let Some(home) = &row.home { dt { "At home in" } dd { "tenant " (home) } }
                dt { "Registered" } dd { (format::time(row.issued_at)) }
                @if let Some(token) = row.initial_access_token { dt { "Came by token" } dd { code { (token) } } }
            }
        }
    }
}

fn standing(visitor: &Visitor, server: &ResourceServerRow, subject: &Subject, offered: &[(&'static str, &'static str)]) -> Markup {
    let row = &subject.row;
    let preview = format!("{}/preview", visitor.links.server(row.resource_server, "clients"));
    html! {
        h2 { "Standing at " (format::inert(&server.name)) }
        dl.facts {
            dt { "Status" } dd { (format::badge(row.reason)) }
            dt { "Asked" } dd { (format::time(row.requested_at)) }
            @if let Some(at) = row.decided_at { dt { "Decided" } dd { (format::time(at)) } }
            @if let Some(note) = &row.note { dt { "Because" } dd { (format::inert(note)) } }
            @if let Some(until) = row.denied_until { dt { "Denied until" } dd { (format::time(until)) } }
        }
        @if !offered.is_empty() && row.registration_status != Status::Pending {
            form.fields method="post" action=(visitor.links.client(row.resource_server, row.client_id.as_str(), "decide")) {
                (visitor.guard())
                input type="hidden" name="version" value=(row.version);
                div.field { label for="decide-reason" { "Reason, for the history" } input #decide-reason type="text" name="reason" maxlength=(reason::MOST) autocomplete="off"; }
                input type="hidden" name="client" value=(row.client_id.as_str());
                @if offered.iter().any(|(action, _)| *action == "suspend") && row.registration_type != RegistrationType::Prereg {
                    label.tick { input type="checkbox" name="family" value="1"; span { "With “Suspend”: the whole program" span.help { "Whoever registers as the same program from now on stands suspended too, until a client of it is reinstated." } } }
                }
                p.actions { @for (action, text) in offered {
                    @if matches!(*action, "revoke" | "suspend") {
                        // What takes a client's access away is asked about first, as for many clients at once.
                        button type="submit" name="action" value=(action) formaction=(preview) .danger[*action == "revoke"] { (text) "…" }
                    } @else {
                        button type="submit" name="action" value=(action) { (text) }
                    }
                } }
            }
        }
    }
}

/// The decisions that would change something now.
async fn offered(services: &Services, visitor: &Visitor, row: &RegistrationRow) -> Vec<(&'static str, &'static str)> {
    let mut offered = Vec::new();
    if visitor.may_change() {
        for (action, text) in ACTIONS {
            let Some(would) = command(action, None, None) else { continue };
            let outlook = services.commands.outlook(visitor.tenant(), (row.resource_server, row.client_key), &would).await;
            if outlook.is_ok_and(|(now, then)| now != then) {
                offered.push((action, text));
            }
        }
    }
    offered
}

/// Its events, the oldest first; none for whoever may not read them.
async fn history(services: &Services, visitor: &Visitor, row: &RegistrationRow) -> Result<Option<Vec<HistoryRow>>, Sorry> {
    if !visitor.may_audit() {
        return Ok(None);
    }
    let query = HistoryQuery { client_id: Some(row.client_id.clone()), ..HistoryQuery::all(visitor.tenant().clone(), MOST_EVENTS) };
    let mut rows = visitor.read(services, &services.history, move |history| history.events(&query)).await?.body.rows;
    rows.reverse();
    Ok(Some(rows))
}
