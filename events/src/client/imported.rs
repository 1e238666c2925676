//! Where a client was registered before it was entered here.

use serde::{Deserialize, Serialize};

use crate::metadata::vocabulary;

vocabulary! {
    /// How the file was written that a client came in.
    ImportFormat {
        /// One JSON object of RFC 7591 members on each line.
        Rfc7591 = "rfc7591",
        /// The export of a Keycloak realm.
        Keycloak = "keycloak",
        /// A list of clients as Ory Hydra prints it.
        Hydra = "hydra",
    }
}

/// Where a client was registered before. A client whose origin is the same is the same client, so that a file can be imported
/// again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ImportedFrom {
    /// How the file was written.
    pub format: ImportFormat,
    /// The realm, where the format has realms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<Box<str>>,
    /// What the client was called there; none where the file gave it no identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Box<str>>,
}
