//! When a client may change.

use super::event::{Deleted, MetadataUpdated, Registered, RegistrationTokenRotated, SecretRevoked, SecretRotated};
use super::{Client, ClientCommand, ClientEvent as Event, Life, Party, Profile};
use crate::{Aggregate, Rejection};

pub(super) fn decide(client: &Client, command: &ClientCommand) -> Result<Vec<Event>, Rejection> {
    use ClientCommand::{Delete, Register, RevokeOldSecret, RotateRegistrationToken, RotateSecret, UpdateMetadata};
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
        });
        return match client.life {
            Life::Unregistered => Ok(vec![registered]),
            Life::Registered if Client::default().evolve(&registered) == *client => Ok(vec![]),
            Life::Registered | Life::Deleted => Err(Rejection::AlreadyExists),
        };
    }
    if let (Life::Deleted, Delete { .. }) = (client.life, command) {
        return Ok(vec![]);
    }
    let profile = client.registered().ok_or(Rejection::NoSuchClient)?;
    match command {
        Register { .. } => Err(Rejection::AlreadyExists),
        UpdateMetadata { by, metadata, secret, ignored } => {
            may_touch(profile, by)?;
            profile.clamps.permit(metadata)?;
            let first_secret = secret.clone().filter(|_| metadata.needs_secret() && profile.secret.is_none());
            if *metadata == profile.metadata && first_secret.is_none() {
                return Ok(vec![]);
            }
            Ok(vec![Event::MetadataUpdated(MetadataUpdated { metadata: metadata.clone(), secret: first_secret, ignored: ignored.clone() })])
        }
        RotateSecret { by, secret, old_valid_until } => {
            may_touch(profile, by)?;
            if !profile.metadata.needs_secret() {
                return Err(Rejection::NoSecret);
            }
            // Rotating to the secret that it has would end the overlap of the one before.
            if profile.secret.as_ref() == Some(secret) {
                return Ok(vec![]);
            }
            Ok(vec![Event::SecretRotated(SecretRotated { secret: secret.clone(), old_valid_until: *old_valid_until })])
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
        Delete { by, reason } => {
            may_touch(profile, by)?;
            Ok(vec![Event::Deleted(Deleted { reason: reason.clone() })])
        }
    }
}

/// Only the home's administrators touch what all registrations share.
fn may_touch(profile: &Profile, by: &Party) -> Result<(), Rejection> {
    match by {
        Party::Admin(tenant) if profile.home.as_ref() != Some(tenant) => Err(Rejection::NotHome),
        Party::Admin(_) | Party::Holder | Party::System => Ok(()),
    }
}
