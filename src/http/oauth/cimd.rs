//! `POST /oauth/register` with nothing but the URL of the client's own document: what the document says is registered.

use gatebook_events::client::Life;
use gatebook_events::envelope::{ActorKind, Position};
use gatebook_events::manifest::ManifestUrl;
use serde_json::{Map, Value};

use crate::application::error::UseCaseError;
use crate::application::rate_limits::Allowance;
use crate::application::register::admission::{self, Newcomer, Registered};
use crate::application::register::rules::{Guarantor, Rules};
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
    let client_id = url.client_id();
    let known = services.commands.client_of(&rules.tenant, client_id.key()).await?;
    let cause = caller.cause(ActorKind::Anonymous, None, "cimd");
    let registered = if known.life == Life::Registered {
        let profile = known.registered().ok_or(UseCaseError::Internal("a client that is registered is not there"))?;
        let admitted = admission::ask(services, rules, Newcomer::known(profile, guarantor)).await?;
        let allowance = admitted.allowance;
        let done = services.commands.bind(&cause, &admitted.welcome, &known, false).await?;
        admitted.fill(services, done.position).await;
        Registered { client: known, registration: done.state, allowance, position: done.position }
    } else {
        let urgency = Urgency::By(Asker::new(Some(caller.address), Some(&rules.tenant)));
        let read = services.manifests.read(url, urgency).await?;
        admission::register_document(services, &cause, rules, guarantor, (&client_id, read)).await?
    };
    let Registered { client, registration, allowance, position } = registered;
    let profile = client.registered().ok_or(UseCaseError::Internal("a client that was just read is not there"))?;
    let reason = services.commands.standing(rules.id, client.life, &registration).await?;
    Ok((response::client(profile, Some((rules.id, &registration, reason))), allowance, position))
}
