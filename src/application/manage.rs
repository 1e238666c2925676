//! A client manages its own registration with its registration access token (RFC 7592).

use gatebook_events::admission::Admission;
use gatebook_events::admission::Status;
use gatebook_events::client::{Client, ClientCommand, Party};
use gatebook_events::envelope::Position;
use gatebook_events::identity::{ChangeId, ClientKey, ResourceServerId};
use gatebook_events::metadata::Parsed;
use gatebook_events::registration::{Registration, RegistrationCommand};
use gatebook_events::resource_server::Policy;
use gatebook_events::secret::KeptSecret;
use gatebook_events::stream::Stream;
use gatebook_events::{Aggregate, Rejection};
use uuid::Uuid;

use crate::aggregates::{Cause, CommandError, Commands, Done};

/// A client after it replaced its metadata.
#[derive(Debug)]
pub struct Updated {
    /// The client.
    pub client: Client,
    /// Its standing wherever it is registered.
    pub registrations: Vec<(ResourceServerId, Registration)>,
    /// Where the last event stands; none if nothing changed.
    pub position: Option<Position>,
}

impl Commands {
    /// Replaces a client's metadata (RFC 7592 §2.2). What the rules of one of the resource servers where it is registered refuse is
    /// refused as a whole. At each of them what it gives up serves no more at once, and what it wants beyond what was admitted there
    /// serves at once or waits, as those rules have it.
    pub async fn update_self(
        &self,
        cause: &Cause,
        key: ClientKey,
        registered_at: &[ResourceServerId],
        parsed: Parsed,
        first_secret: Option<KeptSecret>,
    ) -> Result<Updated, CommandError> {
        let client: Client = self.load(Stream::Client(key)).await?;
        let profile = client.registered().ok_or(Rejection::NoSuchClient)?;
        let mut metadata = parsed.metadata;
        if registered_at.is_empty() {
            Policy::default().fits(profile.registration_type, &metadata)?;
        }
        let mut rules = Vec::new();
        for id in registered_at {
            let server = self.resource_server(*id).await?;
            server.policy.fits(profile.registration_type, &metadata)?;
            let by_rules = server.policy.judge(&metadata.redirect_uris)?;
            metadata = server.judge_change(profile.registration_type, &profile.clamps, metadata)?.metadata;
            rules.push((*id, server, by_rules));
        }
        let mut standings = Vec::new();
        for id in registered_at {
            standings.push(self.load::<Registration>(Stream::Registration(*id, key)).await?.status);
        }
        // Where one door is closed the client may still withdraw what serves at another; where all are, it has nothing to say.
        if let Some(status) = standings.first()
            && standings.iter().all(|status| matches!(status, Status::Denied | Status::Revoked))
        {
            return Err(Rejection::WrongStatus { status: *status, attempted: "changed by its client" }.into());
        }
        let update = |keep_secret| ClientCommand::UpdateMetadata {
            by: Party::Holder,
            metadata: metadata.clone(),
            secret: first_secret.clone(),
            keep_secret,
            ignored: parsed.ignored.clone(),
        };
        client.decide(&update(false))?;
        self.keep_metadata(&client, registered_at).await?;
        let (mut claims, mut keep_secret) = (Vec::new(), false);
        for (id, server, by_rules) in rules {
            let registration: Registration = self.load(Stream::Registration(id, key)).await?;
            let waits = server.hears(profile, &registration, &metadata) == Admission::Review;
            let by_rules = if waits { Admission::Review } else { by_rules };
            let claim = RegistrationCommand::Claim {
                claimed: metadata.redirect_uris.clone(),
                admission: server.policy.hear_redirects(by_rules),
                metadata: Some(server.policy.hear_update(profile.registration_type, &metadata, by_rules)),
                change_id: ChangeId(Uuid::now_v7()),
                origin: "rfc7592".to_owned(),
            };
            if registration.status != Status::None {
                let after = registration.decide(&claim)?.iter().fold(registration, Registration::evolve);
                // Where its new way to prove itself waits, the old one is what it has.
                keep_secret |= after.metadata.is_some_and(|admitted| admitted.needs_secret());
            }
            claims.push((id, server.tenant.clone(), claim));
        }
        let client = self.transact::<Client>(Stream::Client(key), cause, &update(keep_secret)).await?;
        let mut position = client.position;
        let mut registrations = Vec::new();
        for (id, tenant, claim) in claims {
            let done = self.transact::<Registration>(Stream::Registration(id, key), &cause.within(tenant), &claim).await?;
            position = position.max(done.position);
            registrations.push((id, done.state));
        }
        Ok(Updated { client: client.state, registrations, position })
    }

    /// Ends a client (RFC 7592 §2.3).
    pub async fn delete_self(&self, cause: &Cause, key: ClientKey) -> Result<Done<Client>, CommandError> {
        let command = ClientCommand::Delete { by: Party::Holder, reason: None };
        self.transact::<Client>(Stream::Client(key), cause, &command).await
    }
}
