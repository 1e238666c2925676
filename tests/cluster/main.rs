//! Several nodes that share one event log: the real binary, on real servers of NATS JetStream and on a fake of KurrentDB.
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
#[allow(dead_code, reason = "the fake of the tests of backends; not every part of it is needed here")]
#[path = "../backends/kurrentdb"]
mod kurrentdb {
    pub mod fake;
    mod generated;
}
#[path = "../nats/mod.rs"]
mod nats;
#[allow(dead_code, reason = "the receiver of the tests of webhooks; not every part of it is needed here")]
#[path = "../webhooks/receiver.rs"]
mod receiver;

mod faults;
mod load;
mod mirror;
mod nodes;
mod papers;
mod secured;
mod start;
mod together;
mod turns;
mod webhooks;
