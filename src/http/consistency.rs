//! A read that follows a write sees it: reads wait, bounded, for the tables to reach the log's head as it was when the
//! request arrived, and for the position that another node's answer named.

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use gatebook_events::envelope::Position;
use gatebook_projections::read_model::{Projection, QueryError, Reader};

use super::error::{Failure, OauthError, Problem};
use super::request_id::RequestId;
use crate::application::consistency::reached;
use crate::application::error::UseCaseError;
use crate::application::services::Services;
use crate::read_models::Projector;
use crate::read_models::consistency::{self, Behind};

/// Names the last event that an answer knows of.
pub const POSITION: HeaderName = HeaderName::from_static("gatebook-position");
/// Present on answers from tables that could not catch up in time.
const STALE: HeaderName = HeaderName::from_static("gatebook-stale");

/// An answer with how fresh it is.
pub struct Fresh<T> {
    /// The answer.
    pub body: T,
    shown: Position,
    stale: bool,
}

impl<T> Fresh<T> {
    /// An answer about a moment, which no later event changes.
    pub const fn then(body: T, shown: Position) -> Self {
        Self { body, shown, stale: false }
    }

    /// The answer, where an old one would be a wrong one.
    pub fn unless_stale(self) -> Result<T, UseCaseError> {
        if self.stale { Err(Behind.into()) } else { Ok(self.body) }
    }

    /// The last event that it knows of.
    pub const fn shown(&self) -> Position {
        self.shown
    }

    /// Whether it comes from tables that could not catch up in time.
    pub const fn is_stale(&self) -> bool {
        self.stale
    }

    /// The same freshness around something else.
    pub fn map<U>(self, render: impl FnOnce(T) -> U) -> Fresh<U> {
        Fresh { body: render(self.body), shown: self.shown, stale: self.stale }
    }
}

impl<T: IntoResponse> IntoResponse for Fresh<T> {
    fn into_response(self) -> Response {
        let mut response = self.body.into_response();
        response.headers_mut().insert(POSITION, HeaderValue::from(self.shown.to_backend()));
        if self.stale {
            response.headers_mut().insert(STALE, HeaderValue::from_static("true"));
        }
        response
    }
}

/// The answer to a write, with where its last event stands; nothing where it already held.
pub struct Written<T>(pub T, pub Option<Position>);

impl<T: IntoResponse> IntoResponse for Written<T> {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        if let Some(position) = self.1 {
            response.headers_mut().insert(POSITION, HeaderValue::from(position.to_backend()));
        }
        response
    }
}

/// The position that a caller names, if it names one.
fn named(headers: &HeaderMap) -> Result<Option<Position>, Failure> {
    let Some(value) = headers.get(&POSITION) else { return Ok(None) };
    let named = value.to_str().ok().and_then(|text| text.parse::<Position>().ok());
    named.map(Some).ok_or_else(|| Failure::request(StatusCode::BAD_REQUEST, "invalid-position", "Gatebook-Position is not a position"))
}

/// Waits for what a caller names. A position that no event has is refused where this node keeps the whole log. Where other nodes
/// write too, only a caller that is known waits for what this node has not heard of: it could be told any number.
async fn arrived(services: &Services, headers: &HeaderMap) -> Result<(), Failure> {
    let Some(named) = named(headers)? else { return Ok(()) };
    let head = services.log.head().await?;
    if named > head {
        if !services.node.shares_its_log {
            return Err(beyond(head));
        }
        if !super::caller::is_known(services, headers).await {
            return Err(UseCaseError::Busy.into());
        }
    }
    if reached(services, named).await? {
        return Ok(());
    }
    Err(Failure::request(StatusCode::SERVICE_UNAVAILABLE, "read-model-behind", "this node has not reached that position yet"))
}

fn beyond(head: Position) -> Failure {
    let detail = format!("Gatebook-Position is beyond the end of the log, which is {head}; it has to be one that an answer named");
    Failure::request(StatusCode::BAD_REQUEST, "invalid-position", detail)
}

/// Lets a client's or an authorization server's call wait for what it names, whichever node wrote that.
pub async fn after_named(State(services): State<Services>, request: Request, next: Next) -> Response {
    match arrived(&services, request.headers()).await {
        Ok(()) => next.run(request).await,
        Err(failure) => OauthError(failure).into_response(),
    }
}

/// Lets an administrator's call wait for what it names.
pub async fn after_named_by_admin(
    State(services): State<Services>,
    Extension(id): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Response {
    match arrived(&services, request.headers()).await {
        Ok(()) => next.run(request).await,
        Err(failure) => Problem(failure, id).into_response(),
    }
}

/// Asks a projection's tables once they show the log's head and the position that the caller names.
pub async fn read<P, T>(
    services: &Services,
    projector: &Projector<P>,
    headers: &HeaderMap,
    query: impl FnOnce(&Reader<P>) -> Result<T, QueryError> + Send + 'static,
) -> Result<Fresh<T>, Failure>
where
    P: Projection,
    T: Send + 'static,
{
    let named = named(headers)?;
    let read = consistency::read(&*services.log, projector, named, services.config.read_wait, query).await?;
    if read.stale && named.is_some_and(|named| read.shown < named) {
        return Err(Failure::request(StatusCode::SERVICE_UNAVAILABLE, "read-model-behind", "the lists have not reached that position yet"));
    }
    Ok(Fresh { body: read.body, shown: read.shown, stale: read.stale })
}
