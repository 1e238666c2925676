//! What OAuth clients call.

pub mod authenticate;
mod by_document;
pub mod decisions;
pub mod manage;
pub mod register;
