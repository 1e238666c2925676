//! Whole programs that an administrator suspended: whoever registers as one of them later stands as the first of them does.

use gatebook_events::Rejection;
use gatebook_events::admission::RegistrationType;
use gatebook_events::client::Profile;
use gatebook_events::family::FamilyName;
use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId, TenantId};
use gatebook_events::metadata::ClientMetadata;
use gatebook_events::registration::{Registration, RegistrationCommand};
use gatebook_events::resource_server::{ResourceServer, ResourceServerCommand};
use gatebook_events::stream::Stream;

use crate::aggregates::{Cause, CommandError, Commands};

impl Commands {
    /// Has further registrations that are alike stand suspended, because this client is about to be. Refused where it cannot be.
    pub async fn suspend_family(
        &self,
        cause: &Cause,
        tenant: &TenantId,
        (server, key): (ResourceServerId, ClientKey),
        reason: Option<String>,
    ) -> Result<(), CommandError> {
        self.outlook(tenant, (server, key), &RegistrationCommand::Suspend { reason: reason.clone() }).await?;
        let (family, client_id) = self.family_of(tenant, (server, key)).await?;
        let suspend = ResourceServerCommand::SuspendFamily { family, client_id, reason };
        self.change_resource_server(cause, tenant, server, &suspend).await.map(drop)
    }

    /// Has further registrations that are alike stand by the rules again, because this client was reinstated.
    pub(crate) async fn reinstate_family(
        &self,
        cause: &Cause,
        tenant: &TenantId,
        (server, key): (ResourceServerId, ClientKey),
        reason: Option<String>,
    ) -> Result<(), CommandError> {
        let suspended = self.resource_server(server).await?.suspended_families.clone();
        if suspended.is_empty() {
            return Ok(());
        }
        let (own, client_id) = self.family_of(tenant, (server, key)).await?;
        // What it was approved as may have changed since it was suspended with its family.
        for (family, first) in suspended {
            if family == own || first == client_id {
                let reinstate = ResourceServerCommand::ReinstateFamily { family, client_id: client_id.clone(), reason: reason.clone() };
                self.change_resource_server(cause, tenant, server, &reinstate).await?;
            }
        }
        Ok(())
    }

    /// The family of what was admitted there: what a client claims beyond that says nothing of whom it is an instance of.
    async fn family_of(
        &self,
        tenant: &TenantId,
        (server, key): (ResourceServerId, ClientKey),
    ) -> Result<(FamilyName, ClientId), CommandError> {
        let client = self.client_of(tenant, key).await?;
        let profile: &Profile = client.profile.as_deref().ok_or(Rejection::NoSuchClient)?;
        let registration: Registration = self.load(Stream::Registration(server, key)).await?;
        Ok((FamilyName::admitted(profile, &registration), profile.client_id.clone()))
    }
}

/// What a client asks for at a resource server, or that and its suspension where the program that it is of is suspended there. A
/// client that an administrator enters was decided about.
pub(crate) fn with_its_family(
    server: &ResourceServer,
    (client_id, kind, metadata): (&ClientId, RegistrationType, &ClientMetadata),
    request: RegistrationCommand,
) -> RegistrationCommand {
    match server.suspended_with(client_id, kind, metadata).filter(|_| kind != RegistrationType::Prereg) {
        None => request,
        Some(first) => RegistrationCommand::RequestSuspended {
            request: Box::new(request),
            reason: format!("it is of the family of {first}, which is suspended"),
        },
    }
}
