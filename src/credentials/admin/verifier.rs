//! Checks admin JWTs: first who signed them, then what they say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::claims::{self, Expectations};
use super::jwks::{Place, RemoteKeys};
use super::key::{self, AdminKeyError, VerifyingKey};
use super::mint::{SELF_AUDIENCE, SELF_ISSUER};
use super::{Admin, AdminRefusal};
use crate::config::algorithm_named;
use crate::config::{AdminKeySource, AdminSettings};
use crate::credentials::key_files;
use crate::outbound::trusted_json::Source;
use crate::platform::clock::Clock;

/// Longer tokens are not looked at.
const LONGEST_TOKEN: usize = 16 * 1024;

/// Checks admin JWTs. Cheap to clone.
#[derive(Clone)]
pub struct AdminVerifier(Arc<Inner>);

struct Inner {
    keys: Keys,
    expectations: Expectations,
    clock: Clock,
    made: Option<PathBuf>,
}

enum Keys {
    One(VerifyingKey),
    Set(RemoteKeys),
}

/// What is read of a token before its signature is checked. Nothing in here is believed; it only chooses a key.
#[derive(Deserialize)]
pub(crate) struct Header {
    pub alg: String,
    pub kid: Option<String>,
    pub typ: Option<String>,
    crit: Option<IgnoredAny>,
}

impl AdminVerifier {
    /// Reads the configured key; makes one in the data folder if none is configured. A key set is fetched when first needed.
    pub fn try_new(settings: &AdminSettings, clock: Clock) -> Result<Self, AdminKeyError> {
        let mut expectations = Expectations {
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            tenant_claim: settings.tenant_claim.clone(),
            roles_claim: settings.roles_claim.clone(),
            // Tokens that are made here name a tenant.
            tenant: settings.tenant.clone().filter(|_| !matches!(settings.key, AdminKeySource::SelfMade { .. })),
        };
        let shared = settings.algorithm.unwrap_or(Algorithm::HS256);
        let mut made = None;
        let keys = match &settings.key {
            AdminKeySource::SelfMade { file } => {
                let stored = key_files::read_or_create(file)?;
                made = stored.created.then(|| file.clone());
                expectations.issuer = Some(SELF_ISSUER.to_owned());
                expectations.audience = Some(SELF_AUDIENCE.to_owned());
                Keys::One(VerifyingKey::of_secret(stored.text.as_bytes(), shared))
            }
            AdminKeySource::SecretFile(path) => Keys::One(VerifyingKey::of_secret(&key::read_secret_file(path, shared)?, shared)),
            AdminKeySource::PublicKeyFile(path) => Keys::One(VerifyingKey::of_public_key_file(path, settings.algorithm)?),
            AdminKeySource::Jwks(url) => {
                let source = Source::try_new(url.clone(), settings.extra_ca_file.as_deref())?;
                Keys::Set(RemoteKeys::new(Place::Operator(source), settings.algorithm, clock.clone()))
            }
        };
        if expectations.audience.is_none() {
            tracing::warn!("admin tokens for any audience are accepted, because no `admin-jwt-audience` is set");
        }
        Ok(Self(Arc::new(Inner { keys, expectations, clock, made })))
    }

    /// The file of the key that was made just now, because none was configured and none was there.
    pub fn made_key(&self) -> Option<&Path> {
        self.0.made.as_deref()
    }

    /// The administrator who holds this token: the part of `Authorization: Bearer …` after the scheme.
    pub async fn verify(&self, bearer: &str) -> Result<Admin, AdminRefusal> {
        self.verify_until(bearer).await.map(|(admin, _)| admin)
    }

    /// The same, with when the token's time is over.
    pub async fn verify_until(&self, bearer: &str) -> Result<(Admin, DateTime<Utc>), AdminRefusal> {
        let header = read_header(bearer)?;
        let algorithm = algorithm_named(&header.alg).ok_or(AdminRefusal::WrongAlgorithm)?;
        let claims = match &self.0.keys {
            Keys::One(key) => key.open(bearer, algorithm)?,
            Keys::Set(set) => open(bearer, algorithm, &set.find(header.kid.as_deref(), algorithm).await?)?,
        };
        let admin = self.0.expectations.check(&claims, self.0.clock.now())?;
        Ok((admin, claims::expiry(&claims)))
    }
}

/// The claims of a token that one of these keys opens.
pub(crate) fn open(token: &str, algorithm: Algorithm, keys: &[VerifyingKey]) -> Result<Map<String, Value>, AdminRefusal> {
    let mut answers = keys.iter().map(|key| key.open(token, algorithm));
    let refused = AdminRefusal::WrongSignature;
    answers.find(|answer| *answer != Err(refused)).unwrap_or(Err(refused))
}

pub(crate) fn read_header(token: &str) -> Result<Header, AdminRefusal> {
    if token.is_empty() {
        return Err(AdminRefusal::Missing);
    }
    let encoded = match token.split_once('.') {
        Some((header, _)) if token.len() <= LONGEST_TOKEN => header,
        _ => return Err(AdminRefusal::Malformed),
    };
    let json = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| AdminRefusal::Malformed)?;
    let json = gatebook_events::json::object(&json).map_err(|_| AdminRefusal::Malformed)?;
    let header: Header = serde_json::from_value(Value::Object(json)).map_err(|_| AdminRefusal::Malformed)?;
    // RFC 7515 §4.1.11: extensions that must be understood, and none is.
    if header.crit.is_some() { Err(AdminRefusal::Malformed) } else { Ok(header) }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use jsonwebtoken::EncodingKey;
    use serde_json::json;

    use super::super::signer::Signer;
    use super::super::{AdminMinter, Role};
    use super::*;
    use crate::config::{Config, Settings};
    use gatebook_events::identity::TenantId;

    fn clock() -> Clock {
        Clock::standing_at(DateTime::from_timestamp(Signer::NOW, 0).unwrap())
    }

    fn settings(change: impl FnOnce(&mut Settings)) -> AdminSettings {
        let mut settings = Settings::default();
        change(&mut settings);
        Config::try_new(settings).unwrap().admin
    }

    fn with_file(content: &[u8], change: impl FnOnce(&mut Settings, PathBuf)) -> AdminVerifier {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let settings = settings(|settings| change(settings, file.path().to_owned()));
        AdminVerifier::try_new(&settings, clock()).unwrap()
    }

    fn with_public_key(signer: &Signer) -> AdminVerifier {
        with_file(signer.public_pem.as_bytes(), |settings, file| settings.admin_jwt_public_key_file = Some(file))
    }

    #[tokio::test]
    async fn a_token_of_every_kind_of_key_opens_the_door() {
        for signer in [Signer::rsa(), Signer::p256(), Signer::ed25519()] {
            let admin = with_public_key(signer).verify(&signer.sign(None)).await.unwrap();
            assert_eq!((admin.tenant.as_str(), admin.subject.as_str(), admin.role), ("acme", "ada", Role::Admin));
        }
        let shared = with_file(Signer::SECRET, |settings, file| settings.admin_jwt_secret_file = Some(file));
        assert!(shared.verify(&Signer::shared().sign(None)).await.is_ok());
    }

    #[tokio::test]
    async fn a_public_key_is_never_a_shared_secret() {
        let rsa = Signer::rsa();
        let verifier = with_public_key(rsa);
        let content = rsa.public_pem.as_bytes();
        for secret in [content, content.trim_ascii_end()] {
            for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let confused = Signer::good_token(algorithm, &EncodingKey::from_secret(secret));
                assert_eq!(verifier.verify(&confused).await, Err(AdminRefusal::WrongAlgorithm));
            }
        }
    }

    #[tokio::test]
    async fn only_the_pinned_algorithm_is_admitted() {
        let rsa = Signer::rsa();
        let verifier = with_public_key(rsa);
        for other in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
            let token = Signer::good_token(other, &rsa.encoding);
            assert_eq!(verifier.verify(&token).await, Err(AdminRefusal::WrongAlgorithm));
        }
        let pinned = with_file(rsa.public_pem.as_bytes(), |settings, file| {
            settings.admin_jwt_public_key_file = Some(file);
            settings.admin_jwt_algorithm = Some("PS256".to_owned());
        });
        assert!(pinned.verify(&Signer::good_token(Algorithm::PS256, &rsa.encoding)).await.is_ok());
        assert_eq!(pinned.verify(&rsa.sign(None)).await, Err(AdminRefusal::WrongAlgorithm));
    }

    #[tokio::test]
    async fn w3_ed25519_is_admitted_under_both_of_its_names() {
        let ed = Signer::ed25519();
        let token = |name: &str| ed.sign_texts(&json!({ "alg": name }).to_string(), &Signer::good_claims().to_string());
        for pinned in [None, Some("EdDSA"), Some("Ed25519")] {
            let verifier = with_file(ed.public_pem.as_bytes(), |settings, file| {
                settings.admin_jwt_public_key_file = Some(file);
                settings.admin_jwt_algorithm = pinned.map(str::to_owned);
            });
            for name in ["EdDSA", "Ed25519"] {
                assert!(verifier.verify(&token(name)).await.is_ok(), "{name} where {pinned:?} is pinned");
            }
            assert_eq!(verifier.verify(&token("Ed448")).await, Err(AdminRefusal::WrongAlgorithm));
        }
        let other = with_public_key(Signer::p256()).verify(&token("Ed25519")).await;
        assert_eq!(other, Err(AdminRefusal::WrongAlgorithm));
    }

    #[tokio::test]
    async fn w11_a_token_with_a_member_twice_is_refused_wherever_it_stands() {
        let (signer, good) = (Signer::p256(), Signer::good_claims().to_string());
        let verifier = with_public_key(signer);
        let twice = |claims: &str, again: &str| claims.replacen('{', &format!("{{{again},"), 1);
        assert!(verifier.verify(&signer.sign_texts(r#"{"alg":"ES256"}"#, &good)).await.is_ok());
        for claims in [
            twice(&good, r#""tenant":"other""#),
            twice(&good, r#""roles":["viewer"]"#),
            twice(&good, r#""x":1,"x":1"#),
            twice(&good, r#""realm_access":{"roles":[],"roles":["admin"]}"#),
        ] {
            let token = signer.sign_texts(r#"{"alg":"ES256"}"#, &claims);
            assert_eq!(verifier.verify(&token).await, Err(AdminRefusal::Ambiguous), "{claims}");
        }
        let token = signer.sign_texts(r#"{"alg":"ES256","typ":"JWT","typ":"JWT"}"#, &good);
        assert_eq!(verifier.verify(&token).await, Err(AdminRefusal::Malformed));
        let token = signer.sign_texts(r#"{"alg":"ES256","x":1,"x":2}"#, &good);
        assert_eq!(verifier.verify(&token).await, Err(AdminRefusal::Malformed));
    }

    #[tokio::test]
    async fn hostile_tokens_are_refused_and_say_why() {
        let signer = Signer::p256();
        let verifier = with_public_key(signer);
        let good = signer.sign(None);
        let (message, signature) = good.rsplit_once('.').unwrap();
        let (header, claims) = message.split_once('.').unwrap();
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let changed = part(json!({"sub": "eve", "exp": Signer::NOW + 60, "tenant": "acme", "roles": "admin"}));
        let none = part(json!({"alg": "none"}));
        let twice = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","alg":"none"}"#);
        for (token, refusal) in [
            (String::new(), AdminRefusal::Missing),
            ("garbage".to_owned(), AdminRefusal::Malformed),
            ("a.b.c".to_owned(), AdminRefusal::Malformed),
            ("..".to_owned(), AdminRefusal::Malformed),
            ("é.é.é".to_owned(), AdminRefusal::Malformed),
            ("x".repeat(100_000), AdminRefusal::Malformed),
            (format!("{good}{}", "A".repeat(100_000)), AdminRefusal::Malformed),
            (format!("{message}."), AdminRefusal::WrongSignature),
            (message.to_owned(), AdminRefusal::Malformed),
            (format!("{good}.{signature}"), AdminRefusal::Malformed),
            (format!("{good} "), AdminRefusal::Malformed),
            (format!("{none}.{claims}."), AdminRefusal::WrongAlgorithm),
            (format!("{none}.{claims}.{signature}"), AdminRefusal::WrongAlgorithm),
            (format!("{}.{claims}.", part(json!({"alg": "None"}))), AdminRefusal::WrongAlgorithm),
            (format!("{}.{claims}.{signature}", part(json!({}))), AdminRefusal::Malformed),
            (format!("{twice}.{claims}.{signature}"), AdminRefusal::Malformed),
            (format!("{}.{claims}.{signature}", part(json!({"alg": "ES256", "crit": ["b64"], "b64": false}))), AdminRefusal::Malformed),
            (format!("{header}.{changed}.{signature}"), AdminRefusal::WrongSignature),
            (format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode([0; 64])), AdminRefusal::WrongSignature),
            (Signer::ed25519().sign(None), AdminRefusal::WrongAlgorithm),
            (Signer::another_p256().sign(None), AdminRefusal::WrongSignature),
            (Signer::shared().sign(None), AdminRefusal::WrongAlgorithm),
            (signer.sign_until(None, Signer::NOW - 60), AdminRefusal::Expired),
        ] {
            let start: String = token.chars().take(40).collect();
            assert_eq!(verifier.verify(&token).await, Err(refusal), "{start}");
        }
        assert!(verifier.verify(&good).await.is_ok());
    }

    #[tokio::test]
    async fn a_key_that_a_token_brings_along_is_not_looked_at() {
        let signer = Signer::another_p256();
        let mut header = jsonwebtoken::Header::new(Algorithm::ES256);
        header.jwk = Some(serde_json::from_value(signer.jwk("own")).unwrap());
        let token = jsonwebtoken::encode(&header, &Signer::good_claims(), &signer.encoding).unwrap();
        assert_eq!(with_public_key(Signer::p256()).verify(&token).await, Err(AdminRefusal::WrongSignature));
    }

    #[tokio::test]
    async fn configured_issuer_and_audience_are_checked() {
        let verifier = with_file(Signer::SECRET, |settings, file| {
            settings.admin_jwt_secret_file = Some(file);
            settings.admin_jwt_issuer = Some("https://id.example".to_owned());
            settings.admin_jwt_audience = Some("gate".to_owned());
        });
        let signed = |changes: serde_json::Value| {
            let mut claims = Signer::good_claims();
            claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            Signer::shared().sign_claims(&claims)
        };
        let good = json!({"iss": "https://id.example", "aud": ["gate", "book"]});
        assert!(verifier.verify(&signed(good)).await.is_ok());
        let wrong = verifier.verify(&signed(json!({"iss": "https://id.example", "aud": "other"}))).await;
        assert_eq!(wrong, Err(AdminRefusal::WrongAudience));
        let wrong = verifier.verify(&signed(json!({"iss": "https://eve.example", "aud": "gate"}))).await;
        assert_eq!(wrong, Err(AdminRefusal::WrongIssuer));
        assert_eq!(verifier.verify(&signed(json!({}))).await, Err(AdminRefusal::WrongIssuer));
    }

    #[tokio::test]
    async fn a_fresh_instance_makes_its_own_key_and_takes_its_own_tokens_only() {
        let data = tempfile::tempdir().unwrap();
        let settings = settings(|settings| settings.data = Some(data.path().to_owned()));
        let clock = clock();
        let verifier = AdminVerifier::try_new(&settings, clock.clone()).unwrap();
        let file = data.path().join("admin-jwt.key");
        assert_eq!(verifier.made_key(), Some(file.as_path()));
        assert_eq!(AdminVerifier::try_new(&settings, clock.clone()).unwrap().made_key(), None);

        let ada = Admin { tenant: TenantId::default_tenant(), subject: "ada".to_owned(), role: Role::Auditor };
        let token = AdminMinter::try_new(&settings, clock.clone()).unwrap().mint(&ada, TimeDelta::hours(1)).unwrap();
        assert_eq!(verifier.verify(&token).await, Ok(ada));
        clock.advance(TimeDelta::hours(2));
        assert_eq!(verifier.verify(&token).await, Err(AdminRefusal::Expired));
        clock.advance(TimeDelta::hours(-2));

        // The right key is not enough: a token that was signed with it for something else stays outside.
        let text = std::fs::read_to_string(&file).unwrap();
        let elsewhere = Signer::good_token(Algorithm::HS256, &EncodingKey::from_secret(text.trim_end().as_bytes()));
        assert_eq!(verifier.verify(&elsewhere).await, Err(AdminRefusal::WrongIssuer));
    }
}
