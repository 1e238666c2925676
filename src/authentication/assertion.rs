//! Assertions that clients sign to prove who they are (RFC 7523 §3, OpenID Connect Core §9), each good for one use.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use gatebook_events::client::Profile;
use gatebook_events::decision::Refusal;
use gatebook_events::identity::ClientKey;
use gatebook_events::metadata::Jwks;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::admin::{AdminRefusal, algorithm_named, in_time, open, read_header};
use crate::app::Audiences;
use crate::key_sets::{self, KeySets};

/// The longest time that an assertion may be good for, from now.
const LONGEST_LIFE: TimeDelta = TimeDelta::minutes(10);
/// How far the clocks may be apart, as everywhere that tokens are checked.
const LEEWAY: TimeDelta = TimeDelta::seconds(30);
/// The longest `jti`, in bytes.
const LONGEST_ID: usize = 1024;
/// The most assertions that are remembered until they end.
const MOST: usize = 100_000;

/// An assertion that is good, and that has to be its first use.
pub(super) struct Used {
    id: String,
    until: DateTime<Utc>,
}

/// Holds an assertion against the keys that its client is registered with.
pub(super) async fn check(
    sets: &KeySets,
    profile: &Profile,
    text: &str,
    audiences: &Audiences,
    now: DateTime<Utc>,
) -> Result<Used, Refusal> {
    let header = read_header(text).map_err(refusal)?;
    // Keys of clients are public, so a shared secret is never among them, whatever the header says.
    let algorithm = algorithm_named(&header.alg).ok_or(Refusal::AssertionInvalid)?;
    let (metadata, id) = (&profile.metadata, header.kid.as_deref());
    let keys = match &metadata.jwks_uri {
        Some(uri) => sets.at(uri.as_str()).ok_or(Refusal::KeysUnavailable)?.find(id, algorithm).await,
        None => key_sets::fitting(metadata.jwks.as_ref().map(Jwks::as_value), id, algorithm),
    };
    let claims = open(text, algorithm, &keys.map_err(refusal)?).map_err(refusal)?;
    let own = |name: &str| claims.get(name).and_then(Value::as_str) == Some(profile.client_id.as_str());
    if !own("iss") || !own("sub") || !audiences.named_in(&claims) {
        return Err(Refusal::AssertionInvalid);
    }
    in_time(&claims, now).map_err(refusal)?;
    let time = |name: &str| claims.get(name).and_then(Value::as_f64);
    #[expect(clippy::cast_precision_loss, reason = "seconds of this age are exact")]
    let (from, to) = ((now - LONGEST_LIFE - LEEWAY).timestamp() as f64, (now + LONGEST_LIFE + LEEWAY).timestamp() as f64);
    let end = time("exp").ok_or(Refusal::AssertionInvalid)?;
    let begun = claims.get("iat").is_none_or(|iat| iat.as_f64().is_some_and(|iat| (from..=to).contains(&iat)));
    if end > to || !begun {
        return Err(Refusal::AssertionExpired);
    }
    let id =
        claims.get("jti").and_then(Value::as_str).filter(|id| (1..=LONGEST_ID).contains(&id.len())).ok_or(Refusal::AssertionInvalid)?;
    // It is not later than `to`, and one that ended more than the leeway ago was refused.
    #[expect(clippy::cast_possible_truncation, reason = "it lies between two times that fit")]
    let until = DateTime::from_timestamp(end.ceil() as i64, 0).ok_or(Refusal::AssertionInvalid)? + LEEWAY;
    Ok(Used { id: id.to_owned(), until })
}

fn refusal(refusal: AdminRefusal) -> Refusal {
    match refusal {
        AdminRefusal::Unavailable => Refusal::KeysUnavailable,
        AdminRefusal::Expired | AdminRefusal::NotYetValid => Refusal::AssertionExpired,
        AdminRefusal::Missing
        | AdminRefusal::Malformed
        | AdminRefusal::Ambiguous
        | AdminRefusal::MissingClaim(_)
        | AdminRefusal::UnknownKey
        | AdminRefusal::WrongAlgorithm
        | AdminRefusal::WrongSignature
        | AdminRefusal::WrongIssuer
        | AdminRefusal::WrongAudience
        | AdminRefusal::NoTenant
        | AdminRefusal::OtherTenant
        | AdminRefusal::NoRole => Refusal::AssertionInvalid,
    }
}

/// The assertions that were used, until each of them ends.
#[derive(Default)]
pub(super) struct Replays(Mutex<HashMap<[u8; 32], DateTime<Utc>>>);

impl Replays {
    /// Counts a use, which has to be the first. The error says whether there is no room to remember it: then it is not accepted.
    pub fn first(&self, client: ClientKey, used: &Used, now: DateTime<Utc>) -> Result<(), bool> {
        let mark: [u8; 32] = Sha256::new().chain_update(client.0.as_bytes()).chain_update(&used.id).finalize().into();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.get(&mark).is_some_and(|until| *until >= now) {
            return Err(false);
        }
        if known.len() >= MOST {
            known.retain(|_, until| *until >= now);
            if known.len() >= MOST {
                return Err(true);
            }
        }
        known.insert(mark, used.until);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_assertion_is_used_once_until_it_ends_and_full_memory_accepts_nothing() {
        let (replays, now, client) = (Replays::default(), DateTime::UNIX_EPOCH, ClientKey(Uuid::from_u128(7)));
        let used = |id: usize| Used { id: id.to_string(), until: now + TimeDelta::seconds(90) };
        assert_eq!(replays.first(client, &used(0), now), Ok(()));
        assert_eq!(replays.first(client, &used(0), now + TimeDelta::seconds(90)), Err(false));
        assert_eq!(replays.first(ClientKey(Uuid::from_u128(8)), &used(0), now), Ok(()), "another client's may be called the same");
        for id in 2..MOST {
            assert_eq!(replays.first(client, &used(id), now), Ok(()));
        }
        assert_eq!(replays.first(client, &used(MOST), now), Err(true));
        assert_eq!(replays.first(client, &used(MOST), now + TimeDelta::seconds(91)), Ok(()));
    }
}
