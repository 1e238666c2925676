//! At which resource servers a client is registered, by the directory once it shows every event there is now.

use gatebook_events::identity::{ClientKey, ResourceServerId, TenantId};

use super::error::UseCaseError;
use super::services::Services;
use crate::read_models::consistency;

/// The resource servers that a client is registered at, in the order in which it came to them.
pub async fn registered_at(services: &Services, client: ClientKey) -> Result<Vec<ResourceServerId>, UseCaseError> {
    Ok(of(services, client).await?.into_iter().map(|(server, _)| server).collect())
}

/// Whether a client is registered with a tenant.
pub async fn registered_with(services: &Services, tenant: &TenantId, client: ClientKey) -> Result<bool, UseCaseError> {
    Ok(of(services, client).await?.iter().any(|(_, theirs)| theirs == tenant))
}

async fn of(services: &Services, client: ClientKey) -> Result<Vec<(ResourceServerId, TenantId)>, UseCaseError> {
    let wait = services.config.read_wait;
    let read = consistency::read(&*services.log, &services.directory, None, wait, move |directory| directory.registrations_of(client));
    Ok(read.await?.unless_stale()?)
}
