//! What a resource server admitted of what a client says about itself, and in what another wish differs from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::metadata::{AuthMethod, ClientMetadata, GrantType, Jwks, ResponseType};
use crate::redirect::WebUri;
use crate::scope::Scope;

/// What was admitted of a client's metadata beside its redirect URIs: what it may do, how it proves itself, and what users are
/// shown of it. Everything else that it says only informs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct AdmittedMetadata {
    /// How the client proves itself there.
    pub token_endpoint_auth_method: AuthMethod,
    /// The grants that it may use.
    pub grant_types: Vec<GrantType>,
    /// The response types that it may use.
    pub response_types: Vec<ResponseType>,
    /// The name for people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<Box<str>>,
    /// Its home page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<WebUri>,
    /// Its logo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<WebUri>,
    /// The terms of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<WebUri>,
    /// The privacy policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<WebUri>,
    /// The members with a language tag, by their whole name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub localized: BTreeMap<Box<str>, Box<str>>,
    /// The most that it may ask for; not bounded, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Ways to reach the people responsible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<Box<str>>,
    /// Where its public keys are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<WebUri>,
    /// Its public keys by value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Jwks>,
}

/// A member that differs between what is admitted and what is wished.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberChange {
    /// Its name, as RFC 7591 has it.
    pub member: String,
    /// Its value now, if it has one.
    pub now: Option<Value>,
    /// Its value then, if it would have one.
    pub then: Option<Value>,
}

impl AdmittedMetadata {
    /// What is admitted where all of these metadata are.
    pub fn of(metadata: &ClientMetadata) -> Self {
        Self {
            token_endpoint_auth_method: metadata.token_endpoint_auth_method,
            grant_types: metadata.grant_types.clone(),
            response_types: metadata.response_types.clone(),
            client_name: metadata.client_name.clone(),
            client_uri: metadata.client_uri.clone(),
            logo_uri: metadata.logo_uri.clone(),
            tos_uri: metadata.tos_uri.clone(),
            policy_uri: metadata.policy_uri.clone(),
            localized: metadata.localized.clone(),
            scope: metadata.scope.clone(),
            contacts: metadata.contacts.clone(),
            jwks_uri: metadata.jwks_uri.clone(),
            jwks: metadata.jwks.clone(),
        }
    }

    /// A client's metadata with what was admitted in the place of what it claims.
    pub fn over(&self, claimed: &ClientMetadata) -> ClientMetadata {
        let Self {
            token_endpoint_auth_method,
            grant_types,
            response_types,
            client_name,
            client_uri,
            logo_uri,
            tos_uri,
            policy_uri,
            localized,
            scope,
            contacts,
            jwks_uri,
            jwks,
        } = self.clone();
        ClientMetadata {
            redirect_uris: claimed.redirect_uris.clone(),
            token_endpoint_auth_method,
            grant_types,
            response_types,
            application_type: claimed.application_type,
            client_name,
            client_uri,
            logo_uri,
            tos_uri,
            policy_uri,
            localized,
            scope,
            contacts,
            jwks_uri,
            jwks,
            software_id: claimed.software_id.clone(),
            software_version: claimed.software_version.clone(),
            software_statement: claimed.software_statement.clone(),
        }
    }

    /// Whether the client proves itself by its secret there.
    pub const fn needs_secret(&self) -> bool {
        matches!(self.token_endpoint_auth_method, AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost)
    }

    /// As RFC 7591 members: only what is there, localized members under their own names.
    pub fn members(&self) -> Map<String, Value> {
        let mut members = match serde_json::to_value(self) {
            Ok(Value::Object(members)) => members,
            // A struct of texts and lists always serialises to an object.
            _ => Map::new(),
        };
        members.remove("localized");
        members.extend(self.localized.iter().map(|(name, text)| (name.to_string(), Value::from(&**text))));
        members
    }

    /// In what `then` differs, member by member.
    pub fn changes(&self, then: &Self) -> Vec<MemberChange> {
        let (mut now, mut then) = (self.members(), then.members());
        let mut names: Vec<String> = now.keys().chain(then.keys()).cloned().collect();
        names.sort_unstable();
        names.dedup();
        let changes = names.into_iter().map(|member| MemberChange { now: now.remove(&member), then: then.remove(&member), member });
        changes.filter(|change| change.now != change.then).collect()
    }

    /// What a newer claim leaves of what was admitted: it takes away and adds nothing. Where it leaves no grant or no scope at all
    /// the old ones stay until what it wants instead is decided, because a client without a scope is one whose scope is not bounded.
    pub fn narrowed_to(&self, claimed: &Self) -> Self {
        let common = |old: &[GrantType], new: &[GrantType]| old.iter().copied().filter(|grant| new.contains(grant)).collect::<Vec<_>>();
        let grants = common(&self.grant_types, &claimed.grant_types);
        let kept = |old: &Option<WebUri>, new: &Option<WebUri>| old.clone().filter(|_| new.is_some());
        let proof = if self.may_prove_itself_like(claimed) { claimed } else { self };
        Self {
            token_endpoint_auth_method: proof.token_endpoint_auth_method,
            jwks_uri: proof.jwks_uri.clone(),
            jwks: proof.jwks.clone(),
            grant_types: if grants.is_empty() { self.grant_types.clone() } else { grants },
            response_types: self.response_types.iter().copied().filter(|response| claimed.response_types.contains(response)).collect(),
            client_name: self.client_name.clone(),
            client_uri: kept(&self.client_uri, &claimed.client_uri),
            logo_uri: kept(&self.logo_uri, &claimed.logo_uri),
            tos_uri: kept(&self.tos_uri, &claimed.tos_uri),
            policy_uri: kept(&self.policy_uri, &claimed.policy_uri),
            localized: self
                .localized
                .iter()
                .filter(|(name, _)| claimed.localized.contains_key(*name))
                .map(|(n, t)| (n.clone(), t.clone()))
                .collect(),
            scope: match (&self.scope, &claimed.scope) {
                (Some(old), Some(new)) => Some(old.common(new).unwrap_or_else(|| old.clone())),
                (Some(old), None) => Some(old.clone()),
                (None, new) => new.clone(),
            },
            contacts: self.contacts.iter().filter(|contact| claimed.contacts.contains(contact)).cloned().collect(),
        }
    }

    /// Whether another way of proving itself needs nobody's word: whoever proved nothing may begin to, with whatever keys, and a
    /// secret is the same in whichever place of a request.
    fn may_prove_itself_like(&self, claimed: &Self) -> bool {
        let same_keys = self.jwks == claimed.jwks && self.jwks_uri == claimed.jwks_uri;
        self.token_endpoint_auth_method == AuthMethod::None || (self.needs_secret() && claimed.needs_secret() && same_keys)
    }

    /// The same, with lists and scope in the order of `other` where they hold the same: an order is no wish.
    #[must_use]
    pub fn in_order_of(mut self, other: &Self) -> Self {
        fn same<T: PartialEq>(left: &[T], right: &[T]) -> bool {
            left.len() == right.len() && left.iter().all(|item| right.contains(item))
        }
        if same(&self.grant_types, &other.grant_types) {
            self.grant_types.clone_from(&other.grant_types);
        }
        if same(&self.response_types, &other.response_types) {
            self.response_types.clone_from(&other.response_types);
        }
        if same(&self.contacts, &other.contacts) {
            self.contacts.clone_from(&other.contacts);
        }
        let tokens = |scope: &Option<Scope>| scope.iter().flat_map(Scope::tokens).map(str::to_owned).collect::<Vec<_>>();
        if self.scope.is_some() == other.scope.is_some() && same(&tokens(&self.scope), &tokens(&other.scope)) {
            self.scope.clone_from(&other.scope);
        }
        self
    }

    /// Whether all that is here was admitted or claimed there: nothing is shown, granted or believed beyond it.
    pub fn is_within(&self, other: &Self) -> bool {
        let narrowed = other.narrowed_to(self);
        self.clone().in_order_of(&narrowed) == narrowed
    }
}
