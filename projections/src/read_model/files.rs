//! The files of read models: disposable, private to their owner, and swapped rather than migrated.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gatebook_events::envelope::Position;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::error::is_damage;
use super::{Hash, Kind, OpenError, Projection};

/// What SQLite keeps beside a database, by what it adds to the name.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];
/// How long whoever else is at a file is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many prepared statements each connection keeps.
const STATEMENTS: usize = 128;

/// A database with what it holds.
#[derive(Debug)]
pub(super) struct Opened {
    pub connection: Connection,
    /// Its checkpoint.
    pub position: Position,
    /// What the log hashes to there; none where that is not known.
    pub hash: Option<Hash>,
    /// Whether there is a place for that hash: earlier builds made none.
    pub keeps_hash: bool,
    /// Whether it has the indexes that only queries need.
    pub indexed: bool,
}

pub(super) fn path<P: Projection>(dir: &Path, version: u32, kind: Kind) -> PathBuf {
    let ending = match kind {
        Kind::Serving => "db",
        Kind::Building => "building.db",
    };
    dir.join(format!("{}@{}.{ending}", P::NAME, version))
}

/// Opens a file that holds what it should, or a new one in its place.
pub(super) fn open<P: Projection>(path: &Path, kind: Kind) -> Result<Opened, OpenError> {
    if let Some(opened) = reopen::<P>(path, kind)? {
        return Ok(opened);
    }
    remove(path)?;
    create_private(path).map_err(|source| OpenError::file(path, source))?;
    create::<P>(path, kind).map_err(|source| OpenError::sqlite(path, source))
}

/// Opens a file that holds what it should; none if it is absent, damaged or of another schema.
pub(super) fn reopen<P: Projection>(path: &Path, kind: Kind) -> Result<Option<Opened>, OpenError> {
    if !path.exists() {
        return Ok(None);
    }
    match open_existing::<P>(path, kind) {
        Ok(opened) => Ok(opened),
        // Only damage is a reason to throw a file away: one that is locked or unreadable for now is asked again.
        Err(damaged) if is_damage(&damaged) => Ok(None),
        Err(source) => Err(OpenError::sqlite(path, source)),
    }
}

fn open_existing<P: Projection>(path: &Path, kind: Kind) -> rusqlite::Result<Option<Opened>> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    if kind == Kind::Building && !is_of_this_boot(&connection) {
        return Ok(None);
    }
    tune(&connection, kind)?;
    let mut expected = Connection::open_in_memory()?;
    create_tables::<P>(&expected)?;
    let found = schema(&connection)?;
    let without_indexes = schema(&expected)? == found;
    create_indexes::<P>(&mut expected)?;
    let indexed = schema(&expected)? == found;
    let fits = indexed || (without_indexes && kind == Kind::Building);
    if !fits {
        return Ok(None);
    }
    let keeps_hash = keeps_hash(&connection)?;
    let hash = if keeps_hash { "hash" } else { "NULL" };
    let sql = format!("SELECT max(position), {hash} FROM checkpoint");
    let (position, hash) = connection.query_row(&sql, [], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<Vec<u8>>>(1)?)))?;
    let (position, hash) = (position.map(i64::cast_unsigned), hash.and_then(|hash| hash.try_into().ok()));
    Ok(position.map(|position| Opened { connection, position: Position::from_backend(position), hash, keeps_hash, indexed }))
}

/// Makes a place for the log's hash in a file that an earlier build of the same version made.
pub(super) fn keep_hash(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("ALTER TABLE checkpoint ADD COLUMN hash BLOB")
}

fn keeps_hash(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) > 0 FROM pragma_table_info('checkpoint') WHERE name = 'hash'", [], |row| row.get(0))
}

fn create<P: Projection>(path: &Path, kind: Kind) -> rusqlite::Result<Opened> {
    let mut connection = Connection::open(path)?;
    tune(&connection, kind)?;
    let tx = connection.transaction()?;
    create_tables::<P>(&tx)?;
    tx.commit()?;
    let indexed = kind == Kind::Serving;
    if indexed {
        create_indexes::<P>(&mut connection)?;
    } else {
        connection.pragma_update(None, "user_version", boot().unwrap_or_default())?;
    }
    Ok(Opened { connection, position: Position::START, hash: None, keeps_hash: true, indexed })
}

pub(super) fn create_tables<P: Projection>(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(P::SCHEMA)?;
    connection.execute_batch(
        "CREATE TABLE checkpoint (position INTEGER NOT NULL, hash BLOB) STRICT; INSERT INTO checkpoint (position) VALUES (0);",
    )
}

/// All of them or none. Indexes of many millions of rows are sorted in files, in pieces of the size of the cache, so that the memory
/// stays what it is, and with a second thread; of up to sixteen pieces each is read once. The little that single statements set aside
/// is kept in memory before and after.
pub(super) fn create_indexes<P: Projection>(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA temp_store = FILE; PRAGMA threads = 1; PRAGMA cache_size = -32768;")?;
    let tx = connection.transaction()?;
    tx.execute_batch(P::INDEXES)?;
    tx.commit()?;
    connection.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA threads = 0; PRAGMA cache_size = -65536;")
}

/// The statements that made the tables, so that a changed schema is noticed even if its version was forgotten. The checkpoint is the
/// same for every projection, and grew without a new version.
pub(super) fn schema(connection: &Connection) -> rusqlite::Result<Vec<Option<String>>> {
    let mut statement = connection.prepare(
        "SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\' AND name <> 'checkpoint' ORDER BY type, name",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}

fn tune(connection: &Connection, kind: Kind) -> rusqlite::Result<()> {
    keep_statements(connection)?;
    let durability = match kind {
        // A lost tail is applied again from the log, so that no commit has to wait for the disk.
        // A long log between checkpoints lets pages that change again and again be copied into the file once.
        Kind::Serving => {
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 8192; \
             PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY;"
        }
        // Nobody reads it meanwhile and it can be built anew, so it never waits for the disk, and a new page is written once, not to
        // a log first. If the process is killed, the journal takes back what was half done, and the build goes on from its checkpoint.
        // If the machine goes down, nothing is known of it; see `is_of_this_boot`.
        Kind::Building => "PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY;",
    };
    connection.busy_timeout(PATIENCE)?;
    // Before the first table; rows of events are long, and two of them to a page split more pages than they fill.
    connection.execute_batch("PRAGMA page_size = 8192;")?;
    connection.execute_batch(durability)?;
    connection.execute_batch("PRAGMA cache_size = -65536; PRAGMA foreign_keys = OFF;")
}

/// Whether a build was begun since the machine was started. What one before left may never have come to the disk, so whatever is
/// wrong with it only means that it is not.
fn is_of_this_boot(connection: &Connection) -> bool {
    let begun = connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    begun.is_ok_and(|begun| boot().map(i64::from) == Some(begun))
}

/// A number of this start of the machine, which is another one after the next; none where the system does not name its starts, and
/// then a build that was interrupted begins anew.
fn boot() -> Option<u32> {
    let name = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    u32::from_str_radix(name.get(..7)?, 16).ok()
}

/// Statements are prepared once. Without the guarantee SQLite prepares most of them anew for each event's values, which costs
/// more than running them.
pub(super) fn keep_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// Creates the file before `SQLite` does, which would let everybody read it. Its companions take over the mode.
fn create_private(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Removes a database and its companions. What is absent is removed already.
pub(super) fn remove(path: &Path) -> Result<(), OpenError> {
    // The database goes first: without it its log says nothing, while a log outliving its database would spoil the next one.
    for path in std::iter::once(path.to_owned()).chain(COMPANIONS.map(|ending| companion(path, ending))) {
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(OpenError::File { path, source }),
        }
    }
    Ok(())
}

/// Closes a database as one that serves is left: with a write-ahead log that is empty. Who opens it then changes nothing in it.
pub(super) fn leave_to_serve(connection: Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.close().map_err(|(_, source)| source)
}

/// Waits until a file, or the names in a folder, are on the disk.
pub(super) fn sync(path: &Path) -> Result<(), OpenError> {
    fs::File::open(path).and_then(|file| file.sync_all()).map_err(|source| OpenError::file(path, source))
}

/// Renames a finished database over the serving one. At every moment a crash leaves one of the two whole.
pub(super) fn put_in_place(building: &Path, serving: &Path) -> Result<(), OpenError> {
    let log_is_empty = fold_log_in(serving).is_ok();
    if log_is_empty {
        for path in COMPANIONS.map(|ending| companion(serving, ending)) {
            if path.exists() {
                fs::remove_file(&path).map_err(|source| OpenError::File { path, source })?;
            }
        }
    } else {
        // Its write-ahead log must not be read into the new file, and without the log it may be half of itself.
        remove(serving)?;
    }
    fs::rename(building, serving).map_err(|source| OpenError::file(serving, source))?;
    serving.parent().map_or(Ok(()), sync)
}

/// Brings everything that a database's write-ahead log holds into the database itself.
fn fold_log_in(path: &Path) -> rusqlite::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let connection = Connection::open(path)?;
    // A query at an older moment would hold the swap up; then the old file goes instead.
    connection.busy_timeout(Duration::ZERO)?;
    let busy = connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |row| row.get::<_, i64>(0))?;
    if busy == 0 { Ok(()) } else { Err(rusqlite::Error::QueryReturnedNoRows) }
}

pub(super) fn remove_other_versions<P: Projection>(dir: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let mut removed = BTreeSet::new();
    for entry in fs::read_dir(dir).map_err(|source| OpenError::file(dir, source))? {
        let name = entry.map_err(|source| OpenError::file(dir, source))?.file_name();
        let Some(name) = name.to_str() else { continue };
        // A crash may have left what lies beside a database that is gone.
        let name = COMPANIONS.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
        if version_of::<P>(name).is_some_and(|version| version != P::VERSION) && removed.insert(dir.join(name)) {
            remove(&dir.join(name))?;
        }
    }
    Ok(removed.into_iter().collect())
}

/// The version in the name of one of this projection's databases.
fn version_of<P: Projection>(file_name: &str) -> Option<u32> {
    let rest = file_name.strip_prefix(P::NAME)?.strip_prefix('@')?;
    let version = rest.strip_suffix(".building.db").or_else(|| rest.strip_suffix(".db"))?;
    version.parse().ok()
}

fn companion(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
