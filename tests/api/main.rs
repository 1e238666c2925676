//! The promises of the API, kept from outside: over HTTP, by the people who call it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod answer;
#[allow(dead_code, reason = "other test programs need other parts of it")]
mod house;

mod administration;
mod admission;
mod as_of;
mod attacks;
mod authenticate;
mod bad_input;
mod bounds;
mod cluster;
mod decisions;
mod discovery;
mod doors;
mod doors_agree;
mod dormancy;
mod edits;
mod export;
mod families;
mod floods;
mod history;
mod hosts;
mod leaks;
mod look_alikes;
mod manage;
mod names;
mod once;
mod projections;
mod queries;
mod reasons;
mod recovery;
mod register;
mod registration_tokens;
mod reviewed;
mod service_tokens;
mod share;
mod spellings;
mod statements;
mod tokens;
mod upgrade;
mod usage;
mod walls_between_tenants;
