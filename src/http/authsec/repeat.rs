//! `Idempotency-Key`: a request that is sent again, because its answer was lost, gets the answer that the first one got, with the
//! secret that was shown then. What is drawn is derived from the key and the instance's own, so that nothing need be stored.

use std::fmt::Write;

use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use gatebook_events::stream::Stream;
use gatebook_events::{Aggregate, Rejection};
use uuid::Uuid;

use crate::aggregates::{CommandError, Done};
use crate::application::idempotency::Rotated;
use crate::application::services::Services;
use crate::credentials::secrets::{ClientSecret, InstanceKey};
use crate::http::caller::Administrator;
use crate::http::error::Failure;

/// How long a repeated request is answered as the first one was.
const REPEATABLE: TimeDelta = TimeDelta::hours(24);
/// The longest key, in bytes.
const LONGEST: usize = 255;

/// The key of a request: what it names is its tenant's and is about one thing, so that one key may be used for several.
pub struct RepeatKey {
    parts: Vec<Vec<u8>>,
    instance: InstanceKey,
}

impl RepeatKey {
    /// The key that was sent with a request of this kind about these things; none, if none was.
    pub fn of(
        services: &Services,
        caller: &Administrator,
        headers: &HeaderMap,
        kind: &str,
        about: &[&str],
    ) -> Result<Option<Self>, Failure> {
        let Some(given) = given(headers)? else { return Ok(None) };
        let texts = [kind, caller.tenant().as_str()].into_iter().chain(about.iter().copied());
        let mut parts: Vec<Vec<u8>> = texts.map(|text| text.as_bytes().to_vec()).collect();
        parts.push(given.to_vec());
        Ok(Some(Self { parts, instance: services.instance_key.clone() }))
    }

    /// The id of what the request makes.
    pub fn id(&self) -> Uuid {
        self.instance.derive_uuid(&self.parts())
    }

    /// 256 bits for what the request shows.
    pub fn bits(&self) -> [u8; 32] {
        self.instance.code("gatebook repeatable secret 1", &self.parts())
    }

    /// The client secret that the request shows.
    pub fn client_secret(&self) -> ClientSecret {
        self.instance.derive_client_secret(&self.parts())
    }

    /// By which the log knows the request.
    pub fn mark(&self) -> Box<str> {
        let code = self.instance.code("gatebook repeat key 1", &self.parts());
        let mut mark = String::new();
        for byte in code.iter().take(16) {
            // Writing to a text cannot fail.
            let _always = write!(mark, "{byte:02x}");
        }
        mark.into()
    }

    /// The same for the so-manieth time that something happens to a thing.
    pub fn numbered(mut self, number: usize) -> Self {
        self.parts.push(number.to_be_bytes().to_vec());
        self
    }

    fn parts(&self) -> Vec<&[u8]> {
        self.parts.iter().map(Vec::as_slice).collect()
    }
}

/// The key as it was sent.
pub fn given(headers: &HeaderMap) -> Result<Option<&[u8]>, Failure> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let given = value.as_bytes();
    if given.is_empty() || given.len() > LONGEST {
        return Err(Failure::request(StatusCode::BAD_REQUEST, "invalid-request", "Idempotency-Key is 1 to 255 characters"));
    }
    Ok(Some(given))
}

/// Refuses a key whose first request was long ago.
pub fn soon_enough(first: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), Failure> {
    if now - first > REPEATABLE { Err(used("this key was used more than a day ago")) } else { Ok(()) }
}

/// The key was used, and this is not that request, or its answer does not hold any more.
pub fn used(detail: &str) -> Failure {
    Failure::request(StatusCode::CONFLICT, "idempotency-key-used", detail)
}

/// What a request made under the id of its key. One that was carried out before makes nothing, and is answered again if it is the same.
pub async fn made<A: Aggregate>(
    services: &Services,
    key: Option<&RepeatKey>,
    stream: Stream,
    done: Result<Done<A>, CommandError>,
) -> Result<Done<A>, Failure> {
    match done {
        Err(CommandError::Rejected(Rejection::AlreadyExists)) if key.is_some() => {
            Err(used("this key was used for something else, or what it made was changed, used or ended since"))
        }
        Ok(done) if key.is_some() && done.position.is_none() => {
            let first = services.commands.begun(stream).await?;
            soon_enough(first.unwrap_or_default(), services.commands.clock().now())?;
            Ok(done)
        }
        done => Ok(done?),
    }
}

/// Refuses to show again what a rotation gave that is not the last one, was long ago, or promised something else.
pub fn rotated(before: &Rotated, overlap: TimeDelta, now: DateTime<Utc>) -> Result<(), Failure> {
    if !before.last {
        return Err(used("the secret that this key gave was replaced"));
    }
    let promised = before.old_valid_until.map_or(TimeDelta::zero(), |until| until - before.at);
    // What was promised counts from when it was asked for, which is a moment before it was recorded.
    if (promised - overlap).abs() > TimeDelta::seconds(10) {
        return Err(used("this key was used for a rotation with another overlap_seconds"));
    }
    soon_enough(before.at, now)
}
