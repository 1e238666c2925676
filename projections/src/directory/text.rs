//! What a client is sorted, searched and grouped by.

use gatebook_events::admission::RegistrationType;
use gatebook_events::family::family_by_name;
use gatebook_events::identity::ClientId;
use gatebook_events::look_alike::Folded;
use gatebook_events::metadata::ClientMetadata;
use gatebook_events::redirect::RedirectUri;
use gatebook_events::registration::Registration;

/// The name in lower case; a client without one stands where its identifier would.
pub(super) fn name_key(client_id: &ClientId, metadata: &ClientMetadata) -> String {
    metadata.client_name.as_deref().unwrap_or(client_id.as_str()).to_lowercase()
}

/// The name as the eye takes it in; empty for a client without one, whose identifier is nobody's likeness.
pub(super) fn folded(metadata: &ClientMetadata) -> Folded {
    metadata.client_name.as_deref().map(Folded::of).unwrap_or_default()
}

/// What a text filter looks in. Parts are separated by line breaks, which none of them contains.
pub(super) fn search(client_id: &ClientId, metadata: &ClientMetadata) -> String {
    let mut text = metadata.client_name.as_deref().unwrap_or_default().to_lowercase();
    let hosts = metadata.redirect_uris.iter().map(RedirectUri::host);
    let mut seen: Vec<&str> = Vec::new();
    for part in std::iter::once(client_id.as_str()).chain(metadata.software_id.as_deref()).chain(hosts) {
        if !seen.contains(&part) {
            seen.push(part);
            text.push('\n');
            text.push_str(&part.to_lowercase());
        }
    }
    text
}

pub(super) use gatebook_events::family::family;

/// The family by what was admitted at a resource server; none where nobody wrote that down, or where a document's host says it.
pub(super) fn admitted_family(registration: &Registration) -> Option<String> {
    let admitted = registration.metadata.as_ref().filter(|_| registration.registration_type != Some(RegistrationType::Cimd))?;
    Some(family_by_name(admitted.client_name.as_deref(), &registration.redirect_uris))
}
