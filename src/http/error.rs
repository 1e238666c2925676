//! How Gatebook says no: the one map from refusals to HTTP. OAuth endpoints answer RFC 6749/7591 objects, administrators'
//! endpoints RFC 9457 problem documents.
//! Why this file is long: it is the one map, and every refusal stands in it once for what it is and once for how it is told.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gatebook_events::Rejection;
use gatebook_events::manifest::Trouble;
use gatebook_events::metadata::{MetadataError, Problem as MemberProblem};
use gatebook_events::reason::ReasonTooLong;
use gatebook_projections::read_model::QueryError;
use serde_json::Map;

use crate::aggregates::CommandError;
use crate::application::access_tokens::{KeyFileError, TokenError};
use crate::application::audit::as_of::PastError;
use crate::application::manifests::DocumentError;
use crate::application::rate_limits::Allowance;
use crate::application::software_statements::StatementRefusal;
use crate::credentials::admin::AdminRefusal;
use crate::delivery::webhooks::LedgerError;
use crate::event_log::{AppendError, LogError};
use crate::outbound::FetchFailure;
use crate::platform::side_db::NotKept;

/// Why a call failed, before it is known who has to be told.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A command was refused or could not be carried out.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A list could not be read.
    #[error("failed to read the lists")]
    Query(#[from] QueryError),
    /// The log could not be read.
    #[error("failed to read the event log")]
    Log(#[from] LogError),
    /// The metadata is not acceptable.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The software statement is not acceptable.
    #[error(transparent)]
    Statement(#[from] StatementRefusal),
    /// The administrator's token is not acceptable.
    #[error("failed to accept the administrator's token")]
    Admin(#[from] AdminRefusal),
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
    /// The client is unknown, or is not who it says; which of them is nothing for whoever asks (RFC 6749 §5.2).
    #[error("the client is unknown here, or did not prove who it is")]
    Client,
    /// The service token is unknown, wrong, expired or revoked: all the same to the caller.
    #[error("the service token is not valid")]
    ServiceToken,
    /// The document at `client_id` is of no use. The sentence is the same for every cause.
    #[error("cannot use the document at client_id")]
    Document {
        /// The cause by name, for administrators only.
        trouble: Trouble,
        /// Which member it is about and what is wrong with it, for administrators only.
        problem: Option<Box<str>>,
        /// Seconds after which it is worth another attempt, where somebody said so.
        retry_after: Option<u64>,
    },
    /// The tables that would answer are being built, and there are no others.
    #[error("the {projection} is being built: {percent} % are done")]
    Building {
        /// Which projection.
        projection: &'static str,
        /// How much of it there is.
        percent: u64,
        /// Seconds after which it is worth another attempt.
        retry_after: u64,
    },
    /// What was cannot be shown, or not yet.
    #[error(transparent)]
    Past(#[from] PastError),
    /// The caller came too often.
    #[error("{}", .0.ceiling.as_words())]
    TooMany(Allowance),
    /// The caller showed too many wrong secrets of a client; after so many seconds it may show another.
    #[error("too many wrong secrets of this client from this source")]
    TooManyGuesses(u64),
    /// What another host has to say was not asked for, because of bounds of this service; after so many seconds it may be.
    #[error("too much is being fetched for others at the moment: nothing was found out about the client, so try again")]
    NotTried(u64),
    /// The disk has less room than strangers may take of it.
    #[error("there is too little room for more: registrations, and changes by clients, are taken again when an operator has made some")]
    NoRoom,
    /// A client signed more assertions than are remembered until they end; after so many seconds it may show another.
    #[error("too many assertions of this client are still good: let them be good for a shorter time")]
    TooManyAssertions(u64),
    /// What webhooks were sent cannot be read or kept.
    #[error(transparent)]
    NotKept(#[from] NotKept),
    /// What nodes know of a webhook cannot be read or changed.
    #[error(transparent)]
    Ledger(Box<LedgerError>),
    /// So much of this is under way as may be; after so many seconds it is worth another attempt.
    #[error("too many {0} at a time")]
    TooManyAtOnce(&'static str, u64),
    /// The authorization server's metadata, into which the register's are merged, cannot be had.
    #[error("the authorization server's metadata cannot be fetched now")]
    NoMetadata,
    /// There is too much to do at the moment.
    #[error("too much is under way")]
    Busy,
    /// No access token can be made or read.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Something of ours failed.
    #[error("{0}")]
    Internal(&'static str),
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(Box::new(error))
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
            Self::Command(CommandError::Rejected(rejection)) => Verdict::of_rejection(rejection),
            Self::Command(CommandError::Append(AppendError::Refused(_))) => Verdict::new(StatusCode::CONFLICT, "refused-by-log"),
            Self::Command(CommandError::Append(AppendError::Conflict { .. }) | CommandError::Contended) => {
                Verdict::new(StatusCode::SERVICE_UNAVAILABLE, "contended")
            }
            Self::Command(CommandError::Append(AppendError::Indeterminate(_) | AppendError::Unavailable(_)) | CommandError::Read(_))
            | Self::Log(_)
            | Self::Past(PastError::Log(_)) => Verdict::new(StatusCode::SERVICE_UNAVAILABLE, "log-unavailable"),
            Self::Command(CommandError::History(_)) => Verdict::new(StatusCode::INTERNAL_SERVER_ERROR, "history-unreadable"),
            Self::Query(error) if error.may_pass() => Verdict::new(StatusCode::SERVICE_UNAVAILABLE, "read-model-unavailable"),
            Self::NotKept(error) if error.may_pass() => Verdict::new(StatusCode::SERVICE_UNAVAILABLE, "side-table-unavailable"),
            Self::Past(PastError::Fold(stop)) if stop.may_pass() => Verdict::new(StatusCode::SERVICE_UNAVAILABLE, "past-unavailable"),
            Self::Query(QueryError::Cursor(_)) => Verdict::new(StatusCode::BAD_REQUEST, "invalid-cursor"),
            Self::Ledger(error) => match **error {
                LedgerError::Unavailable(_) => Verdict::new(StatusCode::SERVICE_UNAVAILABLE, "log-unavailable"),
                LedgerError::Contended => Verdict::new(StatusCode::SERVICE_UNAVAILABLE, "contended"),
                _ => Verdict::new(StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            },
            Self::Query(_) | Self::Internal(_) | Self::NotKept(_) | Self::Token(_) | Self::Past(PastError::Fold(_)) => {
                Verdict::new(StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
            Self::Metadata(error) => Verdict::new(StatusCode::BAD_REQUEST, metadata_code(error)),
            Self::Statement(StatementRefusal::Unapproved) => Verdict::new(StatusCode::BAD_REQUEST, "unapproved_software_statement"),
            Self::Statement(StatementRefusal::Invalid(_)) => Verdict::new(StatusCode::BAD_REQUEST, "invalid_software_statement"),
            Self::Admin(AdminRefusal::NoRole) => Verdict::new(StatusCode::FORBIDDEN, "forbidden"),
            Self::Admin(AdminRefusal::Unavailable) | Self::Statement(StatementRefusal::Unavailable) => {
                Verdict::new(StatusCode::SERVICE_UNAVAILABLE, "keys-unavailable")
            }
            Self::Admin(_) => Verdict::new(StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Request { status, code, .. } => Verdict::new(*status, code),
            Self::Document { .. } => Verdict::new(StatusCode::BAD_REQUEST, "document-unusable"),
            Self::Building { .. } => Verdict::new(StatusCode::SERVICE_UNAVAILABLE, "read-model-building"),
            Self::Past(PastError::UnderWay { .. }) => Verdict::new(StatusCode::SERVICE_UNAVAILABLE, "past-building"),
            // Asking again is of no use before somebody made room.
            Self::Past(PastError::NoRoom) => Verdict::new(StatusCode::INSUFFICIENT_STORAGE, "past-no-room"),
            Self::RegistrationToken | Self::ServiceToken => Verdict::new(StatusCode::UNAUTHORIZED, "invalid_token"),
            Self::Client => Verdict::new(StatusCode::UNAUTHORIZED, "invalid_client"),
            Self::TooMany(_) | Self::TooManyGuesses(_) | Self::TooManyAssertions(_) | Self::TooManyAtOnce(..) => {
                Verdict::new(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable")
            }
            Self::Busy | Self::NoRoom | Self::NoMetadata | Self::NotTried(_) | Self::Past(PastError::Ended) => {
                Verdict::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
            }
        }
    }

    /// What the caller may read of it. What failed inside stays inside.
    fn detail(&self, verdict: &Verdict) -> String {
        match self {
            Self::Admin(refusal) => refusal.to_string(),
            // Whether there ever was such a token is nothing for whoever holds a bad one.
            Self::Command(CommandError::Rejected(Rejection::InitialAccessTokenUnknown | Rejection::InitialAccessTokenOver(_))) => {
                "the initial access token is not valid here".to_owned()
            }
            Self::Command(CommandError::Rejected(rejection)) => rejection.to_string(),
            Self::Building { .. } | Self::NoRoom | Self::NoMetadata | Self::NotTried(_) => self.to_string(),
            Self::Past(error) if error.is_expected() => error.to_string(),
            _ if verdict.status.is_server_error() => "the service cannot answer now; the request id names the cause in its log".to_owned(),
            other => other.to_string(),
        }
    }

    fn log(&self, verdict: &Verdict) {
        // That a projection is being built is said once, where it is begun, and so is what keeps the past from being shown for now.
        let expected = match self {
            // So is why metadata cannot be had, when that begins.
            Self::Building { .. } | Self::NoRoom | Self::NoMetadata | Self::NotTried(_) => true,
            Self::Past(error) => error.is_expected(),
            _ => false,
        };
        if verdict.status.is_server_error() && !expected {
            let cause = std::error::Error::source(self).map(ToString::to_string).unwrap_or_default();
            tracing::error!(status = verdict.status.as_u16(), code = verdict.code, error = %self, %cause, "a request failed");
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match self {
            Self::Document { retry_after: Some(retry_after), .. } | Self::Building { retry_after, .. } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(*retry_after));
            }
            Self::NoRoom => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(60));
            }
            Self::TooManyGuesses(seconds)
            | Self::TooManyAssertions(seconds)
            | Self::NotTried(seconds)
            | Self::TooManyAtOnce(_, seconds) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
            }
            // RFC 6749 §5.2, RFC 7617 §2.1
            Self::Client => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"gatebook\", charset=\"UTF-8\""));
            }
            Self::Busy | Self::NoMetadata | Self::Past(PastError::UnderWay { .. } | PastError::Ended) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(1));
            }
            Self::TooMany(spent) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(spent.seconds));
                headers.extend(crate::http::rate_limit_headers::headers(std::slice::from_ref(spent)));
            }
            Self::RegistrationToken
            | Self::ServiceToken
            | Self::Command(CommandError::Rejected(Rejection::InitialAccessTokenUnknown | Rejection::InitialAccessTokenOver(_))) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
            }
            Self::Admin(refusal) if !matches!(refusal, AdminRefusal::NoRole | AdminRefusal::Unavailable) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // RFC 6750 §3.1: one who presented nothing is told what is wanted, and of no error.
            Self::Command(CommandError::Rejected(Rejection::InitialAccessTokenRequired)) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        headers
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

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        TokenError::from(error).into()
    }
}

impl From<FetchFailure> for Failure {
    fn from(failure: FetchFailure) -> Self {
        // That its host was not asked says nothing about the document.
        if let Some(seconds) = failure.not_tried_for() {
            return Self::NotTried(seconds);
        }
        Self::Document {
            trouble: failure.trouble,
            problem: failure.about().map(Into::into),
            retry_after: failure.retry_after.map(|pause| pause.as_secs().max(1)),
        }
    }
}

impl From<DocumentError> for Failure {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Fetch(failure) => failure.into(),
            DocumentError::Command(error) => error.into(),
        }
    }
}

/// A failure as OAuth clients are told (RFC 7591 §3.2.2, RFC 6749 §5.2).
#[derive(Debug)]
pub struct OauthError(pub Failure);

impl From<Failure> for OauthError {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl From<CommandError> for OauthError {
    fn from(error: CommandError) -> Self {
        Self(error.into())
    }
}

impl From<MetadataError> for OauthError {
    fn from(error: MetadataError) -> Self {
        Self(error.into())
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
            Failure::Command(CommandError::Rejected(
                Rejection::WrongStatus { .. } | Rejection::ModeNotAdmitted(_) | Rejection::Full(_),
            )) => (StatusCode::FORBIDDEN, "access_denied"),
            // The client's metadata is what the document says (RFC 7591 §3.2.2).
            Failure::Document { .. } => (StatusCode::BAD_REQUEST, "invalid_client_metadata"),
            Failure::Admin(AdminRefusal::NoRole) => (StatusCode::FORBIDDEN, "insufficient_scope"),
            Failure::Admin(_) if verdict.status == StatusCode::UNAUTHORIZED => (verdict.status, "invalid_token"),
            Failure::Command(CommandError::Rejected(Rejection::NoSuchResourceServer)) => (StatusCode::NOT_FOUND, "invalid_target"),
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
        if let Failure::Command(CommandError::Rejected(Rejection::StaleChange { current: Some(current), .. })) = &self.0 {
            body.insert("current_change_id".to_owned(), current.to_string().into());
        }
        if let Failure::Command(CommandError::Rejected(Rejection::Moved(current))) = &self.0 {
            body.insert("registration_version".to_owned(), current.to_string().into());
        }
        if let Failure::Document { trouble, problem, .. } = &self.0 {
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
        let failure = Failure::TooManyAssertions(61);
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
