//! What the doors asked about last, decoded and folded: a client that comes back is not read from the log again until somebody
//! writes to it. Every writer says so before its write is answered, so a revocation is seen by the next call.

use std::any::Any;
use std::sync::Arc;

use gatebook_events::Aggregate;
use gatebook_events::envelope::StreamName;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::{CommandError, History};

/// The most events that are held. With their states, about a kilobyte each.
const MOST_EVENTS: u64 = 64 * 1024;
/// About how many streams that is.
const STREAMS: usize = 32 * 1024;

type Held = Arc<dyn Any + Send + Sync>;

/// Histories by stream. One that is being read while somebody writes is handed out and not held.
pub(super) struct Recent(Cache<StreamName, (u64, Held), ByEvents>);

#[derive(Clone)]
struct ByEvents;

impl Weighter<StreamName, (u64, Held)> for ByEvents {
    fn weight(&self, _: &StreamName, (events, _): &(u64, Held)) -> u64 {
        *events
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self(Cache::with_weighter(STREAMS, MOST_EVENTS, ByEvents))
    }
}

impl Recent {
    /// The history that is held, else the one that is read now. A stream without events is not held: callers may name as many of
    /// those as they like.
    pub async fn get<A>(
        &self,
        stream: &StreamName,
        read: impl Future<Output = Result<History<A>, CommandError>>,
    ) -> Result<Arc<History<A>>, CommandError>
    where
        A: Aggregate + Send + Sync + 'static,
        A::Event: Send + Sync + 'static,
    {
        let place = match self.0.get_value_or_guard_async(stream).await {
            Ok((_, held)) => match held.downcast() {
                Ok(history) => return Ok(history),
                // A stream belongs to one aggregate, so this is never so.
                Err(_) => None,
            },
            Err(place) => Some(place),
        };
        let history = Arc::new(read.await?);
        if let Some(place) = place
            && !history.is_empty()
        {
            // Refused where somebody wrote meanwhile.
            let _held = place.insert((u64::from(history.len()), history.clone()));
        }
        Ok(history)
    }

    /// Somebody wrote to it, or may have.
    pub fn forget(&self, stream: &StreamName) {
        self.0.remove(stream);
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use futures_util::FutureExt;
    use futures_util::stream::BoxStream;
    use gatebook_events::envelope::{Actor, ActorKind, Position};
    use gatebook_events::identity::{ResourceServerId, Stream, TenantId};
    use gatebook_events::resource_server::{Life, Policy, RegistrationType, ResourceServer, ResourceServerCommand};

    use super::*;
    use crate::clock::Clock;
    use crate::command::{Cause, Commands};
    use crate::log::memory::MemoryLog;
    use crate::log::{Append, AppendError, Appended, EventLog, Followed, LogError, StreamEvents};

    const STREAM: Stream = Stream::ResourceServer(ResourceServerId::DEFAULT);

    fn cause() -> Cause {
        let actor = Actor { kind: ActorKind::System, id: None, via: None };
        Cause { actor, tenant: Some(TenantId::default_tenant()), request_id: None, origin: None }
    }

    /// A log that takes a moment to answer, before it writes and after.
    struct Slow(MemoryLog);

    #[async_trait::async_trait]
    impl EventLog for Slow {
        async fn read(&self, stream: &StreamName) -> Result<StreamEvents, LogError> {
            self.0.read(stream).await
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
        let log = Arc::new(Slow(MemoryLog::default()));
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
            Ok(History::<ResourceServer>::of(old.events.clone()))
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
        assert_eq!(commands.recent.0.len(), 0);
    }
}
