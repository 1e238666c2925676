//! The pages for administrators, at `/ui`: one page a file. They ask what the API asks and command what it commands.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Response, header};
use axum::middleware;
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};

use crate::application::services::Services;

pub mod pages;
pub mod parts;

mod assets;

/// Every page, below `/ui`.
pub fn router(services: &Services) -> Router<Services> {
    Router::new()
        .route("/", get(crate::ui::pages::overview::page))
        .route("/sign-in", get(crate::ui::pages::sign_in::page).post(crate::ui::pages::sign_in::with_token))
        .route("/sign-in/provider", get(crate::ui::pages::provider::go))
        .route("/sign-in/back", get(crate::ui::pages::provider::back))
        .route("/sign-out", post(crate::ui::pages::sign_in::out))
        .route("/servers/{id}/clients", get(crate::ui::pages::clients::page))
        .route("/servers/{id}/clients/preview", post(crate::ui::pages::bulk::preview))
        .route("/servers/{id}/clients/decide", post(crate::ui::pages::bulk::decide))
        .route("/servers/{id}/clients/{client_id}", get(crate::ui::pages::client::page))
        .route("/servers/{id}/clients/{client_id}/decide", post(crate::ui::pages::client::decide))
        .route("/servers/{id}/clients/{client_id}/redirects", post(crate::ui::pages::client::redirects))
        .route("/servers/{id}/clients/{client_id}/rotate-secret", post(crate::ui::pages::client::rotate))
        .route("/servers/{id}/clients/{client_id}/revoke-old-secret", post(crate::ui::pages::client::revoke_old))
        .route("/servers/{id}/clients/{client_id}/refresh", post(crate::ui::pages::client::refresh))
        .route("/servers/{id}/clients/{client_id}/roll-back", post(crate::ui::pages::client::roll_back))
        .route("/servers/{id}/enter", get(crate::ui::pages::enter::page).post(crate::ui::pages::enter::submit))
        .route("/servers/{id}/enter/check", post(crate::ui::pages::enter::check))
        .route("/servers/{id}/enter/document", post(crate::ui::pages::enter_cimd::submit))
        .route("/approvals", get(crate::ui::pages::approvals::page))
        .route("/unbound", get(crate::ui::pages::unbound::page))
        .route("/unbound/{client_id}/delete", post(crate::ui::pages::unbound::delete))
        .route("/servers", post(crate::ui::pages::settings::create))
        .route("/servers/new", get(crate::ui::pages::settings::new))
        .route("/servers/{id}/settings", get(crate::ui::pages::settings::page).post(crate::ui::pages::settings::rename))
        .route("/servers/{id}/settings/modes", post(crate::ui::pages::settings::modes))
        .route("/servers/{id}/settings/rules", post(crate::ui::pages::settings::rules))
        .route("/servers/{id}/settings/retire", post(crate::ui::pages::settings::retire))
        .route("/audit", get(crate::ui::pages::audit::page))
        .route("/audit/export", get(crate::ui::pages::audit::export))
        .route("/audit/walk", post(crate::ui::pages::audit::walk))
        .layer(middleware::from_fn_with_state(services.clone(), crate::ui::parts::session::bounded))
        .route("/live", get(crate::ui::pages::live::stream))
        .route("/assets/{name}", get(assets::asset))
        .fallback(crate::ui::parts::error_page::no_such_page)
        .method_not_allowed_fallback(crate::ui::parts::error_page::no_such_page)
        .layer(middleware::map_response(guarded))
}

/// Whoever types the bare address is a person.
pub async fn front_door(State(services): State<Services>) -> impl IntoResponse {
    Redirect::to(&crate::ui::parts::links::Links::of(&services).overview())
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
