//! What can happen to a client, a registration or a resource server, and when it may.
//!
//! Pure: no async, no IO, no clock, no randomness. Time, ids and hashes arrive inside the commands.

pub mod envelope;
pub mod identity;
