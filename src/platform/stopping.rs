//! Whether the service is about to stop: told once, heard by everything that has no end of its own.

use tokio::sync::watch;

/// A signal that is given once.
#[derive(Debug, Clone, Default)]
pub struct Stopping(watch::Sender<bool>);

impl Stopping {
    /// Gives the signal.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Returns once the signal was given.
    pub async fn wait(&self) {
        let mut stopping = self.0.subscribe();
        // The sender lives as long as this does, so there is nothing else to wait for.
        let _told = stopping.wait_for(|stopping| *stopping).await;
    }
}
