//! Following a mirror, whatever becomes of its file: where the file is replaced, followers go on in the new one, which has the same
//! events at the same positions.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use gatebook_events::envelope::Position;

use super::Parts;
use super::file::MirrorFile;
use crate::event_log::{Closed, EventLog, Followed, LogError};

pub fn follow(parts: Arc<Parts>, after: Position) -> BoxStream<'static, Result<Followed, LogError>> {
    let follower = Follower { parts, last: after, current: None, ended: false };
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

/// A file, and what comes of it.
type Current = (Arc<MirrorFile>, BoxStream<'static, Result<Followed, LogError>>);

struct Follower {
    parts: Arc<Parts>,
    /// The last event that was handed out, or the one to start after.
    last: Position,
    current: Option<Current>,
    ended: bool,
}

impl Follower {
    async fn next(&mut self) -> Result<Followed, LogError> {
        loop {
            if self.current.is_none() {
                let file = file_with(&self.parts, self.last).await?;
                let following = file.log.follow(self.last);
                self.current = Some((file, following));
            }
            let Some((file, following)) = &mut self.current else { continue };
            let mut closed = self.parts.closed.subscribe();
            let followed = tokio::select! {
                followed = following.next() => followed,
                _ = closed.wait_for(|closed| *closed) => return Err(LogError::Unavailable(Box::new(Closed))),
            };
            match followed {
                Some(Ok(followed)) => {
                    if let Followed::Events(events) = &followed {
                        self.last = events.last().map_or(self.last, |last| last.position);
                    }
                    return Ok(followed);
                }
                Some(Err(LogError::Broken(broken))) => {
                    self.parts.doubt.send_replace(Some(broken));
                    let old = file.clone();
                    self.current = None;
                    other_than(&self.parts, &old).await?;
                }
                // Its file was closed, because it is replaced or because all is.
                Some(Err(LogError::Unavailable(_))) | None => {
                    let old = file.clone();
                    self.current = None;
                    other_than(&self.parts, &old).await?;
                }
            }
        }
    }
}

/// The file, once it has what was handed out already.
async fn file_with(parts: &Parts, last: Position) -> Result<Arc<MirrorFile>, LogError> {
    loop {
        let file = {
            let mut files = parts.file.subscribe();
            let file = unless_closed(parts, files.wait_for(Option::is_some)).await?;
            file.ok().and_then(|file| file.clone())
        };
        let Some(file) = file else { return Err(LogError::Unavailable(Box::new(Closed))) };
        if unless_closed(parts, file.reached(last)).await? {
            return Ok(file);
        }
        other_than(parts, &file).await?;
    }
}

/// Waits until the file is another one.
async fn other_than(parts: &Parts, old: &Arc<MirrorFile>) -> Result<(), LogError> {
    let mut files = parts.file.subscribe();
    let another = files.wait_for(|file| file.as_ref().is_some_and(|file| !Arc::ptr_eq(file, old)));
    unless_closed(parts, another).await.map(drop)
}

async fn unless_closed<T>(parts: &Parts, waiting: impl Future<Output = T>) -> Result<T, LogError> {
    let mut closed = parts.closed.subscribe();
    tokio::select! {
        waited = waiting => Ok(waited),
        _ = closed.wait_for(|closed| *closed) => Err(LogError::Unavailable(Box::new(Closed))),
    }
}
