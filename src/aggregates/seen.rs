//! A client as a tenant sees it: of texts that administrators entered for its document, each tenant is told of its own alone.

use std::borrow::Cow;

use gatebook_events::Aggregate;
use gatebook_events::client::{Client, ClientEvent};
use gatebook_events::identity::{ClientKey, TenantId};
use gatebook_events::stored::Stored;
use gatebook_events::stream::Stream;

use super::{CommandError, Commands, History};

impl History<Client> {
    /// The client as it is now for a tenant, and how many of its events the tenant is told of.
    pub fn seen_by(&self, tenant: &TenantId) -> (Cow<'_, Client>, u32) {
        (self.now().seen_by(tenant), self.len().saturating_sub(self.now().hidden_from(tenant)))
    }
}

impl Commands {
    /// A client as it is now for a tenant.
    pub async fn client_of(&self, tenant: &TenantId, key: ClientKey) -> Result<Client, CommandError> {
        let client: Client = self.load(Stream::Client(key)).await?;
        Ok(client.seen_by(tenant).into_owned())
    }

    /// A client as it was for a tenant after so many of the events that the tenant is told of; none if there are not as many.
    pub async fn client_as_of(
        &self,
        tenant: &TenantId,
        key: ClientKey,
        known: &History<Client>,
        events: u32,
    ) -> Result<Option<Client>, CommandError> {
        let (now, told) = known.seen_by(tenant);
        if events > told {
            return Ok(None);
        }
        if events == told {
            return Ok(Some(now.into_owned()));
        }
        if told == known.len() {
            let then = self.as_of(Stream::Client(key), known, events).await?;
            return Ok(then.map(|client| client.seen_by(tenant).into_owned()));
        }
        let (mut client, mut all) = (Client::default(), 0_u32);
        for envelope in &self.log.read(&Stream::Client(key).name()).await?.events {
            if all.saturating_sub(client.hidden_from(tenant)) == events {
                break;
            }
            let event = &envelope.event;
            client = client.evolve(&ClientEvent::decode(&event.name, event.version, &event.data)?);
            all = all.saturating_add(1);
        }
        Ok(Some(client.seen_by(tenant).into_owned()))
    }
}
