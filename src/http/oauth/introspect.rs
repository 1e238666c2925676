//! `POST /oauth/introspect`: whether an access token that was given out here is good now (RFC 7662).

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::{Map, Value, json};

use super::decisions::invalid;
use crate::application::access_tokens::Grant;
use crate::application::decisions;
use crate::application::services::Services;
use crate::http::caller::Decider;
use crate::http::error::{Failure, OauthError};
use crate::http::json as body_json;

/// Always 200 where the question could be understood. Of a token that is over, unknown, another's, or whose client may no longer
/// act, nothing is said but that (§2.2).
pub async fn introspect(
    State(services): State<Services>,
    caller: Decider,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Map<String, Value>>, OauthError> {
    let form = body_json::form(&headers, body, "invalid_request").await?;
    let token = form.one("token")?.ok_or_else(|| invalid("token is missing"))?;
    let read = services.access_tokens.read(token, services.commands.clock().now()).await.map_err(Failure::from)?;
    let mut body = Map::new();
    if let Some(read) = read
        && stands(&services, &caller, &read.grant).await?
    {
        body = read.claims;
        body.remove("gatebook_resource_server");
        body.insert("token_type".to_owned(), "Bearer".into());
        body.insert("active".to_owned(), json!(true));
    } else {
        body.insert("active".to_owned(), json!(false));
    }
    Ok(Json(body))
}

/// Whether it is good at a resource server that the caller may ask about.
async fn stands(services: &Services, caller: &Decider, grant: &Grant) -> Result<bool, Failure> {
    let server = services.commands.resource_server(grant.resource_server).await?;
    let theirs = server.tenant.as_ref() == Some(&caller.tenant) && caller.sees(grant.resource_server);
    Ok(theirs && decisions::still_granted(services, grant).await?)
}
