//! How many registrations one source may make and one resource server takes, so that an open door is not a flood gate.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use gatebook_events::identity::ResourceServerId;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};

use crate::platform::network::subscriber;

/// After so many registrations sources that have been quiet are forgotten, so that memory stays bounded.
const FORGET_EVERY: u32 = 4096;

type Sources = RateLimiter<IpAddr, DefaultKeyedStateStore<IpAddr>, DefaultClock, StateInformationMiddleware>;
type Server = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// Token buckets: one a source, which is an IPv4 address or the /64 that one IPv6 subscriber has, and one a resource server
/// whose policy asks for it.
pub struct Ceilings {
    sources: Option<(NonZeroU32, Sources)>,
    servers: Mutex<HashMap<ResourceServerId, (NonZeroU32, Server)>>,
    clock: DefaultClock,
    admitted: AtomicU32,
}

mod changes;

pub use changes::Changes;

/// Which bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ceiling {
    /// That of the source.
    Source,
    /// That of the resource server.
    ResourceServer,
    /// That of the source for what it does with registrations that there are.
    Management,
    /// That of one client for what it changes of itself.
    Client,
}

impl Ceiling {
    /// The name for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source | Self::Management => "source",
            Self::ResourceServer => "resource-server",
            Self::Client => "client",
        }
    }

    /// The sentence that says of what there was too much.
    pub const fn as_words(self) -> &'static str {
        match self {
            Self::Source => "too many registrations from this source",
            Self::ResourceServer => "too many registrations at this resource server",
            Self::Management => "too many requests about registrations from this source",
            Self::Client => "too many changes of this client",
        }
    }

    /// In how many seconds a bucket fills.
    pub const fn window(self) -> u64 {
        match self {
            Self::Source | Self::ResourceServer | Self::Management => 60,
            Self::Client => 3600,
        }
    }
}

/// What is left in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Which one.
    pub ceiling: Ceiling,
    /// How many fit into it; as many come back in its [`Ceiling::window`], evenly.
    pub most: NonZeroU32,
    /// How many it has left.
    pub remaining: u32,
    /// After how many seconds it is full again; of a bucket that is spent, after how many the next request is welcome.
    pub seconds: u64,
}

impl Ceilings {
    /// At most so many a minute from one source; no ceiling, if absent.
    pub fn new(per_minute: Option<NonZeroU32>) -> Self {
        let sources = per_minute.map(|most| (most, RateLimiter::keyed(Quota::per_minute(most)).with_middleware()));
        Self { sources, servers: Mutex::default(), clock: DefaultClock::default(), admitted: AtomicU32::new(0) }
    }

    /// Counts a registration from a source. None where there is no ceiling; the error is a bucket that is spent.
    pub fn admit(&self, source: IpAddr) -> Result<Option<Allowance>, Allowance> {
        let Some((most, sources)) = &self.sources else { return Ok(None) };
        let state = sources.check_key(&subscriber(source)).map_err(|early| self.spent(Ceiling::Source, *most, &early))?;
        // Who is refused was there before, so a flood does not have everybody counted again and again.
        if self.admitted.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            sources.retain_recent();
        }
        Ok(Some(left(Ceiling::Source, *most, state.remaining_burst_capacity())))
    }

    /// Counts a registration at a resource server, whose policy says how many it takes. A policy that changed begins with a
    /// full bucket.
    pub fn admit_at(&self, server: ResourceServerId, per_minute: Option<NonZeroU32>) -> Result<Option<Allowance>, Allowance> {
        let Some(most) = per_minute else { return Ok(None) };
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || (most, RateLimiter::direct(Quota::per_minute(most)).with_middleware());
        let bucket = servers.entry(server).or_insert_with(fresh);
        if bucket.0 != most {
            *bucket = fresh();
        }
        match bucket.1.check() {
            Ok(state) => Ok(Some(left(Ceiling::ResourceServer, most, state.remaining_burst_capacity()))),
            Err(early) => Err(self.spent(Ceiling::ResourceServer, most, &early)),
        }
    }

    fn spent(&self, ceiling: Ceiling, most: NonZeroU32, early: &NotUntil<<DefaultClock as Clock>::Instant>) -> Allowance {
        spent(&self.clock, ceiling, most, early)
    }
}

fn spent(clock: &DefaultClock, ceiling: Ceiling, most: NonZeroU32, early: &NotUntil<<DefaultClock as Clock>::Instant>) -> Allowance {
    Allowance { ceiling, most, remaining: 0, seconds: early.wait_time_from(clock.now()).as_secs() + 1 }
}

fn left(ceiling: Ceiling, most: NonZeroU32, remaining: u32) -> Allowance {
    let missing = u64::from(most.get().saturating_sub(remaining));
    Allowance { ceiling, most, remaining, seconds: (ceiling.window() * missing).div_ceil(u64::from(most.get())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most(per_minute: u32) -> Option<NonZeroU32> {
        NonZeroU32::new(per_minute)
    }

    #[test]
    fn one_source_that_comes_too_often_does_not_close_the_door_to_another() {
        let ceilings = Ceilings::new(most(2));
        let (loud, quiet): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = ceilings.admit(loud).unwrap().unwrap();
        assert_eq!((first.ceiling, first.remaining, first.seconds), (Ceiling::Source, 1, 30));
        assert_eq!(ceilings.admit(loud).unwrap().unwrap().remaining, 0);
        let spent = ceilings.admit(loud).unwrap_err();
        assert!(spent.remaining == 0 && (1..=31).contains(&spent.seconds), "{spent:?}");
        assert!(ceilings.admit(quiet).is_ok());
    }

    #[test]
    fn an_ipv6_subscriber_is_one_source_and_no_ceiling_counts_nobody() {
        let ceilings = Ceilings::new(most(1));
        assert!(ceilings.admit("2001:db8::1".parse().unwrap()).is_ok());
        assert!(ceilings.admit("2001:db8::2".parse().unwrap()).is_err());
        let open = Ceilings::new(None);
        assert!((0..1000).all(|_| open.admit("192.0.2.1".parse().unwrap()) == Ok(None)));
    }

    #[test]
    fn a_resource_server_has_the_ceiling_of_its_policy_and_a_new_policy_begins_anew() {
        let ceilings = Ceilings::new(None);
        let (one, other) = (ResourceServerId::DEFAULT, ResourceServerId(uuid::Uuid::from_u128(7)));
        assert_eq!(ceilings.admit_at(one, most(1)).unwrap().unwrap().remaining, 0);
        assert_eq!(ceilings.admit_at(one, most(1)).unwrap_err().ceiling, Ceiling::ResourceServer);
        assert!(ceilings.admit_at(other, most(1)).is_ok());
        assert_eq!(ceilings.admit_at(one, None), Ok(None));
        assert_eq!(ceilings.admit_at(one, most(3)).unwrap().unwrap().remaining, 2);
    }
}
