//! A client that is there already comes to a resource server: by its document, or after it registered itself at none.

use gatebook_events::Rejection;
use gatebook_events::admission::Status;
use gatebook_events::client::Client;
use gatebook_events::registration::{Registration, RegistrationCommand};
use gatebook_events::stream::Stream;

use crate::aggregates::{Cause, CommandError, Commands, Done};
use crate::application::register::rules::Welcome;

impl Commands {
    /// Registers a client that is welcome. Where an administrator vouches for one that waited, it is approved.
    pub async fn bind(&self, cause: &Cause, welcome: &Welcome, client: &Client, vouched: bool) -> Result<Done<Registration>, CommandError> {
        let profile = client.registered().ok_or(Rejection::NoSuchClient)?;
        let key = profile.client_id.key();
        let server = welcome.rules.id;
        let cause = cause.within(Some(welcome.rules.tenant.clone()));
        let stream = Stream::Registration(server, key);
        let at = self.clock.now();
        if let Some(token) = &welcome.token
            && self.load::<Registration>(stream).await?.status == Status::None
        {
            self.set_aside(&cause, token, &profile.client_id, at).await?;
        }
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
