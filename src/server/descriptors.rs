//! How many descriptors the process may have open: as many as the system lets it.

/// Raises the soft limit to the hard one, as it is often 1,024 for historical reasons only.
#[cfg(unix)]
pub fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "the limit of open descriptors stays as it is");
    }
}

/// How many descriptors there may be, if there is a limit.
#[cfg(unix)]
pub fn descriptors() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// There is nothing to raise.
#[cfg(not(unix))]
pub fn raise_descriptors() {}

/// There is no such limit.
#[cfg(not(unix))]
pub fn descriptors() -> Option<u64> {
    None
}
