//! One key that tokens are signed with: its private half stays here, its public half is published.

use std::io;
use std::path::{Path, PathBuf};

use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value};

pub use crate::config::SigningAlgorithm;
use crate::credentials::admin::{AdminRefusal, VerifyingKey};

impl From<SigningAlgorithm> for Algorithm {
    fn from(algorithm: SigningAlgorithm) -> Self {
        match algorithm {
            SigningAlgorithm::Rs256 => Self::RS256,
            SigningAlgorithm::Es256 => Self::ES256,
            SigningAlgorithm::EdDsa => Self::EdDSA,
        }
    }
}

/// Why there is no key to sign tokens with. Holds no part of a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("cannot use {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others than the owner may use the file.
    #[error("cannot use the token keys of the data folder")]
    DataFolder(#[from] crate::credentials::key_files::KeyError),
    /// The file of keys in the data folder is not what was written there.
    #[error("{path} is not the file of token keys that was written there")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// A private key was expected.
    #[error("{path} holds no private key to sign tokens with: PEM, for RSA of at least 2048 bits, P-256 or Ed25519")]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// No key can be drawn.
    #[error("cannot draw a signing key")]
    Drawing,
}

/// A key pair in use.
pub struct SigningKey {
    id: String,
    algorithm: SigningAlgorithm,
    private: EncodingKey,
    public: VerifyingKey,
    published: Value,
}

impl SigningKey {
    /// The key in a PEM text; none where it is something else. What kind of key it is tells the algorithm.
    pub fn of_pem(pem: &str) -> Option<Self> {
        let pem = pem.as_bytes();
        let read = |algorithm| match algorithm {
            SigningAlgorithm::Rs256 => EncodingKey::from_rsa_pem(pem),
            SigningAlgorithm::Es256 => EncodingKey::from_ec_pem(pem),
            SigningAlgorithm::EdDsa => EncodingKey::from_ed_pem(pem),
        };
        SigningAlgorithm::ALL.into_iter().find_map(|algorithm| Self::new(algorithm, read(algorithm).ok()?))
    }

    /// The key in a PEM file that an operator brought.
    pub fn of_file(path: &Path) -> Result<Self, KeyFileError> {
        let text = std::fs::read_to_string(path).map_err(|source| KeyFileError::Io { path: path.to_owned(), source })?;
        Self::of_pem(&text).ok_or_else(|| KeyFileError::NotAKey { path: path.to_owned() })
    }

    fn new(algorithm: SigningAlgorithm, private: EncodingKey) -> Option<Self> {
        let mut jwk = Jwk::from_encoding_key(&private, algorithm.into()).ok()?;
        // RFC 7638: the name follows from the key, so every node calls it the same.
        let id = jwk.thumbprint(ThumbprintHash::SHA256).ok()?;
        jwk.common.key_id = Some(id.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let published = serde_json::to_value(&jwk).ok()?;
        let public = VerifyingKey::of_jwk(&published, Some(algorithm.into()))?;
        let key = Self { id, algorithm, private, public, published };
        // What cannot be signed and read again is found now, not when a client waits for its token.
        let trial = key.sign(&Header::new(algorithm.into()), &Map::new()).ok()?;
        key.open(&trial, algorithm.into()).is_ok().then_some(key)
    }

    /// Its name in the key set.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it signs with.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// Its public half, as a JWK (RFC 7517 §4).
    pub fn published(&self) -> &Value {
        &self.published
    }

    /// A token with these claims.
    pub fn sign(&self, header: &Header, claims: &Map<String, Value>) -> jsonwebtoken::errors::Result<String> {
        jsonwebtoken::encode(header, claims, &self.private)
    }

    /// The claims of a token that it signed.
    pub fn open(&self, token: &str, algorithm: Algorithm) -> Result<Map<String, Value>, AdminRefusal> {
        self.public.open(token, algorithm)
    }
}
