//! What can be asked of a registration.

use std::num::NonZeroU16;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{AdmittedMetadata, ManifestRef};
use crate::admission::{Admission, Heard, RegistrationType, Revival};
use crate::identity::{ChangeId, ClientId, TenantId};
use crate::redirect::RedirectUris;

/// What can be asked of a registration.
#[derive(Debug, Clone)]
pub enum RegistrationCommand {
    /// Let the client in, at once or after a review.
    Request {
        /// Whose resource server it is.
        tenant: TenantId,
        /// Which client.
        client_id: ClientId,
        /// How it came.
        registration_type: RegistrationType,
        /// Where answers may be sent.
        redirect_uris: RedirectUris,
        /// What else is admitted of what it says.
        metadata: Option<Arc<AdmittedMetadata>>,
        /// What the resource server's rules said.
        admission: Admission,
        /// Now.
        at: DateTime<Utc>,
    },
    /// The same for a client that stands suspended from the start, until an administrator decides.
    RequestSuspended {
        /// What it asks for.
        request: Box<RegistrationCommand>,
        /// Why it is suspended.
        reason: String,
    },
    /// Let a waiting or denied client in.
    Approve {
        /// Why.
        reason: Option<String>,
    },
    /// Keep a waiting client out.
    Deny {
        /// Why.
        reason: Option<String>,
        /// Until when it may not ask again; for ever, if absent.
        until: Option<DateTime<Utc>>,
    },
    /// Keep the client out for now.
    Suspend {
        /// Why.
        reason: Option<String>,
    },
    /// End a suspension.
    Reinstate {
        /// Why.
        reason: Option<String>,
    },
    /// Keep the client out for good.
    Revoke {
        /// Why.
        reason: Option<String>,
    },
    /// Undo a revocation; the registration stands where it stood before.
    Restore {
        /// Why.
        reason: Option<String>,
    },
    /// Say that nobody used the client for some time.
    NoteIdleness {
        /// Since when.
        since: DateTime<Utc>,
        /// How much of the time since then was watched: what nobody watched was perhaps no idleness.
        watched: TimeDelta,
        /// After how many days of it the resource server's rules call a client dormant.
        after_days: NonZeroU16,
    },
    /// Say that the client is used, or would be if it were not dormant. Opens no door that an administrator closed.
    Use {
        /// How the resource server's rules have a dormant client come back.
        revive: Revival,
    },
    /// Write down what serves of what the client says, where nobody did yet, before it says something else.
    KeepMetadata {
        /// What serves.
        metadata: Arc<AdmittedMetadata>,
    },
    /// Say what the client claims now. What it no longer claims stops serving at once; what it claims anew waits or serves by
    /// the resource server's rules. Of a denied or revoked registration only the withdrawals are heard.
    Claim {
        /// All of its redirect URIs.
        claimed: RedirectUris,
        /// Whether additions to them serve at once.
        admission: Admission,
        /// What else it says; not heard, if absent.
        metadata: Option<Wished>,
        /// The id of the change, should one be staged.
        change_id: ChangeId,
        /// Where the wish comes from.
        origin: String,
    },
    /// Hear the newest version of the document that the client hosts.
    FollowManifest {
        /// What it claims, as far as the resource server's rules welcome it.
        claimed: RedirectUris,
        /// How it is heard.
        heard: Heard,
        /// What else it says, as far as the rules welcome it; not heard, if absent.
        metadata: Option<Wished>,
        /// The id of the change, should one be staged.
        change_id: ChangeId,
        /// Which version.
        manifest: ManifestRef,
    },
    /// Let a change serve whose time has come, to which nobody objected.
    Ripen {
        /// Now.
        at: DateTime<Utc>,
    },
    /// Let what an earlier version of the client's document says serve again.
    RollBack {
        /// That version.
        version: u32,
        /// What it claims.
        redirect_uris: RedirectUris,
        /// What the newest version claims.
        claimed: RedirectUris,
        /// What else that version says, and what else the newest one does.
        metadata: Option<(Arc<AdmittedMetadata>, Arc<AdmittedMetadata>)>,
        /// Why.
        reason: Option<String>,
    },
    /// Let the change that waits serve.
    ApproveRedirects {
        /// Which change; whichever waits, if absent.
        change_id: Option<ChangeId>,
    },
    /// Drop the change that waits.
    RejectRedirects {
        /// Which change; whichever waits, if absent.
        change_id: Option<ChangeId>,
        /// Why.
        reason: Option<String>,
    },
}

/// What a client says beside its redirect URIs, and how that is heard.
#[derive(Debug, Clone)]
pub struct Wished {
    /// As it would be admitted.
    pub metadata: Arc<AdmittedMetadata>,
    /// How what it adds or changes is heard.
    pub heard: Heard,
    /// The rule that says so, by its name in the policy.
    pub rule: &'static str,
}
