//! How often a source may call about registrations that there are (RFC 7592), and how often one client may change itself.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use gatebook_events::identity::ClientKey;
use governor::clock::DefaultClock;
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use super::{Allowance, Ceiling, FORGET_EVERY, left, spent};
use crate::platform::network::subscriber;

/// Token buckets: one a source, and one a client that showed its token.
pub struct Changes {
    sources: Option<Buckets<IpAddr>>,
    clients: Option<Buckets<ClientKey>>,
}

/// One bucket a key. What has been quiet is forgotten, so that memory stays bounded.
struct Buckets<K: Hash + Eq + Clone> {
    ceiling: Ceiling,
    most: NonZeroU32,
    limiter: RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock, StateInformationMiddleware>,
    clock: DefaultClock,
    admitted: AtomicU32,
}

impl Changes {
    /// At most so many requests a minute from one source, and so many changes an hour of one client; no ceiling, if absent.
    pub fn new(per_minute: Option<NonZeroU32>, of_client_per_hour: Option<NonZeroU32>) -> Self {
        Self {
            sources: per_minute.map(|most| Buckets::new(Ceiling::Management, most, Quota::per_minute(most))),
            clients: of_client_per_hour.map(|most| Buckets::new(Ceiling::Client, most, Quota::per_hour(most))),
        }
    }

    /// Counts a request from a source, whatever token it shows. None where there is no ceiling; the error is a bucket that is spent.
    pub fn admit(&self, source: IpAddr) -> Result<Option<Allowance>, Allowance> {
        self.sources.as_ref().map(|sources| sources.take(&subscriber(source))).transpose()
    }

    /// Counts a change that a client asks for. Whoever does not hold its token takes nothing from it.
    pub fn admit_of(&self, client: ClientKey) -> Result<Option<Allowance>, Allowance> {
        self.clients.as_ref().map(|clients| clients.take(&client)).transpose()
    }
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    fn new(ceiling: Ceiling, most: NonZeroU32, quota: Quota) -> Self {
        let limiter = RateLimiter::keyed(quota).with_middleware();
        Self { ceiling, most, limiter, clock: DefaultClock::default(), admitted: AtomicU32::new(0) }
    }

    fn take(&self, key: &K) -> Result<Allowance, Allowance> {
        let state = self.limiter.check_key(key).map_err(|early| spent(&self.clock, self.ceiling, self.most, &early))?;
        if self.admitted.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.limiter.retain_recent();
        }
        Ok(left(self.ceiling, self.most, state.remaining_burst_capacity()))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn b2_a_client_that_changes_itself_too_often_takes_nothing_from_another() {
        let changes = Changes::new(None, NonZeroU32::new(2));
        let (loud, quiet) = (ClientKey(Uuid::from_u128(1)), ClientKey(Uuid::from_u128(2)));
        let first = changes.admit_of(loud).unwrap().unwrap();
        assert_eq!((first.ceiling, first.remaining, first.seconds), (Ceiling::Client, 1, 1800));
        assert!(changes.admit_of(loud).is_ok());
        let spent = changes.admit_of(loud).unwrap_err();
        assert!((1700..=1801).contains(&spent.seconds), "{spent:?}");
        assert!(changes.admit_of(quiet).is_ok());
        assert_eq!(changes.admit("192.0.2.1".parse().unwrap()), Ok(None));
    }
}
