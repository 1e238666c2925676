//! A client manages its own registration with its registration access token (RFC 7592).

use gatebook_events::Rejection;
use gatebook_events::client::{Client, ClientCommand, Party};
use gatebook_events::envelope::Position;
use gatebook_events::identity::{ChangeId, ClientKey, ResourceServerId, Stream};
use gatebook_events::metadata::Parsed;
use gatebook_events::registration::{Registration, RegistrationCommand, Status};
use gatebook_events::resource_server::Admission;
use gatebook_events::secret::KeptSecret;
use uuid::Uuid;

use super::{Cause, CommandError, Commands, Done};

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
    /// Replaces a client's metadata (RFC 7592 §2.2) at every resource server where it is registered. What the rules of one
    /// of them refuse is refused as a whole; redirect URIs that it claims anew wait where those rules want a review.
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
        let (mut claims, mut standings) = (Vec::new(), Vec::new());
        for id in registered_at {
            let (server, registration) =
                (self.resource_server(*id).await?, self.load::<Registration>(Stream::Registration(*id, key)).await?);
            standings.push(registration.status);
            server.policy.fits(profile.registration_type, &metadata)?;
            let by_rules = server.policy.judge(&metadata.redirect_uris)?;
            metadata = server.policy.clamped(&profile.clamps)?.constrain(profile.registration_type, metadata)?;
            let admission = if by_rules == Admission::Review { Admission::Review } else { server.policy.redirect_changes };
            claims.push((*id, admission));
        }
        // Where one door is closed the client may still withdraw what serves at another; where all are, it has nothing to say.
        if let Some(status) = standings.first()
            && standings.iter().all(|status| matches!(status, Status::Denied | Status::Revoked))
        {
            return Err(Rejection::WrongStatus { status: *status, attempted: "changed by its client" }.into());
        }
        let claimed = metadata.redirect_uris.clone();
        let update = ClientCommand::UpdateMetadata { by: Party::Holder, metadata, secret: first_secret, ignored: parsed.ignored };
        let client = self.transact::<Client>(Stream::Client(key), cause, &update).await?;
        let mut position = client.position;
        let mut registrations = Vec::new();
        for (id, admission) in claims {
            let command = RegistrationCommand::ClaimRedirects {
                claimed: claimed.clone(),
                admission,
                change_id: ChangeId(Uuid::now_v7()),
                origin: "rfc7592".to_owned(),
            };
            let done = self.transact::<Registration>(Stream::Registration(id, key), cause, &command).await?;
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
