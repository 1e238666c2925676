//! Whoever signs admin tokens, played by keys that each test run draws anew.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// A key pair, or a secret, in every form that a test may want.
pub(super) struct Signer {
    pub algorithm: Algorithm,
    pub encoding: EncodingKey,
    pub private_pem: String,
    pub public_pem: String,
}

impl Signer {
    /// The time at which tests play.
    pub const NOW: i64 = 1_700_000_000;
    pub const SECRET: &'static [u8] = b"a secret that somebody shared in tests";

    pub fn rsa() -> &'static Self {
        static KEY: OnceLock<Signer> = OnceLock::new();
        KEY.get_or_init(|| {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
            let private_pem = pem("PRIVATE KEY", AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref());
            let encoding = EncodingKey::from_rsa_pem(private_pem.as_bytes()).unwrap();
            Self::new(Algorithm::RS256, encoding, private_pem, pair.public_key())
        })
    }

    pub fn p256() -> &'static Self {
        static KEY: OnceLock<Signer> = OnceLock::new();
        KEY.get_or_init(Self::draw_p256)
    }

    pub fn another_p256() -> &'static Self {
        static KEY: OnceLock<Signer> = OnceLock::new();
        KEY.get_or_init(Self::draw_p256)
    }

    pub fn ed25519() -> &'static Self {
        static KEY: OnceLock<Signer> = OnceLock::new();
        KEY.get_or_init(|| {
            let pair = Ed25519KeyPair::generate().unwrap();
            let private = pair.to_pkcs8v1().unwrap();
            let encoding = EncodingKey::from_ed_der(private.as_ref());
            Self::new(Algorithm::EdDSA, encoding, pem("PRIVATE KEY", private.as_ref()), pair.public_key())
        })
    }

    pub fn shared() -> Self {
        let encoding = EncodingKey::from_secret(Self::SECRET);
        Self { algorithm: Algorithm::HS256, encoding, private_pem: String::new(), public_pem: String::new() }
    }

    fn draw_p256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let private = pair.to_pkcs8v1().unwrap();
        let encoding = EncodingKey::from_ec_der(private.as_ref());
        Self::new(Algorithm::ES256, encoding, pem("PRIVATE KEY", private.as_ref()), pair.public_key())
    }

    fn new(algorithm: Algorithm, encoding: EncodingKey, private_pem: String, public: &impl AsDer<PublicKeyX509Der<'static>>) -> Self {
        Self { algorithm, encoding, private_pem, public_pem: pem("PUBLIC KEY", public.as_der().unwrap().as_ref()) }
    }

    pub fn good_claims() -> Value {
        json!({"sub": "ada", "exp": Self::NOW + 3600, "tenant": "acme", "roles": ["admin"]})
    }

    pub fn good_token(algorithm: Algorithm, key: &EncodingKey) -> String {
        jsonwebtoken::encode(&Header::new(algorithm), &Self::good_claims(), key).unwrap()
    }

    pub fn sign(&self, key_id: Option<&str>) -> String {
        self.sign_until(key_id, Self::NOW + 3600)
    }

    pub fn sign_until(&self, key_id: Option<&str>, expires: i64) -> String {
        let mut claims = Self::good_claims();
        claims["exp"] = json!(expires);
        let header = Header { kid: key_id.map(str::to_owned), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, &claims, &self.encoding).unwrap()
    }

    pub fn sign_claims(&self, claims: &Value) -> String {
        jsonwebtoken::encode(&Header::new(self.algorithm), claims, &self.encoding).unwrap()
    }

    /// A token of this header and these claims, to the letter.
    pub fn sign_texts(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.encoding, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }

    pub fn jwk(&self, key_id: &str) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.encoding, self.algorithm).unwrap();
        jwk.common.key_id = Some(key_id.to_owned());
        serde_json::to_value(jwk).unwrap()
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
