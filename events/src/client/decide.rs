//! When a client may change.

use std::borrow::Cow;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::event::{
    Deleted, ManifestRecovered, ManifestUnreachable, ManifestVersioned, ManifestWithdrawn, MetadataUpdated, Registered,
    RegistrationTokenRotated, SecretRevoked, SecretRotated,
};
use super::manifest::{Difference, Document, Manifest, Withdrawal, differences};
use super::{Client, ClientCommand, ClientEvent as Event, Entered, Life, MOST_ENTERED, Party, Profile};
use crate::admission::RegistrationType;
use crate::clamps::Clamps;
use crate::identity::{ClientId, TenantId};
use crate::secret::{KeptSecret, Rotation};
use crate::{Aggregate, Rejection};

pub(super) fn decide(client: &Client, command: &ClientCommand) -> Result<Vec<Event>, Rejection> {
    use ClientCommand::{
        Delete, EnterDocument, LoseDocument, MissDocument, Register, RevokeOldSecret, RotateRegistrationToken, RotateSecret, SeeDocument,
        UpdateMetadata,
    };
    if let Register {
        client_id,
        registration_type,
        home,
        metadata,
        secret,
        registration_token,
        ignored,
        initial_access_token,
        clamps,
        imported_from,
        at,
    } = command
    {
        clamps.permit(metadata)?;
        let registered = Event::Registered(Registered {
            client_id: client_id.clone(),
            registration_type: *registration_type,
            home: home.clone(),
            issued_at: *at,
            metadata: metadata.clone(),
            secret: secret.clone(),
            registration_token: *registration_token,
            ignored: ignored.clone(),
            initial_access_token: *initial_access_token,
            clamps: clamps.clone(),
            imported_from: imported_from.clone(),
            entered_for: None,
        });
        return match client.life {
            Life::Unregistered => Ok(vec![registered]),
            Life::Registered if Client::default().evolve(&registered) == *client => Ok(vec![]),
            Life::Registered | Life::Withdrawn | Life::Deleted => Err(Rejection::AlreadyExists),
        };
    }
    if let SeeDocument { client_id, document, at } = command {
        return see(client, client_id, document, *at);
    }
    if let EnterDocument { client_id, document, tenant, at } = command {
        return enter(client, client_id, document, tenant, *at);
    }
    if let (Life::Deleted, Delete { .. }) = (client.life, command) {
        return Ok(vec![]);
    }
    let entered_only = client.is_entered_only();
    if let Some(decided) = entered_only.then(|| decide_without_host(client, command)).flatten() {
        return Ok(decided);
    }
    let seen = asked_by(command).filter(|_| entered_only).map_or(Cow::Borrowed(client), |tenant| client.seen_by(tenant));
    let profile = seen.registered().ok_or(Rejection::NoSuchClient)?;
    match command {
        Register { .. } | SeeDocument { .. } | EnterDocument { .. } => Err(Rejection::AlreadyExists),
        UpdateMetadata { by, metadata, secret, keep_secret, ignored } => {
            may_touch(profile, by)?;
            profile.clamps.permit(metadata)?;
            let first_secret = secret.clone().filter(|_| metadata.needs_secret() && profile.secret.is_none());
            if *metadata == profile.metadata && first_secret.is_none() {
                return Ok(vec![]);
            }
            let keeps_secret = *keep_secret && profile.secret.is_some() && !metadata.needs_secret();
            let (metadata, ignored) = (metadata.clone(), ignored.clone());
            Ok(vec![Event::MetadataUpdated(MetadataUpdated { metadata, secret: first_secret, keeps_secret, ignored })])
        }
        RotateSecret { by, secret, rotation } => {
            may_touch(profile, by)?;
            rotate(profile, secret, rotation)
        }
        RevokeOldSecret { by } => {
            may_touch(profile, by)?;
            Ok(if profile.previous_secret.is_some() { vec![Event::SecretRevoked(SecretRevoked {})] } else { vec![] })
        }
        RotateRegistrationToken { by, registration_token } => {
            may_touch(profile, by)?;
            if profile.registration_token == Some(*registration_token) {
                return Ok(vec![]);
            }
            Ok(vec![Event::RegistrationTokenRotated(RegistrationTokenRotated { registration_token: *registration_token })])
        }
        MissDocument { .. } | LoseDocument { .. } if profile.manifest.is_none() => Err(Rejection::NoDocument),
        MissDocument { last_read, failure } => {
            let missed = |known: &Manifest| known.unreachable_since.is_some();
            let known = client.life == Life::Withdrawn || profile.manifest.as_ref().is_some_and(missed);
            let unreachable = Event::ManifestUnreachable(ManifestUnreachable { since: *last_read, failure: failure.clone() });
            Ok(if known { vec![] } else { vec![unreachable] })
        }
        LoseDocument { .. } if client.life == Life::Withdrawn => Ok(vec![]),
        LoseDocument { cause, failure, detail } => {
            Ok(vec![Event::ManifestWithdrawn(ManifestWithdrawn { cause: *cause, failure: failure.clone(), detail: detail.clone() })])
        }
        Delete { by, reason } => {
            may_touch(profile, by)?;
            Ok(vec![Event::Deleted(Deleted { reason: reason.clone() })])
        }
    }
}

/// What becomes of a document of which only texts are known that administrators entered. That its host is silent is why they were
/// entered, and no news, however long it lasts.
fn decide_without_host(client: &Client, command: &ClientCommand) -> Option<Vec<Event>> {
    if let ClientCommand::MissDocument { .. } | ClientCommand::LoseDocument { cause: Withdrawal::Expired, .. } = command {
        return Some(vec![]);
    }
    let ClientCommand::LoseDocument { cause, failure, detail } = command else { return None };
    if client.entered.values().all(|entered| entered.withdrawn) {
        return Some(vec![]);
    }
    let withdrawn = ManifestWithdrawn { cause: *cause, failure: failure.clone(), detail: detail.clone() };
    Some(vec![Event::ManifestWithdrawn(withdrawn)])
}

/// The tenant whose administrator asks.
fn asked_by(command: &ClientCommand) -> Option<&TenantId> {
    match command {
        ClientCommand::UpdateMetadata { by, .. }
        | ClientCommand::RotateSecret { by, .. }
        | ClientCommand::RevokeOldSecret { by }
        | ClientCommand::RotateRegistrationToken { by, .. }
        | ClientCommand::Delete { by, .. } => match by {
            Party::Admin(tenant) => Some(tenant),
            Party::Holder | Party::System => None,
        },
        ClientCommand::Register { .. }
        | ClientCommand::SeeDocument { .. }
        | ClientCommand::EnterDocument { .. }
        | ClientCommand::MissDocument { .. }
        | ClientCommand::LoseDocument { .. } => None,
    }
}

/// Only the home's administrators touch what all registrations share.
fn may_touch(profile: &Profile, by: &Party) -> Result<(), Rejection> {
    match by {
        Party::Admin(tenant) if !profile.is_at_home(tenant) => Err(Rejection::NotHome),
        Party::Admin(_) | Party::Holder | Party::System => Ok(()),
    }
}

/// A secret that takes the place of the client's, once.
fn rotate(profile: &Profile, secret: &KeptSecret, rotation: &Rotation) -> Result<Vec<Event>, Rejection> {
    if !profile.metadata.needs_secret() && profile.secret.is_none() {
        return Err(Rejection::NoSecret);
    }
    // Rotating to the secret that it has would end the overlap of the one before.
    if profile.secret.as_ref() == Some(secret) || rotation.repeats(profile.rotated_by.as_deref()) {
        return Ok(vec![]);
    }
    rotation.keeps(profile.previous_secret.as_ref().map(|(_, until)| *until))?;
    Ok(vec![Event::SecretRotated(SecretRotated {
        secret: secret.clone(),
        old_valid_until: rotation.old_valid_until,
        repeat_key: rotation.repeat_key.clone(),
    })])
}

/// A document that was read: the first one of its host, another than before, or the same as before, which is news only after trouble.
fn see(client: &Client, client_id: &ClientId, document: &Document, at: DateTime<Utc>) -> Result<Vec<Event>, Rejection> {
    if client.life == Life::Unregistered {
        return Ok(first(client_id, document, (client.next_number(), None), at));
    }
    let profile = client.registered().ok_or(Rejection::NoSuchClient)?;
    let manifest: &Manifest = profile.manifest.as_ref().ok_or(Rejection::NoDocument)?;
    let in_trouble = client.life == Life::Withdrawn || manifest.unreachable_since.is_some();
    let recovered = in_trouble.then_some(Event::ManifestRecovered(ManifestRecovered {}));
    let same = manifest.current().is_some_and(|current| current.content_hash == document.content_hash);
    let version = (!same).then(|| next(profile, document, None));
    Ok(recovered.into_iter().chain(version).collect())
}

/// A text that was entered: the tenant's first, or another than its administrators entered before. What was read at a host is not
/// overruled.
fn enter(
    client: &Client,
    client_id: &ClientId,
    document: &Document,
    tenant: &TenantId,
    at: DateTime<Utc>,
) -> Result<Vec<Event>, Rejection> {
    if client.life != Life::Unregistered {
        return Err(Rejection::DocumentKnown);
    }
    let Some(Entered { profile, withdrawn, .. }) = client.entered.get(tenant) else {
        return Ok(first(client_id, document, (1, Some(tenant)), at));
    };
    let versions = profile.manifest.as_ref().map(|manifest| manifest.versions.as_slice()).unwrap_or_default();
    if !withdrawn && versions.last().is_some_and(|current| current.content_hash == document.content_hash) {
        return Ok(vec![]);
    }
    if versions.len() >= MOST_ENTERED {
        return Err(Rejection::TooManyTexts);
    }
    Ok(vec![next(profile, document, Some(tenant))])
}

fn first(client_id: &ClientId, document: &Document, (number, entered_for): (u32, Option<&TenantId>), at: DateTime<Utc>) -> Vec<Event> {
    let registered = Event::Registered(Registered {
        client_id: client_id.clone(),
        registration_type: RegistrationType::Cimd,
        home: None,
        issued_at: at,
        metadata: document.metadata.clone(),
        secret: None,
        registration_token: None,
        ignored: vec![],
        initial_access_token: None,
        clamps: Clamps::default(),
        imported_from: None,
        entered_for: entered_for.cloned(),
    });
    vec![registered, versioned(document, number, BTreeSet::new(), entered_for)]
}

fn next(profile: &Profile, document: &Document, entered_for: Option<&TenantId>) -> Event {
    let current = profile.manifest.as_ref().and_then(Manifest::current);
    let number = current.map_or(1, |current| current.number + 1);
    let differences = current.map_or_else(Default::default, |_| differences(&profile.metadata, &document.metadata));
    versioned(document, number, differences, entered_for)
}

fn versioned(document: &Document, number: u32, differences: BTreeSet<Difference>, entered_for: Option<&TenantId>) -> Event {
    Event::ManifestVersioned(ManifestVersioned {
        number,
        content_hash: document.content_hash.clone(),
        document: document.text.clone(),
        metadata: document.metadata.clone(),
        differences,
        warnings: document.warnings.clone(),
        left_out: document.left_out.clone(),
        entered_for: entered_for.cloned(),
        ignored: document.ignored.clone(),
    })
}
