//! An upgrade under load: a second version of a projection is built and swapped in while clients register and are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use gatebook::bootstrap::App;
use gatebook::event_log::{Append, AppendError, Appended, EventLog, Followed, LogError, StreamEvents};
use gatebook::read_models::{Follower, OtherVersions, Projector};
use gatebook_events::client::ClientEvent;
use gatebook_events::codec::{self, AnyEvent};
use gatebook_events::envelope::{Envelope, Position, StreamName};
use gatebook_projections::{ApplyError, Projection};
use rusqlite::Transaction;

use crate::house::{DEFAULT, House, clients};

const PATIENCE: Duration = Duration::from_secs(20);
/// How many clients are there before the upgrade.
const BEFORE: i64 = 60;
/// How many come and are read before the build may go on, and how many more once it is swapped in.
const MEANWHILE: u64 = 40;

/// Which clients have registered, and which version wrote that down.
struct Arrivals<const VERSION: u32>;

/// Up to here is what was there before the upgrade; a build comes by it, and nothing else does.
static OLD: AtomicU64 = AtomicU64::new(0);
/// How many clients have come since, and were read.
static READ: AtomicU64 = AtomicU64::new(0);

impl<const VERSION: u32> Projection for Arrivals<VERSION> {
    const NAME: &'static str = "arrivals";
    const VERSION: u32 = VERSION;
    const SCHEMA: &'static str = "CREATE TABLE arrived (client TEXT NOT NULL, by INTEGER NOT NULL) STRICT;";
    const INDEXES: &'static str = "CREATE INDEX arrived_by ON arrived (by);";
    const SERVED_BY: &'static [u32] = if VERSION == 2 { &[1] } else { &[] };

    /// The client, if it is a new one.
    type Change = Option<String>;

    fn handles(event_name: &str) -> bool {
        event_name == "client.registered"
    }

    fn read(envelope: &Envelope) -> Result<Option<String>, ApplyError> {
        match codec::decode(envelope)? {
            (_, AnyEvent::Client(ClientEvent::Registered(registered))) => Ok(Some(registered.client_id.as_str().to_owned())),
            _ => Ok(None),
        }
    }

    fn apply(tx: &Transaction<'_>, envelope: &Envelope, client: &Option<String>) -> Result<(), ApplyError> {
        // The build is held up in its midst until there was enough load beside it.
        while VERSION == 2 && envelope.position.to_backend() <= OLD.load(Ordering::Acquire) && READ.load(Ordering::Acquire) < MEANWHILE {
            std::thread::yield_now();
        }
        tx.execute("INSERT INTO arrived VALUES (?1, ?2)", (client, VERSION))?;
        Ok(())
    }
}

/// The log of a service that runs, for one more projection that follows it.
struct Its(App);

#[async_trait]
impl EventLog for Its {
    async fn read(&self, stream: &StreamName) -> Result<StreamEvents, LogError> {
        self.0.log.read(stream).await
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.0.log.append(append).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<StreamName>, LogError> {
        self.0.log.streams(prefix).await
    }

    fn follow(&self, after: Position) -> BoxStream<'static, Result<Followed, LogError>> {
        self.0.log.follow(after)
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.0.log.head().await
    }
}

/// What a reader is shown: how many clients, how many different ones, who wrote the oldest of them, and how often one is there.
type Shown = (i64, i64, [u32; 2], i64);

fn look(arrivals: &Projector<Arrivals<2>>, client: &str) -> Shown {
    const LOOK: &str = "SELECT count(*), count(DISTINCT client), min(by) FILTER (WHERE rowid <= ?1), max(by) FILTER (WHERE rowid <= ?1), \
        sum(client = ?2) FROM arrived";
    let ask = |connection: &rusqlite::Connection| {
        let row =
            connection.query_row(LOOK, (BEFORE, client), |row| Ok((row.get(0)?, row.get(1)?, [row.get(2)?, row.get(3)?], row.get(4)?)));
        Ok(row?)
    };
    arrivals.reader().with(ask).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_notices_while_a_second_version_is_built_and_swapped_in() {
    let (house, folder) = (House::open().await, tempfile::tempdir().unwrap());
    for number in 0..BEFORE {
        house.registered(&format!("before {number}")).await;
    }
    let (log, head): (Arc<dyn EventLog>, _) = (Arc::new(Its(house.app.clone())), house.head().await);
    let old = Projector::<Arrivals<1>>::start(log.clone(), folder.path(), OtherVersions::Kept).unwrap();
    assert!(old.reached(head, PATIENCE).await);
    old.end();
    OLD.store(head.to_backend(), Ordering::Release);

    let new = Projector::<Arrivals<2>>::start(log.clone(), folder.path(), OtherVersions::Removed).unwrap();
    let come = async |who: usize| {
        let (mut seen, mut after) = ([0; 3], 0);
        while after < MEANWHILE / 4 {
            let answer = house.registered(&format!("{who} meanwhile")).await;
            let (client, position) = (answer.text("client_id"), answer.header("gatebook-position").parse::<Position>().unwrap());
            assert!(new.reached(position, PATIENCE).await, "what was answered is shown");
            let (all, different, [oldest, newest], mine) = look(&new, &client);
            assert_eq!((all, mine, oldest), (different, 1, newest), "each client is there once, and all tables are of one version");
            assert!(seen[2] == 0 || oldest == 2, "the older version's tables are gone once the newer ones were seen");
            seen[usize::try_from(oldest).unwrap()] += 1;
            let listed = house.admin("default").get(&format!("{}?q={client}", clients(DEFAULT))).await.is(200);
            assert_eq!(listed["clients"].as_array().unwrap().len(), 1);
            READ.fetch_add(1, Ordering::AcqRel);
            after += u64::from(oldest == 2);
        }
        seen
    };
    let seen = tokio::join!(come(1), come(2), come(3), come(4));
    for [_, by_the_older, by_the_newer] in [seen.0, seen.1, seen.2, seen.3] {
        assert!(by_the_older > 0 && by_the_newer > 0, "{seen:?}");
    }
    let progress = new.progress();
    assert!(progress.version == 2 && progress.build_failed.is_none() && progress.stopped.is_none(), "{progress:?}");
    let (all, different, versions, _) = look(&new, "");
    assert_eq!((all, versions), (different, [2, 2]));
    assert_eq!(all, BEFORE + i64::try_from(READ.load(Ordering::Acquire)).unwrap());
}
