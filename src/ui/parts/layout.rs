//! What is around every page: the head, the navigation, what was just done, and the way to live updates.

use axum::http::HeaderMap;
use axum::response::{Html, IntoResponse, Response};
use gatebook_events::identity::{ResourceServerId, TenantId};
use gatebook_events::resource_server::Life;
use gatebook_projections::directory::{ResourceServerRow, Scope};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::{Deserialize, Serialize};

use super::links::Links;
use crate::application::services::Services;
use crate::ui::assets;
use crate::ui::parts::cookies;
use crate::ui::parts::error_page::Sorry;
use crate::ui::parts::format;
use crate::ui::parts::session::Visitor;

/// Where a page is, for the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The first page.
    Overview,
    /// What waits.
    Approvals,
    /// Clients that no resource server took yet.
    Unbound,
    /// Who did what.
    Audit,
    /// A resource server, on one of its tabs.
    Server(ResourceServerId, Tab),
    /// A new resource server.
    NewServer,
}

/// The tabs of a resource server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    /// Who is in.
    Clients,
    /// Entering one.
    Enter,
    /// The rules.
    Settings,
}

/// What the page after a form says of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Said {
    /// Whether it was done.
    pub good: bool,
    /// A sentence.
    pub text: String,
}

/// What is around a page.
pub struct Frame {
    /// The tenant's resource servers.
    pub servers: Vec<ResourceServerRow>,
    /// How much waits.
    pub waiting: u64,
    /// How many clients no resource server took yet; none for those who may not see them.
    unbound: u64,
    said: Option<Said>,
    stale: bool,
}

impl Frame {
    /// Reads what every page shows.
    pub async fn open(services: &Services, visitor: &Visitor) -> Result<Self, Sorry> {
        let (tenant, same) = (visitor.tenant().clone(), visitor.tenant().clone());
        let operates = tenant == TenantId::default_tenant();
        let (servers, waiting) = tokio::join!(
            visitor.read(services, &services.directory, move |directory| {
                let unbound = if operates { directory.filled(&Scope::Unbound)?.1 } else { 0 };
                Ok((directory.resource_servers(&tenant)?, unbound))
            }),
            visitor.read(services, &services.approvals, move |approvals| approvals.waiting_total(&same)),
        );
        let (servers, waiting) = (servers?, waiting?);
        let stale = servers.is_stale() || waiting.is_stale();
        let said = cookies::SAID.read(services, &visitor.headers);
        let (servers, unbound) = servers.body;
        Ok(Self { servers, waiting: waiting.body, unbound, said, stale })
    }

    /// One of the tenant's resource servers.
    pub fn server(&self, id: ResourceServerId) -> Option<&ResourceServerRow> {
        self.servers.iter().find(|server| server.id == id)
    }

    /// The whole page. What was said of the last form is said once.
    pub fn page(&self, services: &Services, visitor: &Visitor, place: Place, title: &str, content: &Markup) -> Response {
        let links = &visitor.links;
        let body = html! {
            (self.bar(visitor, place))
            main #main tabindex="-1" {
                @if let Some(said) = &self.said {
                    p.said.good[said.good].bad[!said.good] role=(if said.good { "status" } else { "alert" }) { (said.text) }
                }
                @if self.stale { p.said.bad role="alert" { "These tables could not catch up in time; what you see is a little old." } }
                (content)
            }
        };
        let page = document(links, title, Some(&links.to("/live")), None, &body);
        let mut response = Html(page.into_string()).into_response();
        if self.said.is_some() {
            response.headers_mut().append(axum::http::header::SET_COOKIE, cookies::SAID.clear(services));
        }
        response
    }

    fn bar(&self, visitor: &Visitor, place: Place) -> Markup {
        let links = &visitor.links;
        let here = |is: bool| if is { Some("page") } else { None };
        html! {
            header.bar {
                a.brand href=(links.overview()) { (logo()) span { "Gatebook" } }
                nav aria-label="Main" {
                    ul {
                        li { a href=(links.overview()) aria-current=[here(place == Place::Overview)] { "Overview" } }
                        li {
                            a href=(links.to("/approvals")) aria-current=[here(place == Place::Approvals)] {
                                "Approvals "
                                span #waiting-count .count.waiting[self.waiting > 0] data-live { (self.waiting) span.unseen { " waiting" } }
                            }
                        }
                        @if self.unbound > 0 || place == Place::Unbound {
                            li {
                                a href=(links.to("/unbound")) aria-current=[here(place == Place::Unbound)] {
                                    "Without a server "
                                    span.count { (self.unbound) span.unseen { " clients" } }
                                }
                            }
                        }
                        @if visitor.may_audit() {
                            li { a href=(links.to("/audit")) aria-current=[here(place == Place::Audit)] { "Audit" } }
                        }
                    }
                    h2 { "Resource servers" }
                    ul {
                        @for server in self.servers.iter().filter(|server| server.life == Life::Active) {
                            @let open = matches!(place, Place::Server(id, _) if id == server.id);
                            li {
                                a.name href=(links.server(server.id, "clients")) aria-current=[open.then_some("true")] {
                                    (format::inert(&server.name))
                                    span.count { (server.counts.total) span.unseen { " clients" } }
                                }
                            }
                        }
                        @if visitor.may_change() {
                            li { a.new href=(links.to("/servers/new")) aria-current=[here(place == Place::NewServer)] { "Add a resource server" } }
                        }
                    }
                }
                div.me {
                    p { span.subject title=(visitor.caller.admin.subject) { (visitor.caller.admin.subject) } }
                    p.muted.small { (visitor.role()) " of " (visitor.tenant()) }
                    p.muted.small.zone { "Times in " span data-zone { "UTC" } } button.quiet.small type="button" hidden data-zone-switch {}
                    form method="post" action=(links.to("/sign-out")) { (visitor.guard()) button.quiet type="submit" { "Sign out" } }
                }
            }
        }
    }
}

/// Goes to a page, which says what was done.
pub fn go(services: &Services, address: &str, good: bool, text: impl Into<String>) -> Response {
    let mut headers = HeaderMap::new();
    headers.append(axum::http::header::SET_COOKIE, cookies::SAID.set(services, &Said { good, text: text.into() }, 60));
    (headers, axum::response::Redirect::to(address)).into_response()
}

/// A page without navigation, which may load itself again after some seconds.
pub fn bare(links: &Links, title: &str, again: Option<&str>, body: &Markup) -> Html<String> {
    Html(document(links, title, None, again, body).into_string())
}

fn document(links: &Links, title: &str, live: Option<&str>, again: Option<&str>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (title) " · Gatebook" }
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if let Some(again) = again { meta http-equiv="refresh" content=(again); }
                link rel="icon" href=(links.asset(&assets::ICON));
                link rel="stylesheet" href=(links.asset(&assets::STYLE));
                script src=(links.asset(&assets::SCRIPT)) defer {}
            }
            body data-live-at=[live] {
                a.skip href="#main" { "Skip to the content" }
                (body)
            }
        }
    }
}

/// A gate in a book.
pub fn logo() -> Markup {
    PreEscaped(
        r#"<svg class="logo" viewBox="0 0 24 24" width="22" height="22" aria-hidden="true"><path d="M4 3.5h16v17H4z" fill="none" stroke="currentColor" stroke-width="1.6"/><path d="M8 20.5v-9a4 4 0 0 1 8 0v9M12 7.5v13" fill="none" stroke="currentColor" stroke-width="1.6"/></svg>"#
            .to_owned(),
    )
}
