//! What time it is. The only place that reads the system's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// Tells the time in UTC and whole microseconds, which is what an event keeps. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Clock(Source);

#[derive(Debug, Clone, Default)]
enum Source {
    #[default]
    System,
    /// Microseconds since the epoch, shared by every clone.
    Set(Arc<AtomicI64>),
}

impl Clock {
    /// The system's clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `time` until [`Clock::set`] or [`Clock::advance`] moves it, for every clone at once.
    pub fn standing_at(time: DateTime<Utc>) -> Self {
        Self(Source::Set(Arc::new(AtomicI64::new(time.timestamp_micros()))))
    }

    /// The time now, cut to whole microseconds.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Source::System => Utc::now().trunc_subsecs(6),
            Source::Set(micros) => DateTime::from_timestamp_micros(micros.load(Ordering::SeqCst)).unwrap_or_default(),
        }
    }

    /// Moves a clock that is not the system's; the system's stays as it is.
    pub fn set(&self, time: DateTime<Utc>) {
        if let Source::Set(micros) = &self.0 {
            micros.store(time.timestamp_micros(), Ordering::SeqCst);
        }
    }

    /// Moves a clock that is not the system's by `step`; the system's stays as it is.
    pub fn advance(&self, step: TimeDelta) {
        if let Source::Set(micros) = &self.0 {
            micros.fetch_add(step.num_microseconds().unwrap_or_default(), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Timelike;

    use super::*;

    #[test]
    fn the_system_clock_has_no_more_than_microseconds() {
        assert_eq!(Clock::system().now().nanosecond() % 1_000, 0);
    }

    #[test]
    fn a_set_clock_stands_still_and_moves_for_every_clone() {
        let clock = Clock::standing_at(DateTime::from_timestamp_micros(1_700_000_000_000_001).unwrap());
        let clone = clock.clone();
        assert_eq!(clone.now(), clock.now());
        clock.advance(TimeDelta::seconds(90));
        assert_eq!(clone.now().timestamp_micros(), 1_700_000_090_000_001);
        clone.set(DateTime::UNIX_EPOCH);
        assert_eq!(clock.now(), DateTime::UNIX_EPOCH);
    }
}
