//! What is stored of a secret: argon2id as a PHC string for client secrets, SHA-256 for tokens.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, PasswordHasher, PasswordVerifier};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, Version};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{ClientSecret, LONGEST_SECRET, SecretError};

/// The dearest stored hash that is ever computed. Imports may cost more than Gatebook's own, but not everything.
const MOST_MEMORY_KIB: u32 = 256 * 1024;
const MOST_PASSES: u32 = 16;
const MOST_LANES: u32 = 16;
/// Below this a hash would be easier to hit by chance than the secret is to guess.
const SHORTEST_OUTPUT: usize = 16;

/// What a hash costs whoever computes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// For secrets that Gatebook drew: 256 bits need no stretching (NIST SP 800-63B), so m = 64 KiB, t = 1, p = 1.
    Drawn,
    /// For secrets that people chose or that were imported: m = 19 MiB, t = 2, p = 1, as OWASP advises.
    Chosen,
}

impl Cost {
    const fn memory_kib(self) -> u32 {
        match self {
            Self::Drawn => 64,
            Self::Chosen => 19 * 1024,
        }
    }

    const fn passes(self) -> u32 {
        match self {
            Self::Drawn => 1,
            Self::Chosen => 2,
        }
    }

    /// What it costs to check a secret against a stored hash. The hash's own parameters tell, not who made it.
    pub fn of(stored: &str) -> Result<Self, SecretError> {
        let params = bounded(&parse(stored)?)?;
        let small = params.m_cost().saturating_mul(params.t_cost()) <= Self::Drawn.memory_kib() * Self::Drawn.passes();
        Ok(if small { Self::Drawn } else { Self::Chosen })
    }
}

/// Hashes a secret with a fresh salt into a PHC string. [`Cost::Chosen`] takes about 20 ms: see [`super::SecretHasher`].
pub fn hash_secret(secret: &ClientSecret, cost: Cost) -> Result<String, SecretError> {
    let params =
        Params::new(cost.memory_kib(), cost.passes(), 1, None).map_err(|_| SecretError::UnusableHash("parameters out of range"))?;
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(SecretError::Randomness)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(secret.expose().as_bytes(), &salt)
        .map(|hash: PasswordHash| hash.to_string())
        .map_err(SecretError::Algorithm)
}

/// Whether this is the secret behind a stored PHC string, at the cost that the string names.
pub fn verify_secret(secret: &ClientSecret, stored: &str) -> Result<bool, SecretError> {
    let hash = parse(stored)?;
    bounded(&hash)?;
    if secret.expose().len() > LONGEST_SECRET {
        return Ok(false);
    }
    // Takes algorithm, version and parameters from the hash; compares in constant time.
    match Argon2::default().verify_password(secret.expose().as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(SecretError::Algorithm(error)),
    }
}

/// The SHA-256 of a token.
pub(super) fn hash_token(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Whether two hashes are the same; takes the same time whatever the answer.
pub(super) fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.ct_eq(other).into()
}

fn parse(stored: &str) -> Result<PasswordHash, SecretError> {
    PasswordHash::new(stored).map_err(|_| SecretError::UnusableHash("it cannot be read"))
}

fn bounded(hash: &PasswordHash) -> Result<Params, SecretError> {
    if hash.algorithm != ARGON2ID_IDENT || hash.version != Some(Version::V0x13.into()) {
        return Err(SecretError::UnusableHash("only argon2id, version 19"));
    }
    if hash.salt.is_none() || hash.hash.is_none_or(|output| output.len() < SHORTEST_OUTPUT) {
        return Err(SecretError::UnusableHash("a salt and 16 bytes or more"));
    }
    let params = Params::try_from(hash).map_err(|_| SecretError::UnusableHash("its parameters cannot be read"))?;
    if params.m_cost() > MOST_MEMORY_KIB || params.t_cost() > MOST_PASSES || params.p_cost() > MOST_LANES {
        return Err(SecretError::UnusableHash("at most m=262144, t=16, p=16"));
    }
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phc_string_says_which_cost_was_paid() {
        let secret = ClientSecret::try_draw().unwrap();
        let drawn = hash_secret(&secret, Cost::Drawn).unwrap();
        let chosen = hash_secret(&secret, Cost::Chosen).unwrap();
        assert!(drawn.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{drawn}");
        assert!(chosen.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{chosen}");
        assert_eq!(Cost::of(&drawn).unwrap(), Cost::Drawn);
        assert_eq!(Cost::of(&chosen).unwrap(), Cost::Chosen);
    }

    #[test]
    fn a_secret_matches_its_own_hash_at_either_cost_and_no_other() {
        let secret = ClientSecret::try_draw().unwrap();
        for cost in [Cost::Drawn, Cost::Chosen] {
            let stored = hash_secret(&secret, cost).unwrap();
            assert!(verify_secret(&secret, &stored).unwrap());
            assert!(!verify_secret(&ClientSecret::try_draw().unwrap(), &stored).unwrap());
            assert!(!verify_secret(&ClientSecret::received(""), &stored).unwrap());
            assert_ne!(stored, hash_secret(&secret, cost).unwrap(), "the salt is fresh");
        }
    }

    #[test]
    fn a_hash_made_elsewhere_is_checked_with_its_own_parameters() {
        // `printf password | argon2 somesalt -id -t 2 -k 256 -p 1`, out of the reference implementation's tests.
        let stored = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        assert!(verify_secret(&ClientSecret::received("password"), stored).unwrap());
        assert!(!verify_secret(&ClientSecret::received("Password"), stored).unwrap());
    }

    #[test]
    fn a_stored_hash_that_is_unusable_or_too_dear_is_an_error_and_not_a_match() {
        let output = "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        for stored in [
            String::new(),
            "password".to_owned(),
            format!("$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ${output}"),
            format!("$argon2id$v=19$m=256,t=4000000000,p=1$c29tZXNhbHQ${output}"),
            format!("$argon2id$v=19$m=256,t=2,p=31$c29tZXNhbHQ${output}"),
            format!("$argon2id$v=19$m=99999999999,t=2,p=1$c29tZXNhbHQ${output}"),
            format!("$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ${output}"),
            format!("$argon2id$v=16$m=256,t=2,p=1$c29tZXNhbHQ${output}"),
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ".to_owned(),
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAA".to_owned(),
        ] {
            let answer = verify_secret(&ClientSecret::received("password"), &stored);
            assert!(matches!(answer, Err(SecretError::UnusableHash(_))), "{stored}: {answer:?}");
        }
    }

    #[test]
    fn an_endless_secret_is_not_hashed() {
        let stored = hash_secret(&ClientSecret::received("x"), Cost::Drawn).unwrap();
        let endless = ClientSecret::received("x".repeat(LONGEST_SECRET + 1));
        assert!(!verify_secret(&endless, &stored).unwrap());
    }
}
