//! Several nodes that share one event log in NATS JetStream: the real binary, on real servers.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and what was measured is printed"
)]

#[path = "../instance/mod.rs"]
mod instance;
#[path = "../nats/mod.rs"]
mod nats;

mod faults;
mod load;
mod mirror;
mod nodes;
mod papers;
mod secured;
mod start;
mod together;
mod turns;
