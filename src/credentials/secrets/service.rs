//! The service token in the clear: `gbt_`, its id as 32 hexadecimal digits, then 256 random bits in base64url. The id says which
//! stream to look in, and whoever finds a leaked one which to revoke.

use std::fmt;

use gatebook_events::identity::ServiceTokenId;
use uuid::Uuid;

use super::{LONGEST_SECRET, SecretError, hash, with_prefix};

/// A service token. Stored as its SHA-256.
#[derive(Clone)]
pub struct ServiceToken(String);

impl ServiceToken {
    /// What every drawn one starts with.
    pub const PREFIX: &'static str = "gbt_";

    /// Draws a new one.
    pub fn try_draw(id: ServiceTokenId) -> Result<Self, SecretError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(SecretError::Randomness)?;
        Ok(Self::of(id, bytes))
    }

    /// The one with these bits.
    pub fn of(id: ServiceTokenId, bits: [u8; 32]) -> Self {
        Self(with_prefix(&format!("{}{}_", Self::PREFIX, id.0.simple()), bits))
    }

    /// One that a caller presented; it may be anything.
    pub fn received(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Which token it says it is. Nothing is proved by that.
    pub fn names(&self) -> Option<ServiceTokenId> {
        let (id, _) = self.0.strip_prefix(Self::PREFIX)?.split_once('_')?;
        Uuid::try_parse(id).ok().filter(|_| id.len() == 32).map(ServiceTokenId)
    }

    /// The token itself, to be shown once.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored of the token. It needs no stretching, because it was drawn with 256 bits.
    pub fn hash(&self) -> [u8; 32] {
        hash::hash_token(&self.0)
    }

    /// Whether this is the token that was stored; takes the same time whatever the answer.
    pub fn verify(&self, stored: &[u8; 32]) -> bool {
        self.0.len() <= LONGEST_SECRET && hash::same(&self.hash(), stored)
    }
}

impl fmt::Debug for ServiceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_token_names_itself_and_matches_its_own_hash_only() {
        let id = ServiceTokenId(Uuid::from_u128(7));
        let token = ServiceToken::try_draw(id).unwrap();
        assert!(token.expose().starts_with("gbt_00000000000000000000000000000007_"));
        assert_eq!((token.expose().len(), token.names()), (4 + 33 + 43, Some(id)));
        assert!(ServiceToken::received(token.expose()).verify(&token.hash()));
        assert!(!ServiceToken::try_draw(id).unwrap().verify(&token.hash()));
        assert_eq!(format!("{token:?}"), "ServiceToken(…)");
        for other in
            ["", "gbt_", "gbt__", "gbi_00000000000000000000000000000007_x", "gbt_7_x", "gbt_00000000-0000-0000-0000-000000000007_x"]
        {
            assert_eq!(ServiceToken::received(other).names(), None, "{other}");
        }
    }
}
