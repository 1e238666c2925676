//! What an operator can set: gathered from flags, environment and file, then checked once into values that cannot be wrong.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::TimeDelta;
use gatebook_events::identity::ResourceServerId;
use ipnet::IpNet;
use reqwest::Url;
use tracing_subscriber::EnvFilter;

mod address;
mod admin;
mod backend;
pub mod data_dir;
mod env;
mod kurrentdb;
mod manifests;
mod nats;
mod read_models;
mod server;
mod settings;
mod tokens;
mod ui;
mod url;
mod words;

pub(crate) use admin::algorithm_named;
pub use admin::{AdminKeySource, AdminSettings};
pub use backend::LogBackend;
pub use env::{nearest, unknown_variables};
pub use kurrentdb::KurrentSettings;
pub use manifests::{Limits, ManifestSettings, Rhythm};
pub(crate) use nats::Login;
pub use nats::{NatsSettings, UriProblem};
pub use read_models::OtherVersions;
pub use server::ServerSettings;
pub use settings::Settings;
pub use tokens::{KeySource, SigningAlgorithm};
pub use ui::SignInSettings;
pub use url::BaseUrl;
pub(crate) use url::is_loopback;
pub use words::{AddressDetail, LogFormat, ManifestProfile};

/// The longest that a read may be told to wait for its projection.
const LONGEST_READ_WAIT: u64 = 300;

/// The longest that a node may be told to decide by what it knows.
const LONGEST_STALENESS: u64 = 3600;

/// Every setting, checked. Shows no secret when printed.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where Prometheus is answered; none: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// The folder of log, read models and keys.
    pub data: PathBuf,
    /// The base of every URL in an answer; none: derived from the address that was bound.
    pub public_url: Option<BaseUrl>,
    /// Where events are kept.
    pub log: LogBackend,
    /// How old what a node reads may be at most while it does not hear of the log that it shares.
    pub max_staleness: Duration,
    /// The key that repeatable secrets are derived from, where nodes share one; none: made in the data folder.
    pub instance_key_file: Option<PathBuf>,
    /// Where every event is published; none: nowhere.
    pub feed: Option<NatsSettings>,
    /// How administrators prove who they are.
    pub admin: AdminSettings,
    /// Where administrators sign in at the pages, beside with a token.
    pub sign_in: Option<SignInSettings>,
    /// The authorization server whose metadata is merged.
    pub upstream: Option<Upstream>,
    /// How long an access token is good that a client gets for itself.
    pub token_life: TimeDelta,
    /// What those are signed with.
    pub token_keys: KeySource,
    /// How many self-registrations one source may make in a minute; none: no ceiling.
    pub registrations_per_minute: Option<NonZeroU32>,
    /// Below so many free bytes nothing is taken of strangers.
    pub free_space_floor: u64,
    /// The most calls about registrations that there are (RFC 7592) from one source in a minute; none: no ceiling.
    pub changes_per_minute: Option<NonZeroU32>,
    /// The most changes that one client may make of itself in an hour; none: no ceiling.
    pub changes_per_client_per_hour: Option<NonZeroU32>,
    /// How many clients one tenant may have; none: no cap.
    pub max_clients_per_tenant: Option<NonZeroU32>,
    /// How many clients may register where no resource server is meant; none: such registrations are refused.
    pub max_unbound_clients: Option<NonZeroU32>,
    /// The networks whose `Forwarded` and `X-Forwarded-For` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How documents that clients host are fetched.
    pub manifests: ManifestSettings,
    /// How often those documents are read again.
    pub rhythm: Rhythm,
    /// The networks beside the public internet that webhooks may be in.
    pub webhook_networks: Vec<IpNet>,
    /// Certificate authorities to trust beside the system's, as PEM.
    pub extra_ca_file: Option<PathBuf>,
    /// Where a client is bound that registers without naming a resource server.
    pub default_resource_server: Option<ResourceServerId>,
    /// How much of a caller's address is kept.
    pub address_detail: AddressDetail,
    /// What is logged, as `tracing` reads it.
    pub log_level: String,
    /// How it is logged.
    pub log_format: LogFormat,
    /// How long a read waits for its projection to catch up.
    pub read_wait: Duration,
    /// What the server bounds: connections, heads and pauses.
    pub server: ServerSettings,
    /// What becomes of older read models once newer ones serve.
    pub other_versions: OtherVersions,
}

/// The authorization server that clients get their tokens from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// Its issuer; the metadata is fetched (RFC 8414 §3).
    Issuer(Url),
    /// Its endpoints, for one that publishes no metadata.
    Endpoints {
        /// Where the user agrees.
        authorization: Url,
        /// Where tokens are given out.
        token: Url,
    },
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// One value is wrong.
    #[error("setting `{name}` {problem}")]
    Invalid {
        /// The flag without its dashes, which is also the key in the file.
        name: &'static str,
        /// What is wrong, as the rest of the sentence.
        problem: String,
    },
    /// Two settings say different things about the same.
    #[error("settings `{first}` and `{second}` exclude each other")]
    Exclusive {
        /// The one.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// One setting means nothing without another.
    #[error("setting `{name}` needs {missing}")]
    Needs {
        /// The one that was given.
        name: &'static str,
        /// The one that was not.
        missing: &'static str,
    },
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not what it should be. The line is not quoted, because it may hold a password.
    #[error("configuration file {path}, line {line}: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
}

impl Config {
    /// Completes what flags and environment say by the file that they name, and checks all of it.
    pub fn load(settings: Settings) -> Result<Self, ConfigError> {
        let completed = match settings.config.clone() {
            Some(file) => settings.or(Settings::from_file(&file)?),
            None => settings,
        };
        Self::try_new(completed)
    }

    /// Checks settings and fills in the defaults.
    pub fn try_new(settings: Settings) -> Result<Self, ConfigError> {
        let settings = settings.without_blanks()?;
        let data = settings.data.clone().unwrap_or_else(|| PathBuf::from("./gatebook-data"));
        Ok(Self {
            admin: AdminSettings::try_new(&settings, &data)?,
            sign_in: ui::sign_in(&settings)?,
            upstream: upstream(&settings)?,
            token_life: tokens::life(&settings)?,
            token_keys: tokens::keys(&settings, &data)?,
            listen: address::parsed("listen", settings.listen.as_deref())?.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))),
            metrics_listen: address::parsed("metrics-listen", settings.metrics_listen.as_deref())?,
            data,
            public_url: settings.public_url.as_deref().map(|text| BaseUrl::parse("public-url", text)).transpose()?,
            log: LogBackend::of(&settings)?,
            feed: LogBackend::feed(&settings)?,
            max_staleness: staleness(settings.max_staleness.unwrap_or(10))?,
            instance_key_file: settings.instance_key_file.clone(),
            registrations_per_minute: NonZeroU32::new(settings.registrations_per_minute.unwrap_or(60)),
            free_space_floor: settings.free_space_floor.unwrap_or(512).saturating_mul(1 << 20),
            changes_per_minute: NonZeroU32::new(settings.changes_per_minute.unwrap_or(60)),
            changes_per_client_per_hour: NonZeroU32::new(settings.changes_per_client_per_hour.unwrap_or(30)),
            max_clients_per_tenant: settings.max_clients_per_tenant.and_then(NonZeroU32::new),
            max_unbound_clients: settings.max_unbound_clients.and_then(NonZeroU32::new),
            trusted_proxies: networks("trusted-proxies", settings.trusted_proxies.as_deref())?,
            manifests: manifests::manifests(&settings)?,
            rhythm: manifests::rhythm(&settings)?,
            webhook_networks: networks("webhook-networks", settings.webhook_networks.as_deref())?,
            extra_ca_file: settings.extra_ca_file.clone(),
            default_resource_server: parsed(
                "default-resource-server",
                settings.default_resource_server.as_deref(),
                "a resource server's id, which is a UUID",
            )?,
            address_detail: settings.address_detail.unwrap_or_default(),
            log_level: log_level(settings.log_level.clone())?,
            log_format: settings.log_format.unwrap_or_default(),
            read_wait: read_wait(settings.read_wait.unwrap_or(5))?,
            server: server::server(&settings)?,
            other_versions: if settings.keep_old.unwrap_or_default() { OtherVersions::Kept } else { OtherVersions::Removed },
        })
    }
}

impl ConfigError {
    fn invalid(name: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid { name, problem: problem.into() }
    }

    /// What a TOML parser says about a file, without the snippet that it would quote.
    fn malformed(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start);
        let line = 1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count();
        Self::Malformed { path: path.to_owned(), line, message: env::shortened(error.message()) }
    }
}

fn parsed<T: std::str::FromStr>(name: &'static str, text: Option<&str>, expected: &str) -> Result<Option<T>, ConfigError> {
    text.map(|text| text.parse().map_err(|_| ConfigError::invalid(name, format!("is {text:?}, not {expected}")))).transpose()
}

fn networks(name: &'static str, texts: Option<&[String]>) -> Result<Vec<IpNet>, ConfigError> {
    let network = |text: &str| match text.parse::<IpNet>() {
        Ok(network) => Ok(network.trunc()),
        Err(_) => text
            .parse::<IpAddr>()
            .map(IpNet::from)
            .map_err(|_| ConfigError::invalid(name, format!("has {text:?}, not a network like 10.0.0.0/8"))),
    };
    texts.unwrap_or_default().iter().map(|text| network(text.trim())).collect()
}

fn upstream(settings: &Settings) -> Result<Option<Upstream>, ConfigError> {
    const ISSUER: &str = "upstream-issuer";
    const AUTHORIZATION: &str = "upstream-authorization-endpoint";
    const TOKEN: &str = "upstream-token-endpoint";
    let given = |name, text: &Option<String>| text.as_deref().map(|text| url::protected(name, text)).transpose();
    let issuer = given(ISSUER, &settings.upstream_issuer)?;
    let authorization = given(AUTHORIZATION, &settings.upstream_authorization_endpoint)?;
    let token = given(TOKEN, &settings.upstream_token_endpoint)?;
    match (issuer, authorization, token) {
        (None, None, None) => Ok(None),
        (Some(issuer), None, None) if issuer.query().is_some() => Err(ConfigError::invalid(ISSUER, "has a query")),
        (Some(issuer), None, None) => Ok(Some(Upstream::Issuer(issuer))),
        (None, Some(authorization), Some(token)) => Ok(Some(Upstream::Endpoints { authorization, token })),
        (Some(_), Some(_), _) => Err(ConfigError::Exclusive { first: ISSUER, second: AUTHORIZATION }),
        (Some(_), None, Some(_)) => Err(ConfigError::Exclusive { first: ISSUER, second: TOKEN }),
        (None, Some(_), None) => Err(ConfigError::Needs { name: AUTHORIZATION, missing: "`upstream-token-endpoint`" }),
        (None, None, Some(_)) => Err(ConfigError::Needs { name: TOKEN, missing: "`upstream-authorization-endpoint`" }),
    }
}

fn log_level(given: Option<String>) -> Result<String, ConfigError> {
    const LEVELS: &str = "off, error, warn, info, debug or trace, for all or for a part of the program as in info,gatebook::log=debug";
    let level = given.unwrap_or_else(|| "info".to_owned());
    // A word alone would be taken for a part of the program, and everything else would log nothing.
    let is_level = |word: &str| word.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    let understood = level.split(',').map(str::trim).all(|part| part.contains(['=', '[']) || is_level(part));
    match EnvFilter::try_new(&level) {
        Ok(_) if understood => Ok(level),
        Ok(_) | Err(_) => Err(ConfigError::invalid("log-level", format!("is {level:?}, not {LEVELS}"))),
    }
}

fn staleness(seconds: u64) -> Result<Duration, ConfigError> {
    if (1..=LONGEST_STALENESS).contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    Err(ConfigError::invalid("max-staleness", format!("is not 1 to {LONGEST_STALENESS} seconds")))
}

fn read_wait(seconds: u64) -> Result<Duration, ConfigError> {
    if seconds > LONGEST_READ_WAIT {
        return Err(ConfigError::invalid("read-wait", format!("is more than {LONGEST_READ_WAIT} seconds")));
    }
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use clap::{Args, FromArgMatches};

    use super::*;

    fn settings(flags: &[&str]) -> Settings {
        let command = Settings::augment_args(clap::Command::new("gatebook"));
        let matches = command.try_get_matches_from([&["gatebook"], flags].concat()).unwrap();
        Settings::from_arg_matches(&matches).unwrap()
    }

    fn refusal(flags: &[&str]) -> String {
        Config::load(settings(flags)).unwrap_err().to_string()
    }

    fn file(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn nothing_set_means_the_documented_defaults() {
        let config = Config::try_new(Settings::default()).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.data, Path::new("./gatebook-data"));
        assert_eq!(config.public_url, None);
        assert_eq!(config.log, LogBackend::Sqlite);
        assert_eq!(config.registrations_per_minute, NonZeroU32::new(60));
        assert_eq!(config.address_detail, AddressDetail::Network);
        assert_eq!(config.read_wait, Duration::from_secs(5));
        assert_eq!((config.log_level.as_str(), config.log_format), ("info", LogFormat::Text));
        let file = PathBuf::from("./gatebook-data/admin-jwt.key");
        assert!(matches!(config.admin.key, AdminKeySource::SelfMade { file: made } if made == file));
    }

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        let file = file("listen = \"127.0.0.1:1\"\nread-wait = 1\nallow-loopback-manifests = true\n");
        let path = file.path().to_str().unwrap();
        let config = Config::load(settings(&["--config", path, "--listen", "127.0.0.1:2"])).unwrap();
        assert_eq!((config.listen.port(), config.read_wait), (2, Duration::from_secs(1)));
        assert!(config.manifests.allow_loopback);
        let off = Config::load(settings(&["--config", path, "--allow-loopback-manifests=false"])).unwrap();
        assert!(!off.manifests.allow_loopback);
    }

    #[test]
    fn the_environment_stands_between_flag_and_file() {
        // A process cannot safely change its own environment, so another run of this test sees a changed one.
        let file = file("listen = \"127.0.0.1:1\"\nread-wait = 1\n");
        let test = "config::tests::the_environment_stands_between_flag_and_file";
        if std::env::var_os("GATEBOOK_LISTEN").is_none() {
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", test])
                .env("GATEBOOK_LISTEN", "127.0.0.1:2")
                .env("GATEBOOK_TRUSTED_PROXIES", "10.0.0.0/8,192.0.2.1")
                .env("GATEBOOK_CONFIG", file.path())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&child.stdout);
            assert!(child.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        let config = Config::load(settings(&[])).unwrap();
        assert_eq!((config.listen.port(), config.read_wait), (2, Duration::from_secs(1)));
        assert_eq!(config.trusted_proxies.len(), 2);
        assert_eq!(Config::load(settings(&["--listen", "127.0.0.1:3"])).unwrap().listen.port(), 3);
    }

    #[test]
    fn a_file_with_an_unknown_key_or_a_wrong_type_is_refused_without_quoting_it() {
        for (content, line, message) in [
            ("lisen = \"127.0.0.1:1\"", 1, "unknown field `lisen`, the nearest is `listen`"),
            ("\n\nread-wait = \"long\"", 3, "invalid type"),
            ("config = \"other.toml\"", 1, "unknown field `config`"),
            ("log = \"esdb://admin:changeit@db:2113\"\nlisten", 2, ""),
        ] {
            let file = file(content);
            let error = Config::load(settings(&["--config", file.path().to_str().unwrap()])).unwrap_err();
            assert!(matches!(&error, ConfigError::Malformed { line: at, message: m, .. } if *at == line && m.contains(message)), "{error}");
            assert!(!error.to_string().contains("changeit"));
        }
        assert!(refusal(&["--config", "/nowhere/gatebook.toml"]).contains("cannot read"));
    }

    #[test]
    fn wrong_values_are_refused_by_name() {
        for (flags, expected) in [
            (
                &["--listen", "here:8080"][..],
                "setting `listen` is \"here:8080\", not an address and port such as 127.0.0.1:8080, nor a port alone such as 8080",
            ),
            (&["--listen", ""], "setting `listen` is empty"),
            (&["--admin-jwt-audience", " "], "setting `admin-jwt-audience` is empty"),
            (&["--webhook-networks", "lan"], "setting `webhook-networks` has \"lan\", not a network like 10.0.0.0/8"),
            (&["--trusted-proxies", "10.0.0.0/8,lan"], "setting `trusted-proxies` has \"lan\", not a network like 10.0.0.0/8"),
            (
                &["--default-resource-server", "default"],
                "setting `default-resource-server` is \"default\", not a resource server's id, which is a UUID",
            ),
            (
                &["--log-level", "a=b=c"],
                "setting `log-level` is \"a=b=c\", not off, error, warn, info, debug or trace, for all or for a part of the program as in \
                 info,gatebook::log=debug",
            ),
            (
                &["--log-level", "verbose"],
                "setting `log-level` is \"verbose\", not off, error, warn, info, debug or trace, for all or for a part of the program as \
                 in info,gatebook::log=debug",
            ),
            (&["--read-wait", "301"], "setting `read-wait` is more than 300 seconds"),
            (
                &["--upstream-token-endpoint", "https://as.example/token"],
                "setting `upstream-token-endpoint` needs `upstream-authorization-endpoint`",
            ),
            (
                &["--upstream-issuer", "https://as.example", "--upstream-token-endpoint", "https://as.example/token"],
                "settings `upstream-issuer` and `upstream-token-endpoint` exclude each other",
            ),
            (&["--upstream-issuer", "http://as.example"], "setting `upstream-issuer` is not https; http is for loopback addresses only"),
        ] {
            assert_eq!(refusal(flags), expected);
        }
    }

    #[test]
    fn no_ceiling_and_single_addresses_can_be_written() {
        let config = Config::load(settings(&["--registrations-per-minute", "0", "--trusted-proxies", "10.1.2.3/8, ::1"])).unwrap();
        assert_eq!(config.registrations_per_minute, None);
        assert_eq!(config.trusted_proxies, ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    }

    #[test]
    fn printing_the_configuration_shows_no_password() {
        let flags = ["--log", "esdb://admin:changeit@db:2113"];
        let printed = format!("{:?} {:?}", Config::load(settings(&flags)).unwrap(), settings(&flags));
        assert!(!printed.contains("changeit"), "{printed}");
    }
}
