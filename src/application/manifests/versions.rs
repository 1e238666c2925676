//! What becomes of the documents that clients host: they are read, missed or lost, and registrations follow them.

use std::borrow::Cow;

use gatebook_events::admission::{Admission, Status};
use gatebook_events::client::{Client, ClientCommand, ClientEvent, Document, ManifestVersioned, Version, Withdrawal};
use gatebook_events::envelope::{Actor, ActorKind};
use gatebook_events::identity::{ChangeId, ClientId, ClientKey, ResourceServerId, TenantId};
use gatebook_events::metadata::ClientMetadata;
use gatebook_events::registration::{ManifestRef, Registration, RegistrationCommand};
use gatebook_events::resource_server::ResourceServer;
use gatebook_events::stored::Stored;
use gatebook_events::stream::Stream;
use gatebook_events::{Aggregate, Rejection};
use uuid::Uuid;

use crate::aggregates::{Cause, CommandError, Commands, Done, MAX_ROUNDS};

/// A version of a document, and when it was first read.
#[derive(Debug, Clone)]
pub struct KnownVersion {
    /// The version.
    pub versioned: ManifestVersioned,
    /// When.
    pub recorded_at: chrono::DateTime<chrono::Utc>,
}

impl Commands {
    /// Takes note of a document as it was just read. Enters its client where nobody knew it. Where it says something else than
    /// before, what served until now is written down at each resource server first.
    pub async fn see_document(
        &self,
        cause: &Cause,
        client_id: &ClientId,
        registered_at: &[ResourceServerId],
        document: Document,
    ) -> Result<Done<Client>, CommandError> {
        let see = ClientCommand::SeeDocument { client_id: client_id.clone(), document: Box::new(document), at: self.clock.now() };
        if !registered_at.is_empty() {
            let client: Client = self.load(Stream::Client(client_id.key())).await?;
            if !client.decide(&see)?.is_empty() {
                self.keep_metadata(&client, registered_at).await?;
            }
        }
        self.transact::<Client>(Stream::Client(client_id.key()), cause, &see).await
    }

    /// Takes note of a document as an administrator of a tenant says that it is, for that tenant.
    pub async fn enter_document(
        &self,
        cause: &Cause,
        tenant: &TenantId,
        client_id: &ClientId,
        document: Document,
    ) -> Result<Done<Client>, CommandError> {
        let (client_id, document, tenant, at) = (client_id.clone(), Box::new(document), tenant.clone(), self.clock.now());
        let (stream, cause) = (Stream::Client(client_id.key()), cause.within(Some(tenant.clone())));
        self.transact::<Client>(stream, &cause, &ClientCommand::EnterDocument { client_id, document, tenant, at }).await
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
        (failure, detail): (&str, Option<&str>),
    ) -> Result<Done<Client>, CommandError> {
        let lose = ClientCommand::LoseDocument { cause: withdrawal, failure: failure.into(), detail: detail.map(Into::into) };
        self.transact::<Client>(Stream::Client(key), cause, &lose).await
    }

    /// Lets a registration hear the newest version of its client's document, as the resource server's lane has it. Heard
    /// again, it is no news; so a poll that finds nothing new mends what a crash left undone. `client` is what the caller knows;
    /// a version that somebody else read meanwhile is heard in its place, never the other way round.
    pub async fn follow_document(
        &self,
        cause: &Cause,
        server: ResourceServerId,
        client: &Client,
    ) -> Result<Done<Registration>, CommandError> {
        let mut position = None;
        let rules = self.resource_server(server).await?;
        let tenant = rules.tenant.clone().ok_or(Rejection::NoSuchResourceServer)?;
        let mut client = client.seen_by(&tenant);
        for _ in 0..MAX_ROUNDS {
            let key = client.registered().ok_or(Rejection::NoSuchClient)?.client_id.key();
            let rules = self.resource_server(server).await?;
            let stream = Stream::Registration(server, key);
            let (state, revision) = self.fold::<Registration>(stream).await?;
            let follow = self.newest_wish(&rules, &client, &state)?;
            if state.decide(&follow)?.is_empty() {
                return Ok(Done { state, position, revision: None });
            }
            if let Some(newer) = self.newer_than(&tenant, &client).await? {
                client = Cow::Owned(newer);
                continue;
            }
            let done = self.transact_from(stream, &cause.within(Some(tenant.clone())), &follow, state, revision).await?;
            position = done.position.max(position);
            match self.newer_than(&tenant, &client).await? {
                Some(newer) => client = Cow::Owned(newer),
                None => return Ok(Done { position, ..done }),
            }
        }
        Err(CommandError::Contended)
    }

    fn newest_wish(&self, rules: &ResourceServer, client: &Client, registration: &Registration) -> Result<RegistrationCommand, Rejection> {
        let profile = client.registered().ok_or(Rejection::NoSuchClient)?;
        let versions = profile.manifest.as_ref().map(|manifest| manifest.versions.as_slice()).unwrap_or_default();
        let newest = versions.last().ok_or(Rejection::NoDocument)?;
        let now = self.clock.now();
        let (claimed, mut heard) = rules.policy.hear(&profile.metadata.redirect_uris, now);
        let mut metadata = rules.policy.hear_document(&profile.metadata, &claimed, now);
        // What a newcomer could not come with now waits, whatever the lane.
        if rules.hears(profile, registration, &profile.metadata) == Admission::Review {
            heard = heard.at_most_staged();
            if let Some(wished) = &mut metadata {
                wished.heard = wished.heard.at_most_staged();
            }
        }
        let base = versions.len().checked_sub(2).and_then(|before| versions.get(before)).map(|before| before.number);
        Ok(RegistrationCommand::FollowManifest {
            claimed,
            heard,
            metadata,
            change_id: ChangeId(Uuid::now_v7()),
            manifest: ManifestRef { version: newest.number, content_hash: newest.content_hash.clone(), base },
        })
    }

    /// The client as it is now for a tenant, if its document has a version that `known` has not.
    async fn newer_than(&self, tenant: &TenantId, known: &Client) -> Result<Option<Client>, CommandError> {
        let Some(profile) = known.registered() else { return Ok(None) };
        let now = self.client_of(tenant, profile.client_id.key()).await?;
        let newest = newest_version(&now);
        Ok(newest.filter(|newest| Some(*newest) != newest_version(known)).map(|_| now))
    }

    /// A version that was read while a registration was decided about found nobody, or the one before it, there.
    pub(crate) async fn hear_what_came_since(
        &self,
        cause: &Cause,
        server: ResourceServerId,
        known: &Client,
        done: Done<Registration>,
    ) -> Result<Done<Registration>, CommandError> {
        if done.position.is_none() {
            return Ok(done);
        }
        let tenant = self.resource_server(server).await?.tenant.clone().ok_or(Rejection::NoSuchResourceServer)?;
        let Some(newer) = self.newer_than(&tenant, known).await? else { return Ok(done) };
        let cause = Cause { actor: reader_of_documents(), ..cause.clone() };
        let heard = self.follow_document(&cause, server, &newer).await?;
        Ok(Done { position: heard.position.max(done.position), ..heard })
    }

    /// Lets a change serve whose time has come.
    pub async fn ripen(&self, cause: &Cause, server: ResourceServerId, key: ClientKey) -> Result<Done<Registration>, CommandError> {
        let tenant = self.resource_server(server).await?.tenant.clone();
        let ripen = RegistrationCommand::Ripen { at: self.clock.now() };
        self.transact::<Registration>(Stream::Registration(server, key), &cause.within(tenant), &ripen).await
    }

    /// Lets what an earlier version says serve again, as far as the resource server's rules welcome it now.
    pub async fn roll_back(
        &self,
        cause: &Cause,
        tenant: &TenantId,
        (server, key): (ResourceServerId, ClientKey),
        version: u32,
        reason: Option<String>,
    ) -> Result<Done<Registration>, CommandError> {
        self.must_own(tenant, server).await?;
        // Of a client that is not registered there nothing is said, not even that it exists.
        if self.load::<Registration>(Stream::Registration(server, key)).await?.status == Status::None {
            return Err(Rejection::NoSuchRegistration.into());
        }
        let client = self.client_of(tenant, key).await?;
        let profile = client.registered().ok_or(Rejection::NoSuchRegistration)?;
        let manifest = profile.manifest.as_ref().ok_or(Rejection::NoDocument)?;
        let wanted = manifest.version(version).ok_or(Rejection::NoSuchVersion(version))?;
        let rules = self.resource_server(server).await?;
        let redirect_uris = rules.policy.welcome(&wanted.redirect_uris)?;
        let now = self.clock.now();
        let (claimed, _) = rules.policy.hear(&profile.metadata.redirect_uris, now);
        let versions = self.document_versions(tenant, key).await?;
        let said = versions.iter().find(|known| known.versioned.number == version).map(|known| &known.versioned.metadata);
        let admitted = |said: &ClientMetadata| rules.policy.hear_document(said, &claimed, now).map(|wished| wished.metadata);
        let metadata = said.and_then(admitted).zip(admitted(&profile.metadata));
        let back = RegistrationCommand::RollBack { version, redirect_uris, claimed, metadata, reason };
        let done = self.transact::<Registration>(Stream::Registration(server, key), cause, &back).await?;
        self.hear_what_came_since(cause, server, &client, done).await
    }

    /// Every version of a client's document that a tenant sees, the oldest first, as the events have them.
    pub async fn document_versions(&self, tenant: &TenantId, key: ClientKey) -> Result<Vec<KnownVersion>, CommandError> {
        let (mut client, mut told): (Client, Vec<KnownVersion>) = (Client::default(), Vec::new());
        for envelope in &self.log.read(&Stream::Client(key).name()).await?.events {
            let event = ClientEvent::decode(&envelope.event.name, envelope.event.version, &envelope.event.data)?;
            client = client.evolve(&event);
            if let ClientEvent::ManifestVersioned(versioned) = event {
                told.push(KnownVersion { versioned, recorded_at: envelope.event.recorded_at });
            }
        }
        let seen = client.seen_by(tenant);
        let manifest = seen.registered().and_then(|profile| profile.manifest.as_ref());
        let own = |known: &KnownVersion| known.versioned.entered_for.as_ref().is_none_or(|of| of == tenant);
        let find = |version: &Version| {
            let same =
                |known: &&KnownVersion| known.versioned.number == version.number && known.versioned.content_hash == version.content_hash;
            // What only others entered is seen where the host said those very bytes, and it is nobody's then.
            let mut known = told.iter().filter(same).min_by_key(|known| !own(known))?.clone();
            known.versioned.entered_for = known.versioned.entered_for.filter(|of| of == tenant);
            Some(known)
        };
        Ok(manifest.map(|manifest| manifest.versions.iter().filter_map(find).collect()).unwrap_or_default())
    }
}

/// What happens to a document happens to every tenant's registrations, so it is told of the service and of no caller.
pub fn reader_of_documents() -> Actor {
    Actor { kind: ActorKind::System, id: Some("documents".to_owned()), via: None }
}

fn newest_version(client: &Client) -> Option<u32> {
    client.registered()?.manifest.as_ref()?.current().map(|version| version.number)
}
