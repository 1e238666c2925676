//! What every event log promises, checked on each of them, and what only one of them promises; the same of what nodes share beside it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

#[path = "../nats/mod.rs"]
mod nats;

mod contract;
mod model;
mod place;

mod jetstream;
mod kurrentdb;
mod memory;
mod mirror;
mod notes;
mod sqlite;
