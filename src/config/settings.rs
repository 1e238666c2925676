//! Settings as they were given, unchecked: one struct, so that flag, environment variable and file key cannot differ.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::BoolishValueParser;
use serde::Deserialize;

use super::ConfigError;
use super::SigningAlgorithm;
use super::words::{AddressDetail, LogFormat, ManifestProfile, one_text_or_many};

/// Everything that can be set. The comments are the help texts.
#[derive(Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[command(next_help_heading = "Settings")]
pub struct Settings {
    /// A TOML file with more settings; flags and environment go first
    #[arg(long, env = "GATEBOOK_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Where to listen; port 0 picks a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "GATEBOOK_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<String>,

    /// Where Prometheus is answered, with no token asked for; nowhere unless set
    #[arg(long, env = "GATEBOOK_METRICS_LISTEN", value_name = "ADDRESS")]
    pub metrics_listen: Option<String>,

    /// The folder of log, read models and keys [default: ./gatebook-data]
    #[arg(long, env = "GATEBOOK_DATA", value_name = "FOLDER")]
    pub data: Option<PathBuf>,

    /// The base of every URL in an answer [default: the listen address]
    #[arg(long, env = "GATEBOOK_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,

    /// Where events are kept: `sqlite`, or nats://, tls:// (NATS), esdb://, kurrentdb:// [default: sqlite]
    #[arg(long, env = "GATEBOOK_LOG", value_name = "BACKEND", hide_env_values = true)]
    pub log: Option<String>,

    /// Where every event is published as a CloudEvent: nats:// or tls:// (NATS with JetStream); nowhere unless set
    #[arg(long, env = "GATEBOOK_FEED", value_name = "URI", hide_env_values = true)]
    pub feed: Option<String>,

    /// The credentials file (.creds) for NATS
    #[arg(long, env = "GATEBOOK_NATS_CREDENTIALS", value_name = "FILE")]
    pub nats_credentials: Option<PathBuf>,

    /// A PEM file of certificate authorities to trust for NATS, instead of the system's
    #[arg(long, env = "GATEBOOK_NATS_CA_FILE", value_name = "FILE")]
    pub nats_ca_file: Option<PathBuf>,

    /// The PEM file of our own certificate for NATS
    #[arg(long, env = "GATEBOOK_NATS_CERTIFICATE", value_name = "FILE")]
    pub nats_certificate: Option<PathBuf>,

    /// The PEM file of its key
    #[arg(long, env = "GATEBOOK_NATS_CERTIFICATE_KEY", value_name = "FILE")]
    pub nats_certificate_key: Option<PathBuf>,

    /// Where the NATS servers tell over HTTP whether they flush what they confirm, with commas between them [default: not asked]
    #[arg(long, env = "GATEBOOK_NATS_MONITORING", value_name = "URLS", value_delimiter = ',')]
    #[serde(deserialize_with = "one_text_or_many")]
    pub nats_monitoring: Option<Vec<String>>,

    /// Seconds after which a node that does not hear of the log that it shares answers nothing any more [default: 10]
    #[arg(long, env = "GATEBOOK_MAX_STALENESS", value_name = "SECONDS")]
    pub max_staleness: Option<u64>,

    /// The file of the key that repeatable secrets are derived from; nodes that share a log share it [default: made in the data folder]
    #[arg(long, env = "GATEBOOK_INSTANCE_KEY_FILE", value_name = "FILE")]
    pub instance_key_file: Option<PathBuf>,

    /// The file of the secret that admin JWTs are signed with [default: a key made in the data folder]
    #[arg(long, env = "GATEBOOK_ADMIN_JWT_SECRET_FILE", value_name = "FILE")]
    pub admin_jwt_secret_file: Option<PathBuf>,

    /// The PEM file of the public key of whoever signs admin JWTs
    #[arg(long, env = "GATEBOOK_ADMIN_JWT_PUBLIC_KEY_FILE", value_name = "FILE")]
    pub admin_jwt_public_key_file: Option<PathBuf>,

    /// The URL of the key set of whoever signs admin JWTs
    #[arg(long, env = "GATEBOOK_ADMIN_JWKS_URL", value_name = "URL")]
    pub admin_jwks_url: Option<String>,

    /// The issuer that admin JWTs must name
    #[arg(long, env = "GATEBOOK_ADMIN_JWT_ISSUER", value_name = "ISSUER")]
    pub admin_jwt_issuer: Option<String>,

    /// The audience that admin JWTs must name
    #[arg(long, env = "GATEBOOK_ADMIN_JWT_AUDIENCE", value_name = "AUDIENCE")]
    pub admin_jwt_audience: Option<String>,

    /// The one algorithm of admin JWTs, such as RS256, ES256 or Ed25519 [default: told by the key]
    #[arg(long, env = "GATEBOOK_ADMIN_JWT_ALGORITHM", value_name = "ALGORITHM")]
    pub admin_jwt_algorithm: Option<String>,

    /// The claim that names an administrator's tenant [default: tenant]
    #[arg(long, env = "GATEBOOK_ADMIN_TENANT_CLAIM", value_name = "CLAIM")]
    pub admin_tenant_claim: Option<String>,

    /// The tenant of all administrators, whose tokens need not name it then and may name no other
    #[arg(long, env = "GATEBOOK_ADMIN_TENANT", value_name = "TENANT")]
    pub admin_tenant: Option<String>,

    /// The claim that holds an administrator's roles, such as `realm_access.roles` [default: roles]
    #[arg(long, env = "GATEBOOK_ADMIN_ROLES_CLAIM", value_name = "CLAIM")]
    pub admin_roles_claim: Option<String>,

    /// The OpenID provider where administrators sign in at the pages, beside with a token
    #[arg(long, env = "GATEBOOK_UI_OIDC_ISSUER", value_name = "URL")]
    pub ui_oidc_issuer: Option<String>,

    /// What that provider knows the pages as
    #[arg(long, env = "GATEBOOK_UI_OIDC_CLIENT_ID", value_name = "ID")]
    pub ui_oidc_client_id: Option<String>,

    /// The file of the secret that goes with it
    #[arg(long, env = "GATEBOOK_UI_OIDC_CLIENT_SECRET_FILE", value_name = "FILE")]
    pub ui_oidc_client_secret_file: Option<PathBuf>,

    /// What that provider is asked for [default: openid]
    #[arg(long, env = "GATEBOOK_UI_OIDC_SCOPE", value_name = "SCOPE")]
    pub ui_oidc_scope: Option<String>,

    /// The authorization server whose metadata is merged
    #[arg(long, env = "GATEBOOK_UPSTREAM_ISSUER", value_name = "URL")]
    pub upstream_issuer: Option<String>,

    /// Its authorization endpoint, if it publishes no metadata
    #[arg(long, env = "GATEBOOK_UPSTREAM_AUTHORIZATION_ENDPOINT", value_name = "URL")]
    pub upstream_authorization_endpoint: Option<String>,

    /// Its token endpoint, if it publishes no metadata
    #[arg(long, env = "GATEBOOK_UPSTREAM_TOKEN_ENDPOINT", value_name = "URL")]
    pub upstream_token_endpoint: Option<String>,

    /// For how many seconds an access token is good that a client gets for itself [default: 600]
    #[arg(long, env = "GATEBOOK_TOKEN_SECONDS", value_name = "SECONDS")]
    pub token_seconds: Option<i64>,

    /// What those are signed with, where the keys are made in the data folder [default: RS256]
    #[arg(long, env = "GATEBOOK_TOKEN_ALGORITHM", value_name = "ALGORITHM")]
    pub token_algorithm: Option<SigningAlgorithm>,

    /// After how many days such a key is replaced; 0 is never [default: 90]
    #[arg(long, env = "GATEBOOK_TOKEN_KEY_DAYS", value_name = "DAYS")]
    pub token_key_days: Option<u16>,

    /// PEM files of the private keys instead: the first signs, all are published; may be repeated
    #[arg(long, env = "GATEBOOK_TOKEN_KEY_FILES", value_name = "FILES", value_delimiter = ',')]
    #[serde(deserialize_with = "one_text_or_many")]
    pub token_key_files: Option<Vec<String>>,

    /// How many self-registrations one source may make in a minute; 0 is no ceiling [default: 60]
    #[arg(long, env = "GATEBOOK_REGISTRATIONS_PER_MINUTE", value_name = "COUNT")]
    pub registrations_per_minute: Option<u32>,

    /// Below so many free megabytes on the disk strangers can neither register nor change anything; 0 is no floor [default: 512]
    #[arg(long, env = "GATEBOOK_FREE_SPACE_FLOOR", value_name = "MEGABYTES")]
    pub free_space_floor: Option<u64>,

    /// How often one source may read, change or delete registrations with their tokens in a minute; 0 is no ceiling [default: 60]
    #[arg(long, env = "GATEBOOK_CHANGES_PER_MINUTE", value_name = "COUNT")]
    pub changes_per_minute: Option<u32>,

    /// How often one client may change its own registration in an hour; 0 is no ceiling [default: 30]
    #[arg(long, env = "GATEBOOK_CHANGES_PER_CLIENT_PER_HOUR", value_name = "COUNT")]
    pub changes_per_client_per_hour: Option<u32>,

    /// How many clients one tenant may have, at all of its resource servers; 0 is no cap [default: 0]
    #[arg(long, env = "GATEBOOK_MAX_CLIENTS_PER_TENANT", value_name = "COUNT")]
    pub max_clients_per_tenant: Option<u32>,

    /// How many clients may register where there are several resource servers and none is meant; 0 refuses them [default: 0]
    #[arg(long, env = "GATEBOOK_MAX_UNBOUND_CLIENTS", value_name = "COUNT")]
    pub max_unbound_clients: Option<u32>,

    /// Networks whose Forwarded and X-Forwarded-For are believed, with commas between them [default: none]
    #[arg(long, env = "GATEBOOK_TRUSTED_PROXIES", value_name = "NETWORKS", value_delimiter = ',')]
    #[serde(deserialize_with = "one_text_or_many")]
    pub trusted_proxies: Option<Vec<String>>,

    /// Fetch client documents from this very host too, for development [default: false]
    #[arg(long, env = "GATEBOOK_ALLOW_LOOPBACK_MANIFESTS", value_name = "BOOL", value_parser = BoolishValueParser::new(),
        num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub allow_loopback_manifests: Option<bool>,

    /// Whether the metadata say that clients with documents are welcome [default: true]
    #[arg(long, env = "GATEBOOK_ANNOUNCE_MANIFESTS", value_name = "BOOL", value_parser = BoolishValueParser::new(),
        num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub announce_manifests: Option<bool>,

    /// The URLs of client documents, to the letter, whose hosts may have private addresses; may be repeated [default: none]
    #[arg(long, env = "GATEBOOK_INTERNAL_MANIFESTS", value_name = "URL", value_delimiter = ',')]
    #[serde(deserialize_with = "one_text_or_many")]
    pub internal_manifests: Option<Vec<String>>,

    /// What a client document has to have [default: mcp]
    #[arg(long, env = "GATEBOOK_MANIFEST_PROFILE", value_name = "PROFILE")]
    pub manifest_profile: Option<ManifestProfile>,

    /// The longest client document that is read, in bytes [default: 5120]
    #[arg(long, env = "GATEBOOK_MANIFEST_BYTES", value_name = "BYTES")]
    pub manifest_bytes: Option<usize>,

    /// How many client documents are fetched at a time [default: 32]
    #[arg(long, env = "GATEBOOK_MANIFESTS_AT_ONCE", value_name = "COUNT")]
    pub manifests_at_once: Option<usize>,

    /// How many client documents one host is asked for in a minute; 0 is no bound [default: 60]
    #[arg(long, env = "GATEBOOK_MANIFESTS_PER_HOST_PER_MINUTE", value_name = "COUNT")]
    pub manifests_per_host_per_minute: Option<u32>,

    /// How many client documents, and how many key sets, one source may have fetched in a minute; 0 is no bound [default: 60]
    #[arg(long, env = "GATEBOOK_FETCHES_PER_SOURCE_PER_MINUTE", value_name = "COUNT")]
    pub fetches_per_source_per_minute: Option<u32>,

    /// The same for all sources together at the resource servers of one tenant; 0 is no bound [default: 600]
    #[arg(long, env = "GATEBOOK_FETCHES_PER_TENANT_PER_MINUTE", value_name = "COUNT")]
    pub fetches_per_tenant_per_minute: Option<u32>,

    /// The shortest and the longest time between two looks at a client document, in seconds [default: 300,86400]
    #[arg(long, env = "GATEBOOK_MANIFEST_POLL_SECONDS", value_name = "LEAST,MOST")]
    pub manifest_poll_seconds: Option<String>,

    /// Seconds for which the last good client document serves while its host cannot be reached [default: 604800]
    #[arg(long, env = "GATEBOOK_MANIFEST_MAX_AGE", value_name = "SECONDS")]
    pub manifest_max_age: Option<u64>,

    /// How many client documents are polled at a time [default: 16]
    #[arg(long, env = "GATEBOOK_MANIFEST_POLLS_AT_ONCE", value_name = "COUNT")]
    pub manifest_polls_at_once: Option<usize>,

    /// Networks with private addresses that webhooks may be in, with commas between them [default: none]
    #[arg(long, env = "GATEBOOK_WEBHOOK_NETWORKS", value_name = "NETWORKS", value_delimiter = ',')]
    #[serde(deserialize_with = "one_text_or_many")]
    pub webhook_networks: Option<Vec<String>>,

    /// A PEM file of certificate authorities to trust beside the system's
    #[arg(long, env = "GATEBOOK_EXTRA_CA_FILE", value_name = "FILE")]
    pub extra_ca_file: Option<PathBuf>,

    /// The id of the resource server for clients that name none when they register
    #[arg(long, env = "GATEBOOK_DEFAULT_RESOURCE_SERVER", value_name = "ID")]
    pub default_resource_server: Option<String>,

    /// How much of a caller's address is kept [default: network]
    #[arg(long, env = "GATEBOOK_ADDRESS_DETAIL", value_name = "DETAIL")]
    pub address_detail: Option<AddressDetail>,

    /// What is logged: error, warn, info, debug, trace, or a filter by module [default: info]
    #[arg(long, env = "GATEBOOK_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// How it is logged [default: text]
    #[arg(long, env = "GATEBOOK_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,

    /// How many seconds a read waits for its projection to catch up [default: 5]
    #[arg(long, env = "GATEBOOK_READ_WAIT", value_name = "SECONDS")]
    pub read_wait: Option<u64>,

    /// How many connections there may be, as far as the process has descriptors for them [default: 4096]
    #[arg(long, env = "GATEBOOK_MAX_CONNECTIONS", value_name = "COUNT")]
    pub max_connections: Option<usize>,

    /// How many of them from one source that is no trusted proxy; 0 is no bound [default: 512]
    #[arg(long, env = "GATEBOOK_MAX_CONNECTIONS_PER_SOURCE", value_name = "COUNT")]
    pub max_connections_per_source: Option<usize>,

    /// How many seconds the head of a request may take to arrive [default: 10]
    #[arg(long, env = "GATEBOOK_HEAD_SECONDS", value_name = "SECONDS")]
    pub head_seconds: Option<u64>,

    /// The longest head of a request, in bytes [default: 65536]
    #[arg(long, env = "GATEBOOK_HEAD_BYTES", value_name = "BYTES")]
    pub head_bytes: Option<usize>,

    /// How many seconds the body of a request may take to arrive [default: 15]
    #[arg(long, env = "GATEBOOK_BODY_SECONDS", value_name = "SECONDS")]
    pub body_seconds: Option<u64>,

    /// For how many seconds a connection is kept between two calls, or while its caller takes nothing of an answer [default: 60]
    #[arg(long, env = "GATEBOOK_IDLE_SECONDS", value_name = "SECONDS")]
    pub idle_seconds: Option<u64>,

    /// How many reads of lists one tenant may have under way, a quarter of them for one caller [default: 32]
    #[arg(long, env = "GATEBOOK_MAX_READS_PER_TENANT", value_name = "COUNT")]
    pub max_reads_per_tenant: Option<usize>,

    /// How many event streams there may be, half of them for one tenant [default: 512]
    #[arg(long, env = "GATEBOOK_MAX_STREAMS", value_name = "COUNT")]
    pub max_streams: Option<usize>,

    /// How many event streams one administrator or auditor may have [default: 16]
    #[arg(long, env = "GATEBOOK_MAX_STREAMS_PER_SUBJECT", value_name = "COUNT")]
    pub max_streams_per_subject: Option<usize>,

    /// Speak HTTP/2 too, without TLS, for a proxy that wants to [default: false]
    #[arg(long, env = "GATEBOOK_HTTP2", value_name = "BOOL", value_parser = BoolishValueParser::new(),
        num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub http2: Option<bool>,

    /// Keep an older version's read models once newer ones serve, so that a downgrade starts at once [default: false]
    #[arg(long, env = "GATEBOOK_KEEP_OLD", value_name = "BOOL", value_parser = BoolishValueParser::new(),
        num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub keep_old: Option<bool>,
}

impl Settings {
    /// What a TOML file says.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|error| ConfigError::malformed(path, &text, &error))
    }

    /// These settings, and `fallback` where they are silent.
    pub fn or(self, fallback: Self) -> Self {
        Self {
            config: self.config.or(fallback.config),
            listen: self.listen.or(fallback.listen),
            metrics_listen: self.metrics_listen.or(fallback.metrics_listen),
            data: self.data.or(fallback.data),
            public_url: self.public_url.or(fallback.public_url),
            log: self.log.or(fallback.log),
            feed: self.feed.or(fallback.feed),
            nats_credentials: self.nats_credentials.or(fallback.nats_credentials),
            nats_ca_file: self.nats_ca_file.or(fallback.nats_ca_file),
            nats_certificate: self.nats_certificate.or(fallback.nats_certificate),
            nats_certificate_key: self.nats_certificate_key.or(fallback.nats_certificate_key),
            nats_monitoring: self.nats_monitoring.or(fallback.nats_monitoring),
            max_staleness: self.max_staleness.or(fallback.max_staleness),
            instance_key_file: self.instance_key_file.or(fallback.instance_key_file),
            admin_jwt_secret_file: self.admin_jwt_secret_file.or(fallback.admin_jwt_secret_file),
            admin_jwt_public_key_file: self.admin_jwt_public_key_file.or(fallback.admin_jwt_public_key_file),
            admin_jwks_url: self.admin_jwks_url.or(fallback.admin_jwks_url),
            admin_jwt_issuer: self.admin_jwt_issuer.or(fallback.admin_jwt_issuer),
            admin_jwt_audience: self.admin_jwt_audience.or(fallback.admin_jwt_audience),
            admin_jwt_algorithm: self.admin_jwt_algorithm.or(fallback.admin_jwt_algorithm),
            admin_tenant_claim: self.admin_tenant_claim.or(fallback.admin_tenant_claim),
            admin_tenant: self.admin_tenant.or(fallback.admin_tenant),
            admin_roles_claim: self.admin_roles_claim.or(fallback.admin_roles_claim),
            ui_oidc_issuer: self.ui_oidc_issuer.or(fallback.ui_oidc_issuer),
            ui_oidc_client_id: self.ui_oidc_client_id.or(fallback.ui_oidc_client_id),
            ui_oidc_client_secret_file: self.ui_oidc_client_secret_file.or(fallback.ui_oidc_client_secret_file),
            ui_oidc_scope: self.ui_oidc_scope.or(fallback.ui_oidc_scope),
            upstream_issuer: self.upstream_issuer.or(fallback.upstream_issuer),
            upstream_authorization_endpoint: self.upstream_authorization_endpoint.or(fallback.upstream_authorization_endpoint),
            upstream_token_endpoint: self.upstream_token_endpoint.or(fallback.upstream_token_endpoint),
            token_seconds: self.token_seconds.or(fallback.token_seconds),
            token_algorithm: self.token_algorithm.or(fallback.token_algorithm),
            token_key_days: self.token_key_days.or(fallback.token_key_days),
            token_key_files: self.token_key_files.or(fallback.token_key_files),
            registrations_per_minute: self.registrations_per_minute.or(fallback.registrations_per_minute),
            free_space_floor: self.free_space_floor.or(fallback.free_space_floor),
            changes_per_minute: self.changes_per_minute.or(fallback.changes_per_minute),
            changes_per_client_per_hour: self.changes_per_client_per_hour.or(fallback.changes_per_client_per_hour),
            max_clients_per_tenant: self.max_clients_per_tenant.or(fallback.max_clients_per_tenant),
            max_unbound_clients: self.max_unbound_clients.or(fallback.max_unbound_clients),
            trusted_proxies: self.trusted_proxies.or(fallback.trusted_proxies),
            allow_loopback_manifests: self.allow_loopback_manifests.or(fallback.allow_loopback_manifests),
            announce_manifests: self.announce_manifests.or(fallback.announce_manifests),
            internal_manifests: self.internal_manifests.or(fallback.internal_manifests),
            manifest_profile: self.manifest_profile.or(fallback.manifest_profile),
            manifest_bytes: self.manifest_bytes.or(fallback.manifest_bytes),
            manifests_at_once: self.manifests_at_once.or(fallback.manifests_at_once),
            manifests_per_host_per_minute: self.manifests_per_host_per_minute.or(fallback.manifests_per_host_per_minute),
            fetches_per_source_per_minute: self.fetches_per_source_per_minute.or(fallback.fetches_per_source_per_minute),
            fetches_per_tenant_per_minute: self.fetches_per_tenant_per_minute.or(fallback.fetches_per_tenant_per_minute),
            manifest_poll_seconds: self.manifest_poll_seconds.or(fallback.manifest_poll_seconds),
            manifest_max_age: self.manifest_max_age.or(fallback.manifest_max_age),
            manifest_polls_at_once: self.manifest_polls_at_once.or(fallback.manifest_polls_at_once),
            webhook_networks: self.webhook_networks.or(fallback.webhook_networks),
            extra_ca_file: self.extra_ca_file.or(fallback.extra_ca_file),
            default_resource_server: self.default_resource_server.or(fallback.default_resource_server),
            address_detail: self.address_detail.or(fallback.address_detail),
            log_level: self.log_level.or(fallback.log_level),
            log_format: self.log_format.or(fallback.log_format),
            read_wait: self.read_wait.or(fallback.read_wait),
            max_connections: self.max_connections.or(fallback.max_connections),
            max_connections_per_source: self.max_connections_per_source.or(fallback.max_connections_per_source),
            head_seconds: self.head_seconds.or(fallback.head_seconds),
            head_bytes: self.head_bytes.or(fallback.head_bytes),
            body_seconds: self.body_seconds.or(fallback.body_seconds),
            idle_seconds: self.idle_seconds.or(fallback.idle_seconds),
            max_reads_per_tenant: self.max_reads_per_tenant.or(fallback.max_reads_per_tenant),
            max_streams: self.max_streams.or(fallback.max_streams),
            max_streams_per_subject: self.max_streams_per_subject.or(fallback.max_streams_per_subject),
            http2: self.http2.or(fallback.http2),
            keep_old: self.keep_old.or(fallback.keep_old),
        }
    }

    /// A setting that is about NATS, if there is one.
    pub(super) fn first_of_nats(&self) -> Option<&'static str> {
        let given = [
            ("nats-credentials", self.nats_credentials.is_some()),
            ("nats-ca-file", self.nats_ca_file.is_some()),
            ("nats-certificate", self.nats_certificate.is_some()),
            ("nats-certificate-key", self.nats_certificate_key.is_some()),
            ("nats-monitoring", self.nats_monitoring.is_some()),
        ];
        given.iter().find(|(_, given)| *given).map(|(name, _)| *name)
    }

    /// The same without what is about NATS, for a command that names its logs by itself.
    pub(crate) fn without_nats(self) -> Self {
        Self {
            nats_credentials: None,
            nats_ca_file: None,
            nats_certificate: None,
            nats_certificate_key: None,
            nats_monitoring: None,
            ..self
        }
    }

    /// Refuses a text that is there and empty: `--admin-jwt-audience "$UNSET"` must not turn a check off.
    pub(super) fn without_blanks(self) -> Result<Self, ConfigError> {
        let texts = [
            ("listen", &self.listen),
            ("metrics-listen", &self.metrics_listen),
            ("public-url", &self.public_url),
            ("log", &self.log),
            ("feed", &self.feed),
            ("admin-jwks-url", &self.admin_jwks_url),
            ("admin-jwt-issuer", &self.admin_jwt_issuer),
            ("admin-jwt-audience", &self.admin_jwt_audience),
            ("admin-jwt-algorithm", &self.admin_jwt_algorithm),
            ("admin-tenant-claim", &self.admin_tenant_claim),
            ("admin-tenant", &self.admin_tenant),
            ("admin-roles-claim", &self.admin_roles_claim),
            ("ui-oidc-issuer", &self.ui_oidc_issuer),
            ("ui-oidc-client-id", &self.ui_oidc_client_id),
            ("ui-oidc-scope", &self.ui_oidc_scope),
            ("upstream-issuer", &self.upstream_issuer),
            ("upstream-authorization-endpoint", &self.upstream_authorization_endpoint),
            ("upstream-token-endpoint", &self.upstream_token_endpoint),
            ("default-resource-server", &self.default_resource_server),
            ("log-level", &self.log_level),
        ];
        let paths = [
            ("data", &self.data),
            ("admin-jwt-secret-file", &self.admin_jwt_secret_file),
            ("admin-jwt-public-key-file", &self.admin_jwt_public_key_file),
            ("ui-oidc-client-secret-file", &self.ui_oidc_client_secret_file),
            ("extra-ca-file", &self.extra_ca_file),
            ("nats-credentials", &self.nats_credentials),
            ("nats-ca-file", &self.nats_ca_file),
            ("nats-certificate", &self.nats_certificate),
            ("nats-certificate-key", &self.nats_certificate_key),
            ("instance-key-file", &self.instance_key_file),
        ];
        let blank_text = texts.iter().find(|(_, text)| text.as_ref().is_some_and(|text| text.trim().is_empty()));
        let blank_path = paths.iter().find(|(_, path)| path.as_ref().is_some_and(|path| path.as_os_str().is_empty()));
        match blank_text.map(|(name, _)| name).or(blank_path.map(|(name, _)| name)) {
            Some(name) => Err(ConfigError::invalid(name, "is empty")),
            None => Ok(self),
        }
    }
}

impl fmt::Debug for Settings {
    /// Says nothing: the URI of a log may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_one_name_in_three_forms() {
        let command = Settings::augment_args(clap::Command::new("gatebook"));
        for argument in command.get_arguments().filter(|argument| argument.get_id() != "config") {
            let flag = argument.get_long().unwrap();
            let variable = format!("GATEBOOK_{}", flag.to_uppercase().replace('-', "_"));
            assert_eq!(argument.get_env().unwrap().to_str(), Some(variable.as_str()));
            let answer = toml::from_str::<Settings>(&format!("{flag} = {{}}")).unwrap_err();
            assert!(!answer.message().contains("unknown field"), "{flag}: {}", answer.message());
        }
    }

    #[test]
    fn networks_can_be_an_array_or_one_text() {
        for text in ["trusted-proxies = [\"10.0.0.0/8\", \"::1\"]", "trusted-proxies = \"10.0.0.0/8,::1\""] {
            let settings: Settings = toml::from_str(text).unwrap();
            assert_eq!(settings.trusted_proxies.unwrap(), ["10.0.0.0/8", "::1"]);
        }
    }
}
