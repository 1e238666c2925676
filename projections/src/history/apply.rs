//! What is kept of each event for the history.

use std::borrow::Cow;
use std::collections::BTreeMap;

use gatebook_events::admission::RegistrationType;
use gatebook_events::client::ClientEvent;
use gatebook_events::codec::{self, AnyEvent};
use gatebook_events::envelope::{Envelope, Meta};
use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId, TenantId};
use gatebook_events::initial_access_token::InitialAccessTokenEvent;
use gatebook_events::projection::ProjectionEvent;
use gatebook_events::registration::RegistrationEvent;
use gatebook_events::reservation::ReservationEvent;
use gatebook_events::resource_server::ResourceServerEvent;
use gatebook_events::service_token::ServiceTokenEvent;
use gatebook_events::stream::Stream;
use gatebook_events::webhook::WebhookEvent;
use rusqlite::{Transaction, params};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::column::{At, Id};
use crate::read_model::ApplyError;

const KEPT_OUT: &str = "[kept out]";

/// What an event says that its row needs.
#[derive(Debug)]
pub struct Change {
    stream: Stream,
    event: AnyEvent,
    meta: Meta,
    /// Its data as it is shown, where that is not as it is stored.
    shown: Option<String>,
}

impl Change {
    pub(super) fn of(envelope: &Envelope) -> Result<Self, ApplyError> {
        let (stream, event) = codec::decode(envelope)?;
        let meta = serde_json::from_str(&envelope.event.meta).map_err(ApplyError::Meta)?;
        let shown = match About::of(&event).has_secrets.then(|| without_secrets(&envelope.event.data)).transpose()? {
            Some(Cow::Owned(shown)) => Some(shown),
            Some(Cow::Borrowed(_)) | None => None,
        };
        Ok(Self { stream, event, meta, shown })
    }
}

pub(super) fn apply(tx: &Transaction<'_>, envelope: &Envelope, change: &Change) -> rusqlite::Result<()> {
    const INSERT: &str = "INSERT INTO events (position, id, name, version, recorded_at, tenant, resource_server, client_key, actor_kind, \
        actor_id, actor_via, request_id, causation_id, origin, stream, data) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
    let (stored, Change { stream, event, meta, shown }) = (&envelope.event, change);
    let about = About::of(event);
    let (resource_server, client_key) = subjects(*stream, event);
    // An event about a client may stand in a stream that is not the client's.
    let client_key = client_key.or_else(|| about.client_id.map(ClientId::key));
    if let (Some(key), Some(client_id)) = (client_key, about.client_id) {
        keep_client_id(tx, key, client_id)?;
    }
    let tenant = meta.tenant.as_ref().or(about.tenant);
    tx.prepare_cached(INSERT)?.execute(params![
        envelope.position.to_backend().cast_signed(),
        Id(stored.id.0),
        &*stored.name,
        stored.version,
        At(stored.recorded_at),
        tenant.map(TenantId::as_str),
        resource_server.map(|id| Id(id.0)),
        client_key.map(|key| Id(key.0)),
        meta.actor.kind.as_str(),
        meta.actor.id,
        meta.actor.via,
        meta.request_id,
        meta.causation_id.map(|id| Id(id.0)),
        meta.origin,
        envelope.stream.as_str(),
        shown.as_deref().unwrap_or(&stored.data),
    ])?;
    match (event, client_key, tenant) {
        (AnyEvent::Client(event), Some(key), None) => {
            if let ClientEvent::Registered(registered) = event
                && registered.registration_type == RegistrationType::Dcr
            {
                tx.prepare_cached(REGISTERED_WITH)?.execute((Id(key.0), TenantId::default_tenant().as_str()))?;
            }
            show_to_all(tx, key, envelope)?;
        }
        (AnyEvent::Registration(RegistrationEvent::Requested(requested)), Some(key), _) => match requested.registration_type {
            RegistrationType::Cimd => show_what_was(tx, key, &requested.tenant)?,
            RegistrationType::Dcr => take_over(tx, key, &requested.tenant)?,
            RegistrationType::Prereg => {}
        },
        _ => {}
    }
    Ok(())
}

/// An event of a client that belongs to no tenant is shown to those that it is registered with.
fn show_to_all(tx: &Transaction<'_>, key: ClientKey, envelope: &Envelope) -> rusqlite::Result<()> {
    const SHOW: &str = "INSERT OR IGNORE INTO shown_to (tenant, position) SELECT tenant, ?2 FROM registered_with WHERE client_key = ?1";
    tx.prepare_cached(SHOW)?.execute((Id(key.0), envelope.position.to_backend().cast_signed())).map(drop)
}

const REGISTERED_WITH: &str = "INSERT OR IGNORE INTO registered_with (client_key, tenant) VALUES (?1, ?2)";

/// A client that registered itself where no resource server was meant is its tenant's from now on. Of all others nothing is known.
fn take_over(tx: &Transaction<'_>, key: ClientKey, tenant: &TenantId) -> rusqlite::Result<()> {
    let left = tx.prepare_cached("DELETE FROM registered_with WHERE client_key = ?1")?.execute([Id(key.0)])?;
    if left > 0 { show_what_was(tx, key, tenant) } else { Ok(()) }
}

/// A tenant that such a client comes to is shown what happened to it before.
fn show_what_was(tx: &Transaction<'_>, key: ClientKey, tenant: &TenantId) -> rusqlite::Result<()> {
    const SHOW: &str = "INSERT OR IGNORE INTO shown_to (tenant, position) SELECT ?2, position FROM events INDEXED BY events_of_client \
        WHERE client_key = ?1 AND tenant IS NULL";
    let new = tx.prepare_cached(REGISTERED_WITH)?.execute((Id(key.0), tenant.as_str()))?;
    if new > 0 {
        tx.prepare_cached(SHOW)?.execute((Id(key.0), tenant.as_str()))?;
    }
    Ok(())
}

/// What an event says beside its envelope.
#[derive(Default)]
struct About<'a> {
    client_id: Option<&'a ClientId>,
    tenant: Option<&'a TenantId>,
    has_secrets: bool,
}

impl<'a> About<'a> {
    fn of(event: &'a AnyEvent) -> Self {
        match event {
            AnyEvent::Client(event) => Self::of_client(event),
            AnyEvent::Registration(event) => Self::of_registration(event),
            AnyEvent::ResourceServer(event) => Self::of_resource_server(event),
            AnyEvent::InitialAccessToken(event) => Self::of_initial_access_token(event),
            AnyEvent::ServiceToken(ServiceTokenEvent::Created(created)) => {
                Self { tenant: Some(&created.tenant), has_secrets: true, ..Self::default() }
            }
            AnyEvent::Webhook(WebhookEvent::Created(created)) => Self { tenant: Some(&created.tenant), ..Self::default() },
            AnyEvent::Reservation(ReservationEvent::Taken(_))
            | AnyEvent::Projection(ProjectionEvent::EventSkipped(_) | ProjectionEvent::SkipTakenBack(_))
            | AnyEvent::ServiceToken(ServiceTokenEvent::Revoked(_))
            | AnyEvent::Webhook(
                WebhookEvent::Edited(_)
                | WebhookEvent::SecretRotated(_)
                | WebhookEvent::Disabled(_)
                | WebhookEvent::Enabled(_)
                | WebhookEvent::EventDropped(_)
                | WebhookEvent::Deleted(_),
            ) => Self::default(),
        }
    }

    fn of_client(event: &'a ClientEvent) -> Self {
        match event {
            ClientEvent::Registered(registered) => {
                Self { client_id: Some(&registered.client_id), tenant: registered.home.as_ref(), has_secrets: true }
            }
            ClientEvent::MetadataUpdated(_) | ClientEvent::SecretRotated(_) | ClientEvent::RegistrationTokenRotated(_) => {
                Self { has_secrets: true, ..Self::default() }
            }
            ClientEvent::SecretRevoked(_)
            | ClientEvent::Deleted(_)
            | ClientEvent::ManifestVersioned(_)
            | ClientEvent::ManifestUnreachable(_)
            | ClientEvent::ManifestRecovered(_)
            | ClientEvent::ManifestWithdrawn(_) => Self::default(),
        }
    }

    fn of_registration(event: &'a RegistrationEvent) -> Self {
        match event {
            RegistrationEvent::Requested(requested) => {
                Self { client_id: Some(&requested.client_id), tenant: Some(&requested.tenant), has_secrets: false }
            }
            RegistrationEvent::Approved(_)
            | RegistrationEvent::Denied(_)
            | RegistrationEvent::Suspended(_)
            | RegistrationEvent::Reinstated(_)
            | RegistrationEvent::Revoked(_)
            | RegistrationEvent::Restored(_)
            | RegistrationEvent::RedirectsStaged(_)
            | RegistrationEvent::RedirectsApproved(_)
            | RegistrationEvent::RedirectsRejected(_)
            | RegistrationEvent::RedirectsSuperseded(_)
            | RegistrationEvent::RedirectsNarrowed(_)
            | RegistrationEvent::MetadataAdmitted(_)
            | RegistrationEvent::RolledBack(_)
            | RegistrationEvent::Dormant(_)
            | RegistrationEvent::RevivalAsked(_)
            | RegistrationEvent::Revived(_) => Self::default(),
        }
    }

    fn of_resource_server(event: &'a ResourceServerEvent) -> Self {
        match event {
            ResourceServerEvent::Created(created) => Self { tenant: Some(&created.tenant), ..Self::default() },
            ResourceServerEvent::Renamed(_)
            | ResourceServerEvent::ModesChanged(_)
            | ResourceServerEvent::PolicyChanged(_)
            | ResourceServerEvent::CapNeared(_)
            | ResourceServerEvent::CapEased(_)
            | ResourceServerEvent::Retired(_) => Self::default(),
            ResourceServerEvent::FamilySuspended(suspended) => Self { client_id: Some(&suspended.client_id), ..Self::default() },
            ResourceServerEvent::FamilyReinstated(reinstated) => Self { client_id: Some(&reinstated.client_id), ..Self::default() },
        }
    }

    fn of_initial_access_token(event: &'a InitialAccessTokenEvent) -> Self {
        match event {
            InitialAccessTokenEvent::Issued(issued) => Self { tenant: Some(&issued.tenant), has_secrets: true, ..Self::default() },
            InitialAccessTokenEvent::Used(used) => Self { client_id: Some(&used.client_id), ..Self::default() },
            InitialAccessTokenEvent::Revoked(_) => Self::default(),
        }
    }
}

fn subjects(stream: Stream, event: &AnyEvent) -> (Option<ResourceServerId>, Option<ClientKey>) {
    if let (Stream::Reservation(server, _), AnyEvent::Reservation(ReservationEvent::Taken(taken))) = (stream, event) {
        return (Some(server), Some(taken.client_key));
    }
    match stream {
        Stream::Client(key) => (None, Some(key)),
        Stream::Registration(server, key) => (Some(server), Some(key)),
        Stream::ResourceServer(id) | Stream::InitialAccessToken(id, _) | Stream::Reservation(id, _) => (Some(id), None),
        Stream::ServiceToken(_) | Stream::Projection(_) | Stream::Webhook(_) => (None, None),
    }
}

fn keep_client_id(tx: &Transaction<'_>, key: ClientKey, client_id: &ClientId) -> rusqlite::Result<()> {
    if ClientId::of_key(key) == *client_id {
        return Ok(());
    }
    tx.prepare_cached("INSERT OR IGNORE INTO client_ids (key, client_id) VALUES (?1, ?2)")?
        .execute((Id(key.0), client_id.as_str()))
        .map(drop)
}

/// The data with what would help to guess a secret taken out. That there was one, and when it ends, stays.
fn without_secrets(data: &str) -> Result<Cow<'_, str>, ApplyError> {
    if !["\"secret\"", "\"registration_token\"", "\"token\""].iter().any(|member| data.contains(member)) {
        return Ok(Cow::Borrowed(data));
    }
    // Only the outermost members are looked at; the rest is passed on as it is written.
    let mut shown: BTreeMap<Cow<'_, str>, Cow<'_, RawValue>> = serde_json::from_str(data).map_err(ApplyError::Data)?;
    for member in ["registration_token", "token"] {
        if let Some(token) = shown.get_mut(member) {
            *token = raw(&Value::from(KEPT_OUT))?;
        }
    }
    if let Some(secret) = shown.get_mut("secret") {
        let mut kept: Value = serde_json::from_str(secret.get()).map_err(ApplyError::Data)?;
        if let Some(hash) = kept.get_mut("hash") {
            *hash = Value::from(KEPT_OUT);
        }
        *secret = raw(&kept)?;
    }
    serde_json::to_string(&shown).map(Cow::Owned).map_err(ApplyError::Data)
}

fn raw(value: &Value) -> Result<Cow<'static, RawValue>, ApplyError> {
    to_raw_value(value).map(Cow::Owned).map_err(ApplyError::Data)
}
