//! Gatebook carries what `events` decides and shows what `projections` keep: HTTP, the event log, keys and commands.

pub mod admin;
pub mod cli;
pub mod clock;
pub mod config;
pub mod keys;
pub mod log;
pub mod secrets;
