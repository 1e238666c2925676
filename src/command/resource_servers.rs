//! A resource server is created, edited or retired.

use gatebook_events::Rejection;
use gatebook_events::identity::{ResourceServerId, Stream, TenantId};
use gatebook_events::resource_server::{ResourceServer, ResourceServerCommand};

use super::{Cause, CommandError, Commands};

impl Commands {
    /// Creates a resource server under an id that was just drawn, or that every fresh instance has.
    pub async fn create_resource_server(
        &self,
        cause: &Cause,
        id: ResourceServerId,
        command: &ResourceServerCommand,
    ) -> Result<ResourceServer, CommandError> {
        let _one_at_a_time = self.edits.lock().await;
        let done = self.transact::<ResourceServer>(Stream::ResourceServer(id), cause, command).await?;
        self.roster.put(id, self.read_resource_server(id).await?);
        Ok(done.state)
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
        let _one_at_a_time = self.edits.lock().await;
        let done = self.transact::<ResourceServer>(Stream::ResourceServer(id), cause, command).await?;
        self.roster.put(id, self.read_resource_server(id).await?);
        Ok(done.state)
    }
}
