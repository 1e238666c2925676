//! Where each page is. The base is the path of the public URL, for a service behind a proxy that puts it below a folder.

use std::fmt::Write;

use gatebook_events::identity::ResourceServerId;

use crate::application::services::Services;
use crate::ui::assets::Asset;

/// Makes the address of each page.
#[derive(Debug, Clone)]
pub struct Links(String);

impl Links {
    /// Those of this instance.
    pub fn of(services: &Services) -> Self {
        let after_scheme = services.public_url.split_once("://").map_or("", |(_, rest)| rest);
        let path = after_scheme.find('/').and_then(|start| after_scheme.get(start..)).unwrap_or_default();
        Self(format!("{path}/ui"))
    }

    /// A page by its path below `/ui`.
    pub fn to(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The first page.
    pub fn overview(&self) -> String {
        self.0.clone()
    }

    /// A file.
    pub fn asset(&self, asset: &Asset) -> String {
        self.to(&format!("/assets/{}", asset.name))
    }

    /// A page of a resource server, such as `clients`.
    pub fn server(&self, id: ResourceServerId, page: &str) -> String {
        self.to(&format!("/servers/{id}/{page}"))
    }

    /// A client at a resource server, or what can be done there.
    pub fn client(&self, id: ResourceServerId, client_id: &str, action: &str) -> String {
        let slash = if action.is_empty() { "" } else { "/" };
        format!("{}/{}{slash}{action}", self.server(id, "clients"), encoded(client_id))
    }

    /// Whether a text that came back from a browser is the address of one of these pages.
    pub fn is_one(&self, text: &str) -> bool {
        let rest = text.strip_prefix(&self.0);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
            // What a header cannot hold, and what browsers leave out or read as a slash.
            && text.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'\\')
            && !text.contains("//")
    }
}

/// Percent-encoded, so that it is one segment of a path or one value of a query (RFC 3986 §2.3 names what stays).
pub fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _always = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w11_only_addresses_of_this_service_that_a_header_can_hold_are_gone_back_to() {
        let links = Links("/book/ui".to_owned());
        for good in ["/book/ui", "/book/ui/approvals", "/book/ui?a=b"] {
            assert!(links.is_one(good), "{good}");
        }
        for bad in [
            "",
            "/ui",
            "//evil.example/book/ui",
            "/book/ui//evil",
            "/book/uix",
            "https://evil.example",
            "/book/ui/\\evil",
            "/book/ui/\r\na",
            "/book/ui/\0",
            "/book/ui/\t/evil.example",
            "/book/ui/a b",
            "/book/ui/\u{7f}",
            "/book/ui/\u{e9}",
        ] {
            assert!(!links.is_one(bad), "{bad}");
        }
    }
}
