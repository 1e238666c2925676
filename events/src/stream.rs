//! The streams of the log: which aggregate the events of one belong to, and its name.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::envelope::StreamName;
use crate::identity::{ClientKey, InitialAccessTokenId, InvalidName, ResourceServerId, ServiceTokenId, WebhookId, canonical};
use crate::projection::ProjectionName;
use crate::reservation::Fingerprint;

/// Which aggregate a stream's events belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// `client-<key>`
    Client(ClientKey),
    /// `registration-<resource server id>-<client key>`
    Registration(ResourceServerId, ClientKey),
    /// `resource_server-<id>`
    ResourceServer(ResourceServerId),
    /// `initial_access_token-<resource server id>-<token id>`
    InitialAccessToken(ResourceServerId, InitialAccessTokenId),
    /// `reservation-<resource server id>-<fingerprint>`
    Reservation(ResourceServerId, Fingerprint),
    /// `projection-<name>`
    Projection(ProjectionName),
    /// `service_token-<id>`
    ServiceToken(ServiceTokenId),
    /// `webhook-<id>`
    Webhook(WebhookId),
}

impl Stream {
    /// The name under which the log keeps the stream.
    pub fn name(self) -> StreamName {
        StreamName(Arc::from(self.to_string()))
    }

    /// The aggregate behind a stream's name.
    pub fn parse(name: &StreamName) -> Result<Self, InvalidName> {
        const UNKNOWN: InvalidName = InvalidName("the stream's name follows none of the known forms");
        let (kind, id) = name.as_str().split_once('-').ok_or(UNKNOWN)?;
        let parsed = match kind {
            "client" => canonical(id).map(|key| Self::Client(ClientKey(key))),
            "resource_server" => canonical(id).map(|id| Self::ResourceServer(ResourceServerId(id))),
            "registration" => pair(id).map(|(server, key)| Self::Registration(ResourceServerId(server), ClientKey(key))),
            "initial_access_token" => {
                pair(id).map(|(server, token)| Self::InitialAccessToken(ResourceServerId(server), InitialAccessTokenId(token)))
            }
            "service_token" => canonical(id).map(|id| Self::ServiceToken(ServiceTokenId(id))),
            "webhook" => canonical(id).map(|id| Self::Webhook(WebhookId(id))),
            "reservation" => id.split_at_checked(36).and_then(|(server, rest)| {
                let fingerprint = Fingerprint::parse(rest.strip_prefix('-')?)?;
                Some(Self::Reservation(ResourceServerId(canonical(server)?), fingerprint))
            }),
            "projection" => ProjectionName::parse(id).ok().map(Self::Projection),
            _ => None,
        };
        parsed.ok_or(UNKNOWN)
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(key) => write!(f, "client-{key}"),
            Self::Registration(server, key) => write!(f, "registration-{server}-{key}"),
            Self::ResourceServer(id) => write!(f, "resource_server-{id}"),
            Self::InitialAccessToken(server, id) => write!(f, "initial_access_token-{server}-{id}"),
            Self::Reservation(server, fingerprint) => write!(f, "reservation-{server}-{fingerprint}"),
            Self::Projection(name) => write!(f, "projection-{name}"),
            Self::ServiceToken(id) => write!(f, "service_token-{id}"),
            Self::Webhook(id) => write!(f, "webhook-{id}"),
        }
    }
}

/// Two UUIDs with a hyphen between them.
fn pair(text: &str) -> Option<(Uuid, Uuid)> {
    let (first, rest) = text.split_at_checked(36)?;
    Some((canonical(first)?, canonical(rest.strip_prefix('-')?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_name_reads_back_as_the_stream_it_names() {
        let key = ClientKey(Uuid::from_u128(7));
        let server = ResourceServerId(Uuid::from_u128(9));
        let token = InitialAccessTokenId(Uuid::from_u128(8));
        let shared = Fingerprint::parse(&"0123456789abcdef".repeat(4)).unwrap();
        for stream in [
            Stream::Client(key),
            Stream::Registration(server, key),
            Stream::ResourceServer(server),
            Stream::InitialAccessToken(server, token),
            Stream::Reservation(server, shared),
            Stream::Projection(ProjectionName::parse("directory").unwrap()),
            Stream::ServiceToken(ServiceTokenId(Uuid::from_u128(6))),
            Stream::Webhook(WebhookId(Uuid::from_u128(5))),
        ] {
            assert_eq!(Stream::parse(&stream.name()), Ok(stream));
        }
        for text in [
            "client-{00000000-0000-0000-0000-000000000007}",
            "client-00000000000000000000000000000007",
            "client-0000000A-0000-0000-0000-000000000007",
            "client-urn:uuid:00000000-0000-0000-0000-000000000007",
        ] {
            assert!(Stream::parse(&StreamName(Arc::from(text))).is_err(), "{text}");
        }
        for text in ["", "client", "client-x", "registration-", "registration-a-b", "initial_access_token-a", "projection-A", "order-1"] {
            assert!(Stream::parse(&StreamName(Arc::from(text))).is_err(), "{text}");
        }
    }
}
