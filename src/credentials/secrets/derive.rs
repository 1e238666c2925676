//! Secrets and ids that the same request gets again, without any of them being stored.

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatebook_events::identity::WebhookId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::{Builder, Uuid};

use super::{ClientSecret, SecretError, WebhookSecret, with_prefix};
use crate::config::Config;
use crate::credentials::key_files::{self, KEY_LENGTH, KeyError};

/// The instance's own key, `instance.key` in the data folder. Whoever has it can compute every derived secret.
#[derive(Clone)]
pub struct InstanceKey([u8; KEY_LENGTH]);

impl InstanceKey {
    /// Its file in the data folder.
    pub const FILE: &'static str = "instance.key";

    /// Reads the key of the instance in `data`, or makes it.
    pub fn open(data: &Path) -> Result<Self, KeyError> {
        key_files::read_or_create(&data.join(Self::FILE)).map(|key| Self(key.bytes))
    }

    /// The key in the file that is configured, else the one in the data folder.
    pub fn of(config: &Config) -> Result<Self, KeyError> {
        config.instance_key_file.as_deref().map_or_else(|| Self::open(&config.data), Self::read)
    }

    /// Reads the key in a file that somebody has to have made.
    fn read(file: &Path) -> Result<Self, KeyError> {
        let none = || KeyError::Io { path: file.to_owned(), source: std::io::ErrorKind::NotFound.into() };
        key_files::read(file)?.map(|key| Self(key.bytes)).ok_or_else(none)
    }

    /// By this nodes can tell that they have the same key. It says nothing about the key.
    pub fn fingerprint(&self) -> String {
        let mark = self.derive(b"gatebook key fingerprint 1", &[]);
        URL_SAFE_NO_PAD.encode(mark).chars().take(12).collect()
    }

    /// The key with these bytes.
    pub const fn new(bytes: [u8; KEY_LENGTH]) -> Self {
        Self(bytes)
    }

    /// The client secret that belongs to `info`, so that a retried request is answered with the same one.
    pub fn derive_client_secret(&self, info: &[&[u8]]) -> ClientSecret {
        ClientSecret::received(with_prefix(ClientSecret::PREFIX, self.derive(b"gatebook client secret 1", info)))
    }

    /// The secret of one generation that messages to a webhook are signed with.
    pub fn derive_webhook_secret(&self, webhook: WebhookId, generation: u32) -> WebhookSecret {
        let parts: [&[u8]; 2] = [webhook.0.as_bytes(), &generation.to_be_bytes()];
        WebhookSecret::new(self.derive(b"gatebook webhook secret 1", &parts))
    }

    /// A key that nobody else has, for as long as the process lives.
    pub fn try_draw() -> Result<Self, SecretError> {
        let mut bytes = [0; KEY_LENGTH];
        getrandom::fill(&mut bytes).map_err(SecretError::Randomness)?;
        Ok(Self(bytes))
    }

    /// By what a secret is known that was right a moment ago: nobody without the key can find it from that.
    pub fn mark_secret(&self, info: &[&[u8]]) -> [u8; 32] {
        self.derive(b"gatebook remembered secret 1", info)
    }

    /// The id that belongs to `info`: a UUID version 8 (RFC 9562 §5.8) that nobody without the key can foresee.
    pub fn derive_uuid(&self, info: &[&[u8]]) -> Uuid {
        let mut first_half = [0; 16];
        first_half.copy_from_slice(&self.derive(b"gatebook uuid 1", info)[..16]);
        Builder::from_custom_bytes(first_half).into_uuid()
    }

    /// What only this instance can put below `info`, such as the signature of a session. Each purpose has codes of its own.
    pub fn code(&self, purpose: &'static str, info: &[&[u8]]) -> [u8; 32] {
        self.derive(purpose.as_bytes(), info)
    }

    /// HMAC-SHA256 over the purpose and each part, every one after its length: no two lists of parts read alike.
    fn derive(&self, purpose: &[u8], info: &[&[u8]]) -> [u8; 32] {
        // HMAC fills a key that is shorter than its block of 64 bytes with zeros (RFC 2104 §2).
        let mut block = [0; 64];
        block[..KEY_LENGTH].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        for part in std::iter::once(&purpose).chain(info) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstanceKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: InstanceKey = InstanceKey::new([7; 32]);

    #[test]
    fn the_same_request_gets_the_same_secret_and_another_gets_another() {
        let secret = KEY.derive_client_secret(&[b"default", b"idempotency-1"]);
        assert_eq!(secret.expose(), KEY.derive_client_secret(&[b"default", b"idempotency-1"]).expose());
        assert!(secret.expose().starts_with("gbs_"));
        assert_eq!(secret.expose().len(), "gbs_".len() + 43);
        for other in [&[b"default".as_slice(), b"idempotency-2"][..], &[b"defaulti", b"dempotency-1"], &[b"default"], &[]] {
            assert_ne!(secret.expose(), KEY.derive_client_secret(other).expose());
        }
        assert_ne!(secret.expose(), InstanceKey::new([8; 32]).derive_client_secret(&[b"default", b"idempotency-1"]).expose());
    }

    #[test]
    fn a_derived_secret_never_changes_between_versions() {
        // An answer that was given must be given again after an upgrade.
        assert_eq!(KEY.derive_client_secret(&[b"a", b"b"]).expose(), "gbs_nfHL0xUaStICFkhzmju1cnhIkhT5J-FZ7ht5CaPrtjs");
        assert_eq!(KEY.derive_uuid(&[b"a", b"b"]).to_string(), "1c0a2421-3c2c-8874-99cb-d4b4a65e37f8");
        let hook = |generation| KEY.derive_webhook_secret(WebhookId(Uuid::from_u128(7)), generation).expose();
        assert_eq!(hook(1), "whsec_5YymZJepqV3lcSfRLjwhBSorVyEEoEdJNaTNBP+BbFA=");
        assert_ne!(hook(1), hook(2));
    }

    #[test]
    fn a_derived_id_is_a_uuid_of_its_own_version() {
        let id = KEY.derive_uuid(&[b"a"]);
        assert_eq!((id.get_version_num(), id.get_variant()), (8, uuid::Variant::RFC4122));
        assert_ne!(id, KEY.derive_uuid(&[b"b"]));
    }

    #[test]
    fn the_key_is_kept_in_the_data_folder() {
        let data = tempfile::tempdir().unwrap();
        let info: &[&[u8]] = &[b"a"];
        let first = InstanceKey::open(data.path()).unwrap().derive_client_secret(info);
        assert_eq!(first.expose(), InstanceKey::open(data.path()).unwrap().derive_client_secret(info).expose());
    }
}
