//! The only door between events and their stored shapes. Names and versions are written by hand, each beside its event.

use crate::client::ClientEvent;
use crate::envelope::{Envelope, Meta};
use crate::initial_access_token::InitialAccessTokenEvent;
use crate::projection::ProjectionEvent;
use crate::registration::RegistrationEvent;
use crate::reservation::ReservationEvent;
use crate::resource_server::ResourceServerEvent;
use crate::service_token::ServiceTokenEvent;
use crate::stored::{CodecError, Stored};
use crate::stream::Stream;
use crate::webhook::{TypePrefix, WebhookEvent};

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

/// Whether some event that this build knows has a name that begins so.
pub fn is_known(prefix: &TypePrefix) -> bool {
    names().any(|name| name.starts_with(prefix.as_str()))
}

/// What surrounds an event, as the JSON that is stored.
pub fn encode_meta(meta: &Meta) -> Result<String, CodecError> {
    serde_json::to_string(meta).map_err(|source| CodecError::Malformed { name: "meta".to_owned(), version: 1, source })
}

/// Reads what surrounds an event.
pub fn decode_meta(meta: &str) -> Result<Meta, CodecError> {
    serde_json::from_str(meta).map_err(|source| CodecError::Malformed { name: "meta".to_owned(), version: 1, source })
}
