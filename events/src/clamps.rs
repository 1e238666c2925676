//! What a client that came by an initial access token may be at most, now and after every change.

use serde::{Deserialize, Serialize};

use crate::Rejection;
use crate::metadata::{ClientMetadata, GrantType};
use crate::redirect::RedirectUris;
use crate::redirect_rule::RedirectRule;
use crate::scope::Scope;

/// What a client may be at most, beside what the resource server's rules say. What is absent or empty clamps nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Clamps {
    /// The most scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Which redirect URIs; one that none of these expects is refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redirect_rules: Vec<RedirectRule>,
    /// Which grants.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grant_types: Vec<GrantType>,
}

impl Clamps {
    /// Whether nothing is clamped.
    pub fn is_empty(&self) -> bool {
        self.scope.is_none() && self.redirect_rules.is_empty() && self.grant_types.is_empty()
    }

    /// Whether the clamps make sense by themselves. The sentence may be shown to whoever wrote them.
    pub fn check(&self) -> Result<(), String> {
        if self.redirect_rules.len() > 200 {
            return Err(format!("clamps.redirect_rules has {} entries; at most 200 are allowed", self.redirect_rules.len()));
        }
        // What was read from storage is trusted; what was just written is not.
        if self.scope.as_ref().is_some_and(|scope| Scope::parse(scope.as_str()).as_ref() != Ok(&Some(scope.clone()))) {
            return Err("clamps.scope is not one or more scopes with one space between them".to_owned());
        }
        RedirectRule::check_all(&self.redirect_rules).map_err(|sentence| format!("clamps.{sentence}"))
    }

    /// Refuses metadata that is more than is allowed. [`crate::resource_server::Policy::clamped`] narrows what can be narrowed
    /// before; what reaches a client goes through here, whichever door it came by.
    pub fn permit(&self, metadata: &ClientMetadata) -> Result<(), Rejection> {
        self.permit_redirects(&metadata.redirect_uris)?;
        if !self.grant_types.is_empty() && metadata.grant_types.iter().any(|grant| !self.grant_types.contains(grant)) {
            return Err(Rejection::OutsideClamps("list of grant types"));
        }
        match (&self.scope, &metadata.scope) {
            (None, _) => Ok(()),
            (Some(most), Some(scope)) if scope.common(most).as_ref() == Some(scope) => Ok(()),
            (Some(_), _) => Err(Rejection::OutsideClamps("scope")),
        }
    }

    /// Refuses redirect URIs that are not expected.
    pub fn permit_redirects(&self, uris: &RedirectUris) -> Result<(), Rejection> {
        let outside = |uri: &&_| !self.redirect_rules.iter().any(|rule| rule.expects(uri));
        match uris.iter().find(outside) {
            Some(uri) if !self.redirect_rules.is_empty() => Err(Rejection::RedirectOutsideClamps(uri.to_string())),
            _ => Ok(()),
        }
    }
}
