//! What can be asked of a client.

use chrono::{DateTime, Utc};

use super::imported::ImportedFrom;
use super::manifest::{Document, Withdrawal};
use crate::admission::RegistrationType;
use crate::clamps::Clamps;
use crate::identity::{ClientId, InitialAccessTokenId, TenantId};
use crate::metadata::ClientMetadata;
use crate::secret::{KeptSecret, Rotation, TokenHash};

/// What can be asked of a client.
#[derive(Debug, Clone)]
pub enum ClientCommand {
    /// Enter it.
    Register {
        /// Its public identifier.
        client_id: ClientId,
        /// How it came.
        registration_type: RegistrationType,
        /// The tenant that it belongs to.
        home: Option<TenantId>,
        /// What it says about itself.
        metadata: ClientMetadata,
        /// The secret's hash, where it has one.
        secret: Option<KeptSecret>,
        /// The registration access token's hash, where it has one.
        registration_token: Option<TokenHash>,
        /// The names of members that were ignored.
        ignored: Vec<Box<str>>,
        /// The initial access token that it came by.
        initial_access_token: Option<InitialAccessTokenId>,
        /// What that token allows it.
        clamps: Clamps,
        /// Where it was registered before, if it is imported.
        imported_from: Option<ImportedFrom>,
        /// Now.
        at: DateTime<Utc>,
    },
    /// Replace what it says about itself (RFC 7592 §2.2).
    UpdateMetadata {
        /// Who asks.
        by: Party,
        /// All of it.
        metadata: ClientMetadata,
        /// A first secret, used where the client has none and its new method needs one.
        secret: Option<KeptSecret>,
        /// Whether the secret stays where the new method needs none, because somewhere the old one is still admitted.
        keep_secret: bool,
        /// The names of members that were ignored.
        ignored: Vec<Box<str>>,
    },
    /// Give it a new secret.
    RotateSecret {
        /// Who asks.
        by: Party,
        /// The new one.
        secret: KeptSecret,
        /// What becomes of the old one.
        rotation: Rotation,
    },
    /// End the old secret now.
    RevokeOldSecret {
        /// Who asks.
        by: Party,
    },
    /// Give it a new registration access token.
    RotateRegistrationToken {
        /// Who asks.
        by: Party,
        /// The new one.
        registration_token: TokenHash,
    },
    /// Take note of its document, as an administrator says that it is, because its host cannot be reached. It holds until the host
    /// answers.
    EnterDocument {
        /// The document's URL.
        client_id: ClientId,
        /// What was entered.
        document: Box<Document>,
        /// Whose administrator says so.
        tenant: TenantId,
        /// Now.
        at: DateTime<Utc>,
    },
    /// Take note of its document, as it was just read. Enters the client where nobody knew it.
    SeeDocument {
        /// The document's URL.
        client_id: ClientId,
        /// What was read.
        document: Box<Document>,
        /// Now.
        at: DateTime<Utc>,
    },
    /// Take note that its document could not be reached.
    MissDocument {
        /// When it was last read.
        last_read: DateTime<Utc>,
        /// What went wrong, as a name out of a closed list.
        failure: Box<str>,
    },
    /// Take note that its document was taken away.
    LoseDocument {
        /// Why it counts as taken away.
        cause: Withdrawal,
        /// What went wrong, as a name out of a closed list.
        failure: Box<str>,
        /// Which member it is about and what is wrong with it, where a document was read.
        detail: Option<Box<str>>,
    },
    /// End it (RFC 7592 §2.3).
    Delete {
        /// Who asks.
        by: Party,
        /// Why, for the history.
        reason: Option<String>,
    },
}

/// Who asks for a change of what all registrations of a client share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Party {
    /// An administrator of this tenant.
    Admin(TenantId),
    /// The holder of the registration access token.
    Holder,
    /// Gatebook itself.
    System,
}
