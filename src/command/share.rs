//! Identical public registrations at one resource server become one client, where its policy says so.

use gatebook_events::Rejection;
use gatebook_events::client::{Client, ClientCommand, Life, Profile};
use gatebook_events::envelope::Position;
use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId, Stream, TenantId};
use gatebook_events::initial_access_token::Clamps;
use gatebook_events::metadata::{ClientMetadata, Parsed};
use gatebook_events::registration::{AdmittedMetadata, Registration, RegistrationCommand, Status};
use gatebook_events::reservation::{Fingerprint, Reservation, ReservationCommand};
use gatebook_events::resource_server::RegistrationType;

use super::families::with_its_family;
use super::register::{Door, Entered};
use super::{Cause, CommandError, Commands, MAX_ROUNDS};

/// What a registration shares, where it does.
pub(super) struct Sharing {
    id: ResourceServerId,
    fingerprint: Fingerprint,
    metadata: ClientMetadata,
}

impl Sharing {
    fn stream(&self) -> Stream {
        Stream::Reservation(self.id, self.fingerprint)
    }

    /// A client that became another program since is not shared any more.
    fn is_of(&self, profile: &Profile) -> bool {
        Fingerprint::of(&profile.metadata, &[]) == Some(self.fingerprint)
    }
}

impl Commands {
    /// The client that identical registrations share, if it is there and in already: nothing has to be appended for one more
    /// instance of it. One that may not act is refused.
    pub async fn shared(&self, door: &Door, parsed: &Parsed) -> Result<Option<Entered>, CommandError> {
        let Some(sharing) = self.sharing(door, parsed).await? else { return Ok(None) };
        let Some(key) = self.load::<Reservation>(sharing.stream()).await?.holder else { return Ok(None) };
        let client: Client = self.load(Stream::Client(key)).await?;
        let Some(profile) = client.registered().filter(|profile| sharing.is_of(profile)) else { return Ok(None) };
        let registration: Registration = self.load(Stream::Registration(sharing.id, key)).await?;
        // After a denial's time a client may ask again, and that is an event.
        if matches!(registration.status, Status::None | Status::Denied) {
            return Ok(None);
        }
        registration.share()?;
        Ok(Some(Entered { profile: profile.clone(), registration: Some(registration), position: None }))
    }

    /// What this registration would share; none where it is a client of its own, as every client is that came by an initial
    /// access token: whom the token let in is who answers for it.
    pub(super) async fn sharing(&self, door: &Door, parsed: &Parsed) -> Result<Option<Sharing>, CommandError> {
        let Door::Open(Some(id)) = *door else { return Ok(None) };
        let server = self.resource_server(id).await?;
        if server.shares(&parsed.metadata, &parsed.ignored).is_none() {
            return Ok(None);
        }
        let (metadata, _) = server.admit_self(None, parsed.metadata.clone())?;
        Ok(server.shares(&metadata, &parsed.ignored).map(|fingerprint| Sharing { id, fingerprint, metadata }))
    }

    /// Three appends, one after the other: who is named, the client, its registration. Whatever a crash or another instance
    /// left undone is done here. The client has no registration access token: it would be every instance's.
    pub(super) async fn enter_shared(&self, cause: &Cause, sharing: Sharing, ignored: &[Box<str>]) -> Result<Entered, CommandError> {
        let server = self.resource_server(sharing.id).await?;
        let tenant = server.tenant.clone().ok_or(Rejection::NoSuchResourceServer)?;
        let cause = &cause.within(Some(tenant.clone()));
        let mut position = None;
        let mut instead_of = None;
        for _ in 0..MAX_ROUNDS {
            let (key, taken) = self.named(cause, &sharing, instead_of).await?;
            position = position.max(taken);
            let mut client: Client = self.load(Stream::Client(key)).await?;
            if client.life == Life::Unregistered {
                match self.transact::<Client>(Stream::Client(key), cause, &self.register_shared(key, &tenant, &sharing, ignored)).await {
                    Ok(done) => (client, position) = (done.state, position.max(done.position)),
                    // Another instance was quicker, with another port or at another time.
                    Err(CommandError::Rejected(Rejection::AlreadyExists)) => continue,
                    Err(error) => return Err(error),
                }
            }
            let Some(profile) = client.registered().filter(|profile| sharing.is_of(profile)) else {
                instead_of = Some(key);
                continue;
            };
            let (metadata, admission) = server.admit(profile.registration_type, profile.metadata.clone())?;
            let request = RegistrationCommand::Request {
                tenant: tenant.clone(),
                client_id: profile.client_id.clone(),
                registration_type: profile.registration_type,
                metadata: Some(AdmittedMetadata::of(&metadata).into()),
                redirect_uris: metadata.redirect_uris.clone(),
                admission,
                at: self.clock.now(),
            };
            let request = with_its_family(&server, (&profile.client_id, profile.registration_type, &metadata), request);
            let done = self.transact::<Registration>(Stream::Registration(sharing.id, key), cause, &request).await?;
            // Whoever just came is told how it stands, suspended with its family too.
            if done.position.is_none() {
                done.state.share()?;
            }
            return Ok(Entered { profile: profile.clone(), registration: Some(done.state), position: position.max(done.position) });
        }
        Err(CommandError::Contended)
    }

    /// The client that is named, in place of one that cannot be shared any more. Names a new one where nobody is.
    async fn named(
        &self,
        cause: &Cause,
        sharing: &Sharing,
        instead_of: Option<ClientKey>,
    ) -> Result<(ClientKey, Option<Position>), CommandError> {
        let take = ReservationCommand::Take { client_key: Self::draw_client_key(), instead_of };
        let done = self.transact::<Reservation>(sharing.stream(), cause, &take).await?;
        Ok((done.state.holder.ok_or(CommandError::Contended)?, done.position))
    }

    fn register_shared(&self, key: ClientKey, home: &TenantId, sharing: &Sharing, ignored: &[Box<str>]) -> ClientCommand {
        ClientCommand::Register {
            client_id: ClientId::of_key(key),
            registration_type: RegistrationType::Dcr,
            home: Some(home.clone()),
            metadata: sharing.metadata.clone(),
            secret: None,
            registration_token: None,
            ignored: ignored.to_vec(),
            initial_access_token: None,
            clamps: Clamps::default(),
            imported_from: None,
            at: self.clock.now(),
        }
    }
}
