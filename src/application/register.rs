//! A client enters: it registers itself, or an administrator enters it.

use chrono::{DateTime, Utc};
use gatebook_events::Rejection;
use gatebook_events::admission::RegistrationType;
use gatebook_events::clamps::Clamps;
use gatebook_events::client::{Client, ClientCommand, ImportedFrom, Party, Profile};
use gatebook_events::envelope::Position;
use gatebook_events::identity::{ClientId, ClientKey, TenantId};
use gatebook_events::metadata::{AuthMethod, GrantType, Parsed};
use gatebook_events::registration::Registration;
use gatebook_events::resource_server::Policy;
use gatebook_events::secret::{KeptSecret, SecretHash, TokenHash};
use gatebook_events::stream::Stream;

use crate::aggregates::{Cause, CommandError, Commands, Done};
use crate::application::register::rules::{Guarantor, Rules, Welcome};

pub(crate) mod admission;
pub(crate) mod binding;
pub mod import;
pub mod import_formats;
pub mod rules;
pub(crate) mod shared;
pub mod target;

/// Credentials that were drawn for a new client, hashed. The plaintext stays with whoever answers the caller.
#[derive(Debug, Clone, Default)]
pub struct DrawnHashes {
    /// Used where the metadata needs a secret.
    pub secret: Option<SecretHash>,
    /// The registration access token.
    pub registration_token: Option<TokenHash>,
}

/// What a client is called, and what it brings along.
pub(crate) struct Identity {
    /// The identifier that it will have; its key follows from it.
    pub client_id: ClientId,
    /// Where it was registered before.
    pub imported_from: Option<ImportedFrom>,
    /// When its secret stops working; never, if absent.
    pub secret_expires_at: Option<DateTime<Utc>>,
}

impl Identity {
    /// Somebody whom Gatebook names.
    fn named(key: ClientKey) -> Self {
        Self { client_id: ClientId::of_key(key), imported_from: None, secret_expires_at: None }
    }
}

/// A client that has just entered.
#[derive(Debug, Clone)]
pub struct Entered {
    /// Who it is.
    pub profile: Profile,
    /// Its standing at the resource server; none for a client that is not bound to any yet.
    pub registration: Option<Registration>,
    /// Where its last event stands.
    pub position: Option<Position>,
}

impl Commands {
    /// Dynamic client registration (RFC 7591 §3): two appends, client first. A client without a registration can do
    /// nothing, so a crash between the two leaves nothing that acts. With an initial access token one of its uses is set aside
    /// before them, once nothing else stands in the way. Where identical clients are one, see `share.rs`.
    pub async fn register_self(&self, cause: &Cause, welcome: Welcome, hashes: DrawnHashes) -> Result<Entered, CommandError> {
        match welcome.shares() {
            Some(fingerprint) => self.enter_shared(cause, &welcome, fingerprint).await,
            None => self.enter(cause, Identity::named(Self::draw_client_key()), welcome, hashes).await,
        }
    }

    /// The same where no resource server is meant: the client belongs to no tenant, and can do nothing until a resource server
    /// takes it by its rules.
    pub async fn register_unbound(&self, cause: &Cause, parsed: Parsed, hashes: DrawnHashes) -> Result<Entered, CommandError> {
        Policy::default().fits(RegistrationType::Dcr, &parsed.metadata)?;
        let key = Self::draw_client_key();
        let register = ClientCommand::Register {
            client_id: ClientId::of_key(key),
            registration_type: RegistrationType::Dcr,
            home: None,
            secret: hashes.secret.filter(|_| parsed.metadata.needs_secret()).map(|hash| KeptSecret { hash, expires_at: None }),
            registration_token: hashes.registration_token,
            initial_access_token: None,
            clamps: Clamps::default(),
            metadata: parsed.metadata,
            ignored: parsed.ignored,
            imported_from: None,
            at: self.clock.now(),
        };
        let client = self.transact_new::<Client>(Stream::Client(key), &cause.within(None), &register).await?;
        let profile = *client.state.profile.ok_or(Rejection::NoSuchClient)?;
        Ok(Entered { profile, registration: None, position: client.position })
    }

    /// Ends a client that no resource server took. What belongs to no tenant is told in no tenant's name.
    pub async fn delete_unbound(&self, cause: &Cause, key: ClientKey, reason: Option<String>) -> Result<Done<Client>, CommandError> {
        let client: Client = self.load(Stream::Client(key)).await?;
        if !client.registered().is_some_and(Profile::came_to_none) {
            return Err(Rejection::NoSuchClient.into());
        }
        let delete = ClientCommand::Delete { by: Party::Admin(TenantId::default_tenant()), reason };
        self.transact::<Client>(Stream::Client(key), &cause.within(None), &delete).await
    }

    /// Pre-registration by an administrator. The key is given, so that a retried request finds what it made.
    pub async fn preregister(&self, cause: &Cause, key: ClientKey, welcome: Welcome, hashes: DrawnHashes) -> Result<Entered, CommandError> {
        self.enter(cause, Identity::named(key), welcome, hashes).await
    }

    /// Gives a client the registration that a crash kept from it, between the two appends of [`Self::preregister`].
    pub async fn complete(&self, cause: &Cause, rules: &Rules, key: ClientKey, profile: &Profile) -> Result<Registration, CommandError> {
        let parsed = Parsed { metadata: profile.metadata.clone(), ignored: vec![] };
        let welcome = rules.judge(profile.registration_type, Guarantor::Administrator, parsed)?;
        let request = welcome.request(&profile.client_id, profile.software_id.as_deref(), self.clock.now());
        Ok(self.transact::<Registration>(Stream::Registration(rules.id, key), cause, &request).await?.state)
    }

    pub(crate) async fn enter(
        &self,
        cause: &Cause,
        identity: Identity,
        welcome: Welcome,
        hashes: DrawnHashes,
    ) -> Result<Entered, CommandError> {
        let at = self.clock.now();
        let Identity { client_id, imported_from, secret_expires_at: expires_at } = identity;
        let (key, id) = (client_id.key(), welcome.rules.id);
        let home = Some(welcome.rules.tenant.clone());
        let cause = &cause.within(home.clone());
        if let Some(token) = &welcome.token {
            self.set_aside(cause, token, &client_id, at).await?;
        }
        let request = welcome.request(&client_id, welcome.metadata.software_id.as_deref(), at);
        let register = ClientCommand::Register {
            client_id,
            registration_type: welcome.by,
            home,
            secret: hashes.secret.filter(|_| welcome.metadata.needs_secret()).map(|hash| KeptSecret { hash, expires_at }),
            registration_token: hashes.registration_token,
            initial_access_token: welcome.token.as_ref().map(|token| token.id),
            clamps: welcome.clamps(),
            metadata: welcome.metadata,
            ignored: welcome.ignored,
            imported_from,
            at,
        };
        // In flight together, so that one group commit takes both; the log keeps their order.
        let client = self.transact_new::<Client>(Stream::Client(key), cause, &register);
        let registration = self.transact_new::<Registration>(Stream::Registration(id, key), cause, &request);
        let (client, registration) = tokio::join!(client, registration);
        let (client, registration) = (client?, registration?);
        let profile = *client.state.profile.ok_or(Rejection::NoSuchClient)?;
        Ok(Entered { profile, registration: Some(registration.state), position: registration.position.max(client.position) })
    }
}

/// What an administrator's entry means where it says nothing: a confidential client, and one that acts for itself
/// (`client_credentials`) only where it has no redirect URIs. One with users gets that too if it is asked for.
pub fn preregistration_defaults(members: &mut serde_json::Map<String, serde_json::Value>) {
    let absent =
        |members: &serde_json::Map<String, serde_json::Value>, name: &str| members.get(name).is_none_or(serde_json::Value::is_null);
    let has_redirects = members.get("redirect_uris").and_then(serde_json::Value::as_array).is_some_and(|uris| !uris.is_empty());
    if absent(members, "token_endpoint_auth_method") {
        members.insert("token_endpoint_auth_method".to_owned(), AuthMethod::ClientSecretBasic.as_str().into());
    }
    if absent(members, "grant_types") {
        let public = members.get("token_endpoint_auth_method").and_then(serde_json::Value::as_str) == Some(AuthMethod::None.as_str());
        let grants: &[GrantType] = if has_redirects || public {
            &[GrantType::AuthorizationCode, GrantType::RefreshToken]
        } else {
            &[GrantType::ClientCredentials]
        };
        members.insert("grant_types".to_owned(), grants.iter().map(|grant| grant.as_str()).collect());
    }
}
