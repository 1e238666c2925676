//! `POST /oauth/decisions` and `GET /oauth/clients/{client_id}`: what an authorization server asks before it lets a client in.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use gatebook_events::decision::Question;
use gatebook_events::identity::ClientId;
use gatebook_events::redirect::RedirectUri;
use gatebook_events::scope::Scope;
use gatebook_events::standing::Decision;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::doors::{self, Answer, Effective};
use crate::http::caller::{Decider, Parameters, Path};
use crate::http::error::{Failure, OauthError};
use crate::http::fresh::Written;
use crate::http::{json as body_json, wire};

/// A question, as it is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    client_id: String,
    resource: Option<String>,
    redirect_uri: Option<String>,
    grant_type: Option<String>,
    scope: Option<String>,
}

/// Which resource server a look-up is about.
#[derive(Deserialize)]
pub struct At {
    resource: Option<String>,
}

/// `POST /oauth/decisions`: always 200 where the question could be understood; the answer says allow, deny or pending.
pub async fn decide(
    State(app): State<App>,
    caller: Decider,
    headers: HeaderMap,
    body: Body,
) -> Result<Written<Json<Map<String, Value>>>, OauthError> {
    let asked: Asked = body_json::typed(body_json::object(&headers, body, "invalid_request").await?)?;
    let invalid = |detail: &str| Failure::request(StatusCode::BAD_REQUEST, "invalid_request", detail);
    let client_id = ClientId::parse(&asked.client_id).map_err(|_| invalid("client_id is not 1 to 2048 printable ASCII characters"))?;
    let scope = asked.scope.as_deref().map(Scope::parse).transpose().map_err(|_| invalid("scope has a character that is not allowed"))?;
    let question = Question {
        redirect_uri: asked.redirect_uri.as_deref(),
        grant_type: asked.grant_type.as_deref().filter(|grant| !grant.is_empty()),
        scope: scope.as_ref().and_then(Option::as_ref),
    };
    let answer = ask(&app, &caller, asked.resource.as_deref(), &client_id, &question).await?;
    Ok(Written(Json(render(&answer)), answer.position))
}

/// `GET /oauth/clients/{client_id}?resource=`: the effective client, as an authorization server's client store needs it;
/// 404 when there is none that may act.
pub async fn client(
    State(app): State<App>,
    caller: Decider,
    Path(client_id): Path<String>,
    Parameters(at): Parameters<At>,
) -> Result<Written<Json<Map<String, Value>>>, OauthError> {
    let none = || Failure::request(StatusCode::NOT_FOUND, "invalid_client", "there is no such client that may act there");
    let client_id = ClientId::parse(&client_id).map_err(|_| none())?;
    let answer = ask(&app, &caller, at.resource.as_deref(), &client_id, &Question::default()).await?;
    let position = answer.position;
    let client = answer.client.as_ref().filter(|_| answer.verdict.reason.decision() == Decision::Allow).ok_or_else(none)?;
    let mut body = members(client);
    let mut standing = Map::new();
    standing.insert("decision".to_owned(), json!(answer.verdict.reason.decision()));
    standing.insert("reason".to_owned(), answer.verdict.reason.as_str().into());
    standing.insert("registration_type".to_owned(), client.profile.registration_type.as_str().into());
    standing.insert("warnings".to_owned(), json!(answer.warnings));
    wire::put(&mut standing, "resembles", answer.resembles.as_ref().map(wire::resembles));
    body.insert("gatebook".to_owned(), standing.into());
    Ok(Written(Json(body), position))
}

async fn ask(
    app: &App,
    caller: &Decider,
    resource: Option<&str>,
    client_id: &ClientId,
    question: &Question<'_>,
) -> Result<Answer, OauthError> {
    let resource = resource.filter(|resource| !resource.is_empty());
    let unknown = || Failure::request(StatusCode::BAD_REQUEST, "invalid_target", "resource names no resource server of this tenant");
    let server = doors::resource_server(app, &caller.tenant, resource).await?.ok_or_else(unknown)?;
    let answer = doors::ask(app, server, client_id, question).await;
    app.metrics().decided(answer.as_ref().map_or("failed", |answer| answer.verdict.reason.decision().as_str()));
    Ok(answer?)
}

fn render(answer: &Answer) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("decision".to_owned(), json!(answer.verdict.reason.decision()));
    body.insert("reason".to_owned(), answer.verdict.reason.as_str().into());
    wire::put(&mut body, "redirect_uri", answer.verdict.redirect_uri.clone());
    let host = answer.verdict.redirect_uri.as_deref().and_then(|uri| RedirectUri::parse(uri).ok().map(|uri| uri.host().to_owned()));
    wire::put(&mut body, "redirect_host", host);
    body.insert("warnings".to_owned(), json!(answer.warnings));
    wire::put(&mut body, "resembles", answer.resembles.as_ref().map(wire::resembles));
    wire::put(&mut body, "client", answer.client.as_ref().map(members));
    body
}

/// RFC 7591 members: what serves, never what is merely claimed.
fn members(client: &Effective) -> Map<String, Value> {
    let mut body = client.metadata.members();
    body.insert("client_id".to_owned(), client.profile.client_id.as_str().into());
    body.insert("client_id_issued_at".to_owned(), client.profile.issued_at.timestamp().into());
    body.insert("redirect_uris".to_owned(), json!(client.registration.redirect_uris));
    body
}
