//! How many registrations one source may make, so that an open door is not a flood gate.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

/// After so many registrations sources that have been quiet are forgotten, so that memory stays bounded.
const FORGET_EVERY: u32 = 4096;

/// A token bucket a source: an IPv4 address, or the /64 that one IPv6 subscriber has.
pub struct Ceiling {
    limiter: Option<DefaultKeyedRateLimiter<IpAddr>>,
    clock: DefaultClock,
    admitted: AtomicU32,
}

impl Ceiling {
    /// At most so many a minute; no ceiling, if absent.
    pub fn new(per_minute: Option<NonZeroU32>) -> Self {
        let limiter = per_minute.map(|most| DefaultKeyedRateLimiter::keyed(Quota::per_minute(most)));
        Self { limiter, clock: DefaultClock::default(), admitted: AtomicU32::new(0) }
    }

    /// Counts a registration, or says after how many seconds the next one is welcome.
    pub fn admit(&self, source: IpAddr) -> Result<(), u64> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        if self.admitted.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            limiter.retain_recent();
        }
        let wait = |early: governor::NotUntil<_>| early.wait_time_from(self.clock.now()).as_secs() + 1;
        limiter.check_key(&subscriber(source)).map_err(wait)
    }
}

fn subscriber(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_that_comes_too_often_does_not_close_the_door_to_another() {
        let ceiling = Ceiling::new(NonZeroU32::new(2));
        let (loud, quiet): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert_eq!((ceiling.admit(loud), ceiling.admit(loud)), (Ok(()), Ok(())));
        assert!(ceiling.admit(loud).is_err_and(|seconds| (1..=31).contains(&seconds)));
        assert_eq!(ceiling.admit(quiet), Ok(()));
    }

    #[test]
    fn an_ipv6_subscriber_is_one_source_and_no_ceiling_counts_nobody() {
        let ceiling = Ceiling::new(NonZeroU32::new(1));
        assert_eq!(ceiling.admit("2001:db8::1".parse().unwrap()), Ok(()));
        assert!(ceiling.admit("2001:db8::2".parse().unwrap()).is_err());
        let open = Ceiling::new(None);
        assert!((0..1000).all(|_| open.admit("192.0.2.1".parse().unwrap()).is_ok()));
    }
}
