//! What pages are made of: layout, session, forms, links, formats.

pub(crate) mod chart;
pub(crate) mod cookies;
pub(crate) mod error_page;
pub(crate) mod event_text;
pub(crate) mod format;
pub(crate) mod forms;
pub(crate) mod layout;
pub(crate) mod links;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod warnings;
