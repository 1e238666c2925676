//! What can have happened to a reservation.

use serde::{Deserialize, Serialize};

use crate::identity::ClientKey;
use crate::stored::stored;

stored! {
    /// What can have happened to a reservation.
    ReservationEvent {
        "reservation.taken" 1 => Taken,
    }
}

/// A client was named for all identical registrations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Taken {
    /// The client.
    pub client_key: ClientKey,
    /// The client that was named before, and that was deleted or is another program by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<ClientKey>,
}
