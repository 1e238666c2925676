//! Webhooks are created, changed and ended.

use chrono::{DateTime, Utc};
use gatebook_events::Rejection;
use gatebook_events::envelope::Position;
use gatebook_events::identity::{TenantId, WebhookId};
use gatebook_events::stored::Stored;
use gatebook_events::stream::Stream;
use gatebook_events::webhook::{Created, Disabled, Life, Webhook, WebhookCommand, WebhookEvent};
use gatebook_events::{Aggregate, envelope};

use crate::aggregates::{Cause, CommandError, Commands, Done};

/// The most webhooks that a tenant may have.
const MOST: usize = 50;

/// A webhook as it is, and when it was created.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownWebhook {
    /// Its id.
    pub id: WebhookId,
    /// As it is.
    pub webhook: Webhook,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Where that stands in the log.
    pub created: Position,
    /// Where it last changed.
    pub changed: Position,
}

impl Commands {
    /// Creates a webhook under an id that was just drawn. Each resource server that it asks for has to be the tenant's.
    pub async fn create_webhook(&self, cause: &Cause, id: WebhookId, created: Created) -> Result<Done<Webhook>, CommandError> {
        for server in &created.wish.resource_servers {
            self.must_own(&created.tenant, *server).await?;
        }
        // One that is there takes no more room: it is asked for a second time.
        if self.webhook(id).await?.is_none() && self.webhooks_of(&created.tenant).await?.len() >= MOST {
            return Err(Rejection::TooManyWebhooks.into());
        }
        self.transact_new(Stream::Webhook(id), cause, &WebhookCommand::Create(created)).await
    }

    /// Changes or ends one of the tenant's webhooks.
    pub async fn change_webhook(
        &self,
        cause: &Cause,
        id: WebhookId,
        tenant: &TenantId,
        command: &WebhookCommand,
    ) -> Result<Done<Webhook>, CommandError> {
        if let WebhookCommand::Edit(wish) = command {
            for server in &wish.resource_servers {
                self.must_own(tenant, *server).await?;
            }
        }
        let (webhook, revision) = self.fold::<Webhook>(Stream::Webhook(id)).await?;
        if webhook.tenant.as_ref() != Some(tenant) {
            return Err(Rejection::NoSuchWebhook.into());
        }
        self.transact_from(Stream::Webhook(id), cause, command, webhook, revision).await
    }

    /// Has a webhook rest that cannot be sent anything.
    pub async fn rest_webhook(&self, cause: &Cause, id: WebhookId, disabled: Disabled) -> Result<Done<Webhook>, CommandError> {
        self.transact(Stream::Webhook(id), cause, &WebhookCommand::Disable(disabled)).await
    }

    /// A webhook as it is now; none if nobody created it, or it was deleted.
    pub async fn webhook(&self, id: WebhookId) -> Result<Option<KnownWebhook>, CommandError> {
        let read = self.log.read(&Stream::Webhook(id).name()).await?;
        let (Some(first), Some(last)) = (read.events.first(), read.events.last()) else { return Ok(None) };
        let mut webhook = Webhook::default();
        for envelope::Envelope { event, .. } in &read.events {
            webhook = webhook.evolve(&WebhookEvent::decode(&event.name, event.version, &event.data)?);
        }
        let (created_at, created, changed) = (first.event.recorded_at, first.position, last.position);
        let known = KnownWebhook { id, webhook, created_at, created, changed };
        Ok(Some(known).filter(|known| known.webhook.life != Life::Deleted))
    }

    /// Every webhook that was ever created.
    pub async fn webhook_ids(&self) -> Result<Vec<WebhookId>, CommandError> {
        let names = self.log.streams("webhook-").await?;
        let id = |name| if let Ok(Stream::Webhook(id)) = Stream::parse(name) { Some(id) } else { None };
        Ok(names.iter().filter_map(id).collect())
    }

    /// The webhooks that a tenant has, the oldest first. All are looked at: there are few.
    pub async fn webhooks_of(&self, tenant: &TenantId) -> Result<Vec<KnownWebhook>, CommandError> {
        let mut found = Vec::new();
        for id in self.webhook_ids().await? {
            found.extend(self.webhook(id).await?.filter(|known| known.webhook.tenant.as_ref() == Some(tenant)));
        }
        found.sort_by_key(|known| (known.created_at, known.id));
        Ok(found)
    }
}
