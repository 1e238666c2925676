//! `GET /ui/live`: tells an open page that something of its tenant changed. What it was the page asks for itself, so that
//! there is one way to show it and nothing here that a role may not see.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use gatebook_events::envelope::Position;
use gatebook_events::identity::TenantId;

use super::sorry::Sorry;
use super::visitor::{Session, Visitor};
use crate::app::App;
use crate::projector::Follower;

/// Between two words to one page.
const PAUSE: Duration = Duration::from_millis(250);

/// An `EventSource` that reconnects says the last position that it heard of, and is told at once of what it missed.
pub async fn stream(State(app): State<App>, visitor: Visitor) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Sorry> {
    let heard = visitor.headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let after = match heard {
        Some(position) => position,
        None => app.log().head().await.map_err(|error| visitor.sorry(error))?,
    };
    let tail = Tail { app, tenant: visitor.tenant().clone(), after, headers: visitor.headers };
    let words = futures_util::stream::unfold(tail, |mut tail| async move { tail.next().await.map(|event| (Ok(event), tail)) });
    Ok(Sse::new(words).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

struct Tail {
    app: App,
    tenant: TenantId,
    after: Position,
    headers: HeaderMap,
}

impl Tail {
    /// The next word; none once the session is over or the service stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let shown = self.app.history().progress().position;
            let (reader, tenant, after) = (self.app.history().reader().clone(), self.tenant.clone(), self.after);
            let found = tokio::task::spawn_blocking(move || reader.after(&tenant, after, 1)).await.ok()?.ok()?;
            Session::read(&self.app, &self.headers)?;
            self.after = self.after.max(shown);
            if !found.is_empty() {
                // A crowd of events is one word: the page asks for all of it anyway.
                tokio::time::sleep(PAUSE).await;
                self.after = self.after.max(self.app.history().progress().position);
                return Some(Event::default().event("changed").id(self.after.to_string()).data("changed"));
            }
            tokio::select! {
                moved = self.app.history().moved_past(self.after) => if !moved { return None },
                () = self.app.stopping() => return None,
            }
        }
    }
}
