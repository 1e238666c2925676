//! The only way in: read a stream, fold, decide, append at the expected revision, and again if somebody was faster.

use std::sync::Arc;

use gatebook_events::codec;

use gatebook_events::envelope::{Actor, ActorKind, CommitId, Envelope, EventId, Meta, Position, Revision, StoredEvent, StreamName};
use gatebook_events::identity::{ClientKey, ResourceServerId, TenantId};
use gatebook_events::resource_server::{ResourceServer, normalized};
use gatebook_events::stored::{CodecError, Stored};
use gatebook_events::stream::Stream;
use gatebook_events::{Aggregate, Rejection};
use prometheus_client::metrics::counter::Counter;
use uuid::Uuid;

use crate::event_log::{Append, AppendError, Appended, EventLog, Expected, LogError, StreamEvents};
use crate::platform::clock::Clock;

pub(crate) mod cache;
pub(crate) mod resource_servers;
pub(crate) mod service_token_cache;
pub(crate) mod tokens_in_use;

mod seen;

use crate::aggregates::cache::Recent;
pub use crate::aggregates::resource_servers::{Known, Roster, Snapshot};
use crate::platform::detached::to_the_end;

/// How often a command is decided anew because somebody else wrote first. Enough for a crowd at one stream; past it the
/// caller is told to come back.
pub(crate) const MAX_ROUNDS: usize = 32;
/// How often an append whose answer was lost is sent again, with the same ids.
const MAX_RETRIES: usize = 3;

/// Who asks, from where and in answer to what: what every event caused by one call has in common.
#[derive(Debug, Clone)]
pub struct Cause {
    /// Who.
    pub actor: Actor,
    /// The tenant whose history it belongs to.
    pub tenant: Option<TenantId>,
    /// The `X-Request-Id` of the call.
    pub request_id: Option<String>,
    /// The network that it came from.
    pub origin: Option<String>,
}

impl Cause {
    /// The same cause in another tenant's history.
    pub fn within(&self, tenant: Option<TenantId>) -> Self {
        Self { tenant, ..self.clone() }
    }
}

/// What came of a command.
#[derive(Debug, Clone)]
pub struct Done<A: Aggregate> {
    /// The state after it.
    pub state: A,
    /// Where its last event stands; none if it already held.
    pub position: Option<Position>,
    /// The stream's revision after it; none if it already held.
    pub(crate) revision: Option<Revision>,
}

/// Why a command came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The domain said no.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The log could not be read.
    #[error("failed to read the event log")]
    Read(#[from] LogError),
    /// The log did not take the events, or its answer was lost.
    #[error("failed to append to the event log")]
    Append(#[from] AppendError),
    /// The stream holds what this build cannot read; it must not write there either.
    #[error("failed to read the stream's history")]
    History(#[from] CodecError),
    /// Too many others wrote to the same stream.
    #[error("too many others wrote to the same stream at the same time")]
    Contended,
}

/// An aggregate as its events have it, and how it began.
pub struct History<A: Aggregate> {
    first: A,
    now: A,
    events: u32,
    revision: Option<Revision>,
    /// How long its first event is, its longest, and all of them.
    lengths: (u64, u64, u64),
}

impl<A: Aggregate> Default for History<A> {
    fn default() -> Self {
        Self { first: A::default(), now: A::default(), events: 0, revision: None, lengths: (0, 0, 0) }
    }
}

impl<A: Aggregate> History<A> {
    /// As it is after these events too.
    fn and(&self, read: &StreamEvents) -> Result<Self, CodecError> {
        let Self { mut first, mut now, mut events, mut lengths, .. } = self.clone();
        for Envelope { event, .. } in &read.events {
            now = now.evolve(&A::Event::decode(&event.name, event.version, &event.data)?);
            events = events.saturating_add(1);
            let length = event.data.len() as u64;
            if events == 1 {
                first = now.clone();
                lengths.0 = length;
            }
            lengths = (lengths.0, lengths.1.max(length), lengths.2 + length);
        }
        Ok(Self { first, now, events, revision: read.revision, lengths })
    }

    /// About how many bytes are held of it: each state has little more than the longest of its events, and of the others a part.
    fn bytes(&self) -> u64 {
        let (first, longest, all) = self.lengths;
        512 + first + longest + all / 8
    }

    /// As it is now.
    pub fn now(&self) -> &A {
        &self.now
    }

    /// As it was after its first event; none if there is none.
    pub fn first(&self) -> Option<&A> {
        (self.events > 0).then_some(&self.first)
    }

    /// How many events there are.
    pub fn len(&self) -> u32 {
        self.events
    }

    /// Whether nothing ever happened.
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }
}

impl<A: Aggregate> Clone for History<A> {
    fn clone(&self) -> Self {
        Self { first: self.first.clone(), now: self.now.clone(), ..*self }
    }
}

/// Carries commands to the log.
#[derive(Clone)]
pub struct Commands {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) clock: Clock,
    /// What this node appended is here before its answer goes out.
    pub(crate) roster: Arc<Roster>,
    /// One edit at a time on this node, so that what is remembered last is what was appended last.
    pub(crate) edits: Arc<tokio::sync::Mutex<()>>,
    /// The initial access tokens that are in use.
    pub(crate) tokens: Arc<tokens_in_use::InUse>,
    appends: Counter,
    /// What the doors asked about last.
    recent: Arc<Recent>,
    /// The service tokens that were presented last.
    pub(crate) service_tokens: Arc<service_token_cache::KnownTokens>,
}

impl Commands {
    /// Commands for this log.
    pub fn new(log: Arc<dyn EventLog>, clock: Clock) -> Self {
        let (roster, edits, tokens, service_tokens) = (Arc::default(), Arc::default(), Arc::default(), Arc::default());
        Self { log, clock, roster, edits, tokens, appends: Counter::default(), recent: Arc::default(), service_tokens }
    }

    /// The clock that commands are dated by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The log that they go to, to be read.
    pub(crate) fn log(&self) -> &dyn EventLog {
        &*self.log
    }

    /// How many appends stand.
    pub fn appends(&self) -> &Counter {
        &self.appends
    }

    /// An aggregate as its events have it now.
    pub async fn load<A: Aggregate>(&self, stream: Stream) -> Result<A, CommandError> {
        Ok(self.fold(stream).await?.0)
    }

    /// An aggregate with how it began. What was read a moment ago is not read again until it is written to.
    pub async fn history<A: Aggregate>(&self, stream: Stream) -> Result<Arc<History<A>>, CommandError> {
        let name = stream.name();
        // What was read a moment ago is told only while the log itself would tell it.
        self.log.head().await?;
        self.recent.get(&name, self.read(&name)).await
    }

    /// An aggregate as it was after so many of its events; none if there are not as many. Reads it anew unless it is as it began
    /// or as it is now.
    pub async fn as_of<A: Aggregate>(&self, stream: Stream, known: &History<A>, events: u32) -> Result<Option<A>, CommandError> {
        Ok(match events {
            0 => Some(A::default()),
            1 => known.first().cloned(),
            _ if events == known.len() => Some(known.now.clone()),
            _ if events > known.len() => None,
            _ => {
                let mut read = self.log.read(&stream.name()).await?;
                read.events.truncate(usize::try_from(events).unwrap_or(usize::MAX));
                Some(History::default().and(&read)?.now)
            }
        })
    }

    /// Reads an aggregate. Of a long stream only what came since it was last read: what is there never changes.
    pub(crate) async fn read<A: Aggregate>(&self, name: &StreamName) -> Result<Arc<History<A>>, CommandError> {
        let base: Option<Arc<History<A>>> = self.recent.base(name);
        if let Some(base) = base
            && let Some(known) = base.revision
            && let Some(since) = self.log.read_after(name, known).await?
        {
            if since.events.is_empty() {
                return Ok(base);
            }
            let history = Arc::new(base.and(&since)?);
            self.recent.build_on(name, &history);
            return Ok(history);
        }
        let history = Arc::new(History::default().and(&self.log.read(name).await?)?);
        self.recent.build_on(name, &history);
        Ok(history)
    }

    /// Takes note that somebody else wrote to a stream.
    pub fn heard_of(&self, stream: &StreamName) {
        self.recent.forget(stream);
        if let Ok(Stream::ServiceToken(id)) = Stream::parse(stream) {
            self.service_tokens.forget(id);
        }
    }

    /// A resource server as this node knows it now.
    pub async fn resource_server(&self, id: ResourceServerId) -> Result<Arc<ResourceServer>, CommandError> {
        if let Some(known) = self.roster.now().get(id) {
            return Ok(known.server.clone());
        }
        let known = self.read_resource_server(id).await?;
        // An id that nobody created is not kept: callers may name as many of those as they like.
        if *known.server != ResourceServer::default() {
            self.roster.put(id, known.clone());
        }
        Ok(known.server)
    }

    /// The resource servers that this node knows.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Reads a resource server anew, because somebody else may have edited it.
    pub async fn refresh_resource_server(&self, id: ResourceServerId) -> Result<(), CommandError> {
        let read = self.read_resource_server(id).await;
        if read.is_err() {
            // What it was before is past.
            self.roster.forget(id);
        }
        self.roster.put(id, read?);
        Ok(())
    }

    /// Enters every resource server there is.
    pub async fn complete_roster(&self) -> Result<(), CommandError> {
        for name in self.log.streams("resource_server-").await? {
            if let Ok(Stream::ResourceServer(id)) = Stream::parse(&name) {
                self.resource_server(id).await?;
            }
        }
        self.roster.complete();
        Ok(())
    }

    /// The resource servers once all of them are known. They are read from the log, so that clients come in while a directory is built.
    pub async fn known_servers(&self) -> Result<Arc<Snapshot>, CommandError> {
        let known = self.roster.now();
        if known.is_complete() {
            return Ok(known);
        }
        self.complete_roster().await?;
        Ok(self.roster.now())
    }

    pub(crate) async fn read_resource_server(&self, id: ResourceServerId) -> Result<Known, CommandError> {
        let read = self.log.read(&Stream::ResourceServer(id).name()).await?;
        let mut known = Known { server: Arc::default(), claimed: Position::START, upto: Position::START };
        for envelope in &read.events {
            let event = <ResourceServer as Aggregate>::Event::decode(&envelope.event.name, envelope.event.version, &envelope.event.data)?;
            let server = (*known.server).clone().evolve(&event);
            // Another spelling of the same identifier is no new claim.
            let spelled = |server: &ResourceServer| server.resource.as_ref().map(|resource| normalized(resource.as_str()));
            let claimed = if spelled(&server) == spelled(&known.server) { known.claimed } else { envelope.position };
            known = Known { server: Arc::new(server), claimed, upto: envelope.position };
        }
        Ok(known)
    }

    /// Decides a command against a stream that exists, and appends what it leads to.
    pub(crate) async fn transact<A: Aggregate>(
        &self,
        stream: Stream,
        cause: &Cause,
        command: &A::Command,
    ) -> Result<Done<A>, CommandError> {
        let (state, revision) = self.fold::<A>(stream).await?;
        self.transact_from(stream, cause, command, state, revision).await
    }

    /// The same for a stream whose key was just drawn: what cannot exist need not be read first.
    pub(crate) async fn transact_new<A: Aggregate>(
        &self,
        stream: Stream,
        cause: &Cause,
        command: &A::Command,
    ) -> Result<Done<A>, CommandError> {
        self.transact_from(stream, cause, command, A::default(), None).await
    }

    pub(crate) async fn transact_from<A: Aggregate>(
        &self,
        stream: Stream,
        cause: &Cause,
        command: &A::Command,
        mut state: A,
        mut revision: Option<Revision>,
    ) -> Result<Done<A>, CommandError> {
        for _ in 0..MAX_ROUNDS {
            if let Some(done) = self.transact_once(stream, cause, command, state, revision).await? {
                return Ok(done);
            }
            (state, revision) = self.fold::<A>(stream).await?;
        }
        Err(CommandError::Contended)
    }

    /// The same once: none where somebody else was faster.
    pub(crate) async fn transact_once<A: Aggregate>(
        &self,
        stream: Stream,
        cause: &Cause,
        command: &A::Command,
        state: A,
        revision: Option<Revision>,
    ) -> Result<Option<Done<A>>, CommandError> {
        let events = state.decide(command)?;
        if events.is_empty() {
            return Ok(Some(Done { state, position: None, revision: None }));
        }
        let by_policy = self.by_policy::<A>(stream, cause, command, &events).await?;
        let append = Append {
            stream: stream.name(),
            expected: Expected::from(revision),
            commit: CommitId(Uuid::now_v7()),
            events: self.to_store(cause, &events, &by_policy)?,
        };
        match self.append(append).await {
            Ok(appended) => {
                let state = events.iter().fold(state, A::evolve);
                Ok(Some(Done { state, position: Some(appended.position), revision: Some(appended.revision) }))
            }
            Err(AppendError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Who decided each event where that was not whoever asked, but the rules of a resource server.
    pub(crate) async fn by_policy<A: Aggregate>(
        &self,
        stream: Stream,
        cause: &Cause,
        command: &A::Command,
        events: &[A::Event],
    ) -> Result<Vec<Option<Cause>>, CommandError> {
        let rules: Vec<_> = events.iter().map(|event| A::rule(command, event)).collect();
        let Stream::Registration(server, _) = stream else { return Ok(Vec::new()) };
        if rules.iter().all(Option::is_none) {
            return Ok(Vec::new());
        }
        let version = self.resource_server(server).await?.policy_version;
        let actor = |rule: &str| Actor { kind: ActorKind::Policy, id: Some(server.to_string()), via: Some(format!("{rule}@{version}")) };
        Ok(rules.into_iter().map(|rule| rule.map(|rule| Cause { actor: actor(rule), ..cause.clone() })).collect())
    }

    /// What was begun is ended even if the caller hangs up: the log may have taken it, and then nobody may go on with what was
    /// read before.
    pub(crate) async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let (log, recent, appends) = (self.log.clone(), self.recent.clone(), self.appends.clone());
        to_the_end(async move {
            let mut retries = 0;
            loop {
                match log.append(append.clone()).await {
                    Err(AppendError::Indeterminate(_)) if retries < MAX_RETRIES => retries += 1,
                    outcome => {
                        recent.forget(&append.stream);
                        appends.inc_by(outcome.is_ok().into());
                        return outcome;
                    }
                }
            }
        })
        .await
    }

    pub(crate) async fn fold<A: Aggregate>(&self, stream: Stream) -> Result<(A, Option<Revision>), CommandError> {
        let read = self.read::<A>(&stream.name()).await?;
        Ok((read.now.clone(), read.revision))
    }

    pub(crate) fn to_store<E: Stored>(
        &self,
        cause: &Cause,
        events: &[E],
        others: &[Option<Cause>],
    ) -> Result<Vec<StoredEvent>, CodecError> {
        let meta: Arc<str> = meta(cause)?;
        let recorded_at = self.clock.now();
        let store = |(number, event): (usize, &E)| {
            let (name, version) = event.shape();
            let (id, data) = (EventId(Uuid::now_v7()), event.encode()?.into());
            let meta = others.get(number).and_then(Option::as_ref).map_or_else(|| Ok(meta.clone()), self::meta)?;
            Ok(StoredEvent { id, name: Arc::from(name), version, recorded_at, meta, data })
        };
        events.iter().enumerate().map(store).collect()
    }

    /// A key for a client that nobody has used before.
    pub fn draw_client_key() -> ClientKey {
        ClientKey(Uuid::now_v7())
    }
}

pub(crate) fn meta(cause: &Cause) -> Result<Arc<str>, CodecError> {
    let meta = Meta {
        tenant: cause.tenant.clone(),
        actor: cause.actor.clone(),
        request_id: cause.request_id.clone(),
        causation_id: None,
        origin: cause.origin.clone(),
    };
    Ok(codec::encode_meta(&meta)?.into())
}

/// An aggregate as the log's events have it now, and the revision to append at.
pub(crate) async fn fold<A: Aggregate>(log: &dyn EventLog, stream: Stream) -> Result<(A, Option<Revision>), CommandError> {
    let read = log.read(&stream.name()).await?;
    let mut state = A::default();
    for envelope in &read.events {
        let event = A::Event::decode(&envelope.event.name, envelope.event.version, &envelope.event.data)?;
        state = state.evolve(&event);
    }
    Ok((state, read.revision))
}
