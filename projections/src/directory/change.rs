//! What an event says that the directory's rows need: all of it that follows from the event alone.

use chrono::{DateTime, Utc};
use gatebook_events::Aggregate;
use gatebook_events::admission::RegistrationType;
use gatebook_events::admission::Status;
use gatebook_events::client::{ClientEvent, Registered};
use gatebook_events::codec::AnyEvent;
use gatebook_events::identity::{ClientId, ClientKey, InitialAccessTokenId, ResourceServerId, ServiceTokenId, TenantId};
use gatebook_events::initial_access_token::InitialAccessTokenEvent;
use gatebook_events::look_alike::{Folded, Origin, document_host};
use gatebook_events::registration::{AdmittedMetadata, Approved, Registration, RegistrationEvent, Requested};
use gatebook_events::resource_server::ResourceServerEvent;
use gatebook_events::secret::KeptSecret;
use gatebook_events::service_token::ServiceTokenEvent;
use gatebook_events::stream::Stream;

use super::text;
use crate::column::Written;

/// What an event changes here.
#[derive(Debug)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// A client is there.
    Registered(ClientKey, Box<NewClient>),
    /// A client is another.
    Client(ClientKey, Box<ClientEvent>),
    /// A registration was asked for.
    Requested(ResourceServerId, ClientKey, Box<Asked>),
    /// A registration is another.
    Registration(ResourceServerId, ClientKey, Box<RegistrationEvent>),
    /// A resource server is there, or another.
    ResourceServer(ResourceServerId, Box<ResourceServerEvent>),
    /// An initial access token is there, or another.
    Token(ResourceServerId, InitialAccessTokenId, Box<InitialAccessTokenEvent>),
    /// A service token is there, or another.
    ServiceToken(ServiceTokenId, Box<ServiceTokenEvent>),
}

/// A client as it is first entered, by the columns of its row.
#[derive(Debug)]
pub struct NewClient {
    pub(super) client_id: ClientId,
    pub(super) registration_type: RegistrationType,
    pub(super) home: Option<TenantId>,
    /// Whether it came to no resource server.
    pub(super) unbound: bool,
    pub(super) issued_at: DateTime<Utc>,
    pub(super) metadata: Written,
    pub(super) secret: Option<KeptSecret>,
    pub(super) name_key: String,
    pub(super) family: String,
    pub(super) search: String,
    pub(super) initial_access_token: Option<InitialAccessTokenId>,
    pub(super) folded: Folded,
    /// The tenant that alone sees it.
    pub(super) entered_for: Option<TenantId>,
}

/// A registration as it is asked for where there is none yet, by the columns of its row.
#[derive(Debug)]
pub struct Asked {
    pub(super) tenant: Option<TenantId>,
    pub(super) registration_type: Option<RegistrationType>,
    pub(super) redirect_uris: Written,
    pub(super) admitted: Option<AdmittedRow>,
    pub(super) family: Option<String>,
    pub(super) origin: String,
    /// How it stands.
    pub(super) status: Status,
    /// How it stands once it is approved.
    pub(super) approved: Status,
}

/// What is admitted of what a client says, by the columns of its registration's row.
#[derive(Debug)]
pub struct AdmittedRow {
    pub(super) metadata: Written,
    /// The name in lower case, as lists are sorted; none for a client without one.
    pub(super) name: Option<String>,
    pub(super) folded: Folded,
}

impl AdmittedRow {
    pub(super) fn of(metadata: &AdmittedMetadata) -> Self {
        let name = metadata.client_name.as_deref();
        Self { metadata: Written::of(metadata), name: name.map(str::to_lowercase), folded: name.map(Folded::of).unwrap_or_default() }
    }
}

impl Change {
    pub(super) fn of(read: (Stream, AnyEvent)) -> Self {
        match read {
            (Stream::Client(key), AnyEvent::Client(ClientEvent::Registered(registered))) => {
                Self::Registered(key, Box::new(NewClient::of(registered)))
            }
            (Stream::Client(key), AnyEvent::Client(event)) => Self::Client(key, Box::new(event)),
            (Stream::Registration(server, key), AnyEvent::Registration(RegistrationEvent::Requested(requested))) => {
                Self::Requested(server, key, Box::new(Asked::of(requested)))
            }
            (Stream::Registration(server, key), AnyEvent::Registration(event)) => Self::Registration(server, key, Box::new(event)),
            (Stream::ResourceServer(id), AnyEvent::ResourceServer(event)) => Self::ResourceServer(id, Box::new(event)),
            (Stream::InitialAccessToken(server, id), AnyEvent::InitialAccessToken(event)) => Self::Token(server, id, Box::new(event)),
            (Stream::ServiceToken(id), AnyEvent::ServiceToken(event)) => Self::ServiceToken(id, Box::new(event)),
            // A token that is used leaves a client, and a client that was named for all instances shows once it is registered. The
            // codec reads an event by the kind of its stream, so no other pair comes out of it.
            (
                Stream::Client(_)
                | Stream::Registration(..)
                | Stream::ResourceServer(_)
                | Stream::InitialAccessToken(..)
                | Stream::Reservation(..)
                | Stream::Projection(_)
                | Stream::ServiceToken(_)
                | Stream::Webhook(_),
                AnyEvent::Client(_)
                | AnyEvent::Registration(_)
                | AnyEvent::ResourceServer(_)
                | AnyEvent::InitialAccessToken(_)
                | AnyEvent::Reservation(_)
                | AnyEvent::Projection(_)
                | AnyEvent::ServiceToken(_)
                | AnyEvent::Webhook(_),
            ) => Self::Nothing,
        }
    }
}

impl NewClient {
    fn of(registered: Registered) -> Self {
        let Registered { client_id, registration_type, home, issued_at, metadata, secret, initial_access_token, entered_for, .. } =
            registered;
        Self {
            name_key: text::name_key(&client_id, &metadata),
            family: text::family(&client_id, registration_type, &metadata),
            search: text::search(&client_id, &metadata),
            folded: text::folded(&metadata),
            metadata: Written::of(&metadata),
            client_id,
            registration_type,
            unbound: registration_type == RegistrationType::Dcr && home.is_none(),
            home,
            issued_at,
            secret,
            initial_access_token,
            entered_for,
        }
    }
}

impl Asked {
    fn of(requested: Requested) -> Self {
        let state = Registration::default().evolve(&RegistrationEvent::Requested(requested));
        let kind = state.registration_type.unwrap_or(RegistrationType::Dcr);
        let document_host = state.client_id.as_ref().and_then(|client_id| document_host(client_id, kind));
        Self {
            tenant: state.tenant.clone(),
            registration_type: state.registration_type,
            redirect_uris: Written::of(&state.redirect_uris),
            admitted: state.metadata.as_deref().map(AdmittedRow::of),
            family: text::admitted_family(&state),
            origin: Origin::of(document_host.as_deref(), &state.redirect_uris).to_string(),
            status: state.status,
            approved: state.evolve(&RegistrationEvent::Approved(Approved::default())).status,
        }
    }
}
