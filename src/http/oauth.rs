//! What OAuth clients call.

pub mod authenticate;
mod by_document;
mod credentials;
pub mod decisions;
pub mod introspect;
pub mod manage;
pub mod register;
pub mod token;
