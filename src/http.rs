//! The router as a contents page: file path = URL, one endpoint a file. A handler parses, asks and renders.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware;
use axum::routing::{delete, get, post, put};
use tower_http::cors::CorsLayer;

use crate::application::services::Services;

pub(crate) mod consistency;
pub(crate) mod etag;
pub(crate) mod rate_limit_headers;
pub(crate) mod response;

pub(crate) mod authsec;
pub(crate) mod bounded;
pub(crate) mod caller;
pub(crate) mod error;
mod health;
mod host;
pub(crate) mod json;
mod metrics;
pub(crate) mod oauth;
pub(crate) mod parameters;
mod pieces;
pub(crate) mod request_id;
pub(crate) mod timely;
mod well_known;

/// Every endpoint of the service, with the pages in the same middleware.
pub fn router(services: Services, pages: Router<Services>) -> Router {
    let discovery = Router::new()
        .route(well_known::PLACE, get(well_known::instance))
        .route("/.well-known/oauth-authorization-server/{*path}", get(well_known::of_path))
        .route("/.well-known/jwks.json", get(well_known::key_set));

    let clients = Router::new()
        .route("/oauth/register", post(oauth::register::register).fallback(error::method_not_allowed_post))
        .route("/rs/{id}/oauth/register", post(oauth::register::register_at).fallback(error::method_not_allowed_post))
        .route(
            "/oauth/register/{client_id}",
            get(oauth::manage::read).put(oauth::manage::replace).delete(oauth::manage::delete).fallback(error::method_not_allowed_manage),
        )
        .route("/oauth/token", post(oauth::token::token).fallback(error::method_not_allowed_post))
        .layer(middleware::from_fn_with_state(services.clone(), crate::http::consistency::after_named))
        .layer(middleware::map_response(never_stored))
        .merge(discovery)
        .layer(open_to_browsers());

    let doors = Router::new()
        .route("/oauth/decisions", post(oauth::decisions::decide).fallback(error::method_not_allowed_post))
        .route("/oauth/clients/{client_id}", get(oauth::decisions::client))
        .route("/oauth/introspect", post(oauth::introspect::introspect).fallback(error::method_not_allowed_post))
        .route("/oauth/authenticate", post(oauth::authenticate::authenticate).fallback(error::method_not_allowed_post))
        .layer(middleware::from_fn_with_state(services.clone(), crate::http::consistency::after_named))
        .layer(middleware::map_response(never_stored));

    let clients_of_server = Router::new()
        .route("/cimd", post(authsec::manifests::enter))
        .route("/cimd/preview", post(authsec::manifests::preview))
        .route("/{client_id}/refresh", post(authsec::manifests::refresh))
        .route("/{client_id}/roll-back", post(authsec::manifests::roll_back))
        .route("/{client_id}/manifest", get(authsec::manifests::versions))
        .route("/", get(authsec::clients::list).post(authsec::preregister::preregister))
        .route("/{client_id}", get(authsec::clients::read).delete(authsec::decisions::revoke_by_delete))
        .route("/{client_id}/approve-redirects", put(authsec::decisions::approve_redirects))
        .route("/{client_id}/reject-redirects", put(authsec::decisions::reject_redirects))
        .route("/{client_id}/rotate-secret", post(authsec::secrets::rotate))
        .route("/{client_id}/revoke-old-secret", post(authsec::secrets::revoke_old))
        .route("/{client_id}/{decision}", post(authsec::decisions::decide));

    let administrators = Router::new()
        .route("/resource-servers", get(authsec::resource_servers::list).post(authsec::resource_servers::create))
        .route(
            "/resource-servers/{id}",
            get(authsec::resource_servers::read).patch(authsec::resource_servers::edit).delete(authsec::resource_servers::retire),
        )
        .route("/resource-servers/{id}/policy/rehearse", post(authsec::rehearse::rehearse))
        .route("/presets", get(authsec::rehearse::presets_list))
        .nest("/resource-servers/{id}/clients", clients_of_server)
        .route("/manifests/poll", post(authsec::manifests::poll))
        .route(
            "/resource-servers/{id}/registration-tokens",
            get(authsec::registration_tokens::list).post(authsec::registration_tokens::issue),
        )
        .route(
            "/resource-servers/{id}/registration-tokens/{token_id}",
            get(authsec::registration_tokens::read).delete(authsec::registration_tokens::revoke),
        )
        .route("/service-tokens", get(authsec::service_tokens::list).post(authsec::service_tokens::create))
        .route("/service-tokens/{token_id}", get(authsec::service_tokens::read).delete(authsec::service_tokens::revoke))
        .nest("/webhooks", webhooks())
        .route("/signing-keys", get(authsec::signing_keys::list))
        .route("/signing-keys/rotate", post(authsec::signing_keys::rotate))
        .route("/signing-keys/{key_id}", delete(authsec::signing_keys::withdraw))
        .route("/unbound-clients", get(authsec::unbound::list))
        .route("/unbound-clients/{client_id}", get(authsec::unbound::read).delete(authsec::unbound::delete))
        .route("/approvals", get(authsec::approvals::list))
        .route("/audit/events", get(authsec::audit::list))
        .route("/audit/events/{event_id}", get(authsec::audit::read))
        .route("/audit/export", get(authsec::audit::export::export))
        .route("/projections", get(authsec::projections::list))
        .route("/projections/{name}/rebuild", post(authsec::projections::rebuild))
        .route("/projections/{name}/retry", post(authsec::projections::retry))
        .route("/projections/{name}/skip", post(authsec::projections::skip))
        .route("/projections/{name}/unskip", post(authsec::projections::unskip))
        .route("/cluster", get(authsec::cluster::show))
        .layer(middleware::from_fn_with_state(services.clone(), bounded::of_administrator))
        .route("/audit/stream", get(authsec::stream::stream))
        .method_not_allowed_fallback(error::method_not_allowed_admin)
        .layer(middleware::from_fn(caller::only_known_parameters))
        .layer(middleware::from_fn_with_state(services.clone(), crate::http::consistency::after_named_by_admin))
        .layer(middleware::map_response(never_stored));

    Router::new()
        .merge(clients)
        .merge(doors)
        .nest("/authsec", administrators)
        .merge(pages)
        .route("/health", get(health::health))
        .fallback(error::no_such_page)
        .layer(middleware::from_fn_with_state(services.clone(), timely::bodies))
        .layer(middleware::from_fn(host::must_be_one))
        .layer(middleware::from_fn(request_id::carry))
        .with_state(services)
}

fn webhooks() -> Router<Services> {
    Router::new()
        .route("/", get(authsec::webhooks::list).post(authsec::webhooks::create))
        .route("/{webhook_id}", get(authsec::webhooks::read).patch(authsec::webhooks::edit).delete(authsec::webhooks::delete))
        .route("/{webhook_id}/disable", post(authsec::webhooks::disable))
        .route("/{webhook_id}/enable", post(authsec::webhooks::enable))
        .route("/{webhook_id}/rotate-secret", post(authsec::webhooks::rotate_secret))
        .route("/{webhook_id}/dead-letters", get(authsec::dead_letters::list))
        .route("/{webhook_id}/dead-letters/retry", post(authsec::dead_letters::retry_all))
        .route("/{webhook_id}/dead-letters/{event_id}", get(authsec::dead_letters::read).delete(authsec::dead_letters::drop_letter))
        .route("/{webhook_id}/dead-letters/{event_id}/retry", post(authsec::dead_letters::retry))
}

/// What a monitoring system asks, on a listener of its own: it says how busy the service is, and asks for no token.
pub fn metrics_router(services: Services) -> Router {
    Router::new().route("/metrics", get(metrics::metrics)).layer(middleware::from_fn(host::must_be_one)).with_state(services)
}

/// Answers here carry credentials or depend on them (RFC 7591 §3.2.1). One that has a tag says itself how it may be held.
async fn never_stored<B>(mut response: axum::http::Response<B>) -> axum::http::Response<B> {
    let headers = response.headers_mut();
    if headers.contains_key(header::ETAG) {
        return response;
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// Clients that run in a browser register too; nothing here is authorised by a cookie.
fn open_to_browsers() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(tower_http::cors::Any)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::ACCEPT,
            HeaderName::from_static("mcp-protocol-version"),
            crate::http::consistency::POSITION,
        ])
        .expose_headers([
            header::WWW_AUTHENTICATE,
            header::RETRY_AFTER,
            crate::http::rate_limit_headers::POLICY,
            crate::http::rate_limit_headers::LIMIT,
            HeaderName::from_static("x-request-id"),
            crate::http::consistency::POSITION,
        ])
        .max_age(std::time::Duration::from_secs(3600))
}
