//! `POST /oauth/register` and `POST /rs/{id}/oauth/register`: dynamic client registration (RFC 7591 §3).

use axum::Json;
use axum::body::Body;
use axum::extract::{self, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use gatebook_events::client::Life;
use gatebook_events::envelope::ActorKind;
use gatebook_events::identity::ResourceServerId;
use gatebook_events::metadata::{self, Parsed, Vouched};
use gatebook_events::resource_server::RegistrationType;
use gatebook_events::secret::{SecretHash, TokenHash};
use serde_json::{Map, Value};

use super::by_document;
use crate::app::App;
use crate::ceiling::Allowance;
use crate::command::Cause;
use crate::command::register::{Door, DrawnHashes, Entered};
use crate::http::caller::{Anyone, Path, bearer};
use crate::http::error::{Failure, OauthError};
use crate::http::fresh::Written;
use crate::http::{allowance, json, wire};
use crate::secrets::{ClientSecret, Cost, InitialAccessToken, RegistrationToken, hash_secret};

/// 201 with what was registered (RFC 7591 §3.2.1).
type Answer = Written<(StatusCode, HeaderMap, Json<Map<String, Value>>)>;

/// Registers at the resource server that the request names, or at the default one.
pub async fn register(
    State(app): State<App>,
    caller: Anyone,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, OauthError> {
    respond(&app, &caller, None, query.as_deref(), &headers, body).await
}

/// Registers at the resource server in the path, unless the request names another.
pub async fn register_at(
    State(app): State<App>,
    caller: Anyone,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, OauthError> {
    let id = id
        .parse::<ResourceServerId>()
        .map_err(|_| Failure::request(StatusCode::NOT_FOUND, "invalid_target", "there is no such resource server"))?;
    respond(&app, &caller, Some(id), query.as_deref(), &headers, body).await
}

/// Answers, and counts how it ended.
async fn respond(
    app: &App,
    caller: &Anyone,
    in_path: Option<ResourceServerId>,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Answer, OauthError> {
    let mut kind = RegistrationType::Dcr;
    let answer = answer(app, caller, in_path, query, headers, body, &mut kind).await;
    app.metrics().registered(kind, answer.as_ref().err().map(|error| &error.0));
    answer
}

async fn answer(
    app: &App,
    caller: &Anyone,
    in_path: Option<ResourceServerId>,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Body,
    kind: &mut RegistrationType,
) -> Result<Answer, OauthError> {
    let of_source = app.ceilings().admit(caller.address).map_err(Failure::TooMany)?;
    if !app.room().has_some_for_strangers() {
        return Err(Failure::NoRoom.into());
    }
    let mut request = json::object(headers, body, "invalid_client_metadata").await?;
    let resource = resource(&mut request, query)?;
    // The server picks the identifier (RFC 7591 §3.2.1); one that is sent means nothing here.
    if let Some(url) = by_document::named(app, &request) {
        *kind = RegistrationType::Cimd;
        let server = app.bind(resource.as_deref(), in_path).await?;
        let at_server = below_ceiling(app, server).await?;
        let allowances: Vec<Allowance> = of_source.into_iter().chain(at_server).collect();
        let (body, position) = by_document::register(app, caller, server, &url).await?;
        return Ok(Written((StatusCode::CREATED, allowance::headers(&allowances), Json(body)), position));
    }
    let door = door(app, headers, resource.as_deref(), in_path).await?;
    let server = door.server();
    let vouched = vouched(app, server, &mut request).await?;
    let parsed = metadata::parse(request)?.vouched(vouched);
    let at_server = below_ceiling(app, server).await?;
    let allowances: Vec<Allowance> = of_source.into_iter().chain(at_server).collect();

    let token = RegistrationToken::try_draw().map_err(|_| Failure::Internal("no random bits are to be had"))?;
    let secret = if parsed.metadata.needs_secret() { Some(draw_secret()?) } else { None };
    let hashes = DrawnHashes { secret: secret.as_ref().map(|(_, hash)| hash.clone()), registration_token: Some(TokenHash(token.hash())) };
    let cause = caller.cause(ActorKind::Anonymous, door.token().map(|id| id.to_string()), "dcr");
    let entered = enter(app, &cause, door, parsed, hashes).await?;

    let bound = match (server, &entered.registration) {
        (Some(id), Some(registration)) => Some((id, registration, app.standing(id, Life::Registered, registration).await?)),
        _ => None,
    };
    let mut body = wire::client(&entered.profile, bound);
    if let Some((secret, _)) = secret {
        body.insert("client_secret".to_owned(), secret.expose().into());
        body.insert("client_secret_expires_at".to_owned(), 0.into());
    }
    // A shared client has no token, and so nothing to manage it at (RFC 7591 §3.2.1 has both or neither).
    if entered.profile.registration_token == Some(TokenHash(token.hash())) {
        body.insert("registration_access_token".to_owned(), token.expose().into());
        body.insert("registration_client_uri".to_owned(), app.registration_client_uri(&entered.profile.client_id).into());
    }
    Ok(Written((StatusCode::CREATED, allowance::headers(&allowances), Json(body)), entered.position))
}

/// Counts at the resource server. What was refused before here takes nothing from what others may still register there.
async fn below_ceiling(app: &App, server: Option<ResourceServerId>) -> Result<Option<Allowance>, Failure> {
    let Some(id) = server else { return Ok(None) };
    let per_minute = app.commands().resource_server(id).await?.policy.registrations_per_minute;
    app.ceilings().admit_at(id, per_minute).map_err(Failure::TooMany)
}

/// Registers where there is room. One more instance of a client that is in takes none.
async fn enter(app: &App, cause: &Cause, door: Door, parsed: Parsed, hashes: DrawnHashes) -> Result<Entered, Failure> {
    if let Some(shared) = app.commands().shared(&door, &parsed).await? {
        return Ok(shared);
    }
    let place = app.census().place(app, door.server()).await?;
    let entered = app.commands().register_self(cause, door, parsed, hashes).await?;
    place.fill(app, entered.position).await;
    Ok(entered)
}

/// A token that is presented is looked at first, whether or not one is wanted. It is for one resource server: a request that
/// names none goes there, and one that names another presents a token that is not valid.
async fn door(app: &App, headers: &HeaderMap, resource: Option<&str>, in_path: Option<ResourceServerId>) -> Result<Door, Failure> {
    let presented = match bearer(headers) {
        Some(text) => Some(app.commands().presented(&InitialAccessToken::received(text)).await?),
        None => None,
    };
    let server = app.bind(resource, in_path.or(presented.as_ref().map(|token| token.server))).await?;
    Ok(app.commands().door(server, presented).await?)
}

/// The software statement of a request, if the resource server that it is about reads any (RFC 7591 §2.3). Its claims are then
/// in the request.
pub async fn vouched(app: &App, server: Option<ResourceServerId>, request: &mut Map<String, Value>) -> Result<Option<Vouched>, Failure> {
    let Some(id) = server else { return Ok(None) };
    let server = app.commands().resource_server(id).await?;
    let vouched = app.statements().read(&server.policy, request, &app.audiences_of_statements().await?).await?;
    if let Some(vouched) = &vouched {
        vouched.overrule(request);
    }
    Ok(vouched)
}

/// A secret and its hash; the hash is the only one of the two that goes on from here.
pub fn draw_secret() -> Result<(ClientSecret, SecretHash), Failure> {
    let secret = ClientSecret::try_draw().map_err(|_| Failure::Internal("no random bits are to be had"))?;
    let hash = hash_drawn(&secret)?;
    Ok((secret, hash))
}

/// What Gatebook drew needs no stretching (NIST SP 800-63B).
pub fn hash_drawn(secret: &ClientSecret) -> Result<SecretHash, Failure> {
    let phc = hash_secret(secret, Cost::Drawn).map_err(|_| Failure::Internal("a secret could not be hashed"))?;
    SecretHash::try_new(&phc).map_err(|_| Failure::Internal("a secret could not be hashed"))
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
