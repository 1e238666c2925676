//! Software statements (RFC 7591 §2.3): whether somebody whom a resource server trusts signed what a client says of itself.
//!
//! The keys of issuers are fetched from URLs that tenants' administrators named, by the fetcher that judges every address, kept
//! as those of administrators' tokens are, and fetched again when a statement names a new one.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatebook_events::metadata::{Jwks, SoftwareStatement, Vouched};
use gatebook_events::resource_server::{Policy, StatementIssuer};
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::application::audiences::Audiences;
use crate::config::algorithm_named;
use crate::credentials::admin::{AdminRefusal, VerifyingKey, in_time, open, read_header};
use crate::credentials::key_sets::{self, KeySets};
use crate::platform::clock::Clock;

/// Checks software statements. Cheap to clone.
#[derive(Clone)]
pub struct Statements(Arc<Inner>);

struct Inner {
    sets: KeySets,
    clock: Clock,
}

/// Why a software statement is not believed (RFC 7591 §3.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatementRefusal {
    /// It names no issuer that is trusted.
    #[error("software_statement is not from an issuer that is trusted here")]
    Unapproved,
    /// It is not what its issuer signed, or not any more.
    #[error("software_statement {0}")]
    Invalid(&'static str),
    /// The issuer's keys cannot be had, so nothing is known about it.
    #[error("the keys of the software statement's issuer are not available")]
    Unavailable,
}

const MALFORMED: StatementRefusal = StatementRefusal::Invalid("is not a JWT that is signed with an asymmetric algorithm");

/// What is read of a statement before its signature is checked. It only chooses the issuer whose keys have to fit.
#[derive(Deserialize)]
struct Unproved {
    iss: String,
}

impl Statements {
    /// Checks with the key sets of those who issue statements.
    pub fn new(sets: KeySets, clock: Clock) -> Self {
        Self(Arc::new(Inner { sets, clock }))
    }

    /// The statement of a request with what it claims; none where there is none, or where the rules trust nobody's.
    pub async fn read(
        &self,
        policy: &Policy,
        request: &Map<String, Value>,
        audiences: &Audiences,
    ) -> Result<Option<Vouched>, StatementRefusal> {
        let sent = match request.get("software_statement") {
            None | Some(Value::Null) => return Ok(None),
            Some(_) if policy.software_statement_issuers.is_empty() => return Ok(None),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(Value::String(text)) if text.len() <= SoftwareStatement::MAX_LENGTH => text,
            Some(Value::String(_)) => return Err(StatementRefusal::Invalid("is longer than 16384 bytes")),
            Some(_) => return Err(StatementRefusal::Invalid("is not a string")),
        };
        let header = read_header(sent).map_err(|_| MALFORMED)?;
        let algorithm = algorithm_named(&header.alg).ok_or(MALFORMED)?;
        let unproved = unproved(sent).ok_or(MALFORMED)?;
        let issuer = policy.statement_issuer(&unproved.iss).ok_or(StatementRefusal::Unapproved)?;
        let keys = self.keys(issuer, header.kid.as_deref(), algorithm).await?;
        let claims = open(sent, algorithm, &keys).map_err(refusal)?;
        // What the signature covers is what counts, should the two ever be read differently.
        if claims.get("iss").and_then(Value::as_str) != Some(issuer.issuer.as_str()) {
            return Err(StatementRefusal::Unapproved);
        }
        in_time(&claims, self.0.clock.now()).map_err(refusal)?;
        // RFC 7519 §4.1.3: a statement that names whom it is for is for nobody else.
        if claims.contains_key("aud") && !audiences.named_in(&claims) {
            return Err(StatementRefusal::Invalid("is for another audience"));
        }
        let statement = SoftwareStatement { statement: sent.as_str().into(), issuer: issuer.issuer.as_str().into() };
        Ok(Some(Vouched { statement, claims }))
    }

    async fn keys(&self, issuer: &StatementIssuer, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<VerifyingKey>, StatementRefusal> {
        if let Some(uri) = &issuer.jwks_uri {
            let set = self.0.sets.at(uri.as_str(), None).ok_or(StatementRefusal::Unavailable)?;
            return set.find(id, algorithm).await.map_err(refusal);
        }
        let set = issuer.jwks.as_ref().map(Jwks::as_value);
        key_sets::fitting(set, id, algorithm).map_err(refusal)
    }
}

fn unproved(token: &str) -> Option<Unproved> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

fn refusal(refusal: AdminRefusal) -> StatementRefusal {
    match refusal {
        AdminRefusal::Unavailable => StatementRefusal::Unavailable,
        AdminRefusal::Expired => StatementRefusal::Invalid("has expired"),
        AdminRefusal::NotYetValid => StatementRefusal::Invalid("is not valid yet"),
        AdminRefusal::MissingClaim(_) => StatementRefusal::Invalid("has a time that is no number"),
        AdminRefusal::UnknownKey | AdminRefusal::WrongAlgorithm => {
            StatementRefusal::Invalid("is signed with a key or an algorithm that its issuer does not publish")
        }
        AdminRefusal::WrongSignature => StatementRefusal::Invalid("has a wrong signature"),
        AdminRefusal::Ambiguous => StatementRefusal::Invalid("has a claim twice, or claims that are no JSON object"),
        AdminRefusal::Missing
        | AdminRefusal::Malformed
        | AdminRefusal::WrongIssuer
        | AdminRefusal::WrongAudience
        | AdminRefusal::NoTenant
        | AdminRefusal::OtherTenant
        | AdminRefusal::NoRole => MALFORMED,
    }
}
