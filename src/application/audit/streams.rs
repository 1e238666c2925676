//! Event streams: how many there are, and one look at the history for all of a tenant's, however many listen.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gatebook_events::envelope::Position;
use gatebook_events::identity::TenantId;
use gatebook_projections::history::{History, HistoryRow};
use gatebook_projections::read_model::QueryError;
use tokio::sync::broadcast;

use super::entry;
use crate::application::error::UseCaseError;
use crate::read_models::{Follower, Projector};

/// How many events are read at once, as far as they fit into a page.
const BATCH: usize = 200;
/// What a stream that is slower may fall behind before it reads for itself.
const BEHIND: usize = 16;
/// Between two looks at the history, and so much more for each stream that listens: what it costs to write to all of them is
/// bounded, however much happens.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_EACH: Duration = Duration::from_millis(1);
/// So often it is looked whether anybody still listens.
const LOOK: Duration = Duration::from_secs(30);
/// After how many seconds a stream that is one too many may be tried again.
const RETRY_AFTER: u64 = 30;
/// One tenant may have this share of all streams.
const SHARE: usize = 2;

/// The events of a tenant after a position, up to another.
#[derive(Debug)]
pub struct Batch {
    /// The last position before it.
    pub after: Position,
    /// Its last position.
    pub upto: Position,
    /// Its events as a stream sends them.
    pub text: Bytes,
}

/// The streams of this node. Cheap to clone.
#[derive(Clone)]
pub struct Streams(Arc<Inner>);

struct Inner {
    most: usize,
    per_subject: usize,
    history: Projector<History>,
    open: Mutex<Open>,
    tenants: Mutex<HashMap<TenantId, broadcast::Sender<Arc<Batch>>>>,
}

#[derive(Default)]
struct Open {
    all: usize,
    by_tenant: HashMap<TenantId, usize>,
    by_subject: HashMap<(TenantId, String), usize>,
}

/// One stream's place, until it is dropped.
pub struct Place {
    streams: Streams,
    of: (TenantId, String),
}

impl Streams {
    /// At most so many in all and for one subject.
    pub fn new(most: usize, per_subject: usize, history: Projector<History>) -> Self {
        Self(Arc::new(Inner { most, per_subject, history, open: Mutex::default(), tenants: Mutex::default() }))
    }

    /// A place for one more.
    pub fn begin(&self, tenant: &TenantId, subject: &str) -> Result<Place, UseCaseError> {
        let of = (tenant.clone(), subject.to_owned());
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = |count: Option<&usize>| count.copied().unwrap_or_default();
        let what = if counted(open.by_subject.get(&of)) >= self.0.per_subject {
            "event streams of this caller"
        } else if counted(open.by_tenant.get(tenant)) >= self.0.most.div_ceil(SHARE) {
            "event streams of this tenant"
        } else if open.all >= self.0.most {
            "event streams"
        } else {
            open.all += 1;
            *open.by_tenant.entry(tenant.clone()).or_default() += 1;
            *open.by_subject.entry(of.clone()).or_default() += 1;
            return Ok(Place { streams: self.clone(), of });
        };
        Err(UseCaseError::TooManyAtOnce(what, RETRY_AFTER))
    }

    /// What happens in a tenant from now on. Whoever listens first begins the look at the history; it ends with the last one.
    pub fn listen(&self, tenant: &TenantId) -> broadcast::Receiver<Arc<Batch>> {
        let mut tenants = self.0.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = tenants.get(tenant) {
            return told.subscribe();
        }
        let (told, receiver) = broadcast::channel(BEHIND);
        tenants.insert(tenant.clone(), told.clone());
        let at = self.0.history.progress().position;
        tokio::spawn(self.clone().follow(tenant.clone(), at, told));
        receiver
    }

    async fn follow(self, tenant: TenantId, mut at: Position, told: broadcast::Sender<Arc<Batch>>) {
        loop {
            let moved = tokio::time::timeout(LOOK, self.0.history.moved_past(at)).await;
            if self.nobody_listens(&tenant, &told) {
                return;
            }
            match moved {
                Err(_) => continue,
                Ok(true) => {}
                Ok(false) => break,
            }
            let shown = self.0.history.progress().position;
            match self.read(&tenant, at).await {
                Ok(Some((text, upto))) => {
                    // That nobody listens any longer is seen above.
                    let _listeners = told.send(Arc::new(Batch { after: at, upto, text }));
                    at = upto;
                }
                // Nothing of this tenant up to what was shown before the query, so there is no need to look there again.
                Ok(None) => at = at.max(shown),
                Err(error) => {
                    tracing::error!(%error, "the history cannot be read for event streams");
                    break;
                }
            }
            let listeners = u32::try_from(told.receiver_count()).unwrap_or(u32::MAX);
            tokio::time::sleep(PAUSE + PAUSE_EACH * listeners).await;
        }
        // All streams of the tenant end with the sender; whoever reconnects begins anew.
        self.0.tenants.lock().unwrap_or_else(PoisonError::into_inner).remove(&tenant);
    }

    /// Forgets the tenant where nobody listens; while it is looked nobody can begin to.
    fn nobody_listens(&self, tenant: &TenantId, told: &broadcast::Sender<Arc<Batch>>) -> bool {
        let mut tenants = self.0.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let nobody = told.receiver_count() == 0;
        if nobody {
            tenants.remove(tenant);
        }
        nobody
    }

    /// Whether anything happened in a tenant after a position.
    pub async fn any(&self, tenant: &TenantId, after: Position) -> Result<bool, UseCaseError> {
        let (reader, tenant) = (self.0.history.reader().clone(), tenant.clone());
        let read = tokio::task::spawn_blocking(move || Ok::<_, QueryError>(!reader.after(&tenant, after, 1)?.is_empty()));
        Ok(read.await.map_err(|_| UseCaseError::Internal("a query's thread ended early"))??)
    }

    /// The next events of a tenant after a position as a stream sends them, and the last one's position; none if there is none.
    pub async fn read(&self, tenant: &TenantId, after: Position) -> Result<Option<(Bytes, Position)>, UseCaseError> {
        let (reader, tenant) = (self.0.history.reader().clone(), tenant.clone());
        let read = tokio::task::spawn_blocking(move || {
            let rows = reader.after(&tenant, after, BATCH)?;
            Ok::<_, QueryError>(rows.last().map(|last| (text(&rows), last.position)))
        });
        Ok(read.await.map_err(|_| UseCaseError::Internal("a query's thread ended early"))??)
    }
}

/// Events as a stream sends them: the id of each is its position.
fn text(rows: &[HistoryRow]) -> Bytes {
    let mut text = String::new();
    for row in rows {
        let event = entry::render(row);
        // Writing to a text cannot fail; JSON is one line.
        let _ = write!(text, "id: {}\nevent: {}\ndata: {event}\n\n", row.position, row.name);
    }
    Bytes::from(text)
}

impl Drop for Place {
    fn drop(&mut self) {
        fn less<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, of: &K) {
            if let Some(count) = counts.get_mut(of) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    counts.remove(of);
                }
            }
        }
        let mut open = self.streams.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all = open.all.saturating_sub(1);
        less(&mut open.by_tenant, &self.of.0);
        less(&mut open.by_subject, &self.of);
    }
}

#[cfg(test)]
mod tests {
    use gatebook_events::admission::RegistrationType;
    use gatebook_events::envelope::{Actor, ActorKind};
    use gatebook_events::identity::ResourceServerId;
    use gatebook_events::resource_server::{Policy, ResourceServerCommand};

    use super::*;
    use crate::aggregates::{Cause, Commands};
    use crate::event_log::memory::MemoryLog;
    use crate::platform::clock::Clock;
    use crate::read_models::OtherVersions;

    #[tokio::test]
    async fn b7_all_streams_of_a_tenant_are_told_by_one_look_at_the_history() {
        let (folder, log) = (tempfile::tempdir().unwrap(), Arc::new(MemoryLog::default()));
        let history: Projector<History> = Projector::start(log.clone(), folder.path(), OtherVersions::default()).unwrap();
        let streams = Streams::new(10, 10, history);
        let tenant = TenantId::default_tenant();
        let (mut one, mut other) = (streams.listen(&tenant), streams.listen(&tenant));
        let mut elsewhere = streams.listen(&TenantId::parse("elsewhere").unwrap());
        let commands = Commands::new(log, Clock::system());
        let actor = Actor { kind: ActorKind::System, id: None, via: None };
        let cause = Cause { actor, tenant: Some(tenant.clone()), request_id: None, origin: None };
        let create = ResourceServerCommand::Create {
            tenant,
            name: "files".to_owned(),
            resource: None,
            modes: RegistrationType::ALL.into(),
            policy: Policy::default(),
        };
        commands.create_resource_server(&cause, ResourceServerId::DEFAULT, &create).await.unwrap();
        let (to_one, to_other) = (one.recv().await.unwrap(), other.recv().await.unwrap());
        assert!(Arc::ptr_eq(&to_one, &to_other), "it was read twice");
        assert!(std::str::from_utf8(&to_one.text).unwrap().contains("event: resource_server.created\n"));
        assert!(elsewhere.try_recv().is_err());
    }
}
