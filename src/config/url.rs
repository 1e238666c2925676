//! URLs in the settings.

use std::fmt;

use reqwest::Url;

use super::ConfigError;

/// What every URL of this instance starts with: http(s), no query, no fragment, no slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    pub(super) fn parse(name: &'static str, text: &str) -> Result<Self, ConfigError> {
        let url = parse(name, text)?;
        if url.query().is_some() {
            return Err(ConfigError::invalid(name, "has a query"));
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }

    /// The text, which takes a path that starts with a slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A URL whose answers nobody on the way can change: https, or http that does not leave this host.
pub(super) fn protected(name: &'static str, text: &str) -> Result<Url, ConfigError> {
    let url = parse(name, text)?;
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err(ConfigError::invalid(name, "is not https; http is for loopback addresses only"));
    }
    Ok(url)
}

/// Whether the URL points to this very host.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn parse(name: &'static str, text: &str) -> Result<Url, ConfigError> {
    let wrong = |problem| Err(ConfigError::invalid(name, problem));
    match Url::parse(text) {
        Err(_) => wrong("is not a URL"),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => wrong("is not an http or https URL"),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => wrong("has a user or password in it"),
        Ok(url) if url.fragment().is_some() => wrong("has a fragment"),
        Ok(url) => Ok(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_url_loses_its_last_slash_and_nothing_else() {
        let parse = |text| BaseUrl::parse("public-url", text).map(|url| url.to_string()).map_err(|e| e.to_string());
        assert_eq!(parse("https://gate.example/").unwrap(), "https://gate.example");
        assert_eq!(parse("https://gate.example/book/").unwrap(), "https://gate.example/book");
        assert_eq!(parse("http://10.0.0.1:8080").unwrap(), "http://10.0.0.1:8080");
        for text in [
            "gate.example",
            "ftp://gate.example",
            "https://gate.example/?a",
            "https://gate.example/#a",
            "https://admin:changeit@gate.example",
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.starts_with("setting `public-url` ") && !message.contains("changeit"), "{message}");
        }
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for text in ["https://id.example/jwks", "http://127.0.0.1:9/jwks", "http://[::1]/jwks", "http://localhost/jwks"] {
            assert!(protected("admin-jwks-url", text).is_ok(), "{text}");
        }
        for text in ["http://id.example/jwks", "http://10.0.0.1/jwks", "http://localhost.example/", "http://127.0.0.1.nip.io/"] {
            assert!(protected("admin-jwks-url", text).is_err(), "{text}");
        }
    }
}
