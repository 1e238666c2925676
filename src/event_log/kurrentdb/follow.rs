//! Following: a page after the other, and at the end a look now and then whether it is still the end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use eventstore::RecordedEvent;
use futures_util::stream::{self, BoxStream, StreamExt};
use gatebook_events::envelope::{Position, StreamName};
use tokio::sync::watch;

use super::read::{self, Place};
use super::{PAGE, Parts, wire};
use crate::event_log::shared::Entry;
use crate::event_log::{BrokenChain, LogError, Wrong};

/// Between two looks at whether there is something new that another node wrote.
const PAUSE: Duration = Duration::from_millis(100);

pub fn follow(parts: Arc<Parts>, after: Position) -> BoxStream<'static, Result<Vec<Entry>, LogError>> {
    let written = parts.written.subscribe();
    let follower = Follower { parts, written, read: Place::behind(after), last: after, half: VecDeque::new(), more: true, ended: false };
    stream::unfold(follower, |mut follower| async move {
        if follower.ended {
            return None;
        }
        let next = follower.next().await;
        follower.ended = next.is_err();
        Some((next, follower))
    })
    .boxed()
}

struct Follower {
    parts: Arc<Parts>,
    written: watch::Receiver<u64>,
    /// Everything of ours up to here was read.
    read: Option<Place>,
    /// The last entry that was handed on, or after which this began.
    last: Position,
    /// The events of a commit whose last one was not read yet.
    half: VecDeque<RecordedEvent>,
    /// Whether there is more for sure.
    more: bool,
    ended: bool,
}

impl Follower {
    async fn next(&mut self) -> Result<Vec<Entry>, LogError> {
        loop {
            if self.half.is_empty() {
                // What others wrote behind our last event may be much. Whatever of it this node has read once is not read again.
                self.read = self.read.max(self.parts.known.beyond(self.last));
            }
            // Before anything is asked, so that nothing is missed that is written meanwhile.
            self.written.mark_unchanged();
            let end = if self.more { None } else { read::end(&self.parts.kurrent).await? };
            if self.more || end > self.read {
                let page = read::page(&self.parts, self.read, PAGE).await?;
                self.more = !page.all;
                let entries = self.whole(page.ours)?;
                self.read = self.read.max(page.upto);
                if page.all && self.half.is_empty() {
                    // What was the end before all was read: nothing of ours is left before it.
                    self.parts.known.read(self.read, end, None);
                    self.read = self.read.max(end);
                }
                if !entries.is_empty() {
                    return Ok(entries);
                }
                if self.more {
                    continue;
                }
            }
            // What this node wrote is there for sure.
            self.more = matches!(tokio::time::timeout(PAUSE, self.written.changed()).await, Ok(Ok(())));
        }
    }

    /// The commits that are whole with these events.
    fn whole(&mut self, events: Vec<RecordedEvent>) -> Result<Vec<Entry>, LogError> {
        let mut entries = Vec::new();
        for event in events {
            let place = Place::of(&event);
            let stream = event.stream_id().to_owned();
            self.half.push_back(event);
            let entry = wire::decode(&self.parts.prefix, self.half.make_contiguous()).map_err(|error| {
                tracing::error!(position = %place.position(), stream, %error, "an event in the event log is none of ours");
                let stream = stream.strip_prefix(&self.parts.prefix).map(|name| StreamName(name.into()));
                BrokenChain { position: place.position(), event: None, stream, wrong: Wrong::Unreadable }
            })?;
            self.read = Some(place);
            if let Some(entry) = entry {
                self.half.clear();
                self.last = entry.position;
                entries.push(entry);
            }
        }
        Ok(entries)
    }
}
