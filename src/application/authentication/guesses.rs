//! Wrong secrets, counted: per client and source with an end, per client with a pause. A stranger's guesses never lock out whoever
//! has the right secret.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use gatebook_events::identity::ClientKey;

use crate::platform::network::subscriber;

/// So many wrong secrets of one client one source may show; one more after each pause.
const PER_SOURCE: u32 = 10;
const PER_SOURCE_BACK: TimeDelta = TimeDelta::seconds(30);
/// So many from all sources together are answered at once; later ones after a pause.
const PER_CLIENT: u32 = 100;
const PER_CLIENT_BACK: TimeDelta = TimeDelta::seconds(1);
const PAUSE: Duration = Duration::from_millis(500);
/// The most that is counted at once.
const MOST: usize = 65_536;

/// Who guessed how often of late.
#[derive(Default)]
pub struct Guesses {
    by_source: Mutex<HashMap<(ClientKey, IpAddr), Spent>>,
    by_client: Mutex<HashMap<ClientKey, Spent>>,
}

/// How much of an allowance is spent, as the time at which none of it is.
#[derive(Clone, Copy)]
struct Spent(DateTime<Utc>);

impl Spent {
    /// How many are spent at this time, rounded up.
    fn count(self, now: DateTime<Utc>, back: TimeDelta) -> u32 {
        let left = u64::try_from((self.0 - now).num_milliseconds()).unwrap_or(0);
        u32::try_from(left.div_ceil(back.num_milliseconds().unsigned_abs().max(1))).unwrap_or(u32::MAX)
    }
}

impl Guesses {
    /// Whether a source may show another secret of this client, and after which pause; the error is after how many seconds it may.
    pub fn may_try(&self, client: ClientKey, source: IpAddr, now: DateTime<Utc>) -> Result<Duration, u64> {
        let spent = |spent: Option<Spent>, back| spent.map_or(0, |spent| spent.count(now, back));
        let by_source = self.by_source.lock().unwrap_or_else(PoisonError::into_inner).get(&(client, subscriber(source))).copied();
        let over = spent(by_source, PER_SOURCE_BACK).saturating_sub(PER_SOURCE - 1);
        if over > 0 {
            let until = by_source.map_or(0, |spent| (spent.0 - now - PER_SOURCE_BACK * (PER_SOURCE - 1).cast_signed()).num_seconds());
            return Err(u64::try_from(until).unwrap_or(0) + 1);
        }
        let by_client = self.by_client.lock().unwrap_or_else(PoisonError::into_inner).get(&client).copied();
        Ok(if spent(by_client, PER_CLIENT_BACK) > PER_CLIENT { PAUSE } else { Duration::ZERO })
    }

    /// Counts a wrong secret.
    pub fn failed(&self, client: ClientKey, source: IpAddr, now: DateTime<Utc>) {
        count(&self.by_source, (client, subscriber(source)), now, PER_SOURCE_BACK);
        count(&self.by_client, client, now, PER_CLIENT_BACK);
    }
}

fn count<K: Eq + Hash>(counts: &Mutex<HashMap<K, Spent>>, key: K, now: DateTime<Utc>, back: TimeDelta) {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    if counts.len() >= MOST {
        counts.retain(|_, spent| spent.0 > now);
        // The half that guessed least goes: who is held back stays so, however many others guess once.
        if counts.len() >= MOST {
            let mut ends: Vec<DateTime<Utc>> = counts.values().map(|spent| spent.0).collect();
            let middle = ends.len() / 2;
            let (_, median, _) = ends.select_nth_unstable(middle);
            let median = *median;
            counts.retain(|_, spent| spent.0 > median);
        }
    }
    let spent = counts.entry(key).or_insert(Spent(now));
    spent.0 = spent.0.max(now) + back;
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const CLIENT: ClientKey = ClientKey(Uuid::from_u128(7));

    fn from(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_source_that_guesses_is_held_back_and_another_is_not() {
        let (guesses, now) = (Guesses::default(), DateTime::UNIX_EPOCH);
        for _ in 0..10 {
            assert_eq!(guesses.may_try(CLIENT, from(1), now), Ok(Duration::ZERO));
            guesses.failed(CLIENT, from(1), now);
        }
        assert_eq!(guesses.may_try(CLIENT, from(1), now), Err(31));
        assert_eq!(guesses.may_try(CLIENT, from(2), now), Ok(Duration::ZERO));
        assert_eq!(guesses.may_try(ClientKey(Uuid::from_u128(8)), from(1), now), Ok(Duration::ZERO));
        assert_eq!(guesses.may_try(CLIENT, from(1), now + TimeDelta::seconds(30)), Ok(Duration::ZERO), "one comes back");
    }

    #[test]
    fn many_sources_slow_each_other_and_lock_nobody_out() {
        let (guesses, now) = (Guesses::default(), DateTime::UNIX_EPOCH);
        for source in 0..=100 {
            guesses.failed(CLIENT, from(source), now);
        }
        assert_eq!(guesses.may_try(CLIENT, from(200), now), Ok(PAUSE));
        assert_eq!(guesses.may_try(CLIENT, from(200), now + TimeDelta::minutes(2)), Ok(Duration::ZERO));
    }

    #[test]
    fn b10_who_is_held_back_stays_so_although_many_others_guess_once() {
        let (guesses, now) = (Guesses::default(), DateTime::UNIX_EPOCH);
        (0..10).for_each(|_| guesses.failed(CLIENT, from(1), now));
        for client in 100..100 + 2 * MOST as u128 {
            guesses.failed(ClientKey(Uuid::from_u128(client)), from(2), now);
        }
        assert!(guesses.may_try(CLIENT, from(1), now).is_err());
    }

    #[test]
    fn what_is_counted_is_bounded() {
        let (guesses, now) = (Guesses::default(), DateTime::UNIX_EPOCH);
        for client in 0..70_000_u128 {
            guesses.failed(ClientKey(Uuid::from_u128(client)), from(1), now);
        }
        assert!(guesses.by_source.lock().unwrap().len() <= MOST && guesses.by_client.lock().unwrap().len() <= MOST);
    }
}
