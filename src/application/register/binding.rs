//! A client that is there already comes to a resource server: by its document, or after it registered itself at none.

use gatebook_events::Rejection;
use gatebook_events::admission::Status;
use gatebook_events::client::Client;
use gatebook_events::identity::ClientId;
use gatebook_events::registration::{Registration, RegistrationCommand};
use gatebook_events::stream::Stream;

use crate::aggregates::{Cause, CommandError, Commands, Done};
use crate::application::register::rules::Welcome;

impl Commands {
    /// Registers a client that is welcome. Where an administrator vouches for one that waited, it is approved.
    pub async fn bind(&self, cause: &Cause, welcome: &Welcome, client: &Client, vouched: bool) -> Result<Done<Registration>, CommandError> {
        let profile = client.registered().ok_or(Rejection::NoSuchClient)?;
        self.prepare(cause, welcome, &profile.client_id).await?;
        self.bind_prepared(cause, welcome, client, vouched).await
    }

    /// Sets a use of the initial access token aside that a client came with: the last thing that may refuse it, before anything is stored
    /// of a client that is new.
    pub async fn prepare(&self, cause: &Cause, welcome: &Welcome, client_id: &ClientId) -> Result<(), CommandError> {
        let stream = Stream::Registration(welcome.rules.id, client_id.key());
        if let Some(token) = &welcome.token
            && self.load::<Registration>(stream).await?.status == Status::None
        {
            let cause = cause.within(Some(welcome.rules.tenant.clone()));
            self.set_aside(&cause, token, client_id, self.clock.now()).await?;
        }
        Ok(())
    }

    /// Registers a client for which all is prepared.
    pub async fn bind_prepared(
        &self,
        cause: &Cause,
        welcome: &Welcome,
        client: &Client,
        vouched: bool,
    ) -> Result<Done<Registration>, CommandError> {
        let profile = client.registered().ok_or(Rejection::NoSuchClient)?;
        let server = welcome.rules.id;
        let cause = cause.within(Some(welcome.rules.tenant.clone()));
        let stream = Stream::Registration(server, profile.client_id.key());
        let at = self.clock.now();
        let request = if vouched {
            welcome.vouched_request(&profile.client_id, at)
        } else {
            welcome.request(&profile.client_id, profile.software_id.as_deref(), at)
        };
        let mut done = self.transact::<Registration>(stream, &cause, &request).await?;
        if vouched && matches!(done.state.status, Status::Pending | Status::Dormant | Status::Returning) {
            // To vouch for it is to approve it, also where it was waiting before or nobody used it.
            let asked = done.position;
            done = self.transact::<Registration>(stream, &cause, &RegistrationCommand::Approve { reason: None }).await?;
            done.position = done.position.max(asked);
        }
        if profile.manifest.is_none() {
            return Ok(done);
        }
        self.hear_what_came_since(&cause, server, client, done).await
    }
}
