//! Delivery of events to others: webhooks and the feed.

pub(crate) mod cloud_event;
pub(crate) mod feed;
pub(crate) mod webhooks;
