//! The same list by family: one row for all clients of one program, however many instances of it registered.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use gatebook_events::admission::RegistrationType;
use gatebook_events::admission::Status;
use gatebook_events::identity::ClientKey;
use gatebook_events::standing::Reason;
use rusqlite::ToSql;

use super::list::{Filter, listed};
use super::queries::{count, groups, is_listed, registration_row, server};
use super::{Counts, Directory, ListClients, RegistrationRow, Sort};
use crate::column::{At, ClientLife, Id, Word};
use crate::cursor::{Cursor, InvalidCursor};
use crate::read_model::{QueryError, Reader};

/// The clients of one program at a resource server.
#[derive(Debug, Clone, PartialEq)]
pub struct FamilyRow {
    /// What names it.
    pub family: String,
    /// How many there are that the filter shows.
    pub number: u64,
    /// The same by effective status.
    pub by_status: BTreeMap<&'static str, u64>,
    /// How many of them have a change of redirect URIs that waits.
    pub staged: u64,
    /// When the last of them asked to be let in.
    pub latest: DateTime<Utc>,
    /// The last of them.
    pub sample: RegistrationRow,
}

/// One page of families.
#[derive(Debug, Clone, PartialEq)]
pub struct FamilyPage {
    /// The families in order.
    pub rows: Vec<FamilyRow>,
    /// How many families there are on all pages.
    pub families: usize,
    /// Where the next page begins; none on the last page.
    pub next_cursor: Option<Cursor>,
    /// How many clients there are, whatever the filter.
    pub counts: Counts,
}

#[derive(Default)]
struct Sum {
    number: u64,
    by_status: BTreeMap<&'static str, u64>,
    staged: u64,
    latest: Option<(At, ClientKey)>,
    name: String,
}

impl Sum {
    /// Whether any of them waits for somebody.
    fn waits(&self) -> bool {
        self.staged > 0 || self.by_status.contains_key(Reason::ApprovalPending.status())
    }

    fn time(&self) -> Option<DateTime<Utc>> {
        self.latest.as_ref().map(|(at, _)| at.0)
    }
}

impl Reader<Directory> {
    /// One page of a resource server's clients by family. Every registration that the filter shows is looked at.
    pub fn families(&self, list: &ListClients) -> Result<Option<FamilyPage>, QueryError> {
        let after = list.cursor.as_ref().map(Cursor::parts::<2>).transpose()?;
        if after.is_some_and(|[kind, _]| kind != "family") {
            return Err(InvalidCursor.into());
        }
        self.with(|connection| {
            let Some(server) = server(connection, list.resource_server)?.filter(|server| server.tenant == list.tenant) else {
                return Ok(None);
            };
            let mut groups = groups(connection, server.id)?;
            let counts = count(&server, &groups);
            groups.retain(|group| {
                list.registration_type.is_none_or(|kind| kind == group.kind) && is_listed(group.reason(&server), list.status.as_deref())
            });
            let mut page = FamilyPage { rows: Vec::new(), families: 0, next_cursor: None, counts };
            if groups.is_empty() || list.limit == 0 {
                return Ok(Some(page));
            }
            let id = Id(list.resource_server.0);
            let filter = Filter::of(list);
            let mut parameters: Vec<(&str, &dyn ToSql)> = vec![(":server", &id)];
            filter.put_parameters(&mut parameters);
            // Of the columns that are not summed up, SQLite takes those of the row that has the maximum.
            let sql = format!(
                "SELECT CASE WHEN family LIKE 'software:%' THEN family ELSE coalesce(admitted_family, family) END AS of_family, client_life, status, registrations.registration_type, count(*), sum(staged IS NOT NULL), \
                 max(requested_at), client_key, registrations.name_key \
                 FROM registrations JOIN clients ON clients.key = client_key AND clients.entered_for = registrations.entered_for \
                 WHERE resource_server = :server AND (client_life, status, registrations.registration_type) IN (VALUES {}){} \
                 GROUP BY of_family, client_life, status, registrations.registration_type",
                listed(&groups),
                filter.conditions
            );
            let mut sums: HashMap<String, Sum> = HashMap::new();
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(parameters.as_slice())?;
            while let Some(row) = rows.next()? {
                let stands = (row.get::<_, ClientLife>(1)?.0, row.get::<_, Word<Status>>(2)?.0, row.get::<_, Word<RegistrationType>>(3)?.0);
                let group = groups.iter().find(|group| (group.client, group.status, group.kind) == stands);
                let Some(group) = group else { continue };
                let number = row.get::<_, i64>(4)?.cast_unsigned();
                let sum = sums.entry(row.get(0)?).or_default();
                sum.number += number;
                *sum.by_status.entry(group.reason(&server).status()).or_default() += number;
                sum.staged += row.get::<_, i64>(5)?.cast_unsigned();
                let latest: At = row.get(6)?;
                if sum.latest.as_ref().is_none_or(|(known, _)| known.0 < latest.0) {
                    sum.latest = Some((latest, ClientKey(row.get::<_, Id>(7)?.0)));
                    sum.name = row.get(8)?;
                }
            }
            let mut sums: Vec<(String, Sum)> = sums.into_iter().collect();
            sums.sort_by(|(one_family, one), (other_family, other)| {
                let waiting = if list.sort == Sort::WaitingFirst { other.waits().cmp(&one.waits()) } else { std::cmp::Ordering::Equal };
                let order = match list.sort {
                    Sort::NewestFirst | Sort::WaitingFirst => other.time().cmp(&one.time()),
                    Sort::OldestFirst => one.time().cmp(&other.time()),
                    Sort::Name => one.name.cmp(&other.name),
                };
                waiting.then(order).then_with(|| one_family.cmp(other_family))
            });
            page.families = sums.len();
            let begin = after.and_then(|[_, family]| sums.iter().position(|(known, _)| known == family)).map_or(0, |place| place + 1);
            let shown = sums.len().saturating_sub(begin).min(list.limit);
            for (family, sum) in sums.drain(..).skip(begin).take(shown) {
                let Some((latest, key)) = sum.latest else { continue };
                if let Some(sample) = registration_row(connection, &server, key)? {
                    let Sum { number, by_status, staged, .. } = sum;
                    page.rows.push(FamilyRow { family, number, by_status, staged, latest: latest.0, sample });
                }
            }
            if begin + shown < page.families {
                page.next_cursor = page.rows.last().map(|row| Cursor::of_parts(["family", &row.family]));
            }
            Ok(Some(page))
        })
    }
}
