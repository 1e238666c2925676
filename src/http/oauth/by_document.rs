//! `POST /oauth/register` with nothing but the URL of the client's own document: what the document says is registered.

use axum::http::StatusCode;
use gatebook_events::client::{Client, Life};
use gatebook_events::envelope::{ActorKind, Position};
use gatebook_events::identity::{ResourceServerId, Stream};
use gatebook_events::manifest::{ManifestUrl, TroubleKind};
use gatebook_events::resource_server::RegistrationType;
use serde_json::{Map, Value};

use crate::app::App;
use crate::command::CommandError;
use crate::documents::DocumentError;
use crate::doors;
use crate::http::caller::Anyone;
use crate::http::error::Failure;
use crate::http::wire;
use crate::manifest::{Asker, Urgency};

/// The URL that a request names, if it names that and nothing else.
pub fn named(app: &App, request: &Map<String, Value>) -> Option<ManifestUrl> {
    match (request.len(), request.get("client_id").and_then(Value::as_str)) {
        (1, Some(client_id)) => app.documents().manifests().url(client_id).ok(),
        _ => None,
    }
}

/// The document is read and registered by the resource server's rules. There is nothing to manage by a token: whoever may
/// change the document changes the client.
pub async fn register(
    app: &App,
    caller: &Anyone,
    server: Option<ResourceServerId>,
    url: &ManifestUrl,
) -> Result<(Map<String, Value>, Option<Position>), Failure> {
    let nowhere =
        || Failure::request(StatusCode::BAD_REQUEST, "invalid_target", "resource has to say where the client is to be registered");
    let id = server.ok_or_else(nowhere)?;
    let rules = app.commands().resource_server(id).await?;
    rules.open_to(RegistrationType::Cimd).map_err(CommandError::from)?;
    let known: Client = app.commands().load(Stream::Client(url.client_id().key())).await?;
    let (client, seen_at) = match known.life {
        Life::Registered if known.holds_for(rules.tenant.as_ref()) => (known, None),
        Life::Registered | Life::Unregistered | Life::Withdrawn | Life::Deleted => {
            let unknown = known.life == Life::Unregistered;
            let registered_at = if unknown { Vec::new() } else { app.registered_at(url.client_id().key()).await? };
            let urgency = Urgency::By(Asker::new(Some(caller.address), rules.tenant.as_ref()));
            let seen = app.documents().meet(url, &registered_at, urgency).await.map_err(|error| match error {
                // That its host was not asked says nothing about the document.
                DocumentError::Fetch(failure) if failure.trouble.kind() == TroubleKind::NotTried => {
                    Failure::NotTried(failure.retry_after.map_or(5, |pause| pause.as_secs().max(1)))
                }
                error => error.into(),
            })?;
            (seen.client, seen.position)
        }
    };
    let cause = caller.cause(ActorKind::Anonymous, None, "cimd");
    let done = doors::enter_document(app, &cause, id, &client, false).await?;
    let profile = client.registered().ok_or(Failure::Internal("a client that was just read is not there"))?;
    let reason = app.standing(id, client.life, &done.state).await?;
    Ok((wire::client(profile, Some((id, &done.state, reason))), done.position.max(seen_at)))
}
