//! The registration: a client's standing at one resource server, and the redirect URIs that serve there.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::admission::{RegistrationType, Status};
use crate::client::ContentHash;
use crate::identity::{ChangeId, ClientId, TenantId};
use crate::metadata::ClientMetadata;
use crate::redirect::RedirectUris;
use crate::{Aggregate, Rejection};

mod admitted;
mod command;
mod decide;
mod event;

pub use admitted::{AdmittedMetadata, MemberChange};
pub use command::{RegistrationCommand, Wished};
pub use event::{
    AdmittedBecause, Approved, ChangeSource, Denied, Dormant, MetadataAdmitted, RedirectsApproved, RedirectsChange, RedirectsNarrowed,
    RedirectsRejected, RedirectsStaged, RedirectsSuperseded, RegistrationEvent, Reinstated, Requested, Restored, RevivalAsked, Revived,
    Revoked, RolledBack, Suspended,
};

/// The state of a registration.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Registration {
    /// Where it stands.
    pub status: Status,
    /// Where it stood before it was last revoked, and returns to when it is restored. It stays known afterwards, so that a
    /// second restoration is no news.
    pub before_revocation: Option<Status>,
    /// Until when a denied client may not ask again.
    pub denied_until: Option<DateTime<Utc>>,
    /// Whose it is.
    pub tenant: Option<TenantId>,
    /// Which client.
    pub client_id: Option<ClientId>,
    /// How the client came to this resource server.
    pub registration_type: Option<RegistrationType>,
    /// The redirect URIs that serve while the registration is approved.
    pub redirect_uris: RedirectUris,
    /// What serves of the rest of what the client says; whatever it says, where nobody fixed it yet (as older builds did not).
    pub metadata: Option<Arc<AdmittedMetadata>>,
    /// What of it was there when an approval last looked at it.
    pub approved_with: Option<Arc<AdmittedMetadata>>,
    /// The change that waits.
    pub staged: Option<StagedChange>,
    /// The last change that was decided, and how: a second approval or rejection of it is no news.
    pub last_change: Option<(ChangeId, ChangeOutcome)>,
    /// The last rejected change: the same wish is not staged again.
    pub rejected: RejectedChange,
    /// The wish that a roll-back overrode; it is not heard again until another one was.
    pub overridden: Option<Overridden>,
}

/// A change of redirect URIs, of other metadata or of both that waits for an administrator while what was approved serves. As it
/// is shown; [`RedirectsStaged`] is how it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StagedChange {
    /// Names this very change.
    pub change_id: ChangeId,
    /// What would be added.
    pub added: RedirectUris,
    /// What the same wish already took away.
    pub removed: RedirectUris,
    /// The redirect URIs that serve once it is approved.
    pub result: RedirectUris,
    /// What serves of the rest of what the client says once it is approved; as it is, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Arc<AdmittedMetadata>>,
    /// Where the wish came from, such as `rfc7592` or `manifest`.
    pub origin: String,
    /// The version of the client's document that wishes it, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<ManifestRef>,
    /// When it serves if nobody objects; never, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serves_at: Option<DateTime<Utc>>,
}

/// A version of the document that a client hosts, and the one that served when it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ManifestRef {
    /// The version.
    pub version: u32,
    /// Names its bytes.
    pub content_hash: ContentHash,
    /// The version before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<u32>,
}

/// What is remembered of a change that an administrator rejected.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RejectedChange {
    /// What it would have added.
    pub added: RedirectUris,
    /// What would have served.
    pub result: RedirectUris,
    /// The other metadata that would have served, if it was about them.
    pub metadata: Option<Arc<AdmittedMetadata>>,
}

/// The wish that a roll-back overrode.
#[derive(Debug, Clone, PartialEq)]
pub struct Overridden {
    /// The redirect URIs that the document claimed.
    pub redirect_uris: RedirectUris,
    /// What else it claimed; not known of a roll-back that an older build made.
    pub metadata: Option<Arc<AdmittedMetadata>>,
}

/// How a staged change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// It serves.
    Approved,
    /// It never served.
    Rejected,
    /// A newer wish replaced it, or it was withdrawn.
    Superseded,
}

impl Registration {
    /// A client's metadata as they are admitted here, before the resource server's rules of today and with all that it claims of
    /// redirect URIs.
    pub fn admitted(&self, claimed: &ClientMetadata) -> ClientMetadata {
        self.metadata.as_ref().map_or_else(|| claimed.clone(), |admitted| admitted.over(claimed))
    }

    /// Whether one more instance of the client may be told that it is registered. A door that was closed stays closed, and an
    /// identifier that cannot act is not given out as if it could.
    pub fn share(&self) -> Result<(), Rejection> {
        match self.status {
            Status::Pending | Status::Approved | Status::Dormant | Status::Returning => Ok(()),
            Status::None => Err(Rejection::NoSuchRegistration),
            status @ (Status::Denied | Status::Suspended | Status::Revoked) => {
                Err(Rejection::WrongStatus { status, attempted: "shared with one more instance" })
            }
        }
    }

    /// What an administrator went back to serves, and the wish that it overrides is remembered.
    fn roll_back(&mut self, rolled_back: &RolledBack) {
        self.redirect_uris = rolled_back.redirect_uris.clone();
        let shared = |metadata: &Option<Box<AdmittedMetadata>>| metadata.as_deref().cloned().map(Arc::new);
        self.overridden =
            Some(Overridden { redirect_uris: rolled_back.overridden.clone(), metadata: shared(&rolled_back.overridden_metadata) });
        if let Some(metadata) = shared(&rolled_back.metadata) {
            self.metadata = Some(metadata);
            self.approved_with.clone_from(&self.metadata);
        }
        self.rejected = RejectedChange::default();
        if let Some(change) = self.staged.take() {
            self.last_change = Some((change.change_id, ChangeOutcome::Superseded));
        }
    }
}

impl Aggregate for Registration {
    type Command = RegistrationCommand;
    type Event = RegistrationEvent;

    fn decide(&self, command: &RegistrationCommand) -> Result<Vec<RegistrationEvent>, Rejection> {
        decide::decide(self, command)
    }

    fn rule(command: &RegistrationCommand, event: &RegistrationEvent) -> Option<&'static str> {
        decide::rule(command, event)
    }

    fn evolve(mut self, event: &RegistrationEvent) -> Self {
        let open_to_requests = matches!(self.status, Status::None | Status::Pending | Status::Denied);
        let fits = match event {
            RegistrationEvent::Requested(_) => open_to_requests,
            _ => self.status != Status::None,
        };
        if !fits {
            return self;
        }
        match event {
            RegistrationEvent::Requested(requested) => {
                self.status = Status::Pending;
                self.denied_until = None;
                self.tenant = Some(requested.tenant.clone());
                self.client_id = Some(requested.client_id.clone());
                self.registration_type = Some(requested.registration_type);
                self.redirect_uris = requested.redirect_uris.clone();
                self.metadata = requested.metadata.as_deref().cloned().map(Arc::new);
            }
            RegistrationEvent::Approved(_) => {
                self.status = Status::Approved;
                self.approved_with.clone_from(&self.metadata);
            }
            RegistrationEvent::Reinstated(_) => {
                self.status = Status::Approved;
                if self.approved_with.is_none() {
                    self.approved_with.clone_from(&self.metadata);
                }
            }
            RegistrationEvent::MetadataAdmitted(admitted) => {
                let metadata = Arc::new((*admitted.metadata).clone());
                if admitted.because == AdmittedBecause::Kept && self.status != Status::Pending {
                    self.approved_with = Some(metadata.clone());
                }
                if admitted.because != AdmittedBecause::Kept {
                    self.overridden = None;
                }
                self.metadata = Some(metadata);
            }
            RegistrationEvent::Denied(denied) => {
                self.status = Status::Denied;
                self.denied_until = denied.until;
            }
            RegistrationEvent::Suspended(_) => self.status = Status::Suspended,
            RegistrationEvent::Dormant(_) if self.status == Status::Approved => self.status = Status::Dormant,
            RegistrationEvent::RevivalAsked(_) if self.status == Status::Dormant => self.status = Status::Returning,
            RegistrationEvent::Revived(_) if self.status.is_dormant() => self.status = Status::Approved,
            RegistrationEvent::Dormant(_) | RegistrationEvent::RevivalAsked(_) | RegistrationEvent::Revived(_) => {}
            RegistrationEvent::Revoked(_) if self.status == Status::Revoked => {}
            RegistrationEvent::Revoked(_) => {
                self.before_revocation = Some(self.status);
                self.status = Status::Revoked;
            }
            RegistrationEvent::Restored(_) if self.status != Status::Revoked => {}
            RegistrationEvent::Restored(_) => self.status = self.before_revocation.unwrap_or(Status::Pending),
            RegistrationEvent::RedirectsStaged(staged) => {
                self.staged = Some(staged.clone().into());
                self.overridden = None;
            }
            RegistrationEvent::RedirectsApproved(approved) => {
                if let Some(change) = self.staged.take_if(|staged| staged.change_id == approved.change_id) {
                    self.redirect_uris = change.result;
                    if change.metadata.is_some() {
                        self.metadata = change.metadata;
                    }
                    if !approved.by_policy {
                        self.approved_with.clone_from(&self.metadata);
                    }
                    self.last_change = Some((approved.change_id, ChangeOutcome::Approved));
                    self.rejected = RejectedChange::default();
                    self.overridden = None;
                }
            }
            RegistrationEvent::RedirectsRejected(rejected) => {
                if let Some(change) = self.staged.take_if(|staged| staged.change_id == rejected.change_id) {
                    self.rejected = RejectedChange { added: change.added, result: change.result, metadata: change.metadata };
                    self.last_change = Some((rejected.change_id, ChangeOutcome::Rejected));
                }
            }
            RegistrationEvent::RedirectsSuperseded(superseded) => {
                if self.staged.take_if(|staged| staged.change_id == superseded.change_id).is_some() {
                    self.last_change = Some((superseded.change_id, ChangeOutcome::Superseded));
                }
            }
            RegistrationEvent::RolledBack(rolled_back) => self.roll_back(rolled_back),
            RegistrationEvent::RedirectsNarrowed(narrowed) => {
                self.redirect_uris = self.redirect_uris.without(&narrowed.removed);
                self.overridden = None;
            }
        }
        self
    }
}

#[cfg(test)]
mod approval_tests;
#[cfg(test)]
mod manifest_tests;
#[cfg(test)]
mod tests;
