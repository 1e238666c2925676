//! Where things lie in the data folder. What belongs to a shared log has a folder of its own: its positions are not those of the
//! log that this node may have kept alone before.

use std::path::{Path, PathBuf};

use super::{Config, LogBackend};

/// The event log, or this node's mirror of it.
pub fn log(config: &Config) -> PathBuf {
    match &config.log {
        LogBackend::Sqlite => config.data.join("log.db"),
        LogBackend::JetStream(_) | LogBackend::KurrentDb(_) => shared(config).join("mirror.db"),
    }
}

/// The read models.
pub fn read_models(config: &Config) -> PathBuf {
    match &config.log {
        LogBackend::Sqlite => config.data.join("read-models"),
        LogBackend::JetStream(_) | LogBackend::KurrentDb(_) => shared(config).join("read-models"),
    }
}

/// The client lists as they were, for as long as somebody looks at them.
pub fn past(config: &Config) -> PathBuf {
    match &config.log {
        LogBackend::Sqlite => config.data.join("past"),
        LogBackend::JetStream(_) | LogBackend::KurrentDb(_) => shared(config).join("past"),
    }
}

/// What webhooks were sent.
pub fn webhooks(config: &Config) -> PathBuf {
    match &config.log {
        LogBackend::Sqlite => config.data.join("webhooks.db"),
        LogBackend::JetStream(_) | LogBackend::KurrentDb(_) => shared(config).join("webhooks.db"),
    }
}

/// How far the feed is.
pub fn feed(config: &Config) -> PathBuf {
    match &config.log {
        LogBackend::Sqlite => config.data.join("feed.db"),
        LogBackend::JetStream(_) | LogBackend::KurrentDb(_) => shared(config).join("feed.db"),
    }
}

/// When clients' documents are read again.
pub fn schedule(data: &Path) -> PathBuf {
    data.join("schedule.db")
}

/// What the file of the keys that access tokens are signed with is called.
pub const TOKEN_KEYS: &str = "token-keys.json";

/// The keys that access tokens are signed with, where no others are configured.
pub fn token_keys(data: &Path) -> PathBuf {
    data.join(TOKEN_KEYS)
}

/// When registrations were used.
pub fn usage(data: &Path) -> PathBuf {
    data.join("usage.db")
}

/// What a migration needs while it is under way.
pub fn migration(config: &Config) -> PathBuf {
    config.data.join("migration")
}

/// Which node this is.
pub fn node(config: &Config) -> PathBuf {
    config.data.join("node-id")
}

fn shared(config: &Config) -> PathBuf {
    config.data.join("cluster")
}
