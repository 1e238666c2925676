//! How far `$all` was read, so that nobody goes through a second time what others wrote to it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use gatebook_events::envelope::Position;

use super::read::Place;

/// A place in `$all`, and the last of our events up to there. It only goes forward.
#[derive(Debug)]
pub struct Known(Mutex<(Option<Place>, Position)>);

impl Known {
    /// Our last event up to this place stands at this position.
    pub const fn new(upto: Option<Place>, last: Position) -> Self {
        Self(Mutex::new((upto, last)))
    }

    /// How far it was read, and the position of our last event up to there.
    pub fn all(&self) -> (Option<Place>, Position) {
        *self.lock()
    }

    /// Where somebody may go on who has all of ours up to this position; none where there is more of ours before what is known.
    pub fn beyond(&self, position: Position) -> Option<Place> {
        let (upto, last) = *self.lock();
        if position >= last { upto } else { None }
    }

    /// Somebody read from one place up to another, behind which nothing of ours was left out but what was told before. The position is
    /// that of the event there, if it is one of ours.
    pub fn read(&self, from: Option<Place>, upto: Option<Place>, ours: Option<Position>) {
        let mut known = self.lock();
        // Who begins further on does not know what is between.
        if from <= known.0 && upto > known.0 {
            known.0 = upto;
            known.1 = ours.unwrap_or(known.1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, (Option<Place>, Position)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64) -> Position {
        Position::from_backend(number)
    }

    #[test]
    fn who_has_our_last_event_goes_on_from_what_was_read_since_and_nobody_else_does() {
        let known = Known::new(Place::behind(at(90)), at(10));
        assert_eq!((known.beyond(at(9)), known.beyond(at(10))), (None, Place::behind(at(90))));
        known.read(Place::behind(at(10)), Place::behind(at(50)), Some(at(50)));
        assert_eq!(known.all(), (Place::behind(at(90)), at(10)), "it was known before");
        known.read(Place::behind(at(95)), Place::behind(at(99)), None);
        assert_eq!(known.all(), (Place::behind(at(90)), at(10)), "nobody read what is between");
        known.read(Place::behind(at(90)), Place::behind(at(95)), Some(at(95)));
        known.read(Place::behind(at(20)), Place::behind(at(99)), None);
        assert_eq!(known.all(), (Place::behind(at(99)), at(95)));
        assert_eq!((known.beyond(at(10)), known.beyond(at(95))), (None, Place::behind(at(99))));
    }
}
