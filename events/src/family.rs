//! What clients of one program have in common.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::admission::RegistrationType;
use crate::client::Profile;
use crate::identity::ClientId;
use crate::look_alike::{Folded, Origin};
use crate::metadata::ClientMetadata;
use crate::redirect::{RedirectUri, RedirectUris};
use crate::registration::Registration;
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
    family_by_name(metadata.client_name.as_deref(), &metadata.redirect_uris)
}

/// The same of a client with neither a document nor a `software_id`.
pub fn family_by_name(name: Option<&str>, redirect_uris: &RedirectUris) -> String {
    let mut shapes: Vec<String> = redirect_uris.iter().map(RedirectUri::shape).collect();
    shapes.sort_unstable();
    shapes.dedup();
    format!("name:{} {}", name.unwrap_or_default(), shapes.join(" "))
}

/// Names a family in a text of bounded length: its SHA-256 as hexadecimal text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct FamilyName(Box<str>);

impl FamilyName {
    /// That of a client's family, which here is wider than in lists: a name means all that look like it, and redirect URIs mean the
    /// hosts that they lead to, so another spelling of either is no other program.
    pub fn of(client_id: &ClientId, kind: RegistrationType, metadata: &ClientMetadata) -> Self {
        let exact = family(client_id, kind, metadata);
        let folded = metadata.client_name.as_deref().map(Folded::of).filter(|folded| !folded.is_empty() && exact.starts_with("name:"));
        let text = folded.map_or(exact, |folded| format!("alike:{folded} {}", Origin::of(None, &metadata.redirect_uris)));
        let digest: [u8; 32] = Sha256::digest(text).into();
        Self(to_hexadecimal(&digest).into())
    }

    /// That of a client as it was admitted at a resource server, whatever it claims by now.
    pub fn admitted(profile: &Profile, registration: &Registration) -> Self {
        let redirect_uris = registration.redirect_uris.clone();
        Self::claimed(profile, &ClientMetadata { redirect_uris, ..registration.admitted(&profile.metadata) })
    }

    /// That of a client if it were admitted with these metadata. Its `software_id` stays the one that it came with.
    pub fn claimed(profile: &Profile, metadata: &ClientMetadata) -> Self {
        let metadata = ClientMetadata { software_id: profile.software_id.clone(), ..metadata.clone() };
        Self::of(&profile.client_id, profile.registration_type, &metadata)
    }
}

impl fmt::Display for FamilyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
