//! Which moment is meant: a time, or a position in the order of events.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use gatebook_events::envelope::{Envelope, Position};

/// Up to where events count.
///
/// The order of events is the log's, and times may be out of order by microseconds, or by what the clocks of several nodes differ.
/// So a time means a place in that order: right before the first event that was recorded later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// All events before the first one that was recorded after this time.
    Time(DateTime<Utc>),
    /// The event at this position and all before it.
    Position(Position),
}

/// A text that names no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is neither a time (RFC 3339) nor a position")]
pub struct InvalidAsOf;

impl AsOf {
    /// Whether it is over when this event comes.
    pub fn is_before(self, next: &Envelope) -> bool {
        match self {
            Self::Time(time) => next.event.recorded_at > time,
            Self::Position(position) => next.position > position,
        }
    }
}

impl FromStr for AsOf {
    type Err = InvalidAsOf;

    fn from_str(text: &str) -> Result<Self, InvalidAsOf> {
        if let Ok(position) = text.parse() {
            return Ok(Self::Position(position));
        }
        DateTime::parse_from_rfc3339(text).map(|time| Self::Time(time.to_utc())).map_err(|_| InvalidAsOf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_with_its_zone_or_a_position_and_nothing_else() {
        let noon = DateTime::from_timestamp(1_800_014_400, 0).unwrap();
        for text in ["2027-01-15T12:00:00Z", "2027-01-15T13:00:00+01:00", "2027-01-15T12:00:00.000000Z"] {
            assert_eq!(text.parse(), Ok(AsOf::Time(noon)), "{text}");
        }
        assert_eq!("17".parse(), Ok(AsOf::Position(Position::from_backend(17))));
        for text in ["", "-1", "yesterday", "2027-01-15", "2027-01-15T12:00:00", "2027-01-15T13:00:00 01:00"] {
            assert_eq!(text.parse::<AsOf>(), Err(InvalidAsOf), "{text}");
        }
    }
}
