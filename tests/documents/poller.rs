//! The poller among hosts that stall, clients that are gone, and a document that a thousand registrations follow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta};
use futures_util::stream::BoxStream;
use gatebook::aggregates::{CommandError, Commands};
use gatebook::application::manifests::{Documents, Schedule, cause};
use gatebook::application::register::rules::Guarantor;
use gatebook::config::ManifestSettings;
use gatebook::config::Rhythm;
use gatebook::event_log::memory::MemoryLog;
use gatebook::event_log::{Append, AppendError, Appended, Closed, EventLog, Followed, LogError, StreamEvents};
use gatebook::outbound::Manifests;
use gatebook::platform::clock::Clock;
use gatebook_events::admission::RegistrationType;
use gatebook_events::client::Client;
use gatebook_events::envelope::{Position, StreamName};
use gatebook_events::identity::{ClientId, ResourceServerId, TenantId};
use gatebook_events::metadata;
use gatebook_events::registration::Registration;
use gatebook_events::resource_server::{Policy, ResourceServerCommand};
use gatebook_events::stream::Stream;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::HERE;
use crate::ask;
use crate::author::Author;
use crate::open;
use crate::turns::{client_id, document};
use crate::until;
use crate::with_a_client;

#[tokio::test]
async fn a_host_that_stalls_keeps_no_other_waiting() {
    let house = open().await;
    let stalled = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = stalled.local_addr().unwrap();
    let dialled = Arc::new(AtomicUsize::new(0));
    let counting = dialled.clone();
    let stalling = tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            kept.push(stalled.accept().await.unwrap());
            counting.fetch_add(1, Ordering::SeqCst);
        }
    });
    let urls = (0..40).map(|number| ClientId::parse(&format!("http://{address}/{number}")).unwrap()).collect();
    house.app.manifests.hasten(urls).await;
    until("the stalled host is dialled", async || dialled.load(Ordering::SeqCst) > 0).await;
    let author = Author::publish(&[HERE]).await;
    let other = author.url().replace("127.0.0.1", "localhost");
    house.app.manifests.hasten(vec![ClientId::parse(&other).unwrap()]).await;
    until("the other host is asked", async || author.asked().0 > 0).await;
    assert!(dialled.load(Ordering::SeqCst) <= 4, "it was waited for");
    stalling.abort();
}

#[tokio::test]
async fn the_document_of_a_client_that_is_gone_is_asked_for_no_more() {
    let (house, author) = with_a_client().await;
    let url = ClientId::parse(&author.url()).unwrap();
    house.app.commands.delete_self(&cause(), url.key()).await.unwrap();
    let asked = author.asked().0;
    house.app.manifests.hasten(vec![url]).await;
    until("a last poll", async || author.asked().0 > asked).await;
    let due = async || house.app.manifests.waiting(TimeDelta::zero()).await;
    until("an empty schedule", async || due().await == Some((0, 0))).await;
    house.clock.advance(TimeDelta::days(400));
    assert_eq!(due().await, Some((0, 0)));
}

#[tokio::test]
async fn a_clock_that_goes_back_keeps_no_document_from_being_read() {
    let (house, author) = with_a_client().await;
    house.clock.advance(TimeDelta::days(3650));
    let idle = async || house.app.manifests.waiting(TimeDelta::zero()).await == Some((0, 0));
    until("a poll in the far future", async || author.asked().0 > 1 && idle().await).await;
    house.clock.advance(TimeDelta::days(-3650));
    // The poller looks, and then a day is the longest that a document waits.
    house.app.manifests.hasten(vec![ClientId::parse(&Author::publish(&[HERE]).await.url()).unwrap()]).await;
    until("the end of the look", idle).await;
    let asked = author.asked().0;
    house.clock.advance(TimeDelta::hours(27));
    until("a poll on the next day", async || author.asked().0 > asked).await;
    ask(&house, &author, serde_json::json!({})).await;
}

/// A log that does not take anything for one stream.
struct Torn {
    log: MemoryLog,
    stream: StreamName,
}

#[async_trait]
impl EventLog for Torn {
    async fn read(&self, stream: &StreamName) -> Result<StreamEvents, LogError> {
        self.log.read(stream).await
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        if append.stream == self.stream && !matches!(append.expected, gatebook::event_log::Expected::Empty) {
            return Err(AppendError::Unavailable(Box::new(Closed)));
        }
        self.log.append(append).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<StreamName>, LogError> {
        self.log.streams(prefix).await
    }

    fn follow(&self, after: Position) -> BoxStream<'static, Result<Followed, LogError>> {
        self.log.follow(after)
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.log.head().await
    }
}

#[tokio::test]
async fn a_thousand_registrations_follow_one_document_and_one_that_cannot_stops_no_other() {
    let servers: Vec<_> = (0..1000_u128).map(|number| ResourceServerId(Uuid::from_u128(1 << 100 | number))).collect();
    let registration = |server| Stream::Registration(server, client_id().key());
    let log = Arc::new(Torn { log: MemoryLog::default(), stream: registration(servers[500]).name() });
    let commands = Commands::new(log, Clock::standing_at(DateTime::from_timestamp(1_800_000_000, 0).unwrap()));
    let first = commands.see_document(&cause(), &client_id(), &[], document(&[HERE])).await.unwrap().state;
    for server in &servers {
        let create = ResourceServerCommand::Create {
            tenant: TenantId::default_tenant(),
            name: server.to_string(),
            resource: None,
            modes: RegistrationType::ALL.into(),
            policy: Policy::default(),
        };
        commands.create_resource_server(&cause(), *server, &create).await.unwrap();
        let parsed = metadata::Parsed { metadata: first.registered().unwrap().metadata.clone(), ignored: vec![] };
        let rules = commands.rules(*server).await.unwrap();
        let welcome = rules.judge(RegistrationType::Cimd, Guarantor::Nobody, parsed).unwrap();
        commands.bind(&cause(), &welcome, &first, false).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let schedule = Schedule::open(&folder.path().join("schedule.db")).unwrap();
    let manifests = Manifests::try_new(ManifestSettings::default(), None).unwrap();
    let documents = Documents::new(manifests, commands.clone(), schedule, Rhythm::default());
    let wider: Client = commands.see_document(&cause(), &client_id(), &[], document(&[HERE, "https://b.example/cb"])).await.unwrap().state;
    let followed = tokio::time::timeout(Duration::from_secs(30), documents.follow(&wider, &servers)).await.unwrap();
    assert!(matches!(followed, Err(CommandError::Append(_))), "what failed is told, so that the poll is repeated");
    for server in &servers {
        let state: Registration = commands.load(registration(*server)).await.unwrap();
        assert_eq!(state.staged.is_some(), *server != servers[500], "{server}");
    }
}
