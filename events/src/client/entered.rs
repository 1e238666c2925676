//! The texts that administrators entered for a client's document before its host ever answered: one client for each tenant, of which
//! no other tenant sees anything. What the host answers takes their place for all.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::event::ManifestVersioned;
use super::manifest::{Manifest, Version};
use super::{Client, Life, Profile};
use crate::identity::{ClientId, TenantId};

/// The most texts that a tenant's administrators may enter for one document.
pub const MOST_ENTERED: usize = 100;

/// What the administrators of one tenant entered.
#[derive(Debug, Clone, PartialEq)]
pub struct Entered {
    /// The client as it is for that tenant while the host does not answer.
    pub profile: Profile,
    /// Whether the host said that there is no such document, or none that can be used, after the text was entered.
    pub withdrawn: bool,
    /// How many events of the client are about this text.
    pub events: u32,
}

impl Entered {
    pub(super) fn new(mut profile: Profile, tenant: &TenantId) -> Self {
        profile.manifest = Some(Manifest { entered_for: Some(tenant.clone()), ..Manifest::default() });
        Self { profile, withdrawn: false, events: 1 }
    }

    /// Its texts, the oldest first.
    pub fn versions(&self) -> &[Version] {
        self.profile.manifest.as_ref().map(|manifest| manifest.versions.as_slice()).unwrap_or_default()
    }

    fn push(&mut self, versioned: &ManifestVersioned) {
        self.profile.metadata = versioned.metadata.clone();
        self.profile.manifest.get_or_insert_default().versions.push(Version::of(versioned));
        self.withdrawn = false;
        self.events = self.events.saturating_add(1);
    }
}

impl Client {
    /// The client as a tenant sees it: by what its host said, else by the text that this tenant's administrators entered. One that only
    /// other tenants entered does not exist for it.
    pub fn seen_by(&self, tenant: &TenantId) -> Cow<'_, Self> {
        let own = self.entered.get(tenant);
        if self.is_described() || !self.has_document() {
            return match own {
                None => Cow::Borrowed(self),
                Some(own) => Cow::Owned(self.with_what_was(own)),
            };
        }
        Cow::Owned(own.map_or_else(Self::default, |own| Self {
            life: if own.withdrawn { Life::Withdrawn } else { Life::Registered },
            profile: Some(Box::new(own.profile.clone())),
            entered: BTreeMap::new(),
        }))
    }

    /// How many of its events are about texts that only other tenants see.
    pub fn hidden_from(&self, tenant: &TenantId) -> u32 {
        self.entered.iter().filter(|(of, _)| *of != tenant).fold(0, |sum, (_, entered)| sum.saturating_add(entered.events))
    }

    /// Its public identifier, also where only a text of its document was entered.
    pub fn client_id(&self) -> Option<&ClientId> {
        let entered = || self.entered.values().next().map(|entered| &entered.profile);
        self.profile.as_deref().or_else(entered).map(|profile| &profile.client_id)
    }

    /// Whether its document is known by texts alone that administrators entered.
    pub(super) fn is_entered_only(&self) -> bool {
        self.profile.is_none() && !self.entered.is_empty()
    }

    /// The number for the next version that its host answers: no tenant has seen it yet.
    pub(super) fn next_number(&self) -> u32 {
        let newest = |entered: &Entered| entered.versions().last().map_or(0, |version| version.number);
        self.entered.values().map(newest).max().unwrap_or_default().saturating_add(1)
    }

    /// A text was entered. In the logs of builds that knew one tenant's text only, the client itself came right before it.
    pub(super) fn enter(&mut self, tenant: &TenantId, versioned: &ManifestVersioned) {
        if !self.entered.contains_key(tenant)
            && self.has_document()
            && !self.is_described()
            && let Some(profile) = self.profile.take()
        {
            self.life = Life::Unregistered;
            self.entered.insert(tenant.clone(), Entered::new(*profile, tenant));
        }
        if let Some(entered) = self.entered.get_mut(tenant) {
            entered.push(versioned);
        }
    }

    /// The host answered for the first time, and in the log of an older build: that build knew the client by the text of one tenant.
    pub(super) fn stand_by_what_was_entered(&mut self, says_the_same: bool) {
        if !self.is_entered_only() {
            return;
        }
        let Some(entered) = self.entered.values().next() else { return };
        let newest = entered.versions().last().filter(|_| says_the_same);
        let manifest = Manifest { versions: newest.cloned().into_iter().collect(), ..Manifest::default() };
        self.life = Life::Registered;
        self.profile = Some(Box::new(Profile { manifest: Some(manifest), ..entered.profile.clone() }));
    }

    /// The host says that there is no such document: none of the texts describes it.
    pub(super) fn withdraw_what_was_entered(&mut self) {
        for entered in self.entered.values_mut() {
            entered.withdrawn = true;
        }
    }

    /// Whether its host ever said what is in its document.
    fn is_described(&self) -> bool {
        self.document_versions() > 0
    }

    /// Whether a document describes it, or texts of one do.
    fn has_document(&self) -> bool {
        self.profile.as_ref().map_or(!self.entered.is_empty(), |profile| profile.manifest.is_some())
    }

    /// The same with the versions that a tenant entered before.
    fn with_what_was(&self, own: &Entered) -> Self {
        let mut client = Self { entered: BTreeMap::new(), ..self.clone() };
        if let Some(manifest) = client.profile.as_mut().and_then(|profile| profile.manifest.as_mut()) {
            let answered = std::mem::take(&mut manifest.versions);
            let before = own.versions().iter().filter(|one| answered.iter().all(|other| other.number != one.number));
            manifest.versions = before.cloned().chain(answered.iter().cloned()).collect();
        }
        client
    }
}

#[cfg(test)]
mod tests;
