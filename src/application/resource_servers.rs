//! A resource server is created, edited or retired.

use gatebook_events::Rejection;
use gatebook_events::identity::{ResourceServerId, TenantId};
use gatebook_events::resource_server::{ResourceServer, ResourceServerCommand};
use gatebook_events::stream::Stream;

use crate::aggregates::{Cause, CommandError, Commands};
use crate::platform::detached::to_the_end;

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;
    use gatebook_events::admission::RegistrationType;
    use gatebook_events::envelope::{Actor, ActorKind};
    use gatebook_events::redirect::WebUri;
    use gatebook_events::resource_server::{EffectOnExisting, Policy};
    use uuid::Uuid;

    use super::*;
    use crate::event_log::memory::MemoryLog;
    use crate::platform::clock::Clock;

    const FIRST: ResourceServerId = ResourceServerId(Uuid::from_u128(2));
    const SECOND: ResourceServerId = ResourceServerId(Uuid::from_u128(1));

    fn somebody() -> Cause {
        let actor = Actor { kind: ActorKind::Admin, id: Some("ada".to_owned()), via: None };
        Cause { actor, tenant: Some(TenantId::default_tenant()), request_id: None, origin: None }
    }

    fn uri(text: &str) -> WebUri {
        WebUri::parse(text).unwrap()
    }

    fn create(name: &str, resource: &str) -> ResourceServerCommand {
        ResourceServerCommand::Create {
            tenant: TenantId::default_tenant(),
            name: name.to_owned(),
            resource: Some(uri(resource)),
            modes: RegistrationType::ALL.into(),
            policy: Policy::default(),
        }
    }

    fn edit(name: Option<&str>, resource: Option<&str>) -> ResourceServerCommand {
        let (name, resource) = (name.map(str::to_owned), resource.map(|text| Some(uri(text))));
        ResourceServerCommand::Edit { name, resource, modes: None, policy: None, effect_on_existing: EffectOnExisting::Keep }
    }

    #[tokio::test]
    async fn w1_a_log_with_two_that_mean_the_same_has_the_first_to_claim_it_and_both_can_be_edited() {
        let log = Arc::new(MemoryLog::default());
        // As before it was refused: this node has seen that there are none, and then does not hear of the other's.
        let [node, other] = [(); 2].map(|()| Commands::new(log.clone(), Clock::standing_at(DateTime::UNIX_EPOCH)));
        other.complete_roster().await.unwrap();
        let (cause, tenant) = (somebody(), TenantId::default_tenant());
        node.create_resource_server(&cause, FIRST, &create("first", "https://mcp.example")).await.unwrap();
        other.create_resource_server(&cause, SECOND, &create("second", "https://MCP.example:443/")).await.unwrap();

        let late = Commands::new(log, Clock::standing_at(DateTime::UNIX_EPOCH));
        late.complete_roster().await.unwrap();
        for spelling in ["https://mcp.example", "https://MCP.example:443/", "https://mcp.example/"] {
            assert_eq!(late.roster().now().with_resource(spelling), Some(FIRST), "{spelling}");
            assert_eq!(late.roster().now().of_tenant(&tenant, Some(spelling)), Some(FIRST), "{spelling}");
        }
        for same in [edit(Some("other"), None), edit(Some("again"), Some("https://MCP.example:443/"))] {
            late.change_resource_server(&cause, &tenant, SECOND, &same).await.unwrap();
        }
        let taken = late.change_resource_server(&cause, &tenant, SECOND, &edit(None, Some("https://mcp.example/"))).await;
        let holder = Rejection::ResourceTaken { resource: uri("https://mcp.example"), holder: FIRST };
        assert!(matches!(taken, Err(CommandError::Rejected(refused)) if refused == holder));
        // Once the first one is gone, or named otherwise, the second is meant.
        late.change_resource_server(&cause, &tenant, FIRST, &edit(None, Some("https://mcp.example/v2"))).await.unwrap();
        assert_eq!(late.roster().now().with_resource("https://mcp.example"), Some(SECOND));
    }
}
