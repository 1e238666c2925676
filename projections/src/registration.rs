//! The fold of a registration over a table: read the row as the aggregate's state, let the aggregate evolve, write it back.
//!
//! What an event means for a registration is said once, in `gatebook_events`; the tables only keep the outcome. Every table
//! that does so is called `registrations` and has these columns.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use gatebook_events::admission::RegistrationType;
use gatebook_events::admission::Status;
use gatebook_events::identity::{ClientKey, ResourceServerId, TenantId};
use gatebook_events::redirect::RedirectUris;
use gatebook_events::registration::{AdmittedMetadata, Registration, RegistrationEvent, StagedChange};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::column::{At, Id, Json, Word};

/// The columns that hold a registration's state, in the order in which [`state`] reads them.
pub(crate) const STATE: &str = "tenant, registration_type, status, before_revocation, denied_until, redirect_uris, staged, admitted";

/// The state that a row holds, as far as what is shown depends on it.
pub(crate) fn load(connection: &Connection, server: ResourceServerId, key: ClientKey) -> rusqlite::Result<Option<Registration>> {
    const SELECT: &str = "SELECT tenant, registration_type, status, before_revocation, denied_until, redirect_uris, staged, admitted \
        FROM registrations WHERE client_key = ?1 AND resource_server = ?2";
    connection.prepare_cached(SELECT)?.query_row((Id(key.0), Id(server.0)), |row| state(row, 0)).optional()
}

/// Reads [`STATE`] from the columns that start at `first`.
pub(crate) fn state(row: &Row<'_>, first: usize) -> rusqlite::Result<Registration> {
    let staged: Option<Json<StagedChange>> = row.get(first + 6)?;
    Ok(Registration {
        tenant: Some(row.get::<_, Word<TenantId>>(first)?.0),
        registration_type: Some(row.get::<_, Word<RegistrationType>>(first + 1)?.0),
        status: row.get::<_, Word<Status>>(first + 2)?.0,
        before_revocation: row.get::<_, Option<Word<Status>>>(first + 3)?.map(|word| word.0),
        denied_until: row.get::<_, Option<At>>(first + 4)?.map(|at| at.0),
        redirect_uris: row.get::<_, Json<RedirectUris>>(first + 5)?.0,
        staged: staged.map(|json| json.0),
        metadata: row.get::<_, Option<Json<Arc<AdmittedMetadata>>>>(first + 7)?.map(|json| json.0),
        ..Registration::default()
    })
}

/// What kind of step an event is in the life of a registration.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'a> {
    /// The client asked, for the first time or to be back.
    Asked,
    /// Somebody or the rules decided about the registration, and perhaps said why.
    Decided(Option<&'a str>),
    /// A change began to wait.
    Staged,
    /// What serves or the change that waits is another now, or nobody used it.
    Changed,
}

impl<'a> Step<'a> {
    pub(crate) fn of(event: &'a RegistrationEvent) -> Self {
        use RegistrationEvent as Event;
        match event {
            Event::Requested(_) | Event::RevivalAsked(_) => Self::Asked,
            Event::Approved(approved) => Self::Decided(approved.reason.as_deref()),
            Event::Denied(denied) => Self::Decided(denied.reason.as_deref()),
            Event::Suspended(suspended) => Self::Decided(suspended.reason.as_deref()),
            Event::Reinstated(reinstated) => Self::Decided(reinstated.reason.as_deref()),
            Event::Revoked(revoked) => Self::Decided(revoked.reason.as_deref()),
            Event::Restored(restored) => Self::Decided(restored.reason.as_deref()),
            Event::Revived(revived) => Self::Decided(revived.reason.as_deref()),
            Event::RedirectsStaged(_) => Self::Staged,
            Event::RedirectsApproved(_)
            | Event::RedirectsRejected(_)
            | Event::RedirectsSuperseded(_)
            | Event::RedirectsNarrowed(_)
            | Event::MetadataAdmitted(_)
            | Event::RolledBack(_)
            | Event::Dormant(_) => Self::Changed,
        }
    }

    /// When the step was taken, if it began a wait for redirect URIs.
    pub(crate) fn staged_at(self, at: DateTime<Utc>) -> Option<At> {
        match self {
            Self::Staged => Some(At(at)),
            Self::Asked | Self::Decided(_) | Self::Changed => None,
        }
    }
}
