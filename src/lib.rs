//! Gatebook carries what `events` decides and shows what `projections` keep: HTTP, the event log, keys and commands.

pub mod access_tokens;
pub mod admin;
pub mod app;
mod authentication;
mod ceiling;
mod census;
pub mod cli;
pub mod clock;
mod cloud_event;
pub mod command;
pub mod config;
pub mod documents;
mod doors;
mod fetch;
pub mod http;
mod key_sets;
pub mod keys;
pub mod log;
mod look_alikes;
pub mod manifest;
pub mod metrics;
pub mod projector;
pub mod secrets;
mod side_table;
pub mod statements;
mod upstream;
mod webhooks;
