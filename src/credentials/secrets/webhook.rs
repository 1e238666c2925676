//! What messages to a webhook are signed with (Standard Webhooks 1.0, symmetric signatures). Derived, so never stored.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A webhook's secret: 256 bits.
#[derive(Clone)]
pub struct WebhookSecret([u8; 32]);

impl WebhookSecret {
    /// What every one starts with.
    pub const PREFIX: &'static str = "whsec_";

    pub(super) const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret itself, as the receivers' libraries take it. Shown once, when the webhook is created or the secret rotated.
    pub fn expose(&self) -> String {
        format!("{}{}", Self::PREFIX, STANDARD.encode(self.0))
    }

    /// One signature of a message: `v1,` and the HMAC-SHA256 over its id, the time in seconds and the body, in base64.
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        sign(&self.0, id, timestamp, body)
    }
}

fn sign(secret: &[u8], id: &str, timestamp: i64, body: &str) -> String {
    // HMAC fills a key that is shorter than its block of 64 bytes with zeros (RFC 2104 §2).
    let mut block = [0; 64];
    block.iter_mut().zip(secret).for_each(|(place, byte)| *place = *byte);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in [id, ".", &timestamp.to_string(), ".", body] {
        mac.update(part.as_bytes());
    }
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_signed_as_the_receivers_libraries_verify_it() {
        // The example that the libraries of Standard Webhooks are tested with.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_written_as_the_libraries_read_it_and_never_printed() {
        let secret = WebhookSecret::new([7; 32]);
        let encoded = secret.expose().strip_prefix("whsec_").map(|rest| STANDARD.decode(rest).unwrap());
        assert_eq!(encoded, Some(vec![7; 32]));
        assert_eq!(format!("{secret:?}"), "WebhookSecret(…)");
        assert_eq!(secret.sign("a", 1, "{}"), sign(&[7; 32], "a", 1, "{}"));
    }
}
