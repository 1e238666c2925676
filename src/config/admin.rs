//! The settings by which administrators prove who they are.

use std::path::{Path, PathBuf};

use gatebook_events::identity::TenantId;
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use reqwest::Url;

use super::{ConfigError, Settings, url};

/// How admin JWTs are checked.
#[derive(Debug, Clone)]
pub struct AdminSettings {
    /// What they are checked against.
    pub key: AdminKeySource,
    /// The one algorithm they may use; none: the key tells.
    pub algorithm: Option<Algorithm>,
    /// The issuer they must name; none: not checked, unless the key was made here.
    pub issuer: Option<String>,
    /// The audience they must name; none: not checked, unless the key was made here.
    pub audience: Option<String>,
    /// The claim that names the tenant: a member's name, or a path of names with dots.
    pub tenant_claim: String,
    /// The claim that lists the roles, written alike.
    pub roles_claim: String,
    /// The tenant of all administrators, where their provider names none.
    pub tenant: Option<TenantId>,
    /// Certificate authorities to trust beside the system's when keys are fetched.
    pub extra_ca_file: Option<PathBuf>,
}

/// What admin JWTs are checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminKeySource {
    /// A secret that Gatebook makes in its data folder, because nothing else is configured.
    SelfMade {
        /// Its file.
        file: PathBuf,
    },
    /// A secret that is shared with whoever signs.
    SecretFile(PathBuf),
    /// The signer's public key as PEM.
    PublicKeyFile(PathBuf),
    /// The URL of the signer's key set (RFC 7517 §5).
    Jwks(Url),
}

impl AdminSettings {
    /// The self-made key's file in the data folder.
    pub const KEY_FILE: &'static str = "admin-jwt.key";

    pub(super) fn try_new(settings: &Settings, data: &Path) -> Result<Self, ConfigError> {
        let key = key_source(settings, data)?;
        let named = [
            ("admin-jwt-issuer", &settings.admin_jwt_issuer),
            ("admin-jwt-audience", &settings.admin_jwt_audience),
            ("admin-jwt-algorithm", &settings.admin_jwt_algorithm),
        ];
        if let (AdminKeySource::SelfMade { .. }, Some((name, _))) = (&key, named.iter().find(|(_, text)| text.is_some())) {
            let missing = "one of `admin-jwt-secret-file`, `admin-jwt-public-key-file` and `admin-jwks-url`";
            return Err(ConfigError::Needs { name, missing });
        }
        Ok(Self {
            algorithm: algorithm(settings.admin_jwt_algorithm.as_deref(), &key)?,
            issuer: settings.admin_jwt_issuer.clone(),
            audience: settings.admin_jwt_audience.clone(),
            tenant_claim: settings.admin_tenant_claim.clone().unwrap_or_else(|| "tenant".to_owned()),
            roles_claim: settings.admin_roles_claim.clone().unwrap_or_else(|| "roles".to_owned()),
            tenant: tenant(settings, &key)?,
            key,
            extra_ca_file: settings.extra_ca_file.clone(),
        })
    }
}

fn key_source(settings: &Settings, data: &Path) -> Result<AdminKeySource, ConfigError> {
    const SECRET: &str = "admin-jwt-secret-file";
    const PUBLIC: &str = "admin-jwt-public-key-file";
    const JWKS: &str = "admin-jwks-url";
    match (&settings.admin_jwt_secret_file, &settings.admin_jwt_public_key_file, &settings.admin_jwks_url) {
        (None, None, None) => Ok(AdminKeySource::SelfMade { file: data.join(AdminSettings::KEY_FILE) }),
        (Some(file), None, None) => Ok(AdminKeySource::SecretFile(file.clone())),
        (None, Some(file), None) => Ok(AdminKeySource::PublicKeyFile(file.clone())),
        (None, None, Some(text)) => url::protected(JWKS, text).map(AdminKeySource::Jwks),
        (Some(_), Some(_), _) => Err(ConfigError::Exclusive { first: SECRET, second: PUBLIC }),
        (Some(_), None, Some(_)) => Err(ConfigError::Exclusive { first: SECRET, second: JWKS }),
        (None, Some(_), Some(_)) => Err(ConfigError::Exclusive { first: PUBLIC, second: JWKS }),
    }
}

/// The one tenant, where there is somebody whose tokens need not name it.
fn tenant(settings: &Settings, key: &AdminKeySource) -> Result<Option<TenantId>, ConfigError> {
    const NAME: &str = "admin-tenant";
    let Some(text) = &settings.admin_tenant else { return Ok(None) };
    if matches!(key, AdminKeySource::SelfMade { .. }) && settings.ui_oidc_issuer.is_none() {
        let missing = "one of `admin-jwt-secret-file`, `admin-jwt-public-key-file`, `admin-jwks-url` and `ui-oidc-issuer`";
        return Err(ConfigError::Needs { name: NAME, missing });
    }
    TenantId::parse(text).map(Some).map_err(|problem| ConfigError::invalid(NAME, format!("is {text:?}, which {problem}")))
}

/// The pinned algorithm, if the kind of key can be used with it at all: a secret with HS*, a public key with the rest.
fn algorithm(text: Option<&str>, key: &AdminKeySource) -> Result<Option<Algorithm>, ConfigError> {
    const NAME: &str = "admin-jwt-algorithm";
    let Some(text) = text else { return Ok(None) };
    let algorithm = algorithm_named(text).ok_or_else(|| {
        ConfigError::invalid(NAME, format!("is {text:?}, not one of HS, RS, PS with 256, 384, 512; ES256, ES384, EdDSA, Ed25519"))
    })?;
    let shared = matches!(key, AdminKeySource::SecretFile(_) | AdminKeySource::SelfMade { .. });
    match (algorithm.family() == AlgorithmFamily::Hmac, shared) {
        (true, false) => Err(ConfigError::invalid(NAME, format!("is {text}, which needs a secret, not a public key"))),
        (false, true) => Err(ConfigError::invalid(NAME, format!("is {text}, which needs a public key, not a secret"))),
        (true, true) | (false, false) => Ok(Some(algorithm)),
    }
}

/// The algorithm with this name. `Ed25519` says what `EdDSA` leaves open (RFC 9864 §2.2); here both are Ed25519.
pub(crate) fn algorithm_named(name: &str) -> Option<Algorithm> {
    if name == "Ed25519" { Some(Algorithm::EdDSA) } else { name.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(settings: &Settings) -> Result<AdminSettings, String> {
        AdminSettings::try_new(settings, Path::new("data")).map_err(|error| error.to_string())
    }

    #[test]
    fn one_source_of_keys_at_a_time() {
        let secret = Settings { admin_jwt_secret_file: Some("s".into()), ..Settings::default() };
        let public = Settings { admin_jwt_public_key_file: Some("p".into()), ..Settings::default() };
        let jwks = Settings { admin_jwks_url: Some("https://id.example/jwks".into()), ..Settings::default() };
        assert_eq!(check(&secret).unwrap().key, AdminKeySource::SecretFile("s".into()));
        assert_eq!(check(&public).unwrap().key, AdminKeySource::PublicKeyFile("p".into()));
        assert!(matches!(check(&jwks).unwrap().key, AdminKeySource::Jwks(_)));
        for (one, other) in [(&secret, &public), (&secret, &jwks), (&public, &jwks)] {
            let message = check(&one.clone().or(other.clone())).unwrap_err();
            assert!(message.ends_with("exclude each other"), "{message}");
        }
    }

    #[test]
    fn w6_a_fixed_tenant_is_for_tokens_of_others_and_a_name_that_tenants_may_have() {
        let with = |tenant: &str, settings: Settings| check(&Settings { admin_tenant: Some(tenant.to_owned()), ..settings });
        let jwks = || Settings { admin_jwks_url: Some("https://id.example/jwks".into()), ..Settings::default() };
        let provider = Settings { ui_oidc_issuer: Some("https://id.example".into()), ..Settings::default() };
        assert_eq!(with("acme", jwks()).unwrap().tenant, TenantId::parse("acme").ok());
        assert_eq!(with("acme", provider).unwrap().tenant, TenantId::parse("acme").ok());
        assert!(with("a/b", jwks()).unwrap_err().starts_with("setting `admin-tenant` is \"a/b\", which "));
        assert!(with("acme", Settings::default()).unwrap_err().starts_with("setting `admin-tenant` needs one of "));
    }

    #[test]
    fn a_public_key_never_goes_with_a_shared_secrets_algorithm() {
        let pinned = |algorithm: &str, public: bool| {
            check(&Settings {
                admin_jwt_algorithm: Some(algorithm.to_owned()),
                admin_jwt_public_key_file: public.then(|| "p".into()),
                admin_jwt_secret_file: (!public).then(|| "s".into()),
                ..Settings::default()
            })
        };
        assert_eq!(pinned("ES256", true).unwrap().algorithm, Some(Algorithm::ES256));
        assert_eq!(pinned("HS512", false).unwrap().algorithm, Some(Algorithm::HS512));
        assert!(pinned("HS256", true).unwrap_err().contains("needs a secret"));
        assert!(pinned("RS256", false).unwrap_err().contains("needs a public key"));
        assert!(pinned("none", true).unwrap_err().contains("not one of"));
    }

    #[test]
    fn an_issuer_or_audience_without_a_key_is_a_mistake() {
        let message = check(&Settings { admin_jwt_audience: Some("a".into()), ..Settings::default() }).unwrap_err();
        assert!(message.starts_with("setting `admin-jwt-audience` needs one of `admin-jwt-secret-file`"), "{message}");
    }
}
