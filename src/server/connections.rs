//! How many connections there are, in all and from each source, and which of them makes room when there are too many.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use super::timing::Timing;
use crate::platform::counters::ConnectionCounters;
use crate::platform::network::subscriber;

/// Beyond every bound this machine still gets so many connections, each for one call, so that a flood does not make the
/// service look ill to whoever asks from beside it.
const FOR_THIS_MACHINE: usize = 16;

/// Why a connection is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// There are too many from its source.
    Source,
    /// There are too many in all, and each is at work.
    All,
}

/// Whether a connection is let in.
pub enum Admission {
    /// As any other.
    Admitted(Place),
    /// For one call.
    Brief(Place),
    /// Not at all.
    Full(Why),
}

/// The connections of one listener.
#[derive(Clone)]
pub struct Connections(Arc<Inner>);

struct Inner {
    most: usize,
    per_source: Option<NonZeroUsize>,
    figures: ConnectionCounters,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    /// By number; none for those that make room already.
    all: HashMap<u64, Entry>,
    by_source: HashMap<IpAddr, usize>,
    brief: usize,
}

struct Entry {
    timing: Arc<Timing>,
    trusted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counted,
    Trusted,
    Brief,
}

/// The place of one connection, until it is dropped.
pub struct Place {
    of: Connections,
    number: u64,
    source: IpAddr,
    kind: Kind,
    /// What the connection is doing.
    pub timing: Arc<Timing>,
}

impl Connections {
    /// At most so many in all and from one source; trusted proxies are bounded in all only.
    pub fn new(most: usize, per_source: Option<NonZeroUsize>, figures: ConnectionCounters) -> Self {
        Self(Arc::new(Inner { most, per_source, figures, open: Mutex::default() }))
    }

    /// Lets a connection in, if there is room or one that stands still makes room.
    pub fn admit(&self, peer: IpAddr, trusted: bool) -> Admission {
        let source = subscriber(peer.to_canonical());
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let from_there = open.by_source.get(&source).copied().unwrap_or_default();
        let why = if !trusted && self.0.per_source.is_some_and(|most| from_there >= most.get()) {
            Some(Why::Source)
        } else if open.all.len() >= self.0.most && !open.make_room() {
            Some(Why::All)
        } else {
            None
        };
        match why {
            None if trusted => Admission::Admitted(self.place(&mut open, source, Kind::Trusted)),
            None => Admission::Admitted(self.place(&mut open, source, Kind::Counted)),
            Some(_) if source.is_loopback() && open.brief < FOR_THIS_MACHINE => {
                Admission::Brief(self.place(&mut open, source, Kind::Brief))
            }
            Some(why) => {
                self.0.figures.turned_away.get_or_create(&[("bound", why.as_str())]).inc();
                Admission::Full(why)
            }
        }
    }

    fn place(&self, open: &mut Open, source: IpAddr, kind: Kind) -> Place {
        open.next += 1;
        let (number, timing) = (open.next, Arc::new(Timing::default()));
        match kind {
            Kind::Brief => open.brief += 1,
            Kind::Trusted | Kind::Counted => {
                open.all.insert(number, Entry { timing: timing.clone(), trusted: kind == Kind::Trusted });
                *open.by_source.entry(source).or_default() += 1;
            }
        }
        self.0.figures.open.inc();
        Place { of: self.clone(), number, source, kind, timing }
    }
}

impl Open {
    /// Ends the connection that has stood still for longest: first those whose request never comes, then those between two calls.
    /// It counts no more; its task ends as soon as it is woken.
    fn make_room(&mut self) -> bool {
        let still = self.all.iter().filter(|(_, entry)| !entry.trusted);
        let still = still.filter_map(|(number, entry)| Some((entry.timing.standing_still()?, *number)));
        let Some((_, number)) = still.min() else { return false };
        self.all.remove(&number).is_some_and(|entry| {
            entry.timing.end();
            true
        })
    }
}

impl Place {
    /// Whether it is for one call only.
    pub fn is_brief(&self) -> bool {
        self.kind == Kind::Brief
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.of.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        self.of.0.figures.open.dec();
        if self.kind == Kind::Brief {
            open.brief = open.brief.saturating_sub(1);
            return;
        }
        open.all.remove(&self.number);
        if let Some(count) = open.by_source.get_mut(&self.source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.by_source.remove(&self.source);
            }
        }
    }
}

impl Why {
    /// The bound that was met, for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::All => "all",
        }
    }

    /// What the caller is told.
    pub const fn as_words(self) -> &'static str {
        match self {
            Self::Source => "there are too many connections from this source",
            Self::All => "there are too many connections",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn bounded(most: usize, per_source: usize) -> Connections {
        Connections::new(most, NonZeroUsize::new(per_source), ConnectionCounters::default())
    }

    fn admitted(connections: &Connections, peer: &str) -> Place {
        match connections.admit(ip(peer), false) {
            Admission::Admitted(place) => place,
            Admission::Brief(_) | Admission::Full(_) => panic!("{peer} is not let in"),
        }
    }

    #[test]
    fn b4_one_source_has_a_bound_of_its_own_and_leaves_room_to_another() {
        let connections = bounded(10, 2);
        let held = [admitted(&connections, "2001:db8::1"), admitted(&connections, "2001:db8::2")];
        assert!(matches!(connections.admit(ip("2001:db8::3"), false), Admission::Full(Why::Source)), "a /64 is one source");
        admitted(&connections, "2001:db8:0:1::3");
        assert!(matches!(connections.admit(ip("2001:db8::4"), true), Admission::Admitted(_)), "a trusted proxy has many callers");
        drop(held);
        admitted(&connections, "2001:db8::3");
    }

    #[test]
    fn b4_where_all_places_are_taken_the_one_that_stands_still_for_longest_makes_room() {
        let connections = bounded(2, 2);
        let (busy, still) = (admitted(&connections, "192.0.2.1"), admitted(&connections, "192.0.2.2"));
        busy.timing.call_begins(false);
        let newcomer = admitted(&connections, "192.0.2.3");
        assert!(still.timing.is_over() && !busy.timing.is_over() && !newcomer.timing.is_over());
        newcomer.timing.call_begins(false);
        assert!(matches!(connections.admit(ip("192.0.2.4"), false), Admission::Full(Why::All)), "each is at work");
        busy.timing.call_ends();
        drop((still, newcomer));
        admitted(&connections, "192.0.2.4");
    }

    #[test]
    fn b4_this_machine_gets_a_few_more_for_one_call_each() {
        let connections = bounded(100, 1);
        let held = admitted(&connections, "127.0.0.1");
        let brief: Vec<_> = (0..FOR_THIS_MACHINE).map(|_| connections.admit(ip("127.0.0.1"), false)).collect();
        assert!(brief.iter().all(|admission| matches!(admission, Admission::Brief(place) if place.is_brief())));
        assert!(matches!(connections.admit(ip("127.0.0.1"), false), Admission::Full(Why::Source)));
        drop((held, brief));
        admitted(&connections, "127.0.0.1");
        assert_eq!(connections.0.figures.open.get(), 0);
    }
}
