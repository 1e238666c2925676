//! Versions side by side: the older one serves while the newer one is built, a build that fails changes nothing for anybody,
//! and one that was interrupted goes on.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gatebook::aggregates::{Cause, Commands};
use gatebook::event_log::memory::MemoryLog;
use gatebook::event_log::{Append, EventLog, Expected};
use gatebook::platform::clock::Clock;
use gatebook::read_models::build::{self, Begin};
use gatebook::read_models::{Follower, OtherVersions, Projector};
use gatebook_events::envelope::{Actor, ActorKind, CommitId, Envelope, EventId, Position, StoredEvent, StreamName};
use gatebook_events::projection::{EventSkipped, ProjectionName, SkipTakenBack};
use gatebook_projections::{ApplyError, Projection, ReadModel};
use rusqlite::Transaction;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(20);

/// Counts events, and says by which version each was counted. Until it is fixed, version 2 cannot apply the event `odd`.
struct Tally<const VERSION: u32, const OF: u8>;

static FIXED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

impl<const VERSION: u32, const OF: u8> Projection for Tally<VERSION, OF> {
    const NAME: &'static str = "tally";
    const VERSION: u32 = VERSION;
    const SCHEMA: &'static str = "CREATE TABLE counted (id BLOB NOT NULL, by INTEGER NOT NULL) STRICT;";
    const INDEXES: &'static str = "CREATE INDEX counted_by ON counted (by);";
    const SERVED_BY: &'static [u32] = if VERSION == 2 { &[1] } else { &[] };

    fn handles(_event_name: &str) -> bool {
        true
    }

    type Change = ();

    fn read(_envelope: &Envelope) -> Result<(), ApplyError> {
        Ok(())
    }

    fn apply(tx: &Transaction<'_>, envelope: &Envelope, (): &()) -> Result<(), ApplyError> {
        if VERSION == 2 && &*envelope.event.name == "odd" && !FIXED[usize::from(OF)].load(Ordering::Acquire) {
            return Err(rusqlite::Error::QueryReturnedNoRows.into());
        }
        tx.execute("INSERT INTO counted VALUES (?1, ?2)", (envelope.event.id.0.as_bytes(), VERSION))?;
        Ok(())
    }
}

async fn happen(log: &MemoryLog, names: &[&str]) -> Position {
    let store = |name: &&str| StoredEvent {
        id: EventId(Uuid::now_v7()),
        name: Arc::from(*name),
        version: 1,
        recorded_at: chrono::DateTime::UNIX_EPOCH,
        meta: "{}".into(),
        data: "{}".into(),
    };
    let stream = StreamName(format!("thing-{}", Uuid::now_v7()).into());
    let events = names.iter().map(store).collect();
    log.append(Append { stream, expected: Expected::Empty, commit: CommitId(Uuid::now_v7()), events }).await.unwrap().position
}

fn files(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.contains(".db-")).collect();
    names.sort();
    names
}

fn scratch<P: Projection>(events: &[Envelope]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let mut model = ReadModel::<P>::open(folder.path()).unwrap();
    model.apply(events).unwrap();
    model.dump().unwrap()
}

async fn everything(log: &MemoryLog) -> Vec<Envelope> {
    use futures_util::StreamExt;
    match log.follow(Position::START).next().await.unwrap().unwrap() {
        gatebook::event_log::Followed::Events(events) => events,
        gatebook::event_log::Followed::CaughtUp(_) => Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_version_serves_until_the_newer_one_is_built_whatever_becomes_of_the_build() {
    type Old = Tally<1, 0>;
    type New = Tally<2, 0>;
    let (folder, memory) = (tempfile::tempdir().unwrap(), Arc::new(MemoryLog::default()));
    let log: Arc<dyn EventLog> = memory.clone();
    let before = happen(&memory, &["even", "odd", "even"]).await;
    // One that tidies up could still be at it when it was told to end.
    let old = Projector::<Old>::start(log.clone(), folder.path(), OtherVersions::Kept).unwrap();
    assert!(old.reached(before, PATIENCE).await);
    old.end();
    let shown = old.reader().dump().unwrap();

    // The build comes to an event that it cannot apply. What serves goes on serving, and following.
    let new = Projector::<New>::start(log.clone(), folder.path(), OtherVersions::Removed).unwrap();
    let failed = new.until(|progress| progress.build_failed.is_some()).await.unwrap();
    assert_eq!((failed.serves, failed.version, failed.stopped.is_none()), (true, 1, true));
    let trouble = failed.build_failed.unwrap();
    assert_eq!(trouble.poison.as_ref().map(|poison| &*poison.event_name), Some("odd"), "{}", trouble.cause);
    assert_eq!(new.reader().dump().unwrap(), shown);
    let after = happen(&memory, &["even"]).await;
    assert!(new.reached(after, PATIENCE).await);
    assert_eq!(new.reader().dump().unwrap().len(), shown.len() + 1);

    // Once it is fixed it goes on, is swapped in, and the older file goes.
    FIXED[0].store(true, Ordering::Release);
    assert!(new.retry().await);
    let built = new.until(|progress| progress.version == 2).await.unwrap();
    assert!(built.build_failed.is_none() && built.position >= after);
    let last = happen(&memory, &["odd", "even"]).await;
    assert!(new.reached(last, PATIENCE).await);
    assert_eq!(new.reader().dump().unwrap(), scratch::<New>(&everything(&memory).await));
    assert_eq!(files(folder.path()), ["tally@2.db"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_file_is_kept_where_it_is_asked_for_and_serves_after_a_downgrade() {
    type Old = Tally<1, 1>;
    type New = Tally<2, 1>;
    FIXED[1].store(true, Ordering::Release);
    let (folder, memory) = (tempfile::tempdir().unwrap(), Arc::new(MemoryLog::default()));
    let log: Arc<dyn EventLog> = memory.clone();
    let first = happen(&memory, &["even", "odd"]).await;
    let old = Projector::<Old>::start(log.clone(), folder.path(), OtherVersions::Kept).unwrap();
    assert!(old.reached(first, PATIENCE).await);
    old.end();
    let new = Projector::<New>::start(log.clone(), folder.path(), OtherVersions::Kept).unwrap();
    new.until(|progress| progress.version == 2).await.unwrap();
    let second = happen(&memory, &["odd"]).await;
    assert!(new.reached(second, PATIENCE).await);
    new.end();
    assert_eq!(files(folder.path()), ["tally@1.db", "tally@2.db"]);
    let old = Projector::<Old>::start(log, folder.path(), OtherVersions::Kept).unwrap();
    let serving = old.until(|progress| progress.serves).await.unwrap();
    assert!(serving.building.is_none(), "at once, from where it was");
    assert!(old.reached(second, PATIENCE).await);
    assert_eq!(old.reader().dump().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_skipped_comes_in_once_the_skip_is_taken_back() {
    type New = Tally<2, 2>;
    let (folder, memory) = (tempfile::tempdir().unwrap(), Arc::new(MemoryLog::default()));
    let log: Arc<dyn EventLog> = memory.clone();
    happen(&memory, &["even", "odd", "even"]).await;
    let everyone = everything(&memory).await;
    let odd = everyone[1].clone();
    let commands = Commands::new(log.clone(), Clock::standing_at(chrono::DateTime::UNIX_EPOCH));
    let actor = Actor { kind: ActorKind::Admin, id: Some("ada".to_owned()), via: None };
    let cause = Cause { actor, tenant: None, request_id: None, origin: None };
    let name = ProjectionName::parse("tally").unwrap();
    let tally = Projector::<New>::start(log, folder.path(), OtherVersions::Removed).unwrap();
    tally.until(|progress| progress.stopped.is_some()).await.unwrap();
    let (event_id, reason) = (odd.event.id, "a defect of this build");
    let position = odd.position.to_string().into();
    let skip = EventSkipped { projection_version: 2, event_id, event_name: "odd".into(), position, reason: reason.into() };
    let skipped = commands.skip_event(&cause, name, skip).await.unwrap().position.unwrap();
    assert!(tally.retry().await && tally.reached(skipped, PATIENCE).await);
    let without: Vec<Envelope> = everything(&memory).await.into_iter().filter(|one| one.event.id != event_id).collect();
    assert_eq!(tally.reader().dump().unwrap(), scratch::<New>(&without));

    // A rebuild alone leaves it out again, whether the defect was mended or not.
    FIXED[2].store(true, Ordering::Release);
    let rebuilt = || tally.until(|progress| progress.building.is_none());
    assert!(tally.rebuild().await && rebuilt().await.unwrap().build_failed.is_none());
    assert_eq!(tally.reader().dump().unwrap(), scratch::<New>(&without));

    let back = SkipTakenBack { projection_version: 2, event_id, reason: "it is mended".into() };
    let position = commands.take_skip_back(&cause, name, back).await.unwrap().position.unwrap();
    assert!(tally.rebuild().await && rebuilt().await.unwrap().build_failed.is_none());
    assert!(tally.reached(position, PATIENCE).await);
    assert_eq!(tally.reader().dump().unwrap(), scratch::<New>(&everything(&memory).await));
}

/// Fails at `odd` as long as nobody put anything here.
static MENDED: Mutex<bool> = Mutex::new(false);
struct Brittle;

impl Projection for Brittle {
    const NAME: &'static str = "brittle";
    const VERSION: u32 = 1;
    const SCHEMA: &'static str = "CREATE TABLE counted (id BLOB NOT NULL) STRICT;";

    fn handles(_event_name: &str) -> bool {
        true
    }

    type Change = ();

    fn read(_envelope: &Envelope) -> Result<(), ApplyError> {
        Ok(())
    }

    fn apply(tx: &Transaction<'_>, envelope: &Envelope, (): &()) -> Result<(), ApplyError> {
        if &*envelope.event.name == "odd" && !*MENDED.lock().unwrap() {
            return Err(rusqlite::Error::QueryReturnedNoRows.into());
        }
        tx.execute("INSERT INTO counted VALUES (?1)", [envelope.event.id.0.as_bytes()])?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_build_goes_on_from_its_checkpoint_and_equals_one_from_scratch() {
    let (folder, memory) = (tempfile::tempdir().unwrap(), Arc::new(MemoryLog::default()));
    let log: Arc<dyn EventLog> = memory.clone();
    let good = happen(&memory, &["even"; 50]).await;
    happen(&memory, &["odd", "even"]).await;
    let Err(failed) = build::build::<Brittle>(&log, folder.path(), Begin::Anew, |_| {}).await else { panic!("it cannot be built") };
    assert_eq!(failed.model.unwrap().position(), good);

    *MENDED.lock().unwrap() = true;
    let heard: Arc<Mutex<Vec<Position>>> = Arc::default();
    let told = heard.clone();
    let built = build::build::<Brittle>(&log, folder.path(), Begin::WhereItWas, move |position| told.lock().unwrap().push(position)).await;
    let Ok(built) = built else { panic!("it can be built") };
    assert_eq!(heard.lock().unwrap()[0], good, "what was done is not done again");
    assert_eq!(built.dump().unwrap(), scratch::<Brittle>(&everything(&memory).await));
}
