//! The initial access token in the clear (RFC 7591 §1.2): `gbi_`, the resource server's id and its own, each as 32 hexadecimal
//! digits, then 256 random bits in base64url. The ids say which stream to look in, and whoever finds a leaked one which to revoke.

use std::fmt;

use gatebook_events::identity::{InitialAccessTokenId, ResourceServerId};
use uuid::Uuid;

use super::{LONGEST_SECRET, SecretError, hash, with_prefix};

/// An initial access token. Stored as its SHA-256.
#[derive(Clone)]
pub struct InitialAccessToken(String);

impl InitialAccessToken {
    /// What every drawn one starts with.
    pub const PREFIX: &'static str = "gbi_";

    /// Draws a new one.
    pub fn try_draw(server: ResourceServerId, id: InitialAccessTokenId) -> Result<Self, SecretError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(SecretError::Randomness)?;
        Ok(Self::of(server, id, bytes))
    }

    /// The one with these bits.
    pub fn of(server: ResourceServerId, id: InitialAccessTokenId, bits: [u8; 32]) -> Self {
        let names = format!("{}{}_{}_", Self::PREFIX, server.0.simple(), id.0.simple());
        Self(with_prefix(&names, bits))
    }

    /// One that a caller presented; it may be anything.
    pub fn received(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Which token it says it is. Nothing is proved by that.
    pub fn names(&self) -> Option<(ResourceServerId, InitialAccessTokenId)> {
        let rest = self.0.strip_prefix(Self::PREFIX)?;
        let (server, rest) = rest.split_once('_')?;
        let (id, _) = rest.split_once('_')?;
        Some((ResourceServerId(simple(server)?), InitialAccessTokenId(simple(id)?)))
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

impl fmt::Debug for InitialAccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InitialAccessToken(…)")
    }
}

fn simple(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|_| text.len() == 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_token_names_itself_and_matches_its_own_hash_only() {
        let (server, id) = (ResourceServerId::DEFAULT, InitialAccessTokenId(Uuid::from_u128(7)));
        let token = InitialAccessToken::try_draw(server, id).unwrap();
        assert!(token.expose().starts_with("gbi_67617465626f4f6b8000000000000001_00000000000000000000000000000007_"));
        assert_eq!(token.expose().len(), 4 + 33 + 33 + 43);
        assert_eq!(token.names(), Some((server, id)));
        assert!(InitialAccessToken::received(token.expose()).verify(&token.hash()));
        assert!(!InitialAccessToken::try_draw(server, id).unwrap().verify(&token.hash()));
        assert_eq!(format!("{token:?}"), "InitialAccessToken(…)");
        for other in
            ["", "gbi_", "gbi__", "gbr_x_y_z", "gbi_1_2_3", "gbi_67617465-626f-4f6b-8000-000000000001_00000000000000000000000000000007_x"]
        {
            assert_eq!(InitialAccessToken::received(other).names(), None, "{other}");
        }
    }
}
