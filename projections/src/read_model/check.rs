//! Tables held against a fresh fold of the events that they should show. The tables are only read.

use std::collections::{BTreeSet, HashSet};
use std::marker::PhantomData;
use std::path::Path;
use std::time::Duration;

use gatebook_events::envelope::{Envelope, EventId, Position};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OpenFlags, params_from_iter};

use super::{Kind, OpenError, Projection, ProjectionError, files, reader, stopped};

/// Tables as they are at one moment, and beside them what a fresh fold makes.
#[derive(Debug)]
pub struct Checked<P> {
    /// In a transaction for as long as this lives, so that all is of one moment.
    tables: Connection,
    /// Made from nothing, in a file without a name.
    fresh: Connection,
    position: Position,
    projection: PhantomData<P>,
}

/// What the fresh fold was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Of every event that the tables show: they have to be the same.
    Everything,
    /// Of some streams, whole: the tables have to have those rows too.
    SomeStreams,
}

/// A row that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// In which table.
    pub table: String,
    /// The row's primary key as text.
    pub row: String,
    /// What is wrong: that it is missing or should not be there, or the columns that differ.
    pub what: String,
}

impl<P: Projection> Checked<P> {
    /// Opens this version's tables in a folder; none where there are none.
    pub fn open(dir: &Path) -> Result<Option<Self>, OpenError> {
        let path = files::path::<P>(dir, P::VERSION, Kind::Serving);
        if !path.exists() {
            return Ok(None);
        }
        Self::read(&path).map(Some).map_err(|source| OpenError::sqlite(&path, source))
    }

    fn read(path: &Path) -> rusqlite::Result<Self> {
        let tables = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        tables.busy_timeout(Duration::from_secs(5))?;
        // What is read first fixes the moment.
        tables.execute_batch("BEGIN")?;
        let position = tables.query_row("SELECT position FROM checkpoint", [], |row| row.get::<_, i64>(0))?;
        let mut fresh = Connection::open("")?;
        fresh.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;")?;
        files::keep_statements(&fresh)?;
        files::create_tables::<P>(&fresh)?;
        // With what keeps the tables that follow from others.
        files::create_indexes::<P>(&mut fresh)?;
        Ok(Self { tables, fresh, position: Position::from_backend(position.cast_unsigned()), projection: PhantomData })
    }

    /// The last event that the tables show.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The tables, at that moment.
    pub(crate) fn tables(&self) -> &Connection {
        &self.tables
    }

    /// What `SQLite` finds wrong with the file, or that its tables are not those of this build. Takes its time.
    pub fn damage(&self) -> rusqlite::Result<Vec<String>> {
        let mut check = self.tables.prepare("PRAGMA integrity_check(8)")?;
        let found = check.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
        let mut damage: Vec<String> = found.into_iter().filter(|line| line != "ok").collect();
        let mut expected = Connection::open_in_memory()?;
        files::create_tables::<P>(&expected)?;
        files::create_indexes::<P>(&mut expected)?;
        if files::schema(&expected)? != files::schema(&self.tables)? {
            damage.push("its tables are not those of this build".to_owned());
        }
        Ok(damage)
    }

    /// Brings events into the fresh tables, in order and none twice; those that the tables do not show yet are left away.
    pub fn fold(&mut self, events: &[Envelope], left_out: &HashSet<EventId>) -> Result<(), ProjectionError> {
        let storage = |source| ProjectionError::Storage { projection: P::NAME, source };
        let tx = self.fresh.transaction().map_err(storage)?;
        for envelope in events.iter().filter(|envelope| envelope.position <= self.position) {
            if P::handles(&envelope.event.name) && !left_out.contains(&envelope.event.id) {
                let applied = P::read(envelope).and_then(|change| P::apply(&tx, envelope, &change));
                applied.map_err(|source| stopped::<P>(envelope, source))?;
            }
        }
        tx.commit().map_err(storage)
    }

    /// What the tables have otherwise than the fresh ones; no more than `most`.
    pub fn differences(&self, compare: Compare, most: usize) -> rusqlite::Result<Vec<Difference>> {
        let mut found = BTreeSet::new();
        for table in Table::all(&self.fresh)? {
            if compare == Compare::SomeStreams && P::SUMMED.contains(&&*table.name) {
                continue;
            }
            table.compare(&self.fresh, &self.tables, "is missing", most, &mut found)?;
            if compare == Compare::Everything {
                table.compare(&self.tables, &self.fresh, "should not be there", most, &mut found)?;
            }
        }
        Ok(found.into_iter().take(most).collect())
    }
}

struct Table {
    name: String,
    columns: Vec<String>,
    /// Which of the columns are the primary key; all of them where there is none.
    key: Vec<usize>,
}

impl Table {
    fn all(connection: &Connection) -> rusqlite::Result<Vec<Self>> {
        let mut names = connection.prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> 'checkpoint' ORDER BY name",
        )?;
        let names = names.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
        let of = |name: String| {
            let mut columns = connection.prepare("SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid")?;
            let columns = columns.query_map([&name], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)? > 0)))?;
            let (columns, in_key): (Vec<_>, Vec<bool>) = columns.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().unzip();
            let all = !in_key.contains(&true);
            let key = (0..columns.len()).filter(|index| all || in_key.get(*index) == Some(&true)).collect();
            Ok(Self { name, columns, key })
        };
        names.into_iter().map(of).collect()
    }

    /// Looks up every row of the one among those of the other.
    fn compare(
        &self,
        one: &Connection,
        other: &Connection,
        absent: &str,
        most: usize,
        found: &mut BTreeSet<Difference>,
    ) -> rusqlite::Result<()> {
        let select = format!("SELECT {} FROM {}", self.columns.join(", "), self.name);
        let key: Vec<&str> = self.key.iter().filter_map(|index| self.columns.get(*index)).map(String::as_str).collect();
        let condition: Vec<String> = key.iter().zip(1..).map(|(column, number)| format!("{column} IS ?{number}")).collect();
        let mut rows = one.prepare(&select)?;
        let mut lookup = other.prepare(&format!("{select} WHERE {}", condition.join(" AND ")))?;
        let values = |row: &rusqlite::Row<'_>| {
            (0..self.columns.len()).map(|index| row.get_ref(index).map(owned)).collect::<rusqlite::Result<Vec<_>>>()
        };
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            if found.len() >= most {
                break;
            }
            let row = values(row)?;
            let key: Vec<&Value> = self.key.iter().filter_map(|index| row.get(*index)).collect();
            let twin = lookup.query(params_from_iter(&key))?.next()?.map(values).transpose()?;
            let differing = twin.as_ref().map(|twin| {
                let differing = self.columns.iter().zip(row.iter().zip(twin)).filter(|(_, (one, other))| one != other);
                differing.map(|(column, _)| column.as_str()).collect::<Vec<_>>().join(", ")
            });
            let what = match differing {
                None => absent.to_owned(),
                Some(same) if same.is_empty() => continue,
                Some(columns) => format!("differs in {columns}"),
            };
            let key: Vec<String> = key.into_iter().map(printed).collect();
            found.insert(Difference { table: self.name.clone(), row: key.join(" "), what });
        }
        Ok(())
    }
}

/// Text that is none, because it was damaged, is as good as any bytes.
fn owned(value: ValueRef<'_>) -> Value {
    Value::try_from(value).unwrap_or_else(|_| Value::Blob(value.as_bytes().unwrap_or_default().to_vec()))
}

/// A part of a key for people: UUIDs as they are written.
fn printed(value: &Value) -> String {
    if let Value::Blob(bytes) = value
        && let Ok(id) = uuid::Uuid::from_slice(bytes)
    {
        return id.to_string();
    }
    let mut text = String::new();
    reader::write_value(&mut text, ValueRef::from(value));
    text
}

#[cfg(test)]
mod tests;
