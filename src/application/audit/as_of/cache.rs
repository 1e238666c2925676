//! The moments that are kept, and which of them goes when there are too many: first one of whoever asks for more.

use std::sync::Arc;
use std::time::Duration;

use gatebook_events::envelope::Position;
use gatebook_events::identity::TenantId;
use tokio::time::Instant;

use super::{AsOf, Moment};

/// How many moments are kept.
pub const MOST: usize = 4;
/// How many of them are one tenant's, so that one alone never has the others' thrown out.
pub const MOST_OF_ONE: usize = 2;

/// What is kept. It gives back what has to go, so that a caller lets go of that once nobody waits for the shelf.
#[derive(Default)]
pub struct Shelf(Vec<Kept>);

struct Kept {
    moment: Arc<Moment>,
    asked: Instant,
}

impl Shelf {
    /// The moment that is meant, where the log ends at `head`.
    pub fn find(&mut self, tenant: &TenantId, as_of: AsOf, head: Position) -> Option<Arc<Moment>> {
        let found = self.0.iter_mut().find(|one| one.moment.is(tenant, as_of, head))?;
        found.asked = Instant::now();
        Some(found.moment.clone())
    }

    /// Keeps one more; what has to go for it is given back.
    pub fn put(&mut self, moment: Arc<Moment>) -> Vec<Arc<Moment>> {
        let mut gone = self.take(|one| one.moment.is_same(&moment));
        let full = self.0.len() >= MOST;
        let own = self.number_of(&moment.tenant);
        if full || own >= MOST_OF_ONE {
            // One of their own if they have any, else somebody's second one before anybody's only one; of these the oldest asked for.
            let order = |one: &Kept| (own > 0 && one.moment.tenant != moment.tenant, self.number_of(&one.moment.tenant) == 1, one.asked);
            let first = self.0.iter().enumerate().min_by_key(|(_, one)| order(one)).map(|(place, _)| place);
            gone.extend(first.map(|place| self.0.swap_remove(place).moment));
        }
        self.0.push(Kept { moment, asked: Instant::now() });
        gone
    }

    /// What nobody asked for in so long.
    pub fn take_unasked(&mut self, long: Duration) -> Vec<Arc<Moment>> {
        self.take(|one| one.asked.elapsed() >= long)
    }

    fn number_of(&self, tenant: &TenantId) -> usize {
        self.0.iter().filter(|one| one.moment.tenant == *tenant).count()
    }

    fn take(&mut self, which: impl Fn(&Kept) -> bool) -> Vec<Arc<Moment>> {
        self.0.extract_if(.., |one| which(one)).map(|one| one.moment).collect()
    }
}
