//! What was: the lists at an earlier moment, the event streams, and the integrity of the log.

pub(crate) mod as_of;
pub(crate) mod entry;
pub mod integrity;
pub(crate) mod streams;
