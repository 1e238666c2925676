//! How many of a tenant's and of one caller's reads are under way at a time: what one of them asks for and does not take is held in
//! memory, and must not be multiplied by asking again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gatebook_events::identity::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::application::error::UseCaseError;

/// How long a read waits for another one to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// After how many seconds it is worth to ask again.
const RETRY_AFTER: u64 = 5;
/// One caller may have this share of its tenant's reads.
const SHARE: usize = 4;
/// From so many tenants and callers on, those that read nothing now are forgotten.
const MOST_IDLE: usize = 1024;

/// The places of a tenant, and of each of its callers.
type Places = HashMap<(TenantId, Option<String>), Arc<Semaphore>>;

/// What is being read, by whom.
pub struct Reads {
    per_tenant: usize,
    known: Mutex<Places>,
}

/// One read that is under way, until it is dropped.
pub struct Read {
    _places: [OwnedSemaphorePermit; 2],
}

impl Reads {
    /// At most so many of one tenant, and a quarter of them of one caller.
    pub fn new(per_tenant: usize) -> Self {
        Self { per_tenant: per_tenant.max(1), known: Mutex::default() }
    }

    /// Begins a read, once there is room.
    pub async fn begin(&self, tenant: &TenantId, subject: &str) -> Result<Read, UseCaseError> {
        let per_subject = self.per_tenant.div_ceil(SHARE);
        let of_subject = self.places((tenant.clone(), Some(subject.to_owned())), per_subject);
        let of_subject = place(of_subject).await.ok_or(UseCaseError::TooManyAtOnce("reads by this caller", RETRY_AFTER))?;
        let of_tenant = self.places((tenant.clone(), None), self.per_tenant);
        let of_tenant = place(of_tenant).await.ok_or(UseCaseError::TooManyAtOnce("reads by this tenant", RETRY_AFTER))?;
        Ok(Read { _places: [of_subject, of_tenant] })
    }

    fn places(&self, of: (TenantId, Option<String>), most: usize) -> Arc<Semaphore> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_IDLE {
            // A permit holds its semaphore, and so does whoever waits for one.
            known.retain(|_, places| Arc::strong_count(places) > 1);
        }
        known.entry(of).or_insert_with(|| Arc::new(Semaphore::new(most))).clone()
    }
}

async fn place(places: Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    tokio::time::timeout(PATIENCE, places.acquire_owned()).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn b5_a_caller_has_a_share_of_its_tenants_reads_and_other_tenants_have_their_own() {
        let (reads, [one, other]) = (Reads::new(8), ["one", "other"].map(|name| TenantId::parse(name).unwrap()));
        let held = [reads.begin(&one, "vera").await.unwrap(), reads.begin(&one, "vera").await.unwrap()];
        assert_eq!(reads.places((one.clone(), Some("vera".to_owned())), 0).available_permits(), 0);
        let others: Vec<Read> = futures_util::future::join_all((0..6).map(|number| {
            let (reads, one) = (&reads, &one);
            async move { reads.begin(one, &number.to_string()).await.unwrap() }
        }))
        .await;
        assert_eq!(reads.places((one.clone(), None), 0).available_permits(), 0);
        assert!(reads.begin(&other, "vera").await.is_ok());
        drop((held, others));
        assert!(reads.begin(&one, "vera").await.is_ok());
    }
}
