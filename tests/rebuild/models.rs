//! The three read models, side by side in one folder.

use std::path::Path;

use gatebook_events::envelope::Envelope;
use gatebook_projections::{Approvals, Directory, History, ReadModel};
use rusqlite::Connection;
use tempfile::TempDir;

/// All read models of one instance.
pub struct Models {
    directory: ReadModel<Directory>,
    approvals: ReadModel<Approvals>,
    history: ReadModel<History>,
    folder: TempDir,
}

impl Models {
    /// Empty ones.
    pub fn new() -> Self {
        // What is compared are rows, not what a disk keeps of them, so memory will do where there is a file system in it.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let (directory, approvals, history) = open(folder.path());
        Self { directory, approvals, history, folder }
    }

    /// Built from these events in batches of this size.
    pub fn built(events: &[Envelope], batch: usize) -> Self {
        let mut models = Self::new();
        for some in events.chunks(batch.max(1)) {
            models.apply(some);
        }
        models
    }

    pub fn apply(&mut self, events: &[Envelope]) {
        let ends = [self.directory.apply(events).unwrap(), self.approvals.apply(events).unwrap(), self.history.apply(events).unwrap()];
        assert!(events.is_empty() || ends.iter().all(|end| *end >= events[events.len() - 1].position));
    }

    /// As after a restart.
    pub fn reopen(&mut self) {
        (self.directory, self.approvals, self.history) = open(self.folder.path());
    }

    /// Built anew beside the ones that serve, and put in their place.
    pub fn rebuild_beside(&mut self, events: &[Envelope]) {
        let mut built = ReadModel::<Directory>::open_building(self.folder.path()).unwrap();
        built.apply(events).unwrap();
        self.directory.replace_with(built).unwrap();
        let mut built = ReadModel::<History>::open_building(self.folder.path()).unwrap();
        built.apply(events).unwrap();
        self.history.replace_with(built).unwrap();
    }

    /// Every row of all three.
    pub fn dump(&self) -> [Vec<String>; 3] {
        [self.directory.dump().unwrap(), self.approvals.dump().unwrap(), self.history.dump().unwrap()]
    }

    /// The rows of the directory, without where in the log they come from.
    pub fn directory(&self) -> Vec<String> {
        dump_without_positions(self.directory.path())
    }

    /// The rows of the approvals, likewise.
    pub fn approvals(&self) -> Vec<String> {
        dump_without_positions(self.approvals.path())
    }
}

fn open(folder: &Path) -> (ReadModel<Directory>, ReadModel<Approvals>, ReadModel<History>) {
    (ReadModel::open(folder).unwrap(), ReadModel::open(folder).unwrap(), ReadModel::open(folder).unwrap())
}

/// Every row of every table, except the columns that are places in the log.
fn dump_without_positions(path: &Path) -> Vec<String> {
    let file = Connection::open(path).unwrap();
    let texts = |sql: &str| -> Vec<String> {
        let mut statement = file.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let mut rows = Vec::new();
    for table in texts("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'") {
        let columns = texts(&format!("SELECT name FROM pragma_table_info('{table}') WHERE name NOT LIKE '%position%'"));
        if columns.is_empty() {
            continue;
        }
        let columns = columns.iter().map(|name| format!("quote({name})")).collect::<Vec<_>>().join(" || ' | ' || ");
        rows.extend(texts(&format!("SELECT '{table}: ' || {columns} FROM {table}")));
    }
    rows.sort_unstable();
    assert!(!rows.is_empty());
    rows
}
