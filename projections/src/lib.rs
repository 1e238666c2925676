//! How the events look to a reader: `SQLite` tables, their fold and their queries.
//!
//! One projection, one module: its tables, what each event does to them, and what can be asked. All of it is derived from
//! the events and may be thrown away; [`read_model`] keeps the files.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod approvals;
mod column;
pub mod cursor;
pub mod directory;
#[cfg(test)]
mod entered_tests;
pub mod history;
#[cfg(test)]
mod manifest_tests;
mod page;
pub mod read_model;
mod registration;
#[cfg(test)]
mod scene;

pub use approvals::Approvals;
pub use cursor::{Cursor, InvalidCursor};
pub use directory::Directory;
pub use history::History;
pub use read_model::{ApplyError, Batch, OpenError, Projection, ProjectionError, QueryError, ReadModel, Reader};
