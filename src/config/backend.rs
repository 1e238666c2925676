//! Which event log is used, as its setting names it.

use super::{ConfigError, KurrentSettings, NatsSettings, Settings};

/// Where events are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogBackend {
    /// A file in the data folder.
    Sqlite,
    /// NATS with `JetStream`.
    JetStream(Box<NatsSettings>),
    /// `KurrentDB`, once named `EventStoreDB`.
    KurrentDb(KurrentSettings),
}

impl LogBackend {
    /// The backend that the settings name, with all that they say about it.
    pub(super) fn of(settings: &Settings) -> Result<Self, ConfigError> {
        let backend = settings.log.as_deref().map_or(Ok(Self::Sqlite), |text| Self::parse("log", text))?;
        let Self::JetStream(nats) = backend else {
            return match settings.first_of_nats().filter(|_| settings.feed.is_none()) {
                Some(name) => Err(ConfigError::Needs { name, missing: "a nats:// URI in `log` or `feed`" }),
                None => Ok(backend),
            };
        };
        completed(*nats, settings).map(|nats| Self::JetStream(Box::new(nats)))
    }

    /// Where the feed goes, as far as it is wanted. Who we are is the same there as where the log is.
    pub(super) fn feed(settings: &Settings) -> Result<Option<NatsSettings>, ConfigError> {
        let Some(text) = settings.feed.as_deref() else { return Ok(None) };
        let nats = NatsSettings::parse(text).map_err(|problem| ConfigError::invalid("feed", problem))?;
        completed(nats, settings).map(Some)
    }

    /// One end of a migration: what `--log` takes, or `sqlite:` and the path of a file.
    pub fn end_of_migration(name: &'static str, text: &str, settings: &Settings) -> Result<Self, ConfigError> {
        match Self::parse(name, text)? {
            Self::JetStream(nats) => completed(*nats, settings).map(|nats| Self::JetStream(Box::new(nats))),
            other => Ok(other),
        }
    }

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
        match scheme {
            "nats" | "tls" => {
                NatsSettings::parse(text).map(|nats| Self::JetStream(Box::new(nats))).map_err(|problem| ConfigError::invalid(name, problem))
            }
            "esdb" | "esdb+discover" | "kurrentdb" | "kurrentdb+discover" => {
                KurrentSettings::parse(text).map(Self::KurrentDb).map_err(|problem| ConfigError::invalid(name, problem))
            }
            // The text itself is not repeated: it may hold a password.
            _ => Err(ConfigError::invalid(name, "is neither sqlite nor a nats://, esdb:// or kurrentdb:// URI")),
        }
    }
}

/// The cluster with what other settings say about it.
fn completed(mut nats: NatsSettings, settings: &Settings) -> Result<NatsSettings, ConfigError> {
    nats.credentials.clone_from(&settings.nats_credentials);
    nats.ca_file.clone_from(&settings.nats_ca_file);
    nats.certificate = match (&settings.nats_certificate, &settings.nats_certificate_key) {
        (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
        (None, None) => None,
        (Some(_), None) => return Err(ConfigError::Needs { name: "nats-certificate", missing: "`nats-certificate-key`" }),
        (None, Some(_)) => return Err(ConfigError::Needs { name: "nats-certificate-key", missing: "`nats-certificate`" }),
    };
    for text in settings.nats_monitoring.iter().flatten() {
        nats.monitoring.push(monitoring(text.trim())?);
    }
    Ok(nats)
}

/// Where a NATS server tells about itself. It is a network of one's own, and what is read there decides nothing but warnings.
fn monitoring(text: &str) -> Result<reqwest::Url, ConfigError> {
    let url = reqwest::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| ConfigError::invalid("nats-monitoring", "has something that is no http or https URL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_tells_the_backend() {
        let parse = |text| LogBackend::parse("log", text).unwrap();
        assert_eq!(parse("sqlite"), LogBackend::Sqlite);
        assert!(matches!(parse("nats://a:4222,b:4222"), LogBackend::JetStream(nats) if nats.servers == ["a:4222", "b:4222"]));
        assert!(matches!(parse("tls://a"), LogBackend::JetStream(nats) if nats.tls));
        for text in ["esdb://h:2113?tls=false", "esdb+discover://h", "kurrentdb://h", "kurrentdb+discover://a,b,c"] {
            assert!(matches!(parse(text), LogBackend::KurrentDb(_)));
        }
    }

    #[test]
    fn other_backends_are_refused_without_repeating_a_password() {
        for text in
            ["", "SQLite", "nats://", "postgres://admin:changeit@db", "memory", "nats:4222", "esdb://a b", "nats://gate:changeit@a/b"]
        {
            let message = LogBackend::parse("log", text).unwrap_err().to_string();
            assert!(message.starts_with("setting `log` ") && !message.contains("changeit"), "{message}");
        }
    }
}
