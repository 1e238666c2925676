//! The connection to a NATS cluster: where it is, how we prove who we are, and whether its servers are fit to keep events.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, jetstream};

mod servers;
mod tls;

use crate::config::Login;
pub use crate::config::{NatsSettings, UriProblem};

/// How long a server may take for an answer before somebody else is asked.
pub const ANSWER: Duration = Duration::from_secs(2);
/// A server that is silent for three of these is given up: one that was paused keeps its connections open.
const PING: Duration = Duration::from_secs(1);
/// The longest pause between two attempts to connect again.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long the cluster may take to come up when the service starts: all of it may have been started together.
pub const START: Duration = Duration::from_secs(60);

/// A connection. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Nats {
    /// For messages that nobody keeps.
    pub client: Client,
    /// For those that are kept.
    pub jetstream: jetstream::Context,
    /// What everything of ours is named after.
    pub name: Arc<str>,
    /// How many copies of what is kept.
    pub replicas: usize,
}

/// Why there is no connection to be had, or none that is of use.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// A file with credentials or certificates cannot be used.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Nobody answers.
    #[error("cannot connect to NATS")]
    Connect(#[source] async_nats::ConnectError),
    /// The servers do not know us.
    #[error("the NATS servers do not let us in: user and password, token or credentials are not what they expect")]
    NotLetIn,
    /// The server cannot prove who it is, or wants us to and we cannot.
    #[error("cannot agree on TLS with NATS")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A server is too old.
    #[error(
        "the NATS server {server} is {version}, and 2.11 is the oldest that can keep an event log: before it, replicas could let \
         two writers through where only one was right"
    )]
    TooOld {
        /// Which server.
        server: String,
        /// What it says of itself.
        version: String,
    },
    /// A server that keeps nothing.
    #[error("the NATS server {0} has no JetStream: add a `jetstream` block to its configuration")]
    NoJetStream(String),
}

impl Nats {
    /// Connects, and looks at every server that can be found.
    pub async fn connect(settings: &NatsSettings) -> Result<Self, NatsError> {
        let options = settings.options().await?;
        let client = options.connect(settings.addresses()).await.map_err(tls::judged)?;
        let told = client.server_info();
        servers::must_be_fit(&told)?;
        servers::look_at_all(settings, &told).await?;
        let replicas = settings.replicas.unwrap_or(if told.cluster.is_some() { 3 } else { 1 });
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(ANSWER);
        Ok(Self { client, jetstream, name: Arc::from(settings.name.as_str()), replicas })
    }
}

impl NatsSettings {
    async fn options(&self) -> Result<ConnectOptions, NatsError> {
        let mut options = ConnectOptions::new();
        options = match &self.login {
            Login::Nobody => options,
            Login::User { name, password } => options.user_and_password(name.clone(), password.clone()),
            Login::Token(token) => options.token(token.clone()),
        };
        if let Some(path) = &self.credentials {
            options = options.credentials_file(path).await.map_err(|source| NatsError::File { path: path.clone(), source })?;
        }
        Ok(tls::prepare(options, self)?
            .name("gatebook")
            .ping_interval(PING)
            .connection_timeout(ANSWER)
            .request_timeout(Some(ANSWER))
            .max_reconnects(None)
            .reconnect_delay_callback(|attempt| LONGEST_PAUSE.min(Duration::from_millis(20 * attempt as u64)))
            .event_callback(|event| async move { tracing::info!(%event, "the connection to NATS") }))
    }

    fn addresses(&self) -> Vec<String> {
        let scheme = if self.tls { "tls" } else { "nats" };
        self.servers.iter().map(|server| format!("{scheme}://{server}")).collect()
    }
}

impl std::fmt::Debug for NatsSettings {
    /// Says nothing of who we are: that may be a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsSettings").field("servers", &self.servers).field("name", &self.name).finish_non_exhaustive()
    }
}
