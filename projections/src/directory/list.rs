//! The list of a resource server's clients: filtered, sorted, and paged by key so that no page costs more than the first.

use std::fmt::Write;

use gatebook_events::identity::ClientKey;
use gatebook_events::standing::Reason;
use rusqlite::{Connection, ToSql};
use uuid::Uuid;

use super::queries::{Group, count, groups, is_listed, registration_row, server};
use super::{ClientPage, Directory, ListClients, RegistrationRow, Sort};
use crate::column::{ClientLife, Id};
use crate::cursor::{Cursor, InvalidCursor};
use crate::page::{self, Room};
use crate::read_model::{QueryError, Reader};

impl Reader<Directory> {
    /// One page of a resource server's clients. A resource server of another tenant has none.
    pub fn clients(&self, list: &ListClients) -> Result<ClientPage, QueryError> {
        let after = list.cursor.as_ref().map(|cursor| Place::parse(cursor, list.sort)).transpose()?;
        self.with(|connection| {
            let mut page = ClientPage { rows: Vec::new(), next_cursor: None, counts: None };
            let Some(server) = server(connection, list.resource_server)?.filter(|server| server.tenant == list.tenant) else {
                return Ok(page);
            };
            let mut groups = groups(connection, server.id)?;
            page.counts = list.cursor.is_none().then(|| count(&server, &groups));
            groups.retain(|group| {
                list.registration_type.is_none_or(|kind| kind == group.kind) && is_listed(group.reason(&server), list.status.as_deref())
            });
            if groups.is_empty() || list.limit == 0 {
                return Ok(page);
            }
            let mut places = match list.sort {
                Sort::WaitingFirst => {
                    let (waiting, rest) = groups.into_iter().partition(|group| group.reason(&server) == Reason::ApprovalPending);
                    waiting_first(connection, list, [waiting, rest], after)?
                }
                Sort::NewestFirst | Sort::OldestFirst | Sort::Name => places(connection, list, &groups, after.as_ref())?,
            };
            if places.len() > list.limit {
                places.truncate(list.limit);
                page.next_cursor = places.last().map(|place| place.cursor(list.sort));
            }
            let (mut room, mut shown) = (Room::default(), None);
            for place in places {
                let Some(row) = registration_row(connection, &server, place.client)? else { continue };
                if !room.takes(text_of(&row)) {
                    page.next_cursor = shown.map(|place: Place| place.cursor(list.sort));
                    break;
                }
                page.rows.push(row);
                shown = Some(place);
            }
            Ok(page)
        })
    }
}

/// How much text there is in a row.
fn text_of(row: &RegistrationRow) -> usize {
    page::length(&row.metadata) + page::length(&row.redirect_uris) + row.staged.as_ref().map_or(0, page::length)
}

/// Where a row stands in the order of a list.
struct Place {
    key: SortKey,
    client: ClientKey,
    /// Whether it waits, where those that wait come first.
    waits: bool,
}

enum SortKey {
    Time(i64),
    Name(String),
}

impl Place {
    fn cursor(&self, sort: Sort) -> Cursor {
        let client = self.client.to_string();
        match &self.key {
            SortKey::Time(micros) if sort == Sort::WaitingFirst => {
                Cursor::of_parts([sort.as_str(), &client, &format!("{}{micros}", if self.waits { WAITS } else { RESTS })])
            }
            SortKey::Time(micros) => Cursor::of_parts([sort.as_str(), &client, &micros.to_string()]),
            SortKey::Name(name) => Cursor::of_parts([sort.as_str(), &client, name]),
        }
    }

    fn parse(cursor: &Cursor, expected: Sort) -> Result<Self, InvalidCursor> {
        let [sort, client, key] = cursor.parts()?;
        if sort != expected.as_str() {
            return Err(InvalidCursor);
        }
        let (waits, key) = match (expected, key.strip_prefix(WAITS), key.strip_prefix(RESTS)) {
            (Sort::WaitingFirst, Some(rest), _) => (true, rest),
            (Sort::WaitingFirst, None, Some(rest)) => (false, rest),
            (Sort::WaitingFirst, None, None) => return Err(InvalidCursor),
            _ => (false, key),
        };
        let key = match expected {
            Sort::WaitingFirst | Sort::NewestFirst | Sort::OldestFirst => SortKey::Time(key.parse().map_err(|_| InvalidCursor)?),
            Sort::Name => SortKey::Name(key.to_owned()),
        };
        Ok(Self { key, waits, client: ClientKey(Uuid::try_parse(client).map_err(|_| InvalidCursor)?) })
    }
}

const WAITS: char = 'w';
const RESTS: char = 'r';

/// What waits, the last one first, and then the rest alike.
fn waiting_first(
    connection: &Connection,
    list: &ListClients,
    [waiting, rest]: [Vec<Group>; 2],
    after: Option<Place>,
) -> Result<Vec<Place>, QueryError> {
    let newest = ListClients { sort: Sort::NewestFirst, ..list.clone() };
    let (among_waiting, among_rest) = match after {
        Some(place) if !place.waits => (None, Some(Some(place))),
        place => (Some(place), None),
    };
    let mut all = Vec::new();
    if let Some(after) = among_waiting.filter(|_| !waiting.is_empty()) {
        all = places(connection, &newest, &waiting, after.as_ref())?;
        for place in &mut all {
            place.waits = true;
        }
    }
    if all.len() <= list.limit && !rest.is_empty() {
        all.extend(places(connection, &newest, &rest, among_rest.flatten().as_ref())?);
        all.truncate(list.limit.saturating_add(1));
    }
    Ok(all)
}

/// The filters of a list that are looked up in each row.
pub(super) struct Filter<'a> {
    pub(super) conditions: &'static str,
    text: Option<String>,
    family: Option<&'a String>,
}

impl<'a> Filter<'a> {
    pub(super) fn of(list: &'a ListClients) -> Self {
        // `instr` looks for the text itself: no character of it is a wildcard.
        let conditions = match (&list.text, &list.family) {
            (None, None) => "",
            (Some(_), None) => {
                " AND instr(coalesce(admitted_name, '') || char(10) || (SELECT search FROM clients WHERE key = client_key AND clients.entered_for = registrations.entered_for), :text) > 0"
            }
            (None, Some(_)) => {
                " AND (SELECT CASE WHEN family LIKE 'software:%' THEN family ELSE coalesce(admitted_family, family) END FROM clients WHERE key = client_key AND clients.entered_for = registrations.entered_for) = :family"
            }
            (Some(_), Some(_)) => {
                " AND instr(coalesce(admitted_name, '') || char(10) || (SELECT search FROM clients WHERE key = client_key AND clients.entered_for = registrations.entered_for), :text) > 0 \
                 AND (SELECT CASE WHEN family LIKE 'software:%' THEN family ELSE coalesce(admitted_family, family) END FROM clients WHERE key = client_key AND clients.entered_for = registrations.entered_for) = :family"
            }
        };
        Self { conditions, text: list.text.as_deref().map(str::to_lowercase), family: list.family.as_ref() }
    }

    pub(super) fn put_parameters<'b>(&'b self, parameters: &mut Vec<(&'b str, &'b dyn ToSql)>) {
        if let Some(text) = &self.text {
            parameters.push((":text", text));
        }
        if let Some(family) = &self.family {
            parameters.push((":family", family));
        }
    }
}

/// The places of one page, and of one row more where there is one.
fn places(connection: &Connection, list: &ListClients, groups: &[Group], after: Option<&Place>) -> Result<Vec<Place>, QueryError> {
    let server = Id(list.resource_server.0);
    let limit = i64::try_from(list.limit).unwrap_or(i64::MAX).saturating_add(1);
    let rows_filter = Filter::of(list);
    let client = after.map(|place| Id(place.client.0));
    let mut parameters: Vec<(&str, &dyn ToSql)> = vec![(":server", &server), (":limit", &limit)];
    let mut filter = String::new();
    if let Some(place) = after {
        match &place.key {
            SortKey::Time(micros) => parameters.push((":key", micros)),
            SortKey::Name(name) => parameters.push((":key", name)),
        }
        parameters.push((":client", &client));
        filter.push_str(match list.sort {
            Sort::NewestFirst | Sort::WaitingFirst => " AND (requested_at, client_key) < (:key, :client)",
            Sort::OldestFirst => " AND (requested_at, client_key) > (:key, :client)",
            Sort::Name => " AND (name_key, client_key) > (:key, :client)",
        });
    }
    rows_filter.put_parameters(&mut parameters);
    filter.push_str(rows_filter.conditions);
    let sql = match list.sort {
        Sort::NewestFirst | Sort::WaitingFirst => by_time(groups, &filter, "DESC"),
        Sort::OldestFirst => by_time(groups, &filter, "ASC"),
        Sort::Name => by_name(groups, &filter),
    };
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(parameters.as_slice(), |row| {
        let key = match list.sort {
            Sort::NewestFirst | Sort::OldestFirst | Sort::WaitingFirst => SortKey::Time(row.get(0)?),
            Sort::Name => SortKey::Name(row.get(0)?),
        };
        Ok(Place { key, client: ClientKey(row.get::<_, Id>(1)?.0), waits: false })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Every group is one range of the index, already in order; `SQLite` merges them and stops at the limit.
fn by_time(groups: &[Group], filter: &str, direction: &str) -> String {
    let mut sql = String::new();
    for (index, group) in groups.iter().enumerate() {
        let union = if index == 0 { "" } else { " UNION ALL " };
        // Writing to a String cannot fail, and the words are of closed lists.
        let _ = write!(
            sql,
            "{union}SELECT requested_at, client_key FROM registrations INDEXED BY registrations_by_time \
             WHERE resource_server = :server AND client_life = '{}' AND status = '{}' AND registration_type = '{}'{filter}",
            ClientLife(group.client).as_str(),
            group.status.as_str(),
            group.kind.as_str()
        );
    }
    let _ = write!(sql, " ORDER BY 1 {direction}, 2 {direction} LIMIT :limit");
    sql
}

/// The groups as rows of a table.
pub(super) fn listed(groups: &[Group]) -> String {
    let mut listed = String::new();
    for group in groups {
        let comma = if listed.is_empty() { "" } else { ", " };
        let _ = write!(listed, "{comma}('{}', '{}', '{}')", ClientLife(group.client).as_str(), group.status.as_str(), group.kind.as_str());
    }
    listed
}

fn by_name(groups: &[Group], filter: &str) -> String {
    let listed = listed(groups);
    format!(
        "SELECT name_key, client_key FROM registrations INDEXED BY registrations_by_name WHERE resource_server = :server \
         AND (client_life, status, registration_type) IN (VALUES {listed}){filter} ORDER BY name_key, client_key LIMIT :limit"
    )
}
