//! Why a client's document could not be used, in words that may be stored.

use serde::{Deserialize, Serialize};

use crate::metadata::vocabulary;

vocabulary! {
    /// Why a fetch gave no usable document. For logs and the audit trail; a caller learns none of it.
    Trouble {
        /// The host's name has no address, or nobody said so in time.
        Dns = "dns_failed",
        /// One of the host's addresses is not a public one.
        Address = "address_refused",
        /// No connection.
        Connect = "connect_failed",
        /// A connection, but no host that proves to be the one named.
        Tls = "tls_failed",
        /// Not done within the time for all of it.
        TimedOut = "timed_out",
        /// The answer ended early, or is not HTTP.
        CutOff = "cut_off",
        /// 5xx, 408, 421 or 425.
        ServerError = "server_error",
        /// 429
        TooManyRequests = "too_many_requests",
        /// 401, 403, 407 or 451: somebody stands in front of the document, as bot protection does; it may well be there.
        Blocked = "access_blocked",
        /// 404
        NotFound = "not_found",
        /// 410
        Gone = "gone",
        /// 3xx. Never followed.
        Redirected = "redirected",
        /// Any other status.
        Status = "unexpected_status",
        /// Neither `application/json` nor `application/*+json`.
        MediaType = "media_type",
        /// Compressed, though only `identity` was accepted.
        Encoded = "content_encoded",
        /// More bytes than are read.
        TooLong = "too_long",
        /// No JSON object that reads in one way only.
        NotJson = "not_json",
        /// The document is another client's.
        ClientId = "client_id_differs",
        /// A required member is missing.
        Missing = "member_missing",
        /// A secret, where everybody can read it.
        Secret = "secret_in_document",
        /// A way to authenticate that such a client cannot have.
        AuthMethod = "auth_method_refused",
        /// Some other member is not acceptable.
        Metadata = "metadata_invalid",
        /// Too many fetches are under way.
        Busy = "busy",
        /// The host, or all hosts together, were asked often enough.
        TooOften = "too_often",
        /// The last attempt failed a short while ago.
        BackingOff = "backing_off",
    }
}

/// What a trouble says about the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// Nothing: the way to it is broken. The last good document may go on serving, up to a maximum age.
    Transport,
    /// Its owner took it away.
    Withdrawn,
    /// Its owner, or whoever has the host now, serves something else. As good as taken away.
    Invalid,
    /// Nothing: nobody asked.
    NotTried,
}

impl Trouble {
    /// Whether it says anything about the document; otherwise the way to it is broken, or nobody asked.
    pub const fn is_about_the_document(self) -> bool {
        matches!(self.kind(), TroubleKind::Withdrawn | TroubleKind::Invalid)
    }

    /// What it says about the document.
    pub const fn kind(self) -> TroubleKind {
        match self {
            Self::Dns
            | Self::Address
            | Self::Connect
            | Self::Tls
            | Self::TimedOut
            | Self::CutOff
            | Self::ServerError
            | Self::TooManyRequests
            | Self::Blocked => TroubleKind::Transport,
            Self::NotFound | Self::Gone => TroubleKind::Withdrawn,
            Self::Redirected
            | Self::Status
            | Self::MediaType
            | Self::Encoded
            | Self::TooLong
            | Self::NotJson
            | Self::ClientId
            | Self::Missing
            | Self::Secret
            | Self::AuthMethod
            | Self::Metadata => TroubleKind::Invalid,
            Self::Busy | Self::TooOften | Self::BackingOff => TroubleKind::NotTried,
        }
    }
}
