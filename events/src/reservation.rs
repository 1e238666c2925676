//! The reservation: which client all identical registrations at a resource server share.
//!
//! It is taken before its client is registered, so that of a crowd one alone names the client. A crash in between leaves a
//! reservation whose client is not there yet; the next identical registration completes it.

use crate::identity::ClientKey;
use crate::{Aggregate, Rejection};

mod event;
mod fingerprint;

pub use event::{ReservationEvent, Taken};
pub use fingerprint::Fingerprint;

/// The state of a reservation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reservation {
    /// The client that identical registrations share.
    pub holder: Option<ClientKey>,
}

/// What can be asked of a reservation.
#[derive(Debug, Clone)]
pub enum ReservationCommand {
    /// Name the client. Whoever comes later finds out who was named.
    Take {
        /// The client to name.
        client_key: ClientKey,
        /// The client that was named and cannot be shared any more; none, if nobody was named.
        instead_of: Option<ClientKey>,
    },
}

impl Aggregate for Reservation {
    type Command = ReservationCommand;
    type Event = ReservationEvent;

    fn decide(&self, command: &ReservationCommand) -> Result<Vec<ReservationEvent>, Rejection> {
        match command {
            ReservationCommand::Take { client_key, instead_of } if self.holder == *instead_of => {
                Ok(vec![ReservationEvent::Taken(Taken { client_key: *client_key, instead_of: *instead_of })])
            }
            // Somebody was quicker, or it is this very client's already.
            ReservationCommand::Take { .. } => Ok(vec![]),
        }
    }

    fn evolve(mut self, event: &ReservationEvent) -> Self {
        match event {
            ReservationEvent::Taken(taken) if self.holder == taken.instead_of => self.holder = Some(taken.client_key),
            ReservationEvent::Taken(_) => {}
        }
        self
    }
}

#[cfg(test)]
mod tests;
