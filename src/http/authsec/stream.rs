//! `GET /authsec/audit/stream`: the trail as it grows, as server-sent events from any position.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use gatebook_events::envelope::Position;
use serde::Deserialize;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::Instant;

use crate::application::audit::streams::{Batch, Place};
use crate::application::services::Services;
use crate::credentials::admin::{Admin, AdminRefusal};
use crate::http::caller::{Administrator, Query, bearer};
use crate::http::error::{Failure, Problem};
use crate::read_models::Follower;

/// A stream on which nothing happens says so, so that nobody takes it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The last that is said on a stream whose token is over: a comment for people, an event for programs.
const OVER: &str = ": the token is over\n\nevent: end\ndata: {\"reason\":\"token-expired\"}\n\n";

/// Where to start.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct From {
    /// The position after which to start; `Last-Event-ID` has precedence, and without either only what is new is sent.
    after: Option<String>,
}

/// Sends every event of the tenant after a position, and then each one as it comes, until the token is over. The id of each is its
/// position, so that a client that reconnects goes on where it was.
pub async fn stream(
    extract::State(services): extract::State<Services>,
    caller: Administrator,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    caller.must_audit()?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned).or(from.after);
    let refuse = |_| {
        let detail = "after, or Last-Event-ID, is not a position; right is the `position` of an event";
        caller.problem(Failure::request(StatusCode::BAD_REQUEST, "invalid-position", detail))
    };
    let after = match last {
        Some(text) => text.parse::<Position>().map_err(refuse)?,
        None => services.log.head().await.map_err(|error| caller.problem(error))?,
    };
    let (admin, until) = match bearer(&headers) {
        Some(token) => services.admins.verify_until(token).await.map_err(|refusal| caller.problem(refusal))?,
        None => return Err(caller.problem(AdminRefusal::Missing)),
    };
    let place = services.streams.begin(&admin.tenant, &admin.subject).map_err(|failure| caller.problem(failure))?;
    let left = (until - services.commands.clock().now()).to_std().unwrap_or_default();
    let live = services.streams.listen(&admin.tenant);
    let tail = Tail { services, admin, after, state: State::CatchingUp, live, over: Instant::now() + left, _place: place };
    let pieces = futures_util::stream::unfold(tail, |mut tail| async move {
        let piece = tail.next().await?;
        Some((Ok::<Bytes, Infallible>(piece), tail))
    });
    let kind = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((kind, Body::from_stream(pieces)).into_response())
}

struct Tail {
    services: Services,
    admin: Admin,
    after: Position,
    state: State,
    live: broadcast::Receiver<Arc<Batch>>,
    over: Instant,
    _place: Place,
}

enum State {
    /// It reads for itself what came before it listens.
    CatchingUp,
    /// It is told with all others of its tenant.
    Listening,
    Ended,
}

impl Tail {
    /// The next piece of the body; none when the service stops, and after the last one.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if Instant::now() >= self.over && !matches!(self.state, State::Ended) {
                self.state = State::Ended;
                return Some(Bytes::from_static(OVER.as_bytes()));
            }
            match self.state {
                State::Ended => return None,
                State::CatchingUp => {
                    let shown = self.services.history.progress().position;
                    let read = self.services.reads.begin(&self.admin.tenant, &self.admin.subject);
                    let read = tokio::select! {
                        read = read => read,
                        () = self.services.stopping.wait() => return None,
                    };
                    // One that finds no room ends here, and goes on from its last event when it comes back.
                    let _read = read.ok()?;
                    if let Some((text, upto)) = self.services.streams.read(&self.admin.tenant, self.after).await.ok()? {
                        self.after = upto;
                        return Some(text);
                    }
                    // What is between the two was another tenant's.
                    (self.after, self.state) = (self.after.max(shown), State::Listening);
                }
                State::Listening => {
                    tokio::select! {
                        told = self.live.recv() => match told {
                            Ok(batch) if batch.upto <= self.after => {}
                            Ok(batch) if batch.after >= self.after => {
                                self.after = batch.upto;
                                return Some(batch.text.clone());
                            }
                            Ok(_) | Err(RecvError::Lagged(_)) => self.state = State::CatchingUp,
                            Err(RecvError::Closed) => return None,
                        },
                        () = self.services.stopping.wait() => return None,
                        () = tokio::time::sleep_until(self.over) => {}
                        () = tokio::time::sleep(KEEP_ALIVE) => return Some(Bytes::from_static(b":\n\n")),
                    }
                }
            }
        }
    }
}
