//! The parts that use cases work with. Each is made once, by `bootstrap`.

use std::ops::Deref;
use std::sync::Arc;

use gatebook_projections::approvals::Approvals;
use gatebook_projections::directory::Directory;
use gatebook_projections::history::History;

use super::access_tokens::AccessTokens;
use super::audit::as_of::Past;
use super::audit::integrity::LogIntegrity;
use super::audit::streams::Streams;
use super::authentication::Authentication;
use super::authorization_server::AuthorizationServer;
use super::dormancy::Dormancy;
use super::look_alikes::LookAlikes;
use super::manifests::Documents;
use super::metrics::Metrics;
use super::quotas::Census;
use super::rate_limits::{Ceilings, Changes};
use super::reads::Reads;
use super::sessions::SignedOut;
use super::software_statements::Statements;
use super::usage::Usage;
use crate::aggregates::Commands;
use crate::cluster::node::Node;
use crate::config::Config;
use crate::credentials::admin::{AdminVerifier, Provider};
use crate::credentials::secrets::{InstanceKey, SecretHasher};
use crate::delivery::feed::Feed;
use crate::delivery::webhooks::Webhooks;
use crate::event_log::EventLog;
use crate::event_log::watched::Watched;
use crate::platform::disk_space::Room;
use crate::platform::stopping::Stopping;
use crate::read_models::{Follower, Projector};

/// The parts, shared. Cheap to clone.
#[derive(Clone)]
pub struct Services(Arc<Parts>);

/// One of each.
pub struct Parts {
    /// The settings.
    pub config: Config,
    /// What clients reach the service as; every URL in an answer starts with it.
    pub public_url: String,
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// The same log, with what it refused last.
    pub watched_log: Watched,
    /// This node among others.
    pub node: Node,
    /// Carries commands to the log.
    pub commands: Commands,
    /// Resource servers, clients and registrations.
    pub directory: Projector<Directory>,
    /// What waits for an administrator.
    pub approvals: Projector<Approvals>,
    /// Who did what, and when.
    pub history: Projector<History>,
    /// Checks administrators' tokens.
    pub admins: AdminVerifier,
    /// Where administrators sign in at the pages, beside with a token.
    pub provider: Option<Provider>,
    /// Hashes and verifies secrets.
    pub secrets: SecretHasher,
    /// The key that repeatable secrets are derived from.
    pub instance_key: InstanceKey,
    /// How many registrations one source may make, and one resource server takes.
    pub rate_limits: Ceilings,
    /// How often registrations may be called about, and changed by their clients.
    pub change_limits: Changes,
    /// How much room there is on the disk, and for whom.
    pub disk_space: Room,
    /// How full each register is.
    pub quotas: Census,
    /// Whether the service is about to stop.
    pub stopping: Stopping,
    /// The sessions at the pages that were ended before their time.
    pub sessions: SignedOut,
    /// How many reads of lists are under way.
    pub reads: Reads,
    /// The event streams.
    pub streams: Streams,
    /// How far the log's hash chain is known to hold.
    pub log_integrity: LogIntegrity,
    /// The authorization server that clients get their tokens from.
    pub authorization_server: Arc<AuthorizationServer>,
    /// The documents that clients host.
    pub manifests: Documents,
    /// When clients were used.
    pub usage: Usage,
    /// Makes clients dormant that are not used.
    pub dormancy: Dormancy,
    /// The client lists as they were.
    pub as_of: Past,
    /// Look-alikes that were found a moment ago.
    pub look_alikes: LookAlikes,
    /// Software statements of clients that register themselves.
    pub software_statements: Statements,
    /// Counters for a monitoring system.
    pub metrics: Metrics,
    /// What is remembered of clients that proved who they are, and of those that failed to.
    pub authentication: Authentication,
    /// The webhooks.
    pub webhooks: Webhooks,
    /// The feed, where one is set up.
    pub feed: Option<Feed>,
    /// Access tokens of clients that act for themselves.
    pub access_tokens: AccessTokens,
}

impl From<Parts> for Services {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for Services {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Every projection.
pub fn followers(services: &Services) -> [&dyn Follower; 3] {
    [&services.directory, &services.approvals, &services.history]
}

/// What is kept beside the log and could not be kept the last time, with why. Each use is another attempt.
pub fn side_db_troubles(services: &Services) -> Vec<(&'static str, String)> {
    let tables = [Some(services.manifests.schedule()), Some(services.webhooks.side_table()), services.feed.as_ref().map(Feed::side_table)];
    let kept = tables.into_iter().flatten().filter_map(|table| Some((table.what(), table.trouble()?)));
    kept.chain(services.usage.trouble().map(|trouble| ("when clients were used", trouble))).collect()
}
