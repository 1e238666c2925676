//! What an administrator decides about a client's standing at one of their resource servers.

use gatebook_events::client::{Client, ClientCommand, Party};
use gatebook_events::identity::{ClientKey, ResourceServerId, Stream, TenantId};
use gatebook_events::registration::{Registration, RegistrationCommand, Status};
use gatebook_events::{Aggregate, Rejection};

use super::{Cause, CommandError, Commands, Done};

impl Commands {
    /// Decides about a registration. Another tenant's registration is one that does not exist.
    pub async fn decide_registration(
        &self,
        cause: &Cause,
        tenant: &TenantId,
        (server, key): (ResourceServerId, ClientKey),
        command: &RegistrationCommand,
    ) -> Result<Done<Registration>, CommandError> {
        self.must_own(tenant, server).await?;
        let done = self.transact::<Registration>(Stream::Registration(server, key), cause, command).await?;
        if let RegistrationCommand::Reinstate { reason } = command {
            self.reinstate_family(cause, tenant, (server, key), reason.clone()).await?;
        }
        Ok(done)
    }

    /// How a registration stands, and how it would stand after a decision that is not made.
    pub async fn outlook(
        &self,
        tenant: &TenantId,
        (server, key): (ResourceServerId, ClientKey),
        command: &RegistrationCommand,
    ) -> Result<(Status, Status), CommandError> {
        self.must_own(tenant, server).await?;
        let now: Registration = self.load(Stream::Registration(server, key)).await?;
        let before = now.status;
        let events = now.decide(command)?;
        Ok((before, events.iter().fold(now, Registration::evolve).status))
    }

    /// Changes what all registrations of a client share, for an administrator who reaches it through one of theirs.
    pub async fn decide_client(
        &self,
        cause: &Cause,
        tenant: &TenantId,
        (server, key): (ResourceServerId, ClientKey),
        command: impl FnOnce(Party) -> ClientCommand,
    ) -> Result<Done<Client>, CommandError> {
        self.must_own(tenant, server).await?;
        let registration: Registration = self.load(Stream::Registration(server, key)).await?;
        if registration == Registration::default() {
            return Err(Rejection::NoSuchRegistration.into());
        }
        self.transact::<Client>(Stream::Client(key), cause, &command(Party::Admin(tenant.clone()))).await
    }

    /// Refuses whoever is not of the tenant whose resource server it is.
    pub async fn must_own(&self, tenant: &TenantId, server: ResourceServerId) -> Result<(), CommandError> {
        if self.resource_server(server).await?.tenant.as_ref() == Some(tenant) {
            Ok(())
        } else {
            Err(Rejection::NoSuchResourceServer.into())
        }
    }
}
