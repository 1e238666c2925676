//! The resource server: which ways of registering it admits, and by what rules.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::admission::{CapOf, Modes, RegistrationType};
use crate::family::FamilyName;
use crate::identity::{ClientId, TenantId};
use crate::metadata::ClientMetadata;
use crate::redirect::WebUri;
use crate::reservation::Fingerprint;
use crate::{Aggregate, Rejection};

mod cap;
mod check;
mod command;
mod decide;
mod event;
mod hearing;
mod identifier;
mod judge;
mod policy;
mod statements;

pub use crate::redirect_rule::{Preset, presets};
pub use cap::{Fill, takes_room};
pub use command::ResourceServerCommand;
pub use event::{
    CapEased, CapNeared, Created, EffectOnExisting, FamilyReinstated, FamilySuspended, ModesChanged, PolicyChanged, Renamed,
    ResourceServerEvent, Retired,
};
pub use identifier::normalized;
pub use judge::{Coming, Judgement, Warrant};
pub use policy::{Admissions, Instances, ManifestRules, OutsideRules, Policy, WithdrawalRule};
pub use statements::StatementIssuer;

/// The state of a resource server.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ResourceServer {
    /// Whether it exists, and whether it still serves.
    pub life: Life,
    /// Whose it is.
    pub tenant: Option<TenantId>,
    /// The name for people to read.
    pub name: String,
    /// The resource identifier (RFC 8707 §2), if it has one.
    pub resource: Option<WebUri>,
    /// Which types may register now.
    pub modes: Modes,
    /// Which types were switched off for existing registrations too.
    pub suspended: Modes,
    /// The rules.
    pub policy: Policy,
    /// Which rules they are, counted from 1: those that it was created with.
    pub policy_version: u32,
    /// The caps whose nearness was told and has not passed, by how high they were.
    pub neared: BTreeMap<CapOf, NonZeroU32>,
    /// The programs that are suspended, each with the client of it that was suspended first.
    pub suspended_families: BTreeMap<FamilyName, ClientId>,
}

/// The life of a resource server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Life {
    /// Nobody created it.
    #[default]
    None,
    /// It serves.
    Active,
    /// It was retired; its history stays.
    Retired,
}

impl ResourceServer {
    /// Whether it is there and was not retired.
    pub fn is_active(&self) -> bool {
        self.life == Life::Active
    }

    /// The suspended client whose family this one is of, if its program is suspended.
    pub fn suspended_with(&self, client_id: &ClientId, kind: RegistrationType, metadata: &ClientMetadata) -> Option<&ClientId> {
        if self.suspended_families.is_empty() {
            return None;
        }
        self.suspended_families.get(&FamilyName::of(client_id, kind, metadata))
    }

    /// Whether the metadata say that clients may come this way.
    pub fn announces(&self, kind: RegistrationType) -> bool {
        self.open_to(kind).is_ok() && (kind != RegistrationType::Cimd || self.policy.manifests.announce)
    }

    /// What a client that registers itself shares with all that are identical; none where it is a client of its own. The
    /// metadata is that which [`ResourceServer::judge`] gave, with the names of what was ignored of the request.
    pub fn shares(&self, metadata: &ClientMetadata, ignored: &[Box<str>]) -> Option<Fingerprint> {
        if self.policy.are_shared(&metadata.redirect_uris) { Fingerprint::of(metadata, ignored) } else { None }
    }
}

impl Aggregate for ResourceServer {
    type Command = ResourceServerCommand;
    type Event = ResourceServerEvent;

    fn decide(&self, command: &ResourceServerCommand) -> Result<Vec<ResourceServerEvent>, Rejection> {
        decide::decide(self, command)
    }

    fn evolve(mut self, event: &ResourceServerEvent) -> Self {
        let expected = if matches!(event, ResourceServerEvent::Created(_)) { Life::None } else { Life::Active };
        if self.life != expected {
            return self;
        }
        match event {
            ResourceServerEvent::Created(created) => {
                self.life = Life::Active;
                self.tenant = Some(created.tenant.clone());
                self.name.clone_from(&created.name);
                self.resource.clone_from(&created.resource);
                self.modes.clone_from(&created.registration_modes);
                self.policy = created.policy.clone();
                self.policy_version = 1;
            }
            ResourceServerEvent::Renamed(renamed) => {
                self.name.clone_from(&renamed.name);
                self.resource.clone_from(&renamed.resource);
            }
            ResourceServerEvent::ModesChanged(changed) => {
                if changed.effect_on_existing == EffectOnExisting::Suspend {
                    self.suspended.extend(changed.old.difference(&changed.new));
                }
                self.suspended.extend(&changed.also_suspended);
                self.suspended.retain(|mode| !changed.new.contains(mode));
                self.modes.clone_from(&changed.new);
            }
            ResourceServerEvent::PolicyChanged(changed) => {
                self.policy = changed.policy.clone();
                self.policy_version = self.policy_version.saturating_add(1);
            }
            ResourceServerEvent::CapNeared(neared) => drop(self.neared.insert(neared.of, neared.cap)),
            ResourceServerEvent::CapEased(eased) => drop(self.neared.remove(&eased.of)),
            ResourceServerEvent::FamilySuspended(suspended) => {
                self.suspended_families.entry(suspended.family.clone()).or_insert_with(|| suspended.client_id.clone());
            }
            ResourceServerEvent::FamilyReinstated(reinstated) => drop(self.suspended_families.remove(&reinstated.family)),
            ResourceServerEvent::Retired(_) => self.life = Life::Retired,
        }
        self
    }
}

#[cfg(test)]
mod tests;
