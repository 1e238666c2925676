//! The log in KurrentDB, mirrored here: the contract, on a fake of one node and of three that speaks KurrentDB's protocol, and on a
//! real one where `GATEBOOK_TEST_KURRENTDB` holds its connection string; and what the adapter does when the fake breaks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::join_all;
use gatebook::cluster::kurrentdb::{Kurrent, KurrentSettings};
use gatebook::event_log::kurrentdb::KurrentDbLog;
use gatebook::event_log::shared::{Commit, SharedLog};
use gatebook::event_log::sqlite::mirror::Mirror;
use gatebook::event_log::{EventLog, Expected, LogError};
use gatebook_events::envelope::Position;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};
use uuid::Uuid;

use crate::place::{Found, Place, append, events, everything, stored, stream, write};

pub mod fake;
mod generated;

use fake::Fake;

mod real {
    crate::contract::contract!(super::real);
}
mod fake_single {
    crate::contract::contract!(super::fake_single);
}
mod fake_three_nodes {
    crate::contract::contract!(super::fake_three_nodes);
}

/// A log of its own, a folder for its mirror, and the fake that keeps it, if it is one.
struct Log {
    uri: String,
    folder: TempDir,
    fake: Option<Fake>,
}

async fn real() -> Found {
    Ok(Box::new(Log { uri: real_uri()?, folder: tempfile::tempdir().unwrap(), fake: None }))
}

/// A log of its own on a real one, or why there is none.
pub fn real_uri() -> Result<String, String> {
    const VARIABLE: &str = "GATEBOOK_TEST_KURRENTDB";
    let uri = std::env::var(VARIABLE).ok().filter(|uri| !uri.is_empty());
    let uri = uri.ok_or_else(|| format!("{VARIABLE} holds no connection string of a KurrentDB"))?;
    let sign = if uri.contains('?') { '&' } else { '?' };
    Ok(format!("{uri}{sign}name=t{}", Uuid::new_v4().simple()))
}

async fn fake_single() -> Found {
    Ok(Box::new(Log::on(Fake::start(1), "esdb")))
}

async fn fake_three_nodes() -> Found {
    Ok(Box::new(Log::on(Fake::start(3), "kurrentdb")))
}

impl Log {
    fn on(fake: Fake, scheme: &str) -> Self {
        Self { uri: fake.uri(scheme, "gatebook"), folder: tempfile::tempdir().unwrap(), fake: Some(fake) }
    }

    fn fake(&mut self) -> &mut Fake {
        self.fake.as_mut().unwrap()
    }

    async fn shared(&self) -> KurrentDbLog {
        KurrentDbLog::open(Kurrent::try_new(&KurrentSettings::parse(&self.uri).unwrap()).unwrap()).await.unwrap()
    }

    /// Another node, which has read nothing yet.
    async fn elsewhere(&self) -> (Mirror, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::open(&folder.path().join("mirror.db"), Arc::new(self.shared().await), Duration::from_secs(30)).await;
        (mirror.unwrap(), folder)
    }
}

#[async_trait]
impl Place for Log {
    async fn open(&self) -> Arc<dyn EventLog> {
        let shared = Arc::new(self.shared().await);
        Arc::new(Mirror::open(&self.folder.path().join("mirror.db"), shared, Duration::from_secs(30)).await.unwrap())
    }

    fn keeps(&self) -> bool {
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_whose_answers_are_lost_is_in_once() {
    let mut place = Log::on(Fake::start(1), "esdb");
    let (log, stream) = (place.open().await, stream());
    let before = place.fake().appends();
    place.fake().lose_answers(2);
    let first = log.append(append(&stream, Expected::Empty, events(3))).await.unwrap();
    place.fake().lose_answers(1);
    log.append(append(&stream, Expected::At(first.revision), events(1))).await.unwrap();
    assert_eq!(place.fake().appends(), before + 2);
    assert_eq!(stored(&*log, &stream).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_find_whoever_leads_and_lose_nothing() {
    let mut place = Log::on(Fake::start(3), "kurrentdb");
    let log = place.open().await;
    let mut written = Vec::new();
    for round in 0..12 {
        place.fake().elect(round % 3);
        for _ in 0..5 {
            let stream = stream();
            let made = events(2);
            log.append(append(&stream, Expected::Empty, made.clone())).await.unwrap();
            written.extend(made.into_iter().map(|event| event.id));
        }
    }
    let (other, _folder) = place.elsewhere().await;
    let all = everything(&other, log.head().await.unwrap()).await;
    assert_eq!(all.iter().map(|one| one.event.id).collect::<Vec<_>>(), written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_is_left_for_the_next_one() {
    let mut place = Log::on(Fake::start(3), "kurrentdb");
    let (log, stream) = (place.open().await, stream());
    write(&*log, &stream, events(1)).await;
    place.fake().kill(0);
    place.fake().elect(1);
    write(&*log, &stream, events(2)).await;
    place.fake().run(0);
    place.fake().kill(1);
    place.fake().elect(2);
    write(&*log, &stream, events(1)).await;
    assert_eq!(stored(&*log, &stream).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_goes_away_and_comes_back_is_found_again() {
    let mut place = Log::on(Fake::start(1), "esdb");
    let (log, stream) = (place.open().await, stream());
    write(&*log, &stream, events(1)).await;
    place.fake().kill(0);
    let revision = log.read(&stream).await.unwrap().revision;
    let waiting = append(&stream, revision, events(1));
    assert!(log.append(waiting.clone()).await.is_err(), "nobody is there");
    place.fake().run(0);
    while log.append(waiting.clone()).await.is_err() {}
    write(&*log, &stream, events(1)).await;
    assert_eq!(stored(&*log, &stream).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_says_nothing_keeps_nobody_waiting_for_ever() {
    let mut place = Log::on(Fake::start(1), "esdb");
    let (log, stream) = (place.open().await, stream());
    write(&*log, &stream, events(1)).await;
    place.fake().mute(true);
    let revision = log.read(&stream).await.unwrap().revision;
    let waiting = append(&stream, revision, events(1));
    let answer = tokio::time::timeout(Duration::from_secs(20), log.append(waiting.clone())).await.unwrap();
    assert!(answer.is_err(), "{answer:?}");
    place.fake().mute(false);
    while log.append(waiting.clone()).await.is_err() {}
    assert_eq!(stored(&*log, &stream).await.len(), 2, "however often it was tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_begins_late_reads_commits_whole_across_pages() {
    let place = Log::on(Fake::start(1), "esdb");
    let log = place.open().await;
    for _ in 0..5 {
        let appends: Vec<_> = (0..100).map(|_| append(&stream(), Expected::Empty, events(3))).collect();
        join_all(appends.into_iter().map(|append| log.append(append)))
            .await
            .into_iter()
            .for_each(|answer| assert!(!answer.unwrap().duplicate));
    }
    let head = log.head().await.unwrap();
    let (other, _folder) = place.elsewhere().await;
    assert_eq!(everything(&other, head).await, everything(&*log, head).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_streams_are_none_of_the_logs_and_what_stands_in_its_own_is_named() {
    let mut place = Log::on(Fake::start(1), "esdb");
    let log = place.open().await;
    place.fake().scribble("orders-1", "{}");
    place.fake().scribble("gatebook2.client-1", "{}");
    let written = write(&*log, &stream(), events(1)).await;
    let shared = place.shared().await;
    let head = shared.head().await.unwrap();
    let mut following = shared.follow(Position::START);
    let entries = following.next().await.unwrap().unwrap();
    assert_eq!((entries.len(), entries[0].position), (1, head));
    place.fake().scribble("gatebook.client-1", "{}");
    let Err(LogError::Broken(broken)) = following.next().await.unwrap() else { panic!("it is not of the log") };
    assert_eq!(broken.stream.unwrap().as_str(), "client-1");
    assert!(following.next().await.is_none());
    assert_eq!(everything(&*log, written.position).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn our_last_event_is_found_however_much_others_wrote_since() {
    let mut place = Log::on(Fake::start(1), "esdb");
    let shared = place.shared().await;
    assert_eq!(shared.head().await.unwrap(), Position::START);
    let log = place.open().await;
    let mut last = Position::START;
    for _ in 0..3 {
        write(&*log, &stream(), events(3)).await;
        for _ in 0..2500 {
            place.fake().scribble("gatebook:note-any", "{}");
        }
        let head = shared.head().await.unwrap();
        assert!(head > last, "{head} {last}");
        last = head;
        assert_eq!((shared.head().await.unwrap(), place.shared().await.head().await.unwrap()), (head, head));
    }
    let (mut following, mut entries) = (shared.follow(Position::START), Vec::new());
    while entries.len() < 3 {
        entries.extend(following.next().await.unwrap().unwrap());
    }
    assert_eq!((entries.len(), entries[2].position), (3, last));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_begins_to_follow_anew_goes_on_behind_all_that_others_wrote_since() {
    let mut place = Log::on(Fake::start(1), "esdb");
    let shared = place.shared().await;
    shared.publish(&fresh()).await.unwrap();
    let last = shared.head().await.unwrap();
    // Days of notes, in which nobody registers anything, and what others write to the same cluster: it takes longer to pass all of it
    // than an answer may take.
    for _ in 0..60 {
        place.fake().scribble("gatebook:note-node-1", "{}");
        (0..50).for_each(|_| place.fake().scribble("orders-1", "{}"));
    }
    place.fake().take_time(Duration::from_millis(2));
    let asked = Instant::now();
    // Whoever asks for the head does not wait for all of it at once.
    let head = loop {
        if let Ok(head) = tokio::time::timeout(Duration::from_secs(1), shared.head()).await {
            break head.unwrap();
        }
        assert!(asked.elapsed() < Duration::from_secs(20), "no head");
    };
    assert_eq!(head, last);
    // What was read once is not read again.
    let mut following = shared.follow(last);
    assert_eq!(tokio::time::timeout(Duration::from_secs(2), shared.head()).await.unwrap().unwrap(), head);
    let commit = fresh();
    shared.publish(&commit).await.unwrap();
    let entries = tokio::time::timeout(Duration::from_secs(3), following.next()).await.unwrap().unwrap().unwrap();
    assert_eq!((entries.len(), entries[0].commit.id), (1, commit.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_was_never_there_passes_all_that_others_wrote_before_it_comes_to_what_is_new() {
    let mut place = Log::on(Fake::start(1), "esdb");
    let (one, commits) = (place.shared().await, [(); 2].map(|()| fresh()));
    one.publish(&commits[0]).await.unwrap();
    (0..3000).for_each(|_| place.fake().scribble("orders-1", "{}"));
    one.publish(&commits[1]).await.unwrap();
    // Longer than an answer may take, and nothing is shown on the way.
    place.fake().take_time(Duration::from_millis(2));
    let mut following = one.follow(Position::START);
    for (commit, within) in commits.iter().zip([3, 20]) {
        let entries = tokio::time::timeout(Duration::from_secs(within), following.next()).await.unwrap().unwrap().unwrap();
        assert_eq!((entries.len(), entries[0].commit.id), (1, commit.id));
    }
}

fn fresh() -> Commit {
    let append = append(&stream(), Expected::Empty, events(1));
    Commit { stream: append.stream, expected: append.expected, id: append.commit, events: append.events }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_proves_who_it_is_and_so_do_we() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let signed = |name: &str, purpose| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
    };
    let (certificate, key) = signed("localhost", ExtendedKeyUsagePurpose::ServerAuth);
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key)).client_ca_root(Certificate::from_pem(&ca));
    let fake = Fake::start_with(1, Some(tls));
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key) = signed("gatebook", ExtendedKeyUsagePurpose::ClientAuth);
    let trust = format!("{}&tlsCaFile={}", fake.uri("esdb", "gatebook"), file("ca.pem", &ca));
    let ours = format!("{trust}&userCertFile={}&userKeyFile={}", file("user.crt", &certificate), file("user.key", &key));
    let open = async |uri: &str| KurrentDbLog::open(Kurrent::try_new(&KurrentSettings::parse(uri).unwrap()).unwrap()).await;
    assert!(open(&ours).await.is_ok());
    assert!(open(&trust).await.is_err(), "it is not told who we are");
    assert!(open(&fake.uri("esdb", "gatebook")).await.is_err(), "we do not know who it is");
}
