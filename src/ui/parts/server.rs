//! What the pages of a resource server have in common.

use gatebook_events::resource_server::Life;
use gatebook_projections::directory::ResourceServerRow;
use maud::{Markup, html};

use crate::http::error::Failure;
use crate::ui::parts::error_page::Sorry;
use crate::ui::parts::format;
use crate::ui::parts::layout::{Frame, Tab};
use crate::ui::parts::session::Visitor;

/// The resource server that a path names.
pub fn named<'a>(visitor: &Visitor, frame: &'a Frame, id: &str) -> Result<&'a ResourceServerRow, Sorry> {
    let found = id.parse().ok().and_then(|id| frame.server(id));
    found.ok_or_else(|| visitor.sorry(Failure::not_found("resource server")))
}

/// Its name and the way to its other pages.
pub fn head(visitor: &Visitor, row: &ResourceServerRow, open: Tab) -> Markup {
    let tab = |tab: Tab, page: &str, text: &str| {
        html! { li { a href=(visitor.links.server(row.id, page)) aria-current=[(tab == open).then_some("page")] { (text) } } }
    };
    html! {
        div.head {
            h1 { (format::inert(&row.name)) @if row.life == Life::Retired { " " span.badge.retired { "Retired" } } }
            @if let Some(resource) = &row.resource { p.muted.resource { code { (resource.as_str()) } } }
        }
        nav.tabs aria-label="Resource server" {
            ul {
                (tab(Tab::Clients, "clients", "Clients"))
                @if visitor.may_change() && row.life == Life::Active { (tab(Tab::Enter, "enter", "Pre-register")) }
                (tab(Tab::Settings, "settings", "Settings"))
            }
        }
    }
}
