//! Whose software statements a resource server believes (RFC 7591 §2.3).

use serde::{Deserialize, Serialize};

use crate::metadata::Jwks;
use crate::redirect::{RedirectUri, WebUri};

/// The most issuers that one policy trusts.
const MOST: usize = 20;
/// The longest name of an issuer, in bytes.
const LONGEST: usize = 2048;

/// An issuer of software statements, and where its keys are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct StatementIssuer {
    /// The `iss` of its statements, compared as it is written (RFC 7519 §4.1.1).
    pub issuer: String,
    /// Where its public keys are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<WebUri>,
    /// Its public keys by value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Jwks>,
}

impl StatementIssuer {
    /// Whether a list of issuers makes sense by itself. The sentence may be shown to whoever wrote it.
    pub fn check(issuers: &[Self]) -> Result<(), String> {
        if issuers.len() > MOST {
            return Err(format!("software_statement_issuers has {} entries; at most {MOST} are allowed", issuers.len()));
        }
        for (entry, issuer) in issuers.iter().enumerate() {
            if issuers.iter().take(entry).any(|known| known.issuer == issuer.issuer) {
                return Err(format!("software_statement_issuers[{entry}] names an issuer that an entry before it names"));
            }
            issuer.check_one().map_err(|sentence| format!("software_statement_issuers[{entry}] {sentence}"))?;
        }
        Ok(())
    }

    fn check_one(&self) -> Result<(), &'static str> {
        if self.issuer.is_empty() || self.issuer.len() > LONGEST {
            return Err("has an issuer that is empty or longer than 2048 bytes");
        }
        // What was read from storage is trusted; what was just written is not.
        match (&self.jwks_uri, &self.jwks) {
            // A redirect URI of this form is https, or http to a loopback host.
            (Some(uri), None) if WebUri::parse(uri.as_str()).is_ok() && RedirectUri::parse(uri.as_str()).is_ok() => Ok(()),
            (Some(_), None) => Err("has a jwks_uri that is not an https URL"),
            (None, Some(jwks)) if Jwks::parse(jwks.as_value()).is_ok() => Ok(()),
            (None, Some(_)) => Err("has jwks that is not a set of one to ten public keys"),
            (Some(_), Some(_)) | (None, None) => Err("has not exactly one of jwks_uri and jwks"),
        }
    }
}
