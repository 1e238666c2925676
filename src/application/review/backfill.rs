//! What older builds left unsaid of registrations is written down before it can change.

use std::borrow::Cow;
use std::sync::Arc;

use gatebook_events::admission::Status;
use gatebook_events::client::Client;
use gatebook_events::envelope::{Actor, ActorKind};
use gatebook_events::identity::{ClientId, ResourceServerId};
use gatebook_events::registration::{AdmittedMetadata, Registration, RegistrationCommand};
use gatebook_events::resource_server::ResourceServer;
use gatebook_events::stream::Stream;

use crate::aggregates::{Cause, CommandError, Commands};

impl Commands {
    /// Writes down what serves at each of these resource servers of what a client says, where nobody did: then what it says next
    /// is judged, and does not serve because nobody knows what served before.
    pub(crate) async fn keep_metadata(&self, client: &Client, servers: &[ResourceServerId]) -> Result<(), CommandError> {
        let Some(key) = client.client_id().map(ClientId::key) else { return Ok(()) };
        for id in servers {
            let stream = Stream::Registration(*id, key);
            let (registration, revision) = self.fold::<Registration>(stream).await?;
            if registration.status == Status::None || registration.metadata.is_some() {
                continue;
            }
            let rules = self.resource_server(*id).await?;
            let seen = rules.tenant.as_ref().map_or(Cow::Borrowed(client), |tenant| client.seen_by(tenant));
            let (keep, cause) = (keep(&rules, &seen), keeper(&rules));
            if let Some(keep) = keep {
                self.transact_from::<Registration>(stream, &cause, &keep, registration, revision).await?;
            }
        }
        Ok(())
    }
}

/// What serves at a resource server of what a client says, where nobody wrote it down.
pub(crate) fn keep(rules: &ResourceServer, client: &Client) -> Option<RegistrationCommand> {
    let profile = client.registered()?;
    let said = rules.policy.constrain(profile.registration_type, profile.metadata.clone());
    let said = said.unwrap_or_else(|_| profile.metadata.clone());
    Some(RegistrationCommand::KeepMetadata { metadata: Arc::new(AdmittedMetadata::of(&said)) })
}

/// Nobody's wish, and nothing changes by it.
pub(crate) fn keeper(rules: &ResourceServer) -> Cause {
    let actor = Actor { kind: ActorKind::System, id: Some("registrations".to_owned()), via: None };
    Cause { actor, tenant: rules.tenant.clone(), request_id: None, origin: None }
}
