//! What nodes share beside the event log: connections, a key-value store, and announcements.

pub mod announcements;
pub mod kurrentdb;
pub mod nats;
pub mod node;
pub mod shared_kv;
