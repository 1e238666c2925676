//! What each event changes in the directory.

use chrono::{DateTime, Utc};
use gatebook_events::admission::Status;
use gatebook_events::admission::{Modes, RegistrationType};
use gatebook_events::client::{self, ClientEvent};
use gatebook_events::codec::{self, AnyEvent};
use gatebook_events::envelope::Envelope;
use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId, TenantId};
use gatebook_events::look_alike::Origin;
use gatebook_events::metadata::ClientMetadata;
use gatebook_events::redirect::WebUri;
use gatebook_events::registration::RegistrationEvent;
use gatebook_events::resource_server::{Policy, ResourceServer, ResourceServerEvent};
use gatebook_events::secret::KeptSecret;
use gatebook_events::{Aggregate, registration as events};
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Row, Transaction, named_params, params};

use super::change::{AdmittedRow, Asked, NewClient};
use super::entered::{self, HOST};
use super::{names, text, unbound};
use crate::column::{At, ClientLife, Id, Json, ServerLife, Word};
use crate::read_model::ApplyError;
use crate::registration::{self, Step};

pub(super) fn client(tx: &Transaction<'_>, key: ClientKey, envelope: &Envelope, event: &ClientEvent) -> rusqlite::Result<()> {
    let at = At(envelope.event.recorded_at);
    tx.prepare_cached("UPDATE clients SET events = events + 1 WHERE key = ?1")?.execute([Id(key.0)])?;
    match event {
        // See `client_registered`.
        ClientEvent::Registered(_) => Ok(()),
        ClientEvent::MetadataUpdated(updated) => {
            let first_secret = updated.secret.as_ref();
            metadata_updated(tx, (key, HOST), at, &updated.metadata)?;
            match first_secret {
                Some(secret) => secret_changed(tx, key, at, Some(secret)),
                None if !updated.metadata.needs_secret() && !updated.keeps_secret => secret_changed(tx, key, at, None),
                None => Ok(()),
            }
        }
        ClientEvent::SecretRotated(rotated) => secret_changed(tx, key, at, Some(&rotated.secret)),
        ClientEvent::SecretRevoked(_) | ClientEvent::RegistrationTokenRotated(_) => {
            tx.prepare_cached("UPDATE clients SET updated_at = ?2 WHERE key = ?1")?.execute((Id(key.0), at)).map(drop)
        }
        ClientEvent::ManifestVersioned(versioned) => {
            const VERSIONED: &str = "UPDATE clients SET manifest_version = ?3, manifest_hash = ?4, unreachable_since = NULL \
                WHERE key = ?1 AND entered_for = ?2";
            let described = versioned.entered_for.as_ref().map_or(HOST, TenantId::as_str);
            entered::versioned(tx, (key, described))?;
            metadata_updated(tx, (key, described), at, &versioned.metadata)?;
            tx.prepare_cached(VERSIONED)?.execute((Id(key.0), described, versioned.number, versioned.content_hash.as_str()))?;
            life_changed(tx, (key, described), at, client::Life::Registered)
        }
        ClientEvent::ManifestUnreachable(unreachable) => tx
            .prepare_cached("UPDATE clients SET unreachable_since = ?2, updated_at = ?3 WHERE key = ?1 AND entered_for = ''")?
            .execute((Id(key.0), At(unreachable.since), at))
            .map(drop),
        ClientEvent::ManifestRecovered(_) => {
            entered::versioned(tx, (key, HOST))?;
            tx.prepare_cached("UPDATE clients SET unreachable_since = NULL WHERE key = ?1 AND entered_for = ''")?.execute([Id(key.0)])?;
            life_changed(tx, (key, HOST), at, client::Life::Registered)
        }
        ClientEvent::ManifestWithdrawn(_) => {
            for described in entered::descriptions(tx, key)? {
                life_changed(tx, (key, &described), at, client::Life::Withdrawn)?;
            }
            Ok(())
        }
        ClientEvent::Deleted(_) => {
            secret_changed(tx, key, at, None)?;
            life_changed(tx, (key, HOST), at, client::Life::Deleted)
        }
    }
}

/// A client that was deleted stays so.
fn life_changed(tx: &Transaction<'_>, (key, described): (ClientKey, &str), at: At, life: client::Life) -> rusqlite::Result<()> {
    const UPDATE: &str =
        "UPDATE clients SET life = ?2, updated_at = ?3 WHERE key = ?1 AND entered_for = ?4 AND life NOT IN (?2, 'deleted')";
    const OF_REGISTRATIONS: &str = "UPDATE registrations SET client_life = ?2 WHERE client_key = ?1 AND entered_for = ?3";
    let life = ClientLife(life);
    let changed = tx.prepare_cached(UPDATE)?.execute((Id(key.0), life, at, described))?;
    if changed > 0 {
        tx.prepare_cached(OF_REGISTRATIONS)?.execute((Id(key.0), life, described))?;
    }
    if changed > 0 && life.0 == client::Life::Deleted {
        unbound::went(tx, key)?;
        names::bear(tx, key, None)
    } else {
        Ok(())
    }
}

pub(super) fn client_registered(tx: &Transaction<'_>, key: ClientKey, envelope: &Envelope, client: &NewClient) -> rusqlite::Result<()> {
    const INSERT: &str = "INSERT INTO clients (key, client_id, registration_type, life, home, issued_at, updated_at, \
        metadata, has_secret, secret_expires_at, name_key, family, search, initial_access_token, folded, named_at, events, entered_for, \
        own_events) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?7, ?16, ?17, ?18) ON CONFLICT DO NOTHING";
    const CAME_BEFORE: &str = "UPDATE registrations SET client_life = ?2, name_key = coalesce(admitted_name, ?3), entered_for = ?4 \
        WHERE client_key = ?1 AND (?4 = '' OR tenant = ?4)";
    let described = client.entered_for.as_ref().map_or(HOST, TenantId::as_str);
    // Only what is described by a document may be there already, by what administrators entered.
    let events = if client.registration_type == RegistrationType::Cimd { entered::count_one_more(tx, key)? } else { 1 };
    let life = ClientLife(client::Life::Registered);
    let added = tx.prepare_cached(INSERT)?.execute(params![
        Id(key.0),
        client.client_id.as_str(),
        client.registration_type.as_str(),
        life,
        client.home.as_ref().map(TenantId::as_str),
        At(client.issued_at),
        At(envelope.event.recorded_at),
        client.metadata,
        client.secret.is_some(),
        expiry(client.secret.as_ref()),
        client.name_key,
        client.family,
        client.search,
        client.initial_access_token.map(|id| Id(id.0)),
        client.folded.as_str(),
        events,
        described,
        i64::from(client.entered_for.is_some()),
    ])?;
    // Nobody is registered twice; evolve would leave who is there as it was.
    if added == 0 {
        return Ok(());
    }
    // The registration is another stream, and its events may have come before.
    let came_before = tx.prepare_cached(CAME_BEFORE)?.execute((Id(key.0), life, &client.name_key, described))?;
    if came_before > 0 {
        return names::bear(tx, key, None);
    }
    if client.unbound { unbound::came(tx, key, client.issued_at) } else { Ok(()) }
}

/// Each row is written once, whatever changed of it: rows of clients are long.
fn metadata_updated(tx: &Transaction<'_>, (key, described): (ClientKey, &str), at: At, metadata: &ClientMetadata) -> rusqlite::Result<()> {
    const KNOWN: &str = "SELECT client_id, registration_type, name_key, folded FROM clients WHERE key = ?1 AND entered_for = ?2";
    const UPDATE: &str = "UPDATE clients SET metadata = :metadata, name_key = :name_key, family = CASE WHEN family LIKE 'software:%' THEN family ELSE :family END, search = :search, \
        updated_at = :at, named_at = CASE WHEN folded = :folded THEN named_at ELSE :at END, folded = :folded \
        WHERE key = :key AND entered_for = :described";
    let known = tx.prepare_cached(KNOWN)?.query_row((Id(key.0), described), |row| {
        let (client_id, registration_type) = (row.get::<_, Word<ClientId>>(0)?.0, row.get::<_, Word<RegistrationType>>(1)?.0);
        Ok((client_id, registration_type, row.get::<_, String>(2)?, row.get::<_, String>(3)?))
    });
    let Some((client_id, registration_type, old_name_key, old_folded)) = known.optional()? else { return Ok(()) };
    names::touch(tx, key)?;
    let (name_key, folded) = (text::name_key(&client_id, metadata), text::folded(metadata));
    tx.prepare_cached(UPDATE)?.execute(named_params! {
        ":key": Id(key.0),
        ":described": described,
        ":metadata": Json(metadata),
        ":name_key": name_key,
        // The `software_id` that it came with stays what it is an instance of.
        ":family": text::family(&client_id, registration_type, &ClientMetadata { software_id: None, ..metadata.clone() }),
        ":search": text::search(&client_id, metadata),
        ":folded": folded.as_str(),
        ":at": at,
    })?;
    if name_key == old_name_key && folded.as_str() == old_folded { Ok(()) } else { names::renamed(tx, (key, described), &name_key) }
}

fn secret_changed(tx: &Transaction<'_>, key: ClientKey, at: At, secret: Option<&KeptSecret>) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE clients SET has_secret = ?2, secret_expires_at = ?3, updated_at = ?4 WHERE key = ?1")?
        .execute((Id(key.0), secret.is_some(), expiry(secret), at))
        .map(drop)
}

fn expiry(secret: Option<&KeptSecret>) -> Option<At> {
    secret.and_then(|secret| secret.expires_at).map(At)
}

pub(super) fn registration(
    tx: &Transaction<'_>,
    server: ResourceServerId,
    key: ClientKey,
    envelope: &Envelope,
    event: &RegistrationEvent,
) -> rusqlite::Result<()> {
    const CHANGED: &str = "UPDATE registrations SET denied_until = :denied_until, redirect_uris = :redirect_uris, staged = :staged, admitted_family = :family, \
        staged_at = CASE WHEN :staged IS NULL THEN NULL ELSE coalesce(:staged_at, staged_at) END, \
        updated_at = :at, position = :position, events = events + 1 \
        WHERE client_key = :client_key AND resource_server = :resource_server";
    let at = envelope.event.recorded_at;
    // Nothing can happen to a registration that was never asked for; evolve would leave nothing to show either.
    let Some(before) = registration::load(tx, server, key)? else { return Ok(()) };
    let (old_status, old_type, old_uris) = (before.status, before.registration_type, before.redirect_uris.clone());
    let old_metadata = before.metadata.clone();
    let after = before.evolve(event);
    // One that is dormant may be back at its next use, so nobody gets its place meanwhile.
    let bears = |status: Status| status == Status::Approved || status.is_dormant();
    let standing_changed = bears(after.status) != bears(old_status);
    let (server_id, client, server, position) = (server, Id(key.0), Id(server.0), envelope.position.to_backend().cast_signed());
    if let Step::Decided(note) = Step::of(event) {
        // A decision leaves the redirect URIs alone, and nearly always changes the status.
        const DECIDED: &str = "UPDATE registrations SET status = :status, before_revocation = :before_revocation, \
            approved_at = CASE :status WHEN 'approved' THEN coalesce(approved_at, :at) ELSE approved_at END, \
            denied_until = :denied_until, note = :note, decided_at = :at, updated_at = :at, position = :position, events = events + 1 \
            WHERE client_key = :client_key AND resource_server = :resource_server";
        let parameters = named_params! {
            ":client_key": client,
            ":resource_server": server,
            ":status": after.status.as_str(),
            ":before_revocation": after.before_revocation.map(Status::as_str),
            ":denied_until": after.denied_until.map(At),
            ":note": note,
            ":at": At(at),
            ":position": position,
        };
        tx.prepare_cached(DECIDED)?.execute(parameters)?;
        return if standing_changed { names::bear(tx, key, Some(server_id)) } else { Ok(()) };
    }
    if (after.status, after.registration_type) != (old_status, old_type) {
        // Apart from the rest, because naming an indexed column rewrites its index entry even where the value stays.
        tx.prepare_cached("UPDATE registrations SET status = ?3, registration_type = ?4 WHERE client_key = ?1 AND resource_server = ?2")?
            .execute((client, server, after.status.as_str(), after.registration_type.map(RegistrationType::as_str)))?;
    }
    tx.prepare_cached(CHANGED)?.execute(named_params! {
        ":client_key": client,
        ":resource_server": server,
        ":denied_until": after.denied_until.map(At),
        ":redirect_uris": Json(&after.redirect_uris),
        ":staged": after.staged.as_ref().map(Json),
        ":family": text::admitted_family(&after),
        ":staged_at": Step::of(event).staged_at(at),
        ":at": At(at),
        ":position": position,
    })?;
    let admitted = after.metadata.as_deref().filter(|_| after.metadata != old_metadata).map(AdmittedRow::of);
    if let Some(admitted) = &admitted {
        names::touch(tx, key)?;
        admit(tx, (server_id, key), admitted, At(at))?;
    }
    let (old_origin, origin) = (Origin::of(None, &old_uris), Origin::of(None, &after.redirect_uris));
    // A document vouches for its host, wherever its answers go.
    if after.registration_type == Some(RegistrationType::Cimd) || origin == old_origin {
        return if admitted.is_some() { names::bear(tx, key, Some(server_id)) } else { Ok(()) };
    }
    tx.prepare_cached("UPDATE registrations SET origin = ?3, origin_at = ?4 WHERE client_key = ?1 AND resource_server = ?2")?.execute((
        client,
        server,
        origin.to_string(),
        At(at),
    ))?;
    names::touch(tx, key)?;
    names::bear(tx, key, Some(server_id))
}

/// What is admitted there is this now. A name that it had before under its client's is as old as that.
fn admit(tx: &Transaction<'_>, (server, key): (ResourceServerId, ClientKey), admitted: &AdmittedRow, at: At) -> rusqlite::Result<()> {
    const ADMIT: &str = "UPDATE registrations SET admitted = :metadata, admitted_name = :name, admitted_folded = :folded, \
        admitted_named_at = CASE WHEN admitted_folded = :folded THEN admitted_named_at \
            WHEN admitted_folded IS NULL AND (SELECT folded FROM clients WHERE key = client_key AND clients.entered_for = registrations.entered_for) = :folded \
            THEN (SELECT named_at FROM clients WHERE key = client_key AND clients.entered_for = registrations.entered_for) ELSE :at END, \
        name_key = coalesce(:name, (SELECT name_key FROM clients WHERE key = client_key AND clients.entered_for = registrations.entered_for), name_key) \
        WHERE client_key = :client AND resource_server = :server";
    let AdmittedRow { metadata, name, folded } = admitted;
    let parameters = named_params! {
        ":client": Id(key.0),
        ":server": Id(server.0),
        ":metadata": metadata,
        ":name": name,
        ":folded": folded.as_str(),
        ":at": at,
    };
    tx.prepare_cached(ADMIT)?.execute(parameters).map(drop)
}

pub(super) fn requested(
    tx: &Transaction<'_>,
    (server, key): (ResourceServerId, ClientKey),
    envelope: &Envelope,
    asked: &Asked,
) -> Result<(), ApplyError> {
    if new_registration(tx, (server, key), asked, asked.status, (envelope, envelope), None)? {
        return Ok(());
    }
    // One that is there already is asked for differently, which is rare, and only then matters more of the event.
    match codec::decode(envelope)? {
        (_, AnyEvent::Registration(event)) => Ok(registration(tx, server, key, envelope, &event)?),
        _ => Ok(()),
    }
}

/// False if there is a registration already.
pub(super) fn admitted_at_once(
    tx: &Transaction<'_>,
    registration: (ResourceServerId, ClientKey),
    (first, second): (&Envelope, &Envelope),
    asked: &Asked,
    approved: &events::Approved,
) -> rusqlite::Result<bool> {
    let decision = Some((approved.reason.as_deref(), second.event.recorded_at));
    new_registration(tx, registration, asked, asked.approved, (first, second), decision)
}

fn new_registration(
    tx: &Transaction<'_>,
    (server, key): (ResourceServerId, ClientKey),
    asked: &Asked,
    status: Status,
    (first, last): (&Envelope, &Envelope),
    decision: Option<(Option<&str>, DateTime<Utc>)>,
) -> rusqlite::Result<bool> {
    const CLIENT: &str = "SELECT life, name_key, folded, CASE WHEN life <> 'deleted' AND coalesce(?4, folded) <> '' \
        THEN max(?2, ?3, CASE WHEN ?4 IS NULL THEN named_at ELSE ?2 END) END FROM clients WHERE key = ?1 AND entered_for = ?5";
    const INSERT: &str = "INSERT INTO registrations (client_key, resource_server, tenant, registration_type, status, redirect_uris, \
        note, requested_at, decided_at, updated_at, position, client_life, name_key, origin, origin_at, approved_at, folded, \
        borne_since, admitted, admitted_name, admitted_folded, admitted_named_at, events, admitted_family, entered_for) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, \
        ?11, ?12, ?13, ?14, ?8, ?9, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23) ON CONFLICT DO NOTHING";
    let (requested_at, (note, decided_at)) = (At(first.event.recorded_at), decision.unzip());
    let decided_at = decided_at.map(At);
    // What is known of the client comes along; where nothing is yet, `client.registered` adds it.
    let mut query = tx.prepare_cached(CLIENT)?;
    let admitted = asked.admitted.as_ref();
    let own_folded = admitted.map(|admitted| admitted.folded.as_str());
    let own_name = admitted.and_then(|admitted| admitted.name.as_deref());
    let described = match (&asked.tenant, asked.registration_type) {
        (Some(tenant), Some(RegistrationType::Cimd)) => entered::description(tx, key, tenant)?,
        _ => HOST.to_owned(),
    };
    let mut rows = query.query(params![Id(key.0), requested_at, decided_at, own_folded, described])?;
    let client = rows.next()?;
    let known = |column| client.map_or(Ok(ValueRef::Null), |client| client.get_ref(column));
    let text = |column| Ok::<_, rusqlite::Error>(known(column)?.as_str_or_null()?.unwrap_or_default());
    let unknown = ClientLife(client::Life::Unregistered).as_str();
    let before = tx.total_changes();
    let added = tx.prepare_cached(INSERT)?.execute(params![
        Id(key.0),
        Id(server.0),
        asked.tenant.as_ref().map(TenantId::as_str),
        asked.registration_type.map(RegistrationType::as_str),
        status.as_str(),
        asked.redirect_uris,
        note.flatten(),
        requested_at,
        decided_at,
        At(last.event.recorded_at),
        last.position.to_backend().cast_signed(),
        known(0)?.as_str_or_null()?.unwrap_or(unknown),
        own_name.map_or_else(|| text(1), Ok)?,
        asked.origin,
        own_folded.map_or_else(|| text(2), Ok)?,
        known(3)?.as_i64_or_null()?,
        admitted.map(|admitted| &admitted.metadata),
        own_name,
        own_folded,
        admitted.map(|_| requested_at),
        if decided_at.is_some() { 2 } else { 1 },
        asked.family,
        described,
    ])?;
    // More than the registration and its count changed: the names of its tenant did.
    if tx.total_changes() - before > 2 {
        names::touch(tx, key)?;
    }
    // One that was at home nowhere is somewhere now.
    if added > 0 && asked.registration_type == Some(RegistrationType::Dcr) && client.is_some() {
        unbound::went(tx, key)?;
    }
    Ok(added > 0)
}

pub(super) fn resource_server(
    tx: &Transaction<'_>,
    id: ResourceServerId,
    envelope: &Envelope,
    event: &ResourceServerEvent,
) -> rusqlite::Result<()> {
    const SELECT: &str = "SELECT tenant, life, name, resource, modes, suspended_modes, policy FROM resource_servers WHERE id = ?1";
    const UPSERT: &str = "INSERT INTO resource_servers (id, tenant, life, name, resource, modes, suspended_modes, policy, created_at, \
        created_position, updated_at) \
        VALUES (:id, :tenant, :life, :name, :resource, :modes, :suspended, :policy, :at, :position, :at) \
        ON CONFLICT (id) DO UPDATE SET tenant = :tenant, life = :life, name = :name, resource = :resource, modes = :modes, \
        suspended_modes = :suspended, policy = :policy, updated_at = :at";
    // A warning for administrators changes nothing that is shown here, nor does what becomes of clients that come later.
    let unseen = matches!(
        event,
        ResourceServerEvent::CapNeared(_)
            | ResourceServerEvent::CapEased(_)
            | ResourceServerEvent::FamilySuspended(_)
            | ResourceServerEvent::FamilyReinstated(_)
    );
    if unseen {
        return Ok(());
    }
    let known = tx.prepare_cached(SELECT)?.query_row([Id(id.0)], server_state).optional()?;
    let server = known.unwrap_or_default().evolve(event);
    // Without a tenant it was never created, and there is nothing to show.
    let Some(tenant) = &server.tenant else { return Ok(()) };
    tx.prepare_cached(UPSERT)?
        .execute(named_params! {
            ":id": Id(id.0),
            ":tenant": tenant.as_str(),
            ":life": ServerLife(server.life),
            ":name": server.name,
            ":resource": server.resource.as_ref().map(WebUri::as_str),
            ":modes": Json(&server.modes),
            ":suspended": Json(&server.suspended),
            ":policy": Json(&server.policy),
            ":at": At(envelope.event.recorded_at),
            ":position": envelope.position.to_backend().cast_signed(),
        })
        .map(drop)
}

fn server_state(row: &Row<'_>) -> rusqlite::Result<ResourceServer> {
    Ok(ResourceServer {
        tenant: Some(row.get::<_, Word<TenantId>>(0)?.0),
        life: row.get::<_, ServerLife>(1)?.0,
        name: row.get(2)?,
        resource: row.get::<_, Option<Word<WebUri>>>(3)?.map(|word| word.0),
        modes: row.get::<_, Json<Modes>>(4)?.0,
        suspended: row.get::<_, Json<Modes>>(5)?.0,
        policy: row.get::<_, Json<Policy>>(6)?.0,
        ..ResourceServer::default()
    })
}
