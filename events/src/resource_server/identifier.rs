//! When two resource identifiers name the same resource server (RFC 8707 §2).

use crate::redirect::WebUri;

impl WebUri {
    /// Whether a text that someone sent means this URL; see [`normalized`].
    pub fn means(&self, other: &str) -> bool {
        self.as_str() == other || normalized(self.as_str()) == normalized(other)
    }
}

/// A resource identifier as it is compared: scheme and host in lower case (RFC 3986 §6.2.2.1), without the default port, a port without leading zeros, and with
/// `/` where the path is empty (§6.2.3). All else stays to the letter, a longer path with its last slash and its percent-encodings
/// too. What is no web URL stays as it is. Only for comparing: what is shown, stored and signed is what was entered.
pub fn normalized(text: &str) -> Box<str> {
    split(text).map_or_else(
        || text.into(),
        |(scheme, host, port, rest)| {
            let scheme = scheme.to_ascii_lowercase();
            let port = port.trim_start_matches('0');
            let default = if scheme == "https" { "443" } else { "80" };
            let port = if port.is_empty() || port == default { String::new() } else { format!(":{port}") };
            let slash = if rest.starts_with('/') { "" } else { "/" };
            format!("{scheme}://{}{port}{slash}{rest}", host.to_ascii_lowercase()).into()
        },
    )
}

/// Scheme, host, port and the rest of a web URL. One with user information is none that could be a resource identifier.
fn split(text: &str) -> Option<(&str, &str, &str, &str)> {
    let (scheme, after) = text.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return None;
    }
    let (authority, rest) = after.split_at(after.find(['/', '?', '#']).unwrap_or(after.len()));
    let name_ends = authority.find(']').map_or(0, |end| end + 1);
    let (host, port) = match authority.get(name_ends..)?.find(':') {
        Some(colon) => (authority.get(..name_ends + colon)?, authority.get(name_ends + colon + 1..)?),
        None => (authority, ""),
    };
    let plain = !host.is_empty() && !authority.contains('@') && port.bytes().all(|byte| byte.is_ascii_digit());
    plain.then_some((scheme, host, port, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w1_scheme_host_port_and_an_empty_path_have_many_spellings_and_one_meaning() {
        for (spelling, meaning) in [
            ("https://mcp.example.com", "https://mcp.example.com/"),
            ("HTTPS://MCP.Example.COM:443", "https://mcp.example.com/"),
            ("https://mcp.example.com:/", "https://mcp.example.com/"),
            ("http://mcp.example.com:80/Mcp", "http://mcp.example.com/Mcp"),
            ("http://mcp.example.com:443", "http://mcp.example.com:443/"),
            ("https://mcp.example.com:0443", "https://mcp.example.com/"),
            ("https://mcp.example.com:08443/mcp", "https://mcp.example.com:8443/mcp"),
            ("https://mcp.example.com?Tenant=1", "https://mcp.example.com/?Tenant=1"),
            ("https://[2001:DB8::1]:443/mcp", "https://[2001:db8::1]/mcp"),
            ("https://[2001:DB8::1]", "https://[2001:db8::1]/"),
        ] {
            assert_eq!(&*normalized(spelling), meaning, "{spelling}");
            assert_eq!(&*normalized(meaning), meaning);
            assert!(WebUri::parse(meaning).unwrap().means(spelling), "{spelling}");
        }
    }

    #[test]
    fn w1_a_longer_path_and_what_is_no_web_url_are_compared_to_the_letter() {
        let apart = [
            "https://mcp.example.com/mcp",
            "https://mcp.example.com/mcp/",
            "https://mcp.example.com/MCP",
            "https://mcp.example.com/%6dcp",
            "https://mcp.example.com/a/../mcp",
            "https://mcp.example.com:8443/mcp",
            "http://mcp.example.com/mcp",
            "https://user@mcp.example.com/mcp",
            "https:///mcp",
            "https://mcp.example.com:x/mcp",
            "urn:example:MCP",
            "urn:example:mcp",
            "mcp",
            "",
        ];
        for (at, one) in apart.iter().enumerate() {
            for other in apart.iter().skip(at + 1) {
                assert_ne!(normalized(one), normalized(other), "{one} {other}");
            }
        }
    }
}
