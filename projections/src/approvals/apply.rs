//! What each event changes in what waits.

use chrono::{DateTime, Utc};
use gatebook_events::Aggregate;
use gatebook_events::admission::RegistrationType;
use gatebook_events::admission::Status;
use gatebook_events::client::{self, ClientEvent};
use gatebook_events::envelope::Envelope;
use gatebook_events::identity::{ClientKey, ResourceServerId, TenantId};
use gatebook_events::registration::{Approved, Registration, RegistrationEvent, Requested};
use gatebook_events::resource_server::{self, ResourceServerEvent};
use rusqlite::{Transaction, named_params, params};

use crate::column::{At, ClientLife, Id, Json, ServerLife};
use crate::registration::{self, Step};

pub(super) fn client(tx: &Transaction<'_>, key: ClientKey, event: &ClientEvent) -> rusqlite::Result<()> {
    if !matches!(event, ClientEvent::Registered(_)) {
        tx.prepare_cached("UPDATE clients SET events = events + 1 WHERE key = ?1")?.execute([Id(key.0)])?;
    }
    match event {
        ClientEvent::Registered(registered) => {
            const INSERT: &str = "INSERT INTO clients (key, client_id, name, life, events, document) VALUES (?1, ?2, ?3, ?4, 1, 0) \
                ON CONFLICT DO UPDATE SET events = events + 1";
            let name = registered.metadata.client_name.as_deref();
            let (shown, life) = (name.filter(|_| registered.entered_for.is_none()), ClientLife(client::Life::Registered));
            tx.prepare_cached(INSERT)?.execute((Id(key.0), registered.client_id.as_str(), shown, life))?;
            let Some(tenant) = &registered.entered_for else { return Ok(()) };
            tx.prepare_cached("INSERT OR IGNORE INTO entered (client_key, tenant, name, document, events) VALUES (?1, ?2, ?3, 0, 1)")?
                .execute((Id(key.0), tenant.as_str(), name))
                .map(drop)
        }
        ClientEvent::MetadataUpdated(updated) => tx
            .prepare_cached("UPDATE clients SET name = ?2 WHERE key = ?1")?
            .execute((Id(key.0), updated.metadata.client_name.as_deref()))
            .map(drop),
        ClientEvent::Deleted(_) => {
            let deleted = ClientLife(client::Life::Deleted);
            tx.prepare_cached("UPDATE clients SET life = ?2 WHERE key = ?1")?.execute((Id(key.0), deleted))?;
            tx.prepare_cached("UPDATE registrations SET since = NULL WHERE client_key = ?1")?.execute([Id(key.0)]).map(drop)
        }
        ClientEvent::ManifestVersioned(versioned) => {
            // In the logs of builds that knew one tenant's text only, all that was before is about that text.
            const ENTERED: &str = "INSERT INTO entered (client_key, tenant, name, document, events) \
                SELECT key, ?2, ?3, ?4, events FROM clients WHERE key = ?1 \
                ON CONFLICT DO UPDATE SET name = excluded.name, document = excluded.document, events = entered.events + 1";
            const ANSWERED: &str = "UPDATE clients SET name = ?2, document = ?3 WHERE key = ?1";
            let (name, number) = (versioned.metadata.client_name.as_deref(), versioned.number);
            match &versioned.entered_for {
                Some(tenant) => tx.prepare_cached(ENTERED)?.execute((Id(key.0), tenant.as_str(), name, number)),
                None => tx.prepare_cached(ANSWERED)?.execute((Id(key.0), name, number)),
            }
            .map(drop)
        }
        // The host says what one tenant's administrators entered, in the logs of those builds.
        ClientEvent::ManifestRecovered(_) => {
            const SAME: &str = "UPDATE clients SET (name, document) = (SELECT name, document FROM entered WHERE client_key = key) \
                WHERE key = ?1 AND document = 0 AND EXISTS (SELECT 1 FROM entered WHERE client_key = key)";
            tx.prepare_cached(SAME)?.execute([Id(key.0)]).map(drop)
        }
        // What waits can be decided while its client's document is away.
        ClientEvent::ManifestUnreachable(_)
        | ClientEvent::ManifestWithdrawn(_)
        | ClientEvent::SecretRotated(_)
        | ClientEvent::SecretRevoked(_)
        | ClientEvent::RegistrationTokenRotated(_) => Ok(()),
    }
}

pub(super) fn resource_server(tx: &Transaction<'_>, id: ResourceServerId, event: &ResourceServerEvent) -> rusqlite::Result<()> {
    match event {
        ResourceServerEvent::Created(created) => tx
            .prepare_cached("INSERT OR REPLACE INTO resource_servers (id, name, life) VALUES (?1, ?2, ?3)")?
            .execute((Id(id.0), &created.name, ServerLife(resource_server::Life::Active)))
            .map(drop),
        ResourceServerEvent::Renamed(renamed) => {
            tx.prepare_cached("UPDATE resource_servers SET name = ?2 WHERE id = ?1")?.execute((Id(id.0), &renamed.name)).map(drop)
        }
        ResourceServerEvent::Retired(_) => {
            const SETTLE: &str = "UPDATE registrations SET since = NULL WHERE since IS NOT NULL AND resource_server = ?1";
            let retired = ServerLife(resource_server::Life::Retired);
            tx.prepare_cached("UPDATE resource_servers SET life = ?2 WHERE id = ?1")?.execute((Id(id.0), retired))?;
            tx.prepare_cached(SETTLE)?.execute([Id(id.0)]).map(drop)
        }
        // A mode that is switched off leaves its registrations waiting: they can still be decided, and it may be switched on again.
        ResourceServerEvent::ModesChanged(_)
        | ResourceServerEvent::PolicyChanged(_)
        | ResourceServerEvent::CapNeared(_)
        | ResourceServerEvent::CapEased(_)
        | ResourceServerEvent::FamilySuspended(_)
        | ResourceServerEvent::FamilyReinstated(_) => Ok(()),
    }
}

/// Nothing waits where the client was deleted or the resource server retired.
const UPSERT: &str = "INSERT INTO registrations (client_key, resource_server, tenant, registration_type, status, before_revocation, \
    denied_until, redirect_uris, staged, admitted, events, serves_at, asked_at, asked_via, staged_at, since) \
    VALUES (:client, :server, :tenant, :type, :status, :before, :denied_until, :uris, :staged, :admitted, 1, :serves_at, :at, :via, \
    :staged_at, \
    CASE WHEN :waits IS NULL \
        OR EXISTS (SELECT 1 FROM clients WHERE key = :client AND life = 'deleted') \
        OR EXISTS (SELECT 1 FROM resource_servers WHERE id = :server AND life = 'retired') THEN NULL ELSE :at END) \
    ON CONFLICT DO UPDATE SET tenant = :tenant, registration_type = :type, status = :status, before_revocation = :before, \
    denied_until = :denied_until, redirect_uris = :uris, staged = :staged, admitted = :admitted, events = events + 1, \
    serves_at = :serves_at, \
    asked_at = CASE WHEN :begins THEN :at ELSE asked_at END, asked_via = CASE WHEN :begins THEN :via ELSE asked_via END, \
    staged_at = CASE WHEN :staged IS NULL THEN NULL ELSE coalesce(:staged_at, staged_at) END, \
    since = CASE WHEN :waits IS NULL \
        OR EXISTS (SELECT 1 FROM clients WHERE key = :client AND life = 'deleted') \
        OR EXISTS (SELECT 1 FROM resource_servers WHERE id = :server AND life = 'retired') THEN NULL \
        WHEN :waits = 'registration' THEN CASE WHEN :begins THEN :at ELSE asked_at END \
        ELSE coalesce(:staged_at, staged_at) END";

pub(super) fn registration(
    tx: &Transaction<'_>,
    (server, key): (ResourceServerId, ClientKey),
    envelope: &Envelope,
    (event, via): &(RegistrationEvent, Option<String>),
) -> rusqlite::Result<()> {
    let at: DateTime<Utc> = envelope.event.recorded_at;
    let before = registration::load(tx, server, key)?.unwrap_or_default();
    let waited = waits_to_act(before.status);
    let after = before.evolve(event);
    // Without a tenant it was never asked for.
    let Some(tenant) = &after.tenant else { return Ok(()) };
    let step = Step::of(event);
    // One who asks differently while it waits keeps its place in the queue.
    let begins = matches!(step, Step::Asked) && !waited;
    let via = via.as_deref().filter(|_| begins);
    let waits = match after.status {
        Status::Pending | Status::Returning => Some("registration"),
        Status::Approved | Status::Dormant | Status::Suspended => after.staged.as_ref().map(|_| "redirects"),
        Status::None | Status::Denied | Status::Revoked => None,
    };
    tx.prepare_cached(UPSERT)?.execute(named_params! {
        ":client": Id(key.0),
        ":server": Id(server.0),
        ":tenant": tenant.as_str(),
        ":type": after.registration_type.map(RegistrationType::as_str),
        ":status": after.status.as_str(),
        ":before": after.before_revocation.map(Status::as_str),
        ":denied_until": after.denied_until.map(At),
        ":uris": Json(&after.redirect_uris),
        ":staged": after.staged.as_ref().map(Json),
        ":admitted": after.metadata.as_ref().map(Json),
        ":serves_at": after.staged.as_ref().and_then(|staged| staged.serves_at).map(At),
        ":at": At(at),
        ":via": via,
        ":staged_at": step.staged_at(at),
        ":begins": begins,
        ":waits": waits,
    })?;
    Ok(())
}

/// Whether a client that stands so cannot act before an administrator decided about it.
pub(super) const fn waits_to_act(status: Status) -> bool {
    matches!(status, Status::Pending | Status::Returning)
}

/// False if there is a registration already. It never waits, so it comes without a `since`.
pub(super) fn admitted_at_once(
    tx: &Transaction<'_>,
    (server, key): (ResourceServerId, ClientKey),
    first: &Envelope,
    (requested, via): (&Requested, Option<&str>),
    approved: &Approved,
) -> rusqlite::Result<bool> {
    const INSERT: &str = "INSERT INTO registrations (client_key, resource_server, tenant, registration_type, status, redirect_uris, \
        asked_at, asked_via, admitted, events) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 2) ON CONFLICT DO NOTHING";
    let requested = RegistrationEvent::Requested(requested.clone());
    let state = Registration::default().evolve(&requested).evolve(&RegistrationEvent::Approved(approved.clone()));
    let added = tx.prepare_cached(INSERT)?.execute(params![
        Id(key.0),
        Id(server.0),
        state.tenant.as_ref().map(TenantId::as_str),
        state.registration_type.map(RegistrationType::as_str),
        state.status.as_str(),
        Json(&state.redirect_uris),
        At(first.event.recorded_at),
        via,
        state.metadata.as_ref().map(Json),
    ])?;
    Ok(added > 0)
}
