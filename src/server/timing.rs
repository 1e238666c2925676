//! What a connection is doing, and until when it may go on doing that: waiting for a request, reading its head, at work, or
//! writing to a peer that takes nothing.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How long a connection may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the head of a request, from its first byte; of the first one, from when the connection was opened.
    pub head: Duration,
    /// Between two calls, and for a peer to take some of an answer.
    pub idle: Duration,
}

/// What a connection is doing. Its task, its input and output and the calls on it tell; its task asks.
#[derive(Debug)]
pub struct Timing {
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Debug)]
struct State {
    calls: usize,
    /// Several calls share it, and what arrives between two of them need not be the head of a request.
    multiplexed: bool,
    /// Since when a head is on its way.
    head: Option<Instant>,
    /// Since when there has been no call.
    idle: Instant,
    /// Since when the peer has taken nothing of what is to be written.
    stalled: Option<Instant>,
    over: bool,
}

/// Why a connection has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Nothing was asked for long; it ends as it would at a stop.
    Idle,
    /// The head of a request, or the peer that should take an answer, was too slow; or it had to make room.
    Late,
}

impl Default for Timing {
    fn default() -> Self {
        let now = Instant::now();
        let state = State { calls: 0, multiplexed: false, head: Some(now), idle: now, stalled: None, over: false };
        Self { state: Mutex::new(state), ended: Notify::new() }
    }
}

impl Timing {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The head of a request was read.
    pub fn call_begins(&self, multiplexed: bool) {
        self.with(|state| {
            state.calls += 1;
            state.head = None;
            state.multiplexed = multiplexed;
        });
    }

    /// An answer was written to the end, or nobody waits for it any longer.
    pub fn call_ends(&self) {
        self.with(|state| {
            state.calls = state.calls.saturating_sub(1);
            state.idle = Instant::now();
        });
    }

    /// Something arrived.
    pub fn arrived(&self) {
        self.with(|state| {
            if state.calls == 0 && !state.multiplexed && state.head.is_none() {
                state.head = Some(Instant::now());
            }
        });
    }

    /// The peer took something, or could not.
    pub fn wrote(&self, something: bool) {
        self.with(|state| state.stalled = if something { None } else { state.stalled.or_else(|| Some(Instant::now())) });
    }

    /// Since when it has stood still, unless a call is under way; those that wait for a head are before those that are idle.
    pub fn standing_still(&self) -> Option<(bool, Instant)> {
        self.with(|state| (state.calls == 0 && !state.over).then(|| (state.head.is_none(), state.head.unwrap_or(state.idle))))
    }

    /// Until when it may go on like this.
    pub fn due(&self, patience: Patience) -> Option<(Instant, Over)> {
        self.with(|state| {
            let stalled = state.stalled.map(|since| (since + patience.idle, Over::Late));
            let waiting = (state.calls == 0).then(|| match state.head {
                Some(since) => (since + patience.head, Over::Late),
                None => (state.idle + patience.idle, Over::Idle),
            });
            [stalled, waiting].into_iter().flatten().min_by_key(|(due, _)| *due)
        })
    }

    /// Ends it, because another one needs its place.
    pub fn end(&self) {
        self.with(|state| state.over = true);
        self.ended.notify_one();
    }

    /// Whether it was ended.
    #[cfg(test)]
    pub fn is_over(&self) -> bool {
        self.with(|state| state.over)
    }

    /// Returns once it was ended.
    pub async fn ended(&self) {
        self.ended.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { head: Duration::from_secs(10), idle: Duration::from_secs(60) };

    fn over(timing: &Timing) -> Option<Over> {
        timing.due(PATIENCE).map(|(_, over)| over)
    }

    fn left(timing: &Timing) -> u64 {
        timing.due(PATIENCE).map_or(0, |(due, _)| (due - Instant::now()).as_secs() + 1)
    }

    #[test]
    fn b4_a_head_has_its_time_and_so_has_the_pause_between_two_calls() {
        let timing = Timing::default();
        assert_eq!((over(&timing), left(&timing)), (Some(Over::Late), 10), "a connection on which nothing comes");
        timing.arrived();
        timing.call_begins(false);
        timing.arrived();
        assert_eq!(over(&timing), None, "a call has its own bounds");
        timing.call_ends();
        assert_eq!((over(&timing), left(&timing)), (Some(Over::Idle), 60));
        timing.arrived();
        assert_eq!((over(&timing), left(&timing)), (Some(Over::Late), 10));
    }

    #[test]
    fn b4_a_peer_that_takes_nothing_of_an_answer_has_its_time_too() {
        let timing = Timing::default();
        timing.call_begins(false);
        timing.wrote(false);
        timing.wrote(false);
        assert_eq!((over(&timing), left(&timing)), (Some(Over::Late), 60));
        timing.wrote(true);
        assert_eq!(over(&timing), None);
    }

    #[test]
    fn b4_what_arrives_between_two_calls_of_a_shared_connection_does_not_keep_it() {
        let timing = Timing::default();
        timing.call_begins(true);
        timing.call_ends();
        timing.arrived();
        assert_eq!(over(&timing), Some(Over::Idle));
    }
}
