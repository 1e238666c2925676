//! Whose turn it is: documents that are due, and those that are being read. A host that is slow, or wants to be left alone,
//! keeps nobody else waiting.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use gatebook_events::identity::ClientKey;

use super::Due;
use super::schedule::host;

/// Documents that are due, in the order of the schedule, and those that are being read.
pub(super) struct Queue {
    at_once: usize,
    per_host: usize,
    waiting: VecDeque<Due>,
    under_way: HashMap<ClientKey, Box<str>>,
    resting: HashMap<Box<str>, Instant>,
}

impl Queue {
    /// So many are read at a time. One host has a quarter of the places at most, and no more than the fetcher gives it.
    pub(super) fn new(at_once: usize, at_once_per_host: usize) -> Self {
        let per_host = at_once_per_host.min((at_once / 4).max(1));
        Self { at_once, per_host, waiting: VecDeque::new(), under_way: HashMap::new(), resting: HashMap::new() }
    }

    /// What is due now, in place of what was due before.
    pub(super) fn refill(&mut self, due: Vec<Due>, now: Instant) {
        self.resting.retain(|_, until| *until > now);
        self.waiting = due.into_iter().filter(|due| !self.under_way.contains_key(&due.client_id.key())).collect();
    }

    /// The next document whose turn it is. Its place is taken until [`Self::ended`].
    pub(super) fn next(&mut self, now: Instant) -> Option<Due> {
        if !self.has_room() {
            return None;
        }
        let free = |due: &Due| {
            let host = host(&due.client_id);
            self.resting.get(host).is_none_or(|until| *until <= now)
                && self.under_way.values().filter(|busy| ***busy == *host).count() < self.per_host
        };
        let place = self.waiting.iter().position(free)?;
        let due = self.waiting.remove(place)?;
        self.under_way.insert(due.client_id.key(), host(&due.client_id).into());
        Some(due)
    }

    /// A document was read. Its host is left alone for as long as it, or the bound on how often it is asked, wants.
    pub(super) fn ended(&mut self, key: ClientKey, rest: Option<Duration>, now: Instant) {
        let Some(host) = self.under_way.remove(&key) else { return };
        if let Some(rest) = rest {
            self.resting.insert(host, now + rest);
        }
    }

    /// Whether more could be read than is.
    pub(super) fn has_room(&self) -> bool {
        self.under_way.len() < self.at_once
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the first of the hosts that rest has rested, if anybody waits.
    pub(super) fn rested_at(&self, now: Instant) -> Option<Instant> {
        self.resting.values().copied().filter(|until| !self.is_empty() && *until > now).min()
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use gatebook_events::identity::ClientId;

    use super::*;
    use crate::outbound::Validators;

    fn due(url: &str) -> Due {
        let client_id = ClientId::parse(url).unwrap();
        Due { client_id, last_read: DateTime::UNIX_EPOCH, failures: 0, validators: Validators::default() }
    }

    fn crowd(host: &str, count: usize) -> Vec<Due> {
        (0..count).map(|number| due(&format!("https://{host}/{number}"))).collect()
    }

    fn taken(queue: &mut Queue, now: Instant) -> Vec<Due> {
        std::iter::from_fn(|| queue.next(now)).collect()
    }

    #[test]
    fn a_host_has_a_quarter_of_the_places_and_the_others_have_the_rest() {
        let (mut queue, now) = (Queue::new(16, 4), Instant::now());
        queue.refill([crowd("stuck.example", 100), crowd("quick.example", 2), crowd("stuck.example:8443", 1)].concat(), now);
        let first = taken(&mut queue, now);
        let stuck = first.iter().filter(|due| due.client_id.as_str().contains("stuck")).count();
        assert_eq!((stuck, first.len()), (4, 6), "whatever its ports");
        assert!(queue.has_room() && !queue.is_empty());
        queue.refill(crowd("late.example", 1), now);
        assert_eq!(taken(&mut queue, now).len(), 1);
    }

    #[test]
    fn what_is_being_read_is_not_read_twice_and_no_more_is_read_than_there_are_places() {
        let (mut queue, now) = (Queue::new(2, 4), Instant::now());
        let all = [crowd("a.example", 1), crowd("b.example", 1), crowd("c.example", 1)].concat();
        queue.refill(all.clone(), now);
        assert_eq!(taken(&mut queue, now), all[..2]);
        queue.refill(all.clone(), now);
        assert_eq!(taken(&mut queue, now), []);
        queue.ended(all[0].client_id.key(), None, now);
        assert_eq!(taken(&mut queue, now), all[2..]);
    }

    #[test]
    fn a_host_that_was_asked_often_enough_is_left_alone_while_the_others_are_asked() {
        let (mut queue, now) = (Queue::new(16, 4), Instant::now());
        queue.refill(crowd("busy.example", 10), now);
        let first = queue.next(now).unwrap();
        queue.ended(first.client_id.key(), Some(Duration::from_secs(3)), now);
        assert_eq!(queue.next(now), None);
        assert_eq!(queue.rested_at(now), Some(now + Duration::from_secs(3)));
        assert_eq!(queue.rested_at(now + Duration::from_secs(3)), None);
        queue.refill([crowd("busy.example", 10), crowd("other.example", 1)].concat(), now);
        assert_eq!(taken(&mut queue, now), crowd("other.example", 1));
        assert_eq!(taken(&mut queue, now + Duration::from_secs(3)).len(), 4);
    }
}
