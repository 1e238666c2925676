//! Access tokens for clients that act for themselves (RFC 6749 §4.4): JWTs as RFC 9068 has them, signed with keys that are
//! published and change.

use chrono::{DateTime, TimeDelta, Utc};
use gatebook_events::identity::{ClientId, ResourceServerId};
use gatebook_events::resource_server::ResourceServer;
use gatebook_events::scope::Scope;
use jsonwebtoken::{Algorithm, Header};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::credentials::admin::{AdminRefusal, in_time, read_header};

mod draw;
mod ring;
mod signing_key;

pub use ring::{HELD, KeyRing, KeySource, PublishedKey};
pub use signing_key::{KeyFileError, SigningAlgorithm};

/// RFC 9068 §2.1
const TYPE: &str = "at+jwt";
/// How far the clocks may be apart, as everywhere that tokens are checked.
const LEEWAY: TimeDelta = TimeDelta::seconds(30);

/// Why no token is made or read.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is no key to sign with.
    #[error("failed to have a signing key")]
    Key(#[from] KeyFileError),
    /// Signing failed.
    #[error("failed to sign an access token")]
    Signing(#[from] jsonwebtoken::errors::Error),
}

/// Makes access tokens, and reads its own again.
pub struct AccessTokens {
    issuer: String,
    public_url: String,
    life: TimeDelta,
    ring: KeyRing,
}

/// What a token says. Only who holds it may do that, and only at its audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who it was given to.
    pub client_id: ClientId,
    /// Where it is good.
    pub resource_server: ResourceServerId,
    /// For what; nothing in particular, if none.
    pub scope: Option<Scope>,
}

/// A token, once it is made.
pub struct Issued {
    /// The token itself. Kept nowhere.
    pub token: String,
    /// For how many seconds it is good.
    pub expires_in: i64,
}

/// A token of ours that is good as far as itself goes.
pub struct Read {
    /// What it says.
    pub grant: Grant,
    /// All of its claims.
    pub claims: Map<String, Value>,
}

impl AccessTokens {
    /// Nothing is drawn before somebody needs a key.
    pub fn new(public_url: &str, life: TimeDelta, ring: KeyRing) -> Self {
        Self { issuer: format!("{public_url}/oauth"), public_url: public_url.to_owned(), life, ring }
    }

    /// Who issues these tokens. Not the issuer of the authorization server whose metadata is merged: that one has keys of its own.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The keys.
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// What a resource server is called in a token: its resource identifier, else the issuer that it has here.
    pub fn audience(&self, id: ResourceServerId, server: &ResourceServer) -> String {
        server.resource.as_ref().map_or_else(|| format!("{}/rs/{id}", self.public_url), |resource| resource.as_str().to_owned())
    }

    /// A token that says this.
    pub async fn issue(&self, grant: &Grant, audience: &str, now: DateTime<Utc>) -> Result<Issued, TokenError> {
        let key = self.ring.signs(now).await?;
        let expires_in = self.life.num_seconds();
        let mut claims = Map::new();
        let said: [(&str, Value); 8] = [
            ("iss", self.issuer.as_str().into()),
            ("aud", audience.into()),
            // RFC 9068 §2.2: where no resource owner is involved, the client.
            ("sub", grant.client_id.as_str().into()),
            ("client_id", grant.client_id.as_str().into()),
            ("iat", now.timestamp().into()),
            ("exp", now.timestamp().saturating_add(expires_in).into()),
            ("jti", Uuid::now_v7().to_string().into()),
            ("gatebook_resource_server", grant.resource_server.to_string().into()),
        ];
        claims.extend(said.map(|(name, value)| (name.to_owned(), value)));
        if let Some(scope) = &grant.scope {
            claims.insert("scope".to_owned(), scope.as_str().into());
        }
        let header = Header { typ: Some(TYPE.to_owned()), kid: Some(key.id().to_owned()), ..Header::new(key.algorithm().into()) };
        Ok(Issued { token: key.sign(&header, &claims)?, expires_in })
    }

    /// What a token says, if it is one of ours and not over.
    pub async fn read(&self, token: &str, now: DateTime<Utc>) -> Result<Option<Read>, TokenError> {
        let Ok(header) = read_header(token) else { return Ok(None) };
        let (Ok(algorithm), Some(id)) = (header.alg.parse::<Algorithm>(), header.kid.as_deref()) else { return Ok(None) };
        if !header.typ.as_deref().is_some_and(is_access_token) {
            return Ok(None);
        }
        let Some(key) = self.ring.find(id, now).await? else { return Ok(None) };
        Ok(key.open(token, algorithm).ok().and_then(|claims| self.grant(claims, now).ok()))
    }

    fn grant(&self, claims: Map<String, Value>, now: DateTime<Utc>) -> Result<Read, AdminRefusal> {
        let text = |name: &'static str| claims.get(name).and_then(Value::as_str).ok_or(AdminRefusal::MissingClaim(name));
        in_time(&claims, now)?;
        if text("iss")? != self.issuer {
            return Err(AdminRefusal::WrongIssuer);
        }
        let client_id = ClientId::parse(text("client_id")?).map_err(|_| AdminRefusal::Malformed)?;
        let resource_server = text("gatebook_resource_server")?.parse().map_err(|_| AdminRefusal::Malformed)?;
        let scope = claims.get("scope").and_then(Value::as_str).map(Scope::parse).transpose().map_err(|_| AdminRefusal::Malformed)?;
        Ok(Read { grant: Grant { client_id, resource_server, scope: scope.flatten() }, claims })
    }

    /// RFC 8414 §2: what there is to know of the issuer of these tokens.
    pub fn metadata(&self) -> Value {
        // RFC 9864 §2.2: clients that know either name find theirs.
        let algorithms: Vec<&str> = SigningAlgorithm::ALL.map(SigningAlgorithm::as_str).into_iter().chain(["Ed25519"]).collect();
        let methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
        json!({
            "issuer": self.issuer,
            "token_endpoint": format!("{}/oauth/token", self.public_url),
            "introspection_endpoint": format!("{}/oauth/introspect", self.public_url),
            "jwks_uri": format!("{}/.well-known/jwks.json", self.public_url),
            "grant_types_supported": ["client_credentials"],
            // REQUIRED (§2), and none: this issuer has no authorization endpoint.
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": methods,
            "token_endpoint_auth_signing_alg_values_supported": algorithms,
        })
    }
}

/// RFC 7515 §4.1.9: `application/` may stand before it, and case does not matter.
fn is_access_token(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    typ.strip_prefix("application/").unwrap_or(&typ) == TYPE
}
