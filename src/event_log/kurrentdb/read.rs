//! Reading `$all`: pages of our events, and where it ends.

use std::pin::pin;
use std::time::{Duration, Instant};

use eventstore::{Error, ReadAllOptions, RecordedEvent, ResolvedEvent, StreamPosition, SubscriptionFilter};
use gatebook_events::envelope::Position;

use super::{Parts, Silent};
use crate::cluster::kurrentdb::{ANSWER, Kurrent};
use crate::event_log::LogError;

/// How many events a node looks at before it says how far it is: many, because others may write to the cluster too.
const WINDOW: u32 = 1000;

/// How long a node may search for the next event that is asked for, as long as it answers other questions meanwhile: a read that looks
/// for certain events says nothing before it has one, and others may have written for days.
const SEARCH: Duration = Duration::from_secs(600);

/// What was found is handed on when the next event is not found within this.
const LINGER: Duration = Duration::from_millis(500);

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

/// What was read after a place.
#[derive(Debug)]
pub struct Page {
    /// The events of the log's streams.
    pub ours: Vec<RecordedEvent>,
    /// All of them up to here are among those.
    pub upto: Option<Place>,
    /// Whether there were no more.
    pub all: bool,
}

/// The events after a place, so many at most. Whatever is read is known from then on, also if nobody waits for the rest. The driver's
/// subscriptions are not used: one that its node ends in order spins for ever.
pub async fn page(parts: &Parts, after: Option<Place>, most: usize) -> Result<Page, LogError> {
    let kurrent = &parts.kurrent;
    let start = match after {
        Some(Place { commit, prepare }) => StreamPosition::Position(eventstore::Position { commit, prepare }),
        None => StreamPosition::Start,
    };
    // The notes that nodes share are read too and show how far it is: they are most of what is written while nobody registers anything.
    let filter = ours(&parts.prefix).add_prefix(format!("{}:", kurrent.name));
    let options = ReadAllOptions::default().forwards().position(start).filter(filter).max_count(most).requires_leader(true);
    let (client, number) = kurrent.client();
    let mut read = patiently(kurrent, number, client.read_all(&options)).await?;
    let (mut page, mut count) = (Page { ours: Vec::new(), upto: after, all: false }, 0);
    loop {
        let next = if page.upto > after {
            let Ok(next) = tokio::time::timeout(LINGER, read.next()).await else { return Ok(page) };
            judged(kurrent, number, next)?
        } else {
            patiently(kurrent, number, read.next()).await?
        };
        let Some(next) = next else { break };
        count += 1;
        // The place itself is read again.
        let Some(event) = next.event.filter(|event| after.is_none_or(|after| Place::of(event) > after)) else { continue };
        let place = Place::of(&event);
        let is_ours = event.stream_id().starts_with(&parts.prefix);
        parts.known.read(after, Some(place), is_ours.then(|| place.position()));
        page.upto = Some(place);
        if is_ours {
            page.ours.push(event);
        }
    }
    page.all = count < most;
    Ok(page)
}

/// Where `$all` ends; none where there is nothing.
pub async fn end(kurrent: &Kurrent) -> Result<Option<Place>, LogError> {
    let (client, number) = kurrent.client();
    let options = backwards();
    let look = async { client.read_all(&options).await?.next().await };
    match tokio::time::timeout(ANSWER * 2, look).await {
        Ok(answer) => Ok(event_of(judged(kurrent, number, answer)?).map(|event| Place::of(&event))),
        Err(_) => Err(silent(kurrent, number)),
    }
}

/// Where `$all` ends, and the position of the last of its events in streams that begin like this. That one may be far from the end,
/// where little is registered and much is noted, so it gets its time.
pub async fn last(kurrent: &Kurrent, prefix: &str) -> Result<(Option<Place>, Position), LogError> {
    let end = end(kurrent).await?;
    let (client, number) = kurrent.client();
    let options = backwards().filter(ours(prefix));
    let found = patiently(kurrent, number, async { client.read_all(&options).await?.next().await }).await?;
    Ok((end, event_of(found).map_or(Position::START, |event| Place::of(&event).position())))
}

fn event_of(resolved: Option<ResolvedEvent>) -> Option<RecordedEvent> {
    resolved.and_then(|resolved| resolved.event)
}

fn backwards() -> ReadAllOptions {
    ReadAllOptions::default().position(StreamPosition::End).backwards().max_count(1).requires_leader(true)
}

fn ours(prefix: &str) -> SubscriptionFilter {
    SubscriptionFilter::on_stream_name().add_prefix(prefix).max(WINDOW)
}

/// Waits for a step that may need a search. Whoever searches still says where `$all` ends; whoever does not is gone, and so is the step
/// if the driver that asked is.
async fn patiently<T>(kurrent: &Kurrent, number: u64, step: impl Future<Output = Result<T, Error>>) -> Result<T, LogError> {
    let (mut step, began) = (pin!(step), Instant::now());
    loop {
        if let Ok(answer) = tokio::time::timeout(ANSWER, &mut step).await {
            return judged(kurrent, number, answer);
        }
        if began.elapsed() > SEARCH || kurrent.client().1 != number {
            return Err(silent(kurrent, number));
        }
        end(kurrent).await?;
    }
}

fn judged<T>(kurrent: &Kurrent, number: u64, answer: Result<T, Error>) -> Result<T, LogError> {
    answer.map_err(|error| {
        kurrent.failed(number, Some(&error));
        LogError::Unavailable(Box::new(error))
    })
}

fn silent(kurrent: &Kurrent, number: u64) -> LogError {
    kurrent.failed(number, None);
    LogError::Unavailable(Box::new(Silent))
}
