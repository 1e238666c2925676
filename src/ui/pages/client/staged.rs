//! What waits for a decision about a client: the difference that it would make, and the forms that decide.

use gatebook_events::answer_version::AnswerVersion;
use gatebook_events::identity::{ChangeId, ClientId, ResourceServerId};
use gatebook_events::reason;
use gatebook_events::redirect::RedirectUris;
use gatebook_events::registration::{AdmittedMetadata, ManifestRef, MemberChange};
use maud::{Markup, html};
use serde_json::Value;

use crate::ui::parts::format;
use crate::ui::parts::session::Visitor;

/// What is decided about.
#[derive(Debug, Clone, Copy)]
pub enum Decision {
    /// Whether it is let in, as it stands in this state.
    Registration(AnswerVersion),
    /// Whether this very change serves.
    Redirects(ChangeId),
}

/// What stays, what goes and what comes.
pub fn difference(serving: &RedirectUris, added: &RedirectUris, removed: &RedirectUris) -> Markup {
    let staying = serving.without(removed);
    html! {
        ul.difference {
            @for uri in &staying { li { (format::redirect_uri(uri)) } }
            @for uri in removed { li.removed { span { span.unseen { "taken away: " } (format::redirect_uri(uri)) } } }
            @for uri in added { li.added { span { span.unseen { "added: " } (format::redirect_uri(uri)) } } }
        }
    }
}

/// What else of what it says would be other than it is, member by member.
pub fn metadata_difference(now: &AdmittedMetadata, then: &AdmittedMetadata) -> Markup {
    html! {
        dl.changes { @for MemberChange { member, now, then } in now.changes(then) {
            dt { code { (format::inert(&member)) } }
            dd {
                @if let Some(now) = now { del { span.unseen { "now: " } (format::inert(&plain(&now))) } " " }
                @if let Some(then) = then { ins { span.unseen { "then: " } (format::inert(&plain(&then))) } }
            }
        } }
    }
}

/// A member's value as people read it.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Where a wish came from.
pub fn origin(origin: &str, manifest: Option<&ManifestRef>) -> Markup {
    html! {
        @match (origin, manifest) {
            (_, Some(manifest)) => { "Version " (manifest.version) " of its document says so." },
            ("rfc7592", None) => { "The client said so with its registration access token." },
            (other, None) => { "It came by " (format::inert(other)) "." },
        }
    }
}

/// Approve, or say no with a reason. `back` is where the page that follows is: `client` or `queue`.
///
/// What is flagged is not approved by one key or one click: an approval of a registration is asked about on a page of its own, and
/// the key only goes to the button of an approval of a change.
pub fn forms(
    visitor: &Visitor,
    (server, client_id): (ResourceServerId, &ClientId),
    decision: &Decision,
    (back, flagged): (&str, bool),
) -> Markup {
    if !visitor.may_change() {
        return html! { p.muted { "An administrator decides." } };
    }
    let field = format!("why-{server}-{client_id}");
    let (action, yes, no) = match decision {
        Decision::Registration(_) => ("decide", "approve", "deny"),
        Decision::Redirects(_) => ("redirects", "approve", "reject"),
    };
    let address = visitor.links.client(server, client_id.as_str(), action);
    let preview = format!("{}/preview", visitor.links.server(server, "clients"));
    let hidden = html! {
        (visitor.guard())
        input type="hidden" name="back" value=(back);
        @match decision {
            Decision::Registration(version) => { input type="hidden" name="version" value=(version); }
            Decision::Redirects(change) => { input type="hidden" name="change" value=(change); }
        }
    };
    html! {
        div.decision {
            form method="post" action=(address) {
                (hidden)
                @if flagged && matches!(decision, Decision::Registration(_)) {
                    input type="hidden" name="client" value=(client_id.as_str());
                    button.primary type="submit" name="action" value=(yes) formaction=(preview) data-key="a" { "Approve…" }
                } @else {
                    button.primary type="submit" name="action" value=(yes) data-key="a" data-asks[flagged] { "Approve" }
                }
            }
            // A form of its own, so that Enter after a reason says no.
            form.no method="post" action=(address) {
                (hidden)
                label.unseen for=(field) { "Why not, for the history" }
                input id=(field) type="text" name="reason" maxlength=(reason::MOST) autocomplete="off" placeholder="Why not, for the history" data-key="r";
                button.danger type="submit" name="action" value=(no) { @if no == "deny" { "Deny" } @else { "Reject" } }
            }
        }
    }
}
