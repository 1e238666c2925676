//! The client: its identity, its metadata and its credentials. What it may do is for registrations to say.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::admission::RegistrationType;
use crate::clamps::Clamps;
use crate::identity::{ClientId, InitialAccessTokenId, TenantId};
use crate::metadata::ClientMetadata;
use crate::secret::{KeptSecret, SecretHash, TokenHash};
use crate::{Aggregate, Rejection};

mod command;
mod decide;
mod entered;
mod event;
mod imported;
mod manifest;

pub use command::{ClientCommand, Party};
pub use entered::{Entered, MOST_ENTERED};
pub use event::{
    ClientEvent, Deleted, ManifestRecovered, ManifestUnreachable, ManifestVersioned, ManifestWithdrawn, MetadataUpdated, Registered,
    RegistrationTokenRotated, SecretRevoked, SecretRotated,
};
pub use imported::{ImportFormat, ImportedFrom};
pub use manifest::{ContentHash, Difference, Document, Manifest, Version, Withdrawal, differences};

/// The state of a client.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Client {
    /// Whether it exists, and whether it still does.
    pub life: Life,
    /// Who it is, once it is registered. Apart, because a fold moves states about, and this is large.
    pub profile: Option<Box<Profile>>,
    /// The texts of its document that administrators entered, by tenant. Each is for that tenant alone, and only until the host answers:
    /// ask [`Self::seen_by`].
    pub entered: BTreeMap<TenantId, Entered>,
}

/// The life of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Life {
    /// Nobody registered it.
    #[default]
    Unregistered,
    /// It exists.
    Registered,
    /// It exists, and the document that describes it is gone. What that means is for each resource server's policy to say.
    Withdrawn,
    /// It was deleted; its history stays and its identifier is never used again.
    Deleted,
}

/// Who a client is.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Its public identifier.
    pub client_id: ClientId,
    /// How it came.
    pub registration_type: RegistrationType,
    /// The tenant whose administrators may touch what all registrations share.
    pub home: Option<TenantId>,
    /// What it says about itself.
    pub metadata: ClientMetadata,
    /// The `software_id` that it came with: what it says later is nobody's word for what it is an instance of.
    pub software_id: Option<Box<str>>,
    /// When it was registered.
    pub issued_at: DateTime<Utc>,
    /// The secret that it should use.
    pub secret: Option<KeptSecret>,
    /// The secret before that, and until when it still works.
    pub previous_secret: Option<(SecretHash, DateTime<Utc>)>,
    /// By which the request is known that rotated its secret last.
    pub rotated_by: Option<Box<str>>,
    /// Its registration access token (RFC 7592 §3), while it has one.
    pub registration_token: Option<TokenHash>,
    /// The document that it hosts; none for a client that is not described by one.
    pub manifest: Option<Manifest>,
    /// The initial access token that it came by, if any.
    pub initial_access_token: Option<InitialAccessTokenId>,
    /// What that token allows it: whatever it registers later stays within.
    pub clamps: Clamps,
    /// Where it was registered before, if it was imported.
    pub imported_from: Option<ImportedFrom>,
}

impl Profile {
    fn of(registered: &Registered) -> Self {
        Self {
            client_id: registered.client_id.clone(),
            registration_type: registered.registration_type,
            home: registered.home.clone(),
            metadata: registered.metadata.clone(),
            software_id: registered.metadata.software_id.clone(),
            issued_at: registered.issued_at,
            secret: registered.secret.clone(),
            previous_secret: None,
            rotated_by: None,
            registration_token: registered.registration_token,
            manifest: (registered.registration_type == RegistrationType::Cimd).then(Manifest::default),
            initial_access_token: registered.initial_access_token,
            clamps: registered.clamps.clone(),
            imported_from: registered.imported_from.clone(),
        }
    }

    /// Whether it registered itself where no resource server was meant. It can do nothing until one takes it, and belongs to the
    /// tenant that every instance has; whether one took it since is for registrations to say.
    pub fn came_to_none(&self) -> bool {
        self.registration_type == RegistrationType::Dcr && self.home.is_none()
    }

    /// Whether this tenant's administrators may touch what all registrations share.
    pub fn is_at_home(&self, tenant: &TenantId) -> bool {
        self.home.as_ref() == Some(tenant) || (self.came_to_none() && *tenant == TenantId::default_tenant())
    }
}

impl Client {
    /// The profile of a client that exists.
    pub fn registered(&self) -> Option<&Profile> {
        self.profile.as_deref().filter(|_| self.exists())
    }

    /// The number of the newest version of its document; 0 for a client that hosts none.
    pub fn document_version(&self) -> u32 {
        let manifest = self.registered().and_then(|profile| profile.manifest.as_ref());
        manifest.and_then(Manifest::current).map_or(0, |version| version.number)
    }

    fn exists(&self) -> bool {
        matches!(self.life, Life::Registered | Life::Withdrawn)
    }
}

impl Client {
    /// How many versions of its document are known.
    pub fn document_versions(&self) -> usize {
        self.profile.as_ref().and_then(|profile| profile.manifest.as_ref()).map_or(0, |manifest| manifest.versions.len())
    }
}

impl Aggregate for Client {
    type Command = ClientCommand;
    type Event = ClientEvent;

    fn decide(&self, command: &ClientCommand) -> Result<Vec<ClientEvent>, Rejection> {
        decide::decide(self, command)
    }

    fn evolve(mut self, event: &ClientEvent) -> Self {
        if let ClientEvent::Registered(registered) = event {
            if let Some(tenant) = &registered.entered_for {
                self.entered.entry(tenant.clone()).or_insert_with(|| Entered::new(Profile::of(registered), tenant));
            } else if self.life == Life::Unregistered {
                self.life = Life::Registered;
                self.profile = Some(Box::new(Profile::of(registered)));
            }
            return self;
        }
        if let ClientEvent::ManifestVersioned(versioned) = event
            && let Some(tenant) = &versioned.entered_for
        {
            self.enter(tenant, versioned);
            return self;
        }
        if let (ClientEvent::ManifestWithdrawn(_), true) = (event, self.is_entered_only()) {
            self.withdraw_what_was_entered();
            return self;
        }
        if matches!(event, ClientEvent::ManifestVersioned(_) | ClientEvent::ManifestRecovered(_)) {
            self.stand_by_what_was_entered(matches!(event, ClientEvent::ManifestRecovered(_)));
        }
        let exists = self.exists();
        let Some(profile) = self.profile.as_mut().filter(|_| exists) else { return self };
        match event {
            ClientEvent::Registered(_) => {}
            ClientEvent::MetadataUpdated(updated) => {
                profile.metadata = updated.metadata.clone();
                if let Some(secret) = &updated.secret {
                    profile.secret = Some(secret.clone());
                } else if !updated.metadata.needs_secret() && !updated.keeps_secret {
                    profile.secret = None;
                    profile.previous_secret = None;
                }
            }
            ClientEvent::SecretRotated(rotated) => {
                let old = profile.secret.replace(rotated.secret.clone());
                profile.rotated_by.clone_from(&rotated.repeat_key);
                profile.previous_secret = old.zip(rotated.old_valid_until).map(|(old, until)| {
                    // An overlap never makes a secret live longer than it would have without the rotation.
                    let until = old.expires_at.map_or(until, |expires_at| until.min(expires_at));
                    (old.hash, until)
                });
            }
            ClientEvent::SecretRevoked(_) => profile.previous_secret = None,
            ClientEvent::RegistrationTokenRotated(rotated) => profile.registration_token = Some(rotated.registration_token),
            ClientEvent::ManifestVersioned(versioned) => {
                profile.metadata = versioned.metadata.clone();
                self.life = Life::Registered;
                let manifest = profile.manifest.get_or_insert_default();
                manifest.unreachable_since = None;
                manifest.versions.push(Version::of(versioned));
            }
            ClientEvent::ManifestUnreachable(unreachable) => {
                profile.manifest.get_or_insert_default().unreachable_since = Some(unreachable.since);
            }
            ClientEvent::ManifestRecovered(_) => {
                self.life = Life::Registered;
                profile.manifest.get_or_insert_default().unreachable_since = None;
            }
            ClientEvent::ManifestWithdrawn(_) => self.life = Life::Withdrawn,
            ClientEvent::Deleted(_) => {
                self.life = Life::Deleted;
                profile.secret = None;
                profile.previous_secret = None;
                profile.registration_token = None;
            }
        }
        self
    }
}

#[cfg(test)]
mod manifest_tests;
#[cfg(test)]
mod tests;
