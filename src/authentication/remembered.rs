//! Secrets that were right a moment ago, so that argon2 is paid once per secret and minute. What is kept is a keyed hash, under a
//! key that this process drew and that is nowhere else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use gatebook_events::identity::ClientKey;
use gatebook_events::secret::SecretHash;

use crate::secrets::{ClientSecret, InstanceKey, SecretError};

/// For how long a secret is remembered.
const LIFE: TimeDelta = TimeDelta::seconds(60);
/// The most secrets that are remembered at once.
const MOST: usize = 10_000;

/// Secrets that were right a moment ago.
pub(super) struct Remembered {
    key: InstanceKey,
    until: Mutex<HashMap<[u8; 32], DateTime<Utc>>>,
}

impl Remembered {
    /// None yet, under a fresh key.
    pub fn try_new() -> Result<Self, SecretError> {
        Ok(Self { key: InstanceKey::try_draw()?, until: Mutex::default() })
    }

    /// Whether this was the secret behind a stored hash less than a minute ago. A hash that was replaced is another one, so a
    /// rotated or revoked secret is forgotten at once.
    pub fn knows(&self, client: ClientKey, stored: &SecretHash, secret: &ClientSecret, now: DateTime<Utc>) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner).get(&self.mark(client, stored, secret)).copied();
        // A clock that was set back ends it too.
        until.is_some_and(|until| now < until && until - now <= LIFE)
    }

    /// Remembers a secret that was right.
    pub fn remember(&self, client: ClientKey, stored: &SecretHash, secret: &ClientSecret, now: DateTime<Utc>) {
        let mark = self.mark(client, stored, secret);
        let mut known = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, until| *until > now);
            if known.len() >= MOST {
                known.clear();
            }
        }
        known.insert(mark, now + LIFE);
    }

    fn mark(&self, client: ClientKey, stored: &SecretHash, secret: &ClientSecret) -> [u8; 32] {
        self.key.mark_secret(&[client.0.as_bytes(), stored.as_phc().as_bytes(), secret.expose().as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const CLIENT: ClientKey = ClientKey(Uuid::from_u128(7));

    fn hash(salt: &str) -> SecretHash {
        SecretHash::try_new(&format!("$argon2id$v=19$m=64,t=1,p=1${salt}$aGFzaA")).unwrap()
    }

    #[test]
    fn a_secret_is_remembered_for_a_minute_for_its_client_and_its_hash_only() {
        let (known, now, secret) = (Remembered::try_new().unwrap(), DateTime::UNIX_EPOCH, ClientSecret::received("s"));
        assert!(!known.knows(CLIENT, &hash("a"), &secret, now));
        known.remember(CLIENT, &hash("a"), &secret, now);
        assert!(known.knows(CLIENT, &hash("a"), &secret, now + TimeDelta::seconds(59)));
        assert!(!known.knows(CLIENT, &hash("a"), &secret, now + TimeDelta::seconds(60)));
        assert!(!known.knows(CLIENT, &hash("b"), &secret, now), "it was rotated");
        assert!(!known.knows(ClientKey(Uuid::from_u128(8)), &hash("a"), &secret, now));
        assert!(!known.knows(CLIENT, &hash("a"), &ClientSecret::received("t"), now));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (known, now) = (Remembered::try_new().unwrap(), DateTime::UNIX_EPOCH);
        for number in 0..10_500_u32 {
            known.remember(CLIENT, &hash("a"), &ClientSecret::received(number.to_string()), now);
        }
        assert!(known.until.lock().unwrap().len() <= MOST);
    }
}
