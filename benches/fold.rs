//! How fast decisions are made and histories are read back: `cargo bench --bench fold`.
//!
//! Rates come with the processor time behind them, because that is what stays the same on a machine that others use too.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on is of no use")]

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use gatebook::log::sqlite::SqliteLog;
use gatebook::log::{Append, EventLog, Expected, Followed};
use gatebook::projector::build::{self, Begin};
use gatebook_events::Aggregate;
use gatebook_events::client::{Client, ClientCommand, ClientEvent, MetadataUpdated, Party};
use gatebook_events::codec::{self, AnyEvent, Stored};
use gatebook_events::envelope::{Actor, ActorKind, CommitId, Envelope, EventId, Meta, Position, Revision, StoredEvent};
use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId, Stream, TenantId};
use gatebook_events::initial_access_token::Clamps;
use gatebook_events::metadata::{self, ClientMetadata};
use gatebook_events::registration::{Registration, RegistrationCommand, RegistrationEvent, Reinstated, Suspended};
use gatebook_events::resource_server::{Admission, Policy, RegistrationType, ResourceServer, ResourceServerCommand};
use gatebook_events::secret::TokenHash;
use gatebook_projections::{Approvals, Directory, History, Projection, ReadModel};
use serde_json::json;
use uuid::Uuid;

/// How many events are generated, unless this variable says otherwise.
const EVENTS: &str = "GATEBOOK_BENCH_EVENTS";
const DEFAULT_EVENTS: usize = 1_000_000;

fn main() {
    let count = std::env::var(EVENTS).map_or(DEFAULT_EVENTS, |text| text.parse().unwrap());
    decisions();
    let folder = std::env::var_os("GATEBOOK_BENCH_FOLDER").map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let log = generate(&folder.path().join("log.db"), count).await;
        println!("{:<52} {:>12} {:>14}", "replay", "events/s", "CPU µs/event");
        report("read and verified", &*log, async |batch| drop(batch)).await;
        in_memory(&*log, 1).await;
        in_memory(&*log, 2).await;
        folded(&*log, 1).await;
        folded(&*log, 2).await;
        into::<Directory>(&log, folder.path()).await;
        into::<History>(&log, folder.path()).await;
        into::<Approvals>(&log, folder.path()).await;
        log.close().await;
    });
}

fn decisions() {
    println!("{:<52} {:>12}", "decide and evolve", "ns/command");
    let (client, server, tenant) = (ClientKey(Uuid::now_v7()), ResourceServerId::DEFAULT, TenantId::default_tenant());
    let metadata = metadata();
    decide("client: register", &Client::default(), &register(client, metadata.clone()));
    let registered = after(Client::default(), &register(client, metadata.clone()));
    let update =
        ClientCommand::UpdateMetadata { by: Party::Holder, metadata: another_name(metadata.clone()), secret: None, ignored: vec![] };
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
    let edit = ResourceServerCommand::Edit { name: Some("tools".to_owned()), resource: None, modes: None, policy: None };
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

/// A log as a deployment leaves it: every client registers and is approved at once; of twenty, four replace their metadata,
/// one is suspended, one is suspended and reinstated.
async fn generate(path: &Path, count: usize) -> Arc<SqliteLog> {
    let log = Arc::new(SqliteLog::open(path).unwrap());
    let started = Instant::now();
    let per_writer = count / WRITERS;
    let writers: Vec<_> = (0..WRITERS).map(|_| tokio::spawn(life_of_clients(log.clone(), per_writer))).collect();
    let mut appends = 0;
    for writer in writers {
        appends += writer.await.unwrap();
    }
    let (events, took) = (log.head().await.unwrap().to_backend(), started.elapsed());
    let bytes = std::fs::metadata(path).unwrap().len() / events;
    println!("\n{events} events generated in {took:.1?} with {appends} durable appends; {bytes} bytes of file an event");
    log
}

const WRITERS: usize = 500;

async fn life_of_clients(log: Arc<SqliteLog>, count: usize) -> usize {
    let metadata = metadata();
    let (mut events, mut appends) = (0, 0);
    for number in 0.. {
        if events >= count {
            break;
        }
        let key = ClientKey(Uuid::now_v7());
        let (client, registration) = (Stream::Client(key), Stream::Registration(ResourceServerId::DEFAULT, key));
        let mut steps: Vec<(Stream, Vec<StoredEvent>)> = vec![
            (client, stored(&Client::default().decide(&register(key, metadata.clone())).unwrap())),
            (registration, stored(&Registration::default().decide(&request(key, &metadata)).unwrap())),
        ];
        let suspended = RegistrationEvent::Suspended(Suspended { reason: Some("laptop reported lost".to_owned()) });
        match number % 20 {
            2 | 7 | 12 | 17 => {
                let updated = MetadataUpdated { metadata: another_name(metadata.clone()), secret: None, ignored: vec![] };
                steps.push((client, stored(&[ClientEvent::MetadataUpdated(updated)])));
            }
            4 => steps.push((registration, stored(&[suspended]))),
            14 => {
                steps.push((registration, stored(&[suspended])));
                steps.push((registration, stored(&[RegistrationEvent::Reinstated(Reinstated::default())])));
            }
            _ => {}
        }
        let mut revisions: HashMap<Stream, Revision> = HashMap::new();
        for (stream, step) in steps {
            (events, appends) = (events + step.len(), appends + 1);
            let expected = Expected::from(revisions.get(&stream).copied());
            let append = Append { stream: stream.name(), expected, commit: CommitId(Uuid::now_v7()), events: step };
            revisions.insert(stream, log.append(append).await.unwrap().revision);
        }
    }
    appends
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
    let count = shares.iter().map(Vec::len).sum();
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

/// Into the tables of a projection that begins anew: built beside, as a rebuild does it, and brought into what serves.
async fn into<P: Projection>(log: &Arc<SqliteLog>, folder: &Path) {
    forget_peak();
    let (started, cpu) = (Instant::now(), cpu());
    let port: Arc<dyn EventLog> = log.clone();
    let Ok(built) = build::build::<P>(&port, folder, Begin::Anew, |_| {}).await else { unreachable!("it can be built") };
    let count = usize::try_from(built.position().to_backend()).unwrap();
    line(&format!("into a rebuild of {}, {} MB at most", P::NAME, peak()), count, started.elapsed(), cpu_since(cpu));
    drop(built);
    let mut serving = ReadModel::<P>::open(folder).unwrap();
    report(&format!("into the serving {}", P::NAME), &**log, async |batch| assert!(serving.apply(&batch).is_ok())).await;
}

/// Has the kernel forget the most memory that this process ever had.
fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// The most memory that it has had since, in megabytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

async fn report(what: &str, log: &dyn EventLog, mut work: impl AsyncFnMut(Vec<Envelope>)) {
    let (started, cpu) = (Instant::now(), cpu());
    let (mut following, mut count) = (log.follow(Position::START), 0);
    while let Followed::Events(events) = following.next().await.unwrap().unwrap() {
        count += events.len();
        work(events).await;
    }
    line(what, count, started.elapsed(), cpu_since(cpu));
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below the point where precision is lost")]
fn line(what: &str, count: usize, took: Duration, cpu: Duration) {
    println!("{what:<52} {:>12.0} {:>14.2}", count as f64 / took.as_secs_f64(), cpu.as_secs_f64() * 1e6 / count as f64);
}

/// The processor time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks: u64 = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}

fn cpu_since(before: Duration) -> Duration {
    cpu().saturating_sub(before)
}

fn register(key: ClientKey, metadata: ClientMetadata) -> ClientCommand {
    ClientCommand::Register {
        client_id: ClientId::of_key(key),
        registration_type: RegistrationType::Dcr,
        home: Some(TenantId::default_tenant()),
        metadata,
        secret: None,
        registration_token: Some(TokenHash([7; 32])),
        ignored: vec![],
        initial_access_token: None,
        clamps: Clamps::default(),
        imported_from: None,
        at: at(),
    }
}

fn request(key: ClientKey, metadata: &ClientMetadata) -> RegistrationCommand {
    RegistrationCommand::Request {
        tenant: TenantId::default_tenant(),
        client_id: ClientId::of_key(key),
        registration_type: RegistrationType::Dcr,
        redirect_uris: metadata.redirect_uris.clone(),
        admission: Admission::Auto,
        at: at(),
    }
}

/// What a program on somebody's machine says about itself: about 600 bytes as it is stored.
fn metadata() -> ClientMetadata {
    let request = json!({
        "client_name": "Claude Code",
        "client_uri": "https://claude.ai/code",
        "redirect_uris": ["http://localhost:33417/oauth/callback", "http://127.0.0.1:33417/oauth/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "software_id": "claude-code",
        "software_version": "2.0.14",
        "scope": "openid profile tools:read tools:write",
    });
    metadata::parse(request.as_object().unwrap().clone()).unwrap().metadata
}

fn another_name(metadata: ClientMetadata) -> ClientMetadata {
    ClientMetadata { client_name: Some("Claude Code (work)".into()), ..metadata }
}

fn stored<E: Stored>(events: &[E]) -> Vec<StoredEvent> {
    let meta = Meta {
        tenant: Some(TenantId::default_tenant()),
        actor: Actor { kind: ActorKind::Anonymous, id: None, via: Some("dcr".to_owned()) },
        request_id: Some(Uuid::now_v7().to_string()),
        causation_id: None,
        origin: Some("203.0.113.0/24".to_owned()),
    };
    let meta: Arc<str> = codec::encode_meta(&meta).unwrap().into();
    let one = |event: &E| {
        let (name, version) = event.shape();
        let data = event.encode().unwrap().into();
        StoredEvent { id: EventId(Uuid::now_v7()), name: name.into(), version, recorded_at: Utc::now(), meta: meta.clone(), data }
    };
    events.iter().map(one).collect()
}

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_770_000_000, 0).unwrap()
}
