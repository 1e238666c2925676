//! `POST /oauth/decisions` and `GET /oauth/clients/{client_id}`: what an authorization server asks before it lets a client in.

use std::net::IpAddr;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use gatebook_events::answer_version::AnswerVersion;
use gatebook_events::decision::{Question, Reason};
use gatebook_events::identity::{ClientId, ResourceServerId};
use gatebook_events::redirect::RedirectUri;
use gatebook_events::scope::Scope;
use gatebook_events::standing::Decision;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::application::decisions::{self, Answer, Effective, Subject};
use crate::application::error::UseCaseError;
use crate::application::services::Services;
use crate::http::caller::{Decider, Parameters, Path};
use crate::http::consistency::Written;
use crate::http::error::{Failure, OauthError};
use crate::http::etag;
use crate::http::json as body_json;
use crate::http::response;

/// The most questions of one call.
const MOST_QUESTIONS: usize = 100;

/// A question, as it is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    client_id: String,
    resource: Option<String>,
    redirect_uri: Option<String>,
    grant_type: Option<String>,
    scope: Option<String>,
    registration_version: Option<String>,
    /// The address that the user came from: what is fetched for the question is counted for it.
    source: Option<IpAddr>,
}

/// Which resource server a look-up is about.
#[derive(Deserialize)]
pub struct At {
    resource: Option<String>,
}

/// `POST /oauth/decisions`: always 200 where the question could be understood; the answer says allow, deny or pending. With
/// `{"questions": […]}` it has as many answers in their order, and a question that could not be understood has its error there.
pub async fn decide(
    State(services): State<Services>,
    caller: Decider,
    headers: HeaderMap,
    body: Body,
) -> Result<(HeaderMap, Written<Json<Map<String, Value>>>), OauthError> {
    let mut body = body_json::object(&headers, body, "invalid_request").await?;
    let Some(questions) = body.remove("questions") else {
        let answer = one(&services, &caller, body).await?;
        let retry_after = answer.retry_after.map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds)));
        return Ok((retry_after.into_iter().collect(), Written(Json(render(&answer)), answer.position)));
    };
    let questions = match questions {
        Value::Array(questions) if body.is_empty() && (1..=MOST_QUESTIONS).contains(&questions.len()) => questions,
        _ => return Err(invalid("questions is an array of 1 to 100 questions, and nothing stands beside it").into()),
    };
    let answers = join_all(questions.into_iter().map(|question| async {
        match question {
            Value::Object(question) => one(&services, &caller, question).await,
            _ => Err(invalid("a question is an object").into()),
        }
    }))
    .await;
    let position = answers.iter().flatten().filter_map(|answer| answer.position).max();
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.map_or_else(OauthError::into_body, |answer| render(&answer))).collect();
    let mut body = Map::new();
    body.insert("answers".to_owned(), json!(answers));
    Ok((HeaderMap::new(), Written(Json(body), position)))
}

async fn one(services: &Services, caller: &Decider, question: Map<String, Value>) -> Result<Answer, OauthError> {
    let asked: Asked =
        serde_json::from_value(Value::Object(question)).map_err(|error| invalid(gatebook_events::json::ascii(&error.to_string())))?;
    let client_id = ClientId::parse(&asked.client_id).map_err(|_| invalid("client_id is not 1 to 2048 printable ASCII characters"))?;
    let scope = asked.scope.as_deref().map(Scope::parse).transpose().map_err(|_| invalid("scope has a character that is not allowed"))?;
    let since = asked.registration_version.as_deref().map(str::parse::<AnswerVersion>).transpose();
    let since = since.map_err(|problem| invalid(problem.to_string()))?;
    let question = Question {
        redirect_uri: asked.redirect_uri.as_deref(),
        grant_type: asked.grant_type.as_deref().filter(|grant| !grant.is_empty()),
        scope: scope.as_ref().and_then(Option::as_ref),
    };
    ask(services, caller, asked.resource.as_deref(), &Subject { client_id: &client_id, since, source: asked.source }, &question).await
}

/// `GET /oauth/clients/{client_id}?resource=`: the effective client, as an authorization server's client store needs it;
/// 404 when there is none that may act.
pub async fn client(
    State(services): State<Services>,
    caller: Decider,
    Path(client_id): Path<String>,
    Parameters(at): Parameters<At>,
    headers: HeaderMap,
) -> Result<Response, OauthError> {
    let none = || Failure::request(StatusCode::NOT_FOUND, "invalid_client", "there is no such client that may act there");
    let client_id = ClientId::parse(&client_id).map_err(|_| none())?;
    let subject = Subject { client_id: &client_id, since: None, source: None };
    let answer = ask(&services, &caller, at.resource.as_deref(), &subject, &Question::default()).await?;
    let reason = answer.verdict.reason;
    // A client that need only be looked at is told so.
    let refusal = || reason.cure().map_or_else(none, |cure| Failure::request(StatusCode::NOT_FOUND, "invalid_client", cure));
    if let (Reason::DocumentNotTried, Some(seconds)) = (reason, answer.retry_after) {
        return Err(UseCaseError::NotTried(seconds).into());
    }
    let client = answer.client.as_ref().filter(|_| reason.decision() == Decision::Allow).ok_or_else(refusal)?;
    let mut standing = Map::new();
    standing.insert("decision".to_owned(), json!(reason.decision()));
    standing.insert("reason".to_owned(), reason.as_str().into());
    standing.insert("status".to_owned(), client.registration.status.as_str().into());
    standing.insert("registration_type".to_owned(), client.profile.registration_type.as_str().into());
    standing.insert("warnings".to_owned(), json!(answer.warnings));
    response::put(&mut standing, "resembles", answer.resembles.as_ref().map(response::resembles));
    response::put(&mut standing, "registration_version", answer.version.map(|version| version.to_string()));
    response::put(&mut standing, "claimed", claimed(client));
    let mut body = members(client);
    body.insert("gatebook".to_owned(), standing.into());
    Ok(Written(etag::answer(&headers, &body), answer.position).into_response())
}

async fn ask(
    services: &Services,
    caller: &Decider,
    resource: Option<&str>,
    subject: &Subject<'_>,
    question: &Question<'_>,
) -> Result<Answer, OauthError> {
    let server = target(services, caller, resource).await?;
    let answer = decisions::ask(services, server, subject, question).await;
    services.metrics.decided(answer.as_ref().map_or("failed", |answer| answer.verdict.reason.decision().as_str()));
    Ok(answer?)
}

/// The resource server that a caller means, among those that it may ask about.
pub(super) async fn target(services: &Services, caller: &Decider, resource: Option<&str>) -> Result<ResourceServerId, OauthError> {
    let resource = resource.filter(|resource| !resource.is_empty());
    let unknown = || Failure::request(StatusCode::BAD_REQUEST, "invalid_target", "resource names no resource server of this tenant");
    let only = caller.only().filter(|_| resource.is_none());
    let named = match only {
        Some(server) => Some(server),
        None => decisions::resource_server(services, &caller.tenant, resource).await?,
    };
    Ok(named.filter(|server| caller.sees(*server)).ok_or_else(unknown)?)
}

pub(super) fn invalid(detail: impl Into<String>) -> Failure {
    Failure::request(StatusCode::BAD_REQUEST, "invalid_request", detail)
}

fn render(answer: &Answer) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("decision".to_owned(), json!(answer.verdict.reason.decision()));
    body.insert("reason".to_owned(), answer.verdict.reason.as_str().into());
    response::put(&mut body, "cure", answer.verdict.reason.cure());
    response::put(&mut body, "retry_after", answer.retry_after);
    response::put(&mut body, "redirect_uri", answer.verdict.redirect_uri.clone());
    let host = answer.verdict.redirect_uri.as_deref().and_then(|uri| RedirectUri::parse(uri).ok().map(|uri| uri.host().to_owned()));
    response::put(&mut body, "redirect_host", host);
    body.insert("warnings".to_owned(), json!(answer.warnings));
    response::put(&mut body, "resembles", answer.resembles.as_ref().map(response::resembles));
    response::put(&mut body, "registration_version", answer.version.map(|version| version.to_string()));
    response::put(&mut body, "client", answer.client.as_ref().map(members));
    response::put(&mut body, "claimed", answer.client.as_ref().and_then(claimed));
    body
}

/// What the client claims that does not serve, member by member.
fn claimed(client: &Effective) -> Option<Value> {
    let (serving, said) = (&client.registration.redirect_uris, &client.profile.metadata);
    let mut members = response::differing(&client.metadata, said).unwrap_or_default();
    response::put(&mut members, "redirect_uris", (!said.redirect_uris.same_set(serving)).then(|| json!(said.redirect_uris)));
    Some(Value::Object(members)).filter(|members| *members != json!({}))
}

/// RFC 7591 members: what serves, never what is merely claimed.
pub(super) fn members(client: &Effective) -> Map<String, Value> {
    let mut body = client.metadata.members();
    body.insert("client_id".to_owned(), client.profile.client_id.as_str().into());
    body.insert("client_id_issued_at".to_owned(), client.profile.issued_at.timestamp().into());
    body.insert("redirect_uris".to_owned(), json!(client.registration.redirect_uris));
    body
}
