//! How Gatebook says no: the one map from refusals to HTTP. OAuth endpoints answer RFC 6749/7591 objects, administrators'
//! endpoints RFC 9457 problem documents.
//! Why this file is long: it is the one map, and every refusal stands in it once for what it is and once for how it is told.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gatebook_events::Rejection;
use gatebook_events::metadata::{MetadataError, Problem as MemberProblem};
use gatebook_events::reason::ReasonTooLong;
use gatebook_projections::read_model::QueryError;
use serde_json::Map;

use crate::aggregates::CommandError;
use crate::application::audit::as_of::PastError;
use crate::application::error::UseCaseError;
use crate::application::error::UseCaseError as E;
use crate::application::metrics::Outcome;
use crate::application::software_statements::StatementRefusal;
use crate::credentials::admin::AdminRefusal;
use crate::delivery::webhooks::LedgerError;
use crate::event_log::AppendError;

/// Why a call failed, before it is known who has to be told.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was asked for came to nothing.
    #[error(transparent)]
    UseCase(UseCaseError),
    /// The administrator's token is not acceptable.
    #[error("failed to accept the administrator's token")]
    Admin(AdminRefusal),
    /// The request itself is at fault.
    #[error("{detail}")]
    Request {
        /// The status that says so.
        status: StatusCode,
        /// A stable word for programs.
        code: &'static str,
        /// A sentence for people; ASCII.
        detail: String,
    },
    /// The registration access token is missing, wrong, or its client is gone: all the same to the caller (RFC 7592 §2.1).
    #[error("the registration access token is not valid for this client")]
    RegistrationToken,
    /// The service token is unknown, wrong, expired or revoked: all the same to the caller.
    #[error("the service token is not valid")]
    ServiceToken,
}

impl<E: Into<UseCaseError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::UseCase(error.into())
    }
}

impl From<AdminRefusal> for Failure {
    fn from(refusal: AdminRefusal) -> Self {
        Self::Admin(refusal)
    }
}

impl Failure {
    /// A request that is at fault.
    pub fn request(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self::Request { status, code, detail: detail.into() }
    }

    /// A thing that does not exist, or not for this caller.
    pub fn not_found(what: &'static str) -> Self {
        Self::request(StatusCode::NOT_FOUND, "not-found", format!("there is no such {what}"))
    }

    /// The status that says so to administrators.
    pub fn status(&self) -> StatusCode {
        self.judge().status
    }

    /// Status, sentence and headers for whoever is told by a page; what failed inside is logged.
    pub fn told(&self) -> (StatusCode, String, HeaderMap) {
        let verdict = self.judge();
        self.log(&verdict);
        (verdict.status, self.detail(&verdict), self.headers())
    }

    /// Status, a stable word for programs, and whether it was our fault.
    fn judge(&self) -> Verdict {
        match self {
            Self::UseCase(error) => Verdict::of(error),
            Self::Admin(AdminRefusal::NoRole) => Verdict::new(StatusCode::FORBIDDEN, "forbidden"),
            Self::Admin(AdminRefusal::Unavailable) => Verdict::new(StatusCode::SERVICE_UNAVAILABLE, "keys-unavailable"),
            Self::Admin(_) => Verdict::new(StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Request { status, code, .. } => Verdict::new(*status, code),
            Self::RegistrationToken | Self::ServiceToken => Verdict::new(StatusCode::UNAUTHORIZED, "invalid_token"),
        }
    }

    /// What the caller may read of it. What failed inside stays inside.
    fn detail(&self, verdict: &Verdict) -> String {
        match self {
            Self::Admin(refusal) => refusal.to_string(),
            Self::UseCase(E::Command(CommandError::Rejected(rejection))) => match rejection {
                // Whether there ever was such a token is nothing for the holder of a bad one.
                Rejection::InitialAccessTokenUnknown | Rejection::InitialAccessTokenOver(_) => {
                    "the initial access token is not valid here".to_owned()
                }
                rejection => rejection.to_string(),
            },
            Self::UseCase(error) if is_expected(error) => error.to_string(),
            _ if verdict.status.is_server_error() => "the service cannot answer now; the request id names the cause in its log".to_owned(),
            other => other.to_string(),
        }
    }

    fn log(&self, verdict: &Verdict) {
        if verdict.status.is_server_error() && !matches!(self, Self::UseCase(error) if is_expected(error)) {
            let cause = std::error::Error::source(self).map(ToString::to_string).unwrap_or_default();
            tracing::error!(status = verdict.status.as_u16(), code = verdict.code, error = %self, %cause, "a request failed");
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Self::UseCase(error) = self
            && let Some(seconds) = retry_after(error)
        {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Self::UseCase(E::TooMany(spent)) = self {
            headers.extend(super::rate_limit_headers::headers(std::slice::from_ref(spent)));
        }
        if let Some(challenge) = self.challenge() {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        headers
    }

    /// What a caller is asked to show.
    fn challenge(&self) -> Option<&'static str> {
        match self {
            // RFC 6749 §5.2, RFC 7617 §2.1
            Self::UseCase(E::Client) => Some("Basic realm=\"gatebook\", charset=\"UTF-8\""),
            Self::RegistrationToken
            | Self::ServiceToken
            | Self::UseCase(E::Command(CommandError::Rejected(
                Rejection::InitialAccessTokenUnknown | Rejection::InitialAccessTokenOver(_),
            ))) => Some("Bearer error=\"invalid_token\""),
            Self::Admin(AdminRefusal::NoRole | AdminRefusal::Unavailable) => None,
            // RFC 6750 §3.1: one who presented nothing is told what is wanted, and of no error.
            Self::Admin(_) | Self::UseCase(E::Command(CommandError::Rejected(Rejection::InitialAccessTokenRequired))) => Some("Bearer"),
            Self::UseCase(_) | Self::Request { .. } => None,
        }
    }
}

/// Whether it is said where it begins, and needs no line in the log for each call.
const fn is_expected(error: &UseCaseError) -> bool {
    match error {
        E::Building { .. } | E::NoRoom | E::NoMetadata | E::NotTried(_) => true,
        E::Past(error) => error.is_expected(),
        _ => false,
    }
}

/// Seconds after which the call is worth another attempt.
fn retry_after(error: &UseCaseError) -> Option<u64> {
    match error {
        E::Document { retry_after, .. } => *retry_after,
        E::Building { retry_after: seconds, .. }
        | E::TooManyGuesses(seconds)
        | E::TooManyAssertions(seconds)
        | E::NotTried(seconds)
        | E::TooManyAtOnce(_, seconds) => Some(*seconds),
        E::NoRoom => Some(60),
        E::Busy | E::NoMetadata | E::Past(PastError::UnderWay { .. } | PastError::Ended) => Some(1),
        E::TooMany(spent) => Some(spent.seconds),
        _ => None,
    }
}

struct Verdict {
    status: StatusCode,
    code: &'static str,
}

impl Verdict {
    const fn new(status: StatusCode, code: &'static str) -> Self {
        Self { status, code }
    }

    /// The one map from what came to nothing to a status and a stable word.
    fn of(error: &UseCaseError) -> Self {
        match error {
            E::Command(CommandError::Rejected(rejection)) => Self::of_rejection(rejection),
            E::Command(CommandError::Append(AppendError::Refused(_))) => Self::new(StatusCode::CONFLICT, "refused-by-log"),
            E::Command(CommandError::Append(AppendError::Conflict { .. }) | CommandError::Contended) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "contended")
            }
            E::Command(CommandError::Append(AppendError::Indeterminate(_) | AppendError::Unavailable(_)) | CommandError::Read(_))
            | E::Log(_)
            | E::Past(PastError::Log(_)) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "log-unavailable"),
            E::Command(CommandError::History(_)) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "history-unreadable"),
            E::Query(error) if error.may_pass() => Self::new(StatusCode::SERVICE_UNAVAILABLE, "read-model-unavailable"),
            E::NotKept(error) if error.may_pass() => Self::new(StatusCode::SERVICE_UNAVAILABLE, "side-table-unavailable"),
            E::Past(PastError::Fold(stop)) if stop.may_pass() => Self::new(StatusCode::SERVICE_UNAVAILABLE, "past-unavailable"),
            E::Query(QueryError::Cursor(_)) => Self::new(StatusCode::BAD_REQUEST, "invalid-cursor"),
            E::Ledger(error) => match **error {
                LedgerError::Unavailable(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "log-unavailable"),
                LedgerError::Contended => Self::new(StatusCode::SERVICE_UNAVAILABLE, "contended"),
                _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            },
            E::Query(_) | E::Internal(_) | E::NotKept(_) | E::Token(_) | E::Past(PastError::Fold(_)) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
            E::Metadata(error) => Self::new(StatusCode::BAD_REQUEST, metadata_code(error)),
            E::Statement(StatementRefusal::Unapproved) => Self::new(StatusCode::BAD_REQUEST, "unapproved_software_statement"),
            E::Statement(StatementRefusal::Invalid(_)) => Self::new(StatusCode::BAD_REQUEST, "invalid_software_statement"),
            E::Statement(StatementRefusal::Unavailable) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "keys-unavailable"),
            E::Document { .. } => Self::new(StatusCode::BAD_REQUEST, "document-unusable"),
            E::Building { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "read-model-building"),
            E::Past(PastError::UnderWay { .. }) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "past-building"),
            // Asking again is of no use before somebody made room.
            E::Past(PastError::NoRoom) => Self::new(StatusCode::INSUFFICIENT_STORAGE, "past-no-room"),
            E::Client => Self::new(StatusCode::UNAUTHORIZED, "invalid_client"),
            E::TooMany(_) | E::TooManyGuesses(_) | E::TooManyAssertions(_) | E::TooManyAtOnce(..) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable")
            }
            E::Busy | E::NoRoom | E::NoMetadata | E::NotTried(_) | E::Past(PastError::Ended) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
            }
            E::InvalidTarget(_) => Self::new(StatusCode::BAD_REQUEST, "invalid_target"),
            E::Behind(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "read-model-behind"),
        }
    }

    /// Administrators' words; [`OauthError`] has its own for those that a client can run into.
    const fn of_rejection(rejection: &Rejection) -> Self {
        match rejection {
            Rejection::NoSuchClient
            | Rejection::NoSuchRegistration
            | Rejection::NoSuchResourceServer
            | Rejection::NoSuchInitialAccessToken
            | Rejection::NoSuchServiceToken
            | Rejection::NoSuchWebhook => Self::new(StatusCode::NOT_FOUND, "not-found"),
            Rejection::AlreadyExists => Self::new(StatusCode::CONFLICT, "already-exists"),
            Rejection::ResourceTaken { .. } => Self::new(StatusCode::CONFLICT, "resource-taken"),
            Rejection::NoTypeIsOff => Self::new(StatusCode::CONFLICT, "no-type-off"),
            Rejection::ModeNotAdmitted(_) => Self::new(StatusCode::FORBIDDEN, "mode-not-admitted"),
            Rejection::RedirectOutsideRules(_) | Rejection::SchemeNotListed(_) | Rejection::RedirectOutsideClamps(_) => {
                Self::new(StatusCode::BAD_REQUEST, "invalid_redirect_uri")
            }
            Rejection::GrantsNotAdmitted
            | Rejection::OutsideClamps(_)
            | Rejection::MetadataTooLong { .. }
            | Rejection::DocumentCannotBeClamped => Self::new(StatusCode::BAD_REQUEST, "invalid_client_metadata"),
            Rejection::SoftwareStatementRequired => Self::new(StatusCode::BAD_REQUEST, "invalid_software_statement"),
            Rejection::NeverUsable | Rejection::NoReason => Self::new(StatusCode::BAD_REQUEST, "invalid-request"),
            Rejection::InitialAccessTokenRequired | Rejection::InitialAccessTokenUnknown | Rejection::InitialAccessTokenOver(_) => {
                Self::new(StatusCode::UNAUTHORIZED, "invalid_token")
            }
            Rejection::Full(_) => Self::new(StatusCode::CONFLICT, "register-full"),
            Rejection::UnboundFull => Self::new(StatusCode::BAD_REQUEST, "invalid_target"),
            Rejection::RegistersThere => Self::new(StatusCode::CONFLICT, "registers-there"),
            Rejection::TooManyWebhooks => Self::new(StatusCode::CONFLICT, "too-many-webhooks"),
            Rejection::TooManyFamilies => Self::new(StatusCode::CONFLICT, "too-many-families"),
            Rejection::NotHome => Self::new(StatusCode::FORBIDDEN, "not-home"),
            Rejection::NoDocument => Self::new(StatusCode::CONFLICT, "no-document"),
            Rejection::DocumentKnown => Self::new(StatusCode::CONFLICT, "document-known"),
            Rejection::TooManyTexts => Self::new(StatusCode::CONFLICT, "too-many-texts"),
            Rejection::NoSuchVersion(_) => Self::new(StatusCode::NOT_FOUND, "no-such-version"),
            Rejection::NoSecret => Self::new(StatusCode::CONFLICT, "no-secret"),
            Rejection::OverlapUnderWay(_) => Self::new(StatusCode::CONFLICT, "overlap-under-way"),
            Rejection::WrongStatus { .. } => Self::new(StatusCode::CONFLICT, "wrong-status"),
            Rejection::StaleChange { .. } => Self::new(StatusCode::CONFLICT, "stale-change"),
            Rejection::Moved(_) => Self::new(StatusCode::CONFLICT, "registration-changed"),
            Rejection::NothingStaged => Self::new(StatusCode::CONFLICT, "nothing-staged"),
        }
    }
}

const fn metadata_code(error: &MetadataError) -> &'static str {
    match error.problem {
        MemberProblem::Redirect(_) | MemberProblem::RedirectUri(_) => "invalid_redirect_uri",
        MemberProblem::Metadata(_) | MemberProblem::Link(_) => "invalid_client_metadata",
    }
}

impl From<ReasonTooLong> for Failure {
    fn from(error: ReasonTooLong) -> Self {
        Self::request(StatusCode::BAD_REQUEST, "invalid-request", error.to_string())
    }
}

/// How a request to register ended.
pub fn outcome(failure: Option<&Failure>) -> Outcome {
    match failure {
        None => Outcome::Registered,
        Some(Failure::UseCase(error)) => Outcome::of_error(error),
        Some(failure) if failure.status().is_server_error() => Outcome::Failed,
        Some(_) => Outcome::Refused,
    }
}

/// A failure as OAuth clients are told (RFC 7591 §3.2.2, RFC 6749 §5.2).
#[derive(Debug)]
pub struct OauthError(pub Failure);

impl<E: Into<Failure>> From<E> for OauthError {
    fn from(failure: E) -> Self {
        Self(failure.into())
    }
}

impl OauthError {
    /// What is said of it, where it is one answer among several.
    pub fn into_body(self) -> Map<String, serde_json::Value> {
        self.told().1
    }

    fn told(&self) -> (StatusCode, Map<String, serde_json::Value>) {
        let verdict = self.0.judge();
        self.0.log(&verdict);
        let (status, code) = match &self.0 {
            // The caller holds a valid token, so hiding the registration would tell it nothing that it does not know.
            Failure::UseCase(E::Command(CommandError::Rejected(
                Rejection::WrongStatus { .. } | Rejection::ModeNotAdmitted(_) | Rejection::Full(_),
            ))) => (StatusCode::FORBIDDEN, "access_denied"),
            // The client's metadata is what the document says (RFC 7591 §3.2.2).
            Failure::UseCase(E::Document { .. }) => (StatusCode::BAD_REQUEST, "invalid_client_metadata"),
            Failure::Admin(AdminRefusal::NoRole) => (StatusCode::FORBIDDEN, "insufficient_scope"),
            Failure::Admin(_) if verdict.status == StatusCode::UNAUTHORIZED => (verdict.status, "invalid_token"),
            Failure::UseCase(E::Command(CommandError::Rejected(Rejection::NoSuchResourceServer))) => {
                (StatusCode::NOT_FOUND, "invalid_target")
            }
            _ if verdict.status == StatusCode::SERVICE_UNAVAILABLE => (verdict.status, "temporarily_unavailable"),
            _ if verdict.status.is_server_error() => (verdict.status, "server_error"),
            _ => (verdict.status, verdict.code),
        };
        let mut body = Map::new();
        body.insert("error".to_owned(), code.into());
        body.insert("error_description".to_owned(), self.0.detail(&verdict).into());
        (status, body)
    }
}

impl IntoResponse for OauthError {
    fn into_response(self) -> Response {
        let (status, body) = self.told();
        (status, self.0.headers(), Json(body)).into_response()
    }
}

/// A failure as administrators are told (RFC 9457).
#[derive(Debug)]
pub struct Problem(pub Failure, pub super::request_id::RequestId);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let verdict = self.0.judge();
        self.0.log(&verdict);
        let mut body = Map::new();
        body.insert("type".to_owned(), format!("urn:gatebook:problem:{}", verdict.code.replace('_', "-")).into());
        body.insert("title".to_owned(), verdict.status.canonical_reason().unwrap_or("error").into());
        body.insert("status".to_owned(), verdict.status.as_u16().into());
        body.insert("detail".to_owned(), self.0.detail(&verdict).into());
        body.insert("request_id".to_owned(), self.1.as_str().into());
        if let Failure::UseCase(E::Command(CommandError::Rejected(Rejection::StaleChange { current: Some(current), .. }))) = &self.0 {
            body.insert("current_change_id".to_owned(), current.to_string().into());
        }
        if let Failure::UseCase(E::Command(CommandError::Rejected(Rejection::Moved(current)))) = &self.0 {
            body.insert("registration_version".to_owned(), current.to_string().into());
        }
        if let Failure::UseCase(E::Document { trouble, problem, .. }) = &self.0 {
            body.insert("trouble".to_owned(), trouble.as_str().into());
            if let Some(problem) = problem {
                body.insert("problem".to_owned(), (**problem).into());
            }
        }
        let mut headers = self.0.headers();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        (verdict.status, headers, Json(body)).into_response_with_type()
    }
}

/// [`Json`] would set its own content type over ours.
trait WithType {
    fn into_response_with_type(self) -> Response;
}

impl WithType for (StatusCode, HeaderMap, Json<Map<String, serde_json::Value>>) {
    fn into_response_with_type(self) -> Response {
        let (status, headers, json) = self;
        let mut response = (status, json).into_response();
        response.headers_mut().extend(headers);
        response
    }
}

/// Nothing answers here, and nobody has to remember that: a later version may.
pub async fn no_such_page(axum::Extension(request_id): axum::Extension<super::request_id::RequestId>) -> impl IntoResponse {
    let never_stored = [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];
    (never_stored, Problem(Failure::not_found("page"), request_id))
}

/// The router says in `Allow` what there is.
pub async fn method_not_allowed_admin(axum::Extension(request_id): axum::Extension<super::request_id::RequestId>) -> Problem {
    Problem(Failure::request(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "the method is not allowed here"), request_id)
}

/// RFC 9110 §15.5.6
pub async fn method_not_allowed_post() -> Response {
    method_not_allowed("POST, OPTIONS")
}

/// RFC 7592 §2
pub async fn method_not_allowed_manage() -> Response {
    method_not_allowed("GET, PUT, DELETE, OPTIONS")
}

fn method_not_allowed(allow: &'static str) -> Response {
    let body = serde_json::json!({ "error": "invalid_request", "error_description": "the method is not allowed here" });
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, allow)], Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b1_a_client_that_signed_too_much_hears_when_to_come_back() {
        let failure = Failure::from(E::TooManyAssertions(61));
        assert_eq!(failure.headers().get(header::RETRY_AFTER), Some(&HeaderValue::from(61)));
        let (status, body) = OauthError(failure).told();
        assert_eq!((status.as_u16(), &body["error"]), (429, &"temporarily_unavailable".into()));
    }

    #[test]
    fn that_the_past_is_not_to_be_had_now_is_said_as_it_is() {
        let building = PastError::UnderWay { percent: 7 };
        for (error, status, again) in [(building, 503, true), (PastError::Ended, 503, true), (PastError::NoRoom, 507, false)] {
            let sentence = error.to_string();
            let (said, detail, headers) = Failure::from(error).told();
            assert_eq!((said.as_u16(), &detail, headers.contains_key(header::RETRY_AFTER)), (status, &sentence, again));
        }
    }
}
