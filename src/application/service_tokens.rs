//! Service tokens are created, presented and revoked.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use gatebook_events::Rejection;
use gatebook_events::identity::{ServiceTokenId, TenantId};
use gatebook_events::secret::TokenHash;
use gatebook_events::service_token::{Created, Life, ServiceToken, ServiceTokenCommand, Usability};
use gatebook_events::stream::Stream;

use crate::aggregates::{Cause, CommandError, Commands, Done};
use crate::credentials::secrets;

/// The most tokens that are held at once. They are few: one an authorization server.
const MOST: usize = 1024;
/// For how long a token is held. Here a revocation counts at once; one by another node counts after this.
const HELD: TimeDelta = TimeDelta::seconds(5);

impl Commands {
    /// Creates a token under an id that was just drawn. Each resource server that it is bound to has to be the tenant's.
    pub async fn create_service_token(
        &self,
        cause: &Cause,
        id: ServiceTokenId,
        created: Created,
    ) -> Result<Done<ServiceToken>, CommandError> {
        for server in &created.resource_servers {
            self.must_own(&created.tenant, *server).await?;
        }
        let command = ServiceTokenCommand::Create { created, at: self.clock.now() };
        self.transact_new(Stream::ServiceToken(id), cause, &command).await
    }

    /// Ends one of the tenant's tokens. From here on nobody on this node comes in with it.
    pub async fn revoke_service_token(
        &self,
        cause: &Cause,
        id: ServiceTokenId,
        tenant: &TenantId,
        reason: Option<String>,
    ) -> Result<Done<ServiceToken>, CommandError> {
        let (token, revision) = self.fold::<ServiceToken>(Stream::ServiceToken(id)).await?;
        if token.tenant.as_ref() != Some(tenant) {
            return Err(Rejection::NoSuchServiceToken.into());
        }
        let revoke = ServiceTokenCommand::Revoke { reason };
        let done = self.transact_from(Stream::ServiceToken(id), cause, &revoke, token, revision).await;
        self.service_tokens.forget(id);
        done
    }

    /// The token that was presented, if it works now; none for every other.
    pub async fn service_token(&self, token: &secrets::ServiceToken) -> Result<Option<Arc<ServiceToken>>, CommandError> {
        let Some(id) = token.names() else { return Ok(None) };
        let now = self.clock.now();
        let known = self.known_service_token(id, now).await?;
        let good = matches!(known.token, Some(TokenHash(stored)) if token.verify(&stored));
        Ok(Some(known).filter(|known| good && known.usability(now) == Usability::Active))
    }

    async fn known_service_token(&self, id: ServiceTokenId, now: DateTime<Utc>) -> Result<Arc<ServiceToken>, CommandError> {
        let revocations = {
            let known = self.service_tokens.known();
            if let Some((token, read_at)) = known.held.get(&id)
                && (*read_at..*read_at + HELD).contains(&now)
            {
                return Ok(token.clone());
            }
            known.revocations
        };
        let token: Arc<ServiceToken> = Arc::new(self.load(Stream::ServiceToken(id)).await?);
        let mut known = self.service_tokens.known();
        // An id that nobody created is not held: callers may name as many of those as they like.
        if known.revocations == revocations && token.life == Life::Created {
            if known.held.len() >= MOST {
                known.held.clear();
            }
            known.held.insert(id, (token.clone(), now));
        }
        Ok(token)
    }
}
