//! What would the doors answer? The very question that authorization servers ask, with the decision and its reason.

use gatebook_events::decision::Question;
use gatebook_events::metadata::GrantType;
use gatebook_events::scope::Scope;
use gatebook_projections::directory::RegistrationRow;
use maud::{Markup, html};

use super::Subject;
use crate::application::decisions::{self, Answer};
use crate::application::services::Services;
use crate::http::error::Failure;
use crate::ui::parts::error_page::Sorry;
use crate::ui::parts::format;
use crate::ui::parts::forms::Fields;
use crate::ui::parts::session::Visitor;
use crate::ui::parts::warnings;

/// The answer to what the page's query asks; none where it asks nothing, or the visitor may not.
pub async fn asked(services: &Services, visitor: &Visitor, row: &RegistrationRow, fields: &Fields) -> Result<Option<Answer>, Sorry> {
    if !visitor.may_change() || !fields.has("ask", "1") {
        return Ok(None);
    }
    let scope = fields.text("scope").map(Scope::parse).transpose();
    let refuse = |_| visitor.sorry(Failure::request(axum::http::StatusCode::BAD_REQUEST, "invalid-request", "that is not a scope"));
    let scope = scope.map_err(refuse)?.flatten();
    let question = Question { redirect_uri: fields.text("redirect_uri"), grant_type: fields.text("grant_type"), scope: scope.as_ref() };
    let about = decisions::Subject { client_id: &row.client_id, since: None, source: None };
    let answer = decisions::ask(services, row.resource_server, &about, &question).await;
    answer.map(Some).map_err(|failure| visitor.sorry(failure))
}

/// The form, and the answer below it.
pub fn card(visitor: &Visitor, subject: &Subject, fields: &Fields, answer: Option<&Answer>) -> Markup {
    if !visitor.may_change() {
        return html! {};
    }
    let row = &subject.row;
    html! {
        section.card #doors aria-labelledby="doors-title" {
            h2 #doors-title { "What would the doors answer?" }
            form.fields method="get" action={ (visitor.links.client(row.resource_server, row.client_id.as_str(), "")) "#doors" } {
                input type="hidden" name="ask" value="1";
                div.field {
                    label for="ask-uri" { "Redirect URI" }
                    input #ask-uri .code type="text" name="redirect_uri" list="serving" value=[fields.text("redirect_uri")] autocomplete="off" spellcheck="false";
                    datalist #serving { @for uri in &row.redirect_uris { option value=(uri.as_str()) {} } }
                }
                div.pair {
                    div.field {
                        label for="ask-grant" { "Grant" }
                        select #ask-grant name="grant_type" {
                            option value="" { "not said" }
                            @for grant in GrantType::ALL { option value=(grant.as_str()) selected[fields.text("grant_type") == Some(grant.as_str())] { (grant.as_str()) } }
                        }
                    }
                    div.field { label for="ask-scope" { "Scope" } input #ask-scope type="text" name="scope" value=[fields.text("scope")] autocomplete="off"; }
                }
                p.actions { button type="submit" { "Ask" } }
            }
            @if let Some(answer) = answer { (told(answer)) }
        }
    }
}

fn told(answer: &Answer) -> Markup {
    let decision = answer.verdict.reason.decision().as_str();
    let name = answer.client.as_ref().and_then(|client| client.metadata.client_name.as_deref());
    let heading = match decision {
        "allow" => "Allow",
        "pending" => "Pending",
        _ => "Deny",
    };
    html! {
        div.verdict.(decision) role="status" {
            p { strong { (heading) } " " code { (answer.verdict.reason.as_str()) } }
            p { (sentence(answer.verdict.reason.as_str())) }
            @if let Some(uri) = &answer.verdict.redirect_uri { p { "The answer goes to " code.uri { (format::inert(uri)) } } }
        }
        (warnings::list(name, &answer.warnings, answer.resembles.as_ref()))
    }
}

fn sentence(reason: &str) -> &'static str {
    match reason {
        "approved" => "The client may act.",
        "approval_pending" => "It waits for an administrator.",
        "denied" => "An administrator said no.",
        "suspended" => "An administrator suspended it.",
        "revoked" => "An administrator revoked it.",
        "mode_suspended" => "The way in which it came was switched off here.",
        "manifest_withdrawn" => "The document that describes it was taken away.",
        "client_deleted" => "The client was deleted.",
        "resource_server_retired" => "The resource server was retired.",
        "not_registered" => "It is not registered here.",
        "mode_not_admitted" => "Clients that come this way are not admitted here.",
        "register_full" => "The register is full.",
        "document_not_reached" => "The host of its document cannot be reached from here.",
        "document_not_tried" => "The host of its document was not asked, because too much is being fetched now. Try again.",
        "document_unusable" => "Its document cannot be used, or the rules do not welcome what it says.",
        "redirect_uri_required" => "Several redirect URIs serve, and none was named.",
        "redirect_uri_not_registered" => "The redirect URI is not one that serves.",
        "grant_type_not_registered" => "It is not registered with that grant.",
        "scope_not_registered" => "That is more scope than it is registered with.",
        _ => "",
    }
}
