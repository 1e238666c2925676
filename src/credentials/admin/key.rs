//! Keys that tokens are checked against, each with the algorithms that it may be used with.
//!
//! A token's header chooses among what its key admits and never adds to it: otherwise a token signed with the text of a
//! public key as a shared secret would pass (RFC 8725 §2.1).

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatebook_events::json;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::AdminRefusal;
use crate::credentials::key_files::KeyError;

/// A key and what it may be used for.
#[derive(Clone)]
pub(crate) struct VerifyingKey {
    /// Its name in the signer's key set.
    pub id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// Why there is no key to check tokens against, or to make them with. Holds no part of a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminKeyError {
    /// The key in the data folder cannot be had.
    #[error("cannot have the admin key of the data folder")]
    DataFolder(#[from] KeyError),
    /// A configured file cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The secret is shorter than the algorithm's hash (RFC 7518 §3.2).
    #[error("the secret in {path} is shorter than the {needed} bytes that its algorithm needs")]
    TooShort {
        /// The file.
        path: PathBuf,
        /// In bytes.
        needed: usize,
    },
    /// A secret was expected.
    #[error("{path} holds a PEM file, not a secret; a public key goes to `admin-jwt-public-key-file`")]
    NotASecret {
        /// The file.
        path: PathBuf,
    },
    /// A public key was expected.
    #[error("{path} holds no public key that can be used: PEM, for RSA, P-256, P-384 or Ed25519")]
    NotAPublicKey {
        /// The file.
        path: PathBuf,
    },
    /// A private key was given where a public one is wanted.
    #[error("{path} holds a private key; Gatebook needs the public one, and nobody else should have this file")]
    PrivateKey {
        /// The file.
        path: PathBuf,
    },
    /// The pinned algorithm is for other keys.
    #[error("the key in {path} cannot be used with the configured algorithm")]
    WrongAlgorithm {
        /// The file.
        path: PathBuf,
    },
    /// Nothing can be fetched with the settings for it.
    #[error("cannot prepare to fetch the admin key set")]
    Fetch(#[from] crate::outbound::trusted_json::SourceError),
}

impl VerifyingKey {
    /// A shared secret, for one algorithm.
    pub fn of_secret(secret: &[u8], algorithm: Algorithm) -> Self {
        Self { id: None, algorithms: vec![algorithm], key: DecodingKey::from_secret(secret) }
    }

    /// A public key out of a file, for the pinned algorithm or else the usual one: RS256 for RSA, and the only one there
    /// is for a curve.
    pub fn of_public_key_file(path: &Path, pinned: Option<Algorithm>) -> Result<Self, AdminKeyError> {
        let path = path.to_owned();
        let pem = match std::fs::read_to_string(&path) {
            Err(source) => return Err(AdminKeyError::Unreadable { path, source }),
            Ok(text) if text.contains("PRIVATE KEY-----") => return Err(AdminKeyError::PrivateKey { path }),
            Ok(text) if !text.contains("PUBLIC KEY-----") => return Err(AdminKeyError::NotAPublicKey { path }),
            Ok(text) => text.into_bytes(),
        };
        let key = DecodingKey::from_rsa_pem(&pem).or_else(|_| DecodingKey::from_ec_pem(&pem)).or_else(|_| DecodingKey::from_ed_pem(&pem));
        let Some((key, usual)) = key.ok().and_then(|key| usual(&key).map(|usual| (key, usual))) else {
            return Err(AdminKeyError::NotAPublicKey { path });
        };
        let algorithm = pinned.unwrap_or(usual);
        // An RSA key goes with six algorithms, a key on a curve with one.
        let fits = if usual == Algorithm::RS256 { algorithm.family() == AlgorithmFamily::Rsa } else { algorithm == usual };
        if !fits {
            return Err(AdminKeyError::WrongAlgorithm { path });
        }
        Ok(Self { id: None, algorithms: vec![algorithm], key })
    }

    /// A key out of a key set; none when it is not for checking signatures, not public, or not for the pinned algorithm.
    pub fn of_jwk(value: &Value, pinned: Option<Algorithm>) -> Option<Self> {
        let for_signatures = value.get("use").is_none_or(|usage| usage == "sig");
        let for_checking = value.get("key_ops").and_then(Value::as_array).is_none_or(|all| all.iter().any(|op| op == "verify"));
        if !for_signatures || !for_checking {
            return None;
        }
        let jwk = Jwk::deserialize(&with_known_name(value)?).ok()?;
        let fitting: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => AlgorithmFamily::Rsa.algorithms(),
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => &[Algorithm::ES256],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => &[Algorithm::ES384],
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
            // A shared secret in a public document is shared with everybody.
            _ => return None,
        };
        let own = match jwk.common.key_algorithm {
            Some(named) => Some(Algorithm::try_from(named).ok()?),
            None => None,
        };
        let admitted = |algorithm: &Algorithm| [own, pinned].iter().flatten().all(|only| only == algorithm);
        let algorithms: Vec<_> = fitting.iter().copied().filter(admitted).collect();
        let key = DecodingKey::from_jwk(&jwk).ok().filter(|_| !algorithms.is_empty())?;
        Some(Self { id: jwk.common.key_id, algorithms, key })
    }

    /// Whether a token with this algorithm may be checked with this key.
    pub fn admits(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// The claims of a token that was signed with the other half of this key. Looks at the signature only.
    pub fn open(&self, token: &str, algorithm: Algorithm) -> Result<Map<String, Value>, AdminRefusal> {
        if !self.admits(algorithm) {
            return Err(AdminRefusal::WrongAlgorithm);
        }
        let parts = token.rsplit_once('.').and_then(|(message, signature)| Some((message, signature, message.split_once('.')?.1)));
        let (message, signature, claims) = parts.filter(|(_, _, claims)| !claims.contains('.')).ok_or(AdminRefusal::Malformed)?;
        match jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.key, algorithm) {
            Ok(true) => {}
            Ok(false) => return Err(AdminRefusal::WrongSignature),
            Err(error) => {
                return Err(match error.kind() {
                    ErrorKind::InvalidAlgorithm => AdminRefusal::WrongAlgorithm,
                    ErrorKind::Base64(_) => AdminRefusal::Malformed,
                    _ => AdminRefusal::WrongSignature,
                });
            }
        }
        // Times are checked against Gatebook's clock, and issuer and audience more strictly, in `claims.rs`. A claim that is there
        // twice has two meanings (RFC 7519 §4).
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| AdminRefusal::Malformed)?;
        json::object(&claims).map_err(|_| AdminRefusal::Ambiguous)
    }
}

/// The same key, whose algorithm has the name that the library knows.
fn with_known_name(jwk: &Value) -> Option<Value> {
    let mut jwk = jwk.clone();
    if jwk.get("alg").is_some_and(|name| name == "Ed25519") {
        jwk.as_object_mut()?.insert("alg".to_owned(), "EdDSA".into());
    }
    Some(jwk)
}

/// The secret in a configured file, without the line's end that an editor adds.
pub(super) fn read_secret_file(path: &Path, algorithm: Algorithm) -> Result<Vec<u8>, AdminKeyError> {
    let path = path.to_owned();
    let content = match std::fs::read(&path) {
        Ok(content) => content,
        Err(source) => return Err(AdminKeyError::Unreadable { path, source }),
    };
    let line = content.strip_suffix(b"\n").unwrap_or(&content);
    let secret = line.strip_suffix(b"\r").unwrap_or(line);
    let needed = match algorithm {
        Algorithm::HS512 => 64,
        Algorithm::HS384 => 48,
        _ => 32,
    };
    // A public key used as a secret would let everybody sign.
    if secret.starts_with(b"-----BEGIN") {
        return Err(AdminKeyError::NotASecret { path });
    }
    if secret.len() < needed {
        return Err(AdminKeyError::TooShort { path, needed });
    }
    Ok(secret.to_owned())
}

fn usual(key: &DecodingKey) -> Option<Algorithm> {
    match (key.family(), key.try_get_as_bytes().ok()?.len()) {
        (AlgorithmFamily::Rsa, _) => Some(Algorithm::RS256),
        // The two coordinates of a point after one byte that says so.
        (AlgorithmFamily::Ec, 65) => Some(Algorithm::ES256),
        (AlgorithmFamily::Ec, 97) => Some(Algorithm::ES384),
        (AlgorithmFamily::Ed, 32) => Some(Algorithm::EdDSA),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::signer::Signer;
    use super::*;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    fn public(content: &str, pinned: Option<Algorithm>) -> Result<VerifyingKey, AdminKeyError> {
        VerifyingKey::of_public_key_file(file(content.as_bytes()).path(), pinned)
    }

    #[test]
    fn a_public_key_tells_its_algorithm_and_a_pin_must_fit() {
        let (rsa, p256, ed) = (Signer::rsa(), Signer::p256(), Signer::ed25519());
        assert_eq!(public(&rsa.public_pem, None).unwrap().algorithms, [Algorithm::RS256]);
        assert_eq!(public(&rsa.public_pem, Some(Algorithm::PS384)).unwrap().algorithms, [Algorithm::PS384]);
        assert_eq!(public(&p256.public_pem, None).unwrap().algorithms, [Algorithm::ES256]);
        assert_eq!(public(&ed.public_pem, None).unwrap().algorithms, [Algorithm::EdDSA]);
        for (pem, pin) in [(&rsa.public_pem, Algorithm::ES256), (&p256.public_pem, Algorithm::ES384), (&ed.public_pem, Algorithm::HS256)] {
            assert!(matches!(public(pem, Some(pin)), Err(AdminKeyError::WrongAlgorithm { .. })));
        }
    }

    #[test]
    fn files_with_something_else_are_refused() {
        assert!(matches!(public(&Signer::rsa().private_pem, None), Err(AdminKeyError::PrivateKey { .. })));
        for content in ["", "secret", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
            assert!(matches!(public(content, None), Err(AdminKeyError::NotAPublicKey { .. })), "{content}");
        }
        let secret = |content: &[u8], algorithm| read_secret_file(file(content).path(), algorithm);
        assert_eq!(secret(&[b'x'; 32], Algorithm::HS256).unwrap(), [b'x'; 32]);
        assert_eq!(secret(b"0123456789abcdef0123456789abcdef\r\n", Algorithm::HS256).unwrap().len(), 32);
        assert!(matches!(secret(&[b'x'; 31], Algorithm::HS256), Err(AdminKeyError::TooShort { needed: 32, .. })));
        assert!(matches!(secret(&[b'x'; 63], Algorithm::HS512), Err(AdminKeyError::TooShort { needed: 64, .. })));
        let pem = Signer::p256().public_pem.clone();
        assert!(matches!(secret(pem.as_bytes(), Algorithm::HS256), Err(AdminKeyError::NotASecret { .. })));
        assert!(matches!(read_secret_file(Path::new("/nowhere"), Algorithm::HS256), Err(AdminKeyError::Unreadable { .. })));
    }

    #[test]
    fn a_key_set_gives_public_signature_keys_only() {
        let with = |changes: Value| {
            let mut jwk = Signer::rsa().jwk("a");
            jwk.as_object_mut().unwrap().remove("alg");
            jwk.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            VerifyingKey::of_jwk(&jwk, None).map(|key| key.algorithms)
        };
        assert_eq!(with(json!({})).unwrap(), AlgorithmFamily::Rsa.algorithms());
        assert_eq!(with(json!({"use": "sig", "alg": "RS512"})).unwrap(), [Algorithm::RS512]);
        assert_eq!(with(json!({"key_ops": ["verify"]})).unwrap(), AlgorithmFamily::Rsa.algorithms());
        for refused in [
            json!({"use": "enc"}),
            json!({"key_ops": ["encrypt"]}),
            json!({"alg": "HS256"}),
            json!({"alg": "Ed25519"}),
            json!({"alg": "RSA-OAEP"}),
            json!({"alg": "ES256"}),
            json!({"kty": "oct", "k": "c2VjcmV0"}),
            json!({"kty": "unheard of"}),
            json!({"kid": 7}),
        ] {
            assert_eq!(with(refused.clone()), None, "{refused}");
        }
        let mut ed = Signer::ed25519().jwk("c");
        for name in ["EdDSA", "Ed25519"] {
            ed["alg"] = name.into();
            assert_eq!(VerifyingKey::of_jwk(&ed, None).unwrap().algorithms, [Algorithm::EdDSA], "{name}");
        }
        let p256 = Signer::p256().jwk("b");
        assert!(VerifyingKey::of_jwk(&p256, Some(Algorithm::ES256)).is_some());
        assert!(VerifyingKey::of_jwk(&p256, Some(Algorithm::RS256)).is_none());
    }
}
