//! The software statement (RFC 7591 §2.3): members that somebody who is trusted vouches for, and that the client cannot overrule.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::parse::localizable;
use super::{Jwks, Parsed};

/// The members of client metadata that a statement may claim; what else it says is not about the client.
const MEMBERS: [&str; 16] = [
    "redirect_uris",
    "token_endpoint_auth_method",
    "grant_types",
    "response_types",
    "application_type",
    "client_name",
    "client_uri",
    "logo_uri",
    "tos_uri",
    "policy_uri",
    "scope",
    "contacts",
    "jwks_uri",
    "jwks",
    "software_id",
    "software_version",
];

/// A software statement that was believed when it was registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct SoftwareStatement {
    /// As it was sent (RFC 7591 §3.2.1: returned unmodified).
    pub statement: Box<str>,
    /// Who vouches.
    pub issuer: Box<str>,
}

impl SoftwareStatement {
    /// The longest statement, in bytes.
    pub const MAX_LENGTH: usize = 16 * 1024;
}

/// A statement whose signature and times were found good, with what it claims.
#[derive(Debug, Clone, PartialEq)]
pub struct Vouched {
    /// The statement.
    pub statement: SoftwareStatement,
    /// All of its claims.
    pub claims: Map<String, Value>,
}

impl Vouched {
    /// Lets the claims win over what the client says by itself (RFC 7591 §2.3), and takes the statement out of the request.
    pub fn overrule(&self, request: &mut Map<String, Value>) {
        request.remove("software_statement");
        let about_the_client = |name: &str| MEMBERS.contains(&name) || localizable(name).is_some();
        let says_nothing = |name: &str, value: &Value| value.is_null() || name == "jwks" && Jwks::is_empty(value);
        let claims: Vec<_> = self.claims.iter().filter(|(name, value)| about_the_client(name) && !says_nothing(name, value)).collect();
        // Keys that are vouched for are the only ones, whichever way each side gives them.
        if claims.iter().any(|(name, _)| matches!(name.as_str(), "jwks" | "jwks_uri")) {
            request.remove("jwks");
            request.remove("jwks_uri");
        }
        request.extend(claims.into_iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}

impl Parsed {
    /// The same with the statement that vouches for it.
    pub fn vouched(mut self, vouched: Option<Vouched>) -> Self {
        self.metadata.software_statement = vouched.map(|vouched| vouched.statement);
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::metadata;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(object) = value else { unreachable!() };
        object
    }

    fn vouched(claims: Value) -> Vouched {
        let statement = SoftwareStatement { statement: "a.b.c".into(), issuer: "https://vendor.example".into() };
        Vouched { statement, claims: object(claims) }
    }

    #[test]
    fn r17_claims_about_the_client_win_and_other_claims_are_not_about_the_client() {
        let mut request = object(json!({ "software_statement": "a.b.c", "client_name": "Mine", "client_name#fr": "Le mien", "scope": "a",
            "redirect_uris": ["https://evil.example/cb"], "jwks": 7, "colour": "blue" }));
        let claims = json!({ "iss": "https://vendor.example", "iat": 1, "client_name": "Theirs", "client_name#de": "Deren", "scope": null,
            "redirect_uris": ["https://app.example/cb"], "jwks_uri": "https://app.example/jwks", "software_statement": "nested" });
        let vouched = vouched(claims);
        vouched.overrule(&mut request);
        let parsed = metadata::parse(request).unwrap().vouched(Some(vouched));
        assert_eq!(parsed.ignored, ["colour".into()]);
        assert_eq!(
            Value::Object(parsed.metadata.members()),
            json!({ "client_name": "Theirs", "client_name#fr": "Le mien", "client_name#de": "Deren", "scope": "a",
                "redirect_uris": ["https://app.example/cb"], "jwks_uri": "https://app.example/jwks", "software_statement": "a.b.c",
                "grant_types": ["authorization_code"], "response_types": ["code"], "application_type": "web",
                "token_endpoint_auth_method": "client_secret_basic" })
        );
    }

    #[test]
    fn every_member_of_client_metadata_can_be_vouched_for() {
        for member in MEMBERS {
            let mut request = Map::new();
            vouched(json!({ member: { "no": "such value" } })).overrule(&mut request);
            assert!(metadata::parse(request).is_err(), "{member} is not read as a member of client metadata");
        }
    }
}
