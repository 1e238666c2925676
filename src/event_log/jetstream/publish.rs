//! Publishing, and what each answer of the server means.

use std::collections::HashMap;

use async_nats::client::{RequestError, RequestErrorKind};
use async_nats::header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_EXPECTED_STREAM, NATS_MESSAGE_ID};
use async_nats::jetstream::message::PublishMessage;
use async_nats::{HeaderMap, Request};
use gatebook_events::envelope::{Position, Revision};
use serde::Deserialize;

use super::wire;
use crate::cluster::nats::{ANSWER, Nats};
use crate::event_log::Expected;
use crate::event_log::shared::{Commit, PublishError, Published};

/// The subject's last message is another one.
const WRONG_LAST_SEQUENCE: u64 = 10071;
/// The same, said of messages that are on their way to the replicas (since 2.11).
const WRONG_LAST_SEQUENCE_IN_FLIGHT: u64 = 10164;
/// The message is larger than the stream or the server takes.
const TOO_LARGE: u64 = 10054;

/// What the server answers.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize, thiserror::Error)]
#[error("JetStream refused it: {description} (code {err_code})")]
struct Refusal {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// Publishes many at a time: each is let in only behind the one before it, whatever its subject. So it is known before it is sent
/// where each will stand.
pub async fn load(nats: &Nats, prefix: &str, commits: Vec<Commit>, behind: Position) -> Result<Position, PublishError> {
    let unsent = |error| PublishError::NotTaken(Box::new(error));
    let mut confirmations = Vec::with_capacity(commits.len());
    let (mut last, mut left) = (behind.to_backend(), HashMap::new());
    for mut commit in commits {
        if let Some(revision) = left.get(&commit.stream) {
            commit.expected = Expected::At(Revision::from_backend(*revision));
        }
        let payload = wire::encode(&commit).map_err(|error| PublishError::Never(error.to_string()))?;
        let message = PublishMessage::build().payload(payload).message_id(commit.id.0.to_string());
        let message = message.expected_stream(&nats.name).expected_last_sequence(last);
        confirmations.push(nats.jetstream.send_publish(wire::subject(prefix, &commit.stream), message).await.map_err(unsent)?);
        last += 1;
        left.insert(commit.stream, last);
    }
    for confirmation in confirmations {
        confirmation.await.map_err(|error| PublishError::Unknown(Box::new(error)))?;
    }
    Ok(Position::from_backend(last))
}

pub async fn publish(nats: &Nats, prefix: &str, commit: &Commit) -> Result<Published, PublishError> {
    let payload = wire::encode(commit).map_err(|error| PublishError::Never(error.to_string()))?;
    let expected = match commit.expected {
        Expected::Empty => 0,
        Expected::At(revision) => revision.to_backend(),
    };
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, commit.id.0.to_string());
    headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
    headers.insert(NATS_EXPECTED_STREAM, nats.name.to_string());
    // `Nats-Expected-Last-Msg-Id` is never sent: a wrong one stops a replicated stream for good (seen with 2.15.1).
    let request = Request::new().headers(headers).payload(payload).timeout(Some(ANSWER));
    let answer = nats.client.send_request(wire::subject(prefix, &commit.stream), request).await.map_err(unanswered)?;
    judge(&answer.payload)
}

fn unanswered(error: RequestError) -> PublishError {
    match error.kind() {
        // The server itself says that nobody is there to take it.
        RequestErrorKind::NoResponders => PublishError::NotTaken(Box::new(error)),
        RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::InvalidSubject => PublishError::Never(error.to_string()),
        RequestErrorKind::TimedOut | RequestErrorKind::Other => PublishError::Unknown(Box::new(error)),
    }
}

fn judge(payload: &[u8]) -> Result<Published, PublishError> {
    let answer: Answer = serde_json::from_slice(payload).map_err(|error| PublishError::Unknown(Box::new(error)))?;
    match answer.error {
        None => Ok(Published { position: Position::from_backend(answer.seq), duplicate: answer.duplicate }),
        Some(refusal) => Err(match refusal.err_code {
            WRONG_LAST_SEQUENCE => PublishError::Conflict,
            WRONG_LAST_SEQUENCE_IN_FLIGHT => PublishError::Busy,
            TOO_LARGE => PublishError::Never(refusal.description),
            // A leader that is about to change may refuse what it has already handed on.
            _ => PublishError::Unknown(Box::new(refusal)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_codes_of_a_wrong_expectation_are_told_from_everything_else() {
        let refused =
            |code: u64| judge(format!(r#"{{"error":{{"code":400,"err_code":{code},"description":"no"}}}}"#).as_bytes()).unwrap_err();
        assert!(matches!(refused(10071), PublishError::Conflict));
        assert!(matches!(refused(10164), PublishError::Busy));
        assert!(matches!(refused(10054), PublishError::Never(_)));
        for code in [10163, 10008, 10077, 0] {
            assert!(matches!(refused(code), PublishError::Unknown(_)), "{code}");
        }
        let known = judge(br#"{"stream":"gatebook","seq":7,"duplicate":true}"#).unwrap();
        assert_eq!(known, Published { position: Position::from_backend(7), duplicate: true });
    }
}
