//! The pages for administrators, at `/ui`: one page a file. They ask what the API asks and command what it commands.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Response, header};
use axum::middleware;
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};

use crate::app::App;

mod approvals;
mod assets;
mod audit;
mod bulk;
mod by_document;
mod chart;
mod client;
mod clients;
mod cookie;
mod doubt;
mod enter;
mod fields;
mod frame;
mod links;
mod live;
mod overview;
mod provider;
mod server;
mod settings;
mod show;
mod sign_in;
mod signed_out;
mod sorry;
mod trail;
mod unbound;
mod visitor;

pub use signed_out::SignedOut;

/// Every page, below `/ui`.
pub fn router(app: &App) -> Router<App> {
    Router::new()
        .route("/", get(overview::page))
        .route("/sign-in", get(sign_in::page).post(sign_in::with_token))
        .route("/sign-in/provider", get(provider::go))
        .route("/sign-in/back", get(provider::back))
        .route("/sign-out", post(sign_in::out))
        .route("/servers/{id}/clients", get(clients::page))
        .route("/servers/{id}/clients/preview", post(bulk::preview))
        .route("/servers/{id}/clients/decide", post(bulk::decide))
        .route("/servers/{id}/clients/{client_id}", get(client::page))
        .route("/servers/{id}/clients/{client_id}/decide", post(client::decide))
        .route("/servers/{id}/clients/{client_id}/redirects", post(client::redirects))
        .route("/servers/{id}/clients/{client_id}/rotate-secret", post(client::rotate))
        .route("/servers/{id}/clients/{client_id}/revoke-old-secret", post(client::revoke_old))
        .route("/servers/{id}/clients/{client_id}/refresh", post(client::refresh))
        .route("/servers/{id}/clients/{client_id}/roll-back", post(client::roll_back))
        .route("/servers/{id}/enter", get(enter::page).post(enter::submit))
        .route("/servers/{id}/enter/check", post(enter::check))
        .route("/servers/{id}/enter/document", post(by_document::submit))
        .route("/approvals", get(approvals::page))
        .route("/unbound", get(unbound::page))
        .route("/unbound/{client_id}/delete", post(unbound::delete))
        .route("/servers", post(settings::create))
        .route("/servers/new", get(settings::new))
        .route("/servers/{id}/settings", get(settings::page).post(settings::rename))
        .route("/servers/{id}/settings/modes", post(settings::modes))
        .route("/servers/{id}/settings/rules", post(settings::rules))
        .route("/servers/{id}/settings/retire", post(settings::retire))
        .route("/audit", get(audit::page))
        .route("/audit/export", get(audit::export))
        .route("/audit/walk", post(audit::walk))
        .layer(middleware::from_fn_with_state(app.clone(), visitor::bounded))
        .route("/live", get(live::stream))
        .route("/assets/{name}", get(assets::asset))
        .fallback(sorry::no_such_page)
        .method_not_allowed_fallback(sorry::no_such_page)
        .layer(middleware::map_response(guarded))
}

/// Whoever types the bare address is a person.
pub async fn front_door(State(app): State<App>) -> impl IntoResponse {
    Redirect::to(&links::Links::of(&app).overview())
}

/// What every page tells the browser: nothing runs, loads or frames that is not this service's own, and nothing is kept.
async fn guarded<B>(mut response: Response<B>) -> Response<B> {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
        form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
