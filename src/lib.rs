//! Gatebook carries what `events` decides and shows what `projections` keep: HTTP, the event log, keys and commands.

pub mod aggregates;
pub mod application;
pub mod bootstrap;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod credentials;
pub mod delivery;
pub mod event_log;
pub mod http;
pub mod outbound;
pub mod platform;
pub mod read_models;
pub mod server;
pub(crate) mod ui;
