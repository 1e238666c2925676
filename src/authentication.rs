//! Whether a client is who it says: its secret (RFC 6749 §2.3.1) or an assertion that it signed (RFC 7523 §3), held against what
//! it is registered with.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use gatebook_events::client::Profile;
use gatebook_events::decision::Refusal;
use gatebook_events::metadata::AuthMethod;
use gatebook_events::secret::SecretHash;

use crate::app::App;
use crate::http::error::Failure;
use crate::key_sets::KeySets;
use crate::secrets::{ClientSecret, SecretError};

mod assertion;
mod guesses;
mod remembered;

use assertion::Replays;
pub use guesses::Guesses;
use remembered::Remembered;

/// What is remembered between two calls. Lost with the process, and not shared with other nodes.
pub struct Authentication {
    guesses: Guesses,
    remembered: Remembered,
    replays: Replays,
    key_sets: KeySets,
}

/// What a client shows of itself.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Nothing.
    None,
    /// A secret, in whichever place of the request; and what else a header may have meant by it, if that can be read in two ways.
    Secret(ClientSecret, Option<ClientSecret>),
    /// A JWT that it signed (RFC 7523 §2.2).
    Assertion(String),
}

impl Authentication {
    /// Nothing is known yet.
    pub fn try_new(key_sets: KeySets) -> Result<Self, SecretError> {
        Ok(Self { guesses: Guesses::default(), remembered: Remembered::try_new()?, replays: Replays::default(), key_sets })
    }
}

/// Whether a client is who it says. The error is ours, or a source that guessed too often.
pub async fn authenticate(app: &App, profile: &Profile, credential: &Credential, source: IpAddr) -> Result<Result<(), Refusal>, Failure> {
    let method = profile.metadata.token_endpoint_auth_method;
    let refusal = match (method, credential) {
        (AuthMethod::None, _) => Refusal::PublicClient,
        (_, Credential::None) => Refusal::CredentialsMissing,
        // Clients do not agree on where a secret stands in a request; what proves them is the secret.
        (AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost, Credential::Secret(secret, other)) => {
            let readings: Vec<&ClientSecret> = [secret].into_iter().chain(other).collect();
            return by_secret(app, profile, &readings, source).await;
        }
        (AuthMethod::PrivateKeyJwt, Credential::Assertion(assertion)) => return by_assertion(app, profile, assertion).await,
        (_, Credential::Secret(..) | Credential::Assertion(_)) => Refusal::MethodNotRegistered,
    };
    Ok(Err(refusal))
}

/// Whether one of the readings of what was shown is the secret. They are one attempt, however many there are.
async fn by_secret(app: &App, profile: &Profile, readings: &[&ClientSecret], source: IpAddr) -> Result<Result<(), Refusal>, Failure> {
    let known = app.authentication();
    let (now, key) = (app.commands().clock().now(), profile.client_id.key());
    // Looked at before anything else: who guesses too often learns nothing more, not even that a guess was right.
    let pause = known.guesses.may_try(key, source, now).map_err(Failure::TooManyGuesses)?;
    let mut pairs = Vec::new();
    for stored in usable(profile, now) {
        for secret in readings {
            pairs.push((stored, *secret));
        }
    }
    for (stored, secret) in &pairs {
        if known.remembered.knows(key, stored, secret, now) {
            return Ok(Ok(()));
        }
    }
    if pause > Duration::ZERO {
        tokio::time::sleep(pause).await;
        // Whoever sent many at once has had some of them answered meanwhile.
        known.guesses.may_try(key, source, now).map_err(Failure::TooManyGuesses)?;
    }
    for (stored, secret) in pairs {
        let matches = app.secrets().verify(secret, stored.as_phc()).await.map_err(|error| match error {
            SecretError::Busy => Failure::Busy,
            _ => Failure::Internal("a secret cannot be checked"),
        })?;
        if matches {
            known.remembered.remember(key, stored, secret, now);
            return Ok(Ok(()));
        }
    }
    known.guesses.failed(key, source, now);
    Ok(Err(Refusal::WrongSecret))
}

/// The secrets that work now: the one that it should use, and the one before it during an overlap.
fn usable(profile: &Profile, now: DateTime<Utc>) -> impl Iterator<Item = &SecretHash> {
    let current = profile.secret.as_ref().filter(|secret| secret.expires_at.is_none_or(|end| end > now)).map(|secret| &secret.hash);
    let previous = profile.previous_secret.as_ref().filter(|(_, until)| *until > now).map(|(hash, _)| hash);
    current.into_iter().chain(previous)
}

async fn by_assertion(app: &App, profile: &Profile, text: &str) -> Result<Result<(), Refusal>, Failure> {
    let known = app.authentication();
    let now = app.commands().clock().now();
    let audiences = app.audiences_of_assertions().await?;
    let read = assertion::check(&known.key_sets, profile, text, &audiences, now).await;
    Ok(match read {
        Err(refusal) => Err(refusal),
        Ok(used) => known
            .replays
            .first(profile.client_id.key(), &used, now)
            .map_err(|full| if full { Refusal::KeysUnavailable } else { Refusal::AssertionReplayed }),
    })
}
