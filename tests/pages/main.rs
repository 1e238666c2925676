//! The pages without a browser: sessions, forms that are ours and forms that are not, roles, tenants, and signing in at the
//! organisation's provider.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

#[allow(dead_code, reason = "the house of the API's own tests; not every part of it is needed here")]
#[path = "../api/answer.rs"]
mod answer;
#[allow(dead_code, reason = "the house of the API's own tests; not every part of it is needed here")]
#[path = "../api/house.rs"]
mod house;

mod decides;
mod export;
mod forms;
mod guest;
mod past;
mod programs;
mod provider;
mod queries;
mod reasons;
mod sessions;
