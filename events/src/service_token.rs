//! The service token: with it an authorization server or a gateway asks about the clients of one tenant, or of some of its
//! resource servers.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::identity::{ResourceServerId, TenantId};
use crate::secret::TokenHash;
use crate::{Aggregate, Rejection};

mod command;
mod event;

pub use command::ServiceTokenCommand;
pub use event::{Created, Revoked, ServiceTokenEvent};

/// The state of a service token.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServiceToken {
    /// Whether it exists, and whether it was revoked.
    pub life: Life,
    /// Whose clients it asks about.
    pub tenant: Option<TenantId>,
    /// The name for people to read.
    pub label: String,
    /// The hash of the token itself.
    pub token: Option<TokenHash>,
    /// What may be done with it.
    pub scopes: Vec<ServiceScope>,
    /// At which of the tenant's resource servers only; at all of them, if empty.
    pub resource_servers: Vec<ResourceServerId>,
    /// When it stops working; never, if absent.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The life of a service token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Life {
    /// Nobody created it.
    #[default]
    None,
    /// It exists.
    Created,
    /// It was revoked; its history stays.
    Revoked,
}

/// What may be done with a service token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub enum ServiceScope {
    /// Ask whether clients may come in, and look them up.
    #[serde(rename = "gatebook:decide")]
    Decide,
    /// Have clients' credentials checked.
    #[serde(rename = "gatebook:authenticate")]
    Authenticate,
    /// Ask what an access token says that was issued here (RFC 7662).
    #[serde(rename = "gatebook:introspect")]
    Introspect,
}

impl ServiceScope {
    /// The name on the wire and in storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decide => "gatebook:decide",
            Self::Authenticate => "gatebook:authenticate",
            Self::Introspect => "gatebook:introspect",
        }
    }
}

/// Whether a service token works at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usability {
    /// It does.
    Active,
    /// Its time is over.
    Expired,
    /// An administrator revoked it.
    Revoked,
}

impl Usability {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl ServiceToken {
    /// Whether it works at this time. Once it does not, it never does again.
    pub fn usability(&self, at: DateTime<Utc>) -> Usability {
        if self.life != Life::Created {
            Usability::Revoked
        } else if self.expires_at.is_some_and(|end| end <= at) {
            Usability::Expired
        } else {
            Usability::Active
        }
    }
}

impl Aggregate for ServiceToken {
    type Command = ServiceTokenCommand;
    type Event = ServiceTokenEvent;

    fn decide(&self, command: &ServiceTokenCommand) -> Result<Vec<ServiceTokenEvent>, Rejection> {
        match (self.life, command) {
            (Life::None, ServiceTokenCommand::Revoke { .. }) => Err(Rejection::NoSuchServiceToken),
            (Life::None | Life::Created | Life::Revoked, ServiceTokenCommand::Create { created, at }) => {
                let event = ServiceTokenEvent::Created(created.clone());
                let fresh = Self::default().evolve(&event);
                match self.life {
                    Life::None if fresh.usability(*at) != Usability::Active || fresh.scopes.is_empty() => Err(Rejection::NeverUsable),
                    Life::None => Ok(vec![event]),
                    Life::Created if fresh == *self => Ok(vec![]),
                    Life::Created | Life::Revoked => Err(Rejection::AlreadyExists),
                }
            }
            (Life::Created, ServiceTokenCommand::Revoke { reason }) => {
                Ok(vec![ServiceTokenEvent::Revoked(Revoked { reason: reason.clone() })])
            }
            (Life::Revoked, ServiceTokenCommand::Revoke { .. }) => Ok(vec![]),
        }
    }

    fn evolve(mut self, event: &ServiceTokenEvent) -> Self {
        match (self.life, event) {
            (Life::None, ServiceTokenEvent::Created(created)) => Self {
                life: Life::Created,
                tenant: Some(created.tenant.clone()),
                label: created.label.clone(),
                token: Some(created.token),
                scopes: created.scopes.clone(),
                resource_servers: created.resource_servers.clone(),
                expires_at: created.expires_at,
            },
            (Life::Created, ServiceTokenEvent::Revoked(_)) => {
                self.life = Life::Revoked;
                self
            }
            (Life::None | Life::Created | Life::Revoked, _) => self,
        }
    }
}

#[cfg(test)]
mod tests;
