//! Secrets that were right a moment ago, so that argon2 is paid once per secret and minute. What is kept is a keyed hash, under a
//! key that this process drew and that is nowhere else. Clients that registered themselves have secrets that are cheap to check,
//! and never take the room of one that is not.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use gatebook_events::identity::ClientKey;
use gatebook_events::secret::SecretHash;

use crate::credentials::secrets::{ClientSecret, Cost, InstanceKey, SecretError};

/// For how long a secret is remembered.
const LIFE: TimeDelta = TimeDelta::seconds(60);
/// The most clients whose secrets are remembered at once: of those that are cheap to check, and of the others. Beyond it a
/// secret is checked each time it is shown.
const MOST: usize = 10_000;

/// Secrets that were right a moment ago.
pub(super) struct Remembered {
    key: InstanceKey,
    drawn: Mutex<Known>,
    chosen: Mutex<Known>,
}

/// The last of each client, and during an overlap the one before it.
type Known = HashMap<ClientKey, [Option<([u8; 32], DateTime<Utc>)>; 2]>;

impl Remembered {
    /// None yet, under a fresh key.
    pub fn try_new() -> Result<Self, SecretError> {
        Ok(Self { key: InstanceKey::try_draw()?, drawn: Mutex::default(), chosen: Mutex::default() })
    }

    /// Whether this was the secret behind a stored hash less than a minute ago. A hash that was replaced is another one, so a
    /// rotated or revoked secret is forgotten at once.
    pub fn knows(&self, client: ClientKey, stored: &SecretHash, secret: &ClientSecret, now: DateTime<Utc>) -> bool {
        let mark = self.mark(client, stored, secret);
        let known = self.of(stored).lock().unwrap_or_else(PoisonError::into_inner).get(&client).copied();
        let known = known.into_iter().flatten().flatten();
        // A clock that was set back ends it too.
        known.into_iter().any(|(known, until)| known == mark && now < until && until - now <= LIFE)
    }

    /// Remembers a secret that was right.
    pub fn remember(&self, client: ClientKey, stored: &SecretHash, secret: &ClientSecret, now: DateTime<Utc>) {
        let mark = self.mark(client, stored, secret);
        let mut known = self.of(stored).lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST && !known.contains_key(&client) {
            known.retain(|_, secrets| secrets.iter().flatten().any(|(_, until)| *until > now));
            if known.len() >= MOST {
                return;
            }
        }
        let secrets = known.entry(client).or_default();
        let before = secrets[0].filter(|(known, _)| *known != mark).or(secrets[1]);
        *secrets = [Some((mark, now + LIFE)), before];
    }

    /// Those that are as dear to check as this one. What cannot be read is no one's secret.
    fn of(&self, stored: &SecretHash) -> &Mutex<Known> {
        match Cost::of(stored.as_phc()) {
            Ok(Cost::Chosen) => &self.chosen,
            Ok(Cost::Drawn) | Err(_) => &self.drawn,
        }
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
        SecretHash::try_new(&format!("$argon2id$v=19$m=64,t=1,p=1${salt}2FsdHNhbHRzYWx0c2E$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"))
            .unwrap()
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
    fn b1_a_clients_secrets_take_no_room_from_anothers() {
        let (known, now) = (Remembered::try_new().unwrap(), DateTime::UNIX_EPOCH);
        let secret = ClientSecret::received("s");
        let dear = hash("a").as_phc().replace("m=64", "m=19456");
        let dear = SecretHash::try_new(&dear).unwrap();
        known.remember(CLIENT, &hash("a"), &secret, now);
        for number in 0..10_500_u32 {
            known.remember(CLIENT, &hash("a"), &ClientSecret::received(number.to_string()), now);
            known.remember(ClientKey(Uuid::from_u128(u128::from(number) + 100)), &hash("a"), &secret, now);
        }
        assert!(known.knows(ClientKey(Uuid::from_u128(100)), &hash("a"), &secret, now), "later ones do not drive it out");
        assert!(known.drawn.lock().unwrap().len() <= MOST);
        known.remember(CLIENT, &dear, &secret, now);
        assert!(known.knows(CLIENT, &dear, &secret, now), "however many have cheap ones");
    }
}
