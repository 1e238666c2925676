//! Makes a moment: reads the log from its first event on, and folds what a tenant's lists rest on into tables of their own.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::StreamExt;
use gatebook_events::codec::{self, AnyEvent};
use gatebook_events::envelope::{Envelope, Position};
use gatebook_events::identity::{ResourceServerId, TenantId};
use gatebook_events::resource_server::ResourceServerEvent;
use gatebook_events::stream::Stream;
use gatebook_projections::directory::Directory;
use gatebook_projections::read_model::ReadModel;

use super::AsOf;
use crate::application::audit::as_of::snapshot::{Folder, Last, Moment};
use crate::event_log::{EventLog, Followed};
use crate::read_models::build::{Stop, left_out};

/// How many events are written in one transaction.
const LOAD: usize = 16 * 1024;

/// Folds until the moment is over. `told` hears now and then how far that is.
pub async fn fold(log: &Arc<dyn EventLog>, folder: Folder, tenant: TenantId, as_of: AsOf, told: impl Fn(Position)) -> Result<Moment, Stop> {
    let left_out = left_out::<Directory>(log).await?;
    let place = folder.path().to_owned();
    let mut model = blocking(move || {
        let mut model = ReadModel::<Directory>::begin_building(&place)?;
        model.leave_out(left_out);
        Ok(model)
    })
    .await?;
    let mut theirs = Theirs { tenant, servers: HashSet::new() };
    let (mut last, mut next) = (Last::default(), None);
    let mut waiting = Vec::new();
    let mut following = log.follow(Position::START);
    'reading: while let Some(followed) = following.next().await {
        let Followed::Events(events) = followed? else { break };
        for envelope in events {
            let recorded_at = envelope.event.recorded_at;
            if as_of.is_before(&envelope) {
                next = Some(recorded_at);
                break 'reading;
            }
            last = Last { position: envelope.position, recorded_at: last.recorded_at.max(recorded_at) };
            if theirs.rest_on(&envelope) {
                waiting.push(envelope);
            }
        }
        if waiting.len() >= LOAD {
            model = apply(model, std::mem::take(&mut waiting)).await?;
        }
        told(last.position);
    }
    let model = apply(model, waiting).await?;
    let place = folder.path().to_owned();
    let tables = blocking(move || {
        model.finish()?;
        Ok(ReadModel::<Directory>::open(&place)?)
    });
    Ok(Moment::new(theirs.tenant, (last, next), tables.await?, folder))
}

async fn apply(mut model: ReadModel<Directory>, events: Vec<Envelope>) -> Result<ReadModel<Directory>, Stop> {
    blocking(move || {
        model.apply(&events)?;
        Ok(model)
    })
    .await
}

/// Work that blocks on the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Stop> + Send + 'static) -> Result<T, Stop> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Stop::Thread)?
}

/// Whose lists they are, and the resource servers that were met of theirs: each is created before anything happens there.
struct Theirs {
    tenant: TenantId,
    servers: HashSet<ResourceServerId>,
}

impl Theirs {
    /// Whether their lists may rest on an event. What happens at others' resource servers does not show in them.
    fn rest_on(&mut self, envelope: &Envelope) -> bool {
        match Stream::parse(&envelope.stream) {
            // A client is everybody's: it may come to them long after it was registered elsewhere. And of what cannot be read the
            // tables say what is wrong with it, as the live ones do.
            Ok(Stream::Client(_)) | Err(_) => true,
            Ok(Stream::Registration(server, _)) => self.servers.contains(&server),
            Ok(Stream::ResourceServer(server)) => self.servers.contains(&server) || (self.own(envelope) && self.servers.insert(server)),
            Ok(_) => false,
        }
    }

    fn own(&self, envelope: &Envelope) -> bool {
        match codec::decode(envelope) {
            Ok((_, AnyEvent::ResourceServer(ResourceServerEvent::Created(created)))) => created.tenant == self.tenant,
            Ok(_) => false,
            Err(_) => true,
        }
    }
}
