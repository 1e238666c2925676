//! The assertions that were used, remembered until each of them ends, so that each is good for one use (RFC 7523 §3). What one
//! client uses takes no room from another.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use gatebook_events::identity::ClientKey;
use sha2::{Digest, Sha256};

/// The most assertions of one client that are remembered at once: 166 a second that are good for a minute.
const PER_CLIENT: usize = 10_000;
/// The most of all clients together, about 30 MB. Beyond it the client with the most of them loses its oldest.
const IN_ALL: usize = 200_000;

/// A part of the SHA-256 of a client and an id: 128 bits.
type Mark = [u8; 16];

/// An assertion that is good, and that has to be its first use.
#[derive(Debug)]
pub(super) struct Used {
    /// Its `jti`.
    pub id: String,
    /// When it need not be remembered any longer.
    pub until: DateTime<Utc>,
}

/// Why a use does not count as the first.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It was used before.
    Replayed,
    /// It cannot be told, because its client used more than is remembered. After so many seconds it can.
    Full(u64),
}

/// The assertions that were used.
#[derive(Default)]
pub(super) struct Replays(Mutex<Known>);

#[derive(Default)]
struct Known {
    clients: HashMap<ClientKey, Uses>,
    /// How many each client has, so that the one with the most is found.
    sizes: BTreeSet<(usize, ClientKey)>,
    /// When each ends, the next first.
    ends: BTreeSet<(i64, ClientKey, Mark)>,
}

#[derive(Default)]
struct Uses {
    marks: HashMap<Mark, i64>,
    ends: BTreeSet<(i64, Mark)>,
    /// Some that end no later than this were forgotten, so none of those can be told from a replay.
    unsure_until: i64,
}

impl Replays {
    /// Counts a use, which has to be the first.
    pub fn first(&self, client: ClientKey, used: &Used, now: DateTime<Utc>) -> Result<(), Again> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).first(client, used, now.timestamp(), (PER_CLIENT, IN_ALL))
    }
}

impl Known {
    fn first(&mut self, client: ClientKey, used: &Used, now: i64, (per_client, in_all): (usize, usize)) -> Result<(), Again> {
        self.forget_ended(now);
        let (mark, until) = (mark(client, &used.id), used.until.timestamp());
        let seconds = |end: i64| Again::Full(u64::try_from(end - now).unwrap_or(0) + 1);
        if let Some(own) = self.clients.get(&client) {
            if own.marks.contains_key(&mark) {
                return Err(Again::Replayed);
            }
            if until <= own.unsure_until {
                return Err(seconds(own.unsure_until));
            }
            if own.marks.len() >= per_client {
                return Err(seconds(own.ends.first().map_or(now, |(end, _)| *end)));
            }
        }
        if self.ends.len() >= in_all {
            self.make_room().map_err(seconds)?;
            // It may have been this client that had the most.
            if let Some(own) = self.clients.get(&client).filter(|own| until <= own.unsure_until) {
                return Err(seconds(own.unsure_until));
            }
        }
        let own = self.clients.entry(client).or_default();
        self.sizes.remove(&(own.marks.len(), client));
        own.marks.insert(mark, until);
        own.ends.insert((until, mark));
        self.sizes.insert((own.marks.len(), client));
        self.ends.insert((until, client, mark));
        Ok(())
    }

    fn forget_ended(&mut self, now: i64) {
        while let Some((end, client, mark)) = self.ends.first().copied().filter(|(end, ..)| *end < now) {
            self.remove(client, mark, end);
        }
    }

    /// Forgets the oldest of the client that has the most. Where each has one, there is no room; the error is when there may be.
    fn make_room(&mut self) -> Result<(), i64> {
        let next = self.ends.first().map_or(0, |(end, ..)| *end);
        let (_, client) = self.sizes.last().copied().filter(|(size, _)| *size > 1).ok_or(next)?;
        let Some((end, mark)) = self.clients.get(&client).and_then(|own| own.ends.first().copied()) else { return Err(next) };
        self.remove(client, mark, end);
        if let Some(own) = self.clients.get_mut(&client) {
            own.unsure_until = own.unsure_until.max(end);
        }
        Ok(())
    }

    fn remove(&mut self, client: ClientKey, mark: Mark, end: i64) {
        self.ends.remove(&(end, client, mark));
        let Some(own) = self.clients.get_mut(&client) else { return };
        self.sizes.remove(&(own.marks.len(), client));
        own.marks.remove(&mark);
        own.ends.remove(&(end, mark));
        // What is left ends later than what it was unsure about, so with the last of it that is over too.
        if own.marks.is_empty() {
            self.clients.remove(&client);
        } else {
            self.sizes.insert((own.marks.len(), client));
        }
    }
}

fn mark(client: ClientKey, id: &str) -> Mark {
    let digest: [u8; 32] = Sha256::new().chain_update(client.0.as_bytes()).chain_update(id).finalize().into();
    let mut mark = Mark::default();
    mark.copy_from_slice(digest.split_at(16).0);
    mark
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;

    fn client(number: u128) -> ClientKey {
        ClientKey(Uuid::from_u128(number))
    }

    fn used(id: usize, seconds: i64) -> Used {
        Used { id: id.to_string(), until: DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds) }
    }

    #[test]
    fn an_assertion_is_used_once_until_it_ends() {
        let (replays, now) = (Replays::default(), DateTime::UNIX_EPOCH);
        assert_eq!(replays.first(client(7), &used(0, 90), now), Ok(()));
        assert_eq!(replays.first(client(7), &used(0, 90), now + TimeDelta::seconds(90)), Err(Again::Replayed));
        assert_eq!(replays.first(client(8), &used(0, 90), now), Ok(()), "another client's may be called the same");
        assert_eq!(replays.first(client(7), &used(0, 190), now + TimeDelta::seconds(91)), Ok(()));
    }

    #[test]
    fn b1_a_client_that_uses_more_than_is_remembered_waits_by_itself() {
        let (replays, now) = (Replays::default(), DateTime::UNIX_EPOCH);
        for id in 0..PER_CLIENT {
            assert_eq!(replays.first(client(7), &used(id, 90), now), Ok(()));
        }
        assert_eq!(replays.first(client(7), &used(PER_CLIENT, 90), now), Err(Again::Full(91)));
        assert_eq!(replays.first(client(7), &used(3, 90), now), Err(Again::Replayed), "what was used is remembered all the same");
        assert_eq!(replays.first(client(8), &used(0, 90), now), Ok(()));
        assert_eq!(replays.first(client(7), &used(PER_CLIENT, 190), now + TimeDelta::seconds(91)), Ok(()));
    }

    #[test]
    fn b1_where_all_is_full_the_client_with_the_most_loses_its_oldest_and_none_of_it_passes_twice() {
        let (mut known, bounds) = (Known::default(), (50, 100));
        let mut first = |client: ClientKey, used: &Used| known.first(client, used, 0, bounds);
        for id in 0..50 {
            assert_eq!(first(client(1), &used(id, 100 + i64::try_from(id).unwrap())), Ok(()));
            assert_eq!(first(client(2), &used(id, 500)), Ok(()));
        }
        // Many others with one each come in, at the cost of whoever has the most.
        for other in 10..70 {
            assert_eq!(first(client(other), &used(0, 400)), Ok(()));
            assert_eq!(first(client(other), &used(0, 400)), Err(Again::Replayed));
        }
        for id in 0..50 {
            assert_ne!(first(client(1), &used(id, 100 + i64::try_from(id).unwrap())), Ok(()), "{id}");
            assert_ne!(first(client(2), &used(id, 500)), Ok(()), "{id}");
        }
        assert_eq!(first(client(1), &used(90, 300)), Ok(()), "what ends later than all that was forgotten is told from a replay");
        assert!(known.ends.len() <= 100);
    }

    #[test]
    fn b1_where_everybody_has_one_a_newcomer_waits_and_nobody_is_forgotten() {
        let (mut known, bounds) = (Known::default(), (5, 10));
        for number in 0..10 {
            assert_eq!(known.first(client(number), &used(0, 60), 0, bounds), Ok(()));
        }
        assert_eq!(known.first(client(10), &used(0, 60), 0, bounds), Err(Again::Full(61)));
        assert_eq!(known.first(client(3), &used(0, 60), 0, bounds), Err(Again::Replayed));
        assert_eq!(known.first(client(10), &used(0, 90), 61, bounds), Ok(()));
        assert_eq!((known.clients.len(), known.sizes.len(), known.ends.len()), (1, 1, 1));
    }
}
