//! What OAuth clients call.

pub mod manage;
pub mod register;
