//! Where dear hashes are computed: a few at a time, beside the server's own threads.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use tokio::sync::Semaphore;
use tokio::task;

use super::hash::{self, Cost};
use super::{ClientSecret, SecretError};
use crate::platform::spans::on_behalf;

/// How many may wait per hash that runs. At 20 ms each the last one waits about a second.
const WAITING_PER_SLOT: usize = 50;

/// Hashes and checks secrets so that a flood of logins cannot starve registration. Cheap to clone.
///
/// A cheap hash runs at once. A dear one needs one of few slots, and a wait of bounded length for it.
#[derive(Debug, Clone)]
pub struct SecretHasher {
    slots: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

impl Default for SecretHasher {
    /// Half of the processors may hash; at least one.
    fn default() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::new(NonZeroUsize::new(processors / 2).unwrap_or(NonZeroUsize::MIN))
    }
}

impl SecretHasher {
    /// A pool in which so many dear hashes run at once.
    pub fn new(slots: NonZeroUsize) -> Self {
        let waiting = slots.get().saturating_mul(WAITING_PER_SLOT).min(Semaphore::MAX_PERMITS);
        Self { slots: Arc::new(Semaphore::new(slots.get())), queue: Arc::new(Semaphore::new(waiting)) }
    }

    /// See [`hash::hash_secret`]. [`SecretError::Busy`] when the queue is full.
    pub async fn hash(&self, secret: &ClientSecret, cost: Cost) -> Result<String, SecretError> {
        match cost {
            Cost::Drawn => hash::hash_secret(secret, cost),
            Cost::Chosen => {
                let secret = secret.clone();
                self.in_a_slot(move || hash::hash_secret(&secret, cost)).await
            }
        }
    }

    /// See [`hash::verify_secret`]. [`SecretError::Busy`] when the queue is full.
    pub async fn verify(&self, secret: &ClientSecret, stored: &str) -> Result<bool, SecretError> {
        match Cost::of(stored)? {
            Cost::Drawn => hash::verify_secret(secret, stored),
            Cost::Chosen => {
                let (secret, stored) = (secret.clone(), stored.to_owned());
                self.in_a_slot(move || hash::verify_secret(&secret, &stored)).await
            }
        }
    }

    async fn in_a_slot<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T, SecretError> + Send + 'static) -> Result<T, SecretError> {
        let place = Arc::clone(&self.queue).try_acquire_owned().map_err(|_| SecretError::Busy)?;
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| SecretError::Stopped)?;
        // Both go with the work: a caller that hangs up does not free a slot that is still in use.
        let finished = task::spawn_blocking(on_behalf(move || {
            let _held = (place, slot);
            work()
        }));
        finished.await.map_err(|_| SecretError::Stopped)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_costs_can_be_hashed_and_checked() {
        let hasher = SecretHasher::default();
        let secret = ClientSecret::try_draw().unwrap();
        for cost in [Cost::Drawn, Cost::Chosen] {
            let stored = hasher.hash(&secret, cost).await.unwrap();
            assert!(hasher.verify(&secret, &stored).await.unwrap());
            assert!(!hasher.verify(&ClientSecret::received("guess"), &stored).await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_flood_of_logins_is_turned_away_while_drawn_secrets_pass() {
        let hasher = SecretHasher::new(NonZeroUsize::MIN);
        let secret = ClientSecret::try_draw().unwrap();
        let (drawn, chosen) = (hasher.hash(&secret, Cost::Drawn).await.unwrap(), hasher.hash(&secret, Cost::Chosen).await.unwrap());
        // Every slot and every place in the queue is taken.
        let _slot = hasher.slots.acquire().await.unwrap();
        let _places = hasher.queue.acquire_many(u32::try_from(WAITING_PER_SLOT).unwrap()).await.unwrap();
        assert!(matches!(hasher.verify(&secret, &chosen).await, Err(SecretError::Busy)));
        assert!(hasher.verify(&secret, &drawn).await.unwrap());
        assert!(hasher.hash(&secret, Cost::Drawn).await.is_ok());
    }
}
