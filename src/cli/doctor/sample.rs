//! Some clients out of many, each as likely as any other, with all streams that are about them.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;

use gatebook_events::envelope::{Envelope, StreamName};
use gatebook_events::identity::{ClientKey, ResourceServerId};
use gatebook_events::stream::Stream;

/// The clients with the smallest of random numbers: whoever is in it in the end was in it from the first event on, so that one
/// walk through the log is enough and the memory does not grow with it.
pub(super) struct Sample {
    most: usize,
    numbers: RandomState,
    clients: BTreeMap<(u64, ClientKey), BTreeSet<ResourceServerId>>,
    servers: BTreeSet<StreamName>,
}

impl Sample {
    pub fn new(most: usize) -> Self {
        Self { most, numbers: RandomState::new(), clients: BTreeMap::new(), servers: BTreeSet::new() }
    }

    pub fn look(&mut self, envelope: &Envelope) {
        match Stream::parse(&envelope.stream) {
            Ok(Stream::Client(key)) => drop(self.client(key)),
            Ok(Stream::Registration(server, key)) => {
                if let Some(servers) = self.client(key) {
                    servers.insert(server);
                }
            }
            Ok(Stream::ResourceServer(_)) => {
                self.servers.insert(envelope.stream.clone());
            }
            Ok(
                Stream::InitialAccessToken(..)
                | Stream::ServiceToken(_)
                | Stream::Webhook(_)
                | Stream::Reservation(..)
                | Stream::Projection(_),
            )
            | Err(_) => {}
        }
    }

    fn client(&mut self, key: ClientKey) -> Option<&mut BTreeSet<ResourceServerId>> {
        let place = (self.numbers.hash_one(key), key);
        self.clients.entry(place).or_default();
        if self.clients.len() > self.most {
            self.clients.pop_last();
        }
        self.clients.get_mut(&place)
    }

    /// The clients, and where they are registered.
    pub fn clients(&self) -> impl Iterator<Item = (ClientKey, &BTreeSet<ResourceServerId>)> {
        self.clients.iter().map(|((_, key), servers)| (*key, servers))
    }

    /// Their streams, and those of every resource server.
    pub fn streams(&self) -> Vec<StreamName> {
        let of_clients = self.clients().flat_map(|(key, servers)| {
            let registrations = servers.iter().map(move |server| Stream::Registration(*server, key).name());
            std::iter::once(Stream::Client(key).name()).chain(registrations)
        });
        self.servers.iter().cloned().chain(of_clients).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use chrono::DateTime;
    use gatebook_events::envelope::{EventId, Position, Revision, StoredEvent};
    use uuid::Uuid;

    use super::*;

    fn event(stream: Stream) -> Envelope {
        let event = StoredEvent {
            id: EventId(Uuid::nil()),
            name: Arc::from("client.registered"),
            version: 1,
            recorded_at: DateTime::UNIX_EPOCH,
            meta: Arc::from("{}"),
            data: Arc::from("{}"),
        };
        Envelope { position: Position::from_backend(1), stream: stream.name(), revision: Revision::from_backend(1), event }
    }

    #[test]
    fn it_has_every_stream_of_each_client_in_it_and_no_client_is_left_out_for_ever() {
        let key = |number| ClientKey(Uuid::from_u128(number));
        let servers = [ResourceServerId(Uuid::from_u128(1)), ResourceServerId(Uuid::from_u128(2))];
        let mut chosen: HashMap<ClientKey, u32> = HashMap::new();
        for _ in 0..400 {
            let mut sample = Sample::new(5);
            for server in servers {
                sample.look(&event(Stream::ResourceServer(server)));
            }
            // What is about one client comes early and late.
            for server in servers {
                for number in 0..20 {
                    sample.look(&event(Stream::Client(key(number))));
                    sample.look(&event(Stream::Registration(server, key(number))));
                }
            }
            assert_eq!((sample.clients().count(), sample.streams().len()), (5, 2 + 5 * 3));
            for (key, at) in sample.clients() {
                assert_eq!(at.len(), 2);
                *chosen.entry(key).or_default() += 1;
            }
        }
        assert_eq!(chosen.len(), 20);
        assert!(chosen.values().all(|times| (40..180).contains(times)), "{chosen:?}");
    }
}
