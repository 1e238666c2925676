//! `POST /oauth/register` and `POST /rs/{id}/oauth/register`: dynamic client registration (RFC 7591 §3).

use std::num::NonZeroU32;

use axum::Json;
use axum::body::Body;
use axum::extract::{self, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use gatebook_events::admission::RegistrationType;
use gatebook_events::client::Life;
use gatebook_events::envelope::ActorKind;
use gatebook_events::identity::ResourceServerId;
use gatebook_events::metadata::{self, Vouched};
use gatebook_events::resource_server::Policy;
use gatebook_events::secret::{SecretHash, TokenHash};
use gatebook_events::standing::Reason;
use serde_json::{Map, Value};

use crate::aggregates::{CommandError, Commands};
use crate::application::audiences::Audiences;
use crate::application::error::UseCaseError;
use crate::application::rate_limits::Allowance;
use crate::application::register::admission::{self, Newcomer};
use crate::application::register::rules::Guarantor;
use crate::application::register::target::bind;
use crate::application::register::target::none_meant;
use crate::application::register::{DrawnHashes, Entered};
use crate::application::services::Services;
use crate::credentials::secrets::{ClientSecret, Cost, InitialAccessToken, RegistrationToken, hash_secret};
use crate::http::caller::{Anyone, Path, bearer};
use crate::http::consistency::Written;
use crate::http::error::{Failure, OauthError, outcome};
use crate::http::json;
use crate::http::oauth::cimd;
use crate::http::rate_limit_headers;
use crate::http::response;
use crate::http::response::registration_client_uri;

/// 201 with what was registered (RFC 7591 §3.2.1).
type Answer = Written<(StatusCode, HeaderMap, Json<Map<String, Value>>)>;

/// Registers at the resource server that the request names, or at the default one.
pub async fn register(
    State(services): State<Services>,
    caller: Anyone,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, OauthError> {
    respond(&services, &caller, None, query.as_deref(), &headers, body).await
}

/// Registers at the resource server in the path, unless the request names another.
pub async fn register_at(
    State(services): State<Services>,
    caller: Anyone,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, OauthError> {
    let id = id
        .parse::<ResourceServerId>()
        .map_err(|_| Failure::request(StatusCode::NOT_FOUND, "invalid_target", "there is no such resource server"))?;
    respond(&services, &caller, Some(id), query.as_deref(), &headers, body).await
}

/// Answers, and counts how it ended.
async fn respond(
    services: &Services,
    caller: &Anyone,
    in_path: Option<ResourceServerId>,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Answer, OauthError> {
    let mut kind = RegistrationType::Dcr;
    let answer = answer(services, caller, in_path, query, headers, body, &mut kind).await;
    services.metrics.registered(kind, outcome(answer.as_ref().err().map(|error| &error.0)));
    answer
}

async fn answer(
    services: &Services,
    caller: &Anyone,
    in_path: Option<ResourceServerId>,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Body,
    kind: &mut RegistrationType,
) -> Result<Answer, OauthError> {
    let of_source = services.rate_limits.admit(caller.address).map_err(UseCaseError::TooMany)?;
    if !services.disk_space.has_some_for_strangers() {
        return Err(UseCaseError::NoRoom.into());
    }
    let mut request = json::object(headers, body, "invalid_client_metadata").await?;
    let resource = resource(&mut request, query)?;
    // A token that is presented is looked at first, whether or not one is wanted. It is for one resource server: a request that
    // names none goes there, and one that names another presents a token that is not valid.
    let presented = match bearer(headers) {
        Some(text) => Some(services.commands.presented(&InitialAccessToken::received(text)).await?),
        None => None,
    };
    // The server picks the identifier (RFC 7591 §3.2.1); one that is sent means nothing here, unless it is all that is sent.
    let document = cimd::named(services, &request);
    *kind = if document.is_some() { RegistrationType::Cimd } else { RegistrationType::Dcr };
    let server = bind(services, resource.as_deref(), in_path.or(presented.as_ref().map(|token| token.server))).await?;
    let guarantor = Commands::guarantor(server, presented)?;
    let Some(id) = server else {
        // A resource that is named and not known is a typing error, and no wish to come to none.
        let may_wait = document.is_none() && resource.is_none();
        let Some(cap) = services.config.max_unbound_clients.filter(|_| may_wait) else {
            return Err(none_meant(services, resource.as_deref()).await.into());
        };
        let entered = register_unbound(services, caller, cap, request).await?;
        return Ok(told(services, of_source.as_slice(), entered, None));
    };
    let rules = services.commands.rules(id).await?;
    // Nothing is read or fetched for one that may not come.
    rules.server.receives(guarantor.coming(*kind)).map_err(CommandError::from)?;
    if let Some(url) = document {
        let (body, allowance, position) = cimd::register(services, caller, &rules, guarantor, &url).await?;
        let allowances: Vec<Allowance> = of_source.into_iter().chain(allowance).collect();
        return Ok(Written((StatusCode::CREATED, rate_limit_headers::headers(&allowances), Json(body)), position));
    }
    let vouched = vouched(services, &rules.server.policy, &mut request).await?;
    let parsed = metadata::parse(request)?.vouched(vouched);
    let needs_secret = parsed.metadata.needs_secret();
    let by_token = if let Guarantor::Token(token) = &guarantor { Some(token.id.to_string()) } else { None };
    let cause = caller.cause(ActorKind::Anonymous, by_token, "dcr");
    let mut admitted = admission::ask(services, &rules, Newcomer::new(RegistrationType::Dcr, guarantor, parsed)).await?;
    let allowances: Vec<Allowance> = of_source.into_iter().chain(admitted.allowance).collect();
    let entered = if let Some(instance) = admitted.instance.take() {
        (instance, Credentials::draw(false)?)
    } else {
        let credentials = Credentials::draw(needs_secret)?;
        let entered = services.commands.register_self(&cause, admitted.welcome.clone(), credentials.hashes.clone()).await?;
        admitted.fill(services, entered.position).await;
        (entered, credentials)
    };
    let standing = match &entered.0.registration {
        Some(registration) => Some((id, services.commands.standing(id, Life::Registered, registration).await?)),
        None => None,
    };
    Ok(told(services, &allowances, entered, standing))
}

/// Registers where no resource server is meant, below the cap that an operator set. No rules are asked: those of the resource
/// server that it is bound to are, once it is.
async fn register_unbound(
    services: &Services,
    caller: &Anyone,
    cap: NonZeroU32,
    request: Map<String, Value>,
) -> Result<(Entered, Credentials), OauthError> {
    let parsed = metadata::parse(request)?;
    let credentials = Credentials::draw(parsed.metadata.needs_secret())?;
    let place = services.quotas.place_of_unbound(services, cap).await?;
    let cause = caller.cause(ActorKind::Anonymous, None, "dcr");
    let entered = services.commands.register_unbound(&cause, parsed, credentials.hashes.clone()).await?;
    place.fill(services, entered.position).await;
    Ok((entered, credentials))
}

/// What a client gets that registers itself.
struct Credentials {
    token: RegistrationToken,
    secret: Option<ClientSecret>,
    hashes: DrawnHashes,
}

impl Credentials {
    fn draw(needs_secret: bool) -> Result<Self, Failure> {
        let token = RegistrationToken::try_draw().map_err(|_| UseCaseError::Internal("no random bits are to be had"))?;
        let (secret, hash) = if needs_secret { Some(draw_secret()?) } else { None }.unzip();
        let hashes = DrawnHashes { secret: hash, registration_token: Some(TokenHash(token.hash())) };
        Ok(Self { token, secret, hashes })
    }
}

/// The answer to a client that registered itself.
fn told(
    services: &Services,
    allowances: &[Allowance],
    (entered, credentials): (Entered, Credentials),
    standing: Option<(ResourceServerId, Reason)>,
) -> Answer {
    let Credentials { token, secret, .. } = credentials;
    let bound = standing.zip(entered.registration.as_ref()).map(|((id, reason), registration)| (id, registration, reason));
    let mut body = response::client(&entered.profile, bound);
    if let Some(secret) = secret {
        body.insert("client_secret".to_owned(), secret.expose().into());
        body.insert("client_secret_expires_at".to_owned(), 0.into());
    }
    // A shared client has no token, and so nothing to manage it at (RFC 7591 §3.2.1 has both or neither).
    if entered.profile.registration_token == Some(TokenHash(token.hash())) {
        body.insert("registration_access_token".to_owned(), token.expose().into());
        body.insert("registration_client_uri".to_owned(), registration_client_uri(&services.public_url, &entered.profile.client_id).into());
    }
    Written((StatusCode::CREATED, rate_limit_headers::headers(allowances), Json(body)), entered.position)
}

/// The software statement of a request, if the rules that it is judged by read any (RFC 7591 §2.3). Its claims are then in the
/// request.
pub async fn vouched(services: &Services, policy: &Policy, request: &mut Map<String, Value>) -> Result<Option<Vouched>, Failure> {
    let vouched = services.software_statements.read(policy, request, &Audiences::of_statements(services).await?).await?;
    if let Some(vouched) = &vouched {
        vouched.overrule(request);
    }
    Ok(vouched)
}

/// A secret and its hash; the hash is the only one of the two that goes on from here.
pub fn draw_secret() -> Result<(ClientSecret, SecretHash), Failure> {
    let secret = ClientSecret::try_draw().map_err(|_| UseCaseError::Internal("no random bits are to be had"))?;
    let hash = hash_drawn(&secret)?;
    Ok((secret, hash))
}

/// What Gatebook drew needs no stretching (NIST SP 800-63B).
pub fn hash_drawn(secret: &ClientSecret) -> Result<SecretHash, Failure> {
    let phc = hash_secret(secret, Cost::Drawn).map_err(|_| UseCaseError::Internal("a secret could not be hashed"))?;
    Ok(SecretHash::try_new(&phc).map_err(|_| UseCaseError::Internal("a secret could not be hashed"))?)
}

/// The RFC 8707 `resource` of a registration, from the body or the query. Taken out, so that it does not count as unknown.
fn resource(request: &mut Map<String, Value>, query: Option<&str>) -> Result<Option<String>, Failure> {
    let wrong = || Failure::request(StatusCode::BAD_REQUEST, "invalid_target", "resource is not a string");
    match request.remove("resource") {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) if text.is_empty() => {}
        Some(Value::String(text)) => return Ok(Some(text)),
        Some(Value::Array(texts)) => return texts.first().map(|text| text.as_str().map(str::to_owned).ok_or_else(wrong)).transpose(),
        Some(_) => return Err(wrong()),
    }
    let uri: axum::http::Uri = format!("/?{}", query.unwrap_or_default()).parse().map_err(|_| wrong())?;
    let extract::Query(pairs) = extract::Query::<Vec<(String, String)>>::try_from_uri(&uri).map_err(|_| wrong())?;
    Ok(pairs.into_iter().find_map(|(name, text)| (name == "resource" && !text.is_empty()).then_some(text)))
}
