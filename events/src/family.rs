//! What clients of one program have in common.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::client::Profile;
use crate::identity::ClientId;
use crate::metadata::ClientMetadata;
use crate::redirect::RedirectUri;
use crate::registration::Registration;
use crate::resource_server::RegistrationType;
use crate::secret::to_hexadecimal;

/// What clients of one program have in common, as a text: the host of their documents, their `software_id`, or else their name and
/// redirect URIs, with the loopback ports that differ from run to run erased. Identical registrations are of one family.
pub fn family(client_id: &ClientId, kind: RegistrationType, metadata: &ClientMetadata) -> String {
    let document = RedirectUri::parse(client_id.as_str()).ok().filter(|_| kind == RegistrationType::Cimd);
    if let Some(document) = document {
        return format!("document:{}", document.host().to_ascii_lowercase());
    }
    if let Some(software_id) = &metadata.software_id {
        return format!("software:{software_id}");
    }
    let mut shapes: Vec<String> = metadata.redirect_uris.iter().map(RedirectUri::shape).collect();
    shapes.sort_unstable();
    shapes.dedup();
    format!("name:{} {}", metadata.client_name.as_deref().unwrap_or_default(), shapes.join(" "))
}

/// Names a family in a text of bounded length: its SHA-256 as hexadecimal text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct FamilyName(Box<str>);

impl FamilyName {
    /// That of a client's family.
    pub fn of(client_id: &ClientId, kind: RegistrationType, metadata: &ClientMetadata) -> Self {
        let digest: [u8; 32] = Sha256::digest(family(client_id, kind, metadata)).into();
        Self(to_hexadecimal(&digest).into())
    }

    /// That of a client as it was admitted at a resource server, whatever it claims by now.
    pub fn admitted(profile: &Profile, registration: &Registration) -> Self {
        let admitted = ClientMetadata {
            redirect_uris: registration.redirect_uris.clone(),
            software_id: profile.software_id.clone(),
            ..registration.admitted(&profile.metadata)
        };
        Self::of(&profile.client_id, profile.registration_type, &admitted)
    }
}

impl fmt::Display for FamilyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
