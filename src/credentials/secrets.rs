//! Secrets in the clear: drawn, received, and shown once. Nothing in here can be logged or stored by accident.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

mod derive;
mod hash;
mod initial_access;
mod pool;
mod service;
mod webhook;

pub use derive::InstanceKey;
pub use hash::{Cost, hash_secret, verify_secret};
pub use initial_access::InitialAccessToken;
pub use pool::SecretHasher;
pub use service::ServiceToken;
pub use webhook::WebhookSecret;

/// The longest secret that is looked at, in bytes. Longer ones match nothing.
pub const LONGEST_SECRET: usize = 1024;

/// Why a secret cannot be drawn, hashed or checked. Neither the secret nor its hash appears in here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The system has no random numbers to give.
    #[error("cannot draw random bytes")]
    Randomness(#[source] getrandom::Error),
    /// The stored text is no argon2id hash in the PHC string format, or one that costs more than Gatebook will pay.
    #[error("the stored hash is not an argon2id PHC string within bounds: {0}")]
    UnusableHash(&'static str),
    /// The algorithm refused, as for want of memory.
    #[error("cannot hash a secret")]
    Algorithm(#[source] argon2::password_hash::Error),
    /// Too many secrets wait to be checked; the caller may come back.
    #[error("too many secrets wait to be checked")]
    Busy,
    /// The pool's thread was stopped.
    #[error("the check of a secret was stopped")]
    Stopped,
}

/// Defines a kind of secret: text with a prefix by which people and secret scanners recognise it.
macro_rules! secret {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(String);

        impl $name {
            /// What every drawn one starts with.
            pub const PREFIX: &'static str = $prefix;

            /// Draws a new one: the prefix and 256 random bits in base64url.
            pub fn try_draw() -> Result<Self, SecretError> {
                let mut bytes = [0; 32];
                getrandom::fill(&mut bytes).map_err(SecretError::Randomness)?;
                Ok(Self(with_prefix($prefix, bytes)))
            }

            /// One that a caller presented; it may be anything.
            pub fn received(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The secret itself. Callers send it to its owner once or compare it, and do nothing else with it.
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

secret! {
    /// A client's secret (RFC 6749 §2.3.1). Stored as an argon2id hash.
    ClientSecret, "gbs_"
}

secret! {
    /// A registration access token (RFC 7592 §1.2). Stored as its SHA-256.
    RegistrationToken, "gbr_"
}

impl RegistrationToken {
    /// What is stored of the token. It needs no stretching, because it was drawn with 256 bits.
    pub fn hash(&self) -> [u8; 32] {
        hash::hash_token(&self.0)
    }

    /// Whether this is the token that was stored; takes the same time whatever the answer.
    pub fn verify(&self, stored: &[u8; 32]) -> bool {
        self.0.len() <= LONGEST_SECRET && hash::same(&self.hash(), stored)
    }
}

fn with_prefix(prefix: &str, bytes: [u8; 32]) -> String {
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_secrets_are_recognisable_long_and_never_the_same() {
        let first = ClientSecret::try_draw().unwrap();
        let second = ClientSecret::try_draw().unwrap();
        assert_ne!(first.expose(), second.expose());
        assert!(first.expose().starts_with("gbs_"));
        assert_eq!(first.expose().len(), "gbs_".len() + 43);
        assert!(RegistrationToken::try_draw().unwrap().expose().starts_with("gbr_"));
    }

    #[test]
    fn debug_output_tells_the_kind_and_nothing_else() {
        assert_eq!(format!("{:?}", ClientSecret::received("hunter2")), "ClientSecret(…)");
        assert_eq!(format!("{:?}", RegistrationToken::received("hunter2")), "RegistrationToken(…)");
    }

    #[test]
    fn a_token_matches_its_own_hash_only() {
        let token = RegistrationToken::try_draw().unwrap();
        let stored = token.hash();
        assert!(RegistrationToken::received(token.expose()).verify(&stored));
        assert!(!RegistrationToken::try_draw().unwrap().verify(&stored));
        assert!(!RegistrationToken::received("").verify(&stored));
        let endless = RegistrationToken::received("x".repeat(LONGEST_SECRET + 1));
        assert!(!endless.verify(&endless.hash()));
    }
}
