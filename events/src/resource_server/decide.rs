//! When a resource server may change.

use super::event::{CapEased, CapNeared, Created, FamilyReinstated, FamilySuspended, ModesChanged, PolicyChanged, Renamed, Retired};
use super::{EffectOnExisting, Fill, Life, ResourceServer, ResourceServerCommand, ResourceServerEvent as Event};
use crate::Rejection;
use crate::admission::{Modes, RegistrationType};

/// The most programs that one resource server has suspended.
const MOST_FAMILIES: usize = 1000;

pub(super) fn decide(server: &ResourceServer, command: &ResourceServerCommand) -> Result<Vec<Event>, Rejection> {
    use ResourceServerCommand::{Create, Edit, NoteFill, ReinstateFamily, Retire, SuspendFamily};
    match (server.life, command) {
        (Life::None, Create { tenant, name, resource, modes, policy }) => Ok(vec![Event::Created(Created {
            tenant: tenant.clone(),
            name: name.clone(),
            resource: resource.clone(),
            registration_modes: modes.clone(),
            policy: policy.clone(),
        })]),
        (Life::Active, Create { tenant, name, .. }) if server.tenant.as_ref() == Some(tenant) && server.name == *name => Ok(vec![]),
        (Life::Active | Life::Retired, Create { .. }) => Err(Rejection::AlreadyExists),
        (Life::None | Life::Retired, Edit { .. } | SuspendFamily { .. }) | (Life::None, Retire { .. }) => {
            Err(Rejection::NoSuchResourceServer)
        }
        (Life::Active, Edit { name, resource, modes, effect_on_existing, policy }) => {
            let mut events = Vec::new();
            let name = name.as_ref().unwrap_or(&server.name);
            let resource = resource.as_ref().unwrap_or(&server.resource);
            if *name != server.name || *resource != server.resource {
                events.push(Event::Renamed(Renamed { name: name.clone(), resource: resource.clone() }));
            }
            events.extend(switch(server, modes.as_ref(), *effect_on_existing)?.map(Event::ModesChanged));
            if let Some(policy) = policy
                && *policy != server.policy
            {
                events.push(Event::PolicyChanged(PolicyChanged { policy: policy.clone() }));
            }
            Ok(events)
        }
        (Life::Active, NoteFill(fill)) => {
            let Fill { of, cap, count } = *fill;
            let told = server.neared.get(&of);
            Ok(if fill.is_near() && told != Some(&cap) {
                vec![Event::CapNeared(CapNeared { of, cap, count })]
            } else if fill.is_eased() && told.is_some() {
                vec![Event::CapEased(CapEased { of, cap, count })]
            } else {
                vec![]
            })
        }
        (Life::Active, SuspendFamily { family, .. }) if server.suspended_families.contains_key(family) => Ok(vec![]),
        (Life::Active, SuspendFamily { .. }) if server.suspended_families.len() >= MOST_FAMILIES => Err(Rejection::TooManyFamilies),
        (Life::Active, SuspendFamily { family, client_id, reason }) => {
            let (family, client_id, reason) = (family.clone(), client_id.clone(), reason.clone());
            Ok(vec![Event::FamilySuspended(FamilySuspended { family, client_id, reason })])
        }
        (Life::Active, ReinstateFamily { family, client_id, reason }) if server.suspended_families.contains_key(family) => {
            let (family, client_id, reason) = (family.clone(), client_id.clone(), reason.clone());
            Ok(vec![Event::FamilyReinstated(FamilyReinstated { family, client_id, reason })])
        }
        (Life::Active, Retire { reason }) => Ok(vec![Event::Retired(Retired { reason: reason.clone() })]),
        // To a resource server that is gone nobody comes, so there is nobody to warn.
        (_, ReinstateFamily { .. }) | (Life::Retired, Retire { .. }) | (Life::None | Life::Retired, NoteFill(_)) => Ok(vec![]),
    }
}

/// What becomes of the types. Registrations of one that was off already are suspended too, once that is said.
fn switch(server: &ResourceServer, modes: Option<&Modes>, effect_on_existing: EffectOnExisting) -> Result<Option<ModesChanged>, Rejection> {
    let new = modes.unwrap_or(&server.modes);
    let off = |kind: &RegistrationType| !new.contains(kind) && !server.modes.contains(kind) && !server.suspended.contains(kind);
    let also_suspended: Modes = match effect_on_existing {
        EffectOnExisting::Keep => Modes::new(),
        EffectOnExisting::Suspend if modes.is_none() && RegistrationType::ALL.iter().all(|kind| new.contains(kind)) => {
            return Err(Rejection::NoTypeIsOff);
        }
        EffectOnExisting::Suspend => RegistrationType::ALL.into_iter().filter(off).collect(),
    };
    if *new == server.modes && also_suspended.is_empty() {
        return Ok(None);
    }
    Ok(Some(ModesChanged { old: server.modes.clone(), new: new.clone(), effect_on_existing, also_suspended }))
}
