//! From a host's name to its addresses, once for every fetch.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

/// The most look-ups under way: each keeps a thread, and may outlive the fetch that asked for it.
const LOOK_UPS: usize = 32;

/// Who knows the addresses of a host.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// All of them. The fetcher asks once for each fetch and connects to one of these or to none.
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's own resolver.
pub struct SystemResolver {
    look_ups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { look_ups: Arc::new(Semaphore::new(LOOK_UPS)) }
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let permit = self.look_ups.clone().acquire_owned().await.map_err(io::Error::other)?;
        let host = host.to_owned();
        // A task of its own, so that the permit is held for as long as the thread is, also when nobody waits any more.
        let look_up = tokio::spawn(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await.map(|found| found.map(|address| address.ip()).collect());
            drop(permit);
            found
        });
        look_up.await.map_err(io::Error::other)?
    }
}
