//! How often, and how many at a time: what keeps the fetcher from becoming somebody's weapon.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gatebook_events::identity::ClientKey;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Limits, Urgency};

/// After so many fetches hosts that have been quiet are forgotten.
const FORGET_EVERY: u32 = 4096;
/// Once so many hosts are known, those that nobody asks now are forgotten.
const MOST_IDLE_HOSTS: usize = 256;
/// The most URLs whose failures are remembered.
const MOST_SETBACKS: usize = 10_000;

/// The gate that every fetch goes through.
pub(super) struct Restraint {
    at_once: Arc<Semaphore>,
    /// A part of all places, so that whoever asks for nonsense does not keep the poller out.
    anonymous_at_once: Arc<Semaphore>,
    per_host_at_once: usize,
    hosts: Mutex<HashMap<Box<str>, Arc<Semaphore>>>,
    per_host: Option<DefaultKeyedRateLimiter<Box<str>>>,
    anonymous: Option<DefaultDirectRateLimiter>,
    clock: DefaultClock,
    admitted: AtomicU32,
    setbacks: Mutex<Setbacks>,
}

/// A place among those that fetch, until it is dropped.
pub(super) struct Place {
    _places: [Option<OwnedSemaphorePermit>; 3],
}

impl Restraint {
    pub(super) fn new(limits: &Limits) -> Self {
        let at_once = limits.at_once.max(1);
        Self {
            at_once: Arc::new(Semaphore::new(at_once)),
            anonymous_at_once: Arc::new(Semaphore::new((at_once * 3 / 4).max(1))),
            per_host_at_once: limits.at_once_per_host.max(1),
            hosts: Mutex::default(),
            per_host: limits.per_host_per_minute.map(|most| DefaultKeyedRateLimiter::keyed(Quota::per_minute(most))),
            anonymous: limits.anonymous_per_minute.map(|most: NonZeroU32| DefaultDirectRateLimiter::direct(Quota::per_minute(most))),
            clock: DefaultClock::default(),
            admitted: AtomicU32::new(0),
            setbacks: Mutex::new(Setbacks::new(limits.first_pause, limits.longest_pause)),
        }
    }

    /// For how long this URL is left alone because it failed.
    pub(super) fn pause(&self, url: ClientKey) -> Option<Duration> {
        self.setbacks().pause(url, Instant::now())
    }

    /// Counts a fetch, or says after how long the next one is welcome.
    pub(super) fn count(&self, host: &str, urgency: Urgency) -> Result<(), Duration> {
        if let (Some(limiter), Urgency::Anonymous) = (&self.anonymous, urgency) {
            limiter.check().map_err(|early| early.wait_time_from(self.clock.now()))?;
        }
        let Some(limiter) = &self.per_host else { return Ok(()) };
        if self.admitted.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            limiter.retain_recent();
        }
        limiter.check_key(&Box::from(host)).map_err(|early| early.wait_time_from(self.clock.now()))
    }

    /// Waits for a place. The host's comes first, so that a slow host keeps none of everybody's.
    pub(super) async fn place(&self, host: &str, urgency: Urgency) -> Place {
        let host = self.host(host).acquire_owned().await.ok();
        let anonymous = match urgency {
            Urgency::Anonymous => self.anonymous_at_once.clone().acquire_owned().await.ok(),
            Urgency::Trusted => None,
        };
        Place { _places: [host, anonymous, self.at_once.clone().acquire_owned().await.ok()] }
    }

    /// Forgets that a URL failed.
    pub(super) fn worked(&self, url: ClientKey) {
        self.setbacks().worked(url);
    }

    /// Remembers that a URL failed, and for how long its host asked to be left alone.
    pub(super) fn failed(&self, url: ClientKey, asked_for: Option<Duration>) {
        self.setbacks().failed(url, asked_for, Instant::now());
    }

    fn host(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= MOST_IDLE_HOSTS {
            hosts.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        hosts.entry(Box::from(host)).or_insert_with(|| Arc::new(Semaphore::new(self.per_host_at_once))).clone()
    }

    fn setbacks(&self) -> std::sync::MutexGuard<'_, Setbacks> {
        self.setbacks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The URLs that failed lately. What is kept is that they did, never what they answered (CIMD §4.4).
struct Setbacks {
    first: Duration,
    longest: Duration,
    known: HashMap<ClientKey, Setback>,
}

struct Setback {
    failures: u32,
    until: Instant,
}

impl Setbacks {
    fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest: longest.max(first), known: HashMap::new() }
    }

    fn pause(&self, url: ClientKey, now: Instant) -> Option<Duration> {
        let pause = self.known.get(&url)?.until.saturating_duration_since(now);
        (!pause.is_zero()).then_some(pause)
    }

    fn worked(&mut self, url: ClientKey) {
        self.known.remove(&url);
    }

    /// Doubles the pause, or takes the one that the host asked for if it is longer; both within the bound.
    fn failed(&mut self, url: ClientKey, asked_for: Option<Duration>, now: Instant) {
        if self.known.len() >= MOST_SETBACKS && !self.known.contains_key(&url) {
            self.make_room(now);
        }
        let setback = self.known.entry(url).or_insert(Setback { failures: 0, until: now });
        let doubled = self.first.saturating_mul(1 << setback.failures.min(16));
        setback.failures = setback.failures.saturating_add(1);
        setback.until = now + doubled.max(asked_for.unwrap_or_default()).min(self.longest);
    }

    /// Forgets what is long over; else, the half that is over first.
    fn make_room(&mut self, now: Instant) {
        let longest = self.longest;
        self.known.retain(|_, setback| setback.until + longest > now);
        if self.known.len() >= MOST_SETBACKS {
            let mut ends: Vec<Instant> = self.known.values().map(|setback| setback.until).collect();
            let middle = ends.len() / 2;
            let (_, median, _) = ends.select_nth_unstable(middle);
            let median = *median;
            self.known.retain(|_, setback| setback.until > median);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn key(number: usize) -> ClientKey {
        ClientKey(Uuid::from_u128(number as u128))
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_pause_doubles_up_to_its_bound_and_a_success_ends_it() {
        let mut setbacks = Setbacks::new(30 * SECOND, 100 * SECOND);
        let start = Instant::now();
        assert_eq!(setbacks.pause(key(1), start), None);
        for expected in [30, 60, 100, 100] {
            setbacks.failed(key(1), None, start);
            assert_eq!(setbacks.pause(key(1), start), Some(expected * SECOND));
        }
        assert_eq!(setbacks.pause(key(1), start + 99 * SECOND), Some(SECOND));
        assert_eq!(setbacks.pause(key(1), start + 100 * SECOND), None);
        assert_eq!(setbacks.pause(key(2), start), None);
        setbacks.worked(key(1));
        setbacks.failed(key(1), Some(45 * SECOND), start);
        assert_eq!(setbacks.pause(key(1), start), Some(45 * SECOND));
        setbacks.failed(key(2), Some(1000 * SECOND), start);
        assert_eq!(setbacks.pause(key(2), start), Some(100 * SECOND));
    }

    #[test]
    fn memory_of_failures_is_bounded_and_the_newest_stay() {
        let mut setbacks = Setbacks::new(SECOND, 10 * SECOND);
        let start = Instant::now();
        let step = Duration::from_micros(10);
        for number in 0..3 * MOST_SETBACKS {
            let now = start + step * u32::try_from(number).unwrap();
            setbacks.failed(key(number), None, now);
            assert!(setbacks.known.len() <= MOST_SETBACKS);
            assert!(setbacks.pause(key(number), now).is_some());
        }
        let last = start + step * u32::try_from(3 * MOST_SETBACKS).unwrap();
        assert!(setbacks.pause(key(3 * MOST_SETBACKS - 100), last).is_some());
        setbacks.make_room(last + 100 * SECOND);
        assert!(setbacks.known.is_empty());
    }

    #[tokio::test]
    async fn hosts_that_nobody_asks_are_forgotten() {
        let restraint = Restraint::new(&Limits::default());
        let place = restraint.place("kept.example", Urgency::Trusted).await;
        for number in 0..2 * MOST_IDLE_HOSTS {
            drop(restraint.place(&format!("{number}.example"), Urgency::Trusted).await);
        }
        let hosts = restraint.hosts.lock().unwrap();
        assert!(hosts.len() <= MOST_IDLE_HOSTS && hosts.contains_key("kept.example"));
        drop(place);
    }
}
