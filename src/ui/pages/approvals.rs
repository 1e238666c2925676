//! `/ui/approvals`: everything that waits at all resource servers of the tenant, the oldest first, to be decided in seconds.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use gatebook_events::redirect::RedirectUris;
use gatebook_events::registration::AdmittedMetadata;
use gatebook_projections::approvals::{WaitingRow, Wish};
use maud::{Markup, html};

use super::client::{Decision, difference, forms, metadata_difference};
use crate::application::look_alikes::Doubts;
use crate::application::services::Services;
use crate::http::authsec::approvals::shown;
use crate::ui::parts::error_page::Sorry;
use crate::ui::parts::format;
use crate::ui::parts::forms::Fields;
use crate::ui::parts::layout::{Frame, Place};
use crate::ui::parts::session::Visitor;
use crate::ui::parts::warnings;

/// Entries on a page.
const LIMIT: usize = 50;

/// `GET /ui/approvals`
pub async fn page(State(services): State<Services>, visitor: Visitor, RawQuery(query): RawQuery) -> Result<Response, Sorry> {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    fields.only(&["cursor"]).map_err(|failure| visitor.sorry(failure))?;
    let cursor = fields.parsed("cursor", "the one in a link to the next page").map_err(|failure| visitor.sorry(failure))?;
    let frame = Frame::open(&services, &visitor).await?;
    let tenant = visitor.tenant().clone();
    let waiting =
        visitor.read(&services, &services.approvals, move |approvals| approvals.waiting(&tenant, cursor.as_ref(), LIMIT)).await?.body;
    let (rows, tenant) = (waiting.rows.clone(), visitor.tenant().clone());
    let doubts = visitor.read(&services, &services.directory, move |directory| {
        rows.iter().map(|row| shown(row, &row.as_approved()).doubts(directory, &tenant)).collect::<Result<Vec<_>, _>>()
    });
    let doubts = doubts.await?.body;
    let content = html! {
        div.head { h1 { "Approvals" } }
        @if visitor.may_change() {
            p.keys.small { kbd { "j" } " and " kbd { "k" } " go along the queue, " kbd { "a" } " approves, " kbd { "r" } " asks for a reason and says no." }
        }
        div #queue data-live {
            @if waiting.rows.is_empty() {
                div.empty { h2 { "Nothing waits" } p { "New registrations come here where a resource server wants a review, and so do redirect URIs that clients add." } }
            } @else {
                ol.queue { @for (row, doubts) in waiting.rows.iter().zip(&doubts) { (entry(&visitor, row, doubts)) } }
                p.pages {
                    span.muted { (format::number(waiting.total, "waits", "wait")) }
                    @if let Some(next) = &waiting.next_cursor { a rel="next" href={ (visitor.links.to("/approvals")) "?cursor=" (next) } { "Next page" } }
                }
            }
        }
    };
    Ok(frame.page(&services, &visitor, Place::Approvals, "Approvals", &content))
}

fn entry(visitor: &Visitor, row: &WaitingRow, (warnings, resembles): &Doubts) -> Markup {
    let none = RedirectUris::default();
    let (decision, wish, difference) = match &row.wish {
        Wish::Registration => (Decision::Registration(row.version), "asks to be let in", difference(&none, &row.redirect_uris, &none)),
        Wish::Revival => (Decision::Registration(row.version), "was dormant and is back", difference(&none, &row.redirect_uris, &none)),
        Wish::Redirects { change_id, added, removed, metadata, .. } => (
            Decision::Redirects(*change_id),
            if metadata.is_some() { "asks for a change" } else { "asks for other redirect URIs" },
            difference(&row.redirect_uris, added, removed),
        ),
    };
    let id = match decision {
        Decision::Registration(_) => format!("w-{}-{}", row.resource_server, row.client_key),
        Decision::Redirects(change) => format!("w-{change}"),
    };
    html! {
        li id=(id) data-row {
            div.top {
                p {
                    a.open href=(visitor.links.client(row.resource_server, row.client_id.as_str(), "")) {
                        (format::client(row.registration_type, &row.client_id, row.client_name.as_deref(), &row.redirect_uris))
                    }
                    " " (wish) " at " b { (format::inert(&row.resource_server_name)) }
                }
                p.muted { (format::tag(row.registration_type)) " since " (format::time(row.since)) }
            }
            (warnings::list(row.client_name.as_deref(), warnings, resembles.as_ref()))
            @if let (Wish::Redirects { metadata: Some(then), .. }, Some(now)) = (&row.wish, &row.metadata) { (metadata_difference(now, then)) }
            (difference)
            @if let (Wish::Registration | Wish::Revival, Some(asked)) = (&row.wish, &row.metadata) { (asked_for(asked)) }
            @if let Wish::Redirects { manifest, serves_at, .. } = &row.wish {
                @if let Some(manifest) = manifest { p.muted { "Version " (manifest.version) " of its document says so." } }
                @if let Some(at) = serves_at { p.note { "Serves " (format::time(*at)) " unless somebody objects." } }
            }
            (forms(visitor, (row.resource_server, &row.client_id), &decision, ("queue", resembles.is_some())))
        }
    }
}

/// What a client that asks to be let in would have.
fn asked_for(asked: &AdmittedMetadata) -> Markup {
    html! {
        dl.facts.asked {
            dt { "Scope" } dd { @match &asked.scope { Some(scope) => { (format::inert(scope.as_str())) } None => span.muted { "not bounded" } } }
            dt { "Grants" } dd { (asked.grant_types.iter().map(|grant| grant.as_str()).collect::<Vec<_>>().join(", ")) }
            dt { "Proves itself by" } dd { (asked.token_endpoint_auth_method.as_str()) }
        }
    }
}
