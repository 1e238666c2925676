//! `/ui`: the tenant at a glance: what waits, who is in where, how many came, and whether everything is well.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use gatebook_events::admission::RegistrationType;
use gatebook_events::resource_server::Life;
use gatebook_projections::directory::ResourceServerRow;
use maud::{Markup, html};

use crate::application::services::Services;
use crate::application::services::followers;
use crate::read_models::Follower;
use crate::ui::parts::chart;
use crate::ui::parts::error_page::Sorry;
use crate::ui::parts::format;
use crate::ui::parts::layout::{Frame, Place};
use crate::ui::parts::session::Visitor;

/// `GET /ui`
pub async fn page(State(services): State<Services>, visitor: Visitor) -> Result<Response, Sorry> {
    let frame = Frame::open(&services, &visitor).await?;
    let now = services.commands.clock().now();
    let since = chart::first_day(now);
    let tenant = visitor.tenant().clone();
    let read = visitor.read(&services, &services.directory, move |directory| {
        Ok((directory.registrations_by_day(&tenant, since)?, directory.documents_by_health_of(&tenant)?))
    });
    let (days, documents) = read.await?.body;
    let head = services.log.head().await.map_err(|error| visitor.sorry(error))?;
    let active: Vec<&ResourceServerRow> = frame.servers.iter().filter(|server| server.life == Life::Active).collect();
    let content = html! {
        div.head { h1 { "Overview" } }
        div #glance data-live {
            @if frame.waiting > 0 {
                p.note { (format::number(frame.waiting, "thing waits", "things wait")) " for a decision. " a href=(visitor.links.to("/approvals")) { "Open the queue" } }
            }
        }
        div #warnings data-live {
            @if let Some(trouble) = services.authorization_server.trouble() {
                p.note.bad { "The authorization server cannot be reached, so clients cannot find their way: " (format::inert(&trouble)) }
            }
        }
        section.card aria-labelledby="over-time" {
            h2 #over-time { "Registrations of the last 30 days" }
            div #chart data-live { (chart::registrations(&days, now)) }
        }
        section aria-labelledby="servers" {
            h2 #servers { "Resource servers" }
        }
        div #cards .cards data-live { @for server in &active { (card(&visitor, server, now)) } }
        div.cards {
            section.card aria-labelledby="documents" {
                h2 #documents { "Documents that clients host" }
                ul.health { @for (health, count) in documents {
                    li { span.dot.wait[health == "unreachable" && count > 0].bad[health == "withdrawn" && count > 0] { (health_word(health)) } span { (format::grouped(count)) } }
                } }
            }
            section.card aria-labelledby="models" {
                h2 #models { "Read models" }
                ul.health { @for follower in followers(&services) { (model(follower, head, now)) } }
            }
        }
    };
    Ok(frame.page(&services, &visitor, Place::Overview, "Overview", &content))
}

fn card(visitor: &Visitor, server: &ResourceServerRow, now: DateTime<Utc>) -> Markup {
    let counts = &server.counts;
    let here = visitor.links.server(server.id, "clients");
    let of = |status: &str| counts.by_status.get(status).copied().unwrap_or_default();
    html! {
        section.card {
            h3.big { a href=(here) { (format::inert(&server.name)) } }
            @if let Some(resource) = &server.resource { p.muted.small { code { (resource.as_str()) } } }
            dl.figures {
                div { dt { "clients" } dd { (format::grouped(counts.total)) } }
                div { dt { "waiting" } dd { (format::grouped(of("pending"))) } }
                div { dt { "suspended" } dd { (format::grouped(of("suspended"))) } }
            }
            p.types {
                @for kind in RegistrationType::ALL {
                    @let off = !server.registration_modes.contains(&kind);
                    a.plain href={ (here) "?type=" (kind.as_str()) } { (format::tag(kind)) " " span.count { (format::grouped(counts.by_type.get(&kind).copied().unwrap_or_default())) @if off { " · off" } } }
                    " "
                }
            }
            @if now - server.created_at < TimeDelta::minutes(10) && counts.total == 0 { p.muted { "Nobody has come yet." } }
        }
    }
}

fn health_word(health: &str) -> &str {
    match health {
        "good" => "Good",
        "unreachable" => "Cannot be reached; the last good one serves",
        "withdrawn" => "Taken away",
        other => other,
    }
}

fn model(follower: &dyn Follower, head: gatebook_events::envelope::Position, now: DateTime<Utc>) -> Markup {
    let progress = follower.progress();
    let (state, bad) = match progress.state(head) {
        "live" => ("up to date".to_owned(), false),
        "catching_up" => (format!("{} behind", format::number(progress.lag_events(head), "event", "events")), false),
        "building" => ("being built".to_owned(), false),
        "retrying" => (format!("tries again by itself, {:.0} s behind", progress.lag_seconds(head, now)), true),
        _ => (format!("stands still, {:.0} s behind", progress.lag_seconds(head, now)), true),
    };
    html! { li { span.dot.bad[bad] { (crate::ui::parts::error_page::capital(follower.identity().0).trim_end_matches('.')) } span.muted { (state) } } }
}
