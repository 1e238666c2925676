//! The pages, one a file.

pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod bulk;
pub(crate) mod client;
pub(crate) mod clients;
pub(crate) mod enter;
pub(crate) mod enter_cimd;
pub(crate) mod live;
pub(crate) mod overview;
pub(crate) mod provider;
pub(crate) mod settings;
pub(crate) mod sign_in;
pub(crate) mod unbound;
