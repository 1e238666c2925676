//! What an administrator decides about a client's standing at one of their resource servers.

use gatebook_events::admission::Status;
use gatebook_events::answer_version::AnswerVersion;
use gatebook_events::client::{Client, ClientCommand, Party};
use gatebook_events::envelope::{Envelope, Revision};
use gatebook_events::identity::{ClientKey, ResourceServerId, TenantId};
use gatebook_events::registration::{Registration, RegistrationCommand};
use gatebook_events::stored::Stored;
use gatebook_events::stream::Stream;
use gatebook_events::{Aggregate, Rejection};

use crate::aggregates::{Cause, CommandError, Commands, Done, MAX_ROUNDS};
use crate::application::review::backfill::{keep, keeper};

pub(crate) mod backfill;
pub(crate) mod families;

impl Commands {
    /// Decides about a registration. Another tenant's registration is one that does not exist. Where `shown` says which state of
    /// the client the decision is about, another one is refused; what already holds is not decided again.
    pub async fn decide_registration(
        &self,
        cause: &Cause,
        tenant: &TenantId,
        (server, key): (ResourceServerId, ClientKey),
        command: &RegistrationCommand,
        shown: Option<AnswerVersion>,
    ) -> Result<Done<Registration>, CommandError> {
        self.must_own(tenant, server).await?;
        let stream = Stream::Registration(server, key);
        for _ in 0..MAX_ROUNDS {
            let (mut state, mut revision, registration) = self.counted::<Registration>(stream).await?;
            if state.decide(command)?.is_empty() {
                let done = Done { state, position: None, revision: None };
                return self.lift(cause, tenant, (server, key), command, done).await;
            }
            let client = self.history::<Client>(Stream::Client(key)).await?;
            let (seen, told) = client.seen_by(tenant);
            let current = AnswerVersion { client: told, registration, document: seen.document_version() };
            if shown.is_some_and(|shown| shown != current) {
                return Err(Rejection::Moved(current).into());
            }
            // An approval is of what was there, so what older builds left unsaid is said first.
            if state.metadata.is_none()
                && matches!(command, RegistrationCommand::Approve { .. })
                && let Some(keep) = keep(&*self.resource_server(server).await?, &seen)
            {
                let cause = keeper(&*self.resource_server(server).await?);
                let Some(kept) = self.transact_once::<Registration>(stream, &cause, &keep, state, revision).await? else { continue };
                (state, revision) = (kept.state, kept.revision.or(revision));
            }
            if let Some(done) = self.transact_once::<Registration>(stream, cause, command, state, revision).await? {
                return self.lift(cause, tenant, (server, key), command, done).await;
            }
        }
        Err(CommandError::Contended)
    }

    /// Whoever reinstates a client of a suspended family lifts that.
    async fn lift(
        &self,
        cause: &Cause,
        tenant: &TenantId,
        target: (ResourceServerId, ClientKey),
        command: &RegistrationCommand,
        done: Done<Registration>,
    ) -> Result<Done<Registration>, CommandError> {
        if let RegistrationCommand::Reinstate { reason } = command {
            self.reinstate_family(cause, tenant, target, reason.clone()).await?;
        }
        Ok(done)
    }

    /// Refuses a decision about another state of a client than the one that was shown.
    pub async fn must_be_as_shown(
        &self,
        tenant: &TenantId,
        (server, key): (ResourceServerId, ClientKey),
        shown: Option<AnswerVersion>,
    ) -> Result<(), CommandError> {
        self.must_own(tenant, server).await?;
        let (_, _, registration) = self.counted::<Registration>(Stream::Registration(server, key)).await?;
        let client = self.history::<Client>(Stream::Client(key)).await?;
        let (seen, told) = client.seen_by(tenant);
        let current = AnswerVersion { client: told, registration, document: seen.document_version() };
        if shown.is_some_and(|shown| shown != current) { Err(Rejection::Moved(current).into()) } else { Ok(()) }
    }

    /// An aggregate as the log's events have it now, the revision to append at, and how many events there are.
    async fn counted<A: Aggregate>(&self, stream: Stream) -> Result<(A, Option<Revision>, u32), CommandError> {
        let read = self.log.read(&stream.name()).await?;
        let decode = |envelope: &Envelope| A::Event::decode(&envelope.event.name, envelope.event.version, &envelope.event.data);
        let mut state = A::default();
        for envelope in &read.events {
            state = state.evolve(&decode(envelope)?);
        }
        Ok((state, read.revision, u32::try_from(read.events.len()).unwrap_or(u32::MAX)))
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
