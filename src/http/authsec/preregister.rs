//! `POST /authsec/resource-servers/{id}/clients`: an administrator enters a client; its secret is shown once.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use gatebook_events::Rejection;
use gatebook_events::admission::RegistrationType;
use gatebook_events::client::{Client, Life, Profile};
use gatebook_events::identity::{ClientKey, ResourceServerId};
use gatebook_events::metadata::{self, Parsed};
use gatebook_events::registration::Registration;
use gatebook_events::stream::Stream;
use serde_json::{Map, Value};

use super::{repeat, server_id};
use crate::aggregates::{CommandError, Commands};
use crate::application::error::UseCaseError;
use crate::application::register::admission::{self, Newcomer};
use crate::application::register::rules::Guarantor;
use crate::application::register::{DrawnHashes, Entered, preregistration_defaults};
use crate::application::services::Services;
use crate::credentials::secrets::ClientSecret;
use crate::http::caller::{Administrator, Path};
use crate::http::consistency::Written;
use crate::http::error::{Failure, Problem, outcome};
use crate::http::json;
use crate::http::oauth::register::hash_drawn;
use crate::http::response;

/// Enters the client. With an `Idempotency-Key`, key and secret are derived from it and the instance's own key, so that a
/// repeated request gets the same answer although the secret was never stored.
pub async fn preregister(
    State(services): State<Services>,
    caller: Administrator,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Written<(StatusCode, Json<Map<String, Value>>)>, Problem> {
    caller.must_change()?;
    let id = server_id(&caller, &id)?;
    let mut request = json::object(&headers, body, "invalid_client_metadata").await.map_err(|failure| caller.problem(failure))?;
    preregistration_defaults(&mut request);
    let parsed = metadata::parse(request).map_err(|error| caller.problem(error))?;
    let (key, secret) = draw(&services, &caller, id, &headers).map_err(|failure| caller.problem(failure))?;
    let hash = hash_drawn(&secret).map_err(|failure| caller.problem(failure))?;
    let hashes = DrawnHashes { secret: Some(hash), registration_token: None };

    let entered = enter(&services, &caller, (id, key), parsed.clone(), hashes).await;
    services.metrics.registered(RegistrationType::Prereg, outcome(entered.as_ref().err()));
    let (profile, registration, position) = match entered {
        Ok(entered) => (entered.profile, entered.registration.unwrap_or_default(), entered.position),
        Err(Failure::UseCase(UseCaseError::Command(CommandError::Rejected(Rejection::AlreadyExists)))) => {
            let (profile, registration) = repeated(&services, &caller, (id, key), parsed, &secret).await?;
            (profile, registration, None)
        }
        Err(failure) => return Err(caller.problem(failure)),
    };
    let reason = services.commands.standing(id, Life::Registered, &registration).await.map_err(|failure| caller.problem(failure))?;
    let mut body = response::client(&profile, None);
    if profile.secret.is_some() {
        body.insert("client_secret".to_owned(), secret.expose().into());
        body.insert("client_secret_expires_at".to_owned(), 0.into());
    }
    body.insert("redirect_uris".to_owned(), serde_json::json!(registration.redirect_uris));
    body.insert("registration_type".to_owned(), profile.registration_type.as_str().into());
    body.insert("resource_server_id".to_owned(), id.to_string().into());
    body.insert("status".to_owned(), reason.status().into());
    Ok(Written((StatusCode::CREATED, Json(body)), position))
}

/// Enters the client where there is room. A client that is in already takes none: its administrator asks a second time.
pub async fn enter(
    services: &Services,
    caller: &Administrator,
    (id, key): (ResourceServerId, ClientKey),
    parsed: Parsed,
    hashes: DrawnHashes,
) -> Result<Entered, Failure> {
    let rules = services.commands.rules_of(caller.tenant(), id).await?;
    let newcomer = Newcomer { key: Some(key), ..Newcomer::new(RegistrationType::Prereg, Guarantor::Administrator, parsed) };
    let admitted = admission::ask(services, &rules, newcomer).await?;
    let entered = services.commands.preregister(&caller.cause, key, admitted.welcome.clone(), hashes).await?;
    admitted.fill(services, entered.position).await;
    Ok(entered)
}

fn draw(
    services: &Services,
    caller: &Administrator,
    id: ResourceServerId,
    headers: &HeaderMap,
) -> Result<(ClientKey, ClientSecret), Failure> {
    let Some(given) = repeat::given(headers)? else {
        let secret = ClientSecret::try_draw().map_err(|_| UseCaseError::Internal("no random bits are to be had"))?;
        return Ok((Commands::draw_client_key(), secret));
    };
    let id = id.to_string();
    let info: [&[u8]; 4] = [b"preregister", caller.tenant().as_str().as_bytes(), id.as_bytes(), given];
    Ok((ClientKey(services.instance_key.derive_uuid(&info)), services.instance_key.derive_client_secret(&info)))
}

/// The first request's answer again, if this is the same request, soon enough, and the secret is still the one it gave.
async fn repeated(
    services: &Services,
    caller: &Administrator,
    (id, key): (ResourceServerId, ClientKey),
    parsed: Parsed,
    secret: &ClientSecret,
) -> Result<(Profile, Registration), Problem> {
    let client: Client = services.commands.load(Stream::Client(key)).await.map_err(|error| caller.problem(error))?;
    let refuse = |detail| caller.problem(repeat::used(detail));
    let profile = client.registered().cloned().ok_or_else(|| refuse("the client that this key entered was deleted"))?;
    let rules = services.commands.rules_of(caller.tenant(), id).await.map_err(|error| caller.problem(error))?;
    let constrained = rules.server.policy.constrain(profile.registration_type, parsed.metadata);
    let asked = constrained.map_err(|error| caller.problem(CommandError::from(error)))?;
    if asked != profile.metadata {
        return Err(refuse("this key was used for another client"));
    }
    repeat::soon_enough(profile.issued_at, services.commands.clock().now()).map_err(|failure| caller.problem(failure))?;
    let current = match &profile.secret {
        Some(kept) => services
            .secrets
            .verify(secret, kept.hash.as_phc())
            .await
            .map_err(|_| caller.problem(UseCaseError::Internal("a secret could not be verified")))?,
        None => true,
    };
    let registration = services.commands.complete(&caller.cause, &rules, key, &profile).await.map_err(|error| caller.problem(error))?;
    if current { Ok((profile, registration)) } else { Err(refuse("the secret that this key gave was replaced")) }
}
