//! How a page says no: what went wrong, what to do about it, and the id by which the log knows it.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::html;

use super::links::Links;
use crate::application::services::Services;
use crate::http::error::Failure;
use crate::http::request_id::RequestId;
use crate::ui::parts::layout;

/// A failure, as a page.
pub struct Sorry(Box<Told>);

struct Told {
    status: StatusCode,
    sentence: String,
    headers: HeaderMap,
    request_id: String,
    links: Links,
}

impl Sorry {
    /// What somebody is told who sees pages here.
    pub fn new(failure: &Failure, links: &Links, request_id: &str) -> Self {
        let (status, sentence, headers) = failure.told();
        Self(Box::new(Told { status, sentence, headers, request_id: request_id.to_owned(), links: links.clone() }))
    }
}

impl IntoResponse for Sorry {
    fn into_response(self) -> Response {
        let Told { status, sentence, mut headers, request_id, links } = *self.0;
        let waits = headers.get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let cure = match status {
            StatusCode::NOT_FOUND => "It may have been moved, or belongs to another tenant.",
            StatusCode::FORBIDDEN => "Your role does not allow it, or the page was open for too long. Go back, reload, and try again.",
            StatusCode::CONFLICT => "Somebody was faster. Go back and reload to see how it stands now.",
            StatusCode::UNAUTHORIZED => "What you typed was not saved.",
            StatusCode::SERVICE_UNAVAILABLE => "This page tries again by itself.",
            status if status.is_server_error() => "Nothing was changed. The log of the service has the cause under the id below.",
            _ => "Nothing was changed.",
        };
        let heading = match status {
            StatusCode::NOT_FOUND => "There is nothing here",
            StatusCode::FORBIDDEN => "That is not allowed",
            StatusCode::CONFLICT => "That no longer holds",
            StatusCode::UNAUTHORIZED => "You are signed out",
            status if status.is_server_error() => "That did not work",
            _ => "That cannot be done",
        };
        let again = (status == StatusCode::SERVICE_UNAVAILABLE).then(|| waits.unwrap_or_else(|| "5".to_owned()));
        let body = html! {
            main #main .alone tabindex="-1" {
                p.code { (status.as_u16()) }
                h1 { (heading) }
                p { (capital(&sentence)) }
                p.muted { (cure) }
                p.actions { a.button href=(links.overview()) { "To the overview" } @if status == StatusCode::UNAUTHORIZED { a.button.primary href=(links.to("/sign-in")) { "Sign in" } } }
                p.muted.small { "Request " code { (request_id) } }
            }
        };
        headers.remove("www-authenticate");
        (status, headers, layout::bare(&links, heading, again.as_deref(), &body)).into_response()
    }
}

/// A refusal as the beginning of a sentence, with its end.
pub fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let end = if sentence.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// Nothing is there.
pub async fn no_such_page(State(services): State<Services>, Extension(request_id): Extension<RequestId>) -> Sorry {
    Sorry::new(&Failure::not_found("page"), &Links::of(&services), request_id.as_str())
}
