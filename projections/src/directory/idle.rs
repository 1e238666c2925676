//! Who might be idle: the registrations that stand approved for long enough, in an order in which one can go on.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use gatebook_events::admission::RegistrationType;
use gatebook_events::admission::Status;
use gatebook_events::client;
use gatebook_events::envelope::Position;
use gatebook_events::identity::{ClientKey, ResourceServerId};

use super::Directory;
use crate::column::{At, ClientLife, Id};
use crate::read_model::{QueryError, Reader};

/// A registration that stands approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Approved {
    /// Whose it is, and when it was asked for: where the next page goes on.
    pub place: Place,
    /// When somebody last decided that it may act.
    pub decided_at: DateTime<Utc>,
    /// The position of the registration's last event.
    pub position: Position,
}

/// Where a registration stands among those of its resource server, by when they were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// When.
    pub requested_at: DateTime<Utc>,
    /// Of which client.
    pub client: ClientKey,
}

impl Reader<Directory> {
    /// The registrations at a resource server that stand approved and were asked for at `latest` or before, from the one after
    /// `after` on. The indices that lists are read from give them in order, so that no page costs more than the first.
    pub fn approved(
        &self,
        server: ResourceServerId,
        latest: DateTime<Utc>,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Approved>, QueryError> {
        let mut sql = String::new();
        for (index, kind) in RegistrationType::ALL.into_iter().enumerate() {
            let union = if index == 0 { "" } else { " UNION ALL " };
            // Writing to a String cannot fail, and the words are of closed lists.
            let _ = write!(
                sql,
                "{union}SELECT requested_at, client_key, coalesce(decided_at, requested_at), position \
                 FROM registrations INDEXED BY registrations_by_time WHERE resource_server = ?1 AND client_life = '{}' AND status = '{}' \
                 AND registration_type = '{}' AND requested_at <= ?2 AND (requested_at, client_key) > (?3, ?4)",
                ClientLife(client::Life::Registered).as_str(),
                Status::Approved.as_str(),
                kind.as_str()
            );
        }
        sql.push_str(" ORDER BY 1, 2 LIMIT ?5");
        let from = after.map_or(i64::MIN, |place| place.requested_at.timestamp_micros());
        let client = Id(after.map_or(uuid::Uuid::nil(), |place| place.client.0));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.with(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map((Id(server.0), At(latest), from, client, limit), |row| {
                Ok(Approved {
                    place: Place { requested_at: row.get::<_, At>(0)?.0, client: ClientKey(row.get::<_, Id>(1)?.0) },
                    decided_at: row.get::<_, At>(2)?.0,
                    position: Position::from_backend(row.get::<_, i64>(3)?.cast_unsigned()),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}
