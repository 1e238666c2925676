//! Key sets of strangers: at URLs that clients and tenants' administrators name, fetched by the fetcher that judges every address
//! and kept as long as they are fresh; or by value.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jsonwebtoken::Algorithm;
use serde_json::Value;

use crate::admin::{AdminRefusal, Place, RemoteKeys, VerifyingKey};
use crate::clock::Clock;
use crate::manifest::{Manifests, Urgency};

/// The most key sets that are kept at once.
const MOST_SETS: usize = 256;

/// The key sets that were asked for last. Cheap to clone.
#[derive(Clone)]
pub struct KeySets(Arc<Inner>);

struct Inner {
    manifests: Manifests,
    urgency: Urgency,
    clock: Clock,
    sets: Mutex<HashMap<Box<str>, RemoteKeys>>,
}

impl KeySets {
    /// None are known yet. `urgency` says who is behind the URLs.
    pub fn new(manifests: Manifests, urgency: Urgency, clock: Clock) -> Self {
        Self(Arc::new(Inner { manifests, urgency, clock, sets: Mutex::default() }))
    }

    /// The key set at a URL, as it was fetched last; none where the URL is not one that is fetched here.
    pub(crate) fn at(&self, uri: &str) -> Option<RemoteKeys> {
        let mut sets = self.0.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = sets.get(uri) {
            return Some(known.clone());
        }
        let url = match self.0.manifests.url(uri) {
            Ok(url) => url,
            Err(problem) => {
                tracing::warn!(url = uri, %problem, "a key set is not at a URL that is fetched");
                return None;
            }
        };
        // Whichever has to go is fetched again when it is needed.
        if sets.len() >= MOST_SETS
            && let Some(any) = sets.keys().next().cloned()
        {
            sets.remove(&any);
        }
        let place = Place::Guarded(self.0.manifests.clone(), url, self.0.urgency);
        let keys = RemoteKeys::new(place, None, self.0.clock.clone());
        sets.insert(uri.into(), keys.clone());
        Some(keys)
    }
}

/// The keys of a set by value that a token with this key id and algorithm may be checked with; at least one.
pub(crate) fn fitting(set: Option<&Value>, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<VerifyingKey>, AdminRefusal> {
    let keys = set.and_then(|jwks| jwks.get("keys")).and_then(Value::as_array).into_iter().flatten();
    let keys = keys.filter_map(|jwk| VerifyingKey::of_jwk(jwk, None));
    let fitting: Vec<_> = keys.filter(|key| (id.is_none() || key.id.as_deref() == id) && key.admits(algorithm)).collect();
    if fitting.is_empty() { Err(AdminRefusal::UnknownKey) } else { Ok(fitting) }
}
