//! What can be asked of a resource server.

use super::{EffectOnExisting, Fill, Policy};
use crate::admission::Modes;
use crate::family::FamilyName;
use crate::identity::{ClientId, TenantId};
use crate::redirect::WebUri;

/// What can be asked of a resource server.
#[derive(Debug, Clone)]
pub enum ResourceServerCommand {
    /// Enter it.
    Create {
        /// Whose it is.
        tenant: TenantId,
        /// The name for people to read.
        name: String,
        /// The resource identifier (RFC 8707 §2).
        resource: Option<WebUri>,
        /// Which types may register.
        modes: Modes,
        /// The rules.
        policy: Policy,
    },
    /// Change what was given; what is absent stays.
    Edit {
        /// A new name.
        name: Option<String>,
        /// A new resource identifier; `Some(None)` takes it away.
        resource: Option<Option<WebUri>>,
        /// Which types may register from now on.
        modes: Option<Modes>,
        /// What becomes of registrations of a type that is off then. `Keep` leaves them as they are.
        effect_on_existing: EffectOnExisting,
        /// New rules; existing registrations keep what they have.
        policy: Option<Policy>,
    },
    /// Suspend a whole program: whoever registers as it from now on stands suspended.
    SuspendFamily {
        /// Which program.
        family: FamilyName,
        /// The client of it that is suspended.
        client_id: ClientId,
        /// Why.
        reason: Option<String>,
    },
    /// Have whoever registers as a program stand by the rules again.
    ReinstateFamily {
        /// Which program.
        family: FamilyName,
        /// The client of it that was reinstated.
        client_id: ClientId,
        /// Why.
        reason: Option<String>,
    },
    /// Take note of how full a register is, for the warning that is due when it is nearly full.
    NoteFill(Fill),
    /// End it. No client may act there any more; the history stays.
    Retire {
        /// Why, for the history.
        reason: Option<String>,
    },
}
