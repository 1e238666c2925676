//! What a mirror makes of a shared log that keeps none of its promises: the contract, on one that forgets to answer, lets everybody in
//! and says "conflict" of what it took itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use futures_util::stream::{self, BoxStream, StreamExt};
use gatebook::event_log::shared::{Commit, Entry, PublishError, Published, SharedLog};
use gatebook::event_log::sqlite::mirror::Mirror;
use gatebook::event_log::{AppendError, EventLog, Expected, LogError};
use gatebook_events::envelope::{CommitId, Position, Revision};
use tempfile::TempDir;
use tokio::sync::watch;
use uuid::Uuid;

use crate::place::{Found, Place, append, event, events, everything, is_conflict, stream};

crate::contract::contract!(place);

/// How long a node may answer by what it knows.
const BOUND: Duration = Duration::from_secs(60);

/// A shared log in memory that takes whatever comes, as often as it comes.
struct Lax {
    entries: Arc<Mutex<Vec<Entry>>>,
    count: watch::Sender<usize>,
    manners: Mutex<Manners>,
}

/// How it answers.
#[derive(Clone, Copy, PartialEq)]
enum Manners {
    /// Everything is let in and confirmed.
    LetsIn,
    /// Everything is let in, and nobody hears of it.
    Forgets,
    /// Everything is let in and called a conflict.
    CallsItConflict,
    /// Nothing is let in, and nobody hears of it.
    Loses,
}

impl Lax {
    fn new() -> Arc<Self> {
        Arc::new(Self { entries: Arc::default(), count: watch::Sender::new(0), manners: Mutex::new(Manners::LetsIn) })
    }

    fn behave(&self, manners: Manners) {
        *self.manners.lock().unwrap() = manners;
    }
}

#[async_trait]
impl SharedLog for Lax {
    fn identity(&self) -> &'static str {
        "lax"
    }

    async fn publish(&self, commit: &Commit) -> Result<Published, PublishError> {
        let manners = *self.manners.lock().unwrap();
        let lost = || PublishError::Unknown("nobody answered".into());
        if manners == Manners::Loses {
            return Err(lost());
        }
        let count = {
            let mut entries = self.entries.lock().unwrap();
            let number = entries.len() as u64 + 1;
            entries.push(Entry {
                position: Position::from_backend(number),
                revision: Revision::from_backend(number),
                commit: commit.clone(),
            });
            entries.len()
        };
        self.count.send_replace(count);
        match manners {
            Manners::Forgets | Manners::Loses => Err(lost()),
            Manners::CallsItConflict => Err(PublishError::Conflict),
            Manners::LetsIn => Ok(Published { position: Position::from_backend(count as u64), duplicate: false }),
        }
    }

    fn left_by(&self, _: &Commit, position: Position) -> Revision {
        Revision::from_backend(position.to_backend())
    }

    fn follow(&self, after: Position) -> BoxStream<'static, Result<Vec<Entry>, LogError>> {
        let done = usize::try_from(after.to_backend()).unwrap();
        stream::unfold((self.entries.clone(), self.count.subscribe(), done), |(entries, mut count, done)| async move {
            count.wait_for(|count| *count > done).await.ok()?;
            let next = entries.lock().unwrap()[done..].to_vec();
            let done = done + next.len();
            Some((Ok(next), (entries, count, done)))
        })
        .boxed()
    }

    async fn head(&self) -> Result<Position, LogError> {
        Ok(Position::from_backend(*self.count.borrow() as u64))
    }
}

struct Folder {
    shared: Arc<Lax>,
    folder: TempDir,
}

async fn place() -> Found {
    Ok(Box::new(Folder { shared: Lax::new(), folder: tempfile::tempdir().unwrap() }))
}

#[async_trait]
impl Place for Folder {
    async fn open(&self) -> Arc<dyn EventLog> {
        Arc::new(Mirror::open(&self.folder.path().join("mirror.db"), self.shared.clone(), BOUND).await.unwrap())
    }

    fn keeps(&self) -> bool {
        true
    }
}

async fn two(shared: &Arc<Lax>, folder: &TempDir) -> [Arc<Mirror>; 2] {
    let open = |name: &'static str| async move { Arc::new(Mirror::open(&folder.path().join(name), shared.clone(), BOUND).await.unwrap()) };
    [open("one.db").await, open("other.db").await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_log_that_lets_two_writers_in_has_one_winner_all_the_same() {
    let (shared, folder) = (Lax::new(), tempfile::tempdir().unwrap());
    let mirrors = two(&shared, &folder).await;
    let stream = stream();
    let mut expected = Expected::Empty;
    for round in 0..20 {
        let racing = (0..8).map(|writer| {
            let (mirror, append) = (mirrors[writer % 2].clone(), append(&stream, expected, events(1)));
            tokio::spawn(async move { mirror.append(append).await })
        });
        let answers: Vec<_> = join_all(racing).await.into_iter().map(Result::unwrap).collect();
        let winners: Vec<_> = answers.iter().flatten().collect();
        assert_eq!((winners.len(), answers.iter().filter(|answer| is_conflict(answer)).count()), (1, 7), "round {round}");
        expected = Expected::At(winners[0].revision);
    }
    let let_in = shared.entries.lock().unwrap().len();
    assert!(let_in > 20, "it let in {let_in}, and that is nobody but the winners");
    let head = mirrors[0].head().await.unwrap();
    assert_eq!(everything(&*mirrors[0], head).await, everything(&*mirrors[1], head).await);
    assert_eq!(mirrors[0].standing().await.end, mirrors[1].standing().await.end);
    assert_eq!(head.to_backend(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_was_let_in_is_answered_so_although_the_shared_log_says_otherwise_or_nothing() {
    let (shared, folder) = (Lax::new(), tempfile::tempdir().unwrap());
    let [log, _] = two(&shared, &folder).await;
    let stream = stream();
    let mut expected = Expected::Empty;
    for manners in [Manners::Forgets, Manners::CallsItConflict, Manners::Forgets] {
        shared.behave(manners);
        expected = Expected::At(log.append(append(&stream, expected, events(2))).await.unwrap().revision);
    }
    assert_eq!(log.read(&stream).await.unwrap().events.len(), 6);
    shared.behave(Manners::Loses);
    let lost = append(&stream, expected, events(1));
    assert!(matches!(log.append(lost.clone()).await, Err(AppendError::Indeterminate(_))));
    shared.behave(Manners::LetsIn);
    assert!(!log.append(lost.clone()).await.unwrap().duplicate);
    assert!(log.append(lost).await.unwrap().duplicate);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_or_an_event_that_comes_a_second_time_is_no_event() {
    let (shared, folder) = (Lax::new(), tempfile::tempdir().unwrap());
    let [log, other] = two(&shared, &folder).await;
    let (here, there) = (stream(), stream());
    let first = append(&here, Expected::Empty, events(2));
    log.append(first.clone()).await.unwrap();
    // Past the mirrors, as one would do that knows less than it thinks.
    let commit = |stream, id, events| Commit { stream, expected: Expected::Empty, id, events };
    shared.publish(&commit(here.clone(), first.commit, first.events.clone())).await.unwrap();
    shared.publish(&commit(there.clone(), first.commit, events(1))).await.unwrap();
    shared.publish(&commit(there.clone(), CommitId(Uuid::now_v7()), vec![first.events[1].clone(), event("{}")])).await.unwrap();
    assert!(log.read(&there).await.unwrap().events.is_empty());
    // The stream has entries and no events, and takes its first.
    log.append(append(&there, Expected::Empty, events(1))).await.unwrap();
    assert_eq!(other.read(&there).await.unwrap().events.len(), 1);
    assert_eq!(other.read(&here).await.unwrap().events.len(), 2);
    assert_eq!(log.standing().await.end, other.standing().await.end);
}
