//! Has registrations become dormant that nobody used for as long as their resource server's policy says, some at a time.
//!
//! What was done is in the log and what is left shows in the directory, so a sweep that was cut short is simply begun anew.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt, stream};
use gatebook_events::identity::ResourceServerId;
use gatebook_events::registration::RegistrationCommand;
use gatebook_projections::directory::{Approved, Directory};
use gatebook_projections::read_model::{QueryError, Reader};
use tokio::task::AbortHandle;

use crate::aggregates::{CommandError, Commands};
use crate::application::metrics::Metrics;
use crate::application::usage::{Usage, Watch};

pub(crate) mod transitions;

/// How many registrations are looked at together.
const PAGE: usize = 512;
/// How many of them are written to at a time.
const AT_ONCE: usize = 16;
/// Between two pages of which somebody became dormant.
const BREATH: Duration = Duration::from_secs(1);
/// Between two sweeps; a policy speaks of days.
const EVERY: Duration = Duration::from_secs(3600);

/// What makes registrations dormant. Cheap to clone.
#[derive(Clone)]
pub struct Dormancy(Arc<Parts>);

struct Parts {
    commands: Commands,
    directory: Reader<Directory>,
    usage: Usage,
    metrics: Metrics,
}

/// Why a sweep was cut short.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The log could not be read or written.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The directory could not be asked.
    #[error("failed to ask the directory who stands approved")]
    Directory(#[from] QueryError),
    /// A thread ended early.
    #[error("a query's thread ended early")]
    Thread(#[from] tokio::task::JoinError),
}

/// A resource server that has clients become dormant.
#[derive(Debug, Clone, Copy)]
struct Rule {
    server: ResourceServerId,
    after_days: NonZeroU16,
}

impl Dormancy {
    /// Looks in the directory for who stands approved, and in the table of uses for who is used.
    pub fn new(commands: Commands, directory: Reader<Directory>, usage: Usage, metrics: Metrics) -> Self {
        Self(Arc::new(Parts { commands, directory, usage, metrics }))
    }

    /// Sweeps in the background until the task is aborted, once the directory is `complete`.
    pub fn start(&self, complete: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let dormancy = self.clone();
        tokio::spawn(async move {
            complete.await;
            loop {
                if let Err(error) = dormancy.sweep(BREATH).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a sweep for idle registrations was cut short");
                }
                tokio::time::sleep(EVERY).await;
            }
        })
        .abort_handle()
    }

    /// Looks at every registration that a policy may call dormant, with a pause after each lot of which some were. Says how
    /// many were.
    pub async fn sweep(&self, breath: Duration) -> Result<u64, SweepError> {
        let Parts { commands, usage, .. } = &*self.0;
        if !commands.roster().now().is_complete() {
            commands.complete_roster().await?;
        }
        let rule = |server, after_days: Option<NonZeroU16>| Some(Rule { server, after_days: after_days? });
        let rules: Vec<Rule> =
            commands.roster().now().serving().filter_map(|(id, server)| rule(id, server.policy.dormant_after_days)).collect();
        let now = commands.clock().now();
        let Some(watch) = usage.watch(now, rules.iter().map(|rule| rule.server).collect()).await else { return Ok(0) };
        let mut fallen = 0;
        for rule in rules {
            fallen += self.sweep_one(rule, &watch, now, breath).await?;
        }
        Ok(fallen)
    }

    async fn sweep_one(&self, rule: Rule, watch: &Watch, now: DateTime<Utc>, breath: Duration) -> Result<u64, SweepError> {
        let latest = now - TimeDelta::days(rule.after_days.get().into());
        let (mut after, mut fallen) = (None, 0);
        if watch.idleness(rule.server, DateTime::UNIX_EPOCH).0 > latest {
            return Ok(0); // The policy, or the watch, is younger than what it asks for.
        }
        loop {
            let directory = self.0.directory.clone();
            let page = tokio::task::spawn_blocking(move || directory.approved(rule.server, latest, after, PAGE)).await??;
            after = page.last().map(|last| last.place);
            let (is_last, before) = (page.len() < PAGE, fallen);
            let due = self.idle(rule, watch, page).await;
            let mut done = stream::iter(due).map(|due| self.note(rule.server, due)).buffer_unordered(AT_ONCE);
            while let Some(outcome) = done.next().await {
                fallen += u64::from(outcome?);
            }
            if is_last {
                return Ok(fallen);
            }
            if fallen > before {
                tokio::time::sleep(breath).await;
            }
        }
    }

    /// Those of a page that were idle for as long as the rule says, with what is to be said of them.
    async fn idle(&self, rule: Rule, watch: &Watch, page: Vec<Approved>) -> Vec<(Approved, RegistrationCommand)> {
        let uses = self.0.usage.of(page.iter().map(|row| (rule.server, row.place.client)).collect()).await;
        let idle = |row: Approved| {
            let last_use = uses.get(&(rule.server, row.place.client)).map(|uses| uses.idle_from());
            let (since, watched) = watch.idleness(rule.server, last_use.map_or(row.decided_at, |at| at.max(row.decided_at)));
            let due = watched >= TimeDelta::days(rule.after_days.get().into());
            due.then_some((row, RegistrationCommand::NoteIdleness { since, watched, after_days: rule.after_days }))
        };
        page.into_iter().filter_map(idle).collect()
    }

    async fn note(&self, server: ResourceServerId, (row, idleness): (Approved, RegistrationCommand)) -> Result<bool, CommandError> {
        let which = (server, row.place.client);
        if self.0.usage.is_noted(which) {
            return Ok(false);
        }
        let fell = self.0.commands.note_idleness(which, row.position, &idleness).await?.is_some();
        if fell {
            self.0.metrics.dormancy("fell");
        }
        Ok(fell)
    }
}
