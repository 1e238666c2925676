//! What a client asks with a credential in hand: whether it is the one that it says, and what it then gets for itself.

use std::net::IpAddr;

use gatebook_events::admission::Status;
use gatebook_events::client::Client;
use gatebook_events::decision::{self, Question, Reason, Refusal};
use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId};
use gatebook_events::metadata::GrantType;
use gatebook_events::registration::Registration;
use gatebook_events::resource_server::normalized;
use gatebook_events::scope::Scope;
use gatebook_events::standing::Decision;
use gatebook_events::stream::Stream;

use super::{Answer, Subject, effective, look, take_note};
use crate::application::access_tokens::Grant;
use crate::application::authentication::{self, Asking, Credential};
use crate::application::error::UseCaseError;
use crate::application::registrations::registered_at;
use crate::application::services::Services;

/// A client, as it says, and what it shows of itself.
pub struct Presented {
    /// Who.
    pub client_id: ClientId,
    /// Who else that can have meant, where there is no such client.
    pub or_else: Option<ClientId>,
    /// How it means to prove that.
    pub credential: Credential,
    /// Where it came from, for whoever guesses.
    pub source: IpAddr,
}

/// How a client stands at a resource server, and if it may act, why what it showed does not prove that it is the one. Of one that
/// may not act the credentials are not looked at.
pub async fn prove(services: &Services, server: ResourceServerId, shown: &Presented) -> Result<(Answer, Option<Refusal>), UseCaseError> {
    let subject = Subject { client_id: &shown.client_id, since: None, source: Some(shown.source) };
    let question = Question::default();
    let mut answer = look(services, server, &subject, &question).await?;
    let (mut proven, mut refusal) = (false, None);
    if let Some(client) = answer.client.as_ref().filter(|_| answer.verdict.reason.decision() == Decision::Allow) {
        let tenant = services.commands.resource_server(server).await?.tenant.clone();
        let asking = Asking { source: shown.source, tenant: tenant.as_ref(), may_act: true };
        refusal = match authentication::authenticate(services, &client.acting(), &shown.credential, &asking).await? {
            Ok(who) => who.use_up(services)?.err(),
            Err(refusal) => Some(refusal),
        };
        proven = refusal.is_none();
    }
    // Who may act and proved nothing was not used, and revives nobody.
    if refusal.is_none() {
        let was = answer.verdict.clone();
        answer = take_note(services, server, &subject, &question, answer).await?;
        if !proven && answer.verdict.reason.decision() == Decision::Allow {
            // It was let in this very moment, and its credentials were not looked at.
            answer.verdict = was;
        }
    }
    Ok((answer, refusal))
}

/// What a client gets for itself (RFC 6749 §4.4), or why it may not. Who it is comes first: nobody else is told how it stands.
pub async fn grant(
    services: &Services,
    shown: &Presented,
    resources: &[&str],
    scope: Option<&Scope>,
) -> Result<Result<Grant, Reason>, UseCaseError> {
    let mut named = (&shown.client_id, services.commands.load::<Client>(Stream::Client(shown.client_id.key())).await?);
    if let (None, Some(other)) = (named.1.client_id(), &shown.or_else) {
        named = (other, services.commands.load(Stream::Client(other.key())).await?);
    }
    let client_id = named.0;
    // It proves itself as it was admitted to where the token is for. Where that is nowhere, as it says, and is told so then.
    let target = resource_server_meant(services, client_id.key(), resources).await;
    let server = match &target {
        Ok(server) => Some(services.commands.resource_server(*server).await?),
        Err(_) => None,
    };
    // Texts of its document that administrators entered are for their own tenants.
    let client = match server.as_ref().and_then(|server| server.tenant.as_ref()) {
        Some(tenant) => &named.1.seen_by(tenant),
        None => &named.1,
    };
    let profile = client.registered().filter(|profile| profile.client_id == *client_id).ok_or(UseCaseError::Client)?;
    let mut acting = profile.clone();
    if let (Some(server), Ok(id)) = (&server, &target) {
        let registration: Registration = services.commands.load(Stream::Registration(*id, client_id.key())).await?;
        acting.metadata = effective(server, profile, &registration);
    }
    let may_act = may_act(services, client, client_id.key(), target.as_ref().ok().copied()).await?;
    let asking = Asking { source: shown.source, tenant: profile.home.as_ref(), may_act };
    let Ok(who) = authentication::authenticate(services, &acting, &shown.credential, &asking).await? else {
        return Err(UseCaseError::Client);
    };
    let resource_server = target?;
    let (subject, question) = (Subject { client_id, since: None, source: Some(shown.source) }, for_itself(scope));
    let granted = |answer: &Answer| match &answer.client {
        Some(client) if answer.verdict.reason.decision() == Decision::Allow => {
            let scope = decision::granted(&client.metadata, scope)?.cloned();
            Ok(Grant { client_id: client_id.clone(), resource_server, scope })
        }
        Some(_) | None => Err(answer.verdict.reason),
    };
    let answer = look(services, resource_server, &subject, &question).await?;
    if let Err(reason @ Reason::ScopeNotRegistered) = granted(&answer) {
        // Who gets nothing has not been used.
        return Ok(Err(reason));
    }
    if answer.verdict.reason.decision() == Decision::Allow && who.use_up(services)?.is_err() {
        return Err(UseCaseError::Client);
    }
    // It may be let in or turned away by that, and then gets what it may have now.
    Ok(granted(&take_note(services, resource_server, &subject, &question, answer).await?))
}

/// Whether a client may act at a resource server, or at any that it is registered at where none is named. Asked before anything
/// is fetched for it; the caller is not told.
async fn may_act(services: &Services, client: &Client, key: ClientKey, at: Option<ResourceServerId>) -> Result<bool, UseCaseError> {
    let servers = match at {
        Some(one) => vec![one],
        None => registered_at(services, key).await?,
    };
    for id in servers {
        let registration: Registration = services.commands.load(Stream::Registration(id, key)).await?;
        let revive = services.commands.resource_server(id).await?.policy.revive;
        if services.commands.standing(id, client.life, &registration).await?.once_used(revive).decision() == Decision::Allow {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a client would get now what it got.
pub async fn still_granted(services: &Services, grant: &Grant) -> Result<bool, UseCaseError> {
    let registration: Registration = services.commands.load(Stream::Registration(grant.resource_server, grant.client_id.key())).await?;
    if registration.status == Status::None {
        return Ok(false);
    }
    let subject = Subject { client_id: &grant.client_id, since: None, source: None };
    let answer = look(services, grant.resource_server, &subject, &for_itself(grant.scope.as_ref())).await?;
    Ok(answer.verdict.reason.decision() == Decision::Allow)
}

fn for_itself(scope: Option<&Scope>) -> Question<'_> {
    Question { grant_type: Some(GrantType::ClientCredentials.as_str()), scope, redirect_uri: None }
}

/// The resource server that a client means (RFC 8707 §2): the one that it names among those that it is registered at, else the
/// only one of them. One at a time, so that nobody can hand on elsewhere what was given to them.
async fn resource_server_meant(services: &Services, client: ClientKey, resources: &[&str]) -> Result<ResourceServerId, UseCaseError> {
    let invalid = UseCaseError::InvalidTarget;
    let resource = match resources {
        [] => None,
        [one] => Some(*one),
        _ => return Err(invalid("a token is good at one resource server: name one")),
    };
    let roster = services.commands.known_servers().await?;
    let serves = |id: &ResourceServerId| roster.get(*id).is_some_and(|known| known.server.is_active());
    let Some(resource) = resource else {
        let mut active = registered_at(services, client).await?.into_iter().filter(serves);
        let first = active.next().ok_or_else(|| invalid("the client is registered at no resource server"))?;
        return match active.next() {
            None => Ok(first),
            Some(_) => Err(invalid("the client is registered at several resource servers: name one by its resource")),
        };
    };
    let mut named = roster.all_with_resource(resource);
    // Where it has no identifier of its own, it is called as in its tokens.
    let spelled = normalized(resource);
    let here = spelled.strip_prefix(&services.public_url).and_then(|rest| rest.strip_prefix("/rs/")).and_then(|id| id.parse().ok());
    named.extend(here.filter(serves));
    for id in named {
        let registration: Registration = services.commands.load(Stream::Registration(id, client)).await?;
        if registration.status != Status::None {
            return Ok(id);
        }
    }
    Err(invalid("resource names no resource server that the client is registered at"))
}
