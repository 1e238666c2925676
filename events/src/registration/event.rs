//! What can have happened to a registration.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{AdmittedMetadata, ManifestRef, StagedChange};
use crate::admission::RegistrationType;
use crate::identity::{ChangeId, ClientId, TenantId};
use crate::redirect::RedirectUris;
use crate::stored::stored;

stored! {
    /// What can have happened to a registration.
    RegistrationEvent {
        "registration.requested" 1 => Requested,
        "registration.approved" 1 => Approved,
        "registration.denied" 1 => Denied,
        "registration.suspended" 1 => Suspended,
        "registration.reinstated" 1 => Reinstated,
        "registration.revoked" 1 => Revoked,
        "registration.restored" 1 => Restored,
        "registration.redirects_staged" 2 => RedirectsStaged,
        "registration.redirects_approved" 1 => RedirectsApproved,
        "registration.redirects_rejected" 1 => RedirectsRejected,
        "registration.redirects_superseded" 1 => RedirectsSuperseded,
        "registration.redirects_narrowed" 1 => RedirectsNarrowed,
        "registration.metadata_admitted" 1 => MetadataAdmitted,
        "registration.rolled_back" 1 => RolledBack,
        "registration.dormant" 1 => Dormant,
        "registration.revival_asked" 1 => RevivalAsked,
        "registration.revived" 1 => Revived,
    }
}

/// A client asked to be let in, or asked differently while it waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Requested {
    /// Whose resource server it is.
    pub tenant: TenantId,
    /// Which client.
    pub client_id: ClientId,
    /// How it came.
    pub registration_type: RegistrationType,
    /// Where answers may be sent once it is approved.
    pub redirect_uris: RedirectUris,
    /// What else is admitted of what it says. Older builds did not say so: then it is whatever the client says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<AdmittedMetadata>>,
}

/// What serves of what the client says beside its redirect URIs is this now, without an administrator having been asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct MetadataAdmitted {
    /// All of it.
    pub metadata: Box<AdmittedMetadata>,
    /// Why nobody had to be asked.
    pub because: AdmittedBecause,
}

/// Why metadata serve that no administrator was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AdmittedBecause {
    /// They served already; now they are written down, so that a later claim does not serve in their place.
    Kept,
    /// The client gave something up.
    Narrowed,
    /// The resource server's rules let a client in with them at once.
    Policy,
}

macro_rules! with_reason {
    ($($(#[$about:meta])* $name:ident,)+) => {
        $($(#[$about])*
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
        #[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
        pub struct $name {
            /// Why.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub reason: Option<String>,
        })+
    };
}

with_reason! {
    /// The client was let in.
    Approved,
    /// The client may not act for now.
    Suspended,
    /// The suspension ended.
    Reinstated,
    /// The client may not act any more.
    Revoked,
    /// The revocation was undone.
    Restored,
    /// A dormant client may act again, because it was used or because an administrator said so.
    Revived,
}

/// Nobody used the client for as long as the resource server's rules allow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Dormant {
    /// Since when, as far as was seen.
    pub idle_since: DateTime<Utc>,
}

/// A dormant client was asked about, and the resource server's rules want an administrator to decide about that.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct RevivalAsked {}

/// The client was kept out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Denied {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Until when it may not ask again; for ever, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

/// A change waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct RedirectsStaged {
    /// What would change.
    pub change: RedirectsChange,
    /// Who wishes it.
    pub source: ChangeSource,
    /// When it serves if nobody objects; never, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serves_at: Option<DateTime<Utc>>,
}

/// A change of redirect URIs, of other metadata, or of both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct RedirectsChange {
    /// Names this very change.
    pub id: ChangeId,
    /// What would be added.
    pub added: RedirectUris,
    /// What the same wish takes away, at once in every lane but `pinned`.
    pub removed: RedirectUris,
    /// The redirect URIs that serve once it is approved.
    pub result: RedirectUris,
    /// What else of what the client says serves once it is approved; as it is, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<AdmittedMetadata>>,
}

/// Where a wish for a change came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ChangeSource {
    /// The door, such as `rfc7592` or `manifest`.
    pub origin: String,
    /// The version of the client's document that wishes it, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<ManifestRef>,
}

impl From<StagedChange> for RedirectsStaged {
    fn from(staged: StagedChange) -> Self {
        let StagedChange { change_id, added, removed, result, metadata, origin, manifest, serves_at } = staged;
        let metadata = metadata.map(|metadata| Box::new(Arc::unwrap_or_clone(metadata)));
        Self {
            change: RedirectsChange { id: change_id, added, removed, result, metadata },
            source: ChangeSource { origin, manifest },
            serves_at,
        }
    }
}

impl From<RedirectsStaged> for StagedChange {
    fn from(event: RedirectsStaged) -> Self {
        let RedirectsStaged { change: RedirectsChange { id, added, removed, result, metadata }, source, serves_at } = event;
        let metadata = metadata.map(|metadata| Arc::new(*metadata));
        Self { change_id: id, added, removed, result, metadata, origin: source.origin, manifest: source.manifest, serves_at }
    }
}

/// The change serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct RedirectsApproved {
    /// Which change.
    pub change_id: ChangeId,
    /// Whether the resource server's rules approved it, with no administrator asked.
    #[serde(default)]
    pub by_policy: bool,
}

/// The change never served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct RedirectsRejected {
    /// Which change.
    pub change_id: ChangeId,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The change no longer waits: a newer wish replaced it, or the client took it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct RedirectsSuperseded {
    /// Which change.
    pub change_id: ChangeId,
    /// The change that replaced it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<ChangeId>,
}

/// The client withdrew redirect URIs; they no longer serve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct RedirectsNarrowed {
    /// Which ones.
    pub removed: RedirectUris,
}

/// An administrator let what an earlier version of the client's document says serve again. A change that waited
/// waits no longer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct RolledBack {
    /// That version.
    pub version: u32,
    /// What serves now.
    pub redirect_uris: RedirectUris,
    /// What the document claims in its newest version; not heard again until it differs.
    pub overridden: RedirectUris,
    /// What else of that version serves now; as it is, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<AdmittedMetadata>>,
    /// What else the document claims in its newest version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden_metadata: Option<Box<AdmittedMetadata>>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
