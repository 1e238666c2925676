//! The parts of a running service, put together. The only place that names a concrete event log.
//! Why this file is long: every part stands here once where it is made and once where it is asked for.

use std::fmt::Write;
use std::sync::{Arc, OnceLock};

use gatebook_events::Rejection;
use gatebook_events::client;
use gatebook_events::envelope::{Actor, ActorKind, Position};
use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId, TenantId};
use gatebook_events::registration::Registration;
use gatebook_events::resource_server::{Life, Policy, RegistrationType, ResourceServerCommand};
use gatebook_events::standing::{Facts, Reason, standing};
use gatebook_projections::approvals::Approvals;
use gatebook_projections::directory::Directory;
use gatebook_projections::history::History;
use gatebook_projections::read_model::{OpenError, QueryError, Reader};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::aggregates::{Cause, CommandError, Commands, Snapshot};
use crate::application::access_tokens::{AccessTokens, KeyFileError, KeyRing};
use crate::application::audit::as_of::Past;
use crate::application::audit::integrity::Chain;
use crate::application::audit::streams::Streams;
use crate::application::authentication::Authentication;
use crate::application::authorization_server::AuthorizationServer;
use crate::application::dormancy::Dormancy;
use crate::application::look_alikes::LookAlikes;
use crate::application::manifests::{self, Documents, Schedule};
use crate::application::metrics::Metrics;
use crate::application::quotas::Census;
use crate::application::rate_limits::{Ceilings, Changes};
use crate::application::reads::Reads;
use crate::application::software_statements::Statements;
use crate::application::usage::Usage;
use crate::cluster::announcements::{self, Announcing};
use crate::config::Config;
use crate::credentials::admin::{AdminKeyError, AdminVerifier, Provider};
use crate::credentials::key_files::KeyError;
use crate::credentials::key_sets::KeySets;
use crate::credentials::secrets::{InstanceKey, SecretHasher};
use crate::delivery::feed::{self, Feed};
use crate::delivery::webhooks::{Means, WebhookStartError, Webhooks};
use crate::event_log::EventLog;
use crate::event_log::watched::Watched;
use crate::http::error::Failure;
use crate::outbound::trusted_json::SourceError;
use crate::outbound::{Manifests, SetUpError, Urgency};
use crate::platform::clock::Clock;
use crate::platform::disk_space::Room;
use crate::platform::side_db;
use crate::read_models::{Follower, Projector};
use crate::ui::SignedOut;

pub mod migrate;
mod node;
mod store;

pub use crate::application::audiences::{Audiences, issuer};
use node::Me;
pub use store::{Keeper, LOG_FORMAT, Store, back_up, describe, inspect_backup, log_in_use, open_log_read_only, places, vacant_log};

/// The parts of a running service. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

struct Parts {
    config: Config,
    public_url: String,
    log: Arc<dyn EventLog>,
    /// The same log, with what it refused last.
    watched: Watched,
    /// This node, with its log.
    me: Arc<Me>,
    /// None where there are no other nodes.
    announcing: Option<Announcing>,
    /// What others write is heard by it.
    hearing: OnceLock<AbortHandle>,
    /// How far it has heard.
    heard: watch::Sender<Position>,
    commands: Commands,
    directory: Projector<Directory>,
    approvals: Projector<Approvals>,
    history: Projector<History>,
    admins: AdminVerifier,
    provider: Option<Provider>,
    secrets: SecretHasher,
    instance_key: InstanceKey,
    ceilings: Ceilings,
    changes: Changes,
    room: Room,
    census: Census,
    stopping: watch::Sender<bool>,
    signed_out: SignedOut,
    reads: Reads,
    streams: Streams,
    chain: Chain,
    authorization_server: Arc<AuthorizationServer>,
    documents: Documents,
    usage: Usage,
    dormancy: Dormancy,
    past: Past,
    /// What runs beside the calls.
    tasks: Vec<AbortHandle>,
    look_alikes: LookAlikes,
    statements: Statements,
    metrics: Metrics,
    authentication: Authentication,
    webhooks: Webhooks,
    feed: Option<Feed>,
    access_tokens: AccessTokens,
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log cannot be opened.
    #[error("failed to open the event log")]
    Log(#[from] crate::event_log::sqlite::OpenError),
    /// This node's mirror of the log cannot be opened.
    #[error("failed to open the mirror of the event log")]
    Mirror(#[from] crate::event_log::sqlite::mirror::OpenError),
    /// The cluster cannot be reached, or cannot keep a log.
    #[error("failed to connect to the cluster that keeps the event log")]
    Nats(#[from] crate::cluster::nats::NatsError),
    /// The cluster has no log for us.
    #[error("failed to open the event log in the cluster")]
    Stream(#[from] crate::event_log::jetstream::OpenError),
    /// The other nodes cannot be heard.
    #[error("failed to listen for the other nodes")]
    Others(#[from] announcements::Deaf),
    /// There is no place for what nodes share beside the log.
    #[error("failed to open what nodes share beside the event log")]
    Notes(#[from] crate::cluster::shared_kv::OpenError),
    /// What was to be shared is not.
    #[error("a log in a file is not shared")]
    NotShared,
    /// The driver of the cluster cannot be set up.
    #[error("failed to set up the connection to the cluster that keeps the event log")]
    Kurrent(#[from] crate::cluster::kurrentdb::KurrentError),
    /// The cluster has no log for us.
    #[error("failed to open the event log in the cluster")]
    KurrentLog(#[from] crate::event_log::kurrentdb::OpenError),
    /// A read model cannot be opened.
    #[error("failed to open a read model")]
    ReadModel(#[from] OpenError),
    /// A key in the data folder cannot be read or made.
    #[error("failed to open the keys in the data folder")]
    Keys(#[from] KeyError),
    /// The keys for access tokens are not usable.
    #[error("failed to set up the keys for access tokens")]
    TokenKeys(#[from] KeyFileError),
    /// The administrators' key is not usable.
    #[error("failed to set up the administrators' tokens")]
    Admins(#[from] AdminKeyError),
    /// Nothing can be fetched from the authorization server.
    #[error("failed to set up the authorization server's metadata")]
    Upstream(#[from] SourceError),
    /// Nothing can be fetched from clients' hosts.
    #[error("failed to set up the fetching of clients' documents")]
    Manifests(#[from] SetUpError),
    /// What is kept beside the log cannot be kept.
    #[error("failed to open a table beside the log")]
    SideTable(#[from] side_db::OpenError),
    /// Webhooks cannot be sent anything.
    #[error("failed to set up webhooks")]
    Webhooks(#[from] WebhookStartError),
    /// The default resource server cannot be made.
    #[error("failed to set up the default resource server")]
    FirstServer(#[from] CommandError),
    /// The system has no random numbers to give.
    #[error("failed to prepare for the check of secrets")]
    Secrets(#[from] crate::credentials::secrets::SecretError),
    /// The folder of the read models cannot be made, or what is left of old ones cannot be removed.
    #[error("failed to make the folder of the read models")]
    Folder(#[from] std::io::Error),
}

impl App {
    /// Opens or makes everything in the data folder and starts the projections. `public_url` is what clients reach.
    pub async fn start(config: Config, public_url: String, clock: Clock) -> Result<Self, StartError> {
        crate::credentials::key_files::create_data_folder(&config.data)?;
        let instance_key = InstanceKey::of(&config)?;
        let admins = AdminVerifier::try_new(&config.admin, clock.clone())?;
        let provider = Provider::try_new(config.sign_in.as_ref(), &config.admin, clock.clone())?;
        let ring = KeyRing::open(config.token_keys.clone(), config.token_life)?;
        let access_tokens = AccessTokens::new(&public_url, config.token_life, ring);
        let authorization_server = AuthorizationServer::try_new(config.upstream.as_ref(), &public_url, config.extra_ca_file.as_deref())?;
        let authorization_server = Arc::new(authorization_server);
        let manifests = Manifests::try_new(config.manifests.clone(), config.extra_ca_file.as_deref())?;
        let schedule = Schedule::open(&places::schedule(&config.data))?;
        let usage = Usage::open(&places::usage(&config.data), clock.now())?;
        // Whoever awaits a start need not carry all that connecting takes.
        let store = Box::pin(Store::open(&config)).await?;
        let watched = Watched::new(store.log(), clock.clone());
        let log: Arc<dyn EventLog> = Arc::new(watched.clone());
        // From here on, what others write has to be heard of; what came before is read.
        let heard_from = log.head().await.map_err(CommandError::from)?;
        let commands = Commands::new(log.clone(), clock.clone());
        let statements = Statements::new(KeySets::new(manifests.clone(), Urgency::Trusted, clock.clone()), clock.clone());
        let authentication = Authentication::try_new(KeySets::new(manifests.clone(), Urgency::Anonymous, clock))?;
        set_up(&commands).await?;
        let folder = places::read_models(&config);
        std::fs::create_dir_all(&folder)?;
        let others = config.other_versions;
        let directory: Projector<Directory> = Projector::start(log.clone(), &folder, others)?;
        let approvals: Projector<Approvals> = Projector::start(log.clone(), &folder, others)?;
        let history: Projector<History> = Projector::start(log.clone(), &folder, others)?;
        let past = Past::open(log.clone(), &places::past(&config), &folder)?;
        let metrics = Metrics::default();
        let dormancy = Dormancy::new(commands.clone(), directory.reader().clone(), usage.clone(), metrics.clone());
        let id = announcements::node_id(&places::node(&config))?;
        let reads = Reads::new(config.server.reads_per_tenant);
        let streams = Streams::new(config.server.streams, config.server.streams_per_subject, history.clone());
        let me = Arc::new(Me { id, url: public_url.clone(), key: instance_key.fingerprint(), store });
        let notes = Box::pin(me.store.notes()).await?;
        let webhooks = Webhooks::start(Means {
            commands: commands.clone(),
            history: history.clone(),
            key: instance_key.clone(),
            source: public_url.clone(),
            outbox: &places::webhooks(&config),
            shared: notes.clone().map(|notes| (notes, id)),
            networks: config.webhook_networks.clone(),
            extra_ca_file: config.extra_ca_file.as_deref(),
        })?;
        let feed = feed(&config, &history, (&public_url, &log), &me)?;
        let (announcing, turns) = Box::pin(node::join(&me, notes)).await?;
        let documents = Documents::among_others(manifests, commands.clone(), (schedule, turns), config.rhythm.clone());
        documents.agree().await.map_err(CommandError::from)?;
        let readers = (directory.reader().clone(), approvals.reader().clone());
        let poller = manifests::start(documents.clone(), readers.0, readers.1, complete(&directory));
        let looked_after = authorization_server.clone();
        let looking = tokio::spawn(async move { looked_after.look_after().await }).abort_handle();
        let mut tasks = vec![poller, usage.start(), past.start(), looking];
        if !me.store.is_shared() {
            // Of several nodes each knows only when it saw a client itself, and must not call one dormant that another one sees.
            tasks.push(dormancy.start(complete(&directory)));
        }
        let app = Self(Arc::new(Parts {
            directory,
            approvals,
            history,
            secrets: SecretHasher::default(),
            ceilings: Ceilings::new(config.registrations_per_minute),
            room: Room::new(&config.data, config.free_space_floor),
            changes: Changes::new(config.changes_per_minute, config.changes_per_client_per_hour),
            census: Census::default(),
            config,
            public_url,
            log: log.clone(),
            watched,
            me,
            announcing,
            hearing: OnceLock::new(),
            heard: watch::Sender::new(heard_from),
            commands,
            admins,
            provider,
            instance_key,
            stopping: watch::Sender::new(false),
            signed_out: SignedOut::default(),
            reads,
            streams,
            chain: Chain::default(),
            authorization_server,
            documents,
            usage,
            dormancy,
            past,
            tasks,
            look_alikes: LookAlikes::default(),
            statements,
            metrics,
            authentication,
            webhooks,
            feed,
            access_tokens,
        }));
        app.start_hearing(log, heard_from);
        Ok(app)
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The event log.
    pub fn log(&self) -> &dyn EventLog {
        &*self.0.log
    }

    /// The event log, with what it refused last.
    pub fn watched_log(&self) -> &Watched {
        &self.0.watched
    }

    /// What carries commands to the log.
    pub fn commands(&self) -> &Commands {
        &self.0.commands
    }

    /// Resource servers, clients and registrations.
    pub fn directory(&self) -> &Projector<Directory> {
        &self.0.directory
    }

    /// What waits for an administrator.
    pub fn approvals(&self) -> &Projector<Approvals> {
        &self.0.approvals
    }

    /// Who did what, and when.
    pub fn history(&self) -> &Projector<History> {
        &self.0.history
    }

    /// Every projection.
    pub fn followers(&self) -> [&dyn Follower; 3] {
        [&self.0.directory, &self.0.approvals, &self.0.history]
    }

    /// Whom administrators' tokens are checked by.
    pub fn admins(&self) -> &AdminVerifier {
        &self.0.admins
    }

    /// Where administrators sign in at the pages, beside with a token.
    pub fn provider(&self) -> Option<&Provider> {
        self.0.provider.as_ref()
    }

    /// What hashes and verifies secrets.
    pub fn secrets(&self) -> &SecretHasher {
        &self.0.secrets
    }

    /// The key that repeatable secrets are derived from.
    pub fn instance_key(&self) -> &InstanceKey {
        &self.0.instance_key
    }

    /// How many registrations one source may make, and one resource server takes.
    pub fn ceilings(&self) -> &Ceilings {
        &self.0.ceilings
    }

    /// How often registrations may be called about, and changed by their clients.
    pub fn changes(&self) -> &Changes {
        &self.0.changes
    }

    /// How much room there is on the disk, and for whom.
    pub fn room(&self) -> &Room {
        &self.0.room
    }

    /// What the doors were told of look-alikes.
    pub fn look_alikes(&self) -> &LookAlikes {
        &self.0.look_alikes
    }

    /// How far the log's chain is known to hold.
    pub fn chain(&self) -> &Chain {
        &self.0.chain
    }

    /// The sessions at the pages that were ended before their time.
    pub fn signed_out(&self) -> &SignedOut {
        &self.0.signed_out
    }

    /// How many reads of lists are under way.
    pub(crate) fn reads(&self) -> &Reads {
        &self.0.reads
    }

    /// The event streams.
    pub(crate) fn streams(&self) -> &Streams {
        &self.0.streams
    }

    /// How full each register is.
    pub fn census(&self) -> &Census {
        &self.0.census
    }

    /// What clients reach the service as; every URL in an answer starts with it.
    pub fn public_url(&self) -> &str {
        &self.0.public_url
    }

    /// The authorization server that clients get their tokens from.
    pub fn authorization_server(&self) -> &AuthorizationServer {
        &self.0.authorization_server
    }

    /// The documents that clients host.
    pub fn documents(&self) -> &Documents {
        &self.0.documents
    }

    /// When clients were used.
    pub fn usage(&self) -> &Usage {
        &self.0.usage
    }

    /// What makes clients dormant that nobody uses.
    pub fn dormancy(&self) -> &Dormancy {
        &self.0.dormancy
    }

    /// The client lists as they were.
    pub(crate) fn past(&self) -> &Past {
        &self.0.past
    }

    /// Who vouches for clients that register themselves.
    pub fn statements(&self) -> &Statements {
        &self.0.statements
    }

    /// What is counted at the doors.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// What is remembered of clients that proved who they are, and of those that failed to.
    pub(crate) fn authentication(&self) -> &Authentication {
        &self.0.authentication
    }

    /// What webhooks are sent.
    pub(crate) fn webhooks(&self) -> &Webhooks {
        &self.0.webhooks
    }

    /// What is kept beside the log and could not be kept the last time, with why. Each use is another attempt.
    pub fn side_table_troubles(&self) -> Vec<(&'static str, String)> {
        let tables = [Some(self.0.documents.schedule()), Some(self.0.webhooks.side_table()), self.0.feed.as_ref().map(Feed::side_table)];
        let kept = tables.into_iter().flatten().filter_map(|table| Some((table.what(), table.trouble()?)));
        kept.chain(self.0.usage.trouble().map(|trouble| ("when clients were used", trouble))).collect()
    }

    /// Who tells everybody of everything, if anybody does.
    pub(crate) fn feed(&self) -> Option<&Feed> {
        self.0.feed.as_ref()
    }

    /// What clients that act for themselves get.
    pub fn access_tokens(&self) -> &AccessTokens {
        &self.0.access_tokens
    }

    /// `registration_client_uri` (RFC 7592 §3).
    pub fn registration_client_uri(&self, client_id: &ClientId) -> String {
        format!("{}/oauth/register/{}", self.0.public_url, percent_encoded(client_id.as_str()))
    }

    /// Which resource server a self-registering client is bound to: the one whose resource identifier it names, else the one
    /// in the path, else the configured default, else the only one there is, else none. A name that nobody here has is
    /// refused only where the one that is left answers to another name. What becomes of a client where none is meant is for
    /// whoever asks to say, with [`Self::none_meant`] if it is refused.
    pub async fn bind(&self, resource: Option<&str>, in_path: Option<ResourceServerId>) -> Result<Option<ResourceServerId>, Failure> {
        let roster = self.known_servers().await?;
        let named = resource.and_then(|resource| roster.with_resource(resource));
        if named.is_some() {
            return Ok(named);
        }
        let fallback = in_path.or(self.0.config.default_resource_server).or(roster.only());
        if let (Some(id), Some(_)) = (fallback, resource)
            && self.0.commands.resource_server(id).await?.resource.is_some()
        {
            let detail = "resource names no resource server that is known here";
            return Err(Failure::request(axum::http::StatusCode::BAD_REQUEST, "invalid_target", detail));
        }
        Ok(fallback)
    }

    /// The refusal of a client that came where no resource server is meant. It names none of them: they are their tenants' own.
    pub async fn none_meant(&self, resource: Option<&str>) -> Failure {
        let detail = match (self.known_servers().await, resource) {
            (Err(failure), _) => return failure,
            (Ok(_), Some(_)) => {
                "resource names no resource server that is known here: name one by its resource identifier as it is entered here"
            }
            (Ok(known), None) if known.active().next().is_none() => {
                "there is no resource server here: an administrator has to create one first"
            }
            (Ok(_), None) => {
                "there are several resource servers here, and the request names none: name one by its resource identifier in \
                 resource (RFC 8707), or register at /rs/, its id and /oauth/register"
            }
        };
        Failure::request(axum::http::StatusCode::BAD_REQUEST, "invalid_target", detail)
    }

    /// How a client stands at a resource server.
    pub async fn standing(&self, server: ResourceServerId, client: client::Life, registration: &Registration) -> Result<Reason, Failure> {
        let server = self.0.commands.resource_server(server).await?;
        Ok(standing(Facts {
            client,
            registration: registration.status,
            resource_server: server.life,
            on_withdrawal: server.policy.manifests.on_withdrawal,
            mode_suspended: registration.registration_type.is_some_and(|kind| server.suspended.contains(&kind)),
        }))
    }

    /// The resource servers that a client is registered at, in the order in which it came to them.
    pub async fn registered_at(&self, client: ClientKey) -> Result<Vec<ResourceServerId>, Failure> {
        let registrations = self.ask_directory(move |directory| directory.registrations_of(client)).await?;
        Ok(registrations.into_iter().map(|(server, _)| server).collect())
    }

    /// Whether a client is registered with a tenant.
    pub async fn registered_with(&self, tenant: &TenantId, client: ClientKey) -> Result<bool, Failure> {
        let registrations = self.ask_directory(move |directory| directory.registrations_of(client)).await?;
        Ok(registrations.iter().any(|(_, theirs)| theirs == tenant))
    }

    /// Tells answers that have no end of their own that the service is about to stop.
    pub fn stop(&self) {
        self.0.stopping.send_replace(true);
    }

    /// Returns once the service is about to stop.
    pub async fn stopping(&self) {
        let mut stopping = self.0.stopping.subscribe();
        // The sender lives as long as this does, so there is nothing else to wait for.
        let _told = stopping.wait_for(|stopping| *stopping).await;
    }

    /// Ends the projections, and the log's writer once everything that was accepted is answered.
    pub async fn close(&self) {
        self.0.tasks.iter().for_each(AbortHandle::abort);
        self.0.webhooks.end().await;
        if let Some(feed) = &self.0.feed {
            feed.end();
        }
        self.0.usage.flush().await;
        self.0.past.end().await;
        for follower in self.followers() {
            follower.end();
        }
        if let Some(hearing) = self.0.hearing.get() {
            hearing.abort();
        }
        self.0.me.store.close().await;
    }

    /// The roster once it is complete. It is read from the log, so that clients come in while a directory is built.
    pub async fn known_servers(&self) -> Result<Arc<Snapshot>, Failure> {
        let known = self.0.commands.roster().now();
        if known.is_complete() {
            return Ok(known);
        }
        self.0.commands.complete_roster().await?;
        Ok(self.0.commands.roster().now())
    }

    async fn ask_directory<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Reader<Directory>) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, Failure> {
        let none = axum::http::HeaderMap::new();
        crate::http::consistency::read(self, &self.0.directory, &none, query).await?.unless_stale()
    }
}

/// Waits until the directory can be asked.
fn complete(directory: &Projector<Directory>) -> impl Future<Output = ()> + Send + 'static {
    let directory = directory.clone();
    async move { drop(directory.until(|progress| progress.serves).await) }
}

/// Where every event is published, if that is wanted.
fn feed(
    config: &Config,
    history: &Projector<History>,
    (public_url, log): (&str, &Arc<dyn EventLog>),
    me: &Me,
) -> Result<Option<Feed>, side_db::OpenError> {
    let Some(to) = config.feed.clone() else { return Ok(None) };
    let means = feed::Means {
        to,
        history: history.clone(),
        log: log.clone(),
        source: public_url.to_owned(),
        instance: me.key.clone(),
        node: me.id,
        checkpoint: places::feed(config),
    };
    Feed::start(means).map(Some)
}

/// A fresh instance has one tenant with one resource server, so that a first registration needs no set-up.
async fn set_up(commands: &Commands) -> Result<(), CommandError> {
    if commands.resource_server(ResourceServerId::DEFAULT).await?.life != Life::None {
        return Ok(());
    }
    let tenant = TenantId::default_tenant();
    let actor = Actor { kind: ActorKind::System, id: Some("setup".to_owned()), via: None };
    let cause = Cause { actor, tenant: Some(tenant.clone()), request_id: None, origin: None };
    let command = ResourceServerCommand::Create {
        tenant,
        name: "default".to_owned(),
        resource: None,
        modes: RegistrationType::ALL.into(),
        policy: Policy::of_new_server(),
    };
    match commands.create_resource_server(&cause, ResourceServerId::DEFAULT, &command).await {
        // Another node was started in the same moment.
        Ok(_) | Err(CommandError::Rejected(Rejection::AlreadyExists)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A `client_id` that is a URL travels percent-encoded in a path (RFC 3986 §2.3 names what stays).
fn percent_encoded(text: &str) -> String {
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
