//! What OAuth clients call.

pub mod decisions;
pub mod manage;
pub mod register;
