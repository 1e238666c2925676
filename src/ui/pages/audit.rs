//! `/ui/audit`: who did what, filtered, as it grows, to take along, and whether the chain holds.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use chrono::{DateTime, NaiveDateTime, Utc};
use gatebook_events::identity::{ClientId, TenantId};
use gatebook_projections::history::{HistoryQuery, HistoryRow};
use maud::{Markup, html};

use crate::application::services::Services;
use crate::http::error::Failure;
use crate::http::parameters;
use crate::ui::parts::error_page::Sorry;
use crate::ui::parts::event_text;
use crate::ui::parts::format;
use crate::ui::parts::forms::Fields;
use crate::ui::parts::layout::{self, Frame, Place};
use crate::ui::parts::session::{Posted, Visitor};

mod export;

pub use export::export;

/// Events on a page.
const LIMIT: usize = 50;

/// The names that the filter offers, by what they are about.
const NAMES: [(&str, &[&str]); 5] = [
    (
        "Registrations",
        &[
            "registration.requested",
            "registration.approved",
            "registration.denied",
            "registration.suspended",
            "registration.reinstated",
            "registration.revoked",
            "registration.restored",
            "registration.redirects_staged",
            "registration.redirects_approved",
            "registration.redirects_rejected",
            "registration.redirects_superseded",
            "registration.redirects_narrowed",
            "registration.metadata_admitted",
            "registration.rolled_back",
        ],
    ),
    (
        "Clients",
        &[
            "client.registered",
            "client.metadata_updated",
            "client.secret_rotated",
            "client.secret_revoked",
            "client.registration_token_rotated",
            "client.manifest_versioned",
            "client.manifest_unreachable",
            "client.manifest_recovered",
            "client.manifest_withdrawn",
            "client.deleted",
        ],
    ),
    (
        "Resource servers",
        &[
            "resource_server.created",
            "resource_server.renamed",
            "resource_server.modes_changed",
            "resource_server.policy_changed",
            "resource_server.retired",
            "resource_server.cap_neared",
            "resource_server.cap_eased",
            "resource_server.family_suspended",
            "resource_server.family_reinstated",
        ],
    ),
    (
        "Tokens",
        &[
            "initial_access_token.issued",
            "initial_access_token.used",
            "initial_access_token.revoked",
            "service_token.created",
            "service_token.revoked",
        ],
    ),
    (
        "Webhooks",
        &[
            "webhook.created",
            "webhook.edited",
            "webhook.secret_rotated",
            "webhook.disabled",
            "webhook.enabled",
            "webhook.event_dropped",
            "webhook.deleted",
        ],
    ),
];

/// What the parameters of the page ask for.
fn query(visitor: &Visitor, fields: &Fields, limit: usize) -> Result<HistoryQuery, Sorry> {
    let sorry = |failure| visitor.sorry(failure);
    fields.only(&["client", "server", "actor", "type", "since", "until", "order", "cursor", "format"]).map_err(sorry)?;
    let wrong = |name: &str, text: &str, right: &str| visitor.sorry(parameters::refused(name, text, right));
    let time = "a time in UTC, such as `2027-01-15T08:00`";
    let moment = |name: &str| fields.text(name).map(|text| parse_moment(text).ok_or_else(|| wrong(name, text, time))).transpose();
    let client = |text| ClientId::parse(text).map_err(|_| wrong("client", text, "a client id"));
    Ok(HistoryQuery {
        tenant: visitor.tenant().clone(),
        resource_server: fields.parsed("server", "the id of a resource server").map_err(sorry)?,
        client_id: fields.text("client").map(client).transpose()?,
        actor: fields.text("actor").map(str::to_owned),
        event_name: parameters::event_type(fields.text("type")).map_err(sorry)?,
        since: moment("since")?,
        until: moment("until")?,
        up_to: None,
        cursor: fields.parsed("cursor", "the one in a link to the next page").map_err(sorry)?,
        newest_first: parameters::newest_first(fields.text("order")).map_err(sorry)?,
        limit,
    })
}

/// A moment in UTC, as a browser's field has it or with a zone.
pub fn parse_moment(text: &str) -> Option<DateTime<Utc>> {
    let zoned = DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc());
    let formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];
    zoned.or_else(|| formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok()).map(|at| at.and_utc()))
}

/// `GET /ui/audit`
pub async fn page(State(services): State<Services>, visitor: Visitor, RawQuery(asked): RawQuery) -> Result<Response, Sorry> {
    visitor.caller.must_audit().map_err(|problem| visitor.told(problem))?;
    let fields = Fields::parse(asked.unwrap_or_default().as_bytes());
    let query = query(&visitor, &fields, LIMIT)?;
    let frame = Frame::open(&services, &visitor).await?;
    let page = visitor.read(&services, &services.history, move |history| history.events(&query)).await?.body;
    let (tenant, rows) = (visitor.tenant().clone(), page.rows.clone());
    let about = visitor.read(&services, &services.directory, move |directory| event_text::subjects(directory, &tenant, &rows)).await?.body;
    let about = |row: &HistoryRow| row.client_key.and_then(|key| about.get(&key)).and_then(Option::as_ref);
    let here = visitor.links.to("/audit");
    let head = services.log.head().await.map_err(|error| visitor.sorry(error))?;
    let content = html! {
        div.head { h1 { "Audit" } }
        (chain(&services, &visitor, head))
        (filters(&frame, &fields, &here))
        p.actions {
            a.button href={ (here) "/export" (fields.with("format", "ndjson", &["cursor"])) } { "Export as NDJSON" }
            a.button href={ (here) "/export" (fields.with("format", "csv", &["cursor"])) } { "Export as CSV" }
        }
        section.card aria-labelledby="trail" {
            h2 #trail { "Events" }
            div #events data-live[fields.text("cursor").is_none()] {
                @if page.rows.is_empty() {
                    p.muted { "No event is like that. " a href=(here) { "Show all" } }
                } @else {
                    ol.trail { @for row in &page.rows { (event_text::of_many(&visitor.links, &frame.servers, row, about(row))) } }
                }
                p.pages {
                    @if fields.text("cursor").is_some() { a href={ (here) (fields.with("cursor", "", &[])) } { "First page" } }
                    @if let Some(next) = page.next_cursor { a rel="next" href={ (here) (fields.with("cursor", &next.to_string(), &[])) } { "Next page" } }
                }
            }
        }
    };
    Ok(frame.page(&services, &visitor, Place::Audit, "Audit", &content))
}

fn filters(frame: &Frame, fields: &Fields, here: &str) -> Markup {
    let value = |name: &str| fields.text(name);
    html! {
        search {
            form.audit-filters method="get" action=(here) {
                div.field { label for="f-client" { "Client id" } input #f-client .code type="text" name="client" value=[value("client")] autocomplete="off" data-key="/"; }
                div.field { label for="f-server" { "Resource server" } select #f-server name="server" {
                    option value="" { "all" }
                    @for server in &frame.servers { option value=(server.id) selected[value("server") == Some(server.id.to_string().as_str())] { (format::inert_text(&server.name)) } }
                } }
                div.field { label for="f-actor" { "Actor" } input #f-actor type="text" name="actor" value=[value("actor")] placeholder="name, admin, client, anonymous, system" autocomplete="off"; }
                div.field { label for="f-type" { "Event" } select #f-type name="type" {
                    option value="" { "any" }
                    @if let Some(beginning) = value("type").filter(|text| !NAMES.iter().any(|(_, names)| names.contains(text))) { option value=(beginning) selected { (beginning) "…" } }
                    @for (about, names) in NAMES { optgroup label=(about) { @for name in names { option value=(name) selected[value("type") == Some(*name)] { (name) } } } }
                } }
                div.field { label for="f-since" { "From (" span data-zone { "UTC" } ")" } input #f-since type="datetime-local" name="since" step="1" value=[value("since")]; }
                div.field { label for="f-until" { "Before (" span data-zone { "UTC" } ")" } input #f-until type="datetime-local" name="until" step="1" value=[value("until")]; }
                div.field { label for="f-order" { "Order" } select #f-order name="order" { option value="" { "newest first" } option value="oldest" selected[value("order") == Some("oldest")] { "oldest first" } } }
                p.actions { button.primary type="submit" { "Show" } a.button href=(here) { "Clear" } }
            }
        }
    }
}

/// How far the chain is known to hold.
fn chain(services: &Services, visitor: &Visitor, head: gatebook_events::envelope::Position) -> Markup {
    let last = services.log_integrity.last();
    html! {
        div #chain .note.plain.chain {
            p {
                @match last.as_ref().map(|walked| (&walked.found, walked.at)) {
                    Some((Ok((position, hash)), at)) => {
                        span.dot { "The hash chain holds" } " from the first event to event " b { (position) } " of " (head) ", walked " (format::time(at)) "."
                        br; span.muted.small { "Head " code { (hash) } }
                    },
                    Some((Err(broken), at)) => { span.dot.bad { "The hash chain is broken" } ": " (broken) ", found " (format::time(at)) "." },
                    None => { span.dot.wait { "The hash chain was not walked since the service started." } " Each event is checked against it as it is read; there are " b { (head) } "." },
                }
            }
            @if *visitor.tenant() == TenantId::default_tenant() {
                form method="post" action=(visitor.links.to("/audit/walk")) { (visitor.guard()) button type="submit" { "Walk it now" } }
            }
        }
    }
}

/// `POST /ui/audit/walk`: for those of the tenant `default`, because it concerns every tenant.
pub async fn walk(State(services): State<Services>, Posted { visitor, .. }: Posted) -> Result<Response, Sorry> {
    visitor.caller.must_audit().map_err(|problem| visitor.told(problem))?;
    if *visitor.tenant() != TenantId::default_tenant() {
        let failure = Failure::request(axum::http::StatusCode::FORBIDDEN, "not-operator", "only those of the tenant default may do this");
        return Err(visitor.sorry(failure));
    }
    let walked = services.log_integrity.walk(services.commands.clock()).await.map_err(|failure| visitor.sorry(failure))?;
    let address = visitor.links.to("/audit");
    Ok(match walked.found {
        Ok((position, _)) => layout::go(&services, &address, true, format!("The chain holds, up to event {position}.")),
        Err(broken) => layout::go(&services, &address, false, format!("The chain is broken: {broken}.")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_browsers_write_them() {
        for text in ["2026-03-02T13:00", "2026-03-02T13:00:00", "2026-03-02T14:00:00+01:00"] {
            assert_eq!(parse_moment(text).unwrap().to_rfc3339(), "2026-03-02T13:00:00+00:00", "{text}");
        }
        assert_eq!(parse_moment("yesterday"), None);
    }
}
