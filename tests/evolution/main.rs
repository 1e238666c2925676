//! The log outlives every build: one that an earlier build wrote is opened, verified, read, rebuilt and continued by this one.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

#[allow(dead_code, reason = "the house of the API's own tests; not every part of it is needed here")]
#[path = "../api/answer.rs"]
mod answer;
#[allow(dead_code, reason = "the author of the tests about documents; not every part of it is needed here")]
#[path = "../documents/author.rs"]
mod author;
#[allow(dead_code, reason = "the house of the API's own tests; not every part of it is needed here")]
#[path = "../api/house.rs"]
mod house;

mod answers;
mod kept;
#[allow(dead_code, reason = "its `main` is for whoever runs it")]
#[path = "../../examples/projection/src/main.rs"]
mod projection;
mod tally;
mod write;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use gatebook::event_log::sqlite::SqliteLog;
use gatebook::event_log::{EventLog, Followed};
use gatebook_events::client::ClientEvent;
use gatebook_events::envelope::{Envelope, Position};
use gatebook_events::initial_access_token::InitialAccessTokenEvent;
use gatebook_events::projection::ProjectionEvent;
use gatebook_events::registration::RegistrationEvent;
use gatebook_events::reservation::ReservationEvent;
use gatebook_events::resource_server::ResourceServerEvent;
use gatebook_events::service_token::ServiceTokenEvent;
use gatebook_events::stored::Stored;
use gatebook_events::webhook::WebhookEvent;
use tempfile::TempDir;

/// The folders of `tests/fixtures`, each with a log that an earlier build wrote.
fn fixtures() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(fixtures_folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.join("log.db").exists());
    folders.sort();
    folders
}

fn fixtures_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// A data folder with a copy of the log.
fn copy(fixture: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::copy(fixture.join("log.db"), data.join("log.db")).unwrap();
    folder
}

/// How many events there are, if the chain holds from the first to the last.
fn verified(data: &Path) -> u64 {
    SqliteLog::open_read_only(&data.join("log.db")).unwrap().verify(|_, _| ()).unwrap().events
}

/// Every event of the log.
async fn events(data: &Path) -> Vec<Envelope> {
    let log = SqliteLog::open_read_only(&data.join("log.db")).unwrap();
    let mut following = log.follow(Position::START);
    let mut all = Vec::new();
    while let Followed::Events(events) = following.next().await.unwrap().unwrap() {
        all.extend(events);
    }
    all
}

/// The name and newest version of every event.
fn shapes() -> BTreeSet<(&'static str, u16)> {
    let events = [
        ClientEvent::SHAPES,
        RegistrationEvent::SHAPES,
        ResourceServerEvent::SHAPES,
        InitialAccessTokenEvent::SHAPES,
        ReservationEvent::SHAPES,
        ProjectionEvent::SHAPES,
        ServiceTokenEvent::SHAPES,
        WebhookEvent::SHAPES,
    ];
    events.into_iter().flatten().copied().collect()
}
