//! A client enters: it registers itself, or an administrator enters it.

use chrono::{DateTime, Utc};
use gatebook_events::Rejection;
use gatebook_events::client::{Client, ClientCommand, ImportedFrom, Profile};
use gatebook_events::envelope::Position;
use gatebook_events::identity::{ClientId, ClientKey, InitialAccessTokenId, ResourceServerId, Stream, TenantId};
use gatebook_events::metadata::{AuthMethod, ClientMetadata, GrantType, Parsed};
use gatebook_events::registration::{AdmittedMetadata, Registration, RegistrationCommand};
use gatebook_events::resource_server::{Policy, RegistrationType};
use gatebook_events::secret::{KeptSecret, SecretHash, TokenHash};

use super::families::with_its_family;
use super::initial_access_tokens::Presented;
use super::{Cause, CommandError, Commands};

/// Credentials that were drawn for a new client, hashed. The plaintext stays with whoever answers the caller.
#[derive(Debug, Clone, Default)]
pub struct DrawnHashes {
    /// Used where the metadata needs a secret.
    pub secret: Option<SecretHash>,
    /// The registration access token.
    pub registration_token: Option<TokenHash>,
}

/// Who comes in.
pub(super) struct Coming {
    /// The identifier that it will have; its key follows from it.
    pub client_id: ClientId,
    /// Where it was registered before.
    pub imported_from: Option<ImportedFrom>,
    /// When its secret stops working; never, if absent.
    pub secret_expires_at: Option<DateTime<Utc>>,
}

impl Coming {
    /// Somebody whom Gatebook names.
    fn named(key: ClientKey) -> Self {
        Self { client_id: ClientId::of_key(key), imported_from: None, secret_expires_at: None }
    }
}

/// The way by which a client enters.
#[derive(Debug, Clone)]
pub enum Door {
    /// Without a token, at this resource server; at none yet, if absent.
    Open(Option<ResourceServerId>),
    /// With an initial access token, at that token's resource server.
    Token(Presented),
}

impl Door {
    /// The resource server that it leads to.
    pub fn server(&self) -> Option<ResourceServerId> {
        match self {
            Self::Open(server) => *server,
            Self::Token(token) => Some(token.server),
        }
    }

    /// The initial access token that opened it.
    pub fn token(&self) -> Option<InitialAccessTokenId> {
        match self {
            Self::Open(_) => None,
            Self::Token(token) => Some(token.id),
        }
    }

    fn parts(self) -> (Option<ResourceServerId>, Option<Presented>) {
        match self {
            Self::Open(server) => (server, None),
            Self::Token(token) => (Some(token.server), Some(token)),
        }
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
    pub async fn register_self(&self, cause: &Cause, door: Door, parsed: Parsed, hashes: DrawnHashes) -> Result<Entered, CommandError> {
        if let Some(sharing) = self.sharing(&door, &parsed).await? {
            return self.enter_shared(cause, sharing, &parsed.ignored).await;
        }
        self.enter(cause, Coming::named(Self::draw_client_key()), (RegistrationType::Dcr, door), parsed, hashes).await
    }

    /// Pre-registration by an administrator of `tenant`. The key is given, so that a retried request finds what it made.
    pub async fn preregister(
        &self,
        cause: &Cause,
        (tenant, server): (&TenantId, ResourceServerId),
        key: ClientKey,
        parsed: Parsed,
        hashes: DrawnHashes,
    ) -> Result<Entered, CommandError> {
        if self.resource_server(server).await?.tenant.as_ref() != Some(tenant) {
            return Err(Rejection::NoSuchResourceServer.into());
        }
        self.enter(cause, Coming::named(key), (RegistrationType::Prereg, Door::Open(Some(server))), parsed, hashes).await
    }

    /// Gives a client the registration that a crash kept from it, between the two appends of [`Self::preregister`].
    pub async fn complete(
        &self,
        cause: &Cause,
        server: ResourceServerId,
        key: ClientKey,
        profile: &Profile,
    ) -> Result<Registration, CommandError> {
        let rules = self.resource_server(server).await?;
        let (metadata, admission) = rules.admit(profile.registration_type, profile.metadata.clone())?;
        let request = RegistrationCommand::Request {
            tenant: rules.tenant.clone().ok_or(Rejection::NoSuchResourceServer)?,
            client_id: profile.client_id.clone(),
            registration_type: profile.registration_type,
            metadata: Some(AdmittedMetadata::of(&metadata).into()),
            redirect_uris: metadata.redirect_uris,
            admission,
            at: self.clock.now(),
        };
        Ok(self.transact::<Registration>(Stream::Registration(server, key), cause, &request).await?.state)
    }

    pub(super) async fn enter(
        &self,
        cause: &Cause,
        coming: Coming,
        (registration_type, door): (RegistrationType, Door),
        parsed: Parsed,
        hashes: DrawnHashes,
    ) -> Result<Entered, CommandError> {
        let at = self.clock.now();
        let (server, token) = door.parts();
        let (metadata, bound) = match server {
            None => (unbound(parsed.metadata)?, None),
            Some(id) => {
                let server = self.resource_server(id).await?;
                let (metadata, admission) = match registration_type {
                    RegistrationType::Dcr => server.admit_self(token.as_ref().map(|token| &token.clamps), parsed.metadata)?,
                    RegistrationType::Prereg | RegistrationType::Cimd => server.admit(registration_type, parsed.metadata)?,
                };
                (metadata, server.tenant.clone().map(|tenant| (id, tenant, admission, server)))
            }
        };
        let Coming { client_id, imported_from, secret_expires_at: expires_at } = coming;
        let key = client_id.key();
        let home = bound.as_ref().map(|(_, tenant, ..)| tenant.clone());
        let cause = &cause.within(home.clone());
        if let Some(token) = &token {
            self.set_aside(cause, token, &client_id, at).await?;
        }
        let secret = hashes.secret.filter(|_| metadata.needs_secret()).map(|hash| KeptSecret { hash, expires_at });
        let (redirect_uris, said) = (metadata.redirect_uris.clone(), metadata.clone());
        let register = ClientCommand::Register {
            client_id: client_id.clone(),
            registration_type,
            home,
            metadata,
            secret,
            registration_token: hashes.registration_token,
            ignored: parsed.ignored,
            initial_access_token: token.as_ref().map(|token| token.id),
            clamps: token.map(|token| token.clamps).unwrap_or_default(),
            imported_from,
            at,
        };
        let client = self.transact_new::<Client>(Stream::Client(key), cause, &register);
        let (client, registration) = match bound {
            None => (client.await?, None),
            Some((id, tenant, admission, server)) => {
                let family = (&client_id, registration_type, &said);
                let request = RegistrationCommand::Request {
                    tenant,
                    client_id: client_id.clone(),
                    registration_type,
                    redirect_uris,
                    metadata: Some(AdmittedMetadata::of(&said).into()),
                    admission,
                    at,
                };
                let request = with_its_family(&server, family, request);
                let registration = self.transact_new::<Registration>(Stream::Registration(id, key), cause, &request);
                // In flight together, so that one group commit takes both; the log keeps their order.
                let (client, registration) = tokio::join!(client, registration);
                (client?, Some(registration?))
            }
        };
        let profile = *client.state.profile.ok_or(Rejection::NoSuchClient)?;
        let position = registration.as_ref().and_then(|done| done.position).max(client.position);
        Ok(Entered { profile, registration: registration.map(|done| done.state), position })
    }
}

/// What holds for a client that no resource server's rules were asked about yet: the rules that a new one would have.
fn unbound(metadata: ClientMetadata) -> Result<ClientMetadata, Rejection> {
    let rules = Policy::default();
    rules.fits(RegistrationType::Dcr, &metadata)?;
    rules.judge(&metadata.redirect_uris)?;
    rules.constrain(RegistrationType::Dcr, metadata)
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
