//! Whom a client looks like, as the doors and the administrators' pages are told: one question to the directory.

use gatebook_events::admission::RegistrationType;
use gatebook_events::decision::{Surroundings, Warning, warnings_of_appearance};
use gatebook_events::envelope::Position;
use gatebook_events::identity::{ClientId, TenantId};
use gatebook_events::look_alike::{Face, document_host};
use gatebook_events::redirect::RedirectUris;
use gatebook_projections::directory::{Directory, LookAlike, RegistrationRow, last_change};
use gatebook_projections::read_model::{QueryError, Reader};
use quick_cache::sync::Cache;

use crate::application::services::Services;
use crate::read_models::Follower;

/// The most faces that are remembered.
const MOST_KNOWN: usize = 4096;

/// What was answered about each face, and where the directory was then: an answer is given again until a name changes that is
/// like that of the face. Those that are asked for once do not drive out those that are asked for often.
#[derive(Debug)]
pub struct LookAlikes(Cache<(TenantId, Face), Told>);

impl Default for LookAlikes {
    fn default() -> Self {
        Self(Cache::new(MOST_KNOWN))
    }
}

type Told = (Position, Option<LookAlike>);

/// A client as it is shown where somebody decides about it, registered or not.
#[derive(Debug)]
pub struct Shown<'a> {
    /// Its name.
    pub name: Option<&'a str>,
    /// Its identifier.
    pub client_id: &'a ClientId,
    /// How it came.
    pub registration_type: RegistrationType,
    /// Where its answers go, or would go.
    pub redirect_uris: &'a RedirectUris,
}

/// What an administrator should know before deciding: the warnings, and whom it looks like.
pub type Doubts = (Vec<Warning>, Option<LookAlike>);

impl<'a> Shown<'a> {
    /// A client with what serves, or would serve if it were approved.
    pub fn of(row: &'a RegistrationRow) -> Self {
        let RegistrationRow { client_id, registration_type, redirect_uris, .. } = row;
        Self { name: row.metadata.client_name.as_deref(), client_id, registration_type: *registration_type, redirect_uris }
    }

    fn face(&self) -> Face {
        Face::of(self.name, (self.client_id, self.registration_type), self.redirect_uris)
    }

    /// What there is to know about it, by the directory as it is.
    pub fn doubts(&self, directory: &Reader<Directory>, tenant: &TenantId) -> Result<Doubts, QueryError> {
        let resembles = directory.look_alike(tenant, &self.face(), Some(self.client_id.key()))?;
        let host = document_host(self.client_id, self.registration_type);
        let likeness = resembles.as_ref().map(|other| other.likeness);
        let known = Surroundings { document_host: host.as_deref(), likeness, ..Surroundings::default() };
        Ok((warnings_of_appearance(self.redirect_uris, None, known), resembles))
    }
}

/// Whom a client looks like, by the directory as it is: a door does not wait for it to catch up, and a warning that cannot be
/// had is none.
pub async fn look_alike(services: &Services, tenant: &TenantId, shown: &Shown<'_>) -> Option<LookAlike> {
    // A client that has just moved looks like itself to a directory that does not know it yet.
    look_alike_of(services, tenant, shown.face()).await.filter(|other| other.client_id != *shown.client_id)
}

async fn look_alike_of(services: &Services, tenant: &TenantId, face: Face) -> Option<LookAlike> {
    if face.name.is_empty() {
        return None;
    }
    let position = services.directory.progress().position;
    let key = (tenant.clone(), face);
    let told = services.look_alikes.0.get(&key).filter(|(at, _)| *at >= last_change(&key.0, &key.1.name));
    if let Some((_, answer)) = told {
        return answer;
    }
    let reader = services.directory.reader().clone();
    let asked = tokio::task::spawn_blocking(move || (reader.look_alike(&key.0, &key.1, None), key)).await;
    let (answer, key) = match asked {
        Ok((Ok(answer), key)) => (answer, key),
        Ok((Err(error), _)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "whom a client looks like could not be looked up");
            return None;
        }
        Err(_) => return None,
    };
    services.look_alikes.0.insert(key, (position, answer.clone()));
    answer
}
