//! What tests are told with: a folder that vanishes, and a log written by hand with literal ids and times.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use gatebook_events::admission::RegistrationType;
use gatebook_events::clamps::Clamps;
use gatebook_events::client::{ClientEvent, Registered};
use gatebook_events::envelope::{Envelope, EventId, Position, Revision, StoredEvent};
use gatebook_events::identity::{ChangeId, ClientId, ClientKey, InitialAccessTokenId, ResourceServerId, TenantId};
use gatebook_events::initial_access_token::{InitialAccessTokenEvent, Issued, Used};
use gatebook_events::metadata::{ApplicationType, AuthMethod, ClientMetadata, GrantType, ResponseType};
use gatebook_events::redirect::{RedirectUris, WebUri};
use gatebook_events::registration::{Approved, RegistrationEvent, Requested, StagedChange};
use gatebook_events::resource_server::{Created, Policy, ResourceServerEvent};
use gatebook_events::secret::TokenHash;
use gatebook_events::stored::Stored;
use gatebook_events::stream::Stream;
use uuid::Uuid;

use crate::{Projection, ReadModel};

/// A folder of its own for each test; gone afterwards.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("gatebook-projections-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A read model in this folder with these events in it.
    pub(crate) fn given<P: Projection>(&self, events: &[Envelope]) -> ReadModel<P> {
        let mut model = ReadModel::open(self.path()).unwrap();
        model.apply(events).unwrap();
        model
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) const START: &str = "2026-03-01T12:00:00Z";

/// Seconds after the tests' first moment.
pub(crate) fn second(seconds: i64) -> DateTime<Utc> {
    START.parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(seconds)
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

pub(crate) fn key(number: u128) -> ClientKey {
    ClientKey(Uuid::from_u128(0xc000_0000 + number))
}

pub(crate) fn id(number: u128) -> ClientId {
    ClientId::of_key(key(number))
}

pub(crate) fn server(number: u128) -> ResourceServerId {
    ResourceServerId(Uuid::from_u128(0x5000_0000 + number))
}

pub(crate) fn change(number: u128) -> ChangeId {
    ChangeId(Uuid::from_u128(number))
}

pub(crate) fn uris(texts: &[&str]) -> RedirectUris {
    RedirectUris::parse(texts.iter().copied()).unwrap()
}

pub(crate) fn metadata(name: &str, redirect_uris: &[&str]) -> ClientMetadata {
    ClientMetadata {
        redirect_uris: uris(redirect_uris),
        token_endpoint_auth_method: AuthMethod::None,
        grant_types: vec![GrantType::AuthorizationCode],
        response_types: vec![ResponseType::Code],
        application_type: ApplicationType::Native,
        client_name: Some(name.into()),
        client_uri: None,
        logo_uri: None,
        tos_uri: None,
        policy_uri: None,
        localized: std::collections::BTreeMap::new(),
        scope: None,
        contacts: Vec::new(),
        jwks_uri: None,
        jwks: None,
        software_id: None,
        software_version: None,
        software_statement: None,
    }
}

pub(crate) const LOOPBACK: &str = "http://localhost:33417/oauth/callback";

pub(crate) fn registered(number: u128, name: &str) -> ClientEvent {
    ClientEvent::Registered(Registered {
        client_id: id(number),
        registration_type: RegistrationType::Dcr,
        home: Some(tenant("acme")),
        issued_at: second(0),
        metadata: metadata(name, &[LOOPBACK]),
        secret: None,
        registration_token: None,
        ignored: Vec::new(),
        initial_access_token: None,
        clamps: Clamps::default(),
        imported_from: None,
        entered_for: None,
    })
}

pub(crate) fn requested(number: u128) -> RegistrationEvent {
    RegistrationEvent::Requested(Requested {
        tenant: tenant("acme"),
        client_id: id(number),
        registration_type: RegistrationType::Dcr,
        redirect_uris: uris(&[LOOPBACK]),
        metadata: None,
    })
}

pub(crate) fn token(number: u128) -> InitialAccessTokenId {
    InitialAccessTokenId(Uuid::from_u128(0x7000_0000 + number))
}

pub(crate) fn issued(label: &str, max_uses: Option<u32>) -> InitialAccessTokenEvent {
    let (tenant, label, token) = (tenant("acme"), label.to_owned(), TokenHash([0xa5; 32]));
    InitialAccessTokenEvent::Issued(Issued { tenant, label, token, expires_at: None, max_uses, clamps: Clamps::default() })
}

pub(crate) fn used(number: u128, count: u32) -> InitialAccessTokenEvent {
    InitialAccessTokenEvent::Used(Used { client_id: id(number), count })
}

pub(crate) fn approved() -> RegistrationEvent {
    RegistrationEvent::Approved(Approved { reason: None })
}

pub(crate) fn staged(number: u128, added: &[&str], result: &[&str]) -> RegistrationEvent {
    let change = StagedChange {
        change_id: change(number),
        added: uris(added),
        removed: uris(&[]),
        result: uris(result),
        metadata: None,
        origin: "rfc7592".to_owned(),
        manifest: None,
        serves_at: None,
    };
    RegistrationEvent::RedirectsStaged(change.into())
}

pub(crate) fn created(owner: &str, resource: Option<&str>) -> ResourceServerEvent {
    ResourceServerEvent::Created(Created {
        tenant: tenant(owner),
        name: "Files".to_owned(),
        resource: resource.map(|text| WebUri::parse(text).unwrap()),
        registration_modes: RegistrationType::ALL.into(),
        policy: Policy::default(),
    })
}

/// An event at a position, recorded as many seconds after the first moment.
pub(crate) fn at<E: Stored>(position: u64, stream: Stream, event: &E) -> Envelope {
    recorded(position, i64::try_from(position).unwrap(), stream, event)
}

/// An event at a position, recorded so many seconds after the first moment.
pub(crate) fn recorded<E: Stored>(position: u64, seconds: i64, stream: Stream, event: &E) -> Envelope {
    let (name, version) = event.shape();
    stored(position, seconds, stream, (name, version, &event.encode().unwrap()))
}

/// Anything that could stand in the log.
pub(crate) fn stored(position: u64, seconds: i64, stream: Stream, (name, version, data): (&str, u16, &str)) -> Envelope {
    Envelope {
        position: Position::from_backend(position),
        stream: stream.name(),
        revision: Revision::from_backend(0),
        event: StoredEvent {
            id: EventId(Uuid::from_u128(u128::from(position))),
            name: Arc::from(name),
            version,
            recorded_at: second(seconds),
            meta: Arc::from(r#"{"tenant":"acme","actor":{"kind":"admin","id":"ada","via":"admin-api"},"request_id":"r-1"}"#),
            data: Arc::from(data),
        },
    }
}

pub(crate) fn of_client(number: u128) -> Stream {
    Stream::Client(key(number))
}

pub(crate) fn of_registration(number: u128) -> Stream {
    Stream::Registration(server(1), key(number))
}

pub(crate) fn of_token(number: u128) -> Stream {
    Stream::InitialAccessToken(server(1), token(number))
}

pub(crate) fn of_server(number: u128) -> Stream {
    Stream::ResourceServer(server(number))
}

/// A resource server of `acme` and one approved client there.
pub(crate) fn one_client() -> Vec<Envelope> {
    vec![
        at(1, of_server(1), &created("acme", Some("https://files.example/mcp"))),
        at(2, of_client(1), &registered(1, "Claude Code")),
        at(3, of_registration(1), &requested(1)),
        at(4, of_registration(1), &approved()),
    ]
}
