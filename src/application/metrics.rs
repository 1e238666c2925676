//! What a monitoring system asks for: counts that are kept where things happen, and figures that are taken when it asks. Every
//! label is one of a few words; none says which client or which host.

use std::sync::atomic::AtomicU64;

use chrono::TimeDelta;
use gatebook_events::resource_server::RegistrationType;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::bootstrap::App;
use crate::http::error::Failure;

/// What the answer to a scrape is.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counts by so many labels.
pub type Counts<const N: usize> = Family<[(&'static str, &'static str); N], Counter>;
type Figures<const N: usize> = Family<[(&'static str, &'static str); N], Gauge<u64, AtomicU64>>;
type Measures = Family<[(&'static str, &'static str); 1], Gauge<f64, AtomicU64>>;

/// What a projection can be up to, as [`Progress::state`](crate::read_models::Progress::state) says it.
const STATES: [&str; 5] = ["live", "catching_up", "building", "retrying", "stopped"];

/// A document that is due for longer than this is overdue: the poller does not keep up.
const OVERDUE: TimeDelta = TimeDelta::minutes(1);

/// What is counted at the service's doors. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    registrations: Counts<2>,
    decisions: Counts<1>,
    dormancy: Counts<1>,
    /// What is told of connections.
    pub connections: crate::server::Figures,
}

impl Metrics {
    /// Counts a request to register, by how it ended.
    pub fn registered(&self, kind: RegistrationType, failure: Option<&Failure>) {
        let outcome = match failure.map(Failure::status) {
            None => "registered",
            Some(status) if status.is_server_error() => "failed",
            Some(axum::http::StatusCode::TOO_MANY_REQUESTS) => "throttled",
            Some(_) => "refused",
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
pub async fn scrape(app: &App) -> String {
    let mut registry = Registry::with_prefix("gatebook");
    let metrics = app.metrics();
    registry.register("registrations", "Requests to register, by type and outcome", metrics.registrations.clone());
    registry.register("decisions", "Answers to authorization servers, by outcome", metrics.decisions.clone());
    registry.register("dormancy", "Registrations that fell dormant or were used again, by what became of them", metrics.dormancy.clone());
    registry.register("appends", "Appends to the event log that stand", app.commands().appends().clone());
    registry.register("log_refusals", "Appends and reads that the event log refused", app.watched_log().refusals().clone());
    let (refused, takes) = (app.watched_log().refused().await, Figures::<1>::default());
    for of in ["append", "read"] {
        takes.get_or_create(&[("of", of)]).set(u64::from(refused.iter().all(|refusal| refusal.of != of)));
    }
    registry.register("log_up", "1 while the event log takes what is appended, or gives what is read, 0 while it refuses", takes);
    let outcomes = app.documents().manifests().outcomes().clone();
    registry.register("document_fetches", "Fetches of clients' documents, by outcome", outcomes);
    registry.register("webhook_messages", "Attempts to send a message to a webhook, by outcome", app.webhooks().sent().clone());
    registry.register("connections", "Connections that are open", metrics.connections.open.clone());
    registry.register("connections_turned_away", "Connections beyond a bound, by which", metrics.connections.turned_away.clone());
    if let Some(free) = app.room().free() {
        registry.register("disk_free_bytes", "Bytes that are free on the disk of the data folder", figure(free));
    }
    let room = u64::from(app.room().has_some_for_strangers());
    registry.register("disk_room_for_strangers", "1 while clients may register themselves, 0 below the floor of free space", figure(room));
    positions(app, &mut registry).await;
    documents(app, &mut registry).await;
    letters(app, &mut registry).await;
    feed(app, &mut registry);
    let mut page = String::new();
    // Writing to a text cannot fail.
    let _always = text::encode(&mut page, &registry);
    page
}

/// How far the log goes, and how far each projection has come. Where the log does not answer, what is measured against it is absent.
async fn positions(app: &App, registry: &mut Registry) {
    let (positions, lags, rates, states) = (Figures::default(), Figures::default(), Measures::default(), Figures::default());
    let (waits, built, ups) = (Measures::default(), Figures::default(), Figures::default());
    let (head, now) = (app.log().head().await.ok(), app.commands().clock().now());
    for follower in app.followers() {
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

async fn documents(app: &App, registry: &mut Registry) {
    let directory = app.directory().reader().clone();
    if let Ok(Ok(healths)) = tokio::task::spawn_blocking(move || directory.documents_by_health()).await {
        let family = Figures::<1>::default();
        for (health, number) in healths {
            family.get_or_create(&[("health", health)]).set(number);
        }
        registry.register("documents", "Clients with a document of their own, by its health", family);
    }
    if let Some((due, overdue)) = app.documents().waiting(OVERDUE).await {
        registry.register("polls_due", "Documents whose time to be read again has come", figure(due));
        registry.register("polls_overdue", "Documents whose time came more than a minute ago", figure(overdue));
    }
}

fn feed(app: &App, registry: &mut Registry) {
    let Some(feed) = app.feed() else { return };
    registry.register("feed_events", "Events that this node published to the feed", feed.published().clone());
    registry.register("feed_position", "Every event up to here is in the feed", figure(feed.progress().position.to_backend()));
}

async fn letters(app: &App, registry: &mut Registry) {
    let Some(letters) = app.webhooks().letters().await else { return };
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
