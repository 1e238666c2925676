//! A resource server is created, edited or retired.

use gatebook_events::Rejection;
use gatebook_events::identity::{ResourceServerId, Stream, TenantId};
use gatebook_events::resource_server::{ResourceServer, ResourceServerCommand};

use super::to_the_end::to_the_end;
use super::{Cause, CommandError, Commands};

impl Commands {
    /// Creates a resource server under an id that was just drawn, or that every fresh instance has.
    pub async fn create_resource_server(
        &self,
        cause: &Cause,
        id: ResourceServerId,
        command: &ResourceServerCommand,
    ) -> Result<ResourceServer, CommandError> {
        self.edit(cause, id, command).await
    }

    /// Edits or retires a resource server of this tenant. Another tenant's is one that does not exist.
    pub async fn change_resource_server(
        &self,
        cause: &Cause,
        tenant: &TenantId,
        id: ResourceServerId,
        command: &ResourceServerCommand,
    ) -> Result<ResourceServer, CommandError> {
        if self.resource_server(id).await?.tenant.as_ref() != Some(tenant) {
            return Err(Rejection::NoSuchResourceServer.into());
        }
        self.edit(cause, id, command).await
    }

    /// Ended even if the caller hangs up: what the log took has to be in the roster.
    async fn edit(&self, cause: &Cause, id: ResourceServerId, command: &ResourceServerCommand) -> Result<ResourceServer, CommandError> {
        let (commands, cause, command) = (self.clone(), cause.clone(), command.clone());
        to_the_end(async move {
            let _one_at_a_time = commands.edits.lock().await;
            commands.refuse_taken(id, &command).await?;
            let done = commands.transact::<ResourceServer>(Stream::ResourceServer(id), &cause, &command).await?;
            commands.roster.put(id, commands.read_resource_server(id).await?);
            Ok(done.state)
        })
        .await
    }

    /// Within a tenant a resource identifier, however it is spelled, names one resource server. Across tenants the first to claim it
    /// is meant, so that nobody learns from a refusal what another tenant has.
    async fn refuse_taken(&self, id: ResourceServerId, command: &ResourceServerCommand) -> Result<(), CommandError> {
        let (tenant, resource) = match command {
            ResourceServerCommand::Create { tenant, resource: Some(resource), .. } => (tenant.clone(), resource),
            ResourceServerCommand::Edit { resource: Some(Some(resource)), .. } => {
                let server = self.resource_server(id).await?;
                // One that is spelled as it was stays, even where an older log has two of them.
                let (Some(tenant), true) = (server.tenant.clone(), server.resource.as_ref() != Some(resource)) else { return Ok(()) };
                (tenant, resource)
            }
            _ => return Ok(()),
        };
        if !self.roster.now().is_complete() {
            self.complete_roster().await?;
        }
        let servers = self.roster.now();
        let taken = servers.serving().find(|(other, server)| {
            *other != id
                && server.tenant.as_ref() == Some(&tenant)
                && server.resource.as_ref().is_some_and(|own| own.means(resource.as_str()))
        });
        match taken.and_then(|(holder, server)| Some((holder, server.resource.clone()?))) {
            Some((holder, resource)) => Err(Rejection::ResourceTaken { resource, holder }.into()),
            None => Ok(()),
        }
    }
}
