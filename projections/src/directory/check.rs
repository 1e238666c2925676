//! What the directory shows of a client, held against the state that decisions rest on.

use std::borrow::Cow;

use gatebook_events::admission::Status;
use gatebook_events::client::{Client, Life};
use gatebook_events::identity::{ClientKey, ResourceServerId};
use gatebook_events::metadata::ClientMetadata;
use gatebook_events::registration::Registration;

use super::{Directory, RegistrationRow, queries};
use crate::read_model::{Checked, Projection};

impl Directory {
    /// What is shown of a client's registration and differs from these two, which were folded up to where the tables are.
    ///
    /// It has no part in how the tables are written, so that it notices where the two come apart.
    pub fn disagreements<P: Projection>(
        checked: &Checked<P>,
        (server, key): (ResourceServerId, ClientKey),
        client: &Client,
        registration: &Registration,
    ) -> rusqlite::Result<Vec<&'static str>> {
        let Some(server) = queries::server(checked.tables(), server)? else { return Ok(vec!["resource server"]) };
        let shown = queries::registration_row(checked.tables(), &server, key)?;
        let client = registration.tenant.as_ref().map_or(Cow::Borrowed(client), |tenant| client.seen_by(tenant));
        let exists = registration.status != Status::None && client.life != Life::Unregistered;
        Ok(match (&shown, &client.profile) {
            (None, _) if !exists => vec![],
            (Some(shown), Some(profile)) if exists => {
                let RegistrationRow { manifest, .. } = shown;
                let redirect_uris = registration.redirect_uris.clone();
                let admitted = ClientMetadata { redirect_uris, ..registration.admitted(&profile.metadata) };
                let newest = profile.manifest.as_ref().and_then(|manifest| manifest.versions.last());
                let checks = [
                    ("client_id", shown.client_id == profile.client_id),
                    ("home", shown.home == profile.home),
                    ("claimed metadata", shown.claimed == profile.metadata),
                    ("admitted metadata", shown.metadata == admitted),
                    ("secret", shown.has_secret == profile.secret.is_some()),
                    ("life", shown.client_life == client.life),
                    ("tenant", registration.tenant.as_ref() == Some(&shown.tenant)),
                    ("type", registration.registration_type == Some(shown.registration_type)),
                    ("status", shown.registration_status == registration.status),
                    ("end of the denial", shown.denied_until == registration.denied_until),
                    ("redirect URIs", shown.redirect_uris == registration.redirect_uris),
                    ("staged change", shown.staged == registration.staged),
                    ("document", manifest.as_ref().map(|one| one.version) == newest.map(|one| one.number)),
                ];
                checks.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
            }
            _ => vec!["existence"],
        })
    }
}
