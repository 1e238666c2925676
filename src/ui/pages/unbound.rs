//! `/ui/unbound`: clients that registered themselves where no resource server was meant, for administrators of the instance.

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use gatebook_events::admission::RegistrationType;
use gatebook_projections::directory::UnboundRow;
use maud::{Markup, html};
use serde_json::json;

use crate::application::services::Services;
use crate::http::authsec::unbound;
use crate::http::caller;
use crate::http::error::Failure;
use crate::ui::parts::error_page::{Sorry, capital};
use crate::ui::parts::format;
use crate::ui::parts::forms::Fields;
use crate::ui::parts::layout::{self, Frame, Place};
use crate::ui::parts::links::encoded;
use crate::ui::parts::session::{Change, Posted, Visitor};

/// Rows on a page.
const LIMIT: usize = 50;

/// `GET /ui/unbound`
pub async fn page(State(services): State<Services>, visitor: Visitor, RawQuery(query): RawQuery) -> Result<Response, Sorry> {
    unbound::must_see(&visitor.caller).map_err(|problem| visitor.told(problem))?;
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let refuse = |_| {
        let detail = "the parameter cursor is not acceptable";
        visitor.sorry(Failure::request(axum::http::StatusCode::BAD_REQUEST, "invalid-request", detail))
    };
    let cursor = fields.text("cursor").map(str::parse).transpose().map_err(refuse)?;
    let frame = Frame::open(&services, &visitor).await?;
    let listed = visitor.read(&services, &services.directory, move |directory| directory.unbound(cursor.as_ref(), LIMIT)).await?.body;
    let here = visitor.links.to("/unbound");
    let content = html! {
        h1 { "Clients without a resource server" }
        p.muted {
            "They registered themselves where several resource servers are and named none. They can do nothing until a decision names a "
            "resource server of the tenant default that welcomes them by its rules. "
            @match services.config.max_unbound_clients {
                Some(most) => { "There may be " (format::grouped(u64::from(most.get()))) " of them (" code { "--max-unbound-clients" } ")." }
                None => { "No more are taken (" code { "--max-unbound-clients" } " is 0); these came before." }
            }
        }
        div #list data-live {
            p { (format::number(listed.total, "client", "clients")) }
            @if !listed.rows.is_empty() {
                div.scroll tabindex="0" role="region" aria-label="Clients without a resource server" {
                    table {
                        thead { tr { th scope="col" { "Client" } th scope="col" { "Redirect URIs" } th scope="col" { "Registered" } th scope="col" { span.unseen { "Delete" } } } }
                        tbody { @for row in &listed.rows { (shown(&visitor, row)) } }
                    }
                }
            }
            @if let Some(next) = &listed.next_cursor { p.actions { a.button href={ (here) "?cursor=" (next.to_string()) } { "Older" } } }
        }
    };
    Ok(frame.page(&services, &visitor, Place::Unbound, "Clients without a resource server", &content))
}

fn shown(visitor: &Visitor, row: &UnboundRow) -> Markup {
    let address = visitor.links.to(&format!("/unbound/{}/delete", encoded(row.client_id.as_str())));
    html! {
        tr {
            td { (format::client(RegistrationType::Dcr, &row.client_id, row.metadata.client_name.as_deref(), &row.metadata.redirect_uris)) }
            td { @for uri in &row.metadata.redirect_uris { div { code.uri { (format::redirect_uri(uri)) } } } }
            td { (format::time(row.registered_at)) }
            td {
                @if visitor.may_change() {
                    details {
                        summary { "Delete" }
                        form method="post" action=(address) {
                            (visitor.guard())
                            p { "It cannot be taken back: the client has to register anew." }
                            p.actions { button.danger type="submit" { "Delete it" } }
                        }
                    }
                }
            }
        }
    }
}

/// `POST /ui/unbound/{client_id}/delete`
pub async fn delete(State(services): State<Services>, Path(client_id): Path<String>, Change(posted): Change) -> Result<Response, Sorry> {
    let Posted { visitor, .. } = posted;
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let body = Body::from(json!({}).to_string());
    let deleted = unbound::delete(State(services.clone()), visitor.caller.clone(), caller::Path(client_id), headers, body).await;
    let here = visitor.links.to("/unbound");
    match deleted {
        Ok(_) => Ok(layout::go(&services, &here, true, "The client was deleted.")),
        Err(problem) => Ok(layout::go(&services, &here, false, capital(&problem.0.told().1))),
    }
}
