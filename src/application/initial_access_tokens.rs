//! Initial access tokens (RFC 7591 §3) are issued, presented, used and revoked.
//!
//! A use is set aside by an event at the stream's expected revision before the client is written. Whoever loses that race
//! decides anew, so a token is never used once too often; a crash in between costs one use.

use crate::aggregates::tokens_in_use::Held;
use chrono::{DateTime, Utc};
use gatebook_events::Rejection;
use gatebook_events::admission::Usability;
use gatebook_events::clamps::Clamps;
use gatebook_events::identity::{ClientId, InitialAccessTokenId, ResourceServerId, TenantId};
use gatebook_events::initial_access_token::{InitialAccessToken, InitialAccessTokenCommand};
use gatebook_events::resource_server::Life;
use gatebook_events::secret::TokenHash;
use gatebook_events::stream::Stream;

use crate::aggregates::{Cause, CommandError, Commands, Done};
use crate::application::register::rules::Guarantor;
use crate::credentials::secrets;

/// A token that was presented and was good at that moment.
#[derive(Debug, Clone)]
pub struct Presented {
    /// The resource server that it is for.
    pub server: ResourceServerId,
    /// Its id.
    pub id: InitialAccessTokenId,
    /// What a client that registers with it may be at most.
    pub clamps: Clamps,
}

impl Commands {
    /// Issues a token under an id that was just drawn.
    pub async fn issue_token(
        &self,
        cause: &Cause,
        (server, id): (ResourceServerId, InitialAccessTokenId),
        tenant: &TenantId,
        command: &InitialAccessTokenCommand,
    ) -> Result<Done<InitialAccessToken>, CommandError> {
        self.must_own(tenant, server).await?;
        if self.resource_server(server).await?.life != Life::Active {
            return Err(Rejection::NoSuchResourceServer.into());
        }
        self.transact_new(Stream::InitialAccessToken(server, id), cause, command).await
    }

    /// Ends a token. Clients that came by it stay.
    pub async fn revoke_token(
        &self,
        cause: &Cause,
        (server, id): (ResourceServerId, InitialAccessTokenId),
        tenant: &TenantId,
        reason: Option<String>,
    ) -> Result<Done<InitialAccessToken>, CommandError> {
        self.must_own(tenant, server).await?;
        let mut slot = self.tokens.slot(id).await;
        let revoke = InitialAccessTokenCommand::Revoke { reason };
        let done = self.transact(Stream::InitialAccessToken(server, id), cause, &revoke).await;
        // From here on nobody on this node sees it as it was.
        if let Some(held) = slot.as_mut() {
            held.take();
        }
        done
    }

    /// Whether a token is good now. Nothing is used up by that. Every bad one is refused alike.
    pub async fn presented(&self, token: &secrets::InitialAccessToken) -> Result<Presented, CommandError> {
        let (server, id) = token.names().ok_or(Rejection::InitialAccessTokenUnknown)?;
        let mut slot = self.tokens.slot(id).await;
        let held = self.held(slot.as_deref_mut(), Stream::InitialAccessToken(server, id)).await?;
        let good = matches!(held.token.token, Some(TokenHash(stored)) if token.verify(&stored));
        let (usability, clamps) = (held.token.usability(self.clock.now()), held.token.clamps.clone());
        // An id that nobody issued is not kept: callers may name as many of those as they like.
        if let Some(slot) = slot.as_deref_mut().filter(|_| held.revision.is_some()) {
            *slot = Some(held);
        }
        if !good {
            return Err(Rejection::InitialAccessTokenUnknown.into());
        }
        if usability == Usability::Active {
            Ok(Presented { server, id, clamps })
        } else {
            Err(Rejection::InitialAccessTokenOver(usability).into())
        }
    }

    /// Who answers for a client that is to come to a resource server: the token that it presented, if that is for this one.
    pub fn guarantor(server: Option<ResourceServerId>, presented: Option<Presented>) -> Result<Guarantor, CommandError> {
        match presented {
            None => Ok(Guarantor::Nobody),
            Some(token) if server == Some(token.server) => Ok(Guarantor::Token(token)),
            Some(_) => Err(Rejection::InitialAccessTokenUnknown.into()),
        }
    }

    /// Sets one use aside for a client that is about to be written.
    pub(crate) async fn set_aside(
        &self,
        cause: &Cause,
        token: &Presented,
        client_id: &ClientId,
        at: DateTime<Utc>,
    ) -> Result<(), CommandError> {
        let stream = Stream::InitialAccessToken(token.server, token.id);
        let mut slot = self.tokens.slot(token.id).await;
        let held = self.held(slot.as_deref_mut(), stream).await?;
        let command = InitialAccessTokenCommand::Use { client_id: client_id.clone(), at };
        let done = self.transact_from(stream, cause, &command, held.token, held.revision).await?;
        if let Some(slot) = slot.as_deref_mut() {
            *slot = Some(Held { stream, token: done.state, revision: done.revision });
        }
        Ok(())
    }

    /// What the slot holds of this token, taken out; else what the log has.
    async fn held(&self, slot: Option<&mut Option<Held>>, stream: Stream) -> Result<Held, CommandError> {
        match slot.and_then(|slot| slot.take_if(|held| held.stream == stream)) {
            Some(held) => Ok(held),
            None => self.fold(stream).await.map(|(token, revision)| Held { stream, token, revision }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gatebook_events::admission::RegistrationType;
    use gatebook_events::envelope::{Actor, ActorKind};
    use gatebook_events::metadata;
    use gatebook_events::resource_server::{Policy, ResourceServerCommand};
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::application::register::DrawnHashes;
    use crate::event_log::memory::MemoryLog;
    use crate::platform::clock::Clock;

    const SERVER: ResourceServerId = ResourceServerId::DEFAULT;
    const ID: InitialAccessTokenId = InitialAccessTokenId(Uuid::from_u128(7));

    fn somebody() -> Cause {
        let actor = Actor { kind: ActorKind::Admin, id: Some("ada".to_owned()), via: None };
        Cause { actor, tenant: Some(TenantId::default_tenant()), request_id: None, origin: None }
    }

    /// Two nodes on one log, and a token with so many uses.
    async fn two_nodes(max_uses: u32) -> ([Commands; 2], secrets::InitialAccessToken) {
        let log = Arc::new(MemoryLog::default());
        let nodes = [(); 2].map(|()| Commands::new(log.clone(), Clock::standing_at(DateTime::UNIX_EPOCH)));
        let create = ResourceServerCommand::Create {
            tenant: TenantId::default_tenant(),
            name: "default".to_owned(),
            resource: None,
            modes: RegistrationType::ALL.into(),
            policy: Policy::default(),
        };
        nodes[0].create_resource_server(&somebody(), SERVER, &create).await.unwrap();
        let token = secrets::InitialAccessToken::try_draw(SERVER, ID).unwrap();
        let issue = InitialAccessTokenCommand::Issue {
            tenant: TenantId::default_tenant(),
            label: "ci".to_owned(),
            token: TokenHash(token.hash()),
            expires_at: None,
            max_uses: Some(max_uses),
            clamps: Clamps::default(),
            at: DateTime::UNIX_EPOCH,
        };
        nodes[0].issue_token(&somebody(), (SERVER, ID), &TenantId::default_tenant(), &issue).await.unwrap();
        (nodes, token)
    }

    async fn register(node: &Commands, token: &secrets::InitialAccessToken) -> Result<(), CommandError> {
        let Value::Object(members) = json!({ "redirect_uris": ["https://app.example/cb"] }) else { unreachable!() };
        let token = Guarantor::Token(node.presented(token).await?);
        let parsed = metadata::parse(members).unwrap();
        let welcome = node.rules(SERVER).await?.judge(RegistrationType::Dcr, token, parsed)?;
        node.register_self(&somebody(), welcome, DrawnHashes::default()).await.map(drop)
    }

    fn is_over(outcome: &Result<(), CommandError>, why: Usability) -> bool {
        matches!(outcome, Err(CommandError::Rejected(Rejection::InitialAccessTokenOver(over))) if *over == why)
    }

    #[tokio::test]
    async fn nodes_that_know_nothing_of_each_others_uses_still_count_every_one() {
        let (nodes, token) = two_nodes(5).await;
        for turn in 0..5 {
            register(&nodes[turn % 2], &token).await.unwrap();
        }
        for node in &nodes {
            assert!(is_over(&register(node, &token).await, Usability::UsedUp));
        }
        let (nodes, token) = two_nodes(7).await;
        let all = futures_util::future::join_all((0..40).map(|turn| register(&nodes[turn % 2], &token))).await;
        assert_eq!(all.iter().filter(|outcome| outcome.is_ok()).count(), 7);
        assert!(all.iter().all(|outcome| outcome.is_ok() || is_over(outcome, Usability::UsedUp)));
        let counted: InitialAccessToken = nodes[0].load(Stream::InitialAccessToken(SERVER, ID)).await.unwrap();
        assert_eq!(counted.uses, 7);
    }

    #[tokio::test]
    async fn a_token_that_another_node_revoked_opens_nothing_here() {
        let (nodes, token) = two_nodes(5).await;
        register(&nodes[1], &token).await.unwrap();
        nodes[0].revoke_token(&somebody(), (SERVER, ID), &TenantId::default_tenant(), None).await.unwrap();
        assert!(is_over(&register(&nodes[1], &token).await, Usability::Revoked));
    }
}
