//! The resource server that a self-registering client is bound to.

use gatebook_events::identity::ResourceServerId;

use crate::application::error::UseCaseError;
use crate::application::services::Services;

/// Which resource server a self-registering client is bound to: the one whose resource identifier it names, else the one
/// in the path, else the configured default, else the only one there is, else none. A name that nobody here has is
/// refused only where the one that is left answers to another name. What becomes of a client where none is meant is for
/// the caller to say, with [`none_meant`] if it is refused.
pub async fn bind(
    services: &Services,
    resource: Option<&str>,
    in_path: Option<ResourceServerId>,
) -> Result<Option<ResourceServerId>, UseCaseError> {
    let roster = services.commands.known_servers().await?;
    let named = resource.and_then(|resource| roster.with_resource(resource));
    if named.is_some() {
        return Ok(named);
    }
    let fallback = in_path.or(services.config.default_resource_server).or(roster.only());
    if let (Some(id), Some(_)) = (fallback, resource)
        && services.commands.resource_server(id).await?.resource.is_some()
    {
        return Err(UseCaseError::InvalidTarget("resource names no resource server that is known here"));
    }
    Ok(fallback)
}

/// The refusal of a client that came where no resource server is meant. It names none of them: they are their tenants' own.
pub async fn none_meant(services: &Services, resource: Option<&str>) -> UseCaseError {
    let detail = match (services.commands.known_servers().await, resource) {
        (Err(error), _) => return error.into(),
        (Ok(_), Some(_)) => {
            "resource names no resource server that is known here: name one by its resource identifier as it is entered here"
        }
        (Ok(known), None) if known.active().next().is_none() => {
            "there is no resource server here: an administrator has to create one first"
        }
        (Ok(_), None) => {
            "there are several resource servers here, and the request names none: name one by its resource identifier in \
             resource (RFC 8707), or register at /rs/, its id and /oauth/register"
        }
    };
    UseCaseError::InvalidTarget(detail)
}
