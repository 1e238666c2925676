//! What can have happened to a resource server.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::Policy;
use crate::admission::{CapOf, Modes};
use crate::family::FamilyName;
use crate::identity::{ClientId, TenantId};
use crate::redirect::WebUri;
use crate::stored::stored;

stored! {
    /// What can have happened to a resource server.
    ResourceServerEvent {
        "resource_server.created" 2 => Created,
        "resource_server.renamed" 1 => Renamed,
        "resource_server.modes_changed" 1 => ModesChanged,
        "resource_server.policy_changed" 2 => PolicyChanged,
        "resource_server.retired" 1 => Retired,
        "resource_server.cap_neared" 1 => CapNeared,
        "resource_server.cap_eased" 1 => CapEased,
        "resource_server.family_suspended" 1 => FamilySuspended,
        "resource_server.family_reinstated" 1 => FamilyReinstated,
    }
}

/// A whole program is suspended: whoever registers as it from now on stands so too, until an administrator decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct FamilySuspended {
    /// Which program.
    pub family: FamilyName,
    /// The client that was suspended.
    pub client_id: ClientId,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whoever registers as a program that was suspended stands by the rules again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct FamilyReinstated {
    /// Which program.
    pub family: FamilyName,
    /// The client of it that was reinstated.
    pub client_id: ClientId,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// It was entered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Created {
    /// Whose it is.
    pub tenant: TenantId,
    /// The name for people to read.
    pub name: String,
    /// The resource identifier (RFC 8707 §2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<WebUri>,
    /// Which types may register.
    pub registration_modes: Modes,
    /// The rules.
    pub policy: Policy,
}

/// Its name or its resource identifier changed. Both are given as they are now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Renamed {
    /// The name.
    pub name: String,
    /// The resource identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<WebUri>,
}

/// Other types may register from now on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ModesChanged {
    /// Which types could.
    pub old: Modes,
    /// Which types can.
    pub new: Modes,
    /// What becomes of registrations whose type is no longer admitted.
    pub effect_on_existing: EffectOnExisting,
    /// Types that were off already, and whose registrations are suspended only from now on.
    #[serde(default, skip_serializing_if = "Modes::is_empty")]
    pub also_suspended: Modes,
}

/// What becomes of registrations whose type is no longer admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum EffectOnExisting {
    /// They go on.
    #[default]
    Keep,
    /// They are suspended until the type is admitted again.
    Suspend,
}

/// The rules changed. Given as they are now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct PolicyChanged {
    /// The rules.
    pub policy: Policy,
}

/// It ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Retired {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// At least 80 % of a cap on clients are taken: a warning, once until the count has fallen or the cap is another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct CapNeared {
    /// Whose clients are counted. A tenant's warning stands in the history of one of its resource servers.
    pub of: CapOf,
    /// The most that there may be.
    pub cap: NonZeroU32,
    /// How many there are.
    pub count: u64,
}

/// Fewer than 70 % of a cap whose nearness was told are taken; the next warning may come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct CapEased {
    /// Whose clients are counted.
    pub of: CapOf,
    /// The most that there may be.
    pub cap: NonZeroU32,
    /// How many there are.
    pub count: u64,
}
