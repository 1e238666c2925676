//! The resource servers as this node knows them: few, seldom changed, and asked at every registration.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use gatebook_events::envelope::Position;
use gatebook_events::identity::{ResourceServerId, TenantId};
use gatebook_events::resource_server::{Life, ResourceServer, normalized};

/// A resource server, and since when its resource identifier is its own.
#[derive(Debug, Clone)]
pub struct Known {
    /// As it is.
    pub server: Arc<ResourceServer>,
    /// The event that gave it its resource identifier. Of two that claim the same one, across tenants, the first has it.
    pub claimed: Position,
    /// Its last event.
    pub upto: Position,
}

/// Every resource server that was asked for, and once it is complete, every one there is.
#[derive(Debug, Default)]
pub struct Roster(RwLock<Arc<Snapshot>>);

/// The roster at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    servers: HashMap<ResourceServerId, Known>,
    /// By resource identifiers as they are compared.
    by_resource: HashMap<Box<str>, ResourceServerId>,
    only: Option<ResourceServerId>,
    complete: bool,
}

impl Roster {
    /// The roster now.
    pub fn now(&self) -> Arc<Snapshot> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Enters what was read, unless something newer is known.
    pub fn put(&self, id: ResourceServerId, known: Known) {
        self.change(|servers| {
            if servers.get(&id).is_none_or(|before| before.upto <= known.upto) {
                servers.insert(id, known);
            }
        });
    }

    /// Knows nothing of it any more, nor that it knows everything.
    pub fn forget(&self, id: ResourceServerId) {
        let mut slot = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut servers = slot.servers.clone();
        servers.remove(&id);
        *slot = Arc::new(Snapshot::of(servers, false));
    }

    /// From now on what is not in it does not exist.
    pub fn complete(&self) {
        let mut slot = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *slot = Arc::new(Snapshot { complete: true, ..(**slot).clone() });
    }

    fn change(&self, edit: impl FnOnce(&mut HashMap<ResourceServerId, Known>)) {
        let mut slot = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut servers = slot.servers.clone();
        edit(&mut servers);
        *slot = Arc::new(Snapshot::of(servers, slot.complete));
    }
}

impl Snapshot {
    fn of(servers: HashMap<ResourceServerId, Known>, complete: bool) -> Self {
        let mut active: Vec<(&ResourceServerId, &Known)> = servers.iter().filter(|(_, known)| known.server.life == Life::Active).collect();
        active.sort_by_key(|(_, known)| known.claimed);
        let mut by_resource = HashMap::new();
        for (id, known) in &active {
            if let Some(resource) = &known.server.resource {
                by_resource.entry(normalized(resource.as_str())).or_insert(**id);
            }
        }
        let home = TenantId::default_tenant();
        let at_home: Vec<_> = active.iter().filter(|(_, known)| known.server.tenant.as_ref() == Some(&home)).collect();
        let only = match (at_home.as_slice(), active.as_slice()) {
            ([(id, _)], _) | ([], [(id, _)]) => Some(**id),
            _ => None,
        };
        Self { servers, by_resource, only, complete }
    }

    /// A resource server, if it was entered.
    pub fn get(&self, id: ResourceServerId) -> Option<&Known> {
        self.servers.get(&id)
    }

    /// The active resource server with this identifier (RFC 8707 §2).
    pub fn with_resource(&self, resource: &str) -> Option<ResourceServerId> {
        self.by_resource.get(&normalized(resource)).copied()
    }

    /// Every active resource server with this identifier, of any tenant; the first to claim it first.
    pub fn all_with_resource(&self, resource: &str) -> Vec<ResourceServerId> {
        let named = |known: &Known| known.server.resource.as_ref().is_some_and(|own| own.means(resource));
        let active = self.servers.iter().filter(|(_, known)| known.server.life == Life::Active);
        let mut all: Vec<(Position, ResourceServerId)> =
            active.filter(|(_, known)| named(known)).map(|(id, known)| (known.claimed, *id)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, id)| id).collect()
    }

    /// The tenant's active resource server with this identifier; without one, the only one that it has.
    pub fn of_tenant(&self, tenant: &TenantId, resource: Option<&str>) -> Option<ResourceServerId> {
        let mut own =
            self.servers.iter().filter(|(_, known)| known.server.life == Life::Active && known.server.tenant.as_ref() == Some(tenant));
        match resource {
            Some(resource) => own
                .filter(|(_, known)| known.server.resource.as_ref().is_some_and(|own| own.means(resource)))
                .min_by_key(|(_, known)| known.claimed)
                .map(|(id, _)| *id),
            None => own.next().filter(|_| own.next().is_none()).map(|(id, _)| *id),
        }
    }

    /// The only active resource server of the tenant that every instance has; where that has none, the only one there is. What
    /// another tenant creates does not change where clients of the first one go.
    pub fn only(&self) -> Option<ResourceServerId> {
        self.only
    }

    /// The resource servers that serve, each with its id.
    pub fn serving(&self) -> impl Iterator<Item = (ResourceServerId, &Arc<ResourceServer>)> {
        self.servers.iter().filter(|(_, known)| known.server.life == Life::Active).map(|(id, known)| (*id, &known.server))
    }

    /// The resource servers that serve.
    pub fn active(&self) -> impl Iterator<Item = &ResourceServer> {
        self.servers.values().map(|known| &*known.server).filter(|server| server.life == Life::Active)
    }

    /// A tenant's active resource servers.
    pub fn of_same_tenant(&self, tenant: &TenantId) -> Vec<ResourceServerId> {
        let of_tenant = |known: &Known| known.server.life == Life::Active && known.server.tenant.as_ref() == Some(tenant);
        self.servers.iter().filter(|(_, known)| of_tenant(known)).map(|(id, _)| *id).collect()
    }

    /// The first of a tenant's active resource servers, by id.
    pub fn first_of(&self, tenant: &TenantId) -> Option<ResourceServerId> {
        self.of_same_tenant(tenant).into_iter().min()
    }

    /// Whether every resource server there is was entered.
    pub fn is_complete(&self) -> bool {
        self.complete
    }
}

#[cfg(test)]
mod tests {
    use gatebook_events::redirect::WebUri;
    use uuid::Uuid;

    use super::*;

    fn server(life: Life, resource: Option<&str>, claimed: u64) -> Known {
        let resource = resource.map(|text| WebUri::parse(text).unwrap());
        let server = ResourceServer { life, resource, ..ResourceServer::default() };
        Known { server: Arc::new(server), claimed: Position::from_backend(claimed), upto: Position::from_backend(claimed) }
    }

    fn id(number: u128) -> ResourceServerId {
        ResourceServerId(Uuid::from_u128(number))
    }

    #[test]
    fn of_two_that_claim_one_resource_the_first_to_claim_it_has_it() {
        let roster = Roster::default();
        let uri = "https://files.example/mcp";
        // The older one by id claimed it later.
        roster.put(id(1), server(Life::Active, Some(uri), 9));
        roster.put(id(2), server(Life::Active, Some(uri), 5));
        assert_eq!(roster.now().with_resource(uri), Some(id(2)));
        roster.put(id(2), server(Life::Retired, Some(uri), 5));
        assert_eq!(roster.now().with_resource(uri), Some(id(1)));
        assert_eq!(roster.now().only(), Some(id(1)));
    }

    #[test]
    fn w1_of_two_that_spell_one_resource_differently_the_first_to_claim_it_is_meant() {
        let roster = Roster::default();
        roster.put(id(1), server(Life::Active, Some("https://files.example"), 9));
        roster.put(id(2), server(Life::Active, Some("https://FILES.example:443/"), 5));
        let now = roster.now();
        for spelling in ["https://files.example", "https://files.example/", "HTTPS://files.EXAMPLE:443"] {
            assert_eq!(now.with_resource(spelling), Some(id(2)), "{spelling}");
            assert_eq!(now.all_with_resource(spelling), [id(2), id(1)]);
        }
        assert_eq!(now.with_resource("https://files.example/mcp"), None);
    }

    #[test]
    fn what_another_tenant_creates_does_not_take_away_the_default_tenants_only_one() {
        let of = |tenant: &str, claimed| {
            let known = server(Life::Active, None, claimed);
            let server = ResourceServer { tenant: TenantId::parse(tenant).ok(), ..(*known.server).clone() };
            Known { server: Arc::new(server), ..known }
        };
        let roster = Roster::default();
        roster.put(id(1), of("default", 1));
        roster.put(id(2), of("acme", 2));
        assert_eq!(roster.now().only(), Some(id(1)));
        roster.put(id(3), of("default", 3));
        assert_eq!(roster.now().only(), None);
    }

    #[test]
    fn what_was_read_earlier_does_not_undo_an_edit_and_completeness_outlives_edits() {
        let roster = Roster::default();
        roster.put(id(1), server(Life::Retired, None, 2));
        roster.put(id(1), server(Life::Active, None, 1));
        assert_eq!(roster.now().get(id(1)).unwrap().server.life, Life::Retired);
        assert!(!roster.now().is_complete());
        roster.complete();
        roster.put(id(2), server(Life::Active, None, 2));
        assert!(roster.now().is_complete());
        assert_eq!(roster.now().only(), Some(id(2)));
        roster.forget(id(2));
        assert!(roster.now().get(id(2)).is_none() && !roster.now().is_complete());
    }
}
