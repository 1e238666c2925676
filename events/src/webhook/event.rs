//! What can have happened to a webhook.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Start, Wish};
use crate::envelope::EventId;
use crate::identity::TenantId;
use crate::stored::stored;

stored! {
    /// What can have happened to a webhook.
    WebhookEvent {
        "webhook.created" 1 => Created,
        "webhook.edited" 1 => Edited,
        "webhook.secret_rotated" 1 => SecretRotated,
        "webhook.disabled" 1 => Disabled,
        "webhook.enabled" 1 => Enabled,
        "webhook.event_dropped" 1 => EventDropped,
        "webhook.deleted" 1 => Deleted,
    }
}

/// An administrator created it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Created {
    /// Whose events it hears of.
    pub tenant: TenantId,
    /// Where it is, and what it wants.
    #[serde(flatten)]
    pub wish: Wish,
    /// Where it begins.
    pub start: Start,
}

/// It wants something else, or is elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Edited {
    /// All of what it wants from now on.
    #[serde(flatten)]
    pub wish: Wish,
}

/// Messages are signed with a new secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct SecretRotated {
    /// Which one, counted from 1.
    pub generation: u32,
    /// Until when they are signed with the one before too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_valid_until: Option<DateTime<Utc>>,
    /// By which the same request is known when it is sent again. It says nothing about the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat_key: Option<Box<str>>,
}

/// It is sent nothing more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Disabled {
    /// Why.
    pub because: DisabledBecause,
    /// What the administrator said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why a webhook is sent nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DisabledBecause {
    /// An administrator said so.
    Administrator,
    /// It answered 410.
    Gone,
    /// Nothing has arrived for days.
    Failing,
}

impl DisabledBecause {
    /// The name on the wire and in storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }
}

/// It goes on where it was disabled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Enabled {}

/// An event that it did not take is not sent to it any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct EventDropped {
    /// Which one.
    pub event_id: EventId,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// It is no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Deleted {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
