//! Use cases: what happens to registrations and what is asked of them. No HTTP, no SQL.

pub mod access_tokens;
pub(crate) mod audiences;
pub mod audit;
pub(crate) mod authentication;
pub(crate) mod authorization_server;
pub(crate) mod decisions;
pub mod dormancy;
pub mod idempotency;
pub mod initial_access_tokens;
pub(crate) mod look_alikes;
pub mod manage;
pub mod manifests;
pub mod metrics;
pub mod projections;
pub(crate) mod quotas;
pub(crate) mod rate_limits;
pub(crate) mod reads;
pub mod register;
pub mod resource_servers;
pub mod review;
pub mod service_tokens;
pub(crate) mod sessions;
pub mod software_statements;
pub mod usage;
