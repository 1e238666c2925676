//! `POST /ui/servers/{id}/enter/document`: a client entered by the URL of its document, once it was seen what that says.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use maud::html;
use serde_json::{Value, json};

use crate::application::error::UseCaseError;
use crate::application::services::Services;
use crate::http::authsec::manifests;
use crate::http::caller;
use crate::http::error::Failure;
use crate::ui::parts::error_page::{Sorry, capital};
use crate::ui::parts::format;
use crate::ui::parts::layout::{self, Frame, Place, Tab};
use crate::ui::parts::server;
use crate::ui::parts::session::{Change, Posted};

/// Reads the document, and shows it; with `confirmed`, enters its client. Both are what the API does.
pub async fn submit(State(services): State<Services>, Path(id): Path<String>, Change(posted): Change) -> Result<Response, Sorry> {
    let Posted { visitor, fields } = posted;
    let frame = Frame::open(&services, &visitor).await?;
    let row = server::named(&visitor, &frame, &id)?;
    let url = fields.text("document").unwrap_or_default();
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let entered = fields.text("text").filter(|text| !text.trim().is_empty());
    let body = match entered {
        None => json!({ "client_id": url }),
        Some(text) => json!({ "client_id": url, "document": text }),
    };
    let body = Body::from(body.to_string());
    let (state, target, caller) = (State(services.clone()), caller::Path(id), visitor.caller.clone());
    let back = visitor.links.server(row.id, "enter");
    if fields.has("confirmed", "1") {
        return match manifests::enter(state, caller, target, headers, body).await {
            Ok(_) => Ok(layout::go(&services, &visitor.links.client(row.id, url, ""), true, "The client was entered, and may act.")),
            Err(problem) => Ok(layout::go(&services, &back, false, told(&problem.0))),
        };
    }
    let Json(said) = match manifests::preview(state, caller, target, headers, body).await {
        Ok(said) => said,
        Err(problem) => return Ok(layout::go(&services, &back, false, told(&problem.0))),
    };
    let text = |pointer: &str| said.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let host = gatebook_events::redirect::WebUri::parse(url).map(|uri| uri.host().to_owned()).unwrap_or_default();
    let uris: Vec<&str> = said
        .pointer("/metadata/redirect_uris")
        .and_then(Value::as_array)
        .map(|all| all.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let refused = text("/admission") == "refuse";
    let content = html! {
        (server::head(&visitor, row, Tab::Enter))
        h2 { span.host { (format::cut_host(&host)) } " " (format::inert(&text("/metadata/client_name"))) }
        @if let Some(other) = said.pointer("/resembles/client_name").and_then(Value::as_str) {
            ul.doubts { li.grave { "It looks like " b { (format::inert(other)) } ", which is approved and comes from elsewhere." } }
        }
        @for left_out in said.get("left_out").and_then(Value::as_array).into_iter().flatten() {
            p.help { "Left out: " code { (left_out.pointer("/member").and_then(Value::as_str).unwrap_or_default()) } ", which "
                (format::inert(left_out.pointer("/problem").and_then(Value::as_str).unwrap_or_default())) "." }
        }
        @if said.get("entered").is_some() { p.note.plain { "Its host cannot be reached from here: this is the text that you entered. It serves for your tenant until the host answers." } }
        @if refused { p.said.bad role="alert" { (capital(&text("/refusal"))) } }
        dl.facts {
            dt { "Document" } dd { code.uri { (format::inert(url)) } }
            dt { "Redirect URIs" } dd { @for uri in uris { div { code { (format::inert(uri)) } } } }
        }
        details #whole { summary { "All that would be registered" } pre { (format::inert(&serde_json::to_string_pretty(&said.get("metadata")).unwrap_or_default())) } }
        form.fields method="post" action={ (back) "/document" } {
            (visitor.guard())
            input type="hidden" name="document" value=(url);
            input type="hidden" name="confirmed" value="1";
            @if let Some(text) = entered { input type="hidden" name="text" value=(text); }
            p.actions { @if !refused { button.primary type="submit" { "Enter it, approved" } } a.button href=(back) { "Cancel" } }
        }
    };
    Ok(frame.page(&services, &visitor, Place::Server(row.id, Tab::Enter), "A client by its document", &content))
}

fn told(failure: &Failure) -> String {
    let sentence = capital(&failure.told().1);
    match failure {
        Failure::UseCase(UseCaseError::Document { problem: Some(problem), .. }) => format!("{sentence}: {problem}"),
        Failure::UseCase(UseCaseError::Document { trouble, .. }) => format!("{sentence} ({})", trouble.as_str().replace('_', " ")),
        _ => sentence,
    }
}
