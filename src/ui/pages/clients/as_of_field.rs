//! The list of clients as it was: the field that asks for it, and the word that says so. The past is only looked at.

use gatebook_events::identity::ResourceServerId;
use maud::{Markup, html};

use crate::application::audit::as_of::AsOf;
use crate::application::services::Services;
use crate::http::authsec::as_of::Then;
use crate::http::error::Failure;
use crate::ui::pages::audit::parse_moment;
use crate::ui::parts::error_page::Sorry;
use crate::ui::parts::format;
use crate::ui::parts::forms::Fields;
use crate::ui::parts::session::Visitor;

/// The name of the parameter.
pub const AS_OF: &str = "as_of";

/// The moment that a page is asked for, if it is not now: a time in UTC, as a browser's field has it, or a position.
pub async fn asked(services: &Services, visitor: &Visitor, id: ResourceServerId, fields: &Fields) -> Result<Option<Then>, Sorry> {
    let Some(text) = fields.text(AS_OF) else { return Ok(None) };
    let refuse = |_| Failure::request(axum::http::StatusCode::BAD_REQUEST, "invalid-as-of", "the parameter as_of names no moment");
    let as_of = parse_moment(text).map_or_else(|| text.parse().map_err(refuse), |time| Ok(AsOf::Time(time)));
    let as_of = as_of.map_err(|failure| visitor.sorry(failure))?;
    Then::of(services, &visitor.caller, &axum::http::HeaderMap::new(), (id, "resource server"), as_of)
        .await
        .map(Some)
        .map_err(|failure| visitor.sorry(failure))
}

/// Says that it is the past, and how to come back.
pub fn notice(here: &str, fields: &Fields, then: &Then) -> Markup {
    html! {
        p #past .note role="status" {
            "You look at the past: the clients as they were on " (format::exact_time(then.time())) ", after event " (then.position()) ". "
            "Nothing can be decided here, and a client's own page shows it as it is now. "
            a href={ (here) (fields.with(AS_OF, "", &["cursor"])) } { "Back to now" }
        }
    }
}

/// The field that asks for it.
pub fn field(here: &str, fields: &Fields, kept: &[&str], then: Option<&Then>) -> Markup {
    let value = then.map(|then| then.time().format("%Y-%m-%dT%H:%M:%S").to_string());
    html! {
        details.past open[then.is_some()] {
            summary { "As it was at another time" }
            form.find method="get" action=(here) {
                @for name in kept {
                    @if let Some(value) = fields.text(name) { input type="hidden" name=(name) value=(value); }
                }
                label for="as-of" { "At (" span data-zone { "UTC" } ")" }
                input #as-of type="datetime-local" name=(AS_OF) value=[value] step="1" required;
                button type="submit" { "Show" }
            }
        }
    }
}
