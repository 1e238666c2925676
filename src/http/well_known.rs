//! `GET /.well-known/oauth-authorization-server[/rs/{id}]`: how a client finds the door (RFC 8414 §3). The authorization
//! server's metadata with the register's own part: where to register, while that is admitted, and what was registered can do.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use gatebook_events::identity::ResourceServerId;
use gatebook_events::resource_server::{Life, RegistrationType};
use serde_json::{Map, Value, json};

use super::caller::Path;
use super::error::{Failure, OauthError};
use crate::access_tokens::HELD;
use crate::app::App;
use crate::upstream::NoMetadata;

/// For the instance: its registration endpoint is there while any resource server admits clients that register themselves.
pub async fn instance(State(app): State<App>) -> Result<Response, OauthError> {
    let known = app.known_servers().await?;
    let open_to = |kind| known.active().any(|server| server.open_to(kind).is_ok());
    let open = Open { to_themselves: open_to(RegistrationType::Dcr), to_documents: open_to(RegistrationType::Cimd) };
    answer(&app, app.public_url(), open, None).await
}

/// For one resource server, under an issuer of its own.
pub async fn resource_server(State(app): State<App>, Path(id): Path<String>) -> Result<Response, OauthError> {
    let missing = || Failure::request(StatusCode::NOT_FOUND, "invalid_target", "there is no such resource server");
    let id = id.parse::<ResourceServerId>().map_err(|_| missing())?;
    let server = app.commands().resource_server(id).await?;
    if server.life != Life::Active {
        return Err(missing().into());
    }
    let scopes = server.policy.scope_ceiling.as_ref().map(|scope| scope.tokens().map(Value::from).collect());
    let issuer = format!("{}/rs/{id}", app.public_url());
    let open_to = |kind| server.open_to(kind).is_ok();
    let open = Open { to_themselves: open_to(RegistrationType::Dcr), to_documents: open_to(RegistrationType::Cimd) };
    answer(&app, &issuer, open, scopes).await
}

/// For the issuer of the access tokens that clients get here for themselves.
pub async fn own_tokens(State(app): State<App>) -> Response {
    ([(header::CACHE_CONTROL, "public, max-age=60")], Json(app.access_tokens().metadata())).into_response()
}

/// The keys that those are signed with (RFC 7517 §5).
pub async fn key_set(State(app): State<App>) -> Result<Response, OauthError> {
    let keys = app.access_tokens().ring().published(app.commands().clock().now()).await.map_err(Failure::from)?;
    let held = format!("public, max-age={}", HELD.num_seconds());
    Ok(([(header::CACHE_CONTROL, held), (header::CONTENT_TYPE, "application/jwk-set+json".to_owned())], keys.to_string()).into_response())
}

/// Which ways in are admitted.
#[derive(Clone, Copy)]
struct Open {
    /// Clients that register themselves.
    to_themselves: bool,
    /// Clients that host their own document.
    to_documents: bool,
}

async fn answer(app: &App, issuer: &str, open: Open, scopes: Option<Vec<Value>>) -> Result<Response, OauthError> {
    let upstream = app.authorization_server().metadata().await.map_err(|reason| {
        let status = if reason == NoMetadata::NotConfigured { StatusCode::NOT_FOUND } else { StatusCode::SERVICE_UNAVAILABLE };
        Failure::request(status, "temporarily_unavailable", reason.to_string())
    })?;
    let document = merge(upstream, issuer, open, scopes);
    Ok(([(header::CACHE_CONTROL, "public, max-age=60")], Json(document)).into_response())
}

/// RFC 8414 §2. What the authorization server says of itself stays; what a client could do there that is registered here is
/// the part that both know; empty lists are left out (§3.2).
fn merge(mut document: Map<String, Value>, issuer: &str, open: Open, scopes: Option<Vec<Value>>) -> Map<String, Value> {
    let one_issuer = document.insert("issuer".to_owned(), issuer.into()).is_some_and(|stated| stated == issuer);
    document.remove("registration_endpoint");
    if open.to_themselves {
        document.insert("registration_endpoint".to_owned(), format!("{issuer}/oauth/register").into());
    }
    // CIMD §5. The register reads the documents, whatever the authorization server would do with them.
    document.remove("client_id_metadata_document_supported");
    if open.to_documents {
        document.insert("client_id_metadata_document_supported".to_owned(), true.into());
    }
    if let Some(scopes) = scopes {
        document.insert("scopes_supported".to_owned(), scopes.into());
    }
    // Signed metadata would vouch for members that are other ones now.
    document.remove("signed_metadata");
    // The `iss` of its answers names the authorization server itself, which RFC 9207 §2.4 compares with this issuer.
    if !one_issuer {
        document.remove("authorization_response_iss_parameter_supported");
    }
    document.entry("response_types_supported").or_insert_with(|| json!(["code"]));
    document.entry("grant_types_supported").or_insert_with(|| json!(["authorization_code", "refresh_token", "client_credentials"]));
    document.entry("code_challenge_methods_supported").or_insert_with(|| json!(["S256"]));
    methods(&mut document);
    document.retain(|_, member| !member.is_null() && member.as_array().is_none_or(|list| !list.is_empty()));
    document
}

/// `none` is among the methods: public clients register here, and some clients look for it before they do. One that signs has to
/// know with what, and never with nothing (RFC 8414 §2).
fn methods(document: &mut Map<String, Value>) {
    const NAME: &str = "token_endpoint_auth_methods_supported";
    const ALGORITHMS: &str = "token_endpoint_auth_signing_alg_values_supported";
    let stated = document.get(NAME).and_then(Value::as_array).cloned();
    let mut methods = stated.unwrap_or_else(|| vec!["client_secret_basic".into()]);
    methods.retain(|method| method.as_str().is_some_and(|text| gatebook_events::metadata::AuthMethod::known(text).is_some()));
    if !methods.contains(&Value::from("none")) {
        methods.push("none".into());
    }
    let signs = |method: &Value| method.as_str() == Some("private_key_jwt");
    let mut algorithms = document.remove(ALGORITHMS).and_then(|list| list.as_array().cloned()).unwrap_or_default();
    algorithms.retain(|algorithm| algorithm.as_str().is_some_and(|name| name != "none"));
    if algorithms.is_empty() {
        methods.retain(|method| !signs(method));
    } else if methods.iter().any(signs) {
        document.insert(ALGORITHMS.to_owned(), algorithms.into());
    }
    document.insert(NAME.to_owned(), methods.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(object) = value else { panic!("not an object") };
        object
    }

    #[test]
    fn d1_to_d9_the_registers_part_is_merged_and_the_rest_stays() {
        let upstream = object(json!({
            "issuer": "https://as.example", "authorization_endpoint": "https://as.example/authorize", "token_endpoint": "https://as.example/token",
            "registration_endpoint": "https://as.example/register", "jwks_uri": "https://as.example/jwks", "scopes_supported": [],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_jwt", "private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["ES256"], "client_id_metadata_document_supported": true,
            "service_documentation": null, "authorization_response_iss_parameter_supported": true }));
        let merged = merge(upstream, "https://gate.example/rs/1", Open { to_themselves: true, to_documents: true }, None);
        assert_eq!(
            Value::Object(merged),
            json!({
                "issuer": "https://gate.example/rs/1", "authorization_endpoint": "https://as.example/authorize", "token_endpoint": "https://as.example/token",
                "registration_endpoint": "https://gate.example/rs/1/oauth/register", "client_id_metadata_document_supported": true, "jwks_uri": "https://as.example/jwks",
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt", "none"],
                "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
                "response_types_supported": ["code"], "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
                "code_challenge_methods_supported": ["S256"] })
        );
    }

    #[test]
    fn d8_the_iss_of_its_answers_is_claimed_where_both_have_one_issuer() {
        let upstream = || object(json!({ "issuer": "https://as.example", "authorization_response_iss_parameter_supported": true }));
        let open = Open { to_themselves: true, to_documents: false };
        let claimed = |issuer| merge(upstream(), issuer, open, None).contains_key("authorization_response_iss_parameter_supported");
        assert_eq!(
            [claimed("https://as.example"), claimed("https://as.example/rs/1"), claimed("https://gate.example")],
            [true, false, false]
        );
    }

    #[test]
    fn d2_no_registration_endpoint_where_nobody_may_register_itself() {
        let upstream =
            object(json!({ "registration_endpoint": "https://as.example/register", "client_id_metadata_document_supported": true }));
        let closed = Open { to_themselves: false, to_documents: false };
        let merged = merge(upstream, "https://gate.example", closed, Some(vec!["mcp:read".into()]));
        assert!(!merged.contains_key("registration_endpoint") && !merged.contains_key("client_id_metadata_document_supported"));
        assert_eq!(merged.get("scopes_supported"), Some(&json!(["mcp:read"])));
    }
}
