//! Makes admin JWTs, for operators who have no identity provider at hand.

use chrono::TimeDelta;
use gatebook_events::identity::TenantId;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value, json};

use super::Admin;
use super::key::{self, AdminKeyError};
use crate::config::{AdminKeySource, AdminSettings};
use crate::credentials::key_files;
use crate::platform::clock::Clock;

/// What tokens made here name as their issuer, unless configured otherwise.
pub(super) const SELF_ISSUER: &str = "gatebook";
/// What tokens made here name as their audience, unless configured otherwise.
pub(super) const SELF_AUDIENCE: &str = "gatebook-admin";

/// Makes admin JWTs that an [`super::AdminVerifier`] with the same settings accepts.
pub struct AdminMinter {
    settings: AdminSettings,
    algorithm: Algorithm,
    key: EncodingKey,
    clock: Clock,
}

/// Why no token is made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// Only the signer's public half is known here.
    #[error("cannot make a token: `{0}` is configured, so only whoever has the private key can")]
    OnlyPublic(&'static str),
    /// There is no key to sign with.
    #[error(transparent)]
    Key(#[from] AdminKeyError),
    /// The token would be over at once.
    #[error("a token must live for at least a second")]
    TooShort,
    /// The settings have another tenant for all administrators, so the token would open nothing.
    #[error("cannot make a token for the tenant {asked}: `admin-tenant` is {only}, and no other is let in")]
    OtherTenant {
        /// Which one it was to be for.
        asked: TenantId,
        /// Which one is let in.
        only: TenantId,
    },
    /// Signing failed.
    #[error("cannot sign a token")]
    Signing(#[source] jsonwebtoken::errors::Error),
}

impl AdminMinter {
    /// Reads the secret to sign with; makes one in the data folder if none is configured.
    pub fn try_new(settings: &AdminSettings, clock: Clock) -> Result<Self, MintError> {
        let algorithm = settings.algorithm.unwrap_or(Algorithm::HS256);
        let secret = match &settings.key {
            AdminKeySource::SelfMade { file } => key_files::read_or_create(file).map_err(AdminKeyError::from)?.text.into_bytes(),
            AdminKeySource::SecretFile(path) => key::read_secret_file(path, algorithm)?,
            AdminKeySource::PublicKeyFile(_) => return Err(MintError::OnlyPublic("admin-jwt-public-key-file")),
            AdminKeySource::Jwks(_) => return Err(MintError::OnlyPublic("admin-jwks-url")),
        };
        Ok(Self { settings: settings.clone(), algorithm, key: EncodingKey::from_secret(&secret), clock })
    }

    /// A token with which `admin` is let in for as long as `life`.
    pub fn mint(&self, admin: &Admin, life: TimeDelta) -> Result<String, MintError> {
        if life.num_seconds() < 1 {
            return Err(MintError::TooShort);
        }
        let made_here = matches!(self.settings.key, AdminKeySource::SelfMade { .. });
        if let Some(only) = self.settings.tenant.as_ref().filter(|only| !made_here && **only != admin.tenant) {
            return Err(MintError::OtherTenant { asked: admin.tenant.clone(), only: only.clone() });
        }
        let now = self.clock.now().timestamp();
        let mut claims = Map::new();
        claims.insert(self.settings.tenant_claim.clone(), json!(admin.tenant.as_str()));
        claims.insert(self.settings.roles_claim.clone(), json!([admin.role.as_str()]));
        let reserved: [(&str, Value); 6] = [
            ("iss", json!(self.settings.issuer.as_deref().unwrap_or(SELF_ISSUER))),
            ("aud", json!(self.settings.audience.as_deref().unwrap_or(SELF_AUDIENCE))),
            ("sub", json!(admin.subject)),
            ("iat", json!(now)),
            ("exp", json!(now.saturating_add(life.num_seconds()))),
            ("jti", json!(uuid::Uuid::new_v4())),
        ];
        claims.extend(reserved.map(|(name, value)| (name.to_owned(), value)));
        jsonwebtoken::encode(&Header::new(self.algorithm), &claims, &self.key).map_err(MintError::Signing)
    }
}

#[cfg(test)]
mod tests {
    use super::super::AdminVerifier;
    use super::super::Role;
    use super::*;
    use crate::config::{Config, Settings};

    fn ada() -> Admin {
        Admin { tenant: TenantId::parse("acme").unwrap(), subject: "ada".to_owned(), role: Role::Viewer }
    }

    #[test]
    fn w6_no_token_is_made_for_another_tenant_than_the_fixed_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n").unwrap();
        let minter = |tenant: &str| {
            let settings = Settings {
                admin_jwt_secret_file: Some(file.path().to_owned()),
                admin_tenant: Some(tenant.to_owned()),
                ..Settings::default()
            };
            AdminMinter::try_new(&Config::try_new(settings).unwrap().admin, Clock::system()).unwrap()
        };
        assert!(minter("acme").mint(&ada(), TimeDelta::hours(1)).is_ok());
        let told = minter("other").mint(&ada(), TimeDelta::hours(1)).unwrap_err().to_string();
        assert_eq!(told, "cannot make a token for the tenant acme: `admin-tenant` is other, and no other is let in");
    }

    #[tokio::test]
    async fn a_token_fits_whatever_the_verifier_was_told_to_expect() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n").unwrap();
        let settings = Settings {
            admin_jwt_secret_file: Some(file.path().to_owned()),
            admin_jwt_algorithm: Some("HS512".to_owned()),
            admin_jwt_issuer: Some("https://id.example".to_owned()),
            admin_jwt_audience: Some("gate".to_owned()),
            admin_tenant_claim: Some("https://gate.example/tenant".to_owned()),
            admin_roles_claim: Some("realm_access.roles".to_owned()),
            ..Settings::default()
        };
        let admin = Config::try_new(settings).unwrap().admin;
        let minter = AdminMinter::try_new(&admin, Clock::system()).unwrap();
        let verifier = AdminVerifier::try_new(&admin, Clock::system()).unwrap();
        assert_eq!(verifier.verify(&minter.mint(&ada(), TimeDelta::minutes(5)).unwrap()).await, Ok(ada()));
        assert!(matches!(minter.mint(&ada(), TimeDelta::milliseconds(999)), Err(MintError::TooShort)));
    }

    #[test]
    fn nothing_can_be_signed_with_a_public_key() {
        let public = Settings { admin_jwt_public_key_file: Some("p".into()), ..Settings::default() };
        let jwks = Settings { admin_jwks_url: Some("https://id.example/jwks".into()), ..Settings::default() };
        for (settings, name) in [(public, "admin-jwt-public-key-file"), (jwks, "admin-jwks-url")] {
            let admin = Config::try_new(settings).unwrap().admin;
            assert!(matches!(AdminMinter::try_new(&admin, Clock::system()), Err(MintError::OnlyPublic(n)) if n == name));
        }
    }
}
