//! The secret that a client brings, or why it has none that is of use here.

use gatebook_events::secret::SecretHash;

use crate::secrets::{ClientSecret, Cost, LONGEST_SECRET};

/// How other systems' hashes begin: bcrypt, PBKDF2, scrypt, the other argon2s, and the shadow file's.
const HASHES: [&str; 11] = ["$2a$", "$2b$", "$2x$", "$2y$", "$pbkdf2", "$scrypt$", "$argon2", "$1$", "$5$", "$6$", "{SSHA"];

/// The secret that a client brings.
#[derive(Debug)]
pub enum Brought {
    /// None.
    None,
    /// In the clear. It is hashed, and kept nowhere.
    Clear(ClientSecret),
    /// As an argon2id hash, which is taken as it is.
    Hashed(SecretHash),
    /// One that nobody can present here, and why, to complete "because …".
    Unusable(&'static str),
}

impl Brought {
    /// A text where a secret is expected.
    pub fn of(text: Option<&str>) -> Self {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Self::None };
        if let (Ok(hash), Ok(_)) = (SecretHash::try_new(text), Cost::of(text)) {
            return Self::Hashed(hash);
        }
        if HASHES.iter().any(|hash| text.starts_with(hash)) {
            Self::Unusable("the file has only a hash of it")
        } else if text.bytes().all(|byte| byte == b'*') {
            Self::Unusable("the file shows it as asterisks")
        } else if text.starts_with("${") {
            Self::Unusable("the file has a reference to it")
        } else if text.len() > LONGEST_SECRET {
            Self::Unusable("it is longer than 1024 bytes")
        } else {
            Self::Clear(ClientSecret::received(text))
        }
    }
}
