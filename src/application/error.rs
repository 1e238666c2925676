//! Why a use case came to nothing: data, of which `http` makes statuses and sentences.

use gatebook_events::manifest::Trouble;
use gatebook_events::metadata::MetadataError;
use gatebook_projections::read_model::QueryError;

use super::access_tokens::{KeyFileError, TokenError};
use super::audit::as_of::PastError;
use super::rate_limits::Allowance;
use super::software_statements::StatementRefusal;
use crate::aggregates::CommandError;
use crate::delivery::webhooks::LedgerError;
use crate::event_log::LogError;
use crate::outbound::FetchFailure;
use crate::platform::side_db::NotKept;
use crate::read_models::consistency::{Behind, ReadError};

/// Why a use case came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum UseCaseError {
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
    /// The client is unknown, or is not who it says; which of them is nothing for whoever asks (RFC 6749 §5.2).
    #[error("the client is unknown here, or did not prove who it is")]
    Client,
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
    /// The client means a resource server that is not here, or none (RFC 8707 §2). ASCII.
    #[error("{0}")]
    InvalidTarget(&'static str),
    /// The lists do not show yet what they have to show here.
    #[error(transparent)]
    Behind(#[from] Behind),
}

impl From<LedgerError> for UseCaseError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(Box::new(error))
    }
}

impl From<KeyFileError> for UseCaseError {
    fn from(error: KeyFileError) -> Self {
        TokenError::from(error).into()
    }
}

impl From<FetchFailure> for UseCaseError {
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

impl From<ReadError> for UseCaseError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Log(error) => error.into(),
            ReadError::Query(error) => error.into(),
            ReadError::Building { projection, percent, retry_after } => Self::Building { projection, percent, retry_after },
            ReadError::Ended => Self::Internal("a query's thread ended early"),
        }
    }
}
