//! `/ui/servers/{id}/clients`: who is in at a resource server, by family or one by one, now or at a moment. What is shown is in
//! the URL.

use std::collections::HashMap;

use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use gatebook_events::admission::RegistrationType;
use gatebook_events::identity::{ClientKey, ResourceServerId};
use gatebook_projections::directory::{ClientPage, Counts, FamilyPage, FamilyRow, ListClients, RegistrationRow, ResourceServerRow, Sort};
use maud::{Markup, html};

use crate::application::services::Services;
use crate::application::usage::Uses;
use crate::http::authsec::as_of::{self, Then};
use crate::http::error::Failure;
use crate::http::parameters;
use crate::ui::parts::error_page::Sorry;
use crate::ui::parts::format;
use crate::ui::parts::forms::Fields;
use crate::ui::parts::layout::{Frame, Place, Tab};
use crate::ui::parts::server;
use crate::ui::parts::session::Visitor;

pub(crate) mod as_of_field;

/// Rows on a page.
const LIMIT: usize = 50;
/// What can be done with several clients at once.
pub const ACTIONS: [(&str, &str); 5] =
    [("approve", "Approve"), ("suspend", "Suspend"), ("reinstate", "Reinstate"), ("revoke", "Revoke"), ("restore", "Restore")];
/// The parameters that lose their meaning when the filter changes.
const CURSOR: &[&str] = &["cursor"];

/// What is shown of the list.
pub struct Asked {
    /// The query as it came.
    pub fields: Fields,
    /// What it asks for.
    pub list: ListClients,
    /// The moment that is shown, if it is not now.
    then: Option<Then>,
    by_family: bool,
}

impl Asked {
    /// Reads the parameters of the page, or the same as fields of a form.
    pub fn of(visitor: &Visitor, id: ResourceServerId, fields: Fields, limit: usize) -> Result<Self, Sorry> {
        let sorry = |failure| visitor.sorry(failure);
        let types = RegistrationType::ALL.map(|kind| (kind.as_str(), kind));
        let kind = parameters::one_of("type", fields.text("type"), &types).map_err(sorry)?;
        let sorts = [Sort::WaitingFirst, Sort::NewestFirst, Sort::OldestFirst, Sort::Name].map(|sort| (sort.as_str(), sort));
        let sort = parameters::one_of("sort", fields.text("sort"), &sorts).map_err(sorry)?.unwrap_or(Sort::WaitingFirst);
        let status = parameters::status(fields.text("status")).map_err(sorry)?;
        let one_by_one = parameters::one_of("group", fields.text("group"), &[("none", true)]).map_err(sorry)?.unwrap_or(false);
        let cursor = fields.parsed("cursor", "the one in a link to the next page").map_err(sorry)?;
        let family = fields.text("family").map(str::to_owned);
        let list = ListClients {
            tenant: visitor.tenant().clone(),
            resource_server: id,
            registration_type: kind,
            status,
            text: fields.text("q").map(str::to_owned),
            sort,
            cursor,
            limit,
            family,
        };
        let by_family = list.family.is_none() && !one_by_one;
        Ok(Self { fields, list, then: None, by_family })
    }

    /// Whether anything can be done with what is shown: the past is only looked at.
    fn can_act(&self, visitor: &Visitor) -> bool {
        self.then.is_none() && visitor.may_change()
    }

    fn is_filtered(&self) -> bool {
        let ListClients { registration_type, status, text, family, .. } = &self.list;
        registration_type.is_some() || status.is_some() || text.is_some() || family.is_some()
    }
}

/// When the registrations of a page were used; none where the past is shown, because that is no event.
type Seen = Option<HashMap<(ResourceServerId, ClientKey), Uses>>;

enum Listed {
    Families(FamilyPage),
    OneByOne(ClientPage),
}

/// `GET /ui/servers/{id}/clients`
pub async fn page(
    State(services): State<Services>,
    visitor: Visitor,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Sorry> {
    let frame = Frame::open(&services, &visitor).await?;
    let now = server::named(&visitor, &frame, &id)?;
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    fields
        .only(&["type", "status", "q", "family", "group", "sort", "cursor", crate::ui::pages::clients::as_of_field::AS_OF])
        .map_err(|failure| visitor.sorry(failure))?;
    let then = crate::ui::pages::clients::as_of_field::asked(&services, &visitor, now.id, &fields).await?;
    let asked = Asked { then, ..Asked::of(&visitor, now.id, fields, LIMIT)? };
    let (list, by_family) = (asked.list.clone(), asked.by_family);
    let headers = HeaderMap::new();
    let listed = as_of::read(&services, &headers, asked.then.as_ref(), move |directory| {
        let Some(row) = directory.resource_server(&list.tenant, list.resource_server)? else { return Ok(None) };
        let listed = if by_family {
            directory.families(&list)?.map(Listed::Families)
        } else {
            directory.clients(&list).map(|page| Some(Listed::OneByOne(page)))?
        };
        Ok(listed.map(|listed| (row, listed)))
    });
    let listed = listed.await.map_err(|failure| visitor.sorry(failure))?;
    let Some((row, listed)) = listed.body else { return Err(visitor.sorry(Failure::not_found("resource server"))) };
    let row = &row;
    let shown: Vec<_> = match &listed {
        Listed::Families(page) => page.rows.iter().filter(|one| one.number == 1).map(|one| (row.id, one.sample.client_key)).collect(),
        Listed::OneByOne(page) => page.rows.iter().map(|one| (row.id, one.client_key)).collect(),
    };
    let seen = if asked.then.is_none() { Some(services.usage.of(shown).await) } else { None };
    let here = visitor.links.server(row.id, "clients");
    let content = html! {
        (server::head(&visitor, row, Tab::Clients))
        @match &asked.then {
            Some(then) => (crate::ui::pages::clients::as_of_field::notice(&here, &asked.fields, then)),
            None => (waiting_note(&visitor, row)),
        }
        (filters(&visitor, row, &asked))
        div #list data-live[asked.then.is_none()] { (list_form(&services, &visitor, row, &asked, (&listed, &seen))) }
    };
    let title = format!("Clients of {}", format::inert_text(&row.name));
    Ok(frame.page(&services, &visitor, Place::Server(row.id, Tab::Clients), &title, &content))
}

fn waiting_note(visitor: &Visitor, row: &ResourceServerRow) -> Markup {
    let waiting = row.counts.by_status.get("pending").copied().unwrap_or_default();
    html! {
        div #waiting-note data-live {
            @if waiting > 0 {
                p.note { (format::number(waiting, "client waits", "clients wait")) " to be let in. " a href=(visitor.links.to("/approvals")) { "Decide in the queue" } }
            }
        }
    }
}

fn filters(visitor: &Visitor, row: &ResourceServerRow, asked: &Asked) -> Markup {
    let here = visitor.links.server(row.id, "clients");
    let Counts { total, by_type, by_status } = &row.counts;
    let fields = &asked.fields;
    let chip = |name: &str, value: &str, text: &str, count: Option<u64>| {
        let on = fields.text(name).unwrap_or_default() == value;
        html! {
            a.chip href={ (here) (fields.with(name, value, CURSOR)) } aria-current=[on.then_some("true")] {
                (text) @if let Some(count) = count { " " span.count { (format::grouped(count)) } }
            }
        }
    };
    html! {
        search.filters {
            form.find method="get" action=(here) {
                @for name in ["type", "status", "family", "group", "sort", crate::ui::pages::clients::as_of_field::AS_OF] {
                    @if let Some(value) = fields.text(name) { input type="hidden" name=(name) value=(value); }
                }
                label.unseen for="q" { "Find by name, client id, redirect host or software id" }
                input #q type="search" name="q" value=[fields.text("q")] placeholder="Find by name, client id, host or software id" data-key="/";
                button type="submit" { "Find" }
            }
            (crate::ui::pages::clients::as_of_field::field(&here, fields, &["q", "type", "status", "family", "group", "sort"], asked.then.as_ref()))
            div #facets data-live[asked.then.is_none()] {
                p.chips {
                    span role="group" aria-label="By type" {
                        (chip("type", "", "All types", Some(*total)))
                        @for (kind, text) in [(RegistrationType::Dcr, "Dynamic"), (RegistrationType::Cimd, "Manifest"), (RegistrationType::Prereg, "Pre-registered")] {
                            (chip("type", kind.as_str(), text, by_type.get(&kind).copied()))
                        }
                    }
                    span role="group" aria-label="By status" {
                        (chip("status", "", "Any status", None))
                        @for status in ["pending", "approved", "dormant", "suspended", "denied", "revoked", "deleted"] {
                            @let count = by_status.get(status).copied();
                            @if count.is_some() || asked.list.status.as_deref() == Some(status) {
                                (chip("status", status, format::status_word(status), Some(count.unwrap_or_default())))
                            }
                        }
                    }
                }
                p.chips.quiet {
                    span role="group" aria-label="Grouping" {
                        @if asked.list.family.is_some() {
                            a.chip href={ (here) (fields.with("family", "", CURSOR)) } aria-current="true" { "One family" span aria-hidden="true" { " ×" } span.unseen { ": show all" } }
                        } @else {
                            (chip("group", "", "By family", None)) (chip("group", "none", "One by one", None))
                        }
                    }
                    span role="group" aria-label="Order" {
                        (chip("sort", "", "Waiting first", None)) (chip("sort", "newest", "Newest", None)) (chip("sort", "oldest", "Oldest", None)) (chip("sort", "name", "Name", None))
                    }
                }
            }
        }
    }
}

fn list_form(services: &Services, visitor: &Visitor, row: &ResourceServerRow, asked: &Asked, (listed, seen): (&Listed, &Seen)) -> Markup {
    let (empty, next, summary) = match listed {
        Listed::Families(page) => {
            (page.rows.is_empty(), page.next_cursor.as_ref(), Some(format::number(page.families as u64, "family", "families")))
        }
        Listed::OneByOne(page) => (page.rows.is_empty(), page.next_cursor.as_ref(), None),
    };
    if empty {
        return nothing(services, visitor, row, asked);
    }
    let here = visitor.links.server(row.id, "clients");
    html! {
        form.list method="post" action={ (here) "/preview" } {
            (visitor.guard())
            @for name in ["type", "status", "q"] {
                @if let Some(value) = asked.fields.text(name) { input type="hidden" name=(name) value=(value); }
            }
            div.scroll tabindex="0" role="region" aria-label="Clients" {
                @match listed {
                    Listed::Families(page) => (families((visitor, row), asked, page, seen)),
                    Listed::OneByOne(page) => (one_by_one(visitor, asked, page, seen)),
                }
            }
            div.foot {
                @if asked.can_act(visitor) {
                    p.actions role="group" aria-label="With those that are selected" {
                        span.muted data-selected { "With those selected:" }
                        @for (action, text) in ACTIONS {
                            button type="submit" name="action" value=(action) .danger[action == "revoke"] { (text) "…" }
                        }
                    }
                }
                p.pages {
                    @if let Some(summary) = summary { span.muted { (summary) } }
                    @if asked.list.cursor.is_some() { a href={ (here) (asked.fields.with("cursor", "", &[])) } { "First page" } }
                    @if let Some(next) = next { a rel="next" href={ (here) (asked.fields.with("cursor", &next.to_string(), &[])) } { "Next page" } }
                }
            }
        }
    }
}

fn families((visitor, row): (&Visitor, &ResourceServerRow), asked: &Asked, page: &FamilyPage, seen: &Seen) -> Markup {
    html! {
        table.clients {
            thead { tr {
                @if asked.can_act(visitor) { th.pick scope="col" { (pick_all()) } }
                th scope="col" { "Client" } th scope="col" { "Type" } th scope="col" { "Status" } th.to scope="col" { "Redirects" } th scope="col" { "Last seen" } th scope="col" { "Last registered" } th.copying scope="col" { span.unseen { "Copy" } }
            } }
            tbody {
                @for family in &page.rows { (family_row((visitor, row), asked, family, seen)) }
            }
        }
    }
}

fn family_row((visitor, server): (&Visitor, &ResourceServerRow), asked: &Asked, family: &FamilyRow, seen: &Seen) -> Markup {
    let FamilyRow { sample, number, .. } = family;
    let name = sample.metadata.client_name.as_deref();
    let label = label(sample);
    let address = if *number == 1 {
        visitor.links.client(server.id, sample.client_id.as_str(), "")
    } else {
        format!("{}{}", visitor.links.server(server.id, "clients"), asked.fields.with("family", &family.family, &["cursor", "group"]))
    };
    let pick = if *number == 1 { ("client", sample.client_id.as_str()) } else { ("family", family.family.as_str()) };
    html! {
        tr data-row {
            @if asked.can_act(visitor) { td.pick { (tick(pick, &label)) } }
            td.who { div {
                a.open href=(address) { (format::client(sample.registration_type, &sample.client_id, name, &sample.redirect_uris)) }
                @if *number > 1 { " " span.instances { (format::grouped(*number)) " instances" } }
            } }
            td { (format::tag(sample.registration_type)) }
            td.stands {
                @if *number == 1 { (format::badge(sample.reason)) }
                @else { @for (status, count) in &family.by_status { span.badge.(status) { (format::grouped(*count)) " " (format::status_word(status).to_lowercase()) } " " } }
                @if family.staged > 0 { span.badge.pending { @if *number > 1 { (format::grouped(family.staged)) " " } "change waits" } }
            }
            td.to { (format::redirect_hosts(&sample.redirect_uris)) }
            td.when { @if *number == 1 { (last_seen(seen, sample)) } @else { span.muted { "open it to see" } } }
            td.when { (format::time(family.latest)) }
            td.copying { @if *number == 1 { (format::copied(sample.client_id.as_str(), "the client id")) } }
        }
    }
}

fn one_by_one(visitor: &Visitor, asked: &Asked, page: &ClientPage, seen: &Seen) -> Markup {
    html! {
        table.clients {
            thead { tr {
                @if asked.can_act(visitor) { th.pick scope="col" { (pick_all()) } }
                th scope="col" { "Client" } th scope="col" { "Type" } th scope="col" { "Status" } th.to scope="col" { "Redirects" } th scope="col" { "Last seen" } th scope="col" { "Registered" } th.copying scope="col" { span.unseen { "Copy" } }
            } }
            tbody {
                @for row in &page.rows {
                    tr data-row {
                        @if asked.can_act(visitor) { td.pick { (tick(("client", row.client_id.as_str()), &label(row))) } }
                        td.who { div {
                            a.open href=(visitor.links.client(row.resource_server, row.client_id.as_str(), "")) {
                                (format::client(row.registration_type, &row.client_id, row.metadata.client_name.as_deref(), &row.redirect_uris))
                            }
                            @if row.metadata.client_name.is_some() { code.id title=(row.client_id.as_str()) { (short(row.client_id.as_str())) } }
                        } }
                        td { (format::tag(row.registration_type)) }
                        td.stands { (format::badge(row.reason)) @if row.staged.is_some() { " " span.badge.pending { "change waits" } } }
                        td.to { (format::redirect_hosts(&row.redirect_uris)) }
                        td.when { (last_seen(seen, row)) }
                        td.when { (format::time(row.requested_at)) }
                        td.copying { (format::copied(row.client_id.as_str(), "the client id")) }
                    }
                }
            }
        }
    }
}

/// The day of its last use, as far as this node saw.
fn last_seen(seen: &Seen, row: &RegistrationRow) -> Markup {
    html! {
        @match seen.as_ref().map(|seen| seen.get(&(row.resource_server, row.client_key))) {
            Some(Some(uses)) => (format::time(uses.last)),
            Some(None) => span.muted { "never" },
            None => span.muted { "not known" },
        }
    }
}

fn label(row: &RegistrationRow) -> String {
    format::inert_text(row.metadata.client_name.as_deref().unwrap_or(row.client_id.as_str()))
}

/// An identifier that was drawn, shown by its beginning; a URL is shown whole by its host already.
fn short(client_id: &str) -> String {
    let start: String = client_id.chars().take(13).collect();
    if start.len() < client_id.len() { format!("{start}…") } else { start }
}

fn tick((name, value): (&str, &str), label: &str) -> Markup {
    html! { input type="checkbox" name=(name) value=(value) aria-label={ "Select " (label) }; }
}

/// The script makes it work; without it each row is ticked by itself.
fn pick_all() -> Markup {
    html! { input type="checkbox" hidden data-pick-all aria-label="Select all on this page"; span.unseen { "Select" } }
}

fn nothing(services: &Services, visitor: &Visitor, row: &ResourceServerRow, asked: &Asked) -> Markup {
    let here = visitor.links.server(row.id, "clients");
    html! {
        div.empty {
            @if asked.is_filtered() {
                h2 { "No client is like that" }
                p { "Nothing at this resource server matches what you asked for. " a href={ (here) (asked.fields.with("q", "", &["type", "status", "family", "group", "sort", "cursor"])) } { "Show all clients" } "." }
            } @else if asked.then.is_some() {
                h2 { "No client had come yet" }
            } @else {
                h2 { "No client has come yet" }
                p { "Clients register themselves at the address below, are met by the URL of the document that they host, or are entered by you." }
                p { code { "POST " (&services.public_url) "/rs/" (row.id) "/oauth/register" } }
                @if visitor.may_change() { p { a.button.primary href=(visitor.links.server(row.id, "enter")) { "Pre-register a client" } } }
            }
        }
    }
}
