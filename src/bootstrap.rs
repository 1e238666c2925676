//! The parts of a running service, put together. The only place that names a concrete event log.

use std::ops::Deref;
use std::sync::Arc;

use gatebook_events::Rejection;
use gatebook_events::admission::RegistrationType;
use gatebook_events::envelope::{Actor, ActorKind};
use gatebook_events::identity::{ResourceServerId, TenantId};
use gatebook_events::resource_server::{Life, Policy, ResourceServerCommand};
use gatebook_projections::approvals::Approvals;
use gatebook_projections::directory::Directory;
use gatebook_projections::history::History;
use gatebook_projections::read_model::OpenError;
use tokio::task::AbortHandle;

use crate::aggregates::{Cause, CommandError, Commands};
use crate::application::access_tokens::{AccessTokens, KeyFileError, KeyRing};
use crate::application::audit::as_of::Past;
use crate::application::audit::integrity::{LogIntegrity, Walk};
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
use crate::application::services::{Parts, Services, followers};
use crate::application::sessions::SignedOut;
use crate::application::software_statements::Statements;
use crate::application::usage::Usage;
use crate::cluster::announcements;
use crate::cluster::node::Node;
use crate::config::{Config, data_dir};
use crate::credentials::admin::{AdminKeyError, AdminVerifier, Provider};
use crate::credentials::key_files::KeyError;
use crate::credentials::key_sets::KeySets;
use crate::credentials::secrets::{InstanceKey, SecretHasher};
use crate::delivery::feed::{self, Feed};
use crate::delivery::webhooks::{Means, WebhookStartError, Webhooks};
use crate::event_log::EventLog;
use crate::event_log::watched::Watched;
use crate::outbound::trusted_json::SourceError;
use crate::outbound::{Manifests, SetUpError, Urgency};
use crate::platform::clock::Clock;
use crate::platform::disk_space::Room;
use crate::platform::side_db;
use crate::platform::stopping::Stopping;
use crate::read_models::Projector;

pub mod migrate;
mod node;
mod store;

use node::Me;
pub use store::{Keeper, LOG_FORMAT, Store, back_up, describe, inspect_backup, log_in_use, open_log_read_only, vacant_log};

/// A running service: its parts, and what runs beside the calls. Cheap to clone.
#[derive(Clone)]
pub struct App {
    services: Services,
    running: Arc<Running>,
}

/// What is ended when the service is.
struct Running {
    store: Store,
    tasks: Vec<AbortHandle>,
}

impl Deref for App {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.services
    }
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
        let schedule = Schedule::open(&data_dir::schedule(&config.data))?;
        let usage = Usage::open(&data_dir::usage(&config.data), clock.now())?;
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
        let folder = data_dir::read_models(&config);
        std::fs::create_dir_all(&folder)?;
        let others = config.other_versions;
        let directory: Projector<Directory> = Projector::start(log.clone(), &folder, others)?;
        let approvals: Projector<Approvals> = Projector::start(log.clone(), &folder, others)?;
        let history: Projector<History> = Projector::start(log.clone(), &folder, others)?;
        let past = Past::open(log.clone(), &data_dir::past(&config), &folder)?;
        let metrics = Metrics::default();
        let dormancy = Dormancy::new(commands.clone(), directory.reader().clone(), usage.clone(), metrics.clone());
        let id = announcements::node_id(&data_dir::node(&config))?;
        let reads = Reads::new(config.server.reads_per_tenant);
        let streams = Streams::new(config.server.streams, config.server.streams_per_subject, history.clone());
        let me = Arc::new(Me { id, url: public_url.clone(), key: instance_key.fingerprint(), store });
        let notes = Box::pin(me.store.notes()).await?;
        let webhooks = Webhooks::start(Means {
            commands: commands.clone(),
            history: history.clone(),
            key: instance_key.clone(),
            source: public_url.clone(),
            outbox: &data_dir::webhooks(&config),
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
        let (kind, shared) = (me.store.kind(), me.store.is_shared());
        let services = Services::from(Parts {
            directory,
            approvals,
            history,
            secrets: SecretHasher::default(),
            rate_limits: Ceilings::new(config.registrations_per_minute),
            disk_space: Room::new(&config.data, config.free_space_floor),
            change_limits: Changes::new(config.changes_per_minute, config.changes_per_client_per_hour),
            quotas: Census::default(),
            log_integrity: LogIntegrity::new(walk(&config)),
            config,
            public_url,
            log: log.clone(),
            watched_log: watched,
            node: Node::new(me.clone(), announcing, kind, shared, heard_from),
            commands,
            admins,
            provider,
            instance_key,
            stopping: Stopping::default(),
            sessions: SignedOut::default(),
            reads,
            streams,
            authorization_server,
            manifests: documents,
            usage,
            dormancy,
            as_of: past,
            look_alikes: LookAlikes::default(),
            software_statements: statements,
            metrics,
            authentication,
            webhooks,
            feed,
            access_tokens,
        });
        if shared {
            tasks.push(tokio::spawn(node::hear_others(services.clone(), log, heard_from)).abort_handle());
        }
        Ok(Self { services, running: Arc::new(Running { store: me.store.clone(), tasks }) })
    }

    /// The parts.
    pub const fn services(&self) -> &Services {
        &self.services
    }

    /// Tells answers that have no end of their own that the service is about to stop.
    pub fn stop(&self) {
        self.services.stopping.stop();
    }

    /// Ends the projections, and the log's writer once everything that was accepted is answered.
    pub async fn close(&self) {
        self.running.tasks.iter().for_each(AbortHandle::abort);
        self.services.webhooks.end().await;
        if let Some(feed) = &self.services.feed {
            feed.end();
        }
        self.services.usage.flush().await;
        self.services.as_of.end().await;
        for follower in followers(&self.services) {
            follower.end();
        }
        self.running.store.close().await;
    }
}

/// How the chain of this service's log is walked.
fn walk(config: &Config) -> Walk {
    let config = config.clone();
    Arc::new(move || {
        let log = open_log_read_only(&config).ok()?;
        let verified = log.verify(|_, _| {}).map(|summary| (summary.head, summary.hash.to_string()));
        Some(
            verified
                .map_err(|error| std::error::Error::source(&error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))),
        )
    })
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
        checkpoint: data_dir::feed(config),
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
