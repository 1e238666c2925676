//! What can happen to a client, a registration, a resource server, an initial access token, a service token or a webhook, and when it may.
//!
//! Pure: no async, no IO, no clock, no randomness. Time, ids and hashes arrive inside the commands.
//! Each aggregate has a state, commands, [`Aggregate::decide`] (may this happen?) and [`Aggregate::evolve`] (what it changes).

pub mod admission;
pub mod answer_version;
pub mod clamps;
pub mod client;
pub mod codec;
pub mod decision;
pub mod envelope;
pub mod family;
pub mod identity;
pub mod initial_access_token;
pub mod json;
pub mod look_alike;
pub mod manifest;
pub mod metadata;
pub mod name;
pub mod projection;
pub mod reason;
pub mod redirect;
pub mod redirect_rule;
pub mod registration;
pub mod rejection;
pub mod reservation;
pub mod resource_server;
pub mod scenario;
pub mod scope;
pub mod secret;
pub mod service_token;
pub mod standing;
pub mod stored;
pub mod stream;
mod upcast;
pub mod webhook;

pub use rejection::Rejection;

/// A thing with a history: its state is the fold of its events, and its events are what commands were decided to be.
pub trait Aggregate: Default + Clone + Send + Sync + 'static {
    /// What can be asked of it. Time, ids and hashes are inside, already drawn.
    type Command: Send + Sync;
    /// What can have happened to it.
    type Event: stored::Stored + Clone + std::fmt::Debug + PartialEq + Send + Sync + 'static;

    /// May this happen? No events means that it already holds.
    fn decide(&self, command: &Self::Command) -> Result<Vec<Self::Event>, Rejection>;

    /// The rule of a resource server's policy that an event of this command follows from; none where whoever asked decided.
    fn rule(_command: &Self::Command, _event: &Self::Event) -> Option<&'static str> {
        None
    }

    /// The state after an event. Total: an event that does not fit the state leaves it as it was.
    fn evolve(self, event: &Self::Event) -> Self;
}
