//! What every event log promises, checked on each of them, and what only one of them promises.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and one that was not run says so"
)]

mod contract;
mod model;
mod place;

mod memory;
mod sqlite;
