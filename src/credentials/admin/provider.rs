//! The organisation's OpenID provider, by which administrators sign in at the pages: discovery, an authorization code with PKCE
//! (RFC 7636), and an ID token that is checked as strictly as every other admin token.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::claims::Expectations;
use super::jwks::{Place, RemoteKeys};
use super::key::AdminKeyError;
use super::verifier::{open, read_header};
use super::{Admin, AdminRefusal};
use crate::config::algorithm_named;
use crate::config::{AdminSettings, SignInSettings, is_loopback};
use crate::outbound::trusted_json::Source;
use crate::platform::clock::Clock;

/// After this the provider's metadata is fetched again.
const FRESH: TimeDelta = TimeDelta::hours(1);

/// The provider. Cheap to clone.
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    settings: SignInSettings,
    secret: Option<String>,
    expectations: Expectations,
    discovery: Source,
    clock: Clock,
    known: RwLock<Option<Known>>,
}

/// Where the provider's endpoints are.
#[derive(Clone)]
struct Known {
    authorization: Url,
    token: Url,
    secret_in_body: bool,
    keys: RemoteKeys,
    keys_at: Url,
    at: DateTime<Utc>,
}

/// OpenID Connect Discovery §3
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// OpenID Connect Core §3.1.3.3
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

/// One attempt to sign in: what ties the answer to the browser that began it. All of it is derived from what that browser keeps.
pub struct Attempt {
    /// Comes back with the answer.
    pub state: String,
    /// Comes back in the ID token.
    pub nonce: String,
    /// Proves to the token endpoint who asked (RFC 7636 §4.1).
    pub verifier: String,
    /// Where the answer goes.
    pub redirect_uri: String,
}

/// Why somebody is not signed in by the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignInRefusal {
    /// The ID token is not acceptable.
    #[error(transparent)]
    Token(#[from] AdminRefusal),
    /// The ID token was given for another attempt to sign in.
    #[error("the token is the answer to another sign-in")]
    OtherSignIn,
    /// There is no ID token for the code.
    #[error("the provider gave no token for the code that it sent")]
    NotRedeemed,
    /// Nothing is known of the provider.
    #[error("the provider's metadata is not to be had")]
    Unavailable,
}

impl Provider {
    /// The provider that is configured, if one is. Nothing is fetched before it is needed.
    pub fn try_new(settings: Option<&SignInSettings>, admin: &AdminSettings, clock: Clock) -> Result<Option<Self>, AdminKeyError> {
        let Some(settings) = settings.cloned() else { return Ok(None) };
        let secret = settings.client_secret_file.as_deref().map(read_secret).transpose()?;
        let expectations = Expectations {
            issuer: Some(settings.issuer.clone()),
            audience: Some(settings.client_id.clone()),
            tenant_claim: admin.tenant_claim.clone(),
            roles_claim: admin.roles_claim.clone(),
            tenant: admin.tenant.clone(),
        };
        let mut url = settings.location.clone();
        url.set_path(&format!("{}/.well-known/openid-configuration", settings.location.path().trim_end_matches('/')));
        let discovery = Source::try_new(url, admin.extra_ca_file.as_deref())?;
        Ok(Some(Self(Arc::new(Inner { settings, secret, expectations, discovery, clock, known: RwLock::new(None) }))))
    }

    /// The provider's host, for the button.
    pub fn host(&self) -> &str {
        self.0.settings.location.host_str().unwrap_or_default()
    }

    /// Its issuer.
    pub fn issuer(&self) -> &str {
        &self.0.settings.issuer
    }

    /// Where a browser goes to sign in.
    pub async fn address(&self, attempt: &Attempt) -> Result<Url, SignInRefusal> {
        let known = self.known().await?;
        let mut url = known.authorization;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.0.settings.client_id)
            .append_pair("redirect_uri", &attempt.redirect_uri)
            .append_pair("scope", &self.0.settings.scope)
            .append_pair("state", &attempt.state)
            .append_pair("nonce", &attempt.nonce)
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(Sha256::digest(attempt.verifier.as_bytes())))
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }

    /// The administrator whom a code stands for.
    pub async fn redeem(&self, attempt: &Attempt, code: &str) -> Result<Admin, SignInRefusal> {
        let known = self.known().await?;
        let client_id = self.0.settings.client_id.as_str();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &attempt.redirect_uri),
            ("code_verifier", &attempt.verifier),
            ("client_id", client_id),
        ];
        let secret = self.0.secret.as_deref();
        if let Some(secret) = secret.filter(|_| known.secret_in_body) {
            form.push(("client_secret", secret));
        }
        let basic = secret.filter(|_| !known.secret_in_body).map(|secret| (client_id, secret));
        let tokens: Tokens = self.0.discovery.at(known.token.clone()).post(&form, basic).await.map_err(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "the OpenID provider did not redeem a code");
            SignInRefusal::NotRedeemed
        })?;
        let header = read_header(&tokens.id_token)?;
        let algorithm = algorithm_named(&header.alg).ok_or(AdminRefusal::WrongAlgorithm)?;
        let claims = open(&tokens.id_token, algorithm, &known.keys.find(header.kid.as_deref(), algorithm).await?)?;
        self.check(attempt, &claims)
    }

    /// OpenID Connect Core §3.1.3.7
    fn check(&self, attempt: &Attempt, claims: &Map<String, Value>) -> Result<Admin, SignInRefusal> {
        let nonce = claims.get("nonce").and_then(Value::as_str).unwrap_or_default();
        if !bool::from(nonce.as_bytes().ct_eq(attempt.nonce.as_bytes())) {
            return Err(SignInRefusal::OtherSignIn);
        }
        let party = claims.get("azp").map(|party| party.as_str().unwrap_or_default());
        if party.is_some_and(|party| party != self.0.settings.client_id) {
            return Err(AdminRefusal::WrongAudience.into());
        }
        Ok(self.0.expectations.check(claims, self.0.clock.now())?)
    }

    /// What the provider says of itself, kept for a while; an older answer is better than none.
    async fn known(&self) -> Result<Known, SignInRefusal> {
        let now = self.0.clock.now();
        let held = self.0.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = held.as_ref().filter(|known| now - known.at < FRESH) {
            return Ok(known.clone());
        }
        let fetched = self.0.discovery.get::<Document>().await;
        let document = match fetched {
            Ok(document) => document,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot fetch the OpenID provider's metadata");
                return held.ok_or(SignInRefusal::Unavailable);
            }
        };
        let safe = |url: &Url| url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
        let endpoint = |text: &str| Url::parse(text).ok().filter(safe);
        let endpoints = (endpoint(&document.authorization_endpoint), endpoint(&document.token_endpoint), endpoint(&document.jwks_uri));
        let (true, (Some(authorization), Some(token), Some(keys_at))) = (document.issuer == self.0.settings.issuer, endpoints) else {
            tracing::warn!(issuer = %document.issuer, "the OpenID provider's metadata names another issuer, or an endpoint that is not https");
            return Err(SignInRefusal::Unavailable);
        };
        let methods = document.token_endpoint_auth_methods_supported.unwrap_or_default();
        let has = |name: &str| methods.iter().any(|method| method == name);
        let keys = match held {
            Some(known) if known.keys_at == keys_at => known.keys,
            _ => RemoteKeys::new(Place::Operator(self.0.discovery.at(keys_at.clone())), None, self.0.clock.clone()),
        };
        let known = Known {
            authorization,
            token,
            secret_in_body: has("client_secret_post") && !has("client_secret_basic"),
            keys,
            keys_at,
            at: now,
        };
        *self.0.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
        Ok(known)
    }
}

fn read_secret(path: &Path) -> Result<String, AdminKeyError> {
    let text = std::fs::read_to_string(path).map_err(|source| AdminKeyError::Unreadable { path: path.to_owned(), source })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
