//! What is known of a projection from outside: where it stands, how fast it goes, and why it does not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use gatebook_events::envelope::{EventId, Position};
use gatebook_events::stored::CodecError;
use gatebook_projections::read_model::{ApplyError, OpenError, ProjectionError};

use crate::aggregates::CommandError;
use crate::event_log::LogError;

/// A rate is of what was done since the last one was taken, at least so long ago.
const RATE_OVER: Duration = Duration::from_secs(1);
/// A rate that is older says nothing about now.
const RATE_LASTS: Duration = Duration::from_secs(5);

/// How far a projection has come, and whether it goes on.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The last event that its tables show. Never goes back.
    pub position: Position,
    /// Whether the tables answer. They do not while they are built for the first time.
    pub serves: bool,
    /// Whose tables answer: this version's, or an older one's while this one's are built.
    pub version: u32,
    /// Why it stopped; it shows what it has and nothing newer.
    pub stopped: Option<Arc<Trouble>>,
    /// What the surroundings refuse: it shows what it has, and tries again by itself until it succeeds.
    pub retrying: Option<Arc<Trouble>>,
    /// When the first event was recorded that is known of and not shown; none while all are.
    pub behind_since: Option<DateTime<Utc>>,
    /// How fast events come in.
    pub pace: Pace,
    /// The tables that are being built beside.
    pub building: Option<Building>,
    /// Why the last build came to nothing, until the next one is begun; until one succeeds where the surroundings refused it.
    pub build_failed: Option<Arc<Trouble>>,
}

impl Progress {
    /// Whether the tables answer and show an event.
    pub fn shows(&self, position: Position) -> bool {
        self.serves && self.position >= position
    }

    /// Whether nothing moves any more until somebody does something about it.
    pub fn stands_still(&self) -> bool {
        self.stopped.is_some() || self.cannot_be_built().is_some_and(|trouble| !trouble.passes)
    }

    /// Whether nothing moves before the surroundings give in.
    pub fn is_refused(&self) -> bool {
        !self.stands_still() && (self.retrying.is_some() || self.cannot_be_built().is_some_and(|trouble| trouble.passes))
    }

    /// Why there is nothing that answers, where a build should have made it.
    fn cannot_be_built(&self) -> Option<&Trouble> {
        self.build_failed.as_deref().filter(|trouble| !self.serves && (trouble.passes || self.building.is_none()))
    }

    /// `stopped`, `retrying` while the surroundings refuse, `building` while nothing answers yet, `live` at the head of the log,
    /// `catching_up` before it.
    pub fn state(&self, head: Position) -> &'static str {
        if self.stands_still() {
            "stopped"
        } else if self.is_refused() {
            "retrying"
        } else if !self.serves {
            "building"
        } else if self.position >= head {
            "live"
        } else {
            "catching_up"
        }
    }

    /// How many events are not shown. Positions of the log that projections follow have no gaps.
    pub fn lag_events(&self, head: Position) -> u64 {
        head.to_backend().saturating_sub(self.position.to_backend())
    }

    /// For how long the oldest event has waited that is not shown.
    pub fn lag_seconds(&self, head: Position, now: DateTime<Utc>) -> f64 {
        let since = self.behind_since.filter(|_| self.position < head);
        since.map_or(0.0, |since| (now - since).as_seconds_f64().max(0.0))
    }
}

/// How fast events come in.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    since: Instant,
    from: Position,
    rate: f64,
}

impl Pace {
    pub(super) fn from(position: Position) -> Self {
        Self { since: Instant::now(), from: position, rate: 0.0 }
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate is for people")]
    pub(super) fn moved_to(&mut self, position: Position) {
        let elapsed = self.since.elapsed();
        if elapsed >= RATE_OVER {
            let done = position.to_backend().saturating_sub(self.from.to_backend());
            *self = Self { since: Instant::now(), from: position, rate: done as f64 / elapsed.as_secs_f64() };
        }
    }

    /// Events a second; none where nothing moves.
    pub fn events_per_second(&self) -> f64 {
        if self.since.elapsed() <= RATE_LASTS { self.rate } else { 0.0 }
    }
}

/// Tables that are being built.
#[derive(Debug, Clone, Copy)]
pub struct Building {
    /// The last event in them.
    pub position: Position,
    /// Since when, and from where; none before the tables are open.
    measured: Option<(Instant, Position)>,
}

impl Building {
    pub(super) fn new() -> Self {
        Self { position: Position::START, measured: None }
    }

    pub(super) fn moved_to(&mut self, position: Position) {
        self.position = position;
        self.measured.get_or_insert((Instant::now(), position));
    }

    /// Events a second since it was begun or gone on with.
    #[expect(clippy::cast_precision_loss, reason = "a rate is for people")]
    pub fn events_per_second(&self) -> f64 {
        let Some((began, from)) = self.measured else { return 0.0 };
        let done = self.position.to_backend().saturating_sub(from.to_backend());
        done as f64 / began.elapsed().as_secs_f64().max(0.001)
    }

    /// How much of it is done, out of 100.
    pub fn percent(&self, head: Position) -> u64 {
        self.position.to_backend().saturating_mul(100).checked_div(head.to_backend()).unwrap_or(100).min(100)
    }

    /// How many seconds it will still take, rounded up; none before anything is known.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate is for people")]
    pub fn seconds_left(&self, head: Position) -> Option<u64> {
        let (rate, left) = (self.events_per_second(), head.to_backend().saturating_sub(self.position.to_backend()));
        (rate > 0.0).then(|| (left as f64 / rate).ceil() as u64)
    }
}

/// Why a projection, or a build of it, stands still.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// A sentence that quotes nothing of what any event holds: callers of every tenant may read it. The log has the rest.
    pub cause: String,
    /// The event that it stands before, if it is an event's fault.
    pub poison: Option<Poison>,
    /// Whether the surroundings refuse and it is tried again by itself.
    pub passes: bool,
}

/// An event that a projection cannot read or apply.
#[derive(Debug, Clone)]
pub struct Poison {
    /// Which event.
    pub event_id: EventId,
    /// Its stored name.
    pub event_name: Arc<str>,
    /// Where it stands.
    pub position: Position,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// The version of its shape that the build would have to know, if a newer build wrote it.
    pub needs_version: Option<u16>,
}

/// What stops a projection or a build.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The log cannot be followed.
    #[error("failed to follow the event log")]
    Log(#[from] LogError),
    /// What operators decided about the projection cannot be read.
    #[error("failed to read which events are left out")]
    Upkeep(#[source] CommandError),
    /// An event or the tables are at fault.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    /// The file is at fault.
    #[error("failed to open or swap the read model")]
    File(#[from] OpenError),
    /// The tables show a log that is not this one.
    #[error("its tables show events up to position {0} that the event log does not have, and are built anew")]
    OfAnotherLog(Position),
    /// A defect of ours.
    #[error("the projection's thread ended early")]
    Thread,
}

impl Stop {
    pub(super) fn trouble(&self) -> Trouble {
        match self {
            Self::Projection(ProjectionError::Event { position, event_id, event_name, recorded_at, source, .. }) => {
                let needs_version = match &**source {
                    ApplyError::Codec(CodecError::Newer { version, .. }) => Some(*version),
                    ApplyError::Codec(_) | ApplyError::Meta(_) | ApplyError::Data(_) | ApplyError::Sqlite(_) => None,
                };
                let (event_name, event_id, position, recorded_at) = (event_name.clone(), *event_id, *position, *recorded_at);
                Trouble {
                    cause: source.to_string(),
                    poison: Some(Poison { event_id, event_name, position, recorded_at, needs_version }),
                    passes: false,
                }
            }
            // What SQLite and the system say of a refusal quotes no event.
            other if other.may_pass() || other.asks_for_a_build() => Trouble { cause: other.sentence(), poison: None, passes: true },
            other => Trouble { cause: other.to_string(), poison: None, passes: false },
        }
    }

    /// What came to nothing, and what SQLite or the system says of it: the first and the last of the chain, which name no file.
    fn sentence(&self) -> String {
        let mut last = std::error::Error::source(self);
        while let Some(cause) = last.and_then(std::error::Error::source) {
            last = Some(cause);
        }
        last.map_or_else(|| self.to_string(), |cause| format!("{self}: {cause}"))
    }

    /// Whether the surroundings refused and may give in: then no event is at fault.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Log(error) | Self::Upkeep(CommandError::Read(error)) => matches!(error, LogError::Unavailable(_)),
            Self::Upkeep(_) | Self::Thread | Self::OfAnotherLog(_) => false,
            Self::Projection(error) => error.may_pass(),
            Self::File(error) => error.may_pass(),
        }
    }

    /// Whether the tables are of no use, and only others that are built from the log help.
    pub(super) fn asks_for_a_build(&self) -> bool {
        match self {
            Self::Projection(error) => error.is_damage(),
            Self::OfAnotherLog(_) => true,
            _ => false,
        }
    }

    /// With what it came from, in one line, for the log.
    pub(super) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}
