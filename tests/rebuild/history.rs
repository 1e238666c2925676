//! Random histories: what anyone, holders and administrators of two tenants might do, in any order, sensible or not.
//! Why this file is long: every command of every aggregate has its part in the histories.

use std::cell::RefCell;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use futures_util::StreamExt;
use gatebook::aggregates::{Cause, CommandError, Commands};
use gatebook::application::register::DrawnHashes;
use gatebook::application::register::rules::{Guarantor, Welcome};
use gatebook::credentials::secrets::InitialAccessToken;
use gatebook::event_log::memory::MemoryLog;
use gatebook::event_log::{EventLog, Followed};
use gatebook::platform::clock::Clock;
use gatebook_events::admission::{Admission, CapOf, RegistrationType, Revival};
use gatebook_events::clamps::Clamps;
use gatebook_events::client::{ClientCommand, ClientEvent, ContentHash, Document, Withdrawal};
use gatebook_events::envelope::{Actor, ActorKind, Envelope, EventId, Position};
use gatebook_events::identity::{ClientId, ClientKey, InitialAccessTokenId, ResourceServerId, ServiceTokenId, TenantId, WebhookId};
use gatebook_events::initial_access_token::{InitialAccessTokenCommand, InitialAccessTokenEvent};
use gatebook_events::metadata::{self, GrantType, Parsed};
use gatebook_events::projection::{EventSkipped, ProjectionEvent, ProjectionName, SkipTakenBack};
use gatebook_events::redirect::WebUri;
use gatebook_events::registration::{RegistrationCommand, RegistrationEvent};
use gatebook_events::reservation::ReservationEvent;
use gatebook_events::resource_server::{Admissions, EffectOnExisting, Fill, Instances, Policy, ResourceServerCommand, ResourceServerEvent};
use gatebook_events::secret::{KeptSecret, Rotation, SecretHash, TokenHash};
use gatebook_events::service_token::{self, ServiceScope, ServiceTokenEvent};
use gatebook_events::stored::Stored;
use gatebook_events::stream::Stream;
use gatebook_events::webhook::{self, DisabledBecause, Start, WebhookCommand, WebhookEvent, WebhookUrl, Wish};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use uuid::Uuid;

/// The redirect URIs that clients choose from.
const URIS: [&str; 4] =
    ["https://a.example.com/cb", "https://b.example.com/cb", "http://127.0.0.1:4000/cb", "https://c.example.net/deep/cb?x=1"];

/// The names that clients choose from; one of them sorts and searches in its own way.
const NAMES: [&str; 4] = ["Claude Code", "Ångström ´n' | \"quoted\"", "codex", "Zed"];

/// One thing that happens. Numbers pick one of what there is.
#[derive(Debug, Clone)]
pub enum Step {
    Create {
        tenant: usize,
        review: bool,
        resource: Option<usize>,
    },
    Edit {
        server: usize,
        edit: Edit,
    },
    Retire {
        server: usize,
    },
    /// So many of ten places are taken.
    Fill {
        server: usize,
        count: u64,
    },
    Register {
        server: Option<usize>,
        says: Says,
    },
    Enter {
        server: usize,
        says: Says,
    },
    /// An entry is asked for once more, as after a crash between its two appends.
    Complete {
        client: usize,
    },
    Update {
        client: usize,
        says: Says,
    },
    Delete {
        client: usize,
    },
    Decide {
        client: usize,
        decision: usize,
    },
    /// A client is suspended with all that are alike; `lifted` at once, or not.
    SuspendFamily {
        client: usize,
        lifted: bool,
    },
    /// Nobody used a client for long.
    Idle {
        client: usize,
    },
    /// Whoever fell dormant last is used.
    Use,
    Rotate {
        client: usize,
        overlap: bool,
    },
    /// The old secret ends of whoever got a new one last.
    RevokeOld,
    NewToken {
        client: usize,
    },
    /// An initial access token is issued, for so many uses, and beside it a service token and a webhook.
    Issue {
        server: usize,
        max_uses: Option<u32>,
    },
    /// Somebody registers with an initial access token.
    RegisterWith {
        token: usize,
        says: Says,
    },
    EndToken {
        token: usize,
    },
    /// The document of a client is read, its client comes to a resource server, and every registration hears it.
    Read {
        document: usize,
        server: usize,
        says: Says,
    },
    /// An administrator enters the text of a document, whose client comes to a resource server of theirs.
    EnterText {
        document: usize,
        server: usize,
        says: Says,
    },
    /// The document of a client is out of reach, or was taken away.
    Miss {
        document: usize,
        gone: bool,
    },
    /// An administrator goes back to an earlier version of a document.
    Back {
        document: usize,
        version: u32,
    },
    Wait {
        seconds: i64,
    },
    /// The read models are brought so many events further.
    Show(usize),
    /// An operator has a projection leave out an event that nobody here has.
    Skip,
    /// The read models are closed and opened again.
    Reopen,
    /// The read models are built anew beside the ones that serve, while more happens.
    Rebuild,
}

#[derive(Debug, Clone)]
pub enum Edit {
    Name(usize),
    Resource(Option<usize>),
    Modes { dcr: bool, prereg: bool, suspend: bool },
    Policy { review: bool, changes_serve_at_once: bool, share: bool, look_again: bool },
}

/// What a client says about itself.
#[derive(Debug, Clone)]
pub struct Says {
    name: Option<usize>,
    uris: Vec<usize>,
    method: usize,
}

/// A history of some length.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 20..120)
}

fn step() -> impl Strategy<Value = Step> {
    let some = || 0..64_usize;
    prop_oneof![
        2 => (0..2_usize, any::<bool>(), proptest::option::of(0..3_usize))
            .prop_map(|(tenant, review, resource)| Step::Create { tenant, review, resource }),
        3 => (some(), edit()).prop_map(|(server, edit)| Step::Edit { server, edit }),
        1 => some().prop_map(|server| Step::Retire { server }),
        2 => (some(), 5..10_u64).prop_map(|(server, count)| Step::Fill { server, count }),
        8 => (proptest::option::weighted(0.9, some()), says()).prop_map(|(server, says)| Step::Register { server, says }),
        4 => (some(), says()).prop_map(|(server, says)| Step::Enter { server, says }),
        1 => some().prop_map(|client| Step::Complete { client }),
        6 => (some(), says()).prop_map(|(client, says)| Step::Update { client, says }),
        1 => some().prop_map(|client| Step::Delete { client }),
        14 => (some(), 0..8_usize).prop_map(|(client, decision)| Step::Decide { client, decision }),
        2 => (some(), any::<bool>()).prop_map(|(client, lifted)| Step::SuspendFamily { client, lifted }),
        4 => some().prop_map(|client| Step::Idle { client }),
        4 => Just(Step::Use),
        3 => (some(), any::<bool>()).prop_map(|(client, overlap)| Step::Rotate { client, overlap }),
        3 => Just(Step::RevokeOld),
        1 => some().prop_map(|client| Step::NewToken { client }),
        2 => (some(), proptest::option::of(1..4_u32)).prop_map(|(server, max_uses)| Step::Issue { server, max_uses }),
        4 => (some(), says()).prop_map(|(token, says)| Step::RegisterWith { token, says }),
        1 => some().prop_map(|token| Step::EndToken { token }),
        6 => (0..3_usize, some(), says()).prop_map(|(document, server, says)| Step::Read { document, server, says }),
        4 => (0..3_usize, some(), says()).prop_map(|(document, server, says)| Step::EnterText { document, server, says }),
        2 => (0..3_usize, any::<bool>()).prop_map(|(document, gone)| Step::Miss { document, gone }),
        2 => (0..3_usize, 1..4_u32).prop_map(|(document, version)| Step::Back { document, version }),
        4 => (0..100_000_i64).prop_map(|seconds| Step::Wait { seconds }),
        10 => (1..12_usize).prop_map(Step::Show),
        1 => Just(Step::Skip),
        1 => Just(Step::Reopen),
        1 => Just(Step::Rebuild),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (0..4_usize).prop_map(Edit::Name),
        proptest::option::of(0..3_usize).prop_map(Edit::Resource),
        any::<(bool, bool, bool)>().prop_map(|(dcr, prereg, suspend)| Edit::Modes { dcr, prereg, suspend }),
        any::<(bool, bool, bool, bool)>().prop_map(|(review, changes_serve_at_once, share, look_again)| Edit::Policy {
            review,
            changes_serve_at_once,
            share,
            look_again
        }),
    ]
}

fn says() -> impl Strategy<Value = Says> {
    (proptest::option::weighted(0.8, 0..4_usize), vec(0..4_usize, 1..4), 0..3_usize).prop_map(|(name, uris, method)| Says {
        name,
        uris,
        method,
    })
}

/// Every name that an event may be stored under.
pub fn every_name() -> Vec<&'static str> {
    let shapes = [
        ClientEvent::SHAPES,
        RegistrationEvent::SHAPES,
        ResourceServerEvent::SHAPES,
        InitialAccessTokenEvent::SHAPES,
        ReservationEvent::SHAPES,
        ProjectionEvent::SHAPES,
        ServiceTokenEvent::SHAPES,
        WebhookEvent::SHAPES,
    ]
    .concat();
    shapes.into_iter().map(|(name, _)| name).collect()
}

/// The commands on a log in memory, and who has come so far.
pub struct House {
    log: Arc<MemoryLog>,
    commands: Commands,
    clock: Clock,
    runtime: Runtime,
    known: RefCell<Known>,
}

#[derive(Default)]
struct Known {
    servers: Vec<(TenantId, ResourceServerId)>,
    clients: Vec<(ClientKey, Option<(TenantId, ResourceServerId)>)>,
    rotated: Option<(ClientKey, (TenantId, ResourceServerId))>,
    idle: Option<(ResourceServerId, ClientKey)>,
    /// Where the clients of documents are registered.
    hosted: Vec<(ClientId, TenantId, ResourceServerId)>,
    tokens: Vec<(TenantId, ResourceServerId, InitialAccessTokenId, InitialAccessToken)>,
    services: Vec<(TenantId, ServiceTokenId)>,
    hooks: Vec<(TenantId, WebhookId)>,
}

impl House {
    pub fn new() -> Self {
        let log = Arc::new(MemoryLog::default());
        let clock = Clock::standing_at(DateTime::from_timestamp_micros(1_800_000_000_123_456).unwrap());
        let commands = Commands::new(log.clone(), clock.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let house = Self { log, commands, clock, runtime, known: RefCell::default() };
        house.take(&Step::Create { tenant: 0, review: false, resource: None });
        house
    }

    /// Every event so far.
    pub fn events(&self) -> Vec<Envelope> {
        self.runtime.block_on(async {
            let mut all = Vec::new();
            let mut following = self.log.follow(Position::START);
            while let Followed::Events(events) = following.next().await.unwrap().unwrap() {
                all.extend(events);
            }
            all
        })
    }

    /// Does what a step says. What the rules refuse does not happen.
    pub fn take(&self, step: &Step) {
        self.clock.advance(TimeDelta::microseconds(1_001));
        let mut known = self.known.borrow_mut();
        self.runtime.block_on(self.carry_out(step, &mut known));
    }

    #[expect(clippy::too_many_lines, reason = "one step an arm")]
    async fn carry_out(&self, step: &Step, known: &mut Known) {
        let commands = &self.commands;
        let admin = |tenant: &TenantId| cause(ActorKind::Admin, Some("ada"), Some(tenant.clone()));
        let server = |pick: usize| known.servers.get(pick % known.servers.len().max(1)).cloned();
        let client = |pick: usize| known.clients.get(pick % known.clients.len().max(1)).cloned();
        match step {
            Step::Create { tenant, review, resource } => {
                let (tenant, id) = (tenant_of(*tenant), ResourceServerId(Uuid::now_v7()));
                let command = ResourceServerCommand::Create {
                    tenant: tenant.clone(),
                    name: format!("server {}", known.servers.len()),
                    resource: resource.map(web),
                    modes: RegistrationType::ALL.into(),
                    policy: policy(*review, false),
                };
                if commands.create_resource_server(&admin(&tenant), id, &command).await.is_ok() {
                    known.servers.push((tenant, id));
                }
            }
            Step::Edit { server: pick, edit } => {
                let Some((tenant, id)) = server(*pick) else { return };
                let command = edit.command();
                let _refused = commands.change_resource_server(&admin(&tenant), &tenant, id, &command).await;
            }
            Step::Retire { server: pick } => {
                // The first one stays, or soon nothing would happen any more.
                let Some((tenant, id)) = server(*pick).filter(|one| *one != known.servers[0]) else { return };
                let command = ResourceServerCommand::Retire { reason: Some("no longer needed".to_owned()) };
                let _refused = commands.change_resource_server(&admin(&tenant), &tenant, id, &command).await;
            }
            Step::Fill { server: pick, count } => {
                let Some((_, id)) = server(*pick) else { return };
                let cap = NonZeroU32::new(10).unwrap();
                commands.note_fill(id, || Fill { of: CapOf::ResourceServer, cap, count: *count }).await;
            }
            Step::Register { server: pick, says } => {
                let at = pick.and_then(server);
                let anyone = cause(ActorKind::Anonymous, None, None);
                let entered = match &at {
                    None => commands.register_unbound(&anyone, says.parsed(), hashes()).await,
                    Some((_, id)) => match welcome(commands, *id, RegistrationType::Dcr, Guarantor::Nobody, says.parsed()).await {
                        Ok(welcome) => commands.register_self(&anyone, welcome, hashes()).await,
                        Err(refused) => Err(refused),
                    },
                };
                if let Ok(entered) = entered {
                    known.clients.push((entered.profile.client_id.key(), at));
                }
            }
            Step::Enter { server: pick, says } => {
                let Some(at) = server(*pick) else { return };
                let key = Commands::draw_client_key();
                let welcome = welcome(commands, at.1, RegistrationType::Prereg, Guarantor::Administrator, says.parsed()).await;
                let Ok(welcome) = welcome else { return };
                if commands.preregister(&admin(&at.0), key, welcome, hashes()).await.is_ok() {
                    known.clients.push((key, Some(at)));
                }
            }
            Step::Complete { client: pick } => {
                let Some((key, Some((tenant, id)))) = client(*pick) else { return };
                let state: gatebook_events::client::Client = commands.load(Stream::Client(key)).await.unwrap();
                let Some(profile) = state.registered() else { return };
                let rules = commands.rules(id).await.unwrap();
                let _refused = commands.complete(&admin(&tenant), &rules, key, profile).await;
            }
            Step::Update { client: pick, says } => {
                let Some((key, at)) = client(*pick) else { return };
                let at: Vec<ResourceServerId> = at.into_iter().map(|(_, id)| id).collect();
                let holder = cause(ActorKind::Client, Some("holder"), None);
                let _refused = commands.update_self(&holder, key, &at, says.parsed(), Some(kept(self.clock.now()))).await;
            }
            Step::Delete { client: pick } => {
                let Some((key, _)) = client(*pick) else { return };
                let _refused = commands.delete_self(&cause(ActorKind::Client, None, None), key).await;
            }
            Step::Decide { client: pick, decision } => {
                let Some((key, Some((tenant, id)))) = client(*pick) else { return };
                let decision = decided(*decision, self.clock.now());
                let _refused = commands.decide_registration(&admin(&tenant), &tenant, (id, key), &decision, None).await;
            }
            Step::SuspendFamily { client: pick, lifted } => {
                let Some((key, Some((tenant, id)))) = client(*pick) else { return };
                let (by, target) = (admin(&tenant), (id, key));
                if commands.suspend_family(&by, &tenant, target, Some("as agreed".to_owned())).await.is_err() {
                    return;
                }
                for which in [2, 3].into_iter().take(if *lifted { 2 } else { 1 }) {
                    let decision = decided(which, self.clock.now());
                    let _refused = commands.decide_registration(&by, &tenant, target, &decision, None).await;
                }
            }
            Step::Idle { client: pick } => {
                let Some((key, Some((_, id)))) = client(*pick) else { return };
                let stream = self.log.read(&Stream::Registration(id, key).name()).await.unwrap();
                let Some(last) = stream.events.last() else { return };
                let (watched, after_days) = (TimeDelta::days(9), NonZeroU16::new(9).unwrap());
                let idle = RegistrationCommand::NoteIdleness { since: self.clock.now() - watched, watched, after_days };
                if commands.note_idleness((id, key), last.position, &idle).await.unwrap().is_some() {
                    known.idle = Some((id, key));
                }
            }
            Step::Use => {
                let Some((id, key)) = known.idle else { return };
                commands.use_dormant(id, key).await.unwrap();
            }
            Step::Rotate { client: pick, overlap } => {
                let Some((key, Some((tenant, id)))) = client(*pick) else { return };
                let (now, end) = (self.clock.now(), overlap.then(|| self.clock.now() + TimeDelta::hours(1)));
                let rotation = Rotation { at: now, old_valid_until: end, end_overlap: true, repeat_key: None };
                let rotate = |by| ClientCommand::RotateSecret { by, secret: kept(now), rotation };
                if commands.decide_client(&admin(&tenant), &tenant, (id, key), rotate).await.is_ok() {
                    known.rotated = Some((key, (tenant, id)));
                }
            }
            Step::RevokeOld => {
                let Some((key, (tenant, id))) = known.rotated.clone() else { return };
                let revoke = |by| ClientCommand::RevokeOldSecret { by };
                let _refused = commands.decide_client(&admin(&tenant), &tenant, (id, key), revoke).await;
            }
            Step::NewToken { client: pick } => {
                let Some((key, Some((tenant, id)))) = client(*pick) else { return };
                let rotate = |by| ClientCommand::RotateRegistrationToken { by, registration_token: TokenHash([7; 32]) };
                let _refused = commands.decide_client(&admin(&tenant), &tenant, (id, key), rotate).await;
            }
            Step::Issue { .. } | Step::RegisterWith { .. } | Step::EndToken { .. } => self.carry_out_with_token(step, known).await,
            Step::Read { .. } | Step::EnterText { .. } | Step::Miss { .. } | Step::Back { .. } => {
                self.carry_out_with_document(step, known).await;
            }
            Step::Wait { seconds } => self.clock.advance(TimeDelta::seconds(*seconds)),
            Step::Skip => {
                let skip = EventSkipped {
                    projection_version: 1,
                    event_id: EventId(Uuid::now_v7()),
                    event_name: "client.exploded".into(),
                    position: "1".into(),
                    reason: "for the test".into(),
                };
                let name = ProjectionName::parse("directory").unwrap();
                let back = SkipTakenBack { projection_version: 1, event_id: skip.event_id, reason: "for the test".into() };
                let admin = admin(&TenantId::default_tenant());
                commands.skip_event(&admin, name, skip).await.unwrap();
                commands.take_skip_back(&admin, name, back).await.unwrap();
            }
            Step::Show(_) | Step::Reopen | Step::Rebuild => panic!("the read models are not the house's"),
        }
    }

    async fn carry_out_with_document(&self, step: &Step, known: &mut Known) {
        let commands = &self.commands;
        match step {
            Step::Read { document, server: pick, says } => {
                let client_id = hosted(*document);
                let system = cause(ActorKind::System, Some("documents"), None);
                let Ok(seen) = commands.see_document(&system, &client_id, &[], document_of(says)).await else { return };
                for (_, _, server) in known.hosted.iter().filter(|(known, ..)| *known == client_id) {
                    let _refused = commands.follow_document(&system, *server, &seen.state).await;
                }
                let Some((tenant, server)) = known.servers.get(pick % known.servers.len().max(1)).cloned() else { return };
                let here = (client_id.clone(), tenant.clone(), server);
                let Some(profile) = seen.state.registered().filter(|_| !known.hosted.contains(&here)) else { return };
                let parsed = Parsed { metadata: profile.metadata.clone(), ignored: vec![] };
                let Ok(welcome) = welcome(commands, server, RegistrationType::Cimd, Guarantor::Nobody, parsed).await else { return };
                if commands.bind(&system, &welcome, &seen.state, false).await.is_ok() {
                    known.hosted.push(here);
                    known.clients.push((client_id.key(), Some((tenant, server))));
                }
            }
            Step::EnterText { document, server: pick, says } => {
                let client_id = hosted(*document);
                let Some((tenant, server)) = known.servers.get(pick % known.servers.len().max(1)).cloned() else { return };
                let admin = cause(ActorKind::Admin, Some("ada"), Some(tenant.clone()));
                let Ok(done) = commands.enter_document(&admin, &tenant, &client_id, document_of(says)).await else { return };
                let seen = done.state.seen_by(&tenant);
                for (_, _, server) in known.hosted.iter().filter(|(known, ..)| *known == client_id) {
                    let _refused = commands.follow_document(&admin, *server, &done.state).await;
                }
                let here = (client_id.clone(), tenant.clone(), server);
                let Some(profile) = seen.registered().filter(|_| !known.hosted.contains(&here)) else { return };
                let parsed = Parsed { metadata: profile.metadata.clone(), ignored: vec![] };
                let Ok(welcome) = welcome(commands, server, RegistrationType::Cimd, Guarantor::Administrator, parsed).await else { return };
                if commands.bind(&admin, &welcome, &seen, true).await.is_ok() {
                    known.hosted.push(here);
                    known.clients.push((client_id.key(), Some((tenant, server))));
                }
            }
            Step::Miss { document, gone } => {
                let (system, key) = (cause(ActorKind::System, Some("documents"), None), hosted(*document).key());
                let _refused = if *gone {
                    commands.lose_document(&system, key, Withdrawal::Gone, ("not_found", None)).await
                } else {
                    commands.miss_document(&system, key, self.clock.now(), "timed_out").await
                };
            }
            Step::Back { document, version } => {
                let client_id = hosted(*document);
                let Some((_, tenant, server)) = known.hosted.iter().find(|(known, ..)| *known == client_id).cloned() else { return };
                let admin = cause(ActorKind::Admin, Some("ada"), Some(tenant.clone()));
                let _refused = commands.roll_back(&admin, &tenant, (server, client_id.key()), *version, None).await;
            }
            _ => panic!("a step without a document"),
        }
    }

    async fn carry_out_with_token(&self, step: &Step, known: &mut Known) {
        let commands = &self.commands;
        let admin = |tenant: &TenantId| cause(ActorKind::Admin, Some("ada"), Some(tenant.clone()));
        match step {
            Step::Issue { server: pick, max_uses } => {
                let Some((tenant, server)) = known.servers.get(pick % known.servers.len().max(1)).cloned() else { return };
                let id = InitialAccessTokenId(Uuid::now_v7());
                let token = InitialAccessToken::try_draw(server, id).unwrap();
                let now = self.clock.now();
                let issue = InitialAccessTokenCommand::Issue {
                    tenant: tenant.clone(),
                    label: "ci".to_owned(),
                    token: TokenHash(token.hash()),
                    expires_at: Some(now + TimeDelta::hours(20)),
                    max_uses: *max_uses,
                    clamps: Clamps { grant_types: vec![GrantType::AuthorizationCode], ..Clamps::default() },
                    at: now,
                };
                if commands.issue_token(&admin(&tenant), (server, id), &tenant, &issue).await.is_ok() {
                    known.tokens.push((tenant.clone(), server, id, token));
                }
                let id = ServiceTokenId(Uuid::now_v7());
                let created = service_token::Created {
                    tenant: tenant.clone(),
                    label: "as".to_owned(),
                    token: TokenHash([7; 32]),
                    scopes: vec![ServiceScope::Decide],
                    resource_servers: max_uses.map(|_| server).into_iter().collect(),
                    expires_at: None,
                };
                commands.create_service_token(&admin(&tenant), id, created).await.unwrap();
                known.services.push((tenant.clone(), id));
                known.hooks.push(self.hook(tenant, server).await);
            }
            Step::RegisterWith { token: pick, says } => {
                let Some((tenant, server, _, token)) = known.tokens.get(pick % known.tokens.len().max(1)).cloned() else { return };
                let Ok(presented) = commands.presented(&token).await else { return };
                let anyone = cause(ActorKind::Anonymous, None, None);
                let welcome = welcome(commands, server, RegistrationType::Dcr, Guarantor::Token(presented), says.parsed()).await;
                let Ok(welcome) = welcome else { return };
                if let Ok(entered) = commands.register_self(&anyone, welcome, hashes()).await {
                    known.clients.push((entered.profile.client_id.key(), Some((tenant, server))));
                }
            }
            Step::EndToken { token: pick } => {
                if let Some((tenant, id)) = known.services.get(pick % known.services.len().max(1)).cloned() {
                    commands.revoke_service_token(&admin(&tenant), id, &tenant, None).await.unwrap();
                }
                if let Some((tenant, id)) = known.hooks.get(pick % known.hooks.len().max(1)).cloned() {
                    let delete = WebhookCommand::Delete { reason: None };
                    commands.change_webhook(&admin(&tenant), id, &tenant, &delete).await.unwrap();
                }
                let Some((tenant, server, id, _)) = known.tokens.get(pick % known.tokens.len().max(1)).cloned() else { return };
                let reason = Some("no longer needed".to_owned());
                commands.revoke_token(&admin(&tenant), (server, id), &tenant, reason).await.unwrap();
            }
            _ => panic!("a step without a token"),
        }
    }

    /// Everything that a webhook can be told to do, but end.
    async fn hook(&self, tenant: TenantId, server: ResourceServerId) -> (TenantId, WebhookId) {
        let (id, by) = (WebhookId(Uuid::now_v7()), cause(ActorKind::Admin, Some("ada"), Some(tenant.clone())));
        let url = WebhookUrl::parse("https://siem.example/hook").unwrap();
        let wish = Wish { label: "siem".to_owned(), url, types: Vec::new(), resource_servers: vec![server] };
        let created = webhook::Created { tenant: tenant.clone(), wish: wish.clone(), start: Start::Beginning };
        if self.commands.create_webhook(&by, id, created).await.is_err() {
            return (tenant, id);
        }
        for command in [
            WebhookCommand::Edit(Wish { resource_servers: Vec::new(), ..wish }),
            WebhookCommand::RotateSecret(Rotation { at: self.clock.now(), old_valid_until: None, end_overlap: false, repeat_key: None }),
            WebhookCommand::Disable(webhook::Disabled { because: DisabledBecause::Gone, reason: None }),
            WebhookCommand::Enable,
            WebhookCommand::DropEvent(webhook::EventDropped { event_id: EventId(Uuid::now_v7()), reason: None }),
        ] {
            self.commands.change_webhook(&by, id, &tenant, &command).await.unwrap();
        }
        (tenant, id)
    }
}

impl Edit {
    fn command(&self) -> ResourceServerCommand {
        let (mut name, mut resource, mut modes, mut rules) = (None, None, None, None);
        let mut effect_on_existing = EffectOnExisting::Keep;
        match self {
            Edit::Name(pick) => name = Some(NAMES[*pick].to_owned()),
            Edit::Resource(pick) => resource = Some(pick.map(web)),
            Edit::Modes { dcr, prereg, suspend } => {
                let kept = [(RegistrationType::Dcr, *dcr), (RegistrationType::Prereg, *prereg), (RegistrationType::Cimd, true)];
                effect_on_existing = if *suspend { EffectOnExisting::Suspend } else { EffectOnExisting::Keep };
                modes = Some(kept.into_iter().filter(|(_, kept)| *kept).map(|(mode, _)| mode).collect());
            }
            Edit::Policy { review, changes_serve_at_once, share, look_again } => {
                let instances = if *share { Instances::Share } else { Instances::Separate };
                let revive = if *look_again { Revival::Review } else { Revival::AtNextUse };
                rules = Some(Policy { instances, revive, ..policy(*review, *changes_serve_at_once) });
            }
        }
        ResourceServerCommand::Edit { name, resource, modes, effect_on_existing, policy: rules }
    }
}

impl Says {
    fn parsed(&self) -> Parsed {
        let uris: Vec<&str> = self.uris.iter().map(|pick| URIS[*pick]).collect();
        let method = ["none", "client_secret_basic", "client_secret_post"][self.method];
        let mut says = json!({ "redirect_uris": uris, "token_endpoint_auth_method": method, "favourite_colour": "blue" });
        if let Some(name) = self.name {
            says["client_name"] = NAMES[name].into();
        }
        let Value::Object(members) = says else { panic!("an object was written") };
        metadata::parse(members).unwrap()
    }
}

fn decided(which: usize, now: DateTime<chrono::Utc>) -> RegistrationCommand {
    let reason = Some("as agreed".to_owned());
    match which {
        0 => RegistrationCommand::Approve { reason: None },
        1 => RegistrationCommand::Deny { reason, until: Some(now + TimeDelta::hours(2)) },
        2 => RegistrationCommand::Suspend { reason },
        3 => RegistrationCommand::Reinstate { reason },
        4 => RegistrationCommand::Revoke { reason },
        5 => RegistrationCommand::Restore { reason },
        6 => RegistrationCommand::ApproveRedirects { change_id: None },
        _ => RegistrationCommand::RejectRedirects { change_id: None, reason },
    }
}

fn policy(review: bool, changes_serve_at_once: bool) -> Policy {
    let of = |review: bool| if review { Admission::Review } else { Admission::Auto };
    Policy {
        admission: Admissions { dcr: of(review), cimd: Admission::Auto, prereg: Admission::Auto },
        redirect_changes: of(!changes_serve_at_once),
        ..Policy::default()
    }
}

fn cause(kind: ActorKind, id: Option<&str>, tenant: Option<TenantId>) -> Cause {
    let actor = Actor { kind, id: id.map(str::to_owned), via: Some("test".to_owned()) };
    Cause { actor, tenant, request_id: Some("call 1".to_owned()), origin: Some("192.0.2.0/24".to_owned()) }
}

/// A document that says this.
fn document_of(says: &Says) -> Document {
    let text: Box<str> = format!("{says:?}").into();
    let mut fingerprint = [0; 32];
    fingerprint.iter_mut().zip(text.bytes().rev()).for_each(|(byte, of_text)| *byte = of_text);
    let metadata = Says { method: 0, ..says.clone() }.parsed().metadata;
    let content_hash = ContentHash::of_digest(fingerprint);
    Document { content_hash, text, metadata, warnings: vec!["query_in_client_id".into()], left_out: vec![], ignored: vec![] }
}

fn hosted(pick: usize) -> ClientId {
    ClientId::parse(&format!("https://app{pick}.example/client.json")).unwrap()
}

fn tenant_of(pick: usize) -> TenantId {
    TenantId::parse(["default", "acme"][pick]).unwrap()
}

fn web(pick: usize) -> WebUri {
    WebUri::parse(&format!("https://api{pick}.example.com/mcp")).unwrap()
}

async fn welcome(
    commands: &Commands,
    server: ResourceServerId,
    by: RegistrationType,
    guarantor: Guarantor,
    parsed: Parsed,
) -> Result<Welcome, CommandError> {
    Ok(commands.rules(server).await?.judge(by, guarantor, parsed)?)
}

fn hashes() -> DrawnHashes {
    DrawnHashes { secret: Some(hash()), registration_token: Some(TokenHash([1; 32])) }
}

fn hash() -> SecretHash {
    SecretHash::try_new("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA").unwrap()
}

fn kept(now: DateTime<chrono::Utc>) -> KeptSecret {
    KeptSecret { hash: hash(), expires_at: Some(now + TimeDelta::days(30)) }
}
