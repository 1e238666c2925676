//! What belongs to a moment, and what is kept of moments.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::{self, BoxStream, StreamExt};
use gatebook_events::admission::RegistrationType;
use gatebook_events::envelope::{Actor, ActorKind, Position, StreamName};
use gatebook_events::identity::{ResourceServerId, TenantId};
use gatebook_events::resource_server::{Policy, ResourceServerCommand};
use tempfile::TempDir;
use tokio::time::Instant;
use uuid::Uuid;

use super::*;
use crate::aggregates::{Cause, Commands};
use crate::application::audit::as_of::cache::{MOST, MOST_OF_ONE};
use crate::event_log::memory::MemoryLog;
use crate::event_log::{Append, AppendError, Appended, Followed, StreamEvents};
use crate::platform::clock::Clock;

/// A log that is followed by one event for each time that its gate is opened.
struct Gated {
    log: MemoryLog,
    gate: Arc<Semaphore>,
}

#[async_trait]
impl EventLog for Gated {
    async fn read(&self, stream: &StreamName) -> Result<StreamEvents, LogError> {
        self.log.read(stream).await
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.log.append(append).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<StreamName>, LogError> {
        self.log.streams(prefix).await
    }

    fn follow(&self, after: Position) -> BoxStream<'static, Result<Followed, LogError>> {
        let gate = self.gate.clone();
        let one_by_one = self.log.follow(after).flat_map(|followed| match followed {
            Ok(Followed::Events(events)) => stream::iter(events).map(|event| Ok(Followed::Events(vec![event]))).boxed(),
            other => stream::iter([other]).boxed(),
        });
        let let_in = move |followed| {
            let gate = gate.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                followed
            }
        };
        one_by_one.then(let_in).boxed()
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.log.head().await
    }
}

/// A past of resource servers that were created at these seconds, in this order.
async fn created_at(seconds: &[i64]) -> (Past, Commands, TempDir) {
    let (past, gate, commands, folder) = gated(seconds).await;
    gate.add_permits(Semaphore::MAX_PERMITS);
    (past, commands, folder)
}

/// The same of a log that can be followed no further than its gate lets.
async fn gated(seconds: &[i64]) -> (Past, Arc<Semaphore>, Commands, TempDir) {
    let (gate, folder) = (Arc::new(Semaphore::new(0)), tempfile::tempdir().unwrap());
    let log = Arc::new(Gated { log: MemoryLog::default(), gate: gate.clone() });
    let clock = Clock::standing_at(second(0));
    let commands = Commands::new(log.clone(), clock.clone());
    for at in seconds {
        clock.set(second(*at));
        create(&commands).await;
    }
    (Past::open(log, &folder.path().join("past"), folder.path()).unwrap(), gate, commands, folder)
}

async fn create(commands: &Commands) {
    let actor = Actor { kind: ActorKind::System, id: None, via: None };
    let cause = Cause { actor, tenant: Some(TenantId::default_tenant()), request_id: None, origin: None };
    let command = ResourceServerCommand::Create {
        tenant: TenantId::default_tenant(),
        name: "server".to_owned(),
        resource: None,
        modes: RegistrationType::ALL.into(),
        policy: Policy::default(),
    };
    commands.create_resource_server(&cause, ResourceServerId(Uuid::now_v7()), &command).await.unwrap();
}

fn second(number: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + number, 0).unwrap()
}

fn position(number: u64) -> Position {
    Position::from_backend(number)
}

async fn moment(past: &Past, as_of: AsOf) -> Arc<Moment> {
    past.at(&TenantId::default_tenant(), as_of).await.unwrap()
}

fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

fn folders(folder: &TempDir) -> usize {
    std::fs::read_dir(folder.path().join("past")).map_or(0, Iterator::count)
}

/// Waits until there are so many: what nobody looks at goes on a thread of its own.
async fn folders_become(folder: &TempDir, number: usize) {
    let come = async {
        while folders(folder) != number {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(Duration::from_secs(20), come).await.is_ok(), "{} and not {number}", folders(folder));
}

#[tokio::test]
async fn a_time_means_the_place_before_the_first_event_that_was_recorded_later() {
    let (past, _, _folder) = created_at(&[10, 30, 20, 40]).await;
    for (time, last) in [(9, 0), (10, 1), (20, 1), (29, 1), (30, 3), (39, 3), (40, 4), (99, 4)] {
        let found = moment(&past, AsOf::Time(second(time))).await;
        let servers = found.reader().resource_servers(&TenantId::default_tenant()).unwrap();
        assert_eq!((found.last().position, servers.len()), (position(last), usize::try_from(last).unwrap()), "second {time}");
    }
    assert_eq!(moment(&past, AsOf::Position(position(2))).await.last().recorded_at, second(30));
}

#[tokio::test]
async fn a_moment_is_made_once_for_whoever_means_it() {
    let (past, _, folder) = created_at(&[10, 20, 40]).await;
    let first = moment(&past, AsOf::Time(second(20))).await;
    for as_of in [AsOf::Time(second(39)), AsOf::Position(position(2)), AsOf::Time(second(20) + TimeDelta::microseconds(1))] {
        assert!(Arc::ptr_eq(&first, &moment(&past, as_of).await), "{as_of:?}");
    }
    for as_of in [AsOf::Time(second(19)), AsOf::Time(second(40)), AsOf::Position(position(1))] {
        assert!(!Arc::ptr_eq(&first, &moment(&past, as_of).await), "{as_of:?}");
    }
    let stranger = past.at(&acme(), AsOf::Position(position(2))).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &stranger), "what is another tenant's is not shown");
    let tables = stranger.reader().dump().unwrap().join("\n");
    assert!(!tables.contains("server\""), "another tenant's resource servers are in it: {tables}");
    assert_eq!(past.0.made.load(Ordering::Relaxed), 4);
    drop((first, stranger));
    folders_become(&folder, MOST_OF_ONE + 1).await;
}

#[tokio::test]
async fn the_end_of_the_log_is_looked_for_anew_once_it_has_moved() {
    let (past, commands, _folder) = created_at(&[10]).await;
    let end = AsOf::Time(second(10));
    assert_eq!(moment(&past, end).await.last().position, position(1));
    create(&commands).await;
    assert_eq!(moment(&past, end).await.last().position, position(2), "it was recorded at that very time");
}

#[tokio::test]
async fn few_moments_are_kept_and_none_goes_while_somebody_looks_at_it() {
    let (past, _, folder) = created_at(&[1, 2, 3, 4, 5, 6]).await;
    let held = moment(&past, AsOf::Position(position(1))).await;
    for number in 2..=6 {
        moment(&past, AsOf::Position(position(number))).await;
    }
    folders_become(&folder, MOST_OF_ONE + 1).await;
    assert_eq!(held.reader().resource_servers(&TenantId::default_tenant()).unwrap().len(), 1);
    drop(held);
    folders_become(&folder, MOST_OF_ONE).await;
    past.end().await;
    folders_become(&folder, 0).await;
}

#[tokio::test]
async fn however_much_a_tenant_asks_what_others_asked_for_is_kept() {
    let (past, _, folder) = created_at(&[1, 2, 3, 4, 5, 6]).await;
    let theirs = past.at(&acme(), AsOf::Position(position(1))).await.unwrap();
    for number in 1..=6 {
        moment(&past, AsOf::Position(position(number))).await;
    }
    assert!(Arc::ptr_eq(&theirs, &past.at(&acme(), AsOf::Position(position(1))).await.unwrap()));
    for number in 1..=3 {
        past.at(&TenantId::parse(&format!("tenant-{number}")).unwrap(), AsOf::Position(position(1))).await.unwrap();
    }
    assert!(Arc::ptr_eq(&theirs, &past.at(&acme(), AsOf::Position(position(1))).await.unwrap()), "it went before somebody's second one");
    drop(theirs);
    folders_become(&folder, MOST).await;
}

#[tokio::test]
async fn what_an_earlier_process_left_goes_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("past/3");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("directory@4.building.db"), "half").unwrap();
    Past::open(Arc::new(MemoryLog::default()), &folder.path().join("past"), folder.path()).unwrap();
    assert!(!left.exists());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_long_is_told_how_far_it_is_and_finds_it_later() {
    let (past, gate, _, folder) = gated(&[1, 2]).await;
    gate.add_permits(1);
    let as_of = AsOf::Position(position(2));
    let asked = past.at(&TenantId::default_tenant(), as_of).await;
    assert!(matches!(asked, Err(PastError::UnderWay { percent: 50 })));
    // It goes on although nobody waits.
    gate.add_permits(2);
    let made = async {
        while past.find(&TenantId::default_tenant(), as_of).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, made).await.unwrap();
    assert_eq!(moment(&past, as_of).await.last().position, position(2));
    assert_eq!((past.0.made.load(Ordering::Relaxed), folders(&folder)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_tenant_has_one_moment_made_at_a_time_so_that_others_have_their_turn() {
    let (past, gate, _, _folder) = gated(&[1, 2, 3]).await;
    let ask = |tenant: TenantId, number: u64| {
        let past = past.clone();
        tokio::spawn(async move { past.at(&tenant, AsOf::Position(position(number))).await })
    };
    let (one, same) = (ask(TenantId::default_tenant(), 1), ask(TenantId::default_tenant(), 1));
    let theirs = ask(acme(), 1);
    tokio::task::yield_now().await;
    let begun = Instant::now();
    for _ in 0..20 {
        for number in 2..=3 {
            let more = past.at(&TenantId::default_tenant(), AsOf::Position(position(number))).await;
            assert!(matches!(more, Err(PastError::UnderWay { percent: 0 })));
        }
    }
    assert_eq!(begun.elapsed(), Duration::ZERO, "whoever means another moment waited");
    // Enough for two moments, each of which reads on to the event behind it.
    gate.add_permits(4);
    let (one, same) = (one.await.unwrap().unwrap(), same.await.unwrap().unwrap());
    assert!(Arc::ptr_eq(&one, &same));
    let next = ask(TenantId::default_tenant(), 2);
    assert_eq!(theirs.await.unwrap().unwrap().tenant, acme());
    assert!(matches!(next.await.unwrap(), Err(PastError::UnderWay { .. })), "it came before the other tenant's");
}

#[tokio::test]
async fn a_full_disk_shows_no_past() {
    let (past, _, folder) = created_at(&[1]).await;
    let live = std::fs::File::create(folder.path().join(format!("{}@1.db", Directory::NAME))).unwrap();
    // It has holes, and would be as large if it were written out.
    live.set_len(1 << 43).unwrap();
    let asked = past.at(&TenantId::default_tenant(), AsOf::Position(position(1))).await;
    assert!(matches!(asked, Err(PastError::NoRoom)));
    assert_eq!(folders(&folder), 0);
    live.set_len(1).unwrap();
    moment(&past, AsOf::Position(position(1))).await;
}

#[tokio::test]
async fn who_waits_when_the_service_stops_is_told_so() {
    let (past, _gate, _, folder) = gated(&[1]).await;
    let asked = [TenantId::default_tenant(), acme()].map(|tenant| {
        let past = past.clone();
        tokio::spawn(async move { past.at(&tenant, AsOf::Position(position(1))).await })
    });
    while past.0.makings.lock().unwrap().len() < asked.len() {
        tokio::task::yield_now().await;
    }
    past.end().await;
    for asked in asked {
        assert!(matches!(asked.await.unwrap(), Err(PastError::Ended)));
    }
    assert!(matches!(past.at(&acme(), AsOf::Position(position(1))).await, Err(PastError::Ended)));
    folders_become(&folder, 0).await;
}
