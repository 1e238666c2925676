//! What comes in while servers and nodes die: callers who register at whichever node answers and write down what they were answered,
//! and writers who race for one stream.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gatebook::cluster::nats::{Nats, NatsSettings};
use gatebook::event_log::jetstream::JetStreamLog;
use gatebook::event_log::sqlite::mirror::Mirror;
use gatebook::event_log::{Append, AppendError, EventLog, Expected};
use gatebook_events::envelope::{CommitId, EventId, Revision, StoredEvent, StreamName};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::instance::Caller;

const CALLERS: usize = 8;
const RACERS: usize = 4;
/// Nobody hammers a service that has just refused.
const PAUSE: Duration = Duration::from_millis(20);

/// What one round's callers were answered.
#[derive(Default)]
pub struct Answers {
    /// Who is in, and since when.
    pub registered: Vec<(String, Instant)>,
    /// How many calls were refused or had no answer.
    pub failed: usize,
}

impl Answers {
    /// The longest time in which nobody's registration was answered.
    pub fn longest_silence(&self) -> Duration {
        let mut times: Vec<_> = self.registered.iter().map(|(_, at)| *at).collect();
        times.sort();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

/// Callers at work.
pub struct Load {
    stopped: Arc<AtomicBool>,
    callers: JoinSet<Answers>,
}

impl Load {
    /// Sets callers to work at these nodes.
    pub fn start(nodes: &[Caller], round: usize) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (nodes, stopped) = (nodes.to_vec(), stopped.clone());
            callers.spawn(async move {
                let mut answers = Answers::default();
                let mut turn = caller;
                while !stopped.load(Ordering::Acquire) {
                    let name = format!("client {round}-{caller}-{turn}");
                    turn += 1;
                    let body =
                        json!({ "client_name": name, "redirect_uris": ["http://127.0.0.1:7777/cb"], "token_endpoint_auth_method": "none" });
                    let call = nodes[turn % nodes.len()].call(Method::POST, "/oauth/register", Some(&body));
                    match tokio::time::timeout(Duration::from_secs(30), call).await {
                        Ok(Ok((201, answer))) => answers.registered.push((text(&answer, "client_id"), Instant::now())),
                        Ok(Ok((503, _)) | Err(_)) => {
                            answers.failed += 1;
                            tokio::time::sleep(PAUSE).await;
                        }
                        Ok(Ok((status, answer))) => panic!("{status}: {answer}"),
                        Err(late) => panic!("a call had no answer and no end: {late}"),
                    }
                }
                answers
            });
        }
        Self { stopped, callers }
    }

    /// What they were answered, once each has finished what it is at.
    pub async fn stop(mut self) -> Answers {
        self.stopped.store(true, Ordering::Release);
        let mut all = Answers::default();
        while let Some(answers) = self.callers.join_next().await {
            let Answers { registered, failed } = answers.expect("a caller was surprised");
            all.registered.extend(registered);
            all.failed += failed;
        }
        all
    }
}

fn text(answer: &Value, member: &str) -> String {
    answer[member].as_str().unwrap().to_owned()
}

/// Two mirrors of a log of their own on the same servers, and writers at both who race for one stream.
pub struct Race {
    pub mirrors: [Arc<Mirror>; 2],
    stopped: Arc<AtomicBool>,
    writers: JoinSet<()>,
    won: Won,
}

/// Who was told to have won, by what they expected.
type Won = Arc<Mutex<HashMap<Option<u64>, Vec<EventId>>>>;

impl Race {
    /// Sets writers to work.
    pub async fn start(uri: &str, folder: &Path) -> Self {
        let mut mirrors = Vec::new();
        for number in 0..2 {
            let nats = Nats::connect(&NatsSettings::parse(uri).unwrap()).await.unwrap();
            let shared = Arc::new(JetStreamLog::open(nats).await.unwrap());
            let path = folder.join(format!("race-{number}.db"));
            mirrors.push(Arc::new(Mirror::open(&path, shared, Duration::from_secs(3600)).await.unwrap()));
        }
        let (stopped, won) = (Arc::new(AtomicBool::new(false)), Won::default());
        let mut writers = JoinSet::new();
        for writer in 0..RACERS {
            let (mirror, stopped, won) = (mirrors[writer % 2].clone(), stopped.clone(), won.clone());
            writers.spawn(async move {
                while !stopped.load(Ordering::Acquire) {
                    race_once(&mirror, &won).await;
                }
            });
        }
        let Ok(mirrors) = mirrors.try_into() else { unreachable!("there are two") };
        Self { mirrors, stopped, writers, won }
    }

    /// Every one who was told so has won, alone, and at both nodes. Says how many rounds there were.
    pub async fn finish(mut self) -> usize {
        self.stopped.store(true, Ordering::Release);
        while let Some(ended) = self.writers.join_next().await {
            ended.unwrap();
        }
        // Asking for a stream that nobody wrote to has a mirror catch up.
        for mirror in &self.mirrors {
            assert_eq!(mirror.read(&StreamName(Arc::from("race-none"))).await.unwrap().revision, None);
        }
        let (left, right) = (self.mirrors[0].read(&stream()).await.unwrap(), self.mirrors[1].read(&stream()).await.unwrap());
        assert!(left.events == right.events, "the mirrors differ");
        assert_eq!(self.mirrors[0].standing().await.end, self.mirrors[1].standing().await.end);
        let won = self.won.lock().unwrap();
        for (expected, winners) in won.iter() {
            assert_eq!(winners.len(), 1, "expecting {expected:?} more than one was told to have won");
        }
        for winner in won.values().flatten() {
            assert!(left.events.iter().any(|event| event.event.id == *winner), "who was told to have won is not there");
        }
        won.len()
    }
}

async fn race_once(mirror: &Mirror, won: &Won) {
    let Ok(read) = mirror.read(&stream()).await else { return tokio::time::sleep(PAUSE).await };
    let event = StoredEvent {
        id: EventId(Uuid::now_v7()),
        name: Arc::from("raced"),
        version: 1,
        recorded_at: chrono::DateTime::UNIX_EPOCH,
        meta: Arc::from("{}"),
        data: Arc::from("{}"),
    };
    let id = event.id;
    let append =
        Append { stream: stream(), expected: Expected::from(read.revision), commit: CommitId(Uuid::now_v7()), events: vec![event] };
    let mut answer = mirror.append(append.clone()).await;
    while matches!(answer, Err(AppendError::Indeterminate(_))) {
        answer = mirror.append(append.clone()).await;
    }
    match answer {
        Ok(_) => won.lock().unwrap().entry(read.revision.map(Revision::to_backend)).or_default().push(id),
        Err(AppendError::Conflict { .. }) => {}
        Err(AppendError::Unavailable(_)) => tokio::time::sleep(PAUSE).await,
        Err(error) => panic!("{error:?}"),
    }
}

fn stream() -> StreamName {
    StreamName(Arc::from("race-1"))
}
