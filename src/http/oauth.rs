//! What OAuth clients call.

mod by_document;
pub mod decisions;
pub mod manage;
pub mod register;
