//! What belongs to a moment, and what is kept of moments.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use gatebook_events::envelope::{Actor, ActorKind, Position};
use gatebook_events::identity::{ResourceServerId, TenantId};
use gatebook_events::resource_server::{Policy, RegistrationType, ResourceServerCommand};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::clock::Clock;
use crate::command::{Cause, Commands};
use crate::log::memory::MemoryLog;

/// A past of resource servers that were created at these seconds, in this order.
async fn created_at(seconds: &[i64]) -> (Past, Commands, TempDir) {
    let (log, folder) = (Arc::new(MemoryLog::default()), tempfile::tempdir().unwrap());
    let clock = Clock::standing_at(second(0));
    let commands = Commands::new(log.clone(), clock.clone());
    for at in seconds {
        clock.set(second(*at));
        create(&commands).await;
    }
    (Past::open(log, &folder.path().join("past")).unwrap(), commands, folder)
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

fn folders(folder: &TempDir) -> usize {
    std::fs::read_dir(folder.path().join("past")).map_or(0, Iterator::count)
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
    let stranger = past.at(&TenantId::parse("acme").unwrap(), AsOf::Position(position(2))).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &stranger), "what is another tenant's is not shown");
    let tables = stranger.reader().dump().unwrap().join("\n");
    assert!(!tables.contains("server\""), "another tenant's resource servers are in it: {tables}");
    assert_eq!(folders(&folder), 4);
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
    assert_eq!(folders(&folder), MOST_KEPT + 1);
    assert_eq!(held.reader().resource_servers(&TenantId::default_tenant()).unwrap().len(), 1);
    drop(held);
    assert_eq!(folders(&folder), MOST_KEPT);
    past.end().await;
    assert_eq!(folders(&folder), 0);
}

#[tokio::test]
async fn what_an_earlier_process_left_goes_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("past/3");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("directory@4.building.db"), "half").unwrap();
    Past::open(Arc::new(MemoryLog::default()), &folder.path().join("past")).unwrap();
    assert!(!left.exists());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_long_is_told_how_far_it_is_and_finds_it_later() {
    let (past, _, _folder) = created_at(&[1]).await;
    let turn = past.0.turn.clone().acquire_owned().await.unwrap();
    let asked = past.at(&TenantId::default_tenant(), AsOf::Position(position(1))).await;
    assert!(matches!(asked, Err(PastError::UnderWay { percent: 0 })));
    drop(turn);
    assert_eq!(moment(&past, AsOf::Position(position(1))).await.last().position, position(1));
}
