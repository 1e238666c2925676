//! The initial access token (RFC 7591 §1.2, §3): who may register a client at one resource server, how often, until when, and
//! with what at most. Its use is counted by its own events, so that the count is exact whoever uses it at the same time.

use chrono::{DateTime, Utc};

use crate::identity::TenantId;
use crate::secret::TokenHash;
use crate::{Aggregate, Rejection};

mod command;
mod decide;
mod event;

use crate::admission::Usability;
use crate::clamps::Clamps;
pub use command::InitialAccessTokenCommand;
pub use event::{InitialAccessTokenEvent, Issued, Revoked, Used};

/// The state of an initial access token.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InitialAccessToken {
    /// Whether it exists, and whether it was revoked.
    pub life: Life,
    /// Whose resource server it is for.
    pub tenant: Option<TenantId>,
    /// The name for people to read.
    pub label: String,
    /// The hash of the token itself.
    pub token: Option<TokenHash>,
    /// When it stops working; never, if absent.
    pub expires_at: Option<DateTime<Utc>>,
    /// How many clients may register with it; any number, if absent.
    pub max_uses: Option<u32>,
    /// How many did.
    pub uses: u32,
    /// What a client that registers with it may be at most.
    pub clamps: Clamps,
}

/// The life of an initial access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Life {
    /// Nobody issued it.
    #[default]
    None,
    /// It exists.
    Issued,
    /// It was revoked; its history and the clients that came by it stay.
    Revoked,
}

impl InitialAccessToken {
    /// Whether a client may register with it at this time. Once it may not, it never may again.
    pub fn usability(&self, at: DateTime<Utc>) -> Usability {
        if self.life == Life::Revoked {
            Usability::Revoked
        } else if self.max_uses.is_some_and(|most| self.uses >= most) {
            Usability::UsedUp
        } else if self.expires_at.is_some_and(|end| end <= at) {
            Usability::Expired
        } else {
            Usability::Active
        }
    }
}

impl Aggregate for InitialAccessToken {
    type Command = InitialAccessTokenCommand;
    type Event = InitialAccessTokenEvent;

    fn decide(&self, command: &InitialAccessTokenCommand) -> Result<Vec<InitialAccessTokenEvent>, Rejection> {
        decide::decide(self, command)
    }

    fn evolve(mut self, event: &InitialAccessTokenEvent) -> Self {
        match (self.life, event) {
            (Life::None, InitialAccessTokenEvent::Issued(issued)) => Self {
                life: Life::Issued,
                tenant: Some(issued.tenant.clone()),
                label: issued.label.clone(),
                token: Some(issued.token),
                expires_at: issued.expires_at,
                max_uses: issued.max_uses,
                uses: 0,
                clamps: issued.clamps.clone(),
            },
            (Life::Issued, InitialAccessTokenEvent::Used(used)) => {
                self.uses = used.count;
                self
            }
            (Life::Issued, InitialAccessTokenEvent::Revoked(_)) => {
                self.life = Life::Revoked;
                self
            }
            (Life::None | Life::Issued | Life::Revoked, _) => self,
        }
    }
}

#[cfg(test)]
mod tests;
