//! Notes how full a register is, so that an administrator is warned before it is full.

use gatebook_events::Aggregate;
use gatebook_events::admission::CapOf;
use gatebook_events::envelope::{Actor, ActorKind};
use gatebook_events::identity::ResourceServerId;
use gatebook_events::resource_server::{Fill, ResourceServer, ResourceServerCommand};
use gatebook_events::stream::Stream;

use crate::aggregates::{Cause, CommandError, Commands};

impl Commands {
    /// Has the resource server remember how full it or its tenant is, where that is news. What a tenant's registers hold
    /// together is noted at one of them, the first by id, so that it is told once. The registration that it is noted after
    /// stands, whatever becomes of the note.
    ///
    /// `now` is asked again when it is this note's turn, so that a crowd does not note what was true before.
    pub async fn note_fill(&self, id: ResourceServerId, now: impl Fn() -> Fill) {
        if let Err(error) = self.try_note_fill(id, now).await {
            tracing::error!(resource_server = %id, %error, "how full a register is could not be noted");
        }
    }

    async fn try_note_fill(&self, id: ResourceServerId, now: impl Fn() -> Fill) -> Result<(), CommandError> {
        let fill = now();
        let server = self.resource_server(id).await?;
        let at = match (fill.of, &server.tenant) {
            (CapOf::Tenant, Some(tenant)) => self.roster.now().first_of(tenant).unwrap_or(id),
            _ => id,
        };
        if self.resource_server(at).await?.decide(&ResourceServerCommand::NoteFill(fill))?.is_empty() {
            return Ok(());
        }
        let actor = Actor { kind: ActorKind::System, id: Some("caps".to_owned()), via: None };
        let cause = Cause { actor, tenant: server.tenant.clone(), request_id: None, origin: None };
        let _one_at_a_time = self.edits.lock().await;
        let fill = now();
        let command = ResourceServerCommand::NoteFill(fill);
        let done = self.transact::<ResourceServer>(Stream::ResourceServer(at), &cause, &command).await?;
        self.roster.put(at, self.read_resource_server(at).await?);
        if done.position.is_some() && done.state.neared.get(&fill.of) == Some(&fill.cap) {
            tracing::warn!(resource_server = %at, of = fill.of.as_words(), cap = fill.cap, count = fill.count, "a register is nearly full");
        }
        Ok(())
    }
}
