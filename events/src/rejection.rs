//! Why a command is refused: facts with fields, and no word about HTTP.

use chrono::{DateTime, SecondsFormat, Utc};

use crate::admission::Status;
use crate::admission::Usability;
use crate::admission::{CapOf, RegistrationType};
use crate::answer_version::AnswerVersion;
use crate::identity::{ChangeId, ResourceServerId};
use crate::redirect::WebUri;

/// Why a command is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's sentence is its documentation")]
pub enum Rejection {
    #[error("there is no such client")]
    NoSuchClient,
    #[error("there is no such registration")]
    NoSuchRegistration,
    #[error("there is no such resource server")]
    NoSuchResourceServer,
    #[error("the identifier is taken")]
    AlreadyExists,
    #[error("another resource server has this resource identifier. It is {holder}, where it is written {}", .resource.as_str())]
    ResourceTaken { resource: WebUri, holder: ResourceServerId },
    #[error("the resource server does not admit clients that come by {}", .0.as_str())]
    ModeNotAdmitted(RegistrationType),
    #[error("effect_on_existing says what becomes of registrations of a type that is off, and no type is off")]
    NoTypeIsOff,
    #[error("the redirect URI {0} is outside the resource server's rules")]
    RedirectOutsideRules(String),
    #[error("the redirect URI {0} uses a scheme without a period that the resource server does not list")]
    SchemeNotListed(String),
    #[error("the register of the {} is full: it takes no more clients", .0.as_words())]
    Full(CapOf),
    #[error("the metadata takes {bytes} bytes where it is kept, and may take {most}")]
    MetadataTooLong { bytes: u64, most: u32 },
    #[error("none of the grant types may be used by a client that registers itself here")]
    GrantsNotAdmitted,
    #[error("the resource server wants a software statement")]
    SoftwareStatementRequired,
    #[error("as many clients as may wait for a resource server do: name one by its resource, or register at /rs/ and its id")]
    UnboundFull,
    #[error("identical clients are one client there, so it has to register with the resource server named")]
    RegistersThere,
    #[error("the client belongs to another tenant")]
    NotHome,
    #[error("the client has no secret to change")]
    NoSecret,
    #[error(
        "the secret before the current one works until {}; another rotation would end it now: wait, or say `end_overlap`: true",
        .0.to_rfc3339_opts(SecondsFormat::Secs, true)
    )]
    OverlapUnderWay(DateTime<Utc>),
    #[error("a registration that is {} cannot be {attempted}", .status.as_str())]
    WrongStatus { status: Status, attempted: &'static str },
    #[error("the change {asked} is not the one that waits")]
    StaleChange { asked: ChangeId, current: Option<ChangeId> },
    #[error("the client has changed since it was shown; its registration_version is {0} now")]
    Moved(AnswerVersion),
    #[error("the client is not described by a document of its own")]
    NoDocument,
    #[error(
        "the host of this document has answered before and says what is in it: no text can be entered for it; enter the client without `document`"
    )]
    DocumentKnown,
    #[error("as many texts were entered for this document as may be, which is 100: until its host answers, the last one serves")]
    TooManyTexts,
    #[error("the document has no version {0}")]
    NoSuchVersion(u32),
    #[error("no change waits")]
    NothingStaged,
    #[error("a reason is needed")]
    NoReason,
    #[error("there is no such initial access token")]
    NoSuchInitialAccessToken,
    #[error("there is no such service token")]
    NoSuchServiceToken,
    #[error("there is no such webhook")]
    NoSuchWebhook,
    #[error("the tenant has as many webhooks as it may have")]
    TooManyWebhooks,
    #[error("the resource server has as many suspended families as it may have, which is 1000; reinstate one of them first")]
    TooManyFamilies,
    #[error("the token would never be usable")]
    NeverUsable,
    #[error("the resource server wants an initial access token")]
    InitialAccessTokenRequired,
    #[error("the initial access token is not one of this resource server")]
    InitialAccessTokenUnknown,
    #[error("the initial access token is {}", .0.as_str())]
    InitialAccessTokenOver(Usability),
    #[error("the initial access token bounds its client, which a client with a document of its own cannot be")]
    DocumentCannotBeClamped,
    #[error("the redirect URI {0} is outside what the client's initial access token allows")]
    RedirectOutsideClamps(String),
    #[error("the {0} is outside what the client's initial access token allows")]
    OutsideClamps(&'static str),
}
