//! The directory: resource servers, clients, registrations and tokens as they are now. What every GET and list
//! of them shows.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use gatebook_events::admission::Status;
use gatebook_events::admission::{Modes, RegistrationType};
use gatebook_events::answer_version::AnswerVersion;
use gatebook_events::client;
use gatebook_events::codec;
use gatebook_events::envelope::{Envelope, Position};
use gatebook_events::identity::{ClientId, ClientKey, InitialAccessTokenId, ResourceServerId, TenantId};
use gatebook_events::metadata::ClientMetadata;
use gatebook_events::redirect::{RedirectUris, WebUri};
use gatebook_events::registration::{RegistrationEvent, StagedChange};
use gatebook_events::resource_server::{self, Policy};
use gatebook_events::standing::Reason;
use rusqlite::Transaction;

use crate::cursor::Cursor;
use crate::read_model::{ApplyError, Projection};

mod apply;
mod change;
mod check;
mod days;
mod entered;
mod families;
mod idle;
mod list;
mod names;
mod queries;
mod schema;
mod service_tokens;
mod text;
mod tokens;
mod unbound;

pub use change::Change;
pub use days::DayCount;
pub use families::{FamilyPage, FamilyRow};
pub use idle::{Approved, Place};
pub use names::{LookAlike, last_change};
pub use service_tokens::{ServiceTokenPage, ServiceTokenRow};
pub use tokens::{TokenPage, TokenRow, UsePage, UseRow};
pub use unbound::{UnboundPage, UnboundRow};

/// Resource servers, clients and registrations as they are now. Ask through `Reader<Directory>`.
#[derive(Debug, Clone, Copy)]
pub struct Directory;

impl Projection for Directory {
    const NAME: &'static str = "directory";
    const VERSION: u32 = 6;
    const SCHEMA: &'static str = schema::SCHEMA;
    const INDEXES: &'static str = schema::INDEXES;
    const SUMMED: &'static [&'static str] = &["counts", "names", "near_names"];

    fn handles(_event_name: &str) -> bool {
        true
    }

    type Change = Change;

    fn read(envelope: &Envelope) -> Result<Change, ApplyError> {
        Ok(Change::of(codec::decode(envelope)?))
    }

    fn apply(tx: &Transaction<'_>, envelope: &Envelope, change: &Change) -> Result<(), ApplyError> {
        match change {
            Change::Nothing => {}
            Change::Registered(key, client) => apply::client_registered(tx, *key, envelope, client)?,
            Change::Client(key, event) => apply::client(tx, *key, envelope, event)?,
            Change::Requested(server, key, asked) => apply::requested(tx, (*server, *key), envelope, asked)?,
            Change::Registration(server, key, event) => apply::registration(tx, *server, *key, envelope, event)?,
            Change::ResourceServer(id, event) => apply::resource_server(tx, *id, envelope, event)?,
            Change::Token(server, id, event) => tokens::apply(tx, (*server, *id), envelope, event)?,
            Change::ServiceToken(id, event) => service_tokens::apply(tx, *id, envelope, event)?,
        }
        names::tell(envelope.position);
        Ok(())
    }

    fn apply_both(
        tx: &Transaction<'_>,
        (first, asked): (&Envelope, &Change),
        (second, decided): (&Envelope, &Change),
    ) -> Result<bool, ApplyError> {
        let (Change::Requested(server, key, asked), Change::Registration(_, _, decided)) = (asked, decided) else { return Ok(false) };
        let RegistrationEvent::Approved(approved) = &**decided else { return Ok(false) };
        let done = apply::admitted_at_once(tx, (*server, *key), (first, second), asked, approved)?;
        names::tell(second.position);
        Ok(done)
    }
}

/// A resource server.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceServerRow {
    /// Its id.
    pub id: ResourceServerId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The name for people to read.
    pub name: String,
    /// The resource identifier (RFC 8707 §2), if it has one.
    pub resource: Option<WebUri>,
    /// Whether it still serves.
    pub life: resource_server::Life,
    /// Which types may register now.
    pub registration_modes: Modes,
    /// Which types were switched off for existing registrations too.
    pub suspended_modes: Modes,
    /// The rules.
    pub policy: Policy,
    /// When it was entered.
    pub created_at: DateTime<Utc>,
    /// The position of the event that entered it.
    pub created_position: Position,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// How many clients are registered there.
    pub counts: Counts,
}

/// How many registrations a resource server has. Each status counts what a list of that status shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// What the list shows without any filter: all but those of deleted clients.
    pub total: u64,
    /// The same by type; every type is there.
    pub by_type: BTreeMap<RegistrationType, u64>,
    /// By effective status; only those that occur.
    pub by_status: BTreeMap<&'static str, u64>,
}

/// Whose registrations are counted against a cap.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Those at one resource server.
    Server(ResourceServerId),
    /// Those at all active resource servers of a tenant.
    Tenant(TenantId),
    /// Those that registered themselves where no resource server was meant, and that none took yet.
    Unbound,
}

/// A client's registration at a resource server, together with the client.
#[derive(Debug, Clone, PartialEq)]
pub struct RegistrationRow {
    /// The client's key.
    pub client_key: ClientKey,
    /// The client's public identifier.
    pub client_id: ClientId,
    /// Whose resource server it is.
    pub tenant: TenantId,
    /// Where the client is registered.
    pub resource_server: ResourceServerId,
    /// How the client came there.
    pub registration_type: RegistrationType,
    /// Why the client may or may not act; gives the decision and the effective status.
    pub reason: Reason,
    /// Where the registration itself stands, whatever became of client, mode and resource server.
    pub registration_status: Status,
    /// Whether the client exists or was deleted.
    pub client_life: client::Life,
    /// What the administrator said with the last decision.
    pub note: Option<String>,
    /// Until when a denied client may not ask again.
    pub denied_until: Option<DateTime<Utc>>,
    /// What was admitted here of what the client says about itself, with the redirect URIs that serve.
    pub metadata: ClientMetadata,
    /// What it says.
    pub claimed: ClientMetadata,
    /// Which state of the client this is; a decision about it names it.
    pub version: AnswerVersion,
    /// The redirect URIs that serve here while the client may act.
    pub redirect_uris: RedirectUris,
    /// The change that waits.
    pub staged: Option<StagedChange>,
    /// Since when it waits.
    pub staged_at: Option<DateTime<Utc>>,
    /// Whether the client has a secret.
    pub has_secret: bool,
    /// When the secret stops working; never, if absent.
    pub secret_expires_at: Option<DateTime<Utc>>,
    /// The document that the client hosts; none for a client that is not described by one.
    pub manifest: Option<ManifestRow>,
    /// The tenant whose administrators may touch what all registrations share.
    pub home: Option<TenantId>,
    /// Names what clients of one program have in common.
    pub family: String,
    /// The initial access token that the client came by; one of the resource server that it first asked.
    pub initial_access_token: Option<InitialAccessTokenId>,
    /// When the client was registered.
    pub issued_at: DateTime<Utc>,
    /// When it first asked to be let in here.
    pub requested_at: DateTime<Utc>,
    /// When that was last decided.
    pub decided_at: Option<DateTime<Utc>>,
    /// When the registration or the client last changed.
    pub updated_at: DateTime<Utc>,
    /// The position of the registration's last event.
    pub position: Position,
}

/// What is known of the document that a client hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestRow {
    /// The newest version.
    pub version: u32,
    /// Names its bytes.
    pub content_hash: String,
    /// Since when nobody has read it, while it cannot be reached.
    pub unreachable_since: Option<DateTime<Utc>>,
}

impl RegistrationRow {
    /// The effective status, as lists and badges show it.
    pub fn status(&self) -> &'static str {
        self.reason.status()
    }
}

/// Which clients of a resource server, and in which order.
#[derive(Debug, Clone)]
pub struct ListClients {
    /// Who asks; another tenant's resource server has no clients for them.
    pub tenant: TenantId,
    /// Of which resource server.
    pub resource_server: ResourceServerId,
    /// Only those that came this way.
    pub registration_type: Option<RegistrationType>,
    /// Only those with this effective status. Clients that were deleted are shown only when `deleted` is asked for.
    pub status: Option<String>,
    /// Only those with this in their name, `client_id`, redirect hosts or `software_id`, in whatever case.
    pub text: Option<String>,
    /// Only those of this family.
    pub family: Option<String>,
    /// In which order.
    pub sort: Sort,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
    /// The most rows on a page.
    pub limit: usize,
}

impl ListClients {
    /// The first page of all, newest first.
    pub fn all(tenant: TenantId, resource_server: ResourceServerId, limit: usize) -> Self {
        Self {
            tenant,
            resource_server,
            registration_type: None,
            status: None,
            text: None,
            family: None,
            sort: Sort::default(),
            cursor: None,
            limit,
        }
    }
}

/// The orders of a list of clients. Ties are broken by the client's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// By when they asked to be let in, the last one first.
    #[default]
    NewestFirst,
    /// By when they asked to be let in.
    OldestFirst,
    /// By name in lower case; clients without one by their `client_id`.
    Name,
    /// Those that wait for an administrator first, and then by when they asked, the last one first.
    WaitingFirst,
}

impl Sort {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NewestFirst => "newest",
            Self::OldestFirst => "oldest",
            Self::Name => "name",
            Self::WaitingFirst => "waiting",
        }
    }

    /// The order with this name.
    pub fn known(text: &str) -> Option<Self> {
        [Self::NewestFirst, Self::OldestFirst, Self::Name, Self::WaitingFirst].into_iter().find(|sort| sort.as_str() == text)
    }
}

/// One page of a list of clients.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientPage {
    /// The clients in order.
    pub rows: Vec<RegistrationRow>,
    /// Where the next page begins; none on the last page.
    pub next_cursor: Option<Cursor>,
    /// On the first page: how many clients there are, whatever the filter.
    pub counts: Option<Counts>,
}

#[cfg(test)]
mod families_tests;
#[cfg(test)]
mod tests;
