//! Whatever polls, administrators and time do at the same moment, what serves changes in four ways only. The turns in which
//! they reach the log are drawn, so that a failure can be told again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use futures_util::stream::BoxStream;
use gatebook::aggregates::{Cause, CommandError, Commands};
use gatebook::application::register::rules::Guarantor;
use gatebook::event_log::memory::MemoryLog;
use gatebook::event_log::{Append, AppendError, Appended, EventLog, Followed, LogError, StreamEvents};
use gatebook::platform::clock::Clock;
use gatebook_events::admission::Status;
use gatebook_events::admission::{Admission, Lane, RegistrationType};
use gatebook_events::client::{Client, ContentHash, Document};
use gatebook_events::codec;
use gatebook_events::envelope::{Actor, ActorKind, Envelope, Position, StreamName};
use gatebook_events::identity::{ChangeId, ClientId, ResourceServerId, TenantId};
use gatebook_events::registration::{Registration, RegistrationCommand, RegistrationEvent};
use gatebook_events::resource_server::{Admissions, ManifestRules, Policy, ResourceServerCommand};
use gatebook_events::stored::Stored;
use gatebook_events::stream::Stream;
use gatebook_events::{Aggregate, metadata};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

const URIS: [&str; 4] = ["https://a.example/cb", "https://b.example/cb", "https://c.example/cb", "https://d.example/cb"];
const SERVER: ResourceServerId = ResourceServerId::DEFAULT;

/// One thing that somebody does.
#[derive(Debug, Clone)]
enum Step {
    /// The document is read and claims these; one that claims what an earlier one claimed is a reverted one.
    Poll(Vec<&'static str>),
    /// The client is met at a door, for the first time or once more.
    Admit,
    Approve(Which),
    Reject(Which),
    /// To the version with this number, if there is one.
    RollBack(u32),
    /// Some hours later, what is ripe serves.
    Ripen,
}

/// Which change an administrator has in mind.
#[derive(Debug, Clone)]
enum Which {
    /// The one that waited when they looked.
    Seen,
    /// One that waited at some time before.
    Earlier(usize),
    /// Whichever waits.
    Any,
}

fn step() -> impl Strategy<Value = Step> {
    let which = || prop_oneof![3 => Just(Which::Seen), 2 => (0..8_usize).prop_map(Which::Earlier), 1 => Just(Which::Any)];
    prop_oneof![
        8 => subsequence(URIS.to_vec(), 1..=4).prop_map(Step::Poll),
        1 => Just(Step::Admit),
        5 => which().prop_map(Step::Approve),
        2 => which().prop_map(Step::Reject),
        2 => (1..5_u32).prop_map(Step::RollBack),
        2 => Just(Step::Ripen),
    ]
}

/// A log at which everybody waits for a while before each of their turns.
struct Turns {
    log: MemoryLog,
    waits: Mutex<VecDeque<u8>>,
}

impl Turns {
    async fn wait(&self) {
        let turns = {
            let mut waits = self.waits.lock().unwrap();
            waits.rotate_left(1);
            waits.back().copied().unwrap_or_default()
        };
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl EventLog for Turns {
    async fn read(&self, stream: &StreamName) -> Result<StreamEvents, LogError> {
        self.wait().await;
        self.log.read(stream).await
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.wait().await;
        self.log.append(append).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<StreamName>, LogError> {
        self.log.streams(prefix).await
    }

    fn follow(&self, after: Position) -> BoxStream<'static, Result<Followed, LogError>> {
        self.log.follow(after)
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.log.head().await
    }
}

/// One client and one resource server, and everybody who has to do with them.
struct Scene {
    log: Arc<Turns>,
    commands: Commands,
    clock: Clock,
    /// Every change that anybody saw waiting.
    seen: Mutex<Vec<ChangeId>>,
    /// What was asked, by the request id that its events carry, and whether it was refused.
    #[expect(clippy::type_complexity, reason = "read in one place")]
    asked: Mutex<Vec<(String, Step, Option<ChangeId>, bool)>>,
}

impl Scene {
    async fn set_up(lane: Lane, admission: Admission, waits: Vec<u8>) -> Self {
        let log = Arc::new(Turns { log: MemoryLog::default(), waits: Mutex::new(waits.into()) });
        let clock = Clock::standing_at(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let commands = Commands::new(log.clone(), clock.clone());
        let admission = Admissions { cimd: admission, ..Admissions::default() };
        let create = ResourceServerCommand::Create {
            tenant: tenant(),
            name: "default".to_owned(),
            resource: None,
            modes: RegistrationType::ALL.into(),
            policy: Policy { manifests: ManifestRules { lane, soak_hours: 3, ..ManifestRules::default() }, admission, ..Policy::default() },
        };
        commands.create_resource_server(&cause("setup"), SERVER, &create).await.unwrap();
        commands.see_document(&cause("setup"), &client_id(), &[], document(&URIS[..2])).await.unwrap();
        Self { log, commands, clock, seen: Mutex::default(), asked: Mutex::default() }
    }

    /// Does one thing after the other, while others do theirs.
    async fn carry_out(&self, who: usize, steps: &[Step]) {
        for (number, step) in steps.iter().enumerate() {
            let request = format!("{who}/{number}");
            let which = match step {
                Step::Approve(which) | Step::Reject(which) => self.which(which).await,
                _ => None,
            };
            let refused = match self.take(&cause(&request), step, which).await {
                Ok(()) => false,
                Err(CommandError::Rejected(_)) => true,
                Err(error) => panic!("{step:?}: {error}"),
            };
            self.asked.lock().unwrap().push((request, step.clone(), which, refused));
        }
    }

    async fn take(&self, cause: &Cause, step: &Step, which: Option<ChangeId>) -> Result<(), CommandError> {
        let decide = async |command| {
            let place = (SERVER, client_id().key());
            self.commands.decide_registration(cause, &tenant(), place, &command, None).await.map(drop)
        };
        match step {
            Step::Poll(uris) => {
                let seen = self.commands.see_document(cause, &client_id(), &[], document(uris)).await?;
                self.commands.follow_document(cause, SERVER, &seen.state).await.map(drop)
            }
            Step::Admit => {
                let client: Client = self.commands.load(Stream::Client(client_id().key())).await?;
                let profile = client.registered().ok_or(gatebook_events::Rejection::NoSuchClient)?;
                let parsed = metadata::Parsed { metadata: profile.metadata.clone(), ignored: vec![] };
                let welcome = self.commands.rules(SERVER).await?.judge(RegistrationType::Cimd, Guarantor::Nobody, parsed)?;
                self.commands.bind(cause, &welcome, &client, false).await.map(drop)
            }
            Step::Approve(_) => {
                decide(RegistrationCommand::Approve { reason: None }).await?;
                decide(RegistrationCommand::ApproveRedirects { change_id: which }).await
            }
            Step::Reject(_) => decide(RegistrationCommand::RejectRedirects { change_id: which, reason: None }).await,
            Step::RollBack(version) => {
                let place = (SERVER, client_id().key());
                self.commands.roll_back(cause, &tenant(), place, *version, None).await.map(drop)
            }
            Step::Ripen => {
                self.clock.advance(TimeDelta::hours(2));
                self.commands.ripen(cause, SERVER, client_id().key()).await.map(drop)
            }
        }
    }

    async fn which(&self, which: &Which) -> Option<ChangeId> {
        let state: Registration = self.commands.load(Stream::Registration(SERVER, client_id().key())).await.unwrap();
        let mut seen = self.seen.lock().unwrap();
        let waits = state.staged.map(|staged| staged.change_id);
        seen.extend(waits);
        match which {
            Which::Seen => Some(waits.unwrap_or(ChangeId(Uuid::nil()))),
            Which::Earlier(number) => Some(seen.get(number % seen.len().max(1)).copied().unwrap_or(ChangeId(Uuid::nil()))),
            Which::Any => None,
        }
    }

    /// What happened to the registration, and who asked for it.
    async fn story(&self) -> Vec<(String, DateTime<Utc>, RegistrationEvent)> {
        let stream = Stream::Registration(SERVER, client_id().key()).name();
        let told = |Envelope { event, .. }: &Envelope| {
            let request = codec::decode_meta(&event.meta).unwrap().request_id.unwrap();
            (request, event.recorded_at, RegistrationEvent::decode(&event.name, event.version, &event.data).unwrap())
        };
        self.log.log.read(&stream).await.unwrap().events.iter().map(told).collect()
    }

    /// Every event of the registration, held against the rule and against what was asked.
    async fn check(&self, lane: Lane) -> Result<(), TestCaseError> {
        let asked = self.asked.lock().unwrap().clone();
        let story = self.story().await;
        let mut state = Registration::default();
        for (request, at, event) in &story {
            let by = asked.iter().find(|(id, ..)| id == request).map(|(_, step, which, _)| (step, *which));
            let before = state.clone();
            state = state.evolve(event);
            if let RegistrationEvent::RedirectsApproved(approved) = event {
                let current = before.staged.as_ref().map(|staged| staged.change_id);
                prop_assert_eq!(current, Some(approved.change_id), "what was approved did not wait");
                match by {
                    Some((Step::Approve(_), which)) => prop_assert_eq!(which.unwrap_or(approved.change_id), approved.change_id),
                    // Whoever registers or goes back lets the registration hear what was read meanwhile.
                    Some((Step::Poll(_) | Step::Admit | Step::RollBack(_), _)) => prop_assert!(approved.by_policy && lane == Lane::Live),
                    Some((Step::Ripen, _)) => {
                        let serves_at = before.staged.as_ref().and_then(|staged| staged.serves_at);
                        prop_assert!(approved.by_policy && serves_at.is_some_and(|serves_at| serves_at <= *at));
                    }
                    other => prop_assert!(false, "{other:?} approved a change"),
                }
            }
            if state.redirect_uris == before.redirect_uris {
                continue;
            }
            let less = state.redirect_uris.without(&before.redirect_uris).is_empty();
            match event {
                RegistrationEvent::Requested(_) => prop_assert!(matches!(before.status, Status::None | Status::Pending)),
                RegistrationEvent::RedirectsApproved(_) => {}
                RegistrationEvent::RedirectsNarrowed(_) => prop_assert!(less && lane != Lane::Pinned),
                RegistrationEvent::RolledBack(_) => prop_assert!(matches!(by, Some((Step::RollBack(_), _)))),
                other => prop_assert!(false, "{other:?} changed what serves"),
            }
        }
        for (request, step, which, refused) in &asked {
            let caused: Vec<_> = story.iter().filter(|(id, ..)| id == request).map(|(.., event)| event).collect();
            let settles = caused.iter().any(|event| match event {
                RegistrationEvent::RedirectsApproved(_) => matches!(step, Step::Approve(_)),
                RegistrationEvent::RedirectsRejected(_) => true,
                _ => false,
            });
            prop_assert!(!(*refused && settles), "{step:?} of {which:?} was refused and led to {caused:?}");
        }
        let kept: Registration = self.commands.load(Stream::Registration(SERVER, client_id().key())).await.unwrap();
        prop_assert_eq!(&kept, &state);
        // Whoever was last, the registration has heard what the document says now.
        let client: Client = self.commands.load(Stream::Client(client_id().key())).await.unwrap();
        let again = self.commands.follow_document(&cause("again"), SERVER, &client).await.unwrap();
        prop_assert_eq!(again.position, None, "the newest version was not heard: {:?}", self.story().await);
        Ok(())
    }
}

fn tenant() -> TenantId {
    TenantId::default_tenant()
}

pub fn client_id() -> ClientId {
    ClientId::parse("https://app.example/client.json").unwrap()
}

fn cause(request: &str) -> Cause {
    let actor = Actor { kind: ActorKind::System, id: None, via: None };
    Cause { actor, tenant: Some(tenant()), request_id: Some(request.to_owned()), origin: None }
}

pub fn document(uris: &[&str]) -> Document {
    let text = json!({ "redirect_uris": uris, "token_endpoint_auth_method": "none" });
    let metadata = metadata::parse(text.as_object().unwrap().clone()).unwrap().metadata;
    let text = text.to_string();
    let content_hash = ContentHash::of_digest(Sha256::digest(text.as_bytes()).into());
    Document { content_hash, text: text.into(), metadata, warnings: vec![], left_out: vec![], ignored: vec![] }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn under_concurrent_polls_approvals_rejections_and_reverts_what_serves_changes_only_by_the_rule(
        lane in select(vec![Lane::Staged, Lane::Live, Lane::Soak, Lane::Pinned]),
        admission in select(vec![Admission::Auto, Admission::Review]),
        mut everybody in vec(vec(step(), 1..8), 2..5),
        waits in vec(0..4_u8, 1..40),
    ) {
        // It is met at a door while the others are at work.
        everybody[0].insert(0, Step::Admit);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let scene = Scene::set_up(lane, admission, waits).await;
            join_all(everybody.iter().enumerate().map(|(who, steps)| scene.carry_out(who, steps))).await;
            scene.check(lane).await
        })?;
    }
}
