//! Reads of lists are bounded for each tenant and caller, from when they begin until their answer was taken.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::caller::{bearer, looks_at_clients};
use super::error::Problem;
use super::pieces::Pieces;
use super::request_id::RequestId;
use crate::application::reads::Read;
use crate::application::services::Services;

/// Whether a call reads much and changes nothing.
fn reads(request: &Request) -> bool {
    request.method() == Method::GET || request.uri().path().ends_with("/policy/rehearse")
}

/// Bounds an administrator's reads. Whoever is no administrator is told so by the page.
pub async fn of_administrator(
    State(services): State<Services>,
    Extension(id): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Response {
    let token = bearer(request.headers()).filter(|_| reads(&request));
    let Some(token) = token else { return next.run(request).await };
    let Ok(admin) = services.admins.verify(token).await.and_then(looks_at_clients) else { return next.run(request).await };
    match services.reads.begin(&admin.tenant, &admin.subject).await {
        Ok(read) => held(next.run(request).await, read),
        Err(failure) => Problem(failure.into(), id).into_response(),
    }
}

/// The same answer, which holds its read until it was taken.
pub fn held(response: Response, read: Read) -> Response {
    response.map(|body| Body::new(Pieces::new(body, read)))
}
