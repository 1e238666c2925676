//! What becomes of the documents that clients host: they are read, missed or lost, and registrations follow them.

use gatebook_events::Rejection;
use gatebook_events::client::{Client, ClientCommand, ClientEvent, Document, ManifestVersioned, Withdrawal};
use gatebook_events::codec::Stored;
use gatebook_events::identity::{ChangeId, ClientId, ClientKey, ResourceServerId, Stream, TenantId};
use gatebook_events::registration::{ManifestRef, Registration, RegistrationCommand};
use gatebook_events::resource_server::Admission;
use uuid::Uuid;

use super::{Cause, CommandError, Commands, Done};

/// A version of a document, and when it was first read.
#[derive(Debug, Clone)]
pub struct KnownVersion {
    /// The version.
    pub versioned: ManifestVersioned,
    /// When.
    pub recorded_at: chrono::DateTime<chrono::Utc>,
}

impl Commands {
    /// Takes note of a document as it was just read. Enters its client where nobody knew it.
    pub async fn see_document(&self, cause: &Cause, client_id: &ClientId, document: Document) -> Result<Done<Client>, CommandError> {
        let see = ClientCommand::SeeDocument { client_id: client_id.clone(), document: Box::new(document), at: self.clock.now() };
        self.transact::<Client>(Stream::Client(client_id.key()), cause, &see).await
    }

    /// Takes note that a document could not be reached; it was last read at `last_read`.
    pub async fn miss_document(
        &self,
        cause: &Cause,
        key: ClientKey,
        last_read: chrono::DateTime<chrono::Utc>,
        failure: &str,
    ) -> Result<Done<Client>, CommandError> {
        let miss = ClientCommand::MissDocument { last_read, failure: failure.into() };
        self.transact::<Client>(Stream::Client(key), cause, &miss).await
    }

    /// Takes note that a document was taken away.
    pub async fn lose_document(
        &self,
        cause: &Cause,
        key: ClientKey,
        withdrawal: Withdrawal,
        failure: &str,
    ) -> Result<Done<Client>, CommandError> {
        let lose = ClientCommand::LoseDocument { cause: withdrawal, failure: failure.into() };
        self.transact::<Client>(Stream::Client(key), cause, &lose).await
    }

    /// Registers the client of a document at a resource server by its rules. Where an administrator vouches for it, it is
    /// approved at once; a mode that is switched off stays closed to administrators too.
    pub async fn admit_document(
        &self,
        cause: &Cause,
        server: ResourceServerId,
        client: &Client,
        vouched: bool,
    ) -> Result<Done<Registration>, CommandError> {
        let profile = client.registered().ok_or(Rejection::NoSuchClient)?;
        let rules = self.resource_server(server).await?;
        let (metadata, admission) = rules.admit(profile.registration_type, profile.metadata.clone())?;
        let tenant = rules.tenant.clone().ok_or(Rejection::NoSuchResourceServer)?;
        let request = RegistrationCommand::Request {
            tenant: tenant.clone(),
            client_id: profile.client_id.clone(),
            registration_type: profile.registration_type,
            redirect_uris: metadata.redirect_uris,
            admission: if vouched { Admission::Auto } else { admission },
            at: self.clock.now(),
        };
        self.transact::<Registration>(Stream::Registration(server, profile.client_id.key()), &cause.within(Some(tenant)), &request).await
    }

    /// Lets a registration hear the newest version of its client's document, as the resource server's lane has it. Heard
    /// again, it is no news; so a poll that finds nothing new mends what a crash left undone.
    pub async fn follow_document(
        &self,
        cause: &Cause,
        server: ResourceServerId,
        client: &Client,
    ) -> Result<Done<Registration>, CommandError> {
        let profile = client.registered().ok_or(Rejection::NoSuchClient)?;
        let versions = profile.manifest.as_ref().map(|manifest| manifest.versions.as_slice()).unwrap_or_default();
        let newest = versions.last().ok_or(Rejection::NoDocument)?;
        let rules = self.resource_server(server).await?;
        let (claimed, heard) = rules.policy.hear(&profile.metadata.redirect_uris, self.clock.now());
        let base = versions.len().checked_sub(2).and_then(|before| versions.get(before)).map(|before| before.number);
        let follow = RegistrationCommand::FollowManifest {
            claimed,
            heard,
            change_id: ChangeId(Uuid::now_v7()),
            manifest: ManifestRef { version: newest.number, content_hash: newest.content_hash.clone(), base },
        };
        let cause = cause.within(rules.tenant.clone());
        self.transact::<Registration>(Stream::Registration(server, profile.client_id.key()), &cause, &follow).await
    }

    /// Lets a change serve whose time has come.
    pub async fn ripen(&self, cause: &Cause, server: ResourceServerId, key: ClientKey) -> Result<Done<Registration>, CommandError> {
        let tenant = self.resource_server(server).await?.tenant.clone();
        let ripen = RegistrationCommand::Ripen { at: self.clock.now() };
        self.transact::<Registration>(Stream::Registration(server, key), &cause.within(tenant), &ripen).await
    }

    /// Lets the redirect URIs of an earlier version serve again, as far as the resource server's rules welcome them now.
    pub async fn roll_back(
        &self,
        cause: &Cause,
        tenant: &TenantId,
        (server, key): (ResourceServerId, ClientKey),
        version: u32,
        reason: Option<String>,
    ) -> Result<Done<Registration>, CommandError> {
        self.must_own(tenant, server).await?;
        let client: Client = self.load(Stream::Client(key)).await?;
        let profile = client.registered().ok_or(Rejection::NoSuchRegistration)?;
        let manifest = profile.manifest.as_ref().ok_or(Rejection::NoDocument)?;
        let wanted = manifest.version(version).ok_or(Rejection::NoSuchVersion(version))?;
        let rules = self.resource_server(server).await?;
        rules.policy.judge(&wanted.redirect_uris)?;
        let (claimed, _) = rules.policy.hear(&profile.metadata.redirect_uris, self.clock.now());
        let back = RegistrationCommand::RollBack { version, redirect_uris: wanted.redirect_uris.clone(), claimed, reason };
        self.transact::<Registration>(Stream::Registration(server, key), cause, &back).await
    }

    /// Every version of a client's document, the oldest first, as the events have them.
    pub async fn document_versions(&self, key: ClientKey) -> Result<Vec<KnownVersion>, CommandError> {
        let mut versions = Vec::new();
        for envelope in &self.log.read(&Stream::Client(key).name()).await?.events {
            let event = &envelope.event;
            if let ClientEvent::ManifestVersioned(versioned) = ClientEvent::decode(&event.name, event.version, &event.data)? {
                versions.push(KnownVersion { versioned, recorded_at: event.recorded_at });
            }
        }
        Ok(versions)
    }
}
