//! How often, and how many at a time: what keeps the fetcher from becoming somebody's weapon.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gatebook_events::identity::ClientKey;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Asker, Kind, Limits, Urgency};
use crate::platform::network::subscriber;

/// After so many fetches hosts that have been quiet are forgotten.
const FORGET_EVERY: u32 = 4096;
/// Once so many hosts, tenants or sources are known, those that have nothing under way are forgotten.
const MOST_IDLE: usize = 256;
/// The most URLs whose failures are remembered.
const MOST_SETBACKS: usize = 10_000;

/// The gate that every fetch goes through.
pub(super) struct Restraint {
    at_once: Arc<Semaphore>,
    hosts: Places<Box<str>>,
    per_host: Option<DefaultKeyedRateLimiter<Box<str>>>,
    shares: Shares,
    documents: Budget,
    key_sets: Budget,
    clock: DefaultClock,
    admitted: AtomicU32,
    setbacks: Mutex<Setbacks>,
}

/// What people who are not known may have fetched of one kind: a part of all places, so that nonsense does not keep
/// the poller out, and of that a half for one tenant, and a quarter for one source.
struct Budget {
    at_once: Arc<Semaphore>,
    tenants: Places<u64>,
    sources: Places<IpAddr>,
    per_tenant: Option<DefaultKeyedRateLimiter<u64>>,
    per_source: Option<DefaultKeyedRateLimiter<IpAddr>>,
}

/// What people who are not known may have of one host, of both kinds together: three quarters of it, so that polls and
/// administrators always find the rest, and of the host a half for one tenant, and a quarter for one source.
struct Shares {
    at_once: Places<Box<str>>,
    at_once_of_source: Places<(Box<str>, IpAddr)>,
    in_all: Option<DefaultKeyedRateLimiter<Box<str>>>,
    per_tenant: Option<DefaultKeyedRateLimiter<(Box<str>, u64)>>,
    per_source: Option<DefaultKeyedRateLimiter<(Box<str>, IpAddr)>>,
}

impl Shares {
    fn new(limits: &Limits) -> Self {
        let quarters = |count: u32| limits.per_host_per_minute.map(|most| quota(most.get().saturating_mul(count) / 4));
        Self {
            at_once: Places::new(limits.at_once_per_host.saturating_mul(3) / 4),
            at_once_of_source: Places::new(limits.at_once_per_host / 4),
            in_all: quarters(3).map(DefaultKeyedRateLimiter::keyed),
            per_tenant: quarters(2).map(DefaultKeyedRateLimiter::keyed),
            per_source: quarters(1).map(DefaultKeyedRateLimiter::keyed),
        }
    }

    /// Counts a fetch for its source at the host. What a source is refused takes nothing from others.
    fn count_source(&self, host: &str, asker: Asker, clock: &DefaultClock) -> Result<(), Duration> {
        let (Some(limiter), Some(source)) = (&self.per_source, asker.source) else { return Ok(()) };
        limiter.check_key(&(host.into(), subscriber(source))).map_err(|early| early.wait_time_from(clock.now()))
    }

    /// Counts a fetch for its tenant at the host, and for all who are not known there.
    fn count_others(&self, host: &str, asker: Asker, clock: &DefaultClock) -> Result<(), Duration> {
        if let Some(limiter) = &self.per_tenant {
            limiter.check_key(&(host.into(), asker.tenant)).map_err(|early| early.wait_time_from(clock.now()))?;
        }
        let Some(limiter) = &self.in_all else { return Ok(()) };
        limiter.check_key(&Box::from(host)).map_err(|early| early.wait_time_from(clock.now()))
    }

    fn forget_quiet(&self) {
        self.in_all.iter().for_each(DefaultKeyedRateLimiter::retain_recent);
        self.per_tenant.iter().for_each(DefaultKeyedRateLimiter::retain_recent);
        self.per_source.iter().for_each(DefaultKeyedRateLimiter::retain_recent);
    }
}

/// So many in a minute, and at least one.
fn quota(most: u32) -> Quota {
    Quota::per_minute(NonZeroU32::new(most).unwrap_or(NonZeroU32::MIN))
}

/// Places by who takes them. Those that are not in use are forgotten.
struct Places<K> {
    each: usize,
    known: Mutex<HashMap<K, Arc<Semaphore>>>,
}

impl<K: Hash + Eq> Places<K> {
    fn new(each: usize) -> Self {
        Self { each: each.max(1), known: Mutex::default() }
    }

    fn of(&self, key: K) -> Arc<Semaphore> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_IDLE {
            known.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        known.entry(key).or_insert_with(|| Arc::new(Semaphore::new(self.each))).clone()
    }
}

impl Budget {
    fn new(limits: &Limits) -> Self {
        let places = (limits.at_once * 3 / 4).max(1);
        Self {
            at_once: Arc::new(Semaphore::new(places)),
            tenants: Places::new(places / 2),
            sources: Places::new(places / 4),
            per_tenant: limits.anonymous_per_minute.map(|most| DefaultKeyedRateLimiter::keyed(Quota::per_minute(most))),
            per_source: limits.per_source_per_minute.map(|most| DefaultKeyedRateLimiter::keyed(Quota::per_minute(most))),
        }
    }

    /// Counts a fetch for its caller. A source that asked too often takes nothing from its tenant's others.
    fn count(&self, asker: Asker, clock: &DefaultClock) -> Result<(), Duration> {
        if let (Some(limiter), Some(source)) = (&self.per_source, asker.source) {
            limiter.check_key(&subscriber(source)).map_err(|early| early.wait_time_from(clock.now()))?;
        }
        let Some(limiter) = &self.per_tenant else { return Ok(()) };
        limiter.check_key(&asker.tenant).map_err(|early| early.wait_time_from(clock.now()))
    }

    fn forget_quiet(&self) {
        self.per_tenant.iter().for_each(DefaultKeyedRateLimiter::retain_recent);
        self.per_source.iter().for_each(DefaultKeyedRateLimiter::retain_recent);
    }
}

/// A place among those that fetch, until it is dropped.
pub(super) struct Place {
    _places: Vec<OwnedSemaphorePermit>,
}

impl Restraint {
    pub(super) fn new(limits: &Limits) -> Self {
        let at_once = limits.at_once.max(1);
        Self {
            at_once: Arc::new(Semaphore::new(at_once)),
            hosts: Places::new(limits.at_once_per_host),
            per_host: limits.per_host_per_minute.map(|most| DefaultKeyedRateLimiter::keyed(Quota::per_minute(most))),
            shares: Shares::new(limits),
            documents: Budget::new(limits),
            key_sets: Budget::new(limits),
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
    pub(super) fn count(&self, host: &str, (kind, urgency): (Kind, Urgency)) -> Result<(), Duration> {
        // Before any of them refuses: a refusal may leave a count behind, too.
        if self.admitted.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.per_host.iter().for_each(DefaultKeyedRateLimiter::retain_recent);
            self.shares.forget_quiet();
            self.documents.forget_quiet();
            self.key_sets.forget_quiet();
        }
        if let Some(asker) = urgency.asker() {
            self.shares.count_source(host, asker, &self.clock)?;
            self.budget(kind).count(asker, &self.clock)?;
            self.shares.count_others(host, asker, &self.clock)?;
        }
        let Some(limiter) = &self.per_host else { return Ok(()) };
        limiter.check_key(&Box::from(host)).map_err(|early| early.wait_time_from(self.clock.now()))
    }

    /// Waits for a place. A caller's own comes first, then the host's, and those of all last: a slow host keeps none of those, and a
    /// caller that asks too much none of a host's.
    pub(super) async fn place(&self, host: &str, (kind, urgency): (Kind, Urgency)) -> Place {
        let (name, host) = (host, self.hosts.of(Box::from(host)));
        let wanted = match urgency.asker() {
            None => vec![host, self.at_once.clone()],
            Some(asker) => {
                let budget = self.budget(kind);
                let own = asker.source.map(subscriber).into_iter();
                let own = own.flat_map(|source| [budget.sources.of(source), self.shares.at_once_of_source.of((name.into(), source))]);
                let (tenant, strangers) = (budget.tenants.of(asker.tenant), self.shares.at_once.of(name.into()));
                own.chain([tenant, strangers, host, budget.at_once.clone(), self.at_once.clone()]).collect()
            }
        };
        let mut places = Vec::with_capacity(wanted.len());
        for semaphore in wanted {
            places.extend(semaphore.acquire_owned().await.ok());
        }
        Place { _places: places }
    }

    fn budget(&self, kind: Kind) -> &Budget {
        match kind {
            Kind::Document => &self.documents,
            Kind::KeySet => &self.key_sets,
        }
    }

    /// Forgets that a URL failed.
    pub(super) fn worked(&self, url: ClientKey) {
        self.setbacks().worked(url);
    }

    /// Remembers that a URL failed, and for how long its host asked to be left alone.
    pub(super) fn failed(&self, url: ClientKey, asked_for: Option<Duration>) {
        self.setbacks().failed(url, asked_for, Instant::now());
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
        let place = restraint.place("kept.example", (Kind::Document, Urgency::Trusted)).await;
        for number in 0..2 * MOST_IDLE {
            drop(restraint.place(&format!("{number}.example"), (Kind::Document, Urgency::Trusted)).await);
        }
        let hosts = restraint.hosts.known.lock().unwrap();
        assert!(hosts.len() <= MOST_IDLE && hosts.contains_key("kept.example"));
        drop(place);
    }

    fn by(last: u8, tenant: u64) -> Urgency {
        Urgency::By(Asker { source: Some(IpAddr::from([192, 0, 2, last])), tenant })
    }

    #[test]
    fn b6_a_source_that_has_key_sets_fetched_takes_no_document_no_other_source_and_no_other_tenant_along() {
        let limits = Limits { anonymous_per_minute: 3.try_into().ok(), per_source_per_minute: 2.try_into().ok(), ..Limits::default() };
        let restraint = Restraint::new(&limits);
        let asks = |host: &str, kind, urgency| restraint.count(host, (kind, urgency)).is_ok();
        assert!(asks("1.example", Kind::KeySet, by(1, 1)) && asks("2.example", Kind::KeySet, by(1, 1)));
        assert!(!asks("3.example", Kind::KeySet, by(1, 1)), "the source has had its own");
        assert!(asks("4.example", Kind::Document, by(1, 1)), "documents are counted apart");
        assert!(asks("5.example", Kind::KeySet, by(2, 1)), "what was refused took nothing from the tenant");
        assert!(!asks("6.example", Kind::KeySet, by(3, 1)), "the tenant has had its own");
        assert!(asks("7.example", Kind::KeySet, by(3, 2)) && asks("8.example", Kind::KeySet, Urgency::Trusted));
    }

    #[test]
    fn b6_what_is_asked_of_a_host_by_one_source_leaves_most_of_it_to_others_and_by_all_a_quarter_to_polls() {
        let roomy = |most| NonZeroU32::new(most);
        let limits = Limits { per_host_per_minute: roomy(40), per_source_per_minute: roomy(1000), ..Limits::default() };
        let restraint = Restraint::new(&limits);
        let admitted = |urgency, kind| (0..60).filter(|_| restraint.count("h.example", (kind, urgency)).is_ok()).count();
        // No more than one comes back while this is asked.
        let about = |count: usize, most| (most..=most + 1).contains(&count);
        assert!(about(admitted(by(1, 1), Kind::Document), 10), "a quarter is one source's");
        assert!(admitted(by(1, 2), Kind::KeySet) <= 1, "of key sets and at other tenants, too");
        assert!(about(admitted(by(2, 1), Kind::Document), 10) && admitted(by(3, 1), Kind::Document) <= 1, "a half is one tenant's");
        assert!(about(admitted(by(4, 2), Kind::Document), 10), "another tenant has its own");
        assert!(admitted(by(5, 3), Kind::Document) <= 1, "three quarters are for those who are not known");
        assert!(admitted(Urgency::Trusted, Kind::Document) >= 7, "polls and administrators find the rest");
        assert!(restraint.count("other.example", (Kind::Document, by(1, 1))).is_ok());
    }

    #[tokio::test]
    async fn b6_a_slow_host_has_a_place_for_polls_whoever_else_waits_for_it() {
        let restraint = Restraint::new(&Limits::default());
        let next = |urgency| {
            let restraint = &restraint;
            let place = async move { restraint.place("slow.example", (Kind::Document, urgency)).await };
            async move { tokio::time::timeout(Duration::from_millis(20), place).await.ok() }
        };
        let held = [next(by(1, 1)).await, next(by(2, 1)).await, next(by(3, 2)).await];
        assert!(held.iter().all(Option::is_some));
        assert!(next(by(1, 1)).await.is_none() && next(by(4, 2)).await.is_none());
        assert!(next(Urgency::Trusted).await.is_some());
    }

    #[tokio::test]
    async fn b6_slow_hosts_of_one_source_leave_places_to_others() {
        let restraint = Restraint::new(&Limits { at_once: 16, ..Limits::default() });
        let mut held = Vec::new();
        for number in 0..3 {
            held.push(restraint.place(&format!("{number}.example"), (Kind::Document, by(1, 1))).await);
        }
        let next = |host: &'static str, kind, urgency| {
            let restraint = &restraint;
            async move { tokio::time::timeout(Duration::from_millis(20), restraint.place(host, (kind, urgency))).await.is_ok() }
        };
        assert!(!next("a.example", Kind::Document, by(1, 1)).await, "a quarter of twelve places is one source's");
        assert!(next("b.example", Kind::Document, by(2, 1)).await && next("c.example", Kind::KeySet, by(1, 1)).await);
    }
}
