//! What time it is. The only place that reads the system's clock.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tokio::sync::watch;

/// The longest that the system's clock is not looked at while somebody waits: it may have been set.
const LOOK: Duration = Duration::from_secs(30);

/// Tells the time in UTC and whole microseconds, which is what an event keeps. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Clock(Source);

#[derive(Debug, Clone, Default)]
enum Source {
    #[default]
    System,
    /// Microseconds since the epoch, shared by every clone.
    Set(Arc<watch::Sender<i64>>),
}

impl Clock {
    /// The system's clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `time` until [`Clock::set`] or [`Clock::advance`] moves it, for every clone at once.
    pub fn standing_at(time: DateTime<Utc>) -> Self {
        Self(Source::Set(Arc::new(watch::Sender::new(time.timestamp_micros()))))
    }

    /// The time now, cut to whole microseconds.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Source::System => Utc::now().trunc_subsecs(6),
            Source::Set(micros) => DateTime::from_timestamp_micros(*micros.borrow()).unwrap_or_default(),
        }
    }

    /// Returns once it is this time.
    pub async fn until(&self, time: DateTime<Utc>) {
        match &self.0 {
            Source::System => {
                while let Ok(left) = (time - Utc::now()).to_std() {
                    tokio::time::sleep(left.clamp(Duration::from_millis(1), LOOK)).await;
                }
            }
            Source::Set(micros) => {
                let mut moved = micros.subscribe();
                // The sender is this clock's own, so there is nothing else to wait for.
                let _told = moved.wait_for(|now| *now >= time.timestamp_micros()).await;
            }
        }
    }

    /// Moves a clock that is not the system's; the system's stays as it is.
    pub fn set(&self, time: DateTime<Utc>) {
        if let Source::Set(micros) = &self.0 {
            micros.send_replace(time.timestamp_micros());
        }
    }

    /// Moves a clock that is not the system's by `step`; the system's stays as it is.
    pub fn advance(&self, step: TimeDelta) {
        if let Source::Set(micros) = &self.0 {
            micros.send_modify(|now| *now += step.num_microseconds().unwrap_or_default());
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

    #[tokio::test]
    async fn who_waits_for_a_time_goes_on_once_it_is_that_time() {
        let clock = Clock::standing_at(DateTime::UNIX_EPOCH);
        let noon = DateTime::UNIX_EPOCH + TimeDelta::hours(12);
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.until(noon).await }
        });
        clock.advance(TimeDelta::hours(11));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        clock.advance(TimeDelta::hours(1));
        waiting.await.unwrap();
        Clock::system().until(Clock::system().now()).await;
    }
}
