//! Key sets of strangers: at URLs that clients and tenants' administrators name, fetched by the fetcher that judges every address
//! and kept as long as they are fresh; or by value.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use gatebook_events::identity::TenantId;
use jsonwebtoken::Algorithm;
use serde_json::Value;

use crate::credentials::admin::{AdminRefusal, Place, RemoteKeys, VerifyingKey};
use crate::outbound::{Manifests, Urgency};
use crate::platform::clock::Clock;

/// The most key sets that are kept at once. Beyond it the tenant with the most of them loses the one that was not asked for longest.
const MOST_SETS: usize = 256;

/// The key sets that were asked for last. Cheap to clone.
#[derive(Clone)]
pub struct KeySets(Arc<Inner>);

struct Inner {
    manifests: Manifests,
    urgency: Urgency,
    clock: Clock,
    sets: Mutex<Sets>,
}

#[derive(Default)]
struct Sets {
    known: HashMap<Box<str>, Kept>,
    asked: u64,
}

struct Kept {
    keys: RemoteKeys,
    /// In whose room it is kept.
    tenant: Option<TenantId>,
    /// When it was asked for last, counted in questions.
    asked: u64,
}

impl Sets {
    /// Takes from the tenant with the most: what never had keys first, then what was not asked for longest.
    fn make_room(&mut self) {
        let mut counts: HashMap<&Option<TenantId>, usize> = HashMap::new();
        for kept in self.known.values() {
            *counts.entry(&kept.tenant).or_default() += 1;
        }
        let Some(most) = counts.values().max().copied() else { return };
        let theirs = self.known.iter().filter(|(_, kept)| counts.get(&kept.tenant) == Some(&most));
        let least = theirs.min_by_key(|(_, kept)| (kept.keys.has_keys(), kept.asked)).map(|(uri, _)| uri.clone());
        if let Some(uri) = least {
            self.known.remove(&uri);
        }
    }
}

impl KeySets {
    /// None are known yet. `urgency` says who is behind the URLs.
    pub fn new(manifests: Manifests, urgency: Urgency, clock: Clock) -> Self {
        Self(Arc::new(Inner { manifests, urgency, clock, sets: Mutex::default() }))
    }

    /// The key set at a URL, as it was fetched last; none where the URL is not one that is fetched here. It is kept in the room
    /// of a tenant.
    pub(crate) fn at(&self, uri: &str, tenant: Option<&TenantId>) -> Option<RemoteKeys> {
        let mut sets = self.0.sets.lock().unwrap_or_else(PoisonError::into_inner);
        sets.asked += 1;
        let asked = sets.asked;
        if let Some(kept) = sets.known.get_mut(uri) {
            kept.asked = asked;
            return Some(kept.keys.clone());
        }
        let url = match self.0.manifests.url(uri) {
            Ok(url) => url,
            Err(problem) => {
                tracing::warn!(url = uri, %problem, "a key set is not at a URL that is fetched");
                return None;
            }
        };
        if sets.known.len() >= MOST_SETS {
            sets.make_room();
        }
        let place = Place::Guarded(self.0.manifests.clone(), url, self.0.urgency);
        let keys = RemoteKeys::new(place, None, self.0.clock.clone());
        sets.known.insert(uri.into(), Kept { keys: keys.clone(), tenant: tenant.cloned(), asked });
        Some(keys)
    }

    /// The key set at a URL, if it is kept.
    pub(crate) fn kept(&self, uri: &str) -> Option<RemoteKeys> {
        self.0.sets.lock().unwrap_or_else(PoisonError::into_inner).known.get(uri).map(|kept| kept.keys.clone())
    }
}

/// The keys of a set by value that a token with this key id and algorithm may be checked with; at least one.
pub(crate) fn fitting(set: Option<&Value>, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<VerifyingKey>, AdminRefusal> {
    let keys = set.and_then(|jwks| jwks.get("keys")).and_then(Value::as_array).into_iter().flatten();
    let keys = keys.filter_map(|jwk| VerifyingKey::of_jwk(jwk, None));
    let fitting: Vec<_> = keys.filter(|key| (id.is_none() || key.id.as_deref() == id) && key.admits(algorithm)).collect();
    if fitting.is_empty() { Err(AdminRefusal::UnknownKey) } else { Ok(fitting) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ManifestSettings;

    #[tokio::test]
    async fn b1_b6_one_tenants_key_sets_take_no_room_from_anothers() {
        let manifests = Manifests::try_new(ManifestSettings::default(), None).unwrap();
        let sets = KeySets::new(manifests, Urgency::Anonymous, Clock::standing_at(chrono::DateTime::UNIX_EPOCH));
        let (quiet, loud) = (TenantId::parse("quiet").unwrap(), TenantId::parse("loud").unwrap());
        assert!(sets.at("https://quiet.example/keys", Some(&quiet)).is_some());
        for number in 0..2 * MOST_SETS {
            assert!(sets.at(&format!("https://{number}.example/keys"), Some(&loud)).is_some());
        }
        assert!(sets.kept("https://quiet.example/keys").is_some() && sets.kept("https://0.example/keys").is_none());
        assert_eq!(sets.0.sets.lock().unwrap().known.len(), MOST_SETS);
    }
}
