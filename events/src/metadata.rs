//! Client metadata (RFC 7591 §2, with `application_type` of OIDC Registration §2): parsed once, right ever after.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::redirect::{RedirectUris, WebUri};
use crate::scope::Scope;

mod informing;
mod keys;
mod parse;
mod statement;
mod words;

pub use informing::LeftOut;
pub(crate) use informing::leave_out;
pub use keys::Jwks;
pub use parse::{MetadataError, Parsed, Problem, parse, parse_replacement};
pub use statement::{SoftwareStatement, Vouched};
pub(crate) use words::vocabulary;
pub use words::{ApplicationType, AuthMethod, GrantType, ResponseType};

/// What a client says about itself, after every default and substitution of RFC 7591 §2 has been made.
///
/// This is the stored shape. What is sent to callers is rendered from it, so that both can change apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ClientMetadata {
    /// Where answers may be sent. Empty only for a client without a redirect-based grant.
    pub redirect_uris: RedirectUris,
    /// How the client proves itself at the token endpoint.
    pub token_endpoint_auth_method: AuthMethod,
    /// The grants that the client may use.
    pub grant_types: Vec<GrantType>,
    /// The response types that the client may use.
    pub response_types: Vec<ResponseType>,
    /// `web` or `native`; enforced on redirect URIs where the client said which.
    pub application_type: ApplicationType,
    /// The name for people to read. At most 256 characters, none of them a control or a direction override.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<Box<str>>,
    /// The client's home page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<WebUri>,
    /// The client's logo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<WebUri>,
    /// The terms of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<WebUri>,
    /// The privacy policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<WebUri>,
    /// The members with a language tag (RFC 7591 §2.2), such as `client_name#ja-Jpan-JP`, by their whole name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub localized: BTreeMap<Box<str>, Box<str>>,
    /// The most that the client may ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Ways to reach the people responsible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<Box<str>>,
    /// Where the client's public keys are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<WebUri>,
    /// The client's public keys by value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Jwks>,
    /// Names the software, the same for every instance of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_id: Option<Box<str>>,
    /// The version of that software.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_version: Option<Box<str>>,
    /// The software statement that was believed (RFC 7591 §2.3), and who vouched by it; its claims are among the members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_statement: Option<SoftwareStatement>,
}

impl ClientMetadata {
    /// How long it is where it is kept.
    pub fn bytes(&self) -> u64 {
        // A struct of texts and lists always serialises.
        serde_json::to_vec(self).map_or(u64::MAX, |kept| kept.len() as u64)
    }

    /// Whether the client has credentials of its own (RFC 6749 §2.1).
    pub fn is_confidential(&self) -> bool {
        self.token_endpoint_auth_method != AuthMethod::None
    }

    /// Whether the client authenticates with a shared secret.
    pub fn needs_secret(&self) -> bool {
        matches!(self.token_endpoint_auth_method, AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost)
    }

    /// The metadata as RFC 7591 members: only what is there, never null, localized members under their own names.
    pub fn members(&self) -> Map<String, Value> {
        let mut members = match serde_json::to_value(self) {
            Ok(Value::Object(members)) => members,
            // A struct of texts and lists always serialises to an object.
            _ => Map::new(),
        };
        members.remove("localized");
        if let Some(statement) = &self.software_statement {
            members.insert("software_statement".to_owned(), Value::from(&*statement.statement));
        }
        for (name, text) in &self.localized {
            members.insert(name.to_string(), Value::from(&**text));
        }
        members
    }
}
