//! Reading `$all`: pages of our events, and where it ends.

use std::time::Duration;

use eventstore::{Error, ReadAllOptions, ReadStream, RecordedEvent, StreamPosition, SubscriptionFilter};
use gatebook_events::envelope::Position;

use super::Silent;
use crate::kurrent::{ANSWER, Kurrent};
use crate::log::LogError;

/// How many events a node looks at before it says how far it is: many, because others may write to the cluster too.
const WINDOW: u32 = 1000;

/// How long our last event may be looked for when the log is opened.
const SEARCH: Duration = Duration::from_secs(30);

/// A place in `$all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    commit: u64,
    prepare: u64,
}

impl Place {
    /// Where an event stands.
    pub fn of(event: &RecordedEvent) -> Self {
        Self { commit: event.position.commit, prepare: event.position.prepare }
    }

    /// Right behind an entry with this position: nothing else has the same.
    pub fn behind(position: Position) -> Option<Self> {
        let number = position.to_backend();
        (position > Position::START).then_some(Self { commit: number, prepare: number })
    }

    /// What the mirror knows the entry by whose last event is here.
    pub fn position(self) -> Position {
        Position::from_backend(self.commit)
    }
}

/// The events after a place, so many at most, of the streams that begin like this. The driver's subscriptions are not used: one that
/// its node ends in order spins for ever.
pub async fn page(kurrent: &Kurrent, prefix: &str, after: Option<Place>, most: usize) -> Result<(Vec<RecordedEvent>, bool), LogError> {
    let start = match after {
        Some(Place { commit, prepare }) => StreamPosition::Position(eventstore::Position { commit, prepare }),
        None => StreamPosition::Start,
    };
    let options = ReadAllOptions::default().forwards().position(start).filter(ours(prefix)).max_count(most).requires_leader(true);
    let mut read = begin(kurrent, &options).await?;
    let (mut events, mut number) = (Vec::new(), 0);
    while let Some(event) = read.next().await? {
        number += 1;
        // The place itself is read again.
        if after.is_none_or(|after| Place::of(&event) > after) {
            events.push(event);
        }
    }
    Ok((events, number < most))
}

/// Where `$all` ends; none where there is nothing.
pub async fn end(kurrent: &Kurrent) -> Result<Option<Place>, LogError> {
    Ok(begin(kurrent, &backwards()).await?.next().await?.map(|event| Place::of(&event)))
}

/// Where `$all` ends, and the position of the last of its events in streams that begin like this. That one may be far from the end,
/// where little is registered and much is noted, so it gets its time.
pub async fn last(kurrent: &Kurrent, prefix: &str) -> Result<(Option<Place>, Position), LogError> {
    let end = end(kurrent).await?;
    let (client, number) = kurrent.client();
    let options = backwards().filter(ours(prefix));
    let look = async { client.read_all(&options).await?.next().await };
    let found = within(SEARCH, kurrent, number, look).await?.and_then(|resolved| resolved.event);
    Ok((end, found.map_or(Position::START, |event| Place::of(&event).position())))
}

fn backwards() -> ReadAllOptions {
    ReadAllOptions::default().position(StreamPosition::End).backwards().max_count(1).requires_leader(true)
}

fn ours(prefix: &str) -> SubscriptionFilter {
    SubscriptionFilter::on_stream_name().add_prefix(prefix).max(WINDOW)
}

/// A read under way, whose every step has its time.
struct Reading<'a> {
    kurrent: &'a Kurrent,
    number: u64,
    stream: ReadStream,
}

async fn begin<'a>(kurrent: &'a Kurrent, options: &ReadAllOptions) -> Result<Reading<'a>, LogError> {
    let (client, number) = kurrent.client();
    let stream = timed(kurrent, number, client.read_all(options)).await?;
    Ok(Reading { kurrent, number, stream })
}

impl Reading<'_> {
    async fn next(&mut self) -> Result<Option<RecordedEvent>, LogError> {
        let next = timed(self.kurrent, self.number, self.stream.next()).await?;
        Ok(next.and_then(|resolved| resolved.event))
    }
}

async fn timed<T>(kurrent: &Kurrent, number: u64, step: impl Future<Output = Result<T, Error>>) -> Result<T, LogError> {
    within(ANSWER * 2, kurrent, number, step).await
}

async fn within<T>(time: Duration, kurrent: &Kurrent, number: u64, step: impl Future<Output = Result<T, Error>>) -> Result<T, LogError> {
    match tokio::time::timeout(time, step).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            kurrent.failed(number, Some(&error));
            Err(LogError::Unavailable(Box::new(error)))
        }
        Err(_) => {
            kurrent.failed(number, None);
            Err(LogError::Unavailable(Box::new(Silent)))
        }
    }
}
