//! How full each register is: what the directory counted, and what this node let in since.
//!
//! A cap is exact among the registrations of one node: each holds a place from before its first append until the directory
//! shows it. What other nodes let in, and who left, counts once this node's directory shows it; a refusal waits for it.
//! Only registrations whose resource server or tenant has a cap come here at all.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatebook_events::Rejection;
use gatebook_events::admission::CapOf;
use gatebook_events::envelope::Position;
use gatebook_events::identity::ResourceServerId;
use gatebook_events::resource_server::Fill;
use gatebook_projections::directory::Scope;

use crate::aggregates::CommandError;
use crate::application::error::UseCaseError;
use crate::application::register::rules::Rules;
use crate::application::services::Services;
use crate::read_models::Follower;
use crate::read_models::consistency;

pub(crate) mod warnings;

/// While the directory is built for the first time it cannot count. Until then a node lets in this share of a cap at most: one in so
/// many, which is none for small caps.
const BLIND_SHARE: u64 = 100;

/// The counts of every register that a cap was ever asked about.
#[derive(Debug, Default)]
pub struct Census(Arc<Mutex<HashMap<Scope, Counted>>>);

#[derive(Debug, Default)]
struct Counted {
    /// Up to where the directory had counted; none before it was asked.
    upto: Option<Position>,
    number: u64,
    /// Where the registrations stand that this node let in and the directory had not counted.
    since: Vec<Position>,
    /// How many hold a place and are not appended yet.
    coming: u64,
}

impl Counted {
    /// How many are in.
    fn settled(&self) -> u64 {
        self.number + self.since.len() as u64
    }

    fn recount(&mut self, upto: Position, number: u64) {
        if self.upto.is_none_or(|before| before < upto) {
            self.upto = Some(upto);
            self.number = number;
            self.since.retain(|position| *position > upto);
        }
    }
}

/// Room for one registration. Dropped without [`Place::fill`], it is free again.
#[derive(Debug, Default)]
pub struct Place {
    census: Census,
    server: Option<ResourceServerId>,
    held: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    scope: Scope,
    /// The cap whose nearness administrators are told of.
    warns: Option<(CapOf, NonZeroU32)>,
}

impl Census {
    /// A place for one more client at a resource server, or the refusal of a register that is full.
    pub async fn place(&self, services: &Services, rules: &Rules) -> Result<Place, UseCaseError> {
        let mut place = Place { census: Self(self.0.clone()), server: Some(rules.id), held: Vec::new() };
        let id = rules.id;
        let of_server = rules.server.policy.max_clients.map(|cap| (Scope::Server(id), CapOf::ResourceServer, cap));
        let of_tenant = services.config.max_clients_per_tenant.map(|cap| (Scope::Tenant(rules.tenant.clone()), CapOf::Tenant, cap));
        for (scope, of, cap) in of_server.into_iter().chain(of_tenant) {
            match self.refresh(services, &scope, services.directory.progress().position).await {
                Err(UseCaseError::Building { .. }) if self.is_within(&scope, u64::from(cap.get()) / BLIND_SHARE) => {}
                refreshed => refreshed?,
            }
            let count = |number| Fill { of, cap, count: number };
            let mut taken = self.take(&scope, count);
            if taken.is_err() {
                // Somebody may have left since the directory was asked.
                self.refresh(services, &scope, services.log.head().await?).await?;
                taken = self.take(&scope, count);
            }
            if let Err(refusal) = taken {
                services.commands.note_fill(id, || count(self.settled(&scope))).await;
                return Err(CommandError::from(refusal).into());
            }
            place.held.push(Held { scope, warns: Some((of, cap)) });
        }
        Ok(place)
    }

    /// A place for one more client that comes to no resource server, below this cap.
    pub async fn place_of_unbound(&self, services: &Services, cap: NonZeroU32) -> Result<Place, UseCaseError> {
        let full = |_| UseCaseError::from(CommandError::from(Rejection::UnboundFull));
        let count = |number| Fill { of: CapOf::Tenant, cap, count: number };
        self.refresh(services, &Scope::Unbound, services.directory.progress().position).await?;
        if self.take(&Scope::Unbound, count).is_err() {
            // Some may have been taken or deleted since the directory was asked.
            self.refresh(services, &Scope::Unbound, services.log.head().await?).await?;
            self.take(&Scope::Unbound, count).map_err(full)?;
        }
        Ok(Place { census: Self(self.0.clone()), server: None, held: vec![Held { scope: Scope::Unbound, warns: None }] })
    }

    fn take(&self, scope: &Scope, fill: impl Fn(u64) -> Fill) -> Result<(), Rejection> {
        let mut counts = self.lock();
        let counted = counts.entry(scope.clone()).or_default();
        fill(counted.settled() + counted.coming).room()?;
        counted.coming += 1;
        Ok(())
    }

    /// Has the directory count anew if it shows more than when it was last asked. The first time it has to show everything.
    async fn refresh(&self, services: &Services, scope: &Scope, shown: Position) -> Result<(), UseCaseError> {
        let upto = self.lock().get(scope).and_then(|counted| counted.upto);
        if upto.is_some_and(|upto| upto >= shown) {
            return Ok(());
        }
        if upto.is_some() && services.directory.progress().position < shown {
            services.directory.reached(shown, services.config.read_wait).await;
        }
        let asked = scope.clone();
        let (upto, number) = if upto.is_none() {
            let (log, wait) = (&*services.log, services.config.read_wait);
            consistency::read(log, &services.directory, None, wait, move |directory| directory.filled(&asked)).await?.unless_stale()?
        } else {
            let reader = services.directory.reader().clone();
            tokio::task::spawn_blocking(move || reader.filled(&asked))
                .await
                .map_err(|_| UseCaseError::Internal("a query's thread ended early"))??
        };
        self.lock().entry(scope.clone()).or_default().recount(upto, number);
        Ok(())
    }

    fn release(&self, held: &[Held], position: Option<Position>) {
        let mut counts = self.lock();
        for Held { scope, .. } in held {
            let Some(counted) = counts.get_mut(scope) else { continue };
            counted.coming = counted.coming.saturating_sub(1);
            counted.since.extend(position.filter(|position| counted.upto.is_none_or(|upto| *position > upto)));
        }
    }

    /// Whether fewer than so many were let in that the directory has not counted.
    fn is_within(&self, scope: &Scope, most: u64) -> bool {
        let counts = self.lock();
        let uncounted = counts.get(scope).map_or(0, |counted| counted.since.len() as u64 + counted.coming);
        uncounted < most
    }

    fn settled(&self, scope: &Scope) -> u64 {
        self.lock().get(scope).map_or(0, Counted::settled)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Scope, Counted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The client is in; its last event stands at this position, or nothing was appended because it was in already. Sees to
    /// the warning that is due when a register is nearly full.
    pub async fn fill(mut self, services: &Services, position: Option<Position>) {
        let held = std::mem::take(&mut self.held);
        self.census.release(&held, position);
        if let Some(id) = self.server.filter(|_| position.is_some()) {
            for Held { scope, warns } in held {
                let Some((of, cap)) = warns else { continue };
                services.commands.note_fill(id, || Fill { of, cap, count: self.census.settled(&scope) }).await;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.census.release(&self.held, None);
    }
}
