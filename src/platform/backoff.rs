//! Growing pauses between attempts at what the surroundings refuse: a full disk, a lock that another process holds.

use std::time::Duration;

/// How long the next pause is. It doubles with each attempt up to its bound, and is up to a quarter longer by chance, so that those
/// who failed together do not all try again together.
#[derive(Debug, Clone)]
pub struct Pauses {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Pauses {
    /// Pauses from `first` to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// The pause before the next attempt.
    pub fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.longest);
        let mut drawn = [0; 1];
        // Without random numbers there is no jitter, and nothing else is lost.
        let _none = getrandom::fill(&mut drawn);
        let [drawn] = drawn;
        pause + pause * u32::from(drawn) / (4 * 256)
    }

    /// It went well: the next failure begins with the first pause.
    pub const fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t1_a_pause_doubles_up_to_its_bound_and_begins_anew_once_it_went_well() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(1));
        let mut pauses = Pauses::new(first, longest);
        for expected in [100, 200, 400, 800, 1000, 1000, 1000] {
            let (pause, least) = (pauses.next(), Duration::from_millis(expected));
            assert!(pause >= least && pause < least * 5 / 4, "{pause:?} instead of {least:?}");
        }
        pauses.reset();
        assert!(pauses.next() < first * 5 / 4);
    }
}
