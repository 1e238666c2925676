//! What a client is sorted, searched and grouped by.

use gatebook_events::identity::ClientId;
use gatebook_events::look_alike::Folded;
use gatebook_events::metadata::ClientMetadata;
use gatebook_events::redirect::RedirectUri;
use gatebook_events::resource_server::RegistrationType;

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

/// What clients of one program have in common: the host of their documents, their `software_id`, or else their name and
/// redirect URIs, with the loopback ports that differ from run to run erased.
pub(super) fn family(client_id: &ClientId, kind: RegistrationType, metadata: &ClientMetadata) -> String {
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
