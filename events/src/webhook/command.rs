//! What can be asked of a webhook.

use super::{Created, Disabled, EventDropped, Wish};
use crate::secret::Rotation;

/// What can be asked of a webhook.
#[derive(Debug, Clone)]
pub enum WebhookCommand {
    /// Create it.
    Create(Created),
    /// Want something else, or be elsewhere.
    Edit(Wish),
    /// Sign with a new secret.
    RotateSecret(Rotation),
    /// Send nothing more.
    Disable(Disabled),
    /// Go on where it was disabled.
    Enable,
    /// Never send one event. Whether it is one that could not be sent is for whoever asks to know.
    DropEvent(EventDropped),
    /// End it.
    Delete {
        /// Why, for the history.
        reason: Option<String>,
    },
}
