//! Which event log is used, as its setting names it.

use std::fmt;

use super::ConfigError;

/// Where events are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogBackend {
    /// A file in the data folder.
    Sqlite,
    /// NATS with `JetStream`.
    JetStream(BackendUri),
    /// `KurrentDB`, once named `EventStoreDB`.
    KurrentDb(BackendUri),
}

/// A cluster's connection string, which may hold a password: printing it shows the scheme only.
#[derive(Clone, PartialEq, Eq)]
pub struct BackendUri(String);

impl LogBackend {
    /// `sqlite`, or a URI whose scheme tells the backend.
    pub(super) fn parse(name: &'static str, text: &str) -> Result<Self, ConfigError> {
        if text == "sqlite" {
            return Ok(Self::Sqlite);
        }
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        if rest.is_empty() && !scheme.is_empty() {
            return Err(ConfigError::invalid(name, format!("names no host after {scheme}://")));
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(ConfigError::invalid(name, "has a space in it"));
        }
        let uri = BackendUri(text.to_owned());
        match scheme {
            "nats" => Ok(Self::JetStream(uri)),
            "esdb" | "esdb+discover" | "kurrentdb" | "kurrentdb+discover" => Ok(Self::KurrentDb(uri)),
            // The text itself is not repeated: it may hold a password.
            _ => Err(ConfigError::invalid(name, "is neither sqlite nor a nats://, esdb:// or kurrentdb:// URI")),
        }
    }
}

impl BackendUri {
    /// The connection string with everything in it, for the driver.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BackendUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.split_once("://").map_or("", |(scheme, _)| scheme);
        write!(f, "{scheme}://…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_tells_the_backend() {
        let parse = |text| LogBackend::parse("log", text).unwrap();
        assert_eq!(parse("sqlite"), LogBackend::Sqlite);
        assert!(matches!(parse("nats://a:4222,b:4222"), LogBackend::JetStream(_)));
        for text in ["esdb://h:2113?tls=false", "esdb+discover://h", "kurrentdb://h", "kurrentdb+discover://a,b,c"] {
            assert!(matches!(parse(text), LogBackend::KurrentDb(uri) if uri.expose() == text));
        }
    }

    #[test]
    fn other_backends_are_refused_without_repeating_a_password() {
        for text in ["", "SQLite", "nats://", "postgres://admin:changeit@db", "memory", "nats:4222", "esdb://a b"] {
            let message = LogBackend::parse("log", text).unwrap_err().to_string();
            assert!(message.starts_with("setting `log` ") && !message.contains("changeit"), "{message}");
        }
    }
}
