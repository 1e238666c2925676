//! What the operating system gives: clock, files, disk space, and small tools on top of them.

pub mod atomic_file;
pub(crate) mod backoff;
pub mod clock;
pub mod counters;
pub(crate) mod detached;
pub(crate) mod disk_space;
pub mod json;
pub mod network;
pub mod side_db;
pub(crate) mod spans;
pub mod stopping;
