//! The keys that sign, one after the other. A new one is published before it signs, and an old one until the last token that it
//! signed is over, so that nobody ever holds a token whose key cannot be found.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::signing_key::{KeyFileError, SigningAlgorithm, SigningKey};
use super::{LEEWAY, draw};
pub use crate::config::KeySource;
use crate::credentials::key_files;

/// For how long a resource server may hold the key set.
pub const HELD: TimeDelta = TimeDelta::minutes(5);
/// How long a key is published before it signs: whoever holds the key set without it has asked again by then.
const AHEAD: TimeDelta = TimeDelta::minutes(10);

/// The keys in use.
pub struct KeyRing {
    source: KeySource,
    /// How long a token lives, from now on.
    life: TimeDelta,
    /// None until somebody needs a key.
    keys: Mutex<Option<Vec<Entry>>>,
    /// When keys were to sign that a clock drew which was ahead.
    ahead: std::sync::Mutex<Option<DateTime<Utc>>>,
}

/// A key, and when it signs.
#[derive(Clone)]
struct Entry {
    key: Arc<SigningKey>,
    stored: Stored,
}

/// A key in the file of the data folder.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    created_at: DateTime<Utc>,
    signs_from: DateTime<Utc>,
    /// The longest that a token may live that it signs.
    token_seconds: i64,
    private_key: String,
}

/// What is told of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedKey {
    /// Its name in the key set.
    pub id: String,
    /// What it signs with.
    pub algorithm: SigningAlgorithm,
    /// When it was drawn; unknown of a key that an operator brought.
    pub created_at: Option<DateTime<Utc>>,
    /// From when on it signs.
    pub signs_from: Option<DateTime<Utc>>,
    /// Whether tokens are signed with it now.
    pub signs: bool,
    /// When it goes; none while nothing has taken over.
    pub published_until: Option<DateTime<Utc>>,
}

impl KeyRing {
    /// Keys that operators brought are read now; others are drawn when somebody needs one.
    pub fn open(source: KeySource, life: TimeDelta) -> Result<Self, KeyFileError> {
        let keys = match &source {
            KeySource::SelfMade { .. } => None,
            KeySource::Files(files) => Some(files.iter().map(|file| brought(file)).collect::<Result<_, _>>()?),
        };
        Ok(Self { source, life, keys: Mutex::new(keys), ahead: std::sync::Mutex::new(None) })
    }

    /// The key that signs now.
    pub(super) async fn signs(&self, now: DateTime<Utc>) -> Result<Arc<SigningKey>, KeyFileError> {
        let keys = self.current(now).await?;
        let signing = signing(&keys, now).ok_or(KeyFileError::Drawing)?;
        keys.get(signing).map(|entry| entry.key.clone()).ok_or(KeyFileError::Drawing)
    }

    /// A key whose tokens may still be about.
    pub(super) async fn find(&self, id: &str, now: DateTime<Utc>) -> Result<Option<Arc<SigningKey>>, KeyFileError> {
        Ok(self.current(now).await?.into_iter().find(|entry| entry.key.id() == id).map(|entry| entry.key))
    }

    /// The key set (RFC 7517 §5).
    pub async fn published(&self, now: DateTime<Utc>) -> Result<Value, KeyFileError> {
        let keys = self.current(now).await?;
        Ok(json!({ "keys": keys.iter().map(|entry| entry.key.published()).collect::<Vec<_>>() }))
    }

    /// Every key that is published, oldest first.
    pub async fn list(&self, now: DateTime<Utc>) -> Result<Vec<PublishedKey>, KeyFileError> {
        let keys = self.current(now).await?;
        let signing = signing(&keys, now);
        let self_made = matches!(self.source, KeySource::SelfMade { .. });
        let told = |(index, entry): (usize, &Entry)| PublishedKey {
            id: entry.key.id().to_owned(),
            algorithm: entry.key.algorithm(),
            created_at: self_made.then_some(entry.stored.created_at),
            signs_from: self_made.then_some(entry.stored.signs_from),
            signs: Some(index) == signing,
            published_until: self_made.then(|| ends(&keys, index)).flatten(),
        };
        Ok(keys.iter().enumerate().map(told).collect())
    }

    /// Has another key take over: after a while, or at once where the one that signs is no longer trusted. False where operators
    /// bring the keys.
    pub async fn rotate(&self, at_once: bool, now: DateTime<Utc>) -> Result<bool, KeyFileError> {
        let KeySource::SelfMade { file, algorithm, .. } = &self.source else { return Ok(false) };
        let mut held = self.keys.lock().await;
        let mut keys = self.known(&mut held, now).await?;
        // One that waits for its turn is not passed over: it is the other key.
        let waiting = keys.last().is_some_and(|entry| entry.stored.signs_from > now);
        if !waiting {
            keys.push(self.drawn(*algorithm, now, if at_once { now } else { now + AHEAD }).await?);
        }
        if at_once && let Some(last) = keys.last_mut() {
            last.stored.signs_from = last.stored.signs_from.min(now);
        }
        self.keep(file, &mut held, keys).await?;
        Ok(true)
    }

    /// Takes a key back at once, with every token that it signed. False where there is no such key, or operators bring them.
    pub async fn withdraw(&self, id: &str, now: DateTime<Utc>) -> Result<bool, KeyFileError> {
        let KeySource::SelfMade { file, algorithm, .. } = &self.source else { return Ok(false) };
        let mut held = self.keys.lock().await;
        let mut keys = self.known(&mut held, now).await?;
        let before = keys.len();
        keys.retain(|entry| entry.key.id() != id);
        if keys.len() == before {
            return Ok(false);
        }
        if signing(&keys, now).is_none() {
            // Whoever was to come next comes now, or somebody new does.
            match keys.first_mut() {
                Some(next) => next.stored.signs_from = now,
                None => keys.push(self.drawn(*algorithm, now, now).await?),
            }
        }
        self.keep(file, &mut held, keys).await?;
        Ok(true)
    }

    /// For when the keys say that they were drawn, while the clock was ahead; none once that time has come.
    pub fn drawn_ahead(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner).filter(|ahead| now < *ahead)
    }

    /// Where no key's turn has come, the clock was ahead when they were drawn: the first of them signs from now on, for it is published
    /// already. What comes next was drawn by the same clock, and is no further ahead than a key is that waits for its turn.
    fn set_right(&self, keys: &mut [Entry], now: DateTime<Utc>) -> bool {
        let Some(first) = keys.first_mut().filter(|first| first.stored.signs_from > now) else { return false };
        let ahead = first.stored.signs_from;
        tracing::warn!(key = first.key.id(), %ahead, "a key for access tokens was drawn while the clock was ahead, and signs from now on");
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = Some(ahead);
        for (index, entry) in keys.iter_mut().enumerate() {
            entry.stored.created_at = entry.stored.created_at.min(now);
            entry.stored.signs_from = entry.stored.signs_from.min(if index == 0 { now } else { now + AHEAD });
        }
        true
    }

    /// The keys as they are due: drawn, taken over and gone.
    async fn current(&self, now: DateTime<Utc>) -> Result<Vec<Entry>, KeyFileError> {
        let mut held = self.keys.lock().await;
        let KeySource::SelfMade { file, algorithm, every } = &self.source else { return Ok(held.clone().unwrap_or_default()) };
        let mut keys = self.known(&mut held, now).await?;
        let set_right = self.set_right(&mut keys, now);
        let due = every.is_some_and(|every| keys.last().is_some_and(|last| last.stored.signs_from + every <= now + AHEAD));
        if due {
            keys.push(self.drawn(*algorithm, now, now + AHEAD).await?);
        }
        let over: Vec<bool> = (0..keys.len()).map(|index| ends(&keys, index).is_some_and(|end| end <= now)).collect();
        if due || set_right || over.contains(&true) {
            let mut over = over.into_iter();
            keys.retain(|_| !over.next().unwrap_or_default());
            self.keep(file, &mut held, keys.clone()).await?;
        }
        Ok(keys)
    }

    /// The self-made keys: those in memory, else those in the file, else a first one.
    async fn known(&self, held: &mut Option<Vec<Entry>>, now: DateTime<Utc>) -> Result<Vec<Entry>, KeyFileError> {
        if let Some(keys) = held {
            return Ok(keys.clone());
        }
        let KeySource::SelfMade { file, algorithm, .. } = &self.source else { return Ok(Vec::new()) };
        let mut keys = kept(file)?;
        let longer = keys.iter().any(|entry| entry.stored.token_seconds < self.life.num_seconds());
        for entry in &mut keys {
            entry.stored.token_seconds = entry.stored.token_seconds.max(self.life.num_seconds());
        }
        let first = keys.is_empty();
        if first {
            keys.push(self.drawn(*algorithm, now, now).await?);
        }
        if first || longer {
            self.keep(file, held, keys.clone()).await?;
        }
        *held = Some(keys.clone());
        Ok(keys)
    }

    async fn drawn(&self, algorithm: SigningAlgorithm, now: DateTime<Utc>, signs_from: DateTime<Utc>) -> Result<Entry, KeyFileError> {
        let drawn = tokio::task::spawn_blocking(move || {
            let pem = draw::private_key(algorithm).ok()?;
            SigningKey::of_pem(&pem).map(|key| (key, pem))
        });
        let (key, private_key) = drawn.await.ok().flatten().ok_or(KeyFileError::Drawing)?;
        tracing::info!(key = key.id(), algorithm = algorithm.as_str(), %signs_from, "a key for access tokens was drawn");
        let token_seconds = self.life.num_seconds();
        Ok(Entry { key: Arc::new(key), stored: Stored { created_at: now, signs_from, token_seconds, private_key } })
    }

    /// Writes the keys down before anybody hears of them.
    async fn keep(&self, file: &Path, held: &mut Option<Vec<Entry>>, keys: Vec<Entry>) -> Result<(), KeyFileError> {
        let text = serde_json::to_string_pretty(&json!({ "keys": keys.iter().map(|entry| &entry.stored).collect::<Vec<_>>() }));
        let (text, path) = (text.map_err(|_| KeyFileError::Drawing)?, file.to_owned());
        let written = tokio::task::spawn_blocking(move || key_files::replace(&path, &text)).await;
        written.map_err(|_| KeyFileError::Drawing)??;
        *held = Some(keys);
        Ok(())
    }
}

fn brought(file: &Path) -> Result<Entry, KeyFileError> {
    let key = Arc::new(SigningKey::of_file(file)?);
    let epoch = DateTime::UNIX_EPOCH;
    Ok(Entry { key, stored: Stored { created_at: epoch, signs_from: epoch, token_seconds: 0, private_key: String::new() } })
}

fn kept(file: &Path) -> Result<Vec<Entry>, KeyFileError> {
    let Some(text) = key_files::read_private(file)? else { return Ok(Vec::new()) };
    let malformed = || KeyFileError::Malformed { path: file.to_owned() };
    let mut file: HashMap<String, Vec<Stored>> = serde_json::from_str(&text).map_err(|_| malformed())?;
    let stored = file.remove("keys").ok_or_else(malformed)?;
    let entry = |stored: Stored| Some(Entry { key: Arc::new(SigningKey::of_pem(&stored.private_key)?), stored });
    let mut keys = stored.into_iter().map(|stored| entry(stored).ok_or_else(malformed)).collect::<Result<Vec<_>, _>>()?;
    keys.sort_by_key(|entry| entry.stored.signs_from);
    Ok(keys)
}

/// Which of them signs: of an operator's the first one, of self-made ones the last whose turn has come.
fn signing(keys: &[Entry], now: DateTime<Utc>) -> Option<usize> {
    let by_turn = keys.iter().any(|entry| entry.stored.signs_from != DateTime::UNIX_EPOCH);
    if by_turn { keys.iter().rposition(|entry| entry.stored.signs_from <= now) } else { (!keys.is_empty()).then_some(0) }
}

/// When the last token that a key signed is over; never while it is the last one.
fn ends(keys: &[Entry], index: usize) -> Option<DateTime<Utc>> {
    let (entry, next) = (keys.get(index)?, keys.get(index.checked_add(1)?)?);
    let life = TimeDelta::try_seconds(entry.stored.token_seconds)?;
    next.stored.signs_from.checked_add_signed(life + LEEWAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: TimeDelta = TimeDelta::minutes(10);

    fn start() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn source(folder: &Path, every: Option<TimeDelta>) -> KeySource {
        KeySource::SelfMade { file: folder.join("token-keys.json"), algorithm: SigningAlgorithm::EdDsa, every }
    }

    async fn ids(ring: &KeyRing, now: DateTime<Utc>) -> Vec<String> {
        ring.list(now).await.unwrap().into_iter().map(|key| key.id).collect()
    }

    #[tokio::test]
    async fn a_key_is_drawn_when_it_is_needed_kept_with_mode_0600_and_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let ring = KeyRing::open(source(folder.path(), None), LIFE).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nobody needed a key yet");
        let id = ring.signs(start()).await.unwrap().id().to_owned();
        let again = KeyRing::open(source(folder.path(), None), LIFE).unwrap();
        assert_eq!(again.signs(start()).await.unwrap().id(), id);
        assert_eq!(ids(&again, start() + TimeDelta::days(10_000)).await, [id]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let file = folder.path().join("token-keys.json");
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
            let exposed = KeyRing::open(source(folder.path(), None), LIFE).unwrap();
            assert!(matches!(exposed.signs(start()).await, Err(KeyFileError::DataFolder(_))));
        }
    }

    #[tokio::test]
    async fn a_key_is_published_before_it_signs_and_the_one_before_it_until_its_last_token_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let ring = KeyRing::open(source(folder.path(), None), LIFE).unwrap();
        let old = ring.signs(start()).await.unwrap().id().to_owned();
        assert!(ring.rotate(false, start()).await.unwrap());
        assert!(ring.rotate(false, start()).await.unwrap(), "the one that waits is the other one");
        let both = ids(&ring, start()).await;
        assert_eq!((both.len(), &both[0]), (2, &old));
        assert_eq!(ring.signs(start() + AHEAD - TimeDelta::seconds(1)).await.unwrap().id(), old);
        assert_eq!(ring.signs(start() + AHEAD).await.unwrap().id(), both[1]);
        let end = start() + AHEAD + LIFE + LEEWAY;
        assert_eq!(ring.list(start()).await.unwrap()[0].published_until, Some(end));
        assert_eq!(ids(&ring, end - TimeDelta::seconds(1)).await, both);
        assert_eq!(ids(&ring, end).await, [both[1].clone()]);
    }

    #[tokio::test]
    async fn keys_take_turns_by_themselves_and_one_that_is_withdrawn_is_gone_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let ring = KeyRing::open(source(folder.path(), Some(TimeDelta::days(90))), LIFE).unwrap();
        let first = ring.signs(start()).await.unwrap().id().to_owned();
        let turn = start() + TimeDelta::days(90);
        assert_eq!(ids(&ring, turn - AHEAD - TimeDelta::seconds(1)).await.len(), 1);
        assert_eq!(ids(&ring, turn - AHEAD).await.len(), 2);
        assert_eq!(ring.signs(turn - TimeDelta::seconds(1)).await.unwrap().id(), first);
        let second = ring.signs(turn).await.unwrap().id().to_owned();
        assert_ne!(second, first);
        assert!(ring.withdraw(&second, turn).await.unwrap());
        assert_eq!(ring.signs(turn).await.unwrap().id(), first);
        assert!(ring.withdraw(&first, turn).await.unwrap() && !ring.withdraw(&first, turn).await.unwrap());
        let third = ring.signs(turn).await.unwrap().id().to_owned();
        assert_eq!(ids(&ring, turn).await, [third]);
        assert!(ring.find(&second, turn).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn t3_a_key_that_was_drawn_while_the_clock_was_ahead_signs_once_it_is_set_right() {
        let folder = tempfile::tempdir().unwrap();
        let every = Some(TimeDelta::days(90));
        let ahead = start() + TimeDelta::days(3);
        let ring = KeyRing::open(source(folder.path(), every), LIFE).unwrap();
        let first = ring.signs(ahead).await.unwrap().id().to_owned();
        assert!(ring.rotate(false, ahead).await.unwrap());
        assert_eq!(ring.drawn_ahead(ahead), None);
        // A process that went on, and one that was started anew.
        let again = KeyRing::open(source(folder.path(), every), LIFE).unwrap();
        for ring in [&again, &ring] {
            assert_eq!(ring.signs(start()).await.unwrap().id(), first);
            let told = ring.list(start()).await.unwrap();
            assert_eq!((told.len(), told[0].signs, told[0].signs_from), (2, true, Some(start())));
            assert_eq!(told[1].signs_from, Some(start() + AHEAD), "and the next one takes over in its time");
            assert_eq!(ring.published(start()).await.unwrap()["keys"][0]["kid"], *first);
        }
        assert_eq!(ring.drawn_ahead(start()), Some(ahead));
        assert_eq!(ring.drawn_ahead(ahead), None);
        assert_ne!(ring.signs(start() + AHEAD).await.unwrap().id(), first);
    }

    #[tokio::test]
    async fn keys_that_operators_bring_are_named_by_their_thumbprint_and_the_first_signs() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        for algorithm in SigningAlgorithm::ALL {
            let file = folder.path().join(algorithm.as_str());
            std::fs::write(&file, draw::private_key(algorithm).unwrap()).unwrap();
            files.push(file);
        }
        let ring = KeyRing::open(KeySource::Files(files.clone()), LIFE).unwrap();
        let told = ring.list(start()).await.unwrap();
        assert_eq!(told.iter().map(|key| key.algorithm).collect::<Vec<_>>(), SigningAlgorithm::ALL);
        assert_eq!(told.iter().map(|key| key.signs).collect::<Vec<_>>(), [true, false, false]);
        assert!(!ring.rotate(true, start()).await.unwrap() && !ring.withdraw(&told[0].id, start()).await.unwrap());
        let set = ring.published(start()).await.unwrap();
        let text = set.to_string();
        assert!(!text.contains("\"d\"") && !text.contains("\"p\""), "a private member: {text}");
        assert_eq!(set["keys"][1]["alg"], "ES256");
        std::fs::write(&files[1], "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n").unwrap();
        assert!(matches!(KeyRing::open(KeySource::Files(files), LIFE), Err(KeyFileError::NotAKey { .. })));
    }
}
