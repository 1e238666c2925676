//! `GET /authsec/audit/stream`: the trail as it grows, as server-sent events from any position.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use gatebook_events::envelope::Position;
use gatebook_events::identity::TenantId;
use gatebook_projections::history::HistoryRow;
use serde::Deserialize;

use super::audit::render;
use crate::app::App;
use crate::http::caller::{Administrator, Query};
use crate::http::error::{Failure, Problem};
use crate::projector::Follower;

/// How many events are read at once.
const BATCH: usize = 200;

/// Where to start.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct From {
    /// The position after which to start; `Last-Event-ID` has precedence, and without either only what is new is sent.
    after: Option<String>,
}

/// Sends every event of the tenant after a position, and then each one as it comes. The id of each is its position, so that a
/// client that reconnects goes on where it was.
pub async fn stream(
    State(app): State<App>,
    caller: Administrator,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    caller.must_audit()?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned).or(from.after);
    let refuse = |_| caller.problem(Failure::request(StatusCode::BAD_REQUEST, "invalid-position", "after is not a position"));
    let after = match last {
        Some(text) => text.parse::<Position>().map_err(refuse)?,
        None => app.log().head().await.map_err(|error| caller.problem(error))?,
    };
    let tail = Tail { app, tenant: caller.tenant().clone(), after, waiting: VecDeque::new() };
    let events = futures_util::stream::unfold(tail, |mut tail| async move { tail.next().await.map(|event| (Ok(event), tail)) });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

struct Tail {
    app: App,
    tenant: TenantId,
    after: Position,
    waiting: VecDeque<HistoryRow>,
}

impl Tail {
    /// The next event; none when the service stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(row) = self.waiting.pop_front() {
                return Some(Event::default().id(row.position.to_string()).event(row.name.clone()).data(render(&row).to_string()));
            }
            let shown = self.app.history().progress().position;
            let (reader, tenant, after) = (self.app.history().reader().clone(), self.tenant.clone(), self.after);
            let rows = tokio::task::spawn_blocking(move || reader.after(&tenant, after, BATCH)).await.ok()?.ok()?;
            if let Some(last) = rows.last() {
                self.after = last.position;
            } else {
                // Nothing of this tenant up to what was shown before the query, so there is no need to look there again.
                self.after = self.after.max(shown);
                tokio::select! {
                    moved = self.app.history().moved_past(self.after) => if !moved { return None },
                    () = self.app.stopping() => return None,
                }
            }
            self.waiting.extend(rows);
        }
    }
}
