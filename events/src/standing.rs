//! The one function that says whether a client may act at a resource server, asked at every door.

use serde::{Deserialize, Serialize};

use crate::admission::Revival;
use crate::admission::Status;
use crate::client;
use crate::resource_server::{self, WithdrawalRule};

/// What the answer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The client's life.
    pub client: client::Life,
    /// The registration's status.
    pub registration: Status,
    /// The resource server's life.
    pub resource_server: resource_server::Life,
    /// Whether the registration's type was switched off for existing registrations too.
    pub mode_suspended: bool,
    /// What the resource server's policy makes of a document that was taken away.
    pub on_withdrawal: WithdrawalRule,
}

/// Allow, deny or pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The client may act.
    Allow,
    /// The client may not act.
    Deny,
    /// An administrator has not decided yet.
    Pending,
}

impl Decision {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Pending => "pending",
        }
    }
}

/// Why. A closed list; the names are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// An administrator or the rules let it in.
    Approved,
    /// It waits for an administrator.
    ApprovalPending,
    /// Nobody used it for a long time, and it was not revived.
    Dormant,
    /// An administrator said no.
    Denied,
    /// An administrator suspended it.
    Suspended,
    /// An administrator revoked it.
    Revoked,
    /// The way in which it came was switched off.
    ModeSuspended,
    /// The document that describes it was taken away.
    ManifestWithdrawn,
    /// The client was deleted.
    ClientDeleted,
    /// The resource server was retired.
    ResourceServerRetired,
    /// The client was never registered there.
    NotRegistered,
}

impl Reason {
    /// What to do about a registration for this reason.
    pub const fn decision(self) -> Decision {
        match self {
            Self::Approved => Decision::Allow,
            Self::ApprovalPending | Self::Dormant => Decision::Pending,
            Self::Denied
            | Self::Suspended
            | Self::Revoked
            | Self::ModeSuspended
            | Self::ManifestWithdrawn
            | Self::ClientDeleted
            | Self::ResourceServerRetired
            | Self::NotRegistered => Decision::Deny,
        }
    }

    /// Every status that a list can show.
    pub const STATUSES: [&str; 8] = ["pending", "approved", "dormant", "suspended", "denied", "revoked", "deleted", "retired"];

    /// The status that lists and badges show.
    pub const fn status(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::ApprovalPending => "pending",
            Self::Dormant => "dormant",
            Self::Denied => "denied",
            Self::Suspended | Self::ModeSuspended | Self::ManifestWithdrawn => "suspended",
            Self::Revoked => "revoked",
            Self::ClientDeleted => "deleted",
            Self::ResourceServerRetired => "retired",
            Self::NotRegistered => "none",
        }
    }

    /// Why it may or may not act once it is used: a dormant client that the rules revive at its next use is as good as approved.
    pub const fn once_used(self, revive: Revival) -> Self {
        match (self, revive) {
            (Self::Dormant, Revival::AtNextUse) => Self::Approved,
            _ => self,
        }
    }

    /// What would help a client that did nothing wrong, for whoever operates it to read.
    pub const fn cure(self) -> Option<&'static str> {
        match self {
            Self::Dormant => Some(
                "the client was not used for a long time; it need not register anew: an administrator of the resource server finds it \
                 among the approvals and approves it, and then the same request succeeds",
            ),
            Self::Approved
            | Self::ApprovalPending
            | Self::Denied
            | Self::Suspended
            | Self::Revoked
            | Self::ModeSuspended
            | Self::ManifestWithdrawn
            | Self::ClientDeleted
            | Self::ResourceServerRetired
            | Self::NotRegistered => None,
        }
    }

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::ApprovalPending => "approval_pending",
            Self::Dormant => "dormant",
            Self::Denied => "denied",
            Self::Suspended => "suspended",
            Self::Revoked => "revoked",
            Self::ModeSuspended => "mode_suspended",
            Self::ManifestWithdrawn => "manifest_withdrawn",
            Self::ClientDeleted => "client_deleted",
            Self::ResourceServerRetired => "resource_server_retired",
            Self::NotRegistered => "not_registered",
        }
    }
}

/// Why a client may or may not act at a resource server. What ends everything comes first.
pub const fn standing(facts: Facts) -> Reason {
    match facts {
        Facts { client: client::Life::Deleted, .. } => Reason::ClientDeleted,
        Facts { client: client::Life::Unregistered, .. }
        | Facts { registration: Status::None, .. }
        | Facts { resource_server: resource_server::Life::None, .. } => Reason::NotRegistered,
        Facts { resource_server: resource_server::Life::Retired, .. } => Reason::ResourceServerRetired,
        Facts { registration: Status::Revoked, .. } => Reason::Revoked,
        Facts { registration: Status::Denied, .. } => Reason::Denied,
        Facts { registration: Status::Suspended, .. } => Reason::Suspended,
        Facts { mode_suspended: true, .. } => Reason::ModeSuspended,
        Facts { client: client::Life::Withdrawn, on_withdrawal: WithdrawalRule::Suspend, .. } => Reason::ManifestWithdrawn,
        Facts { registration: Status::Pending, .. } => Reason::ApprovalPending,
        Facts { registration: Status::Dormant | Status::Returning, .. } => Reason::Dormant,
        Facts { registration: Status::Approved, .. } => Reason::Approved,
    }
}
