//! The rules of a resource server as they were read once for one client, and what they say of it: nothing else lets a client in.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use gatebook_events::Rejection;
use gatebook_events::admission::{Admission, RegistrationType};
use gatebook_events::clamps::Clamps;
use gatebook_events::identity::{ClientId, ResourceServerId, TenantId};
use gatebook_events::metadata::{ClientMetadata, Parsed};
use gatebook_events::registration::{AdmittedMetadata, RegistrationCommand};
use gatebook_events::reservation::Fingerprint;
use gatebook_events::resource_server::{Coming, Judgement, ResourceServer, Warrant};

use crate::aggregates::{CommandError, Commands};
use crate::application::initial_access_tokens::Presented;
use crate::application::review::families::with_its_family;

/// A resource server as it was read for one client: everything that is asked about that client is asked of this.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Which resource server.
    pub id: ResourceServerId,
    /// Whose it is.
    pub tenant: TenantId,
    /// As it was read.
    pub server: Arc<ResourceServer>,
}

/// Who answers for a client that comes to a resource server.
#[derive(Debug, Clone)]
pub enum Guarantor {
    /// Nobody does.
    Nobody,
    /// The initial access token that it presented.
    Token(Presented),
    /// The administrator who enters it.
    Administrator,
}

impl Guarantor {
    /// How a client comes for whom this one answers.
    pub fn coming(&self, by: RegistrationType) -> Coming<'_> {
        let warrant = match self {
            Self::Nobody => Warrant::Nothing,
            Self::Token(token) => Warrant::Token(&token.clamps),
            Self::Administrator => Warrant::Administrator,
        };
        Coming { by, warrant }
    }
}

/// A client that the rules welcome. Only [`Rules::judge`] makes one, and only who has one comes in.
#[derive(Debug, Clone)]
pub struct Welcome {
    pub(crate) rules: Rules,
    pub(crate) by: RegistrationType,
    pub(crate) metadata: ClientMetadata,
    pub(crate) ignored: Vec<Box<str>>,
    pub(crate) token: Option<Presented>,
    admission: Admission,
    shares: Option<Fingerprint>,
}

impl Commands {
    /// The rules of a resource server as they are now.
    pub async fn rules(&self, id: ResourceServerId) -> Result<Rules, CommandError> {
        let server = self.resource_server(id).await?;
        let tenant = server.tenant.clone().ok_or(Rejection::NoSuchResourceServer)?;
        Ok(Rules { id, tenant, server })
    }

    /// The same for an administrator of `tenant`, for whom those of others do not exist.
    pub async fn rules_of(&self, tenant: &TenantId, id: ResourceServerId) -> Result<Rules, CommandError> {
        let rules = self.rules(id).await?;
        if rules.tenant == *tenant { Ok(rules) } else { Err(Rejection::NoSuchResourceServer.into()) }
    }
}

impl Rules {
    /// Whether these rules welcome a client that comes so and says this.
    pub fn judge(&self, by: RegistrationType, guarantor: Guarantor, parsed: Parsed) -> Result<Welcome, Rejection> {
        let Judgement { metadata, admission } = self.server.judge(guarantor.coming(by), parsed.metadata)?;
        let token = if let Guarantor::Token(token) = guarantor { Some(token) } else { None };
        // Who came by a token is a client of its own: whom the token let in is who answers for it.
        let shares = if by == RegistrationType::Dcr && token.is_none() { self.server.shares(&metadata, &parsed.ignored) } else { None };
        Ok(Welcome { rules: self.clone(), by, metadata, ignored: parsed.ignored, token, admission, shares })
    }
}

impl Welcome {
    /// What all clients like this one share there; none where each is a client of its own.
    pub fn shares(&self) -> Option<Fingerprint> {
        self.shares
    }

    /// Whether it is approved at once.
    pub fn admission(&self) -> Admission {
        self.admission
    }

    /// What bounds it for life.
    pub(crate) fn clamps(&self) -> Clamps {
        self.token.as_ref().map(|token| token.clamps.clone()).unwrap_or_default()
    }

    /// The registration to ask for, suspended where the program is that it is of, by the `software_id` that it came with.
    pub(crate) fn request(&self, client_id: &ClientId, software_id: Option<&str>, at: DateTime<Utc>) -> RegistrationCommand {
        let metadata = ClientMetadata { software_id: software_id.map(Box::from), ..self.metadata.clone() };
        with_its_family(&self.rules.server, (client_id, self.by, &metadata), self.plain_request(client_id, self.admission, at))
    }

    /// The same of a client that an administrator vouches for: who vouches approves it, and the rules do not.
    pub(crate) fn vouched_request(&self, client_id: &ClientId, at: DateTime<Utc>) -> RegistrationCommand {
        self.plain_request(client_id, Admission::Review, at)
    }

    fn plain_request(&self, client_id: &ClientId, admission: Admission, at: DateTime<Utc>) -> RegistrationCommand {
        RegistrationCommand::Request {
            tenant: self.rules.tenant.clone(),
            client_id: client_id.clone(),
            registration_type: self.by,
            redirect_uris: self.metadata.redirect_uris.clone(),
            metadata: Some(AdmittedMetadata::of(&self.metadata).into()),
            admission,
            at,
        }
    }
}
