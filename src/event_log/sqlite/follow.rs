//! Following: everything after a position from the file, then what is committed as it happens.
//!
//! Nothing runs unless the stream is polled, except for one read ahead while the consumer works; dropping it ends all.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use gatebook_events::envelope::Position;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Shared;
use super::reader::{self, Stretch};
use crate::event_log::{ChainHash, Closed, Followed, LogError};

/// How many events are read at a time.
const BATCH: usize = 1024;

pub fn follow(shared: Arc<Shared>, after: Position) -> BoxStream<'static, Result<Followed, LogError>> {
    let head = shared.head.clone();
    let follower = Follower { shared, head, last: after, hash: None, ahead: None, told: false, ended: false };
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
    shared: Arc<Shared>,
    head: watch::Receiver<Position>,
    /// The last event that was handed out, or the one to start after.
    last: Position,
    /// What `last` leaves; not known until something was read.
    hash: Option<ChainHash>,
    /// The read that follows on `last`, already under way.
    ahead: Option<JoinHandle<Result<Stretch, LogError>>>,
    /// Whether it was already said that there is nothing after `last`.
    told: bool,
    ended: bool,
}

impl Follower {
    async fn next(&mut self) -> Result<Followed, LogError> {
        loop {
            if let Some(ahead) = self.ahead.take() {
                let stretch = ahead.await.map_err(|failed| LogError::Unavailable(Box::new(failed)))??;
                return Ok(self.hand_out(stretch));
            }
            let head = *self.head.borrow_and_update();
            if self.last < head {
                match self.shared.tail.after(self.last, BATCH) {
                    Some(stretch) => return Ok(self.hand_out(stretch)),
                    None => self.ahead = Some(self.read_ahead(head)),
                }
            } else if self.last > head && self.hash.is_none() {
                // Somebody has seen more than there is: the log is not the one it was.
                return Err(reader::missing(head.to_backend() + 1).into());
            } else if self.last == head && !self.told {
                self.told = true;
                return Ok(Followed::CaughtUp(self.last));
            } else {
                // At the head, or a moment ahead of it: a commit is kept in memory right before its head is told.
                self.head.changed().await.map_err(|_| LogError::Unavailable(Box::new(Closed)))?;
            }
        }
    }

    fn hand_out(&mut self, stretch: Stretch) -> Followed {
        self.last = stretch.events.last().map_or(self.last, |last| last.position);
        self.hash = Some(stretch.hash);
        self.told = false;
        let head = *self.head.borrow();
        // Far behind: the next batch is read while the consumer works on this one. Near the head it will be in memory.
        if head.to_backend().saturating_sub(self.last.to_backend()) >= BATCH as u64 {
            self.ahead = Some(self.read_ahead(head));
        }
        Followed::Events(stretch.events)
    }

    fn read_ahead(&self, head: Position) -> JoinHandle<Result<Stretch, LogError>> {
        let (readers, from) = (self.shared.readers.clone(), (self.last, self.hash));
        tokio::spawn(async move { readers.with(move |reader| reader.stretch(from, head, BATCH)).await })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(ahead) = &self.ahead {
            ahead.abort();
        }
    }
}
