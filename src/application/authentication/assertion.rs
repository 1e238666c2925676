//! Assertions that clients sign to prove who they are (RFC 7523 §3, OpenID Connect Core §9), each good for one use.

use chrono::{DateTime, TimeDelta, Utc};
use gatebook_events::client::Profile;
use gatebook_events::decision::Refusal;
use gatebook_events::metadata::Jwks;
use jsonwebtoken::Algorithm;
use serde_json::Value;

use super::Asking;
use super::replays::Used;
use crate::application::audiences::Audiences;
use crate::config::algorithm_named;
use crate::credentials::admin::{AdminRefusal, Fetching, NotTried, VerifyingKey, in_time, open, read_header};
use crate::credentials::key_sets::{self, KeySets};
use crate::outbound::{Asker, Urgency};

/// The longest time that an assertion may be good for, from now.
const LONGEST_LIFE: TimeDelta = TimeDelta::minutes(10);
/// How far the clocks may be apart, as everywhere that tokens are checked.
const LEEWAY: TimeDelta = TimeDelta::seconds(30);
/// The longest `jti`, in bytes.
const LONGEST_ID: usize = 1024;

/// Holds an assertion against the keys that its client is registered with.
pub(super) async fn check(
    sets: &KeySets,
    profile: &Profile,
    text: &str,
    audiences: &Audiences,
    (asking, now): (&Asking<'_>, DateTime<Utc>),
) -> Result<Result<Used, Refusal>, NotTried> {
    let keys = match keys(sets, profile, text, asking).await? {
        Ok(keys) => keys,
        Err(refusal) => return Ok(Err(refusal)),
    };
    Ok(held_against(keys, profile, text, audiences, now))
}

/// The keys that an assertion may be signed with. Those of a client that may not act are not fetched.
async fn keys(
    sets: &KeySets,
    profile: &Profile,
    text: &str,
    asking: &Asking<'_>,
) -> Result<Result<(Algorithm, Vec<VerifyingKey>), Refusal>, NotTried> {
    let Some((algorithm, id)) = read_header(text).ok().and_then(|header| Some((algorithm_named(&header.alg)?, header.kid))) else {
        return Ok(Err(Refusal::AssertionInvalid));
    };
    let (metadata, id) = (&profile.metadata, id.as_deref());
    let found = match &metadata.jwks_uri {
        None => key_sets::fitting(metadata.jwks.as_ref().map(Jwks::as_value), id, algorithm),
        Some(uri) => {
            let (set, fetching) = if asking.may_act {
                (sets.at(uri.as_str(), asking.tenant), Fetching::At(Urgency::By(Asker::new(Some(asking.source), asking.tenant))))
            } else {
                (sets.kept(uri.as_str()), Fetching::Never)
            };
            let Some(set) = set else { return Ok(Err(Refusal::KeysUnavailable)) };
            set.find_at(id, algorithm, fetching).await?
        }
    };
    Ok(found.map(|keys| (algorithm, keys)).map_err(refusal))
}

fn held_against(
    (algorithm, keys): (Algorithm, Vec<VerifyingKey>),
    profile: &Profile,
    text: &str,
    audiences: &Audiences,
    now: DateTime<Utc>,
) -> Result<Used, Refusal> {
    // Keys of clients are public, so a shared secret is never among them, whatever the header says.
    let claims = open(text, algorithm, &keys).map_err(refusal)?;
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
