//! Identical public registrations at one resource server become one client, where its policy says so.

use gatebook_events::Rejection;
use gatebook_events::admission::RegistrationType;
use gatebook_events::admission::Status;
use gatebook_events::clamps::Clamps;
use gatebook_events::client::{Client, ClientCommand, Life, Profile};
use gatebook_events::envelope::Position;
use gatebook_events::identity::{ClientId, ClientKey};
use gatebook_events::metadata::Parsed;
use gatebook_events::registration::Registration;
use gatebook_events::reservation::{Fingerprint, Reservation, ReservationCommand};
use gatebook_events::stream::Stream;

use crate::aggregates::{Cause, CommandError, Commands, MAX_ROUNDS};
use crate::application::register::Entered;
use crate::application::register::rules::{Guarantor, Welcome};

/// A client that became another program since is not shared any more.
fn is_of(profile: &Profile, fingerprint: Fingerprint) -> bool {
    Fingerprint::of(&profile.metadata, &[]) == Some(fingerprint)
}

impl Commands {
    /// The client that identical registrations share, if it is there and in already: nothing has to be appended for one more
    /// instance of it. One that may not act is refused.
    pub async fn shared(&self, welcome: &Welcome) -> Result<Option<Entered>, CommandError> {
        let Some(fingerprint) = welcome.shares() else { return Ok(None) };
        let id = welcome.rules.id;
        let Some(key) = self.load::<Reservation>(Stream::Reservation(id, fingerprint)).await?.holder else { return Ok(None) };
        let client: Client = self.load(Stream::Client(key)).await?;
        let Some(profile) = client.registered().filter(|profile| is_of(profile, fingerprint)) else { return Ok(None) };
        let registration: Registration = self.load(Stream::Registration(id, key)).await?;
        // After a denial's time a client may ask again, and that is an event.
        if matches!(registration.status, Status::None | Status::Denied) {
            return Ok(None);
        }
        registration.share()?;
        Ok(Some(Entered { profile: profile.clone(), registration: Some(registration), position: None }))
    }

    /// Three appends, one after the other: who is named, the client, its registration. Whatever a crash or another instance
    /// left undone is done here. The client has no registration access token: it would be every instance's.
    pub(crate) async fn enter_shared(&self, cause: &Cause, welcome: &Welcome, fingerprint: Fingerprint) -> Result<Entered, CommandError> {
        let rules = &welcome.rules;
        let named = Stream::Reservation(rules.id, fingerprint);
        let cause = &cause.within(Some(rules.tenant.clone()));
        let mut position = None;
        let mut instead_of = None;
        for _ in 0..MAX_ROUNDS {
            let (key, taken) = self.named(cause, named, instead_of).await?;
            position = position.max(taken);
            let mut client: Client = self.load(Stream::Client(key)).await?;
            if client.life == Life::Unregistered {
                match self.transact::<Client>(Stream::Client(key), cause, &self.register_shared(key, welcome)).await {
                    Ok(done) => (client, position) = (done.state, position.max(done.position)),
                    // Another instance was quicker, with another port or at another time.
                    Err(CommandError::Rejected(Rejection::AlreadyExists)) => continue,
                    Err(error) => return Err(error),
                }
            }
            let Some(profile) = client.registered().filter(|profile| is_of(profile, fingerprint)) else {
                instead_of = Some(key);
                continue;
            };
            // The instance that came first may have had another port, and that one serves.
            let parsed = Parsed { metadata: profile.metadata.clone(), ignored: welcome.ignored.clone() };
            let first = rules.judge(welcome.by, Guarantor::Nobody, parsed)?;
            let request = first.request(&profile.client_id, profile.software_id.as_deref(), self.clock.now());
            let done = self.transact::<Registration>(Stream::Registration(rules.id, key), cause, &request).await?;
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
        named: Stream,
        instead_of: Option<ClientKey>,
    ) -> Result<(ClientKey, Option<Position>), CommandError> {
        let take = ReservationCommand::Take { client_key: Self::draw_client_key(), instead_of };
        let done = self.transact::<Reservation>(named, cause, &take).await?;
        Ok((done.state.holder.ok_or(CommandError::Contended)?, done.position))
    }

    fn register_shared(&self, key: ClientKey, welcome: &Welcome) -> ClientCommand {
        ClientCommand::Register {
            client_id: ClientId::of_key(key),
            registration_type: RegistrationType::Dcr,
            home: Some(welcome.rules.tenant.clone()),
            metadata: welcome.metadata.clone(),
            secret: None,
            registration_token: None,
            ignored: welcome.ignored.clone(),
            initial_access_token: None,
            clamps: Clamps::default(),
            imported_from: None,
            at: self.clock.now(),
        }
    }
}
