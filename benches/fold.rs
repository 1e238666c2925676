//! How fast decisions are made and histories are read back and folded: `cargo bench --bench fold`. Into tables: `--bench rebuild`.
//!
//! Rates come with the processor time behind them, because that is what stays the same on a machine that others use too.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on is of no use")]

mod history;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use gatebook::event_log::sqlite::SqliteLog;
use gatebook::event_log::{EventLog, Followed};
use gatebook_events::Aggregate;
use gatebook_events::admission::RegistrationType;
use gatebook_events::client::{Client, ClientCommand, Party};
use gatebook_events::codec::{self, AnyEvent};
use gatebook_events::envelope::{Envelope, Position};
use gatebook_events::identity::{ClientKey, ResourceServerId, TenantId};
use gatebook_events::registration::{Registration, RegistrationCommand};
use gatebook_events::resource_server::{EffectOnExisting, Policy, ResourceServer, ResourceServerCommand};
use gatebook_events::stream::Stream;
use uuid::Uuid;

use history::{another_name, cpu, cpu_since, generate, line, metadata, register, request};

/// How many events are generated, unless this variable says otherwise.
const EVENTS: &str = "GATEBOOK_BENCH_EVENTS";
const DEFAULT_EVENTS: u64 = 1_000_000;

fn main() {
    let count = std::env::var(EVENTS).map_or(DEFAULT_EVENTS, |text| text.parse().unwrap());
    decisions();
    let folder = std::env::var_os("GATEBOOK_BENCH_FOLDER").map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let path = folder.path().join("log.db");
    generate(&path, count);
    runtime.block_on(async {
        let log = Arc::new(SqliteLog::open(&path).unwrap());
        println!("{:<52} {:>12} {:>14}", "replay", "events/s", "CPU µs/event");
        report("read and verified", &*log, async |batch| drop(batch)).await;
        in_memory(&*log, 1).await;
        in_memory(&*log, 2).await;
        folded(&*log, 1).await;
        folded(&*log, 2).await;
        log.close().await;
    });
}

fn decisions() {
    println!("{:<52} {:>12}", "decide and evolve", "ns/command");
    let (client, server, tenant) = (ClientKey(Uuid::now_v7()), ResourceServerId::DEFAULT, TenantId::default_tenant());
    let metadata = metadata();
    decide("client: register", &Client::default(), &register(client, metadata.clone()));
    let registered = after(Client::default(), &register(client, metadata.clone()));
    let update = ClientCommand::UpdateMetadata {
        by: Party::Holder,
        metadata: another_name(metadata.clone()),
        secret: None,
        keep_secret: false,
        ignored: vec![],
    };
    decide("client: replace its metadata", &registered, &update);
    decide("registration: request, approved at once", &Registration::default(), &request(client, &metadata));
    let requested = after(Registration::default(), &request(client, &metadata));
    decide("registration: suspend", &requested, &RegistrationCommand::Suspend { reason: None });
    decide("registration: approve a second time", &requested, &RegistrationCommand::Approve { reason: None });
    let create = ResourceServerCommand::Create {
        tenant,
        name: server.to_string(),
        resource: None,
        modes: RegistrationType::ALL.into(),
        policy: Policy::default(),
    };
    decide("resource server: create", &ResourceServer::default(), &create);
    let created = after(ResourceServer::default(), &create);
    let edit = ResourceServerCommand::Edit {
        name: Some("tools".to_owned()),
        resource: None,
        modes: None,
        effect_on_existing: EffectOnExisting::Keep,
        policy: None,
    };
    decide("resource server: rename", &created, &edit);
}

/// The time that one command takes: to be decided, and its events to be folded in.
fn decide<A: Aggregate + Clone>(what: &str, state: &A, command: &A::Command) {
    const ROUNDS: u32 = 200_000;
    let states = vec![state.clone(); 1000];
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let mut took = Duration::ZERO;
        for _ in 0..ROUNDS / 1000 {
            // Copies of the state are made outside of what is measured: a fold consumes the state that it is given.
            let states = black_box(states.clone());
            let started = Instant::now();
            let states: Vec<A> = states.into_iter().map(|state| after(state, black_box(command))).collect();
            took += started.elapsed();
            drop(black_box(states));
        }
        best = best.min(took);
    }
    println!("{what:<52} {:>12.0}", best.as_secs_f64() * 1e9 / f64::from(ROUNDS));
}

fn after<A: Aggregate>(state: A, command: &A::Command) -> A {
    let events = state.decide(command).unwrap();
    events.iter().fold(state, A::evolve)
}

/// Decoding and folding alone, without the log, on as many threads, each with its share of the streams.
async fn in_memory(log: &dyn EventLog, threads: usize) {
    const SOME: usize = 200_000;
    let mut shares: Vec<Vec<Envelope>> = vec![Vec::new(); threads];
    let mut following = log.follow(Position::START);
    while shares.iter().map(Vec::len).sum::<usize>() < SOME
        && let Followed::Events(events) = following.next().await.unwrap().unwrap()
    {
        for envelope in events {
            shares.get_mut(share_of(&envelope, threads)).unwrap().push(envelope);
        }
    }
    let (started, cpu) = (Instant::now(), cpu());
    let fold = |share: &Vec<Envelope>| {
        let mut fold = Fold::default();
        for envelope in share {
            fold.take(envelope);
        }
        fold
    };
    let folds: Vec<Fold> = std::thread::scope(|scope| {
        let workers: Vec<_> = shares.iter().map(|share| scope.spawn(move || fold(share))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let count = shares.iter().map(|share| share.len() as u64).sum();
    line(&format!("decoded and folded out of memory, on {threads} thread(s)"), count, started.elapsed(), cpu_since(cpu));
    drop(black_box(folds));
}

/// Which of so many shares an event's stream belongs to.
fn share_of(envelope: &Envelope, shares: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    envelope.stream.hash(&mut hasher);
    usize::try_from(hasher.finish() >> 32).unwrap() % shares
}

/// Everything from the file to the states, which are kept on as many threads, each with its share of the streams.
async fn folded(log: &dyn EventLog, threads: usize) {
    let (senders, workers): (Vec<_>, Vec<_>) = (0..threads)
        .map(|_| {
            let (sender, mut receiver) = tokio::sync::mpsc::channel::<Vec<Envelope>>(4);
            let worker = std::thread::spawn(move || {
                let mut fold = Fold::default();
                while let Some(batch) = receiver.blocking_recv() {
                    for envelope in &batch {
                        fold.take(envelope);
                    }
                }
                fold
            });
            (sender, worker)
        })
        .unzip();
    let label = format!("read, verified, decoded and folded, states on {threads} thread(s)");
    report(&label, log, async |batch| {
        let mut shares: Vec<Vec<Envelope>> = (0..threads).map(|_| Vec::with_capacity(batch.len())).collect();
        for envelope in batch {
            shares.get_mut(share_of(&envelope, threads)).unwrap().push(envelope);
        }
        for (sender, share) in senders.iter().zip(shares) {
            sender.send(share).await.unwrap();
        }
    })
    .await;
    drop(senders);
    let folds: Vec<Fold> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    let (clients, registrations) = folds.iter().fold((0, 0), |(c, r), fold| (c + fold.clients.len(), r + fold.registrations.len()));
    assert!(clients > 0 && clients == registrations, "{clients} clients with {registrations} registrations");
}

/// All states there are.
#[derive(Default)]
struct Fold {
    clients: HashMap<ClientKey, Client>,
    registrations: HashMap<(ResourceServerId, ClientKey), Registration>,
    servers: HashMap<ResourceServerId, ResourceServer>,
}

impl Fold {
    fn take(&mut self, envelope: &Envelope) {
        match codec::decode(envelope).unwrap() {
            (Stream::Client(key), AnyEvent::Client(event)) => evolve(self.clients.entry(key).or_default(), &event),
            (Stream::Registration(server, key), AnyEvent::Registration(event)) => {
                evolve(self.registrations.entry((server, key)).or_default(), &event);
            }
            (Stream::ResourceServer(id), AnyEvent::ResourceServer(event)) => evolve(self.servers.entry(id).or_default(), &event),
            (stream, event) => unreachable!("{event:?} in {stream}"),
        }
    }
}

fn evolve<A: Aggregate>(slot: &mut A, event: &A::Event) {
    *slot = std::mem::take(slot).evolve(event);
}

async fn report(what: &str, log: &dyn EventLog, mut work: impl AsyncFnMut(Vec<Envelope>)) {
    let (started, cpu) = (Instant::now(), cpu());
    let (mut following, mut count) = (log.follow(Position::START), 0);
    while let Followed::Events(events) = following.next().await.unwrap().unwrap() {
        count += events.len() as u64;
        work(events).await;
    }
    line(what, count, started.elapsed(), cpu_since(cpu));
}
