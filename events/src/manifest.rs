//! A client's own document (CIMD, draft-ietf-oauth-client-id-metadata-document): which URLs may be one, and what it may say.
//! Fetching it is another matter.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::json::{self, JsonProblem};
use crate::metadata::{self, AuthMethod, ClientMetadata, GrantType, Jwks, LeftOut, MetadataError, vocabulary};
use crate::name;

mod trouble;
mod url;

pub use trouble::{Trouble, TroubleKind};
pub use url::{ManifestUrl, ManifestUrlProblem, is_url_client_id};

vocabulary! {
    /// What a document has to have.
    Profile {
        /// `client_id`, `client_name` and `redirect_uris` (MCP 2026-07-28, client registration).
        Mcp = "mcp",
        /// `client_id`, and `redirect_uris` for grants that redirect (CIMD §4.1).
        Ietf = "ietf",
    }
}

vocabulary! {
    /// What is odd about a document that is used all the same.
    Warning {
        /// It asks for a grant that is not supported here, or not for a public client; the others are registered.
        GrantStripped = "grant_stripped",
        /// It names no way to authenticate, so it is a public client (RFC 7591 §2 would make it one with a secret).
        AuthMethodAssumed = "auth_method_assumed",
        /// It offers several ways to authenticate, or one that is unknown here beside others; one that works was taken.
        AuthMethodNegotiated = "auth_method_negotiated",
        /// Its logo lies on another host.
        LogoElsewhere = "logo_on_another_host",
        /// An answer may go to another host, other than the user's own machine (CIMD §6.1).
        RedirectElsewhere = "redirect_on_another_host",
        /// Its URL has a query (CIMD §3 says that it should not).
        Query = "query_in_client_id",
        /// A member that only informs cannot be used, or a redirect URI is none; the rest was read.
        LeftOut = "member_left_out",
    }
}

/// A document that may be registered.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// What will be registered, if the resource server agrees.
    pub metadata: ClientMetadata,
    /// What is odd about it, in the order of [`Warning::ALL`].
    pub warnings: Vec<Warning>,
    /// What was left out because it cannot be used, by member.
    pub left_out: Vec<LeftOut>,
    /// The names of members that were ignored, sorted; values are not kept.
    pub ignored: Vec<Box<str>>,
}

/// Why a document cannot be registered. The sentence is ASCII; it is for administrators.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not an object that reads in one way only.
    #[error("the document {0}")]
    Json(JsonProblem),
    /// Simple string comparison (CIMD §4.1): no case, port, slash or percent-encoding is forgiven.
    #[error("client_id is not, to the letter, the URL of the document")]
    ClientId,
    /// The profile requires it.
    #[error("{0} is required")]
    Missing(&'static str),
    /// CIMD §4.1
    #[error("{0} must not stand in a document that anybody can read")]
    Secret(&'static str),
    /// CIMD §4.1: there is no secret that both sides could share.
    #[error("{0}")]
    AuthMethod(&'static str),
    /// RFC 7591 §2
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

impl ManifestError {
    /// The word for it that may be stored.
    pub const fn trouble(&self) -> Trouble {
        match self {
            Self::Json(_) => Trouble::NotJson,
            Self::ClientId => Trouble::ClientId,
            Self::Missing(_) => Trouble::Missing,
            Self::Secret(_) => Trouble::Secret,
            Self::AuthMethod(_) => Trouble::AuthMethod,
            Self::Metadata(_) => Trouble::Metadata,
        }
    }
}

/// Reads the document that stands at `url`.
///
/// Known vendors' documents ask for more than can be given, so what can be left out is left out with a warning: unknown
/// grants, ways to authenticate that are only offered, members that only inform. What decides makes a document unusable where it
/// cannot be used: who it is, where answers go, how it proves itself and by which keys, and a secret that everybody can read.
pub fn parse(url: &ManifestUrl, document: &[u8], profile: Profile) -> Result<Manifest, ManifestError> {
    let mut members = json::object(document).map_err(ManifestError::Json)?;
    if members.remove("client_id").as_ref().and_then(Value::as_str) != Some(url.as_str()) {
        return Err(ManifestError::ClientId);
    }
    // Whatever its value: a document that has the member at all was written for another kind of client.
    if let Some(secret) = ["client_secret", "client_secret_expires_at"].into_iter().find(|name| members.contains_key(*name)) {
        return Err(ManifestError::Secret(secret));
    }
    members.retain(|name, value| !value.is_null() && value.as_str() != Some("") && !(name == "jwks" && Jwks::is_empty(value)));
    if profile == Profile::Mcp {
        require(&members)?;
    }

    let mut warnings = Vec::new();
    let method = auth_method(&mut members, &mut warnings)?;
    members.insert("token_endpoint_auth_method".to_owned(), method.as_str().into());
    strip_grants(&mut members, method, &mut warnings);
    let mut left_out = metadata::leave_out(&mut members, method);
    let mut parsed = metadata::parse(members)?;
    if let Err(error) = check_keys(url, &parsed.metadata) {
        if method != AuthMethod::None {
            return Err(error.into());
        }
        parsed.metadata.jwks_uri = None;
        left_out.push(LeftOut { member: error.member.into(), problem: error.problem.to_string().into() });
    }
    look_elsewhere(url, &parsed.metadata, &mut warnings);
    if !left_out.is_empty() {
        warnings.push(Warning::LeftOut);
    }
    warnings.sort();
    Ok(Manifest { metadata: parsed.metadata, warnings, left_out, ignored: parsed.ignored })
}

fn require(members: &Map<String, Value>) -> Result<(), ManifestError> {
    let blank = |value: &Value| value.as_str().is_some_and(|text| !name::has_something_to_see(text));
    if members.get("client_name").is_none_or(blank) {
        return Err(ManifestError::Missing("client_name"));
    }
    if members.get("redirect_uris").is_none_or(|uris| uris.as_array().is_some_and(Vec::is_empty)) {
        return Err(ManifestError::Missing("redirect_uris"));
    }
    Ok(())
}

/// What the document chose, else a way that it offers: `none` first, because a document cannot be told which was taken, and
/// clients that offer it use it. Nothing chosen and nothing offered is `none`.
fn auth_method(members: &mut Map<String, Value>, warnings: &mut Vec<Warning>) -> Result<AuthMethod, ManifestError> {
    const CHOSEN: &str = "token_endpoint_auth_method";
    const SYMMETRIC: ManifestError = ManifestError::AuthMethod("token_endpoint_auth_method needs a shared secret");
    const UNKNOWN: ManifestError = ManifestError::AuthMethod("token_endpoint_auth_method is none that is supported here");
    let offered = members.remove("token_endpoint_auth_methods_supported");
    let chosen = match members.get(CHOSEN) {
        None => None,
        Some(Value::String(text)) if text.starts_with("client_secret") => return Err(SYMMETRIC),
        Some(Value::String(text)) => Some(AuthMethod::known(text)),
        Some(_) => return Err(MetadataError::metadata(CHOSEN, "is not a string").into()),
    };
    if let Some(Some(method)) = chosen {
        return Ok(method);
    }
    let Some(offered) = offered.as_ref().and_then(Value::as_array) else {
        warnings.push(Warning::AuthMethodAssumed);
        return if chosen.is_none() { Ok(AuthMethod::None) } else { Err(UNKNOWN) };
    };
    let has_keys = members.contains_key("jwks") || members.contains_key("jwks_uri");
    let offers = |method: AuthMethod| offered.iter().any(|text| text.as_str() == Some(method.as_str()));
    warnings.push(Warning::AuthMethodNegotiated);
    if offers(AuthMethod::None) {
        Ok(AuthMethod::None)
    } else if offers(AuthMethod::PrivateKeyJwt) && has_keys {
        Ok(AuthMethod::PrivateKeyJwt)
    } else {
        Err(ManifestError::AuthMethod("token_endpoint_auth_methods_supported has none that is supported here"))
    }
}

/// Leaves out what cannot be granted. Where nothing remains, all of it stays, and is then refused by name.
fn strip_grants(members: &mut Map<String, Value>, method: AuthMethod, warnings: &mut Vec<Warning>) {
    let Some(asked) = members.get_mut("grant_types").and_then(Value::as_array_mut) else { return };
    let can_have = |value: &Value| match value.as_str().map(GrantType::known) {
        // A public client has nothing to show (RFC 6749 §4.4).
        Some(Some(GrantType::ClientCredentials)) => method != AuthMethod::None,
        Some(known) => known.is_some(),
        None => false,
    };
    let kept: Vec<Value> = asked.iter().filter(|grant| can_have(grant)).cloned().collect();
    if !kept.is_empty() && kept.len() < asked.len() {
        warnings.push(Warning::GrantStripped);
        *asked = kept;
    }
}

/// The keys are fetched as the document was, so their URL is held to the same rules (CIMD §6.5).
fn check_keys(url: &ManifestUrl, metadata: &ClientMetadata) -> Result<(), MetadataError> {
    let Some(uri) = &metadata.jwks_uri else { return Ok(()) };
    let judged = if url.is_loopback() { ManifestUrl::parse_for_development(uri.as_str()) } else { ManifestUrl::parse(uri.as_str()) };
    judged.map(drop).map_err(|_| MetadataError::metadata("jwks_uri", "is not a URL that a client's document may name"))
}

fn look_elsewhere(url: &ManifestUrl, metadata: &ClientMetadata, warnings: &mut Vec<Warning>) {
    let elsewhere = |host: &str| !host.eq_ignore_ascii_case(url.host());
    if metadata.logo_uri.as_ref().is_some_and(|logo| elsewhere(logo.host())) {
        warnings.push(Warning::LogoElsewhere);
    }
    let leaves = |uri: &crate::redirect::RedirectUri| !uri.is_loopback() && uri.private_use_scheme().is_none();
    if metadata.redirect_uris.iter().any(|uri| leaves(uri) && elsewhere(uri.host())) {
        warnings.push(Warning::RedirectElsewhere);
    }
    if url.has_query() {
        warnings.push(Warning::Query);
    }
}

#[cfg(test)]
mod tests;
