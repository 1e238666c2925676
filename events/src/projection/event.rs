//! What operators can have done about a projection.

use serde::{Deserialize, Serialize};

use crate::envelope::EventId;
use crate::stored::stored;

stored! {
    /// What operators can have done about a projection.
    ProjectionEvent {
        "projection.event_skipped" 1 => EventSkipped,
        "projection.skip_taken_back" 1 => SkipTakenBack,
    }
}

/// A version of the projection goes on without an event that it cannot read or apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct EventSkipped {
    /// Which version of the projection.
    pub projection_version: u32,
    /// The event that is left out.
    pub event_id: EventId,
    /// Its stored name.
    pub event_name: Box<str>,
    /// Where it stands, as it is printed.
    pub position: Box<str>,
    /// What the operator said.
    pub reason: Box<str>,
}

/// A version of the projection no longer leaves out an event: a build from the first event on brings it in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct SkipTakenBack {
    /// Which version of the projection.
    pub projection_version: u32,
    /// The event that was left out.
    pub event_id: EventId,
    /// What the operator said.
    pub reason: Box<str>,
}
