//! What a monitoring system asks for: counts that are kept where things happen, and figures that are taken when it asks. Every
//! label is one of a few words; none says which client or which host.

use std::sync::atomic::AtomicU64;

use chrono::TimeDelta;
use gatebook_events::admission::RegistrationType;
use gatebook_projections::read_model::QueryError;
use prometheus_client::encoding::text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::aggregates::CommandError;
use crate::application::error::UseCaseError;
use crate::application::services::{Services, followers};
use crate::application::software_statements::StatementRefusal;
use crate::event_log::AppendError;
use crate::platform::counters::Counts;

/// What the answer to a scrape is.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Figures<const N: usize> = Family<[(&'static str, &'static str); N], Gauge<u64, AtomicU64>>;
type Measures = Family<[(&'static str, &'static str); 1], Gauge<f64, AtomicU64>>;

/// What a projection can be up to, as [`Progress::state`](crate::read_models::Progress::state) says it.
const STATES: [&str; 5] = ["live", "catching_up", "building", "retrying", "stopped"];

/// A document that is due for longer than this is overdue: the poller does not keep up.
const OVERDUE: TimeDelta = TimeDelta::minutes(1);

/// How a request to register ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There is a client.
    Registered,
    /// The request was at fault, or rules forbid it.
    Refused,
    /// It came too often.
    Throttled,
    /// It was our fault, or passes.
    Failed,
}

impl Outcome {
    /// Of a request that came to this.
    pub fn of<T>(done: &Result<T, UseCaseError>) -> Self {
        done.as_ref().map_or_else(Self::of_error, |_| Self::Registered)
    }

    /// Of a request that came to nothing.
    pub fn of_error(error: &UseCaseError) -> Self {
        match error {
            UseCaseError::TooMany(_)
            | UseCaseError::TooManyGuesses(_)
            | UseCaseError::TooManyAssertions(_)
            | UseCaseError::TooManyAtOnce(..) => Self::Throttled,
            UseCaseError::Command(CommandError::Rejected(_) | CommandError::Append(AppendError::Refused(_)))
            | UseCaseError::Metadata(_)
            | UseCaseError::Statement(StatementRefusal::Unapproved | StatementRefusal::Invalid(_))
            | UseCaseError::Query(QueryError::Cursor(_))
            | UseCaseError::Client
            | UseCaseError::Document { .. }
            | UseCaseError::InvalidTarget(_) => Self::Refused,
            UseCaseError::Command(_)
            | UseCaseError::Statement(StatementRefusal::Unavailable)
            | UseCaseError::Query(_)
            | UseCaseError::Log(_)
            | UseCaseError::Building { .. }
            | UseCaseError::Behind(_)
            | UseCaseError::Past(_)
            | UseCaseError::NotTried(_)
            | UseCaseError::NoRoom
            | UseCaseError::NotKept(_)
            | UseCaseError::Ledger(_)
            | UseCaseError::NoMetadata
            | UseCaseError::Busy
            | UseCaseError::Token(_)
            | UseCaseError::Internal(_) => Self::Failed,
        }
    }
}

/// What is counted at the service's doors. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    registrations: Counts<2>,
    decisions: Counts<1>,
    dormancy: Counts<1>,
    /// What is told of connections.
    pub connections: crate::platform::counters::ConnectionCounters,
}

impl Metrics {
    /// Counts a request to register, by how it ended.
    pub fn registered(&self, kind: RegistrationType, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Registered => "registered",
            Outcome::Refused => "refused",
            Outcome::Throttled => "throttled",
            Outcome::Failed => "failed",
        };
        self.registrations.get_or_create(&[("type", kind.as_str()), ("outcome", outcome)]).inc();
    }

    /// Counts an answer at a door.
    pub fn decided(&self, outcome: &'static str) {
        self.decisions.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Counts a registration that fell dormant, was revived by being used, or waits for an administrator because it was.
    pub fn dormancy(&self, change: &'static str) {
        self.dormancy.get_or_create(&[("change", change)]).inc();
    }
}

/// Everything, as Prometheus reads it (`OpenMetrics` text, the format that it asks for first).
pub async fn scrape(services: &Services) -> String {
    let mut registry = Registry::with_prefix("gatebook");
    let metrics = &services.metrics;
    registry.register("registrations", "Requests to register, by type and outcome", metrics.registrations.clone());
    registry.register("decisions", "Answers to authorization servers, by outcome", metrics.decisions.clone());
    registry.register("dormancy", "Registrations that fell dormant or were used again, by what became of them", metrics.dormancy.clone());
    registry.register("appends", "Appends to the event log that stand", services.commands.appends().clone());
    registry.register("log_refusals", "Appends and reads that the event log refused", services.watched_log.refusals().clone());
    let (refused, takes) = (services.watched_log.refused().await, Figures::<1>::default());
    for of in ["append", "read"] {
        takes.get_or_create(&[("of", of)]).set(u64::from(refused.iter().all(|refusal| refusal.of != of)));
    }
    registry.register("log_up", "1 while the event log takes what is appended, or gives what is read, 0 while it refuses", takes);
    let outcomes = services.manifests.manifests().outcomes().clone();
    registry.register("document_fetches", "Fetches of clients' documents, by outcome", outcomes);
    registry.register("webhook_messages", "Attempts to send a message to a webhook, by outcome", services.webhooks.sent().clone());
    registry.register("connections", "Connections that are open", metrics.connections.open.clone());
    registry.register("connections_turned_away", "Connections beyond a bound, by which", metrics.connections.turned_away.clone());
    if let Some(free) = services.disk_space.free() {
        registry.register("disk_free_bytes", "Bytes that are free on the disk of the data folder", figure(free));
    }
    let room = u64::from(services.disk_space.has_some_for_strangers());
    registry.register("disk_room_for_strangers", "1 while clients may register themselves, 0 below the floor of free space", figure(room));
    positions(services, &mut registry).await;
    documents(services, &mut registry).await;
    letters(services, &mut registry).await;
    feed(services, &mut registry);
    let mut page = String::new();
    // Writing to a text cannot fail.
    let _always = text::encode(&mut page, &registry);
    page
}

/// How far the log goes, and how far each projection has come. Where the log does not answer, what is measured against it is absent.
async fn positions(services: &Services, registry: &mut Registry) {
    let (positions, lags, rates, states) = (Figures::default(), Figures::default(), Measures::default(), Figures::default());
    let (waits, built, ups) = (Measures::default(), Figures::default(), Figures::default());
    let (head, now) = (services.log.head().await.ok(), services.commands.clock().now());
    for follower in followers(services) {
        let (name, progress) = (follower.identity().0, follower.progress());
        let label = [("projection", name)];
        positions.get_or_create(&label).set(progress.position.to_backend());
        rates.get_or_create(&label).set(progress.pace.events_per_second());
        ups.get_or_create(&label).set(u64::from(progress.stopped.is_none() && progress.retrying.is_none()));
        let Some(head) = head else { continue };
        lags.get_or_create(&label).set(progress.lag_events(head));
        waits.get_or_create(&label).set(progress.lag_seconds(head, now));
        for state in STATES {
            states.get_or_create(&[("projection", name), ("state", state)]).set(u64::from(state == progress.state(head)));
        }
        if let Some(building) = progress.building {
            built.get_or_create(&label).set(building.percent(head));
        }
    }
    registry.register("projection_position", "The last event that the projection shows", positions);
    registry.register("projection_lag", "Events in the log that the projection does not show yet", lags);
    registry.register("projection_lag_seconds", "For how long the oldest of them has waited", waits);
    registry.register("projection_rate", "Events that came into the projection in a second", rates);
    registry.register("projection_state", "1 for the state that the projection is in", states);
    registry.register("projection_built_percent", "How much is done of the tables that are being built", built);
    registry.register("projection_up", "1 while the projection follows the log, 0 once it stopped or while the surroundings refuse", ups);
    if let Some(head) = head {
        registry.register("log_head", "The position of the last event in the log", figure(head.to_backend()));
    }
}

async fn documents(services: &Services, registry: &mut Registry) {
    let directory = services.directory.reader().clone();
    if let Ok(Ok(healths)) = tokio::task::spawn_blocking(move || directory.documents_by_health()).await {
        let family = Figures::<1>::default();
        for (health, number) in healths {
            family.get_or_create(&[("health", health)]).set(number);
        }
        registry.register("documents", "Clients with a document of their own, by its health", family);
    }
    if let Some((due, overdue)) = services.manifests.waiting(OVERDUE).await {
        registry.register("polls_due", "Documents whose time to be read again has come", figure(due));
        registry.register("polls_overdue", "Documents whose time came more than a minute ago", figure(overdue));
    }
}

fn feed(services: &Services, registry: &mut Registry) {
    let Some(feed) = services.feed.as_ref() else { return };
    registry.register("feed_events", "Events that this node published to the feed", feed.published().clone());
    registry.register("feed_position", "Every event up to here is in the feed", figure(feed.progress().position.to_backend()));
}

async fn letters(services: &Services, registry: &mut Registry) {
    let Some(letters) = services.webhooks.letters().await else { return };
    let family = Figures::<1>::default();
    for (state, number) in letters {
        family.get_or_create(&[("state", state)]).set(number);
    }
    registry.register("webhook_letters", "Messages that a webhook has not taken, by what becomes of them", family);
}

fn figure(number: u64) -> Gauge<u64, AtomicU64> {
    let gauge = Gauge::default();
    gauge.set(number);
    gauge
}
