//! What becomes of a registration because it is used, or because it is not.

use gatebook_events::envelope::{Actor, ActorKind, Envelope, Position};
use gatebook_events::identity::{ClientKey, ResourceServerId, TenantId};
use gatebook_events::registration::{Registration, RegistrationCommand, RegistrationEvent};
use gatebook_events::stored::Stored;
use gatebook_events::stream::Stream;
use gatebook_events::{Aggregate, Rejection};

use crate::aggregates::{Cause, CommandError, Commands, Done};

impl Commands {
    /// Says that nobody used a registration whose last event stands at `known`. Where something happened since, that may be a
    /// reason to stay: then nothing is said, and none returned.
    pub async fn note_idleness(
        &self,
        (server, key): (ResourceServerId, ClientKey),
        known: Position,
        idleness: &RegistrationCommand,
    ) -> Result<Option<Position>, CommandError> {
        let tenant = self.resource_server(server).await?.tenant.clone();
        let stream = Stream::Registration(server, key);
        let read = self.log.read(&stream.name()).await?;
        if read.events.last().is_none_or(|last| last.position != known) {
            return Ok(None);
        }
        let decode = |envelope: &Envelope| RegistrationEvent::decode(&envelope.event.name, envelope.event.version, &envelope.event.data);
        let mut state = Registration::default();
        for envelope in &read.events {
            state = state.evolve(&decode(envelope)?);
        }
        let cause = cause(tenant, "sweeper", None);
        Ok(self.transact_from(stream, &cause, idleness, state, read.revision).await?.position)
    }

    /// Says that a client is used that is dormant, or was until a moment ago.
    pub async fn use_dormant(&self, server: ResourceServerId, key: ClientKey) -> Result<Done<Registration>, CommandError> {
        let rules = self.resource_server(server).await?;
        let tenant = rules.tenant.clone().ok_or(Rejection::NoSuchResourceServer)?;
        let cause = cause(Some(tenant), "next-use", Some("decision"));
        let used = RegistrationCommand::Use { revive: rules.policy.revive };
        self.transact::<Registration>(Stream::Registration(server, key), &cause, &used).await
    }
}

fn cause(tenant: Option<TenantId>, id: &str, via: Option<&str>) -> Cause {
    let actor = Actor { kind: ActorKind::System, id: Some(id.to_owned()), via: via.map(str::to_owned) };
    Cause { actor, tenant, request_id: None, origin: None }
}
