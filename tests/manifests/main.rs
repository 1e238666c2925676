//! Fetching the documents that clients host, against hosts that do as they should and hosts that do not. Names that start with
//! an id are lines of the conformance table: CIMD draft-01, section numbers as there.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod host;
mod names;
mod world;

mod answers;
mod bounds;
mod forbidden;
mod restraint;
mod tls;
mod urls;
