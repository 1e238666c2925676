//! What the doors asked about last, decoded and folded: a client that comes back is not read from the log again until somebody
//! writes to it. Every writer says so before its write is answered, so a revocation is seen by the next call.

use std::any::Any;
use std::sync::Arc;

use gatebook_events::Aggregate;
use gatebook_events::envelope::StreamName;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::{CommandError, History};

/// The most that is held: 64 MiB of what the events say.
const MOST_BYTES: u64 = 64 << 20;
/// About how many streams that is.
const STREAMS: usize = 32 * 1024;
/// Of long streams a state stays to build on after a write, so that only what is new is read then: 32 MiB of them.
const MOST_BYTES_OF_BASES: u64 = 32 << 20;
/// A shorter stream is read from its beginning.
const LONG: u32 = 8;

/// About how many bytes it takes, and what it is.
type Held = (u64, Arc<dyn Any + Send + Sync>);

/// Aggregates by stream. One that is being read during a write is handed out and not held.
pub(super) struct Recent {
    now: Cache<StreamName, Held, InBytes>,
    bases: Cache<StreamName, Held, InBytes>,
}

#[derive(Clone)]
struct InBytes;

impl Weighter<StreamName, Held> for InBytes {
    fn weight(&self, _: &StreamName, (bytes, _): &Held) -> u64 {
        *bytes
    }
}

impl Default for Recent {
    fn default() -> Self {
        let bases = Cache::with_weighter(STREAMS / 16, MOST_BYTES_OF_BASES, InBytes);
        Self { now: Cache::with_weighter(STREAMS, MOST_BYTES, InBytes), bases }
    }
}

impl Recent {
    /// What is held, else what is read now. A stream without events is not held: callers may name as many of those as they like.
    pub async fn get<A: Aggregate>(
        &self,
        stream: &StreamName,
        read: impl Future<Output = Result<Arc<History<A>>, CommandError>>,
    ) -> Result<Arc<History<A>>, CommandError> {
        let place = match self.now.get_value_or_guard_async(stream).await {
            Ok((_, held)) => match held.downcast() {
                Ok(history) => return Ok(history),
                // A stream belongs to one aggregate, so this is never so.
                Err(_) => None,
            },
            Err(place) => Some(place),
        };
        let history = read.await?;
        if let Some(place) = place
            && !history.is_empty()
        {
            // Refused where somebody wrote meanwhile.
            let _held = place.insert((history.bytes(), history.clone()));
        }
        Ok(history)
    }

    /// What was read of a long stream before, whatever was written since.
    pub fn base<A: Aggregate>(&self, stream: &StreamName) -> Option<Arc<History<A>>> {
        self.bases.get(stream)?.1.downcast().ok()
    }

    /// Keeps what was read of a stream, if it is long.
    pub fn build_on<A: Aggregate>(&self, stream: &StreamName, history: &Arc<History<A>>) {
        if history.len() >= LONG {
            self.bases.insert(stream.clone(), (history.bytes(), history.clone()));
        }
    }

    /// Somebody wrote to it, or may have.
    pub fn forget(&self, stream: &StreamName) {
        self.now.remove(stream);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use chrono::{DateTime, Utc};
    use futures_util::FutureExt;
    use futures_util::stream::BoxStream;
    use gatebook_events::admission::RegistrationType;
    use gatebook_events::envelope::{Actor, ActorKind, Position, Revision};
    use gatebook_events::identity::{ResourceServerId, TenantId};
    use gatebook_events::resource_server::{EffectOnExisting, Life, Policy, ResourceServer, ResourceServerCommand};
    use gatebook_events::stream::Stream;

    use super::*;
    use crate::aggregates::{Cause, Commands};
    use crate::event_log::memory::MemoryLog;
    use crate::event_log::{Append, AppendError, Appended, EventLog, Followed, LogError, StreamEvents};
    use crate::platform::clock::Clock;

    const STREAM: Stream = Stream::ResourceServer(ResourceServerId::DEFAULT);

    fn cause() -> Cause {
        let actor = Actor { kind: ActorKind::System, id: None, via: None };
        Cause { actor, tenant: Some(TenantId::default_tenant()), request_id: None, origin: None }
    }

    /// A log that takes a moment to answer, before it writes and after, and counts the events that it was asked to read.
    struct Slow(MemoryLog, AtomicUsize);

    #[async_trait::async_trait]
    impl EventLog for Slow {
        async fn read(&self, stream: &StreamName) -> Result<StreamEvents, LogError> {
            let read = self.0.read(stream).await?;
            self.1.fetch_add(read.events.len(), Ordering::Relaxed);
            Ok(read)
        }

        async fn read_after(&self, stream: &StreamName, known: Revision) -> Result<Option<StreamEvents>, LogError> {
            let read = self.0.read_after(stream, known).await?;
            self.1.fetch_add(read.as_ref().map_or(0, |read| read.events.len()), Ordering::Relaxed);
            Ok(read)
        }

        async fn append(&self, append: Append) -> Result<Appended, AppendError> {
            tokio::task::yield_now().await;
            let appended = self.0.append(append).await;
            tokio::task::yield_now().await;
            appended
        }

        async fn streams(&self, prefix: &str) -> Result<Vec<StreamName>, LogError> {
            self.0.streams(prefix).await
        }

        fn follow(&self, after: Position) -> BoxStream<'static, Result<Followed, LogError>> {
            self.0.follow(after)
        }

        async fn head(&self) -> Result<Position, LogError> {
            self.0.head().await
        }
    }

    async fn opened() -> (Arc<Slow>, Commands) {
        let log = Arc::new(Slow(MemoryLog::default(), AtomicUsize::new(0)));
        let commands = Commands::new(log.clone(), Clock::standing_at(DateTime::<Utc>::UNIX_EPOCH));
        let create = ResourceServerCommand::Create {
            tenant: TenantId::default_tenant(),
            name: "files".to_owned(),
            resource: None,
            modes: RegistrationType::ALL.into(),
            policy: Policy::default(),
        };
        commands.transact::<ResourceServer>(STREAM, &cause(), &create).await.unwrap();
        (log, commands)
    }

    async fn life(commands: &Commands) -> Life {
        commands.history::<ResourceServer>(STREAM).await.unwrap().now().life
    }

    #[tokio::test]
    async fn what_is_held_is_what_the_last_write_left_even_if_its_caller_hung_up() {
        let (log, commands) = opened().await;
        assert_eq!(life(&commands).await, Life::Active);
        let before = log.head().await.unwrap();
        // Polled once: the append is under way, and then nobody waits for it any longer.
        let (of, retire) = (cause(), ResourceServerCommand::Retire { reason: None });
        let hung_up = commands.transact::<ResourceServer>(STREAM, &of, &retire).now_or_never();
        assert!(hung_up.is_none());
        while log.head().await.unwrap() == before {
            tokio::task::yield_now().await;
        }
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(life(&commands).await, Life::Retired);
    }

    #[tokio::test]
    async fn what_was_read_before_a_write_and_handed_in_after_it_is_not_held() {
        let (_, commands) = opened().await;
        let name = STREAM.name();
        let old = commands.history::<ResourceServer>(STREAM).await.unwrap();
        commands.heard_of(&name);
        let slow = async {
            commands.transact::<ResourceServer>(STREAM, &cause(), &ResourceServerCommand::Retire { reason: None }).await.unwrap();
            Ok(old.clone())
        };
        let late = commands.recent.get(&name, slow).await.unwrap();
        assert_eq!(late.now().life, Life::Active, "it asked before");
        assert_eq!(life(&commands).await, Life::Retired);
    }

    #[tokio::test]
    async fn a_stream_that_is_not_there_is_not_held() {
        let (_, commands) = opened().await;
        let nobody = Stream::ResourceServer(ResourceServerId(uuid::Uuid::from_u128(9)));
        assert!(commands.history::<ResourceServer>(nobody).await.unwrap().is_empty());
        assert_eq!(commands.recent.now.len(), 0);
    }

    #[tokio::test]
    async fn b2_a_change_to_a_long_stream_reads_what_is_new_and_not_all_of_it_again() {
        let (log, commands) = opened().await;
        let rename = async |name: usize| {
            let edit = ResourceServerCommand::Edit {
                name: Some(format!("server {name}")),
                resource: None,
                modes: None,
                effect_on_existing: EffectOnExisting::Keep,
                policy: None,
            };
            commands.transact::<ResourceServer>(STREAM, &cause(), &edit).await.unwrap()
        };
        for name in 0..100 {
            rename(name).await;
        }
        let before = log.1.load(Ordering::Relaxed);
        assert!(before < 8 * 8 + 2 * 100, "each of a hundred changes read {before} events in all");
        rename(100).await;
        let history = commands.history::<ResourceServer>(STREAM).await.unwrap();
        assert_eq!((history.len(), &*history.now().name), (102, "server 100"));
        assert!(log.1.load(Ordering::Relaxed) - before <= 2);
        let third = commands.as_of(STREAM, &history, 3).await.unwrap().unwrap();
        assert_eq!((&*third.name, history.first().unwrap().name.as_str()), ("server 1", "files"));
        assert!(commands.as_of(STREAM, &history, 103).await.unwrap().is_none());
    }
}
