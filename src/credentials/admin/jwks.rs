//! The key set of a signer elsewhere: fetched when first needed, kept, and fetched again when a token names a new key.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use gatebook_events::manifest::{ManifestUrl, TroubleKind};
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::AdminRefusal;
use super::key::VerifyingKey;
use crate::outbound::trusted_json::{LARGEST_ANSWER, Source};
use crate::outbound::{FetchFailure, Manifests, Urgency};
use crate::platform::clock::Clock;
use tracing::Instrument;

/// Between two fetches, whatever tokens come: an unknown key's name costs an attacker nothing.
const PAUSE: TimeDelta = TimeDelta::seconds(10);
/// After this a set is fetched again, so that a withdrawn key is forgotten.
const FRESH: TimeDelta = TimeDelta::minutes(5);
/// After this a set is no longer used, even if there is no newer one.
const USABLE: TimeDelta = TimeDelta::hours(24);
const MOST_KEYS: usize = 100;

/// A signer's key set. Cheap to clone.
#[derive(Clone)]
pub(crate) struct RemoteKeys(Arc<Remote>);

/// Where a key set is.
pub(crate) enum Place {
    /// At a URL that the operator configured.
    Operator(Source),
    /// At a URL that somebody else named: every address is judged before it is dialled.
    Guarded(Manifests, ManifestUrl, Urgency),
}

/// A key set was not asked for, because of bounds of this service: that says nothing about the keys. After this it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotTried(pub Duration);

/// Whether a key set is fetched where the one that is kept does not do, and at whose wish.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fetching {
    /// What is kept has to do.
    Never,
    /// At the wish of its place.
    Usual,
    /// At this wish.
    At(Urgency),
}

struct Remote {
    place: Place,
    pinned: Option<Algorithm>,
    clock: Clock,
    held: RwLock<Option<Arc<KeySet>>>,
    /// When the last fetch began. Held locked while one runs, so that only one does.
    fetching: Mutex<Option<DateTime<Utc>>>,
}

struct KeySet {
    keys: Vec<VerifyingKey>,
    fetched_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl RemoteKeys {
    /// The set at a place, for one algorithm if one is pinned.
    pub fn new(place: Place, pinned: Option<Algorithm>, clock: Clock) -> Self {
        Self(Arc::new(Remote { place, pinned, clock, held: RwLock::new(None), fetching: Mutex::new(None) }))
    }

    /// The keys that a token with this key id and algorithm may be checked with; at least one.
    pub async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<VerifyingKey>, AdminRefusal> {
        self.find_at(id, algorithm, Fetching::Usual).await.unwrap_or(Err(AdminRefusal::Unavailable))
    }

    /// The same at another wish than that of its place.
    pub async fn find_at(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        fetching: Fetching,
    ) -> Result<Result<Vec<VerifyingKey>, AdminRefusal>, NotTried> {
        let now = self.0.clock.now();
        let held = self.0.held();
        let known = held.as_ref().is_some_and(|set| set.is_younger(USABLE, now) && set.named(id).next().is_some());
        if !known || held.as_ref().is_none_or(|set| !set.is_younger(FRESH, now)) {
            let tried = match fetching {
                Fetching::Never => Ok(()),
                Fetching::Usual => self.refresh(known, None).await,
                Fetching::At(urgency) => self.refresh(known, Some(urgency)).await,
            };
            if !known {
                tried?;
            }
        }
        Ok(self.held_at(now, id, algorithm))
    }

    fn held_at(&self, now: DateTime<Utc>, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<VerifyingKey>, AdminRefusal> {
        let set = self.0.held().filter(|set| set.is_younger(USABLE, now)).ok_or(AdminRefusal::Unavailable)?;
        if set.named(id).next().is_none() {
            return Err(AdminRefusal::UnknownKey);
        }
        let admitting: Vec<_> = set.named(id).filter(|key| key.admits(algorithm)).cloned().collect();
        if admitting.is_empty() { Err(AdminRefusal::WrongAlgorithm) } else { Ok(admitting) }
    }

    /// Whether keys were ever fetched.
    pub fn has_keys(&self) -> bool {
        self.0.held().is_some()
    }

    /// Fetches the set anew, unless somebody else just did. One who can do without does not wait for another's fetch.
    async fn refresh(&self, can_do_without: bool, urgency: Option<Urgency>) -> Result<(), NotTried> {
        let remote = Arc::clone(&self.0);
        // A task of its own, so that callers who hang up cannot cause one fetch after the other.
        let fetch = async move {
            let mut begun = match remote.fetching.try_lock() {
                Ok(begun) => begun,
                Err(_) if can_do_without => return Ok(()),
                Err(_) => remote.fetching.lock().await,
            };
            let now = remote.clock.now();
            // A clock that was set back ends the pause, rather than making it last.
            if begun.is_some_and(|at| at <= now && now - at < PAUSE) {
                return Ok(());
            }
            let before = begun.replace(now);
            match remote.fetch(urgency).await {
                Ok(keys) => {
                    if keys.is_empty() {
                        tracing::warn!(url = %remote.place, "the key set has no key that can be used");
                    }
                    let set = Arc::new(KeySet { keys, fetched_at: now });
                    *remote.held.write().unwrap_or_else(PoisonError::into_inner) = Some(set);
                }
                Err(error) => {
                    let not_tried = error.downcast_ref::<FetchFailure>().filter(|failure| failure.trouble.kind() == TroubleKind::NotTried);
                    if let Some(failure) = not_tried {
                        // Another caller may be free to.
                        *begun = before;
                        return Err(NotTried(failure.retry_after.unwrap_or(Duration::from_secs(5))));
                    }
                    let error: &(dyn std::error::Error + 'static) = &*error;
                    tracing::warn!(url = %remote.place, error, "cannot fetch the key set");
                }
            }
            Ok(())
        };
        let task = tokio::spawn(fetch.in_current_span());
        // A fetch that was stopped leaves the keys as they were.
        task.await.unwrap_or(Ok(()))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(source) => source.url.fmt(f),
            Self::Guarded(_, url, _) => url.fmt(f),
        }
    }
}

impl Remote {
    fn held(&self) -> Option<Arc<KeySet>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn fetch(&self, at: Option<Urgency>) -> Result<Vec<VerifyingKey>, Box<dyn std::error::Error + Send + Sync>> {
        let document: Document = match &self.place {
            Place::Operator(source) => source.get().await?,
            Place::Guarded(manifests, url, urgency) => {
                let object = manifests.fetch_json(url, LARGEST_ANSWER, at.unwrap_or(*urgency)).await?;
                serde_json::from_value(Value::Object(object))?
            }
        };
        let usable = document.keys.iter().filter_map(|jwk| VerifyingKey::of_jwk(jwk, self.pinned));
        Ok(usable.take(MOST_KEYS).collect())
    }
}

impl KeySet {
    fn is_younger(&self, age: TimeDelta, now: DateTime<Utc>) -> bool {
        now - self.fetched_at < age
    }

    /// The keys with this name; all of them for a token that names none.
    fn named(&self, id: Option<&str>) -> impl Iterator<Item = &VerifyingKey> {
        self.keys.iter().filter(move |key| id.is_none() || key.id.as_deref() == id)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::get;
    use serde_json::json;

    use super::super::signer::Signer;
    use super::super::{AdminVerifier, Role};
    use super::*;
    use crate::config::{Config, Settings};

    /// A signer's server on loopback, whose answer can be changed and whose calls are counted.
    #[derive(Clone, Default)]
    struct IdentityProvider {
        answer: Arc<RwLock<(u16, String)>>,
        calls: Arc<AtomicUsize>,
    }

    impl IdentityProvider {
        async fn start(keys: &[Value]) -> (Self, String) {
            let provider = Self::default();
            provider.publish(keys);
            let answering = provider.clone();
            let answer = move || async move {
                answering.calls.fetch_add(1, Ordering::SeqCst);
                let (status, body) = answering.answer.read().unwrap().clone();
                (StatusCode::from_u16(status).unwrap(), body)
            };
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
            let router = Router::new().route("/jwks.json", get(answer));
            tokio::spawn(async move { axum::serve(listener, router).await });
            (provider, url)
        }

        fn publish(&self, keys: &[Value]) {
            self.answer(200, &json!({ "keys": keys }).to_string());
        }

        fn answer(&self, status: u16, body: &str) {
            *self.answer.write().unwrap() = (status, body.to_owned());
        }

        fn calls(&self) -> usize {
            self.calls.load(Ordering::SeqCst)
        }
    }

    fn verifier(url: &str) -> (AdminVerifier, Clock) {
        let clock = Clock::standing_at(DateTime::from_timestamp(Signer::NOW, 0).unwrap());
        let settings = Settings { admin_jwks_url: Some(url.to_owned()), ..Settings::default() };
        let admin = Config::try_new(settings).unwrap().admin;
        (AdminVerifier::try_new(&admin, clock.clone()).unwrap(), clock)
    }

    #[tokio::test]
    async fn keys_are_fetched_once_and_every_kind_is_used() {
        let (rsa, p256, ed) = (Signer::rsa(), Signer::p256(), Signer::ed25519());
        let (provider, url) = IdentityProvider::start(&[rsa.jwk("r"), p256.jwk("p"), ed.jwk("e")]).await;
        let (verifier, _) = verifier(&url);
        assert_eq!(provider.calls(), 0, "nothing is fetched before it is needed");
        for (signer, id) in [(rsa, Some("r")), (p256, Some("p")), (ed, Some("e")), (p256, None)] {
            assert_eq!(verifier.verify(&signer.sign(id)).await.unwrap().role, Role::Admin);
        }
        assert_eq!(provider.calls(), 1);
        assert_eq!(verifier.verify(&p256.sign(Some("r"))).await, Err(AdminRefusal::WrongAlgorithm));
    }

    #[tokio::test]
    async fn an_unknown_key_id_causes_exactly_one_fetch() {
        let (provider, url) = IdentityProvider::start(&[Signer::p256().jwk("a")]).await;
        let (verifier, clock) = verifier(&url);
        assert!(verifier.verify(&Signer::p256().sign(Some("a"))).await.is_ok());
        clock.advance(PAUSE);
        let unknown = Signer::p256().sign(Some("b"));
        let flood = (0..50).map(|_| verifier.verify(&unknown));
        for answer in futures_util::future::join_all(flood).await {
            assert_eq!(answer, Err(AdminRefusal::UnknownKey));
        }
        assert_eq!(provider.calls(), 2, "the first fetch, and one for all of the flood");
        clock.advance(PAUSE);
        assert_eq!(verifier.verify(&unknown).await, Err(AdminRefusal::UnknownKey));
        assert_eq!(provider.calls(), 3);
    }

    #[tokio::test]
    async fn a_rotated_key_is_learnt_and_a_withdrawn_one_forgotten() {
        let (old, new) = (Signer::p256(), Signer::ed25519());
        let (provider, url) = IdentityProvider::start(&[old.jwk("old")]).await;
        let (verifier, clock) = verifier(&url);
        assert!(verifier.verify(&old.sign(Some("old"))).await.is_ok());
        provider.publish(&[new.jwk("new"), old.jwk("old")]);
        clock.advance(PAUSE);
        assert!(verifier.verify(&new.sign(Some("new"))).await.is_ok());
        provider.publish(&[new.jwk("new")]);
        clock.advance(FRESH);
        assert_eq!(verifier.verify(&old.sign(Some("old"))).await, Err(AdminRefusal::UnknownKey));
    }

    #[tokio::test]
    async fn old_keys_serve_while_new_ones_cannot_be_fetched_but_not_for_ever() {
        let (provider, url) = IdentityProvider::start(&[Signer::p256().jwk("a")]).await;
        let (verifier, clock) = verifier(&url);
        let token = Signer::p256().sign_until(Some("a"), Signer::NOW + 200_000);
        assert!(verifier.verify(&token).await.is_ok());
        for (status, body) in [
            (500, ""),
            (200, "<html>"),
            (200, "{\"keys\": 7}"),
            (302, ""),
            (200, &" ".repeat(crate::outbound::trusted_json::LARGEST_ANSWER + 1)),
        ] {
            provider.answer(status, body);
            clock.advance(FRESH);
            let before = provider.calls();
            assert!(verifier.verify(&token).await.is_ok(), "{status}");
            assert_eq!(provider.calls(), before + 1);
        }
        clock.advance(USABLE);
        assert_eq!(verifier.verify(&token).await, Err(AdminRefusal::Unavailable));
    }

    #[tokio::test]
    async fn without_any_keys_nobody_comes_in() {
        let (provider, url) = IdentityProvider::start(&[]).await;
        provider.answer(503, "");
        let (verifier, clock) = verifier(&url);
        let token = Signer::p256().sign(Some("a"));
        assert_eq!(verifier.verify(&token).await, Err(AdminRefusal::Unavailable));
        assert_eq!(verifier.verify(&token).await, Err(AdminRefusal::Unavailable));
        assert_eq!(provider.calls(), 1, "one that fails is not hammered");
        provider.publish(&[Signer::p256().jwk("a")]);
        clock.advance(PAUSE);
        assert!(verifier.verify(&token).await.is_ok());
    }

    #[tokio::test]
    async fn a_secret_in_a_key_set_is_never_used() {
        let secret = Signer::shared();
        let (_, url) = IdentityProvider::start(&[secret.jwk("s"), Signer::p256().jwk("a")]).await;
        let (verifier, _) = verifier(&url);
        assert_eq!(verifier.verify(&secret.sign(Some("s"))).await, Err(AdminRefusal::UnknownKey));
        assert_eq!(verifier.verify(&secret.sign(Some("a"))).await, Err(AdminRefusal::WrongAlgorithm));
        assert_eq!(verifier.verify(&secret.sign(None)).await, Err(AdminRefusal::WrongAlgorithm));
    }
}
