//! The sessions that were ended before their time. Memory is bounded: where it is full, all sessions of the oldest time end, so
//! that none is good again whose end was forgotten.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The most sessions that are remembered as ended.
const MOST: usize = 10_000;
/// Where there would be more, so many are forgotten, and what is as old as they are ends with them.
const FORGOTTEN: usize = MOST / 10;

/// Those sessions, until their time. Known to this node alone.
#[derive(Debug, Default)]
pub struct SignedOut(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    ended: HashMap<String, Ended>,
    /// Sessions that began then or before are over.
    up_to: Option<i64>,
}

/// A session that was ended; times are in seconds since the epoch.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// When it began.
    pub since: i64,
    /// When it would have ended.
    pub until: i64,
}

impl SignedOut {
    /// Whether a session that began then was ended.
    pub fn contains(&self, id: &str, since: i64) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.up_to.is_some_and(|up_to| since <= up_to) || known.ended.contains_key(id)
    }

    /// Ends a session.
    pub fn insert(&self, id: String, ended: Ended, now: i64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.ended.len() >= MOST {
            known.ended.retain(|_, ended| ended.until > now);
        }
        if known.ended.len() >= MOST {
            let mut began: Vec<i64> = known.ended.values().map(|ended| ended.since).collect();
            let (_, last, _) = began.select_nth_unstable(FORGOTTEN);
            let last = *last;
            known.up_to = known.up_to.max(Some(last));
            known.ended.retain(|_, ended| ended.since > last);
            tracing::warn!(sessions = MOST, "so many sessions were signed out that the oldest ones have ended too");
        }
        known.ended.insert(id, ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b10_no_session_is_good_again_because_there_were_too_many_sign_outs() {
        let known = SignedOut::default();
        let all = i64::try_from(3 * MOST).unwrap();
        for number in 0..all {
            known.insert(number.to_string(), Ended { since: number, until: number + 43_200 }, number);
        }
        assert!((0..all).all(|number| known.contains(&number.to_string(), number)));
        assert!(!known.contains("another", all), "a younger session goes on");
        assert!(known.contains("another", 0), "one as old as what was forgotten does not");
        assert!(known.0.lock().unwrap().ended.len() <= MOST);
    }

    #[test]
    fn b10_what_is_over_anyway_makes_room_first() {
        let known = SignedOut::default();
        for number in 0..=MOST {
            known.insert(number.to_string(), Ended { since: 0, until: 10 }, if number == MOST { 11 } else { 5 });
        }
        assert!(!known.contains("another", 0));
    }
}
