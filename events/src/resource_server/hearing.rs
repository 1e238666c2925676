//! How a resource server's rules hear a registered client that says something else about itself than before.

use chrono::{DateTime, Utc};

use super::Policy;
use crate::admission::{Admission, Heard, Lane, RegistrationType};
use crate::metadata::ClientMetadata;
use crate::redirect::RedirectUris;
use crate::registration::{AdmittedMetadata, Registration, Wished};

impl RegistrationType {
    /// The rule that says whether clients of this type are let in at once, by its name in the policy.
    pub const fn admission_rule(self) -> &'static str {
        match self {
            Self::Dcr => "admission.dcr",
            Self::Cimd => "admission.cimd",
            Self::Prereg => "admission.prereg",
        }
    }
}

impl Policy {
    /// How redirect URIs are heard that a client adds with its registration access token.
    pub fn hear_redirects(&self, by_rules: Admission) -> Admission {
        if by_rules == Admission::Review { Admission::Review } else { self.redirect_changes }
    }

    /// How the rest of what it says is heard: as a new registration with it would be. `by_rules` is what the rules make of all its
    /// redirect URIs.
    pub fn hear_update(&self, kind: RegistrationType, metadata: &ClientMetadata, by_rules: Admission) -> Wished {
        let admission = if by_rules == Admission::Review { by_rules } else { self.admission.of(kind) };
        Wished { metadata: AdmittedMetadata::of(metadata).into(), heard: admission.into(), rule: kind.admission_rule() }
    }

    /// How the rest of what a document says is heard, beside redirect URIs that are welcome: at once where a new registration
    /// would be let in at once, because whoever hosts the document could as well come with another one; else as the lane has it.
    /// Nothing is heard where the rules would not have a client with it at all.
    pub fn hear_document(&self, metadata: &ClientMetadata, welcome: &RedirectUris, at: DateTime<Utc>) -> Option<Wished> {
        let kind = RegistrationType::Cimd;
        let admitted = self.constrain(kind, metadata.clone()).ok()?;
        let at_once = self.judge(welcome) == Ok(Admission::Auto) && self.admission.of(kind) == Admission::Auto;
        let (heard, rule) = if at_once && self.manifests.lane != Lane::Pinned {
            (Heard::Live, kind.admission_rule())
        } else {
            (self.hear(welcome, at).1, "manifests.lane")
        };
        Some(Wished { metadata: AdmittedMetadata::of(&admitted).into(), heard, rule })
    }

    /// Whether what a client says, or what serves of it here, is not what it was approved with.
    pub fn has_moved(&self, kind: RegistrationType, claimed: &ClientMetadata, registration: &Registration) -> bool {
        let (Some(approved), Some(admitted)) = (&registration.approved_with, &registration.metadata) else { return false };
        if approved == admitted && AdmittedMetadata::of(claimed) == **approved {
            return false;
        }
        // What the rules took away since nobody changed.
        let here = |said: ClientMetadata| AdmittedMetadata::of(&self.constrain(kind, said.clone()).unwrap_or(said));
        let approved = here(approved.over(claimed));
        [admitted.over(claimed), claimed.clone()].into_iter().any(|said| here(said).in_order_of(&approved) != approved)
    }
}
