//! `GET /.well-known/oauth-authorization-server[…]`: how a client finds where to register (RFC 8414 §3). The authorization
//! server's metadata with the register's own part: where to register, while that is admitted, and what was registered can do.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use gatebook_events::admission::RegistrationType;
use gatebook_events::identity::ResourceServerId;
use gatebook_events::resource_server::Life;
use serde_json::{Map, Value, json};

use super::error::{Failure, OauthError};
use crate::application::access_tokens::HELD;
use crate::application::audiences::issuer;
use crate::application::authorization_server::NoMetadata;
use crate::application::error::UseCaseError;
use crate::application::services::Services;

/// Where metadata are: the path of an issuer stands behind it (RFC 8414 §3.1).
pub const PLACE: &str = "/.well-known/oauth-authorization-server";
/// An authorization server that says so puts its issuer into its answers (RFC 9207 §3).
const ISS: &str = "authorization_response_iss_parameter_supported";

/// For the instance: its registration endpoint is there while any resource server admits clients that register themselves.
pub async fn instance(State(services): State<Services>) -> Result<Response, OauthError> {
    let known = services.commands.known_servers().await?;
    let announced = |kind| known.active().any(|server| server.announces(kind));
    let open =
        Open { to_themselves: announced(RegistrationType::Dcr), to_documents: documents(&services, announced(RegistrationType::Cimd)) };
    answer(&services, "", open, None).await
}

/// For the issuer whose path stands behind the well-known part. A public URL with a path is there with it, as RFC 8414 §3.1 has it,
/// and without it, for a proxy that takes the path off.
pub async fn of_path(State(services): State<Services>, uri: Uri) -> Result<Response, OauthError> {
    let path = uri.path().strip_prefix(PLACE).unwrap_or_default().trim_end_matches('/');
    let below_public_url = path.strip_prefix(path_of(&services.public_url)).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match below_public_url.unwrap_or(path) {
        "" => instance(State(services)).await,
        "/oauth" => Ok(own_tokens(&services)),
        other => match other.strip_prefix("/rs/") {
            Some(id) => resource_server(&services, id).await,
            None => Err(missing("there is no issuer with that path").into()),
        },
    }
}

/// For one resource server, under an issuer of its own.
async fn resource_server(services: &Services, id: &str) -> Result<Response, OauthError> {
    let missing = || missing("there is no such resource server");
    let id = id.parse::<ResourceServerId>().map_err(|_| missing())?;
    let server = services.commands.resource_server(id).await?;
    if server.life != Life::Active {
        return Err(missing().into());
    }
    let scopes = server.policy.scope_ceiling.as_ref().map(|ceiling| Scopes {
        ceiling: ceiling.tokens().map(Value::from).collect(),
        outside: server.policy.authorization_server_scopes.clone(),
    });
    let announced = |kind| server.announces(kind);
    let open =
        Open { to_themselves: announced(RegistrationType::Dcr), to_documents: documents(services, announced(RegistrationType::Cimd)) };
    answer(services, &format!("/rs/{id}"), open, scopes).await
}

fn missing(detail: &str) -> Failure {
    Failure::request(StatusCode::NOT_FOUND, "invalid_target", detail)
}

/// The path of a URL, without a slash at the end.
fn path_of(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or("", |(_, rest)| rest);
    after_scheme.find('/').and_then(|start| after_scheme.get(start..)).unwrap_or_default().trim_end_matches('/')
}

/// Whether clients with documents are announced: an operator may have said for the whole instance that they are not.
fn documents(services: &Services, announced: bool) -> bool {
    announced && services.manifests.manifests().are_announced()
}

/// For the issuer of the access tokens that clients get here for themselves.
fn own_tokens(services: &Services) -> Response {
    ([(header::CACHE_CONTROL, "public, max-age=60")], Json(services.access_tokens.metadata())).into_response()
}

/// The keys that those are signed with (RFC 7517 §5).
pub async fn key_set(State(services): State<Services>) -> Result<Response, OauthError> {
    let keys = services.access_tokens.ring().published(services.commands.clock().now()).await.map_err(Failure::from)?;
    let held = format!("public, max-age={}", HELD.num_seconds());
    Ok(([(header::CACHE_CONTROL, held), (header::CONTENT_TYPE, "application/jwk-set+json".to_owned())], keys.to_string()).into_response())
}

/// Which ways in are announced.
#[derive(Clone, Copy)]
struct Open {
    /// Clients that register themselves.
    to_themselves: bool,
    /// Clients that host their own document.
    to_documents: bool,
}

/// The scopes that a resource server with a ceiling announces: its own, and those that the authorization server announces of the
/// scopes that the ceiling says nothing about.
struct Scopes {
    ceiling: Vec<Value>,
    outside: Vec<String>,
}

/// The metadata of the issuer with this path below the public URL.
async fn answer(services: &Services, path: &str, open: Open, scopes: Option<Scopes>) -> Result<Response, OauthError> {
    let upstream = services.authorization_server.metadata().await.map_err(|reason| match reason {
        NoMetadata::NotConfigured => Failure::request(StatusCode::NOT_FOUND, "temporarily_unavailable", reason.to_string()),
        NoMetadata::Unavailable => UseCaseError::NoMetadata.into(),
    })?;
    let base = format!("{}{path}", &services.public_url);
    let issuer = issuer(&upstream, &base);
    if let Some(reason) = cannot_work(&upstream, &issuer, &base) {
        return Err(Failure::request(StatusCode::NOT_FOUND, "invalid_request", reason).into());
    }
    let document = merge(upstream, &issuer, &base, open, scopes);
    Ok(([(header::CACHE_CONTROL, "public, max-age=60")], Json(document)).into_response())
}

/// Why clients would end with an issuer mismatch. They compare the `iss` of the answers, which is the authorization server's, with
/// the issuer of the metadata that they found (RFC 9207 §2.4); many do so whatever the metadata say.
fn cannot_work(upstream: &Map<String, Value>, issuer: &str, base: &str) -> Option<String> {
    let stated = upstream.get("issuer").and_then(Value::as_str)?;
    if upstream.get(ISS) != Some(&Value::Bool(true)) || stated == issuer {
        return None;
    }
    Some(format!(
        "no metadata are published for the issuer {issuer}: the authorization server says {ISS}, so its answers name {} as iss, and \
         clients refuse an answer of another issuer than the metadata's (RFC 9207); what works is one issuer: the authorization \
         server's own metadata, with {base}/oauth/register as their registration_endpoint, or a proxy that gives both the \
         authorization server's issuer, with --public-url set to it",
        gatebook_events::json::ascii(stated)
    ))
}

/// RFC 8414 §2. What the authorization server says of itself stays; what a client could do there that is registered here is
/// the part that both know; empty lists are left out (§3.2). `base` is what the register's endpoints start with.
fn merge(mut document: Map<String, Value>, issuer: &str, base: &str, open: Open, scopes: Option<Scopes>) -> Map<String, Value> {
    document.insert("issuer".to_owned(), issuer.into());
    document.remove("registration_endpoint");
    if open.to_themselves {
        document.insert("registration_endpoint".to_owned(), format!("{base}/oauth/register").into());
    }
    // CIMD §5. The register reads the documents, whatever the authorization server would do with them.
    document.remove("client_id_metadata_document_supported");
    if open.to_documents {
        document.insert("client_id_metadata_document_supported".to_owned(), true.into());
    }
    if let Some(Scopes { ceiling: mut supported, outside }) = scopes {
        let theirs = document.get("scopes_supported").and_then(Value::as_array).into_iter().flatten();
        let outside = theirs.filter(|scope| scope.as_str().is_some_and(|name| outside.iter().any(|known| known == name)));
        let added: Vec<Value> = outside.filter(|scope| !supported.contains(scope)).cloned().collect();
        supported.extend(added);
        document.insert("scopes_supported".to_owned(), supported.into());
    }
    // Signed metadata would vouch for members that are other ones now.
    document.remove("signed_metadata");
    // Whether clients get tokens for themselves there, only the authorization server can say; here they do, at an issuer of its own.
    document.entry("response_types_supported").or_insert_with(|| json!(["code"]));
    document.entry("grant_types_supported").or_insert_with(|| json!(["authorization_code", "refresh_token"]));
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
            "service_documentation": null }));
        let issuer = "https://gate.example/rs/1";
        let merged = merge(upstream, issuer, issuer, Open { to_themselves: true, to_documents: true }, None);
        assert_eq!(
            Value::Object(merged),
            json!({
                "issuer": "https://gate.example/rs/1", "authorization_endpoint": "https://as.example/authorize", "token_endpoint": "https://as.example/token",
                "registration_endpoint": "https://gate.example/rs/1/oauth/register", "client_id_metadata_document_supported": true, "jwks_uri": "https://as.example/jwks",
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt", "none"],
                "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
                "response_types_supported": ["code"], "grant_types_supported": ["authorization_code", "refresh_token"],
                "code_challenge_methods_supported": ["S256"] })
        );
    }

    #[test]
    fn r9_client_credentials_are_announced_where_the_authorization_server_says_so() {
        let open = Open { to_themselves: true, to_documents: true };
        let grants =
            |upstream| merge(object(upstream), "https://gate.example", "https://gate.example", open, None).remove("grant_types_supported");
        assert_eq!(grants(json!({})), Some(json!(["authorization_code", "refresh_token"])));
        let stated = json!({ "grant_types_supported": ["authorization_code", "client_credentials"] });
        assert_eq!(grants(stated), Some(json!(["authorization_code", "client_credentials"])));
    }

    #[test]
    fn w14_what_clients_that_compare_iss_could_not_use_is_not_published() {
        let refused =
            |issuer: &str, says: Value| cannot_work(&object(json!({ "issuer": "https://as.example", ISS: says })), issuer, issuer);
        for issuer in ["https://as.example/rs/1", "https://gate.example", "https://as.example/"] {
            let reason = refused(issuer, true.into()).unwrap();
            assert!(reason.contains(issuer) && reason.contains("name https://as.example as iss") && reason.is_ascii(), "{reason}");
            assert!(reason.contains(&format!("{issuer}/oauth/register as their registration_endpoint")), "{reason}");
            assert_eq!((refused(issuer, false.into()), refused(issuer, Value::Null)), (None, None));
        }
        assert_eq!(refused("https://as.example", true.into()), None);
        assert_eq!(cannot_work(&object(json!({ ISS: true })), "https://gate.example", "https://gate.example"), None);
    }

    #[test]
    fn a_path_is_what_stands_behind_the_host() {
        for (url, path) in [("https://h", ""), ("https://h/", ""), ("https://h/realms/acme", "/realms/acme"), ("https://h:1/a/", "/a")] {
            assert_eq!(path_of(url), path);
        }
    }

    #[test]
    fn d2_no_registration_endpoint_where_nobody_may_register_itself() {
        let upstream =
            object(json!({ "registration_endpoint": "https://as.example/register", "client_id_metadata_document_supported": true }));
        let closed = Open { to_themselves: false, to_documents: false };
        let scopes = Scopes { ceiling: vec!["mcp:read".into()], outside: vec!["offline_access".to_owned()] };
        let merged = merge(upstream, "https://gate.example", "https://gate.example", closed, Some(scopes));
        assert!(!merged.contains_key("registration_endpoint") && !merged.contains_key("client_id_metadata_document_supported"));
        assert_eq!(merged.get("scopes_supported"), Some(&json!(["mcp:read"])));
    }

    #[test]
    fn w13_a_ceiling_takes_no_scope_of_the_authorization_server_out_of_the_metadata() {
        let upstream = object(json!({ "scopes_supported": ["offline_access", "mcp:read", "mcp:admin"] }));
        let scopes = Scopes { ceiling: vec!["mcp:read".into()], outside: ["openid", "offline_access"].map(str::to_owned).to_vec() };
        let open = Open { to_themselves: true, to_documents: true };
        let merged = merge(upstream, "https://gate.example", "https://gate.example", open, Some(scopes));
        assert_eq!(merged.get("scopes_supported"), Some(&json!(["mcp:read", "offline_access"])));
    }
}
