//! A history as a deployment leaves it, of as many events as are wanted, written as fast as the disk takes it.
//!
//! Every client registers and is approved at once; of twenty, four replace their metadata, one is suspended, one is suspended and
//! reinstated. Events of five hundred clients at a time come in turns.
#![allow(dead_code, reason = "each benchmark needs a part of this")]

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use gatebook::event_log::ChainHash;
use gatebook::event_log::sqlite::SqliteLog;
use gatebook_events::Aggregate;
use gatebook_events::admission::{Admission, RegistrationType};
use gatebook_events::clamps::Clamps;
use gatebook_events::client::{Client, ClientCommand, ClientEvent, MetadataUpdated};
use gatebook_events::codec;
use gatebook_events::envelope::{Actor, ActorKind, CommitId, Envelope, EventId, Meta, Position, Revision, StoredEvent};
use gatebook_events::identity::{ClientId, ClientKey, ResourceServerId, TenantId};
use gatebook_events::metadata::{self, ClientMetadata};
use gatebook_events::registration::{AdmittedMetadata, Registration, RegistrationCommand, RegistrationEvent, Reinstated, Suspended};
use gatebook_events::secret::TokenHash;
use gatebook_events::stored::Stored;
use gatebook_events::stream::Stream;
use rusqlite::{Connection, params};
use serde_json::json;
use uuid::Uuid;

/// How many clients take turns.
const CLIENTS_AT_ONCE: usize = 500;
/// How many events are written in one transaction.
const TRANSACTION: u64 = 100_000;

/// Writes a log of about `count` events; says how many there are. Its hash chain holds.
pub fn generate(path: &Path, count: u64) -> u64 {
    let started = Instant::now();
    // Makes the file; what follows goes into its tables as the log would write it, without waiting for the disk.
    drop(SqliteLog::open(path).unwrap());
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -262144; BEGIN").unwrap();
    let mut pen = Pen { connection, position: 0, committed: 0, hash: ChainHash::START };
    let metadata = metadata();
    let mut numbers = 0..;
    let mut turns: VecDeque<Life> = VecDeque::new();
    loop {
        while pen.position < count && turns.len() < CLIENTS_AT_ONCE {
            turns.push_back(pen.begin(Life::of(numbers.next().unwrap(), &metadata)));
        }
        let Some(mut life) = turns.pop_front() else { break };
        if let Some((stream, events)) = life.steps.pop_front() {
            pen.append(&mut life, stream, events);
            turns.push_back(life);
        }
    }
    pen.connection.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let bytes = std::fs::metadata(path).unwrap().len() / pen.position;
    println!("\n{} events generated in {:.1?}; {bytes} bytes of file an event", pen.position, started.elapsed());
    pen.position
}

struct Pen {
    connection: Connection,
    position: u64,
    committed: u64,
    hash: ChainHash,
}

/// What becomes of one client.
struct Life {
    steps: VecDeque<(Stream, Vec<StoredEvent>)>,
    /// The streams with their rows' ids and how many events they have so far.
    streams: Vec<(Stream, i64, u64)>,
}

impl Life {
    fn of(number: u64, metadata: &ClientMetadata) -> Self {
        let key = ClientKey(Uuid::now_v7());
        let (client, registration) = (Stream::Client(key), Stream::Registration(ResourceServerId::DEFAULT, key));
        let mut steps = VecDeque::from([
            (client, stored(&Client::default().decide(&register(key, metadata.clone())).unwrap())),
            (registration, stored(&Registration::default().decide(&request(key, metadata)).unwrap())),
        ]);
        let suspended = RegistrationEvent::Suspended(Suspended { reason: Some("laptop reported lost".to_owned()) });
        match number % 20 {
            2 | 7 | 12 | 17 => {
                let updated =
                    MetadataUpdated { metadata: another_name(metadata.clone()), secret: None, keeps_secret: false, ignored: vec![] };
                steps.push_back((client, stored(&[ClientEvent::MetadataUpdated(updated)])));
            }
            4 => steps.push_back((registration, stored(&[suspended]))),
            14 => {
                steps.push_back((registration, stored(&[suspended])));
                steps.push_back((registration, stored(&[RegistrationEvent::Reinstated(Reinstated::default())])));
            }
            _ => {}
        }
        Self { steps, streams: Vec::new() }
    }
}

impl Pen {
    /// Counts the events of a client's streams in advance: all of them are written.
    fn begin(&self, mut life: Life) -> Life {
        for (stream, events) in &life.steps {
            match life.streams.iter_mut().find(|(known, ..)| known == stream) {
                Some((.., count)) => *count += events.len() as u64,
                None => life.streams.push((*stream, 0, events.len() as u64)),
            }
        }
        let mut insert = self.connection.prepare_cached("INSERT INTO streams (name, revision) VALUES (?1, ?2)").unwrap();
        for (stream, row, count) in &mut life.streams {
            *row = insert.insert(params![stream.name().as_str(), count.cast_signed()]).unwrap();
            *count = 0;
        }
        life
    }

    fn append(&mut self, life: &mut Life, stream: Stream, events: Vec<StoredEvent>) {
        const INSERT: &str = "INSERT INTO events (position, stream, revision, id, commit_id, hash, name, version, recorded_at, meta, data)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        let (_, row, revision) = life.streams.iter_mut().find(|(known, ..)| *known == stream).unwrap();
        let (commit, name) = (CommitId(Uuid::now_v7()), stream.name());
        for event in events {
            self.position += 1;
            *revision += 1;
            let (position, revision) = (Position::from_backend(self.position), Revision::from_backend(*revision));
            let envelope = Envelope { position, stream: name.clone(), revision, event };
            self.hash = self.hash.then(&envelope);
            let event = &envelope.event;
            let mut insert = self.connection.prepare_cached(INSERT).unwrap();
            let values = params![
                self.position.cast_signed(),
                *row,
                revision.to_backend().cast_signed(),
                event.id.0.as_bytes(),
                commit.0.as_bytes(),
                self.hash.as_bytes(),
                event.name,
                event.version,
                event.recorded_at.timestamp_micros(),
                event.meta,
                event.data,
            ];
            insert.execute(values).unwrap();
        }
        if self.position >= self.committed + TRANSACTION {
            self.committed = self.position;
            self.connection.execute_batch("COMMIT; BEGIN").unwrap();
        }
    }
}

pub fn register(key: ClientKey, metadata: ClientMetadata) -> ClientCommand {
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

pub fn request(key: ClientKey, metadata: &ClientMetadata) -> RegistrationCommand {
    RegistrationCommand::Request {
        tenant: TenantId::default_tenant(),
        client_id: ClientId::of_key(key),
        registration_type: RegistrationType::Dcr,
        redirect_uris: metadata.redirect_uris.clone(),
        metadata: Some(AdmittedMetadata::of(metadata).into()),
        admission: Admission::Auto,
        at: at(),
    }
}

/// What a program on somebody's machine says about itself: about 600 bytes as it is stored.
pub fn metadata() -> ClientMetadata {
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

pub fn another_name(metadata: ClientMetadata) -> ClientMetadata {
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

/// The most memory that this process ever had, in megabytes.
pub fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// The processor time of this process so far.
pub fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks: u64 = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}

pub fn cpu_since(before: Duration) -> Duration {
    cpu().saturating_sub(before)
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below the point where precision is lost")]
pub fn line(what: &str, count: u64, took: Duration, cpu: Duration) {
    println!("{what:<52} {:>12.0} {:>14.2}", count as f64 / took.as_secs_f64(), cpu.as_secs_f64() * 1e6 / count as f64);
}
