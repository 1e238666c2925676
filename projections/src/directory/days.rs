//! How many clients asked to be let in on each day, by the way in which they came.

use gatebook_events::admission::RegistrationType;
use gatebook_events::identity::TenantId;

use super::Directory;
use crate::column::{At, Word};
use crate::read_model::{QueryError, Reader};

/// The clients of one day and type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayCount {
    /// Days since the epoch, in UTC.
    pub day: i64,
    /// How they came.
    pub registration_type: RegistrationType,
    /// How many.
    pub number: u64,
}

impl Reader<Directory> {
    /// The registrations at all of a tenant's resource servers since a time, by day and type. Those of that time are looked at
    /// in the index, and no others.
    pub fn registrations_by_day(&self, tenant: &TenantId, since: chrono::DateTime<chrono::Utc>) -> Result<Vec<DayCount>, QueryError> {
        const SELECT: &str = "SELECT requested_at / 86400000000 AS day, registration_type, count(*) FROM resource_servers \
            JOIN counts ON counts.resource_server = resource_servers.id \
            JOIN registrations INDEXED BY registrations_by_time USING (resource_server, client_life, status, registration_type) \
            WHERE resource_servers.tenant = ?1 AND requested_at >= ?2 GROUP BY 1, 2 ORDER BY 1, 2";
        self.with(|connection| {
            let mut statement = connection.prepare_cached(SELECT)?;
            let rows = statement.query_map((tenant.as_str(), At(since)), |row| {
                Ok(DayCount {
                    day: row.get(0)?,
                    registration_type: row.get::<_, Word<RegistrationType>>(1)?.0,
                    number: row.get::<_, i64>(2)?.cast_unsigned(),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}
