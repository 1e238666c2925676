//! `GET`, `PUT` and `DELETE /oauth/register/{client_id}`: a client manages its registration (RFC 7592 §2).

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use gatebook_events::client::{Client, Profile};
use gatebook_events::envelope::ActorKind;
use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId};
use gatebook_events::metadata;
use gatebook_events::registration::Registration;
use gatebook_events::secret::{KeptSecret, TokenHash};
use gatebook_events::stream::Stream;
use serde_json::{Map, Value};

use super::register::{draw_secret, vouched};
use crate::aggregates::Cause;
use crate::application::error::UseCaseError;
use crate::application::rate_limits::Allowance;
use crate::application::registrations::registered_at;
use crate::application::services::Services;
use crate::credentials::secrets::{ClientSecret, RegistrationToken};
use crate::http::caller::{Anyone, Path, bearer};
use crate::http::consistency::Written;
use crate::http::error::{Failure, OauthError};
use crate::http::json;
use crate::http::rate_limit_headers;
use crate::http::response;
use crate::http::response::registration_client_uri;

/// Members that only the server may say (RFC 7592 §2.2).
const SERVERS_OWN: [&str; 4] = ["registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"];

/// The most events that a client may have before it can no longer change itself: what it is now is read from all of them once.
const MOST_EVENTS: u32 = 1000;

/// RFC 7592 §2.1
pub async fn read(
    State(services): State<Services>,
    caller: Anyone,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Result<(HeaderMap, Json<Map<String, Value>>), OauthError> {
    let of_source = services.change_limits.admit(caller.address).map_err(UseCaseError::TooMany)?;
    let holder = Holder::of(&services, &client_id, &headers).await?;
    let registrations = holder.registrations(&services).await?;
    let body = holder.render(&services, &holder.profile, &registrations).await?;
    Ok((rate_limit_headers::headers(of_source.as_slice()), body))
}

/// RFC 7592 §2.2: everything is replaced, and the answer says what serves.
pub async fn replace(
    State(services): State<Services>,
    caller: Anyone,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Written<(HeaderMap, Json<Map<String, Value>>)>, OauthError> {
    let of_source = services.change_limits.admit(caller.address).map_err(UseCaseError::TooMany)?;
    let holder = Holder::of(&services, &client_id, &headers).await?;
    let of_client = services.change_limits.admit_of(holder.key).map_err(UseCaseError::TooMany)?;
    let allowances: Vec<Allowance> = of_source.into_iter().chain(of_client).collect();
    holder.may_change()?;
    if !services.disk_space.has_some_for_strangers() {
        return Err(UseCaseError::NoRoom.into());
    }
    let mut request = json::object(&headers, body, "invalid_client_metadata").await?;
    holder.check_own_members(&services, &mut request).await?;
    let servers: Vec<ResourceServerId> = holder.registrations(&services).await?.into_iter().map(|(id, _)| id).collect();
    let vouched = match servers.first() {
        Some(first) => vouched(&services, &services.commands.resource_server(*first).await?.policy, &mut request).await?,
        None => None,
    };
    let parsed = metadata::parse_replacement(request, &holder.profile.metadata)?.vouched(vouched);
    let drawn = if parsed.metadata.needs_secret() && holder.profile.secret.is_none() { Some(draw_secret()?) } else { None };
    let first = drawn.as_ref().map(|(_, hash)| KeptSecret { hash: hash.clone(), expires_at: None });

    let cause = holder.cause(&caller);
    let updated = services.commands.update_self(&cause, holder.key, &servers, parsed, first).await?;
    let profile = *updated.client.profile.ok_or(Failure::RegistrationToken)?;
    let Json(mut body) = holder.render(&services, &profile, &updated.registrations).await?;
    if let Some((secret, _)) = drawn {
        body.insert("client_secret".to_owned(), secret.expose().into());
        body.insert("client_secret_expires_at".to_owned(), 0.into());
    }
    Ok(Written((rate_limit_headers::headers(&allowances), Json(body)), updated.position))
}

/// RFC 7592 §2.3
pub async fn delete(
    State(services): State<Services>,
    caller: Anyone,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Result<Written<(StatusCode, HeaderMap)>, OauthError> {
    let of_source = services.change_limits.admit(caller.address).map_err(UseCaseError::TooMany)?;
    let holder = Holder::of(&services, &client_id, &headers).await?;
    let done = services.commands.delete_self(&holder.cause(&caller), holder.key).await?;
    Ok(Written((StatusCode::NO_CONTENT, rate_limit_headers::headers(of_source.as_slice())), done.position))
}

/// Whoever presents a client's registration access token.
struct Holder {
    key: ClientKey,
    profile: Profile,
    token: RegistrationToken,
    /// How many events the client has.
    events: u32,
}

impl Holder {
    /// A client that does not exist, one that was deleted, and a wrong token get the same answer (RFC 7592 §2.1).
    async fn of(services: &Services, client_id: &str, headers: &HeaderMap) -> Result<Self, Failure> {
        let token = RegistrationToken::received(bearer(headers).ok_or(Failure::RegistrationToken)?);
        let client_id = ClientId::parse(client_id).map_err(|_| Failure::RegistrationToken)?;
        let key = client_id.key();
        let history = services.commands.history::<Client>(Stream::Client(key)).await?;
        let profile = history.now().registered().filter(|profile| profile.client_id == client_id).ok_or(Failure::RegistrationToken)?;
        match profile.registration_token {
            Some(TokenHash(stored)) if token.verify(&stored) => Ok(Self { key, profile: profile.clone(), token, events: history.len() }),
            _ => Err(Failure::RegistrationToken),
        }
    }

    /// A client does not change for ever: each change is kept, and read again when the service starts.
    fn may_change(&self) -> Result<(), Failure> {
        if self.events < MOST_EVENTS {
            return Ok(());
        }
        let detail = format!("the client has changed {MOST_EVENTS} times, which is as often as one may: register it anew");
        Err(Failure::request(StatusCode::TOO_MANY_REQUESTS, "access_denied", detail))
    }

    fn cause(&self, caller: &Anyone) -> Cause {
        let cause = caller.cause(ActorKind::Client, Some(self.profile.client_id.to_string()), "rfc7592");
        cause.within(self.profile.home.clone())
    }

    /// Where the client is registered, its home first.
    async fn registrations(&self, services: &Services) -> Result<Vec<(ResourceServerId, Registration)>, Failure> {
        let mut registrations = Vec::new();
        for id in registered_at(services, self.key).await? {
            registrations.push((id, services.commands.load::<Registration>(Stream::Registration(id, self.key)).await?));
        }
        Ok(registrations)
    }

    /// RFC 7592 §2.2: the identifier has to be there and be the client's own, a secret has to be the current one.
    async fn check_own_members(&self, services: &Services, request: &mut Map<String, Value>) -> Result<(), Failure> {
        let refuse = |detail: String| Failure::request(StatusCode::BAD_REQUEST, "invalid_client_metadata", detail);
        // RFC 7592 §2.2: a null is an omitted value, here as in all other members.
        request.retain(|_, value| !value.is_null());
        if request.remove("client_id").as_ref().and_then(Value::as_str) != Some(self.profile.client_id.as_str()) {
            return Err(refuse("client_id is missing or is not this client's".to_owned()));
        }
        if let Some(member) = SERVERS_OWN.iter().find(|member| request.contains_key(**member)) {
            return Err(refuse(format!("{member} is for the server to say")));
        }
        request.remove("gatebook");
        let Some(sent) = request.remove("client_secret") else { return Ok(()) };
        let current = match (sent.as_str(), &self.profile.secret) {
            (Some(text), Some(kept)) => {
                let sent = ClientSecret::received(text);
                services
                    .secrets
                    .verify(&sent, kept.hash.as_phc())
                    .await
                    .map_err(|_| UseCaseError::Internal("a secret could not be verified"))?
            }
            _ => false,
        };
        if current { Ok(()) } else { Err(refuse("client_secret is not the current one".to_owned())) }
    }

    /// RFC 7592 §3. The token is kept as a hash only, so the one that was presented is given back.
    async fn render(
        &self,
        services: &Services,
        profile: &Profile,
        registrations: &[(ResourceServerId, Registration)],
    ) -> Result<Json<Map<String, Value>>, OauthError> {
        let bound = match registrations.first() {
            Some((id, registration)) => {
                Some((*id, registration, services.commands.standing(*id, gatebook_events::client::Life::Registered, registration).await?))
            }
            None => None,
        };
        let mut body = response::client(profile, bound);
        body.insert("registration_access_token".to_owned(), self.token.expose().into());
        body.insert("registration_client_uri".to_owned(), registration_client_uri(&services.public_url, &profile.client_id).into());
        Ok(Json(body))
    }
}
