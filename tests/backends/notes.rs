//! What nodes share beside the log, by each of those who keep it: the same promises on real NATS servers, on the fake of KurrentDB, and
//! on a real one where there is one.

use std::future::{Ready, ready};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use gatebook::cluster::kurrentdb::{Kurrent, KurrentSettings};
use gatebook::cluster::nats::{Nats, NatsSettings};
use gatebook::cluster::shared_kv::{JetStreamNotes, KurrentDbNotes, NotWritten, Notes};
use gatebook::event_log::kurrentdb::KurrentDbLog;
use gatebook::event_log::shared::SharedLog;
use gatebook_events::envelope::{Position, Revision};
use uuid::Uuid;

use crate::jetstream;
use crate::kurrentdb;
use crate::kurrentdb::fake::Fake;
use crate::nats;

/// Two nodes that share notes of their own, and the fake that keeps them, if it is one.
struct Nodes {
    one: Arc<dyn Notes>,
    other: Arc<dyn Notes>,
    fake: Option<Fake>,
}

/// Nodes, or why these keepers cannot be tried here and now.
type Found = Result<Nodes, String>;

/// Has one keeper pass every test of this file. Takes a function that gives a future of `Found`.
macro_rules! notes {
    ($place:path) => {
        crate::notes::notes!($place:
            what_one_node_writes_the_other_reads,
            of_many_who_know_the_same_one_writes,
            who_does_not_know_how_a_note_stands_writes_nothing,
            notes_do_not_mix,
            a_large_note_is_kept,
        );
    };
    ($place:path: $($test:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                match $place().await {
                    Ok(nodes) => crate::notes::$test(&nodes).await,
                    Err(reason) => crate::nats::not_run(module_path!(), &reason),
                }
            }
        )+
    };
}
use notes;

mod one_nats_server {
    crate::notes::notes!(super::on_one_nats_server);
}
mod three_nats_servers {
    crate::notes::notes!(super::on_three_nats_servers);
}
mod fake_kurrentdb {
    crate::notes::notes!(super::on_a_fake_kurrentdb);
}
mod fake_kurrentdb_of_three {
    crate::notes::notes!(super::on_three_fake_kurrentdbs);
}
mod real_kurrentdb {
    crate::notes::notes!(super::on_a_real_kurrentdb);
}

async fn on_one_nats_server() -> Found {
    by_nats(jetstream::one_server()).await
}

async fn on_three_nats_servers() -> Found {
    by_nats(jetstream::three_servers()).await
}

fn on_a_fake_kurrentdb() -> Ready<Found> {
    ready(Ok(on_fake(Fake::start(1), "esdb")))
}

fn on_three_fake_kurrentdbs() -> Ready<Found> {
    ready(Ok(on_fake(Fake::start(3), "kurrentdb")))
}

fn on_a_real_kurrentdb() -> Ready<Found> {
    ready(kurrentdb::real_uri().map(|uri| Nodes { one: by_kurrentdb(&uri), other: by_kurrentdb(&uri), fake: None }))
}

async fn by_nats(servers: &Result<nats::Nats, String>) -> Found {
    async fn node(uri: &str) -> Arc<dyn Notes> {
        let nats = Nats::connect(&NatsSettings::parse(uri).unwrap()).await.unwrap();
        let notes = JetStreamNotes::open(&nats).await.unwrap();
        // A bucket that was made a moment ago is not known to all servers yet.
        while notes.write(&format!("note-{}", Uuid::new_v4()), Bytes::new(), None).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        Arc::new(notes)
    }
    let uri = servers.as_ref().map_err(String::clone)?.uri(&format!("t{}", Uuid::new_v4().simple()));
    Ok(Nodes { one: node(&uri).await, other: node(&uri).await, fake: None })
}

fn on_fake(fake: Fake, scheme: &str) -> Nodes {
    let uri = fake.uri(scheme, "gatebook");
    Nodes { one: by_kurrentdb(&uri), other: by_kurrentdb(&uri), fake: Some(fake) }
}

fn by_kurrentdb(uri: &str) -> Arc<dyn Notes> {
    Arc::new(KurrentDbNotes::new(Kurrent::try_new(&KurrentSettings::parse(uri).unwrap()).unwrap()))
}

fn is_conflict(answer: &Result<Revision, NotWritten>) -> bool {
    matches!(answer, Err(NotWritten::Conflict))
}

async fn what_one_node_writes_the_other_reads(Nodes { one, other, .. }: &Nodes) {
    assert_eq!(one.read("turn").await.unwrap(), None);
    let first = one.write("turn", Bytes::from("mine"), None).await.unwrap();
    let seen = other.read("turn").await.unwrap().unwrap();
    assert_eq!((&*seen.text, seen.revision), (b"mine".as_slice(), first));
    let second = other.write("turn", Bytes::from("yours"), Some(first)).await.unwrap();
    let seen = one.read("turn").await.unwrap().unwrap();
    assert_eq!((&*seen.text, seen.revision), (b"yours".as_slice(), second));
    assert_ne!(first, second);
}

async fn of_many_who_know_the_same_one_writes(Nodes { one, other, .. }: &Nodes) {
    let mut known = None;
    for _ in 0..5 {
        let writers = (0..16).map(|n| if n % 2 == 0 { one } else { other }.write("race", Bytes::from(n.to_string()), known));
        let answers = join_all(writers).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        assert_eq!(answers.iter().filter(|answer| is_conflict(answer)).count(), 15, "{answers:?}");
        let number = answers.iter().position(Result::is_ok).unwrap();
        let seen = one.read("race").await.unwrap().unwrap();
        assert_eq!((&*seen.text, Some(seen.revision)), (number.to_string().as_bytes(), answers[number].as_ref().ok().copied()));
        known = Some(seen.revision);
    }
}

async fn who_does_not_know_how_a_note_stands_writes_nothing(Nodes { one, other, .. }: &Nodes) {
    let first = one.write("turn", Bytes::from("first"), None).await.unwrap();
    let second = one.write("turn", Bytes::from("second"), Some(first)).await.unwrap();
    for known in [None, Some(first)] {
        assert!(is_conflict(&other.write("turn", Bytes::from("late"), known).await), "{known:?}");
    }
    assert!(is_conflict(&other.write("nothing", Bytes::from("early"), Some(second)).await));
    assert_eq!(other.read("nothing").await.unwrap(), None);
    assert_eq!(&*one.read("turn").await.unwrap().unwrap().text, b"second");
}

async fn notes_do_not_mix(Nodes { one, other, .. }: &Nodes) {
    for key in ["document-1", "document-10", "document"] {
        one.write(key, Bytes::from(key), None).await.unwrap();
    }
    for key in ["document-1", "document-10", "document"] {
        assert_eq!(&*other.read(key).await.unwrap().unwrap().text, key.as_bytes());
    }
}

async fn a_large_note_is_kept(Nodes { one, other, .. }: &Nodes) {
    let text = Bytes::from("x".repeat(700_000));
    one.write("large", text.clone(), None).await.unwrap();
    assert!(other.read("large").await.unwrap().unwrap().text == text);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_kurrentdb_no_note_is_an_event_of_the_log_and_only_the_newest_is_kept() {
    let Nodes { one, other, fake } = on_fake(Fake::start(1), "esdb");
    let fake = fake.unwrap();
    let uri = fake.uri("esdb", "gatebook");
    let log = KurrentDbLog::open(Kurrent::try_new(&KurrentSettings::parse(&uri).unwrap()).unwrap()).await.unwrap();
    let mut known = None;
    for number in 0..9 {
        let node = if number % 2 == 0 { &one } else { &other };
        known = Some(node.write("turn", Bytes::from(number.to_string()), known).await.unwrap());
    }
    assert_eq!(fake.kept("gatebook:note-turn"), 1);
    assert_eq!(&*one.read("turn").await.unwrap().unwrap().text, b"8");
    assert_eq!(log.head().await.unwrap(), Position::START);
    let nothing = tokio::time::timeout(std::time::Duration::from_millis(500), log.follow(Position::START).next()).await;
    assert!(nothing.is_err(), "the log has {nothing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_kurrentdb_a_note_whose_answer_is_lost_is_written_all_the_same_and_once() {
    let Nodes { one, other, fake } = on_fake(Fake::start(1), "esdb");
    let first = one.write("turn", Bytes::from("first"), None).await.unwrap();
    fake.as_ref().unwrap().lose_answers(1);
    let lost = one.write("turn", Bytes::from("second"), Some(first)).await;
    assert!(matches!(lost, Err(NotWritten::Unavailable(_))), "{lost:?}");
    assert_eq!(&*other.read("turn").await.unwrap().unwrap().text, b"second");
    assert!(is_conflict(&one.write("turn", Bytes::from("third"), Some(first)).await));
}
