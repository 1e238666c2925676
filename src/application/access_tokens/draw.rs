//! Draws key pairs, as PKCS #8 in PEM: the form that operators bring theirs in.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::SigningAlgorithm;

/// A new private key. For RSA this takes a good part of a second.
pub(super) fn private_key(algorithm: SigningAlgorithm) -> Result<String, Unspecified> {
    match algorithm {
        SigningAlgorithm::Rs256 => Ok(pem(AsDer::<Pkcs8V1Der<'_>>::as_der(&RsaKeyPair::generate(KeySize::Rsa2048)?)?.as_ref())),
        SigningAlgorithm::Es256 => Ok(pem(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?.to_pkcs8v1()?.as_ref())),
        SigningAlgorithm::EdDsa => Ok(pem(Ed25519KeyPair::generate()?.to_pkcs8v1()?.as_ref())),
    }
}

/// RFC 7468 §10
fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut lines = String::from("-----BEGIN PRIVATE KEY-----\n");
    for (index, letter) in text.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            lines.push('\n');
        }
        lines.push(letter);
    }
    lines.push_str("\n-----END PRIVATE KEY-----\n");
    lines
}
