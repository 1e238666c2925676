//! From the members of a registration request to [`ClientMetadata`]: every rule of RFC 7591 §2 and §2.1 that does not
//! depend on the resource server.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{ApplicationType, AuthMethod, ClientMetadata, GrantType, Jwks, ResponseType};
use crate::name::{self, NameProblem};
use crate::redirect::{RedirectProblem, RedirectUri, RedirectUris, WebUri};
use crate::scope::Scope;

/// What is said where none of the grants that were asked for is supported.
const NO_GRANT: &str = "has no grant that is supported here; supported are authorization_code, refresh_token, client_credentials and \
                        urn:ietf:params:oauth:grant-type:device_code";
/// What is said of a method that is not supported.
const NO_METHOD: &str = "is none that is supported here; supported are none, client_secret_basic, client_secret_post and private_key_jwt";
/// What is said of a type that is not supported.
pub(super) const NO_TYPE: &str = "is none that is supported here; supported are web and native";
/// The most members with a language tag.
pub(super) const MAX_LOCALIZED: usize = 50;
pub(super) const TOO_MANY_LOCALIZED: MetadataError =
    MetadataError::metadata("client_name", "and the other localized members are more than 50");
pub(super) const REDIRECTS_SHAPE: MetadataError = MetadataError::redirect("is not an array of strings");
/// The most contacts.
const MAX_CONTACTS: usize = 10;
/// The most names of ignored members that are kept, and the longest of them in bytes.
const MAX_IGNORED: (usize, usize) = (50, 64);

/// A request's metadata, and what of the request was not used.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// What will be registered, if the resource server agrees.
    pub metadata: ClientMetadata,
    /// The names of members that were ignored (RFC 7591 §2), sorted; values are not kept.
    pub ignored: Vec<Box<str>>,
}

/// Why metadata cannot be registered (RFC 7591 §3.2.2). The sentence is ASCII and may be shown to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{member}{} {problem}", .entry.map(|entry| format!("[{entry}]")).unwrap_or_default())]
pub struct MetadataError {
    /// The member in question.
    pub member: &'static str,
    /// Which entry of it, counted from 0; none where it is the whole.
    pub entry: Option<usize>,
    /// What is wrong with it, as the rest of a sentence, with what would be right.
    pub problem: Problem,
}

/// What is wrong with a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Answered as `invalid_client_metadata`.
    #[error("{0}")]
    Metadata(&'static str),
    /// Answered as `invalid_redirect_uri`.
    #[error("{0}")]
    Redirect(&'static str),
    /// Answered as `invalid_redirect_uri`: one of the URIs.
    #[error("{0}")]
    RedirectUri(RedirectProblem),
    /// Answered as `invalid_client_metadata`: a link.
    #[error("{0}")]
    Link(RedirectProblem),
}

impl MetadataError {
    pub(crate) const fn metadata(member: &'static str, problem: &'static str) -> Self {
        Self { member, entry: None, problem: Problem::Metadata(problem) }
    }

    pub(crate) const fn at(self, entry: usize) -> Self {
        Self { entry: Some(entry), ..self }
    }

    const fn name(member: &'static str, problem: NameProblem) -> Self {
        Self::metadata(member, problem.as_str())
    }

    const fn redirect(problem: &'static str) -> Self {
        Self { member: "redirect_uris", entry: None, problem: Problem::Redirect(problem) }
    }

    pub(super) const fn redirect_uri(problem: RedirectProblem) -> Self {
        Self { member: "redirect_uris", entry: None, problem: Problem::RedirectUri(problem) }
    }
}

/// Reads the members of a request that replaces what is registered (RFC 7592 §2.2). An `application_type` that the client was
/// told, and now sends back, is not a choice of its own, so its redirect URIs are not held to it.
pub fn parse_replacement(request: Map<String, Value>, registered: &ClientMetadata) -> Result<Parsed, MetadataError> {
    parse_unless_told(request, Some(registered.application_type))
}

/// Reads the members of a request. Members that are null or an empty text count as omitted (RFC 7592 §2.2).
pub fn parse(request: Map<String, Value>) -> Result<Parsed, MetadataError> {
    parse_unless_told(request, None)
}

fn parse_unless_told(mut request: Map<String, Value>, told: Option<ApplicationType>) -> Result<Parsed, MetadataError> {
    request.retain(|_, value| !value.is_null() && value.as_str() != Some(""));
    let mut members = Members(request);

    let redirect_uris = redirect_uris(&mut members)?;
    let asked_type = members.word("application_type", ApplicationType::known, NO_TYPE)?;
    let application_type = asked_type.unwrap_or_else(|| inferred_type(&redirect_uris));
    if asked_type == Some(ApplicationType::Web)
        && asked_type != told
        && let Some(entry) = redirect_uris.iter().position(RedirectUri::stays_on_the_machine)
    {
        let problem = "is a loopback or private-use URI, which application_type \"web\" does not allow; right is https, or \"native\"";
        return Err(MetadataError::redirect(problem).at(entry));
    }
    let token_endpoint_auth_method =
        members.word("token_endpoint_auth_method", AuthMethod::known, NO_METHOD)?.unwrap_or(default_method(application_type));
    let grant_types = grant_types(&mut members)?;
    let response_types = response_types(&mut members, &grant_types)?;
    if grant_types.contains(&GrantType::AuthorizationCode) && redirect_uris.is_empty() {
        return Err(MetadataError::redirect("is required for the authorization_code grant"));
    }
    if token_endpoint_auth_method == AuthMethod::None && grant_types.contains(&GrantType::ClientCredentials) {
        return Err(MetadataError::metadata(
            "grant_types",
            "has client_credentials, which a client with token_endpoint_auth_method \"none\" cannot use",
        ));
    }
    let (jwks_uri, jwks) = keys(&mut members, token_endpoint_auth_method)?;

    let metadata = ClientMetadata {
        redirect_uris,
        token_endpoint_auth_method,
        grant_types,
        response_types,
        application_type,
        client_name: members.people_text("client_name")?,
        client_uri: members.link("client_uri")?,
        logo_uri: members.link("logo_uri")?,
        tos_uri: members.link("tos_uri")?,
        policy_uri: members.link("policy_uri")?,
        localized: members.localized()?,
        scope: scope(&mut members)?,
        contacts: contacts(&mut members)?,
        jwks_uri,
        jwks,
        software_id: members.people_text("software_id")?,
        software_version: members.people_text("software_version")?,
        software_statement: None,
    };
    Ok(Parsed { metadata, ignored: members.ignored() })
}

fn redirect_uris(members: &mut Members) -> Result<RedirectUris, MetadataError> {
    const SHAPE: MetadataError = REDIRECTS_SHAPE;
    let Some(value) = members.0.remove("redirect_uris") else { return Ok(RedirectUris::default()) };
    let texts = value.as_array().ok_or(SHAPE)?;
    let not_a_string = |entry| MetadataError::redirect("is not a string").at(entry);
    let texts = texts.iter().enumerate().map(|(entry, text)| text.as_str().ok_or_else(|| not_a_string(entry)));
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    RedirectUris::parse_each(texts).map_err(|(entry, problem)| MetadataError::redirect_uri(problem).at(entry))
}

/// What a client is that did not say: one whose every answer stays on the user's machine is native (RFC 8252 §8.4).
fn inferred_type(uris: &RedirectUris) -> ApplicationType {
    if !uris.is_empty() && uris.iter().all(RedirectUri::stays_on_the_machine) { ApplicationType::Native } else { ApplicationType::Web }
}

/// RFC 7591 §2 names `client_secret_basic`; a native client cannot keep a secret (RFC 8252 §8.5), so the server
/// substitutes `none` and says so in its answer (RFC 7591 §3.2.1).
fn default_method(application_type: ApplicationType) -> AuthMethod {
    match application_type {
        ApplicationType::Native => AuthMethod::None,
        ApplicationType::Web => AuthMethod::ClientSecretBasic,
    }
}

/// The supported part of what was asked for; RFC 7591 §2 lets the server leave out the rest.
pub(super) fn grant_types(members: &mut Members) -> Result<Vec<GrantType>, MetadataError> {
    let Some(asked) = members.texts("grant_types")?.filter(|asked| !asked.is_empty()) else {
        return Ok(vec![GrantType::AuthorizationCode]);
    };
    let mut grants = Vec::new();
    for grant in asked.iter().filter_map(|text| GrantType::known(text)) {
        if !grants.contains(&grant) {
            grants.push(grant);
        }
    }
    if grants.is_empty() {
        return Err(MetadataError::metadata("grant_types", NO_GRANT));
    }
    Ok(grants)
}

/// RFC 7591 §2.1: `code` and `authorization_code` go together.
pub(super) fn response_types(members: &mut Members, grants: &[GrantType]) -> Result<Vec<ResponseType>, MetadataError> {
    let with_code = grants.contains(&GrantType::AuthorizationCode);
    let Some(asked) = members.texts("response_types")?.filter(|asked| !asked.is_empty()) else {
        return Ok(if with_code { vec![ResponseType::Code] } else { Vec::new() });
    };
    let asks_code = asked.iter().any(|text| ResponseType::known(text) == Some(ResponseType::Code));
    match (with_code, asks_code) {
        (true, true) => Ok(vec![ResponseType::Code]),
        (true, false) => Err(MetadataError::metadata("response_types", "lacks code, which the authorization_code grant needs")),
        (false, true) => Err(MetadataError::metadata("response_types", "has code, which needs the authorization_code grant")),
        (false, false) => Err(MetadataError::metadata(
            "response_types",
            "has no response type that is supported here; supported is code, and none may be said",
        )),
    }
}

pub(super) fn keys(members: &mut Members, method: AuthMethod) -> Result<(Option<WebUri>, Option<Jwks>), MetadataError> {
    let jwks_uri = members.link("jwks_uri")?;
    // A set without a key says as much as none.
    let jwks = members.0.remove("jwks").filter(|value| !Jwks::is_empty(value)).map(|value| Jwks::parse(&value)).transpose()?;
    if jwks_uri.is_some() && jwks.is_some() {
        return Err(MetadataError::metadata("jwks", "and jwks_uri must not both be present"));
    }
    if jwks_uri.as_ref().is_some_and(|uri| !uri.is_https()) {
        return Err(MetadataError::metadata("jwks_uri", "is not an https URL"));
    }
    if method == AuthMethod::PrivateKeyJwt && jwks_uri.is_none() && jwks.is_none() {
        return Err(MetadataError::metadata("token_endpoint_auth_method", "is private_key_jwt, which needs jwks or jwks_uri"));
    }
    Ok((jwks_uri, jwks))
}

pub(super) fn scope(members: &mut Members) -> Result<Option<Scope>, MetadataError> {
    let Some(text) = members.text("scope")? else { return Ok(None) };
    Scope::parse(&text)
        .map_err(|_| MetadataError::metadata("scope", "has a character that RFC 6749 section 3.3 does not allow, or is too long"))
}

pub(super) fn contacts(members: &mut Members) -> Result<Vec<Box<str>>, MetadataError> {
    let contacts = members.texts("contacts")?.unwrap_or_default();
    if contacts.len() > MAX_CONTACTS {
        return Err(MetadataError::metadata("contacts", "has more than 10 entries"));
    }
    for (entry, text) in contacts.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
        name::check(text).map_err(|problem| MetadataError::name("contacts", problem).at(entry))?;
    }
    Ok(contacts.into_iter().filter(|text| !text.is_empty()).map(String::into_boxed_str).collect())
}

/// The members that nobody has read yet.
pub(super) struct Members(Map<String, Value>);

impl Members {
    pub(super) fn of(members: Map<String, Value>) -> Self {
        Self(members)
    }

    fn text(&mut self, member: &'static str) -> Result<Option<String>, MetadataError> {
        match self.0.remove(member) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(MetadataError::metadata(member, "is not a string")),
        }
    }

    pub(super) fn texts(&mut self, member: &'static str) -> Result<Option<Vec<String>>, MetadataError> {
        const PROBLEM: &str = "is not an array of strings";
        let Some(value) = self.0.remove(member) else { return Ok(None) };
        let Value::Array(items) = value else { return Err(MetadataError::metadata(member, PROBLEM)) };
        let text = |(entry, item)| match item {
            Value::String(text) => Ok(text),
            _ => Err(MetadataError::metadata(member, "is not a string").at(entry)),
        };
        items.into_iter().enumerate().map(text).collect::<Result<_, _>>().map(Some)
    }

    /// `unknown` says which words are known.
    pub(super) fn word<T>(
        &mut self,
        member: &'static str,
        known: fn(&str) -> Option<T>,
        unknown: &'static str,
    ) -> Result<Option<T>, MetadataError> {
        let Some(text) = self.text(member)? else { return Ok(None) };
        known(&text).map(Some).ok_or(MetadataError::metadata(member, unknown))
    }

    pub(super) fn people_text(&mut self, member: &'static str) -> Result<Option<Box<str>>, MetadataError> {
        match self.text(member)? {
            None => Ok(None),
            Some(text) => match name::check(&text) {
                Ok(()) => Ok(Some(text.into_boxed_str())),
                Err(problem) => Err(MetadataError::name(member, problem)),
            },
        }
    }

    pub(super) fn link(&mut self, member: &'static str) -> Result<Option<WebUri>, MetadataError> {
        let Some(text) = self.text(member)? else { return Ok(None) };
        WebUri::parse(&text).map(Some).map_err(|problem| MetadataError { member, entry: None, problem: Problem::Link(problem) })
    }

    /// RFC 7591 §2.2. A malformed tag makes an unknown member, which is ignored like any other.
    pub(super) fn localized(&mut self) -> Result<BTreeMap<Box<str>, Box<str>>, MetadataError> {
        let tagged: Vec<(String, &'static str)> =
            self.0.keys().filter_map(|name| localizable(name).map(|member| (name.clone(), member))).collect();
        if tagged.len() > MAX_LOCALIZED {
            return Err(TOO_MANY_LOCALIZED);
        }
        let mut localized = BTreeMap::new();
        for (name, member) in tagged {
            let Some(Value::String(text)) = self.0.remove(&name) else {
                return Err(MetadataError::metadata(member, "with a language tag is not a string"));
            };
            if member == "client_name" {
                name::check(&text).map_err(|_| {
                    MetadataError::metadata(member, "with a language tag is no name: too long, nothing to see, or hidden characters")
                })?;
            } else {
                WebUri::parse(&text).map_err(|_| MetadataError::metadata(member, "with a language tag is not an http or https URL"))?;
            }
            localized.insert(name.into_boxed_str(), text.into_boxed_str());
        }
        Ok(localized)
    }

    fn ignored(self) -> Vec<Box<str>> {
        let (most, longest) = MAX_IGNORED;
        let printable = |name: &String| name.len() <= longest && name.bytes().all(|b| (0x20..0x7f).contains(&b));
        let mut names: Vec<Box<str>> = self.0.into_iter().map(|(name, _)| name).filter(printable).map(String::into_boxed_str).collect();
        names.sort();
        names.truncate(most);
        names
    }
}

/// Which member a tagged name such as `client_name#ja-Jpan-JP` is a translation of.
pub(super) fn localizable(name: &str) -> Option<&'static str> {
    let (member, tag) = name.split_once('#')?;
    let member = ["client_name", "client_uri", "logo_uri", "tos_uri", "policy_uri"].into_iter().find(|known| *known == member)?;
    let mut subtags = tag.split('-');
    let language = subtags.next().is_some_and(|sub| (1..=8).contains(&sub.len()) && sub.bytes().all(|b| b.is_ascii_alphabetic()));
    let rest = subtags.all(|sub| (1..=8).contains(&sub.len()) && sub.bytes().all(|b| b.is_ascii_alphanumeric()));
    (language && rest && tag.len() <= 35).then_some(member)
}

#[cfg(test)]
mod tests;
