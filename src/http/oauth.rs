//! What OAuth clients call.

pub(crate) mod cimd;

pub mod authenticate;
mod credentials;
pub mod decisions;
pub mod introspect;
pub mod manage;
pub mod register;
pub mod token;
