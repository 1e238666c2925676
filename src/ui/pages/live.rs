//! `GET /ui/live`: tells an open page that something of its tenant changed. What it was the page asks for itself, so that
//! there is one way to show it and nothing here that a role may not see.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use futures_util::Stream;
use gatebook_events::envelope::Position;
use gatebook_events::identity::TenantId;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::Instant;

use crate::application::audit::streams::{Batch, Place};
use crate::application::services::Services;
use crate::read_models::Follower;
use crate::ui::parts::error_page::Sorry;
use crate::ui::parts::session::{Session, Visitor};

/// Between two words to one page.
const PAUSE: Duration = Duration::from_millis(250);
/// So often a page is told that nothing happened, and it is looked whether its session goes on.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// An `EventSource` that reconnects says the last position that it heard of, and is told at once of what it missed.
pub async fn stream(
    State(services): State<Services>,
    visitor: Visitor,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Sorry> {
    let heard = visitor.headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let after = match heard {
        Some(position) => position,
        None => services.log.head().await.map_err(|error| visitor.sorry(error))?,
    };
    let tenant = visitor.tenant().clone();
    let place = services.streams.begin(&tenant, &visitor.caller.admin.subject).map_err(|failure| visitor.sorry(failure))?;
    let lasts = Session::read(&services, &visitor.headers).map_or(0, |session| session.lasts(services.commands.clock().now()));
    let over = Instant::now() + Duration::from_secs(u64::try_from(lasts).unwrap_or(0));
    let live = services.streams.listen(&tenant);
    let tail = Tail { services, tenant, after, caught_up: false, live, over, headers: visitor.headers, _place: place };
    let words = futures_util::stream::unfold(tail, |mut tail| async move { tail.next().await.map(|event| (Ok(event), tail)) });
    Ok(Sse::new(words))
}

struct Tail {
    services: Services,
    tenant: TenantId,
    after: Position,
    caught_up: bool,
    live: broadcast::Receiver<Arc<Batch>>,
    over: Instant,
    headers: HeaderMap,
    _place: Place,
}

impl Tail {
    /// The next word; none once the session is over or the service stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            Session::read(&self.services, &self.headers)?;
            if !self.caught_up {
                let shown = self.services.history.progress().position;
                let found = self.services.streams.any(&self.tenant, self.after).await.ok()?;
                (self.caught_up, self.after) = (true, self.after.max(shown));
                if found {
                    return Some(self.word().await);
                }
            }
            tokio::select! {
                biased;
                () = self.services.stopping.wait() => return None,
                told = self.live.recv() => match told {
                    Ok(batch) if batch.upto <= self.after => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => return Some(self.word().await),
                    Err(RecvError::Closed) => return None,
                },
                () = tokio::time::sleep_until(self.over) => return None,
                () = tokio::time::sleep(KEEP_ALIVE) => return Some(Event::default().comment("")),
            }
        }
    }

    /// A crowd of events is one word: the page asks for all of it anyway.
    async fn word(&mut self) -> Event {
        tokio::time::sleep(PAUSE).await;
        self.after = self.after.max(self.services.history.progress().position);
        Event::default().event("changed").id(self.after.to_string()).data("changed")
    }
}
