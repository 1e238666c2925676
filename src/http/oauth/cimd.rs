//! `POST /oauth/register` with nothing but the URL of the client's own document: what the document says is registered.

use gatebook_events::client::{Client, Life};
use gatebook_events::envelope::{ActorKind, Position};
use gatebook_events::manifest::ManifestUrl;
use gatebook_events::stream::Stream;
use serde_json::{Map, Value};

use crate::application::error::UseCaseError;
use crate::application::rate_limits::Allowance;
use crate::application::register::admission::{self, Newcomer};
use crate::application::register::rules::{Guarantor, Rules};
use crate::application::registrations::registered_at;
use crate::application::services::Services;
use crate::http::caller::Anyone;
use crate::http::error::Failure;
use crate::http::response;
use crate::outbound::{Asker, Urgency};

/// The URL that a request names, if it names that and nothing else.
pub fn named(services: &Services, request: &Map<String, Value>) -> Option<ManifestUrl> {
    match (request.len(), request.get("client_id").and_then(Value::as_str)) {
        (1, Some(client_id)) => services.manifests.manifests().url(client_id).ok(),
        _ => None,
    }
}

/// The document is read and registered by the resource server's rules. There is nothing to manage by a token: whoever may
/// change the document changes the client.
pub async fn register(
    services: &Services,
    caller: &Anyone,
    rules: &Rules,
    guarantor: Guarantor,
    url: &ManifestUrl,
) -> Result<(Map<String, Value>, Option<Allowance>, Option<Position>), Failure> {
    let known: Client = services.commands.load(Stream::Client(url.client_id().key())).await?;
    let (client, seen_at) = match known.life {
        Life::Registered if known.holds_for(Some(&rules.tenant)) => (known, None),
        Life::Registered | Life::Unregistered | Life::Withdrawn | Life::Deleted => {
            let unknown = known.life == Life::Unregistered;
            let registered_at = if unknown { Vec::new() } else { registered_at(&services, url.client_id().key()).await? };
            let urgency = Urgency::By(Asker::new(Some(caller.address), Some(&rules.tenant)));
            let seen = services.manifests.meet(url, &registered_at, urgency).await?;
            (seen.client, seen.position)
        }
    };
    let profile = client.registered().ok_or(UseCaseError::Internal("a client that was just read is not there"))?;
    let cause = caller.cause(ActorKind::Anonymous, None, "cimd");
    let admitted = admission::ask(services, rules, Newcomer::known(profile, guarantor)).await?;
    let allowance = admitted.allowance;
    let done = services.commands.bind(&cause, &admitted.welcome, &client, false).await?;
    admitted.fill(services, done.position).await;
    let reason = services.commands.standing(rules.id, client.life, &done.state).await?;
    Ok((response::client(profile, Some((rules.id, &done.state, reason))), allowance, done.position.max(seen_at)))
}
