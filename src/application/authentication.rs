//! Whether a client is who it says: its secret (RFC 6749 §2.3.1) or an assertion that it signed (RFC 7523 §3), held against what
//! it is registered with.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use gatebook_events::client::Profile;
use gatebook_events::decision::Refusal;
use gatebook_events::identity::{ClientKey, TenantId};
use gatebook_events::metadata::AuthMethod;
use gatebook_events::secret::SecretHash;

use crate::application::audiences::Audiences;
use crate::application::error::UseCaseError;
use crate::application::services::Services;
use crate::credentials::admin::NotTried;
use crate::credentials::key_sets::KeySets;
use crate::credentials::secrets::{ClientSecret, SecretError};

mod assertion;
mod guesses;
mod remembered;
mod replays;

pub use guesses::Guesses;
use remembered::Remembered;
use replays::{Again, Replays, Used};

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

/// A client that is who it says. What it showed is good once, and counts as used only where the client gets what it asks for.
#[derive(Debug)]
#[must_use = "an assertion that is not used up could be shown again"]
pub struct Proven {
    client: ClientKey,
    used: Option<Used>,
}

impl Proven {
    /// Takes note that it was shown, which has to be for the first time. A client that may not act has nothing remembered.
    pub fn use_up(self, services: &Services) -> Result<Result<(), Refusal>, UseCaseError> {
        let Some(used) = self.used else { return Ok(Ok(())) };
        match services.authentication.replays.first(self.client, &used, services.commands.clock().now()) {
            Ok(()) => Ok(Ok(())),
            Err(Again::Replayed) => Ok(Err(Refusal::AssertionReplayed)),
            Err(Again::Full(seconds)) => Err(UseCaseError::TooManyAssertions(seconds)),
        }
    }
}

/// About whom it is asked, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// Where the client came from.
    pub source: IpAddr,
    /// The tenant whose resource server it is about.
    pub tenant: Option<&'a TenantId>,
    /// Whether it may act there. For one that may not nothing is fetched.
    pub may_act: bool,
}

/// Whether a client is who it says. The error is ours, or a source that guessed too often.
pub async fn authenticate(
    services: &Services,
    profile: &Profile,
    credential: &Credential,
    asking: &Asking<'_>,
) -> Result<Result<Proven, Refusal>, UseCaseError> {
    let method = profile.metadata.token_endpoint_auth_method;
    let refusal = match (method, credential) {
        (AuthMethod::None, _) => Refusal::PublicClient,
        (_, Credential::None) => Refusal::CredentialsMissing,
        // Clients do not agree on where a secret stands in a request; what proves them is the secret.
        (AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost, Credential::Secret(secret, other)) => {
            let readings: Vec<&ClientSecret> = [secret].into_iter().chain(other).collect();
            let proven = Proven { client: profile.client_id.key(), used: None };
            return Ok(by_secret(services, profile, &readings, asking.source).await?.map(|()| proven));
        }
        (AuthMethod::PrivateKeyJwt, Credential::Assertion(assertion)) => return by_assertion(services, profile, assertion, asking).await,
        (_, Credential::Secret(..) | Credential::Assertion(_)) => Refusal::MethodNotRegistered,
    };
    Ok(Err(refusal))
}

/// Whether one of the readings of what was shown is the secret. They are one attempt, however many there are.
async fn by_secret(
    services: &Services,
    profile: &Profile,
    readings: &[&ClientSecret],
    source: IpAddr,
) -> Result<Result<(), Refusal>, UseCaseError> {
    let known = &services.authentication;
    let (now, key) = (services.commands.clock().now(), profile.client_id.key());
    // Looked at before anything else: who guesses too often learns nothing more, not even that a guess was right.
    let pause = known.guesses.may_try(key, source, now).map_err(UseCaseError::TooManyGuesses)?;
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
        known.guesses.may_try(key, source, now).map_err(UseCaseError::TooManyGuesses)?;
    }
    for (stored, secret) in pairs {
        let matches = services.secrets.verify(secret, stored.as_phc()).await.map_err(|error| match error {
            SecretError::Busy => UseCaseError::Busy,
            _ => UseCaseError::Internal("a secret cannot be checked"),
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

async fn by_assertion(
    services: &Services,
    profile: &Profile,
    text: &str,
    asking: &Asking<'_>,
) -> Result<Result<Proven, Refusal>, UseCaseError> {
    let known = &services.authentication;
    let now = services.commands.clock().now();
    let audiences = Audiences::of_assertions(services).await?;
    let used = assertion::check(&known.key_sets, profile, text, &audiences, (asking, now)).await;
    let used = used.map_err(|NotTried(pause)| UseCaseError::NotTried(pause.as_secs().max(1)))?;
    Ok(used.map(|used| Proven { client: profile.client_id.key(), used: Some(used) }))
}
