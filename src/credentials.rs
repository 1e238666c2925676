//! Credentials: secrets and tokens in the clear, key files, administrators' tokens and the OpenID provider, key sets.

pub mod admin;
pub mod key_files;
pub(crate) mod key_sets;
pub mod secrets;
