//! The only door between events and their stored shapes. Names and versions are written by hand, each beside its event.

use crate::client::ClientEvent;
use crate::envelope::{Envelope, Meta};
use crate::identity::Stream;
use crate::initial_access_token::InitialAccessTokenEvent;
use crate::projection::ProjectionEvent;
use crate::registration::RegistrationEvent;
use crate::reservation::ReservationEvent;
use crate::resource_server::ResourceServerEvent;
use crate::service_token::ServiceTokenEvent;
use crate::upcast;
use crate::webhook::WebhookEvent;

/// An event that can be stored and read back.
pub trait Stored: Sized {
    /// Every stored name, with the newest version that this build writes and reads.
    const SHAPES: &'static [(&'static str, u16)];

    /// The literal name and the version that this event is stored under.
    fn shape(&self) -> (&'static str, u16);

    /// The event's own members as JSON.
    fn encode(&self) -> Result<String, CodecError>;

    /// Reads any version ever stored.
    fn decode(name: &str, version: u16, data: &str) -> Result<Self, CodecError>;

    /// The JSON Schemas of the newest versions, in the order of [`Self::SHAPES`].
    #[cfg(feature = "schemas")]
    fn schemas(generator: &mut schemars::SchemaGenerator) -> Vec<schemars::Schema>;
}

/// An event of any aggregate, with the stream it stands in.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one is read at a time and looked at where it is")]
pub enum AnyEvent {
    /// Of a client.
    Client(ClientEvent),
    /// Of a registration.
    Registration(RegistrationEvent),
    /// Of a resource server.
    ResourceServer(ResourceServerEvent),
    /// Of an initial access token.
    InitialAccessToken(InitialAccessTokenEvent),
    /// Of a reservation.
    Reservation(ReservationEvent),
    /// Of a projection.
    Projection(ProjectionEvent),
    /// Of a service token.
    ServiceToken(ServiceTokenEvent),
    /// Of a webhook.
    Webhook(WebhookEvent),
}

/// Reads what an envelope holds.
pub fn decode(envelope: &Envelope) -> Result<(Stream, AnyEvent), CodecError> {
    let stream = Stream::parse(&envelope.stream).map_err(|_| CodecError::UnknownStream(envelope.stream.to_string()))?;
    let (name, version, data) = (&*envelope.event.name, envelope.event.version, &*envelope.event.data);
    let event = match stream {
        Stream::Client(_) => AnyEvent::Client(ClientEvent::decode(name, version, data)?),
        Stream::Registration(..) => AnyEvent::Registration(RegistrationEvent::decode(name, version, data)?),
        Stream::ResourceServer(_) => AnyEvent::ResourceServer(ResourceServerEvent::decode(name, version, data)?),
        Stream::InitialAccessToken(..) => AnyEvent::InitialAccessToken(InitialAccessTokenEvent::decode(name, version, data)?),
        Stream::Reservation(..) => AnyEvent::Reservation(ReservationEvent::decode(name, version, data)?),
        Stream::Projection(_) => AnyEvent::Projection(ProjectionEvent::decode(name, version, data)?),
        Stream::ServiceToken(_) => AnyEvent::ServiceToken(ServiceTokenEvent::decode(name, version, data)?),
        Stream::Webhook(_) => AnyEvent::Webhook(WebhookEvent::decode(name, version, data)?),
    };
    Ok((stream, event))
}

/// Every stored name that this build knows, by what the events are about.
pub fn names() -> impl Iterator<Item = &'static str> {
    let events = [
        ClientEvent::SHAPES,
        RegistrationEvent::SHAPES,
        ResourceServerEvent::SHAPES,
        InitialAccessTokenEvent::SHAPES,
        ReservationEvent::SHAPES,
        ProjectionEvent::SHAPES,
        ServiceTokenEvent::SHAPES,
        WebhookEvent::SHAPES,
    ];
    events.into_iter().flatten().map(|(name, _)| *name)
}

/// What surrounds an event, as the JSON that is stored.
pub fn encode_meta(meta: &Meta) -> Result<String, CodecError> {
    serde_json::to_string(meta).map_err(|source| CodecError::Malformed { name: "meta".to_owned(), version: 1, source })
}

/// Reads what surrounds an event.
pub fn decode_meta(meta: &str) -> Result<Meta, CodecError> {
    serde_json::from_str(meta).map_err(|source| CodecError::Malformed { name: "meta".to_owned(), version: 1, source })
}

/// Why a stored event cannot be read or an event cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The name is none that this build knows in that stream.
    #[error("the event name {0} is not known to this build")]
    UnknownName(String),
    /// The stream's name follows none of the known forms.
    #[error("the stream {0} is not known to this build")]
    UnknownStream(String),
    /// A newer build wrote it.
    #[error("{name} has version {version}, and this build reads up to {newest}: a newer build is needed")]
    Newer {
        /// The event's name.
        name: String,
        /// The version that was stored.
        version: u16,
        /// The newest version that this build reads.
        newest: u16,
    },
    /// The JSON is not of the shape that its name and version promise.
    #[error("{name} version {version} does not have the stored shape of that name")]
    Malformed {
        /// The event's name.
        name: String,
        /// The version that was stored.
        version: u16,
        /// What the JSON reader says.
        #[source]
        source: serde_json::Error,
    },
}

/// Reads one shape: at once where it is the newest, through the upcast steps where it is not.
pub(crate) fn read<T: serde::de::DeserializeOwned>(name: &str, version: u16, newest: u16, data: &str) -> Result<T, CodecError> {
    let malformed = |source| CodecError::Malformed { name: name.to_owned(), version, source };
    match version.cmp(&newest) {
        std::cmp::Ordering::Equal => serde_json::from_str(data).map_err(malformed),
        std::cmp::Ordering::Greater => Err(CodecError::Newer { name: name.to_owned(), version, newest }),
        std::cmp::Ordering::Less => {
            let old = serde_json::from_str(data).map_err(malformed)?;
            serde_json::from_value(upcast::to_newest(name, version, newest, old)).map_err(malformed)
        }
    }
}

/// Writes one shape. Most events are longer than what `serde_json` begins with, which would grow three times.
pub(crate) fn write<T: serde::Serialize>(payload: &T) -> Result<String, serde_json::Error> {
    let mut text = Vec::with_capacity(1024);
    serde_json::to_writer(&mut text, payload)?;
    String::from_utf8(text).map_err(serde::ser::Error::custom)
}

/// Declares an aggregate's events: `"stored.name" version => Payload`.
macro_rules! stored {
    ($(#[$about:meta])* $events:ident { $($name:literal $version:literal => $payload:ident,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $events {
            $(#[doc = concat!("`", $name, "`")] $payload($payload),)+
        }

        impl $crate::codec::Stored for $events {
            const SHAPES: &'static [(&'static str, u16)] = &[$(($name, $version)),+];

            fn shape(&self) -> (&'static str, u16) {
                match self {
                    $(Self::$payload(_) => ($name, $version),)+
                }
            }

            fn encode(&self) -> Result<String, $crate::codec::CodecError> {
                let (name, version) = self.shape();
                let encoded = match self {
                    $(Self::$payload(payload) => $crate::codec::write(payload),)+
                };
                encoded.map_err(|source| $crate::codec::CodecError::Malformed { name: name.to_owned(), version, source })
            }

            fn decode(name: &str, version: u16, data: &str) -> Result<Self, $crate::codec::CodecError> {
                match name {
                    $($name => $crate::codec::read(name, version, $version, data).map(Self::$payload),)+
                    _ => Err($crate::codec::CodecError::UnknownName(name.to_owned())),
                }
            }

            #[cfg(feature = "schemas")]
            fn schemas(generator: &mut schemars::SchemaGenerator) -> Vec<schemars::Schema> {
                vec![$(generator.root_schema_for::<$payload>()),+]
            }
        }
    };
}
pub(crate) use stored;
