//! The document that a client hosts: its versions side by side, reading it now, and going back to an earlier one.

use axum::extract::{Path, State};
use axum::response::Response;
use gatebook_events::identity::{ClientId, ResourceServerId};
use gatebook_events::reason;
use gatebook_projections::directory::RegistrationRow;
use maud::{Markup, html};

use super::Subject;
use crate::application::manifests::versions::KnownVersion;
use crate::application::registrations::registered_at;
use crate::application::services::Services;
use crate::http::error::Failure;
use crate::ui::parts::error_page::{Sorry, capital};
use crate::ui::parts::format;
use crate::ui::parts::forms::Fields;
use crate::ui::parts::layout;
use crate::ui::parts::session::{Change, Posted, Visitor};

/// Documents with more lines are not compared line by line.
const MOST_LINES: usize = 400;

/// Every version of a client's document, the oldest first.
pub async fn versions(services: &Services, visitor: &Visitor, row: &RegistrationRow) -> Result<Vec<KnownVersion>, Sorry> {
    if row.manifest.is_none() {
        return Ok(Vec::new());
    }
    services.commands.document_versions(visitor.tenant(), row.client_key).await.map_err(|error| visitor.sorry(error))
}

/// What there is to see and do; nothing for a client without a document.
pub fn card(visitor: &Visitor, subject: &Subject, versions: &[KnownVersion], fields: &Fields) -> Markup {
    let row = &subject.row;
    let (Some(known), Some(newest)) = (&row.manifest, versions.last()) else { return html! {} };
    let number = |name: &str| fields.text(name).and_then(|text| text.parse::<u32>().ok());
    let find = |number: u32| versions.iter().find(|known| known.versioned.number == number);
    let right = number("new").and_then(find).unwrap_or(newest);
    let left = number("old").and_then(find).or_else(|| find(right.versioned.number.saturating_sub(1)));
    let here = visitor.links.client(row.resource_server, row.client_id.as_str(), "");
    let action = |action: &str| visitor.links.client(row.resource_server, row.client_id.as_str(), action);
    html! {
        section.card #document aria-labelledby="document-title" {
            h2 #document-title { "Its document" }
            dl.facts {
                dt { "At" } dd { code.uri { (format::inert(row.client_id.as_str())) } }
                dt { "Health" } dd { @if subject.profile.manifest.as_ref().is_some_and(|known| known.entered_for.is_some()) { span.dot.wait { "its host has not answered yet; the text that an administrator entered serves" } } @else { (health(row)) } }
                dt { "Newest" } dd { "version " (known.version) ", read first " (format::time(newest.recorded_at)) }
                @for left_out in &newest.versioned.left_out {
                    dt { "Left out" } dd { code { (format::inert(&left_out.member)) } ", which " (format::inert(&left_out.problem)) }
                }
            }
            @if visitor.may_change() {
                form method="post" action=(action("refresh")) { (visitor.guard()) button type="submit" { "Read it now" } }
            }
            @if versions.len() > 1 {
                form.actions method="get" action={ (here) "#document" } {
                    label for="old" { "Compare" } select #old name="old" .short { @for known in versions { (choice(known, left)) } }
                    label for="new" { "with" } select #new name="new" .short { @for known in versions { (choice(known, Some(right))) } }
                    button type="submit" { "Compare" }
                }
            }
            (side_by_side(left, right))
            @if visitor.may_change() && versions.len() > 1 {
                details #roll-back {
                    summary { "Go back to an earlier version" }
                    form.fields method="post" action=(action("roll-back")) {
                        (visitor.guard())
                        p.help { "Its redirect URIs serve again, and the document is not heard until it says something else." }
                        div.field { label for="version" { "Version" } select #version name="version" { @for known in versions.iter().rev().skip(1) { (choice(known, left)) } } }
                        div.field { label for="back-reason" { "Reason, for the history" } input #back-reason type="text" name="reason" maxlength=(reason::MOST) autocomplete="off"; }
                        p.actions { button type="submit" { "Go back" } }
                    }
                }
            }
        }
    }
}

fn choice(known: &KnownVersion, chosen: Option<&KnownVersion>) -> Markup {
    let number = known.versioned.number;
    html! { option value=(number) selected[chosen.is_some_and(|chosen| chosen.versioned.number == number)] { "Version " (number) } }
}

fn health(row: &RegistrationRow) -> Markup {
    let unreachable = row.manifest.as_ref().and_then(|known| known.unreachable_since);
    html! {
        @match (row.client_life, unreachable) {
            (gatebook_events::client::Life::Withdrawn, _) => span.dot.bad { "taken away" },
            (_, Some(since)) => span.dot.wait { "cannot be reached since " (format::time(since)) "; the last good one serves" },
            (_, None) => span.dot { "good" },
        }
    }
}

fn side_by_side(left: Option<&KnownVersion>, right: &KnownVersion) -> Markup {
    let text = |known: &KnownVersion| {
        let parsed: serde_json::Value = serde_json::from_str(&known.versioned.document).unwrap_or_default();
        serde_json::to_string_pretty(&parsed).unwrap_or_default()
    };
    let (old, new) = (left.map(text).unwrap_or_default(), text(right));
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let (gone, came) = if left.is_some() { changed(&old, &new) } else { (Vec::new(), Vec::new()) };
    let side = |known: &KnownVersion, lines: &[&str], marked: &[usize], class: &str| {
        html! {
            div {
                h3 { "Version " (known.versioned.number) " " span.muted { (format::time(known.recorded_at)) } }
                pre tabindex="0" { @for (index, line) in lines.iter().enumerate() {
                    @if marked.contains(&index) { span class=(class) { (format::inert(line)) } } @else { (format::inert(line)) "\n" }
                } }
            }
        }
    };
    html! {
        div.versions {
            @if let Some(left) = left { (side(left, &old, &gone, "line-removed")) }
            (side(right, &new, &came, "line-added"))
        }
    }
}

/// A comma is what follows a line, not what it says.
fn same(one: &str, other: &str) -> bool {
    one.trim_end_matches(',') == other.trim_end_matches(',')
}

/// The lines that only the one has, and those that only the other has: a longest common subsequence of lines.
fn changed(old: &[&str], new: &[&str]) -> (Vec<usize>, Vec<usize>) {
    if old.len() > MOST_LINES || new.len() > MOST_LINES {
        return (Vec::new(), Vec::new());
    }
    let width = new.len() + 1;
    let mut longest = vec![0_usize; (old.len() + 1) * width];
    let at = |longest: &[usize], row: usize, column: usize| longest.get(row * width + column).copied().unwrap_or_default();
    for (row, one) in old.iter().enumerate().rev() {
        for (column, other) in new.iter().enumerate().rev() {
            let length = if same(one, other) {
                at(&longest, row + 1, column + 1) + 1
            } else {
                at(&longest, row + 1, column).max(at(&longest, row, column + 1))
            };
            if let Some(cell) = longest.get_mut(row * width + column) {
                *cell = length;
            }
        }
    }
    let (mut row, mut column, mut gone, mut came) = (0, 0, Vec::new(), Vec::new());
    while row < old.len() || column < new.len() {
        match (old.get(row), new.get(column)) {
            (Some(one), Some(other)) if same(one, other) => (row, column) = (row + 1, column + 1),
            (Some(_), other) if other.is_none() || at(&longest, row + 1, column) >= at(&longest, row, column + 1) => {
                gone.push(row);
                row += 1;
            }
            _ => {
                came.push(column);
                column += 1;
            }
        }
    }
    (gone, came)
}

/// `POST …/refresh`: reads the document now.
pub async fn refresh(
    State(services): State<Services>,
    Path((id, client_id)): Path<(String, String)>,
    Change(posted): Change,
) -> Result<Response, Sorry> {
    let visitor = posted.visitor;
    let subject = Subject::find(&services, &visitor, server(&visitor, &id)?, &client_id).await?;
    let row = &subject.row;
    let back = visitor.links.client(row.resource_server, row.client_id.as_str(), "");
    let Ok(url) = services.manifests.manifests().url(row.client_id.as_str()) else {
        return Ok(layout::go(&services, &back, false, "It is not described by a document of its own."));
    };
    let servers = registered_at(&services, row.client_key).await.map_err(|failure| visitor.sorry(failure))?;
    let polled = services.manifests.refresh(&url, &servers).await.map_err(|error| visitor.sorry(error))?;
    let not_asked = polled
        .retry_after
        .map(|seconds| format!("The document was not asked for, because too much is being fetched now. Try again in {seconds} s."));
    let (good, text) = match (polled.trouble, polled.changed) {
        (Some(_), _) if not_asked.is_some() => (false, not_asked.unwrap_or_default()),
        (Some(trouble), _) => (false, format!("The document could not be read: {}.", trouble.as_str().replace('_', " "))),
        (None, true) => (true, "The document was read, and it has changed.".to_owned()),
        (None, false) => (true, "The document was read. It says what it said before.".to_owned()),
    };
    Ok(layout::go(&services, &back, good, text))
}

/// `POST …/roll-back`: the redirect URIs of an earlier version serve again.
pub async fn roll_back(
    State(services): State<Services>,
    Path((id, client_id)): Path<(String, String)>,
    Change(posted): Change,
) -> Result<Response, Sorry> {
    let Posted { visitor, fields } = posted;
    let server = server(&visitor, &id)?;
    let client_id = ClientId::parse(&client_id).map_err(|_| visitor.sorry(Failure::not_found("client")))?;
    let version = fields.text("version").and_then(|text| text.parse().ok()).unwrap_or_default();
    let reason = fields.reason().map_err(|failure| visitor.sorry(failure))?;
    let back = visitor.links.client(server, client_id.as_str(), "");
    let target = (server, client_id.key());
    match services.commands.roll_back(&visitor.caller.cause, visitor.tenant(), target, version, reason).await {
        Ok(_) => Ok(layout::go(&services, &back, true, format!("What version {version} says serves again."))),
        Err(error) => Ok(layout::go(&services, &back, false, capital(&error.to_string()))),
    }
}

fn server(visitor: &Visitor, id: &str) -> Result<ResourceServerId, Sorry> {
    id.parse().map_err(|_| visitor.sorry(Failure::not_found("resource server")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_differ_are_marked() {
        assert_eq!(changed(&["a", "b", "c"], &["a", "x", "c", "d"]), (vec![1], vec![1, 3]));
        assert_eq!(changed(&["a"], &["a,", "b"]), (vec![], vec![1]));
        assert_eq!(changed(&[], &["a"]), (vec![], vec![0]));
        assert_eq!(changed(&["a"], &[]), (vec![0], vec![]));
    }
}
