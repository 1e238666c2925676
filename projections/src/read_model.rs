//! Read models: one `SQLite` file per projection and version, rows and checkpoint in one transaction.

use std::collections::HashSet;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatebook_events::envelope::{Envelope, EventId, Position};
use rusqlite::{Connection, Transaction};

mod check;
mod error;
mod files;
mod reader;

pub use check::{Checked, Compare, Difference};
pub use error::{ApplyError, OpenError, ProjectionError, QueryError, is_damage, may_pass};
pub use reader::Reader;

/// How events look to one kind of reader: tables, and what each event does to them.
pub trait Projection: Send + Sync + 'static {
    /// The name of its file, and what it is called in `/authsec/projections`.
    const NAME: &'static str;
    /// Counts up whenever the tables or what is written into them change. Read models are rebuilt, not migrated.
    const VERSION: u32;
    /// The statements that create the empty tables, with the indexes that [`Self::apply`] needs.
    const SCHEMA: &'static str;
    /// The indexes that only queries need: a build makes them once it has all rows.
    const INDEXES: &'static str = "";
    /// Older versions, the newest first, that have this very schema and differ only in what is written. While this version's
    /// tables are built, theirs answer, and new events are written to them as this version would.
    const SERVED_BY: &'static [u32] = &[];

    /// Tables whose rows rest on the events of many streams, so that some streams alone cannot tell what is in them.
    const SUMMED: &'static [&'static str] = &[];

    /// What an event says, as [`Self::apply`] needs it.
    type Change: Send + 'static;

    /// Whether an event of this name can change a row. Others are not read, and only move the checkpoint.
    fn handles(event_name: &str) -> bool;

    /// Reads what the event says. It knows nothing of the rows, so that a build can read on one core and write on another.
    fn read(envelope: &Envelope) -> Result<Self::Change, ApplyError>;

    /// Writes what the event changes. Deterministic: nothing but the rows and the event may have a part in it.
    fn apply(tx: &Transaction<'_>, envelope: &Envelope, change: &Self::Change) -> Result<(), ApplyError>;

    /// Writes in one go what two successive events of one stream change, and leaves what applying one after the other would.
    /// False where nothing was written, because that is no shorter here: each is then applied by itself.
    fn apply_both(
        _tx: &Transaction<'_>,
        _first: (&Envelope, &Self::Change),
        _second: (&Envelope, &Self::Change),
    ) -> Result<bool, ApplyError> {
        Ok(false)
    }
}

/// What the log hashes to after some events that follow on the checkpoint; none where that is not known.
pub type HashAfter<'a> = dyn Fn(&[Envelope]) -> Option<Hash> + 'a;

/// Successive events, read for one projection.
pub struct Batch<P: Projection> {
    events: Vec<Envelope>,
    /// What the log hashes to after the last of them.
    end: Option<Hash>,
    /// What each says, in the same order.
    changes: Vec<Said<P>>,
}

/// What an event says; none where that changes nothing here. Why it cannot be read is only of interest once it is its turn.
type Said<P> = Option<Result<<P as Projection>::Change, ApplyError>>;

fn said<P: Projection>(envelope: &Envelope) -> Said<P> {
    P::handles(&envelope.event.name).then(|| P::read(envelope))
}

impl<P: Projection> Batch<P> {
    /// Reads events, whatever thread this is.
    pub fn read(events: Vec<Envelope>) -> Self {
        Self { changes: events.iter().map(said::<P>).collect(), end: None, events }
    }

    /// The same events with what the log hashes to after the last of them.
    pub fn ending_in(self, end: Option<Hash>) -> Self {
        Self { end, ..self }
    }

    /// How many events these are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Adds the events that come next.
    pub fn extend(&mut self, next: Self) {
        if !next.events.is_empty() {
            self.end = next.end;
        }
        self.events.extend(next.events);
        self.changes.extend(next.changes);
    }
}

/// What an event of the log and all before it hash to, as the log says.
pub type Hash = [u8; 32];

/// The tables of one projection, open for writing. There is one writer, and as many [`Reader`]s as are wanted.
#[derive(Debug)]
pub struct ReadModel<P> {
    // Dropped, and so closed, before the readers' connections.
    connection: Connection,
    position: Position,
    hash: Option<Hash>,
    keeps_hash: bool,
    indexed: bool,
    dir: PathBuf,
    path: PathBuf,
    left_out: HashSet<EventId>,
    reader: Reader<P>,
    projection: PhantomData<P>,
}

/// Which of its two files a read model is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The one that answers.
    Serving,
    /// The one that is filled from the first event while the other answers.
    Building,
}

/// What there is to answer from when a service starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// This version's tables.
    Current,
    /// An older version's tables, of the same schema.
    Older(u32),
    /// Nothing: the tables are empty.
    Nothing,
}

impl<P: Projection> ReadModel<P> {
    /// Opens `<name>@<version>.db` in a folder, or starts it anew where it is absent, damaged or of another schema.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        Self::open_kind(dir, Kind::Serving)
    }

    /// Opens what can answer now: this version's tables or, where there are none yet, those of an older version that serves for it.
    pub fn open_to_serve(dir: &Path) -> Result<(Self, Found), OpenError> {
        if !files::path::<P>(dir, P::VERSION, Kind::Serving).exists() {
            for version in P::SERVED_BY {
                let path = files::path::<P>(dir, *version, Kind::Serving);
                if let Some(opened) = files::reopen::<P>(&path, Kind::Serving)? {
                    return Ok((Self::of(dir, path, opened), Found::Older(*version)));
                }
            }
        }
        let model = Self::open(dir)?;
        let found = if model.position == Position::START { Found::Nothing } else { Found::Current };
        Ok((model, found))
    }

    /// The same for a handle that queries hold already: it leads to what was opened from then on.
    pub fn open_to_serve_again(dir: &Path, reader: &Reader<P>) -> Result<(Self, Found), OpenError> {
        let (mut model, found) = Self::open_to_serve(dir)?;
        reader.close_gate().lead_to(model.path.clone());
        model.reader = reader.clone();
        Ok((model, found))
    }

    /// Starts `<name>@<version>.building.db` from nothing, beside whatever serves. [`Self::finish`] puts it in its place.
    pub fn begin_building(dir: &Path) -> Result<Self, OpenError> {
        files::remove(&files::path::<P>(dir, P::VERSION, Kind::Building))?;
        Self::open_kind(dir, Kind::Building)
    }

    /// Goes on with a build that was interrupted, from its checkpoint, or begins one.
    pub fn open_building(dir: &Path) -> Result<Self, OpenError> {
        Self::open_kind(dir, Kind::Building)
    }

    /// Where this version's tables are, or would be.
    pub fn file(dir: &Path) -> PathBuf {
        files::path::<P>(dir, P::VERSION, Kind::Serving)
    }

    /// Whether a build was begun and neither finished nor begun anew.
    pub fn has_unfinished_build(dir: &Path) -> bool {
        files::path::<P>(dir, P::VERSION, Kind::Building).exists()
    }

    fn open_kind(dir: &Path, kind: Kind) -> Result<Self, OpenError> {
        let path = files::path::<P>(dir, P::VERSION, kind);
        let opened = files::open::<P>(&path, kind)?;
        Ok(Self::of(dir, path, opened))
    }

    fn of(dir: &Path, path: PathBuf, opened: files::Opened) -> Self {
        let files::Opened { connection, position, hash, keeps_hash, indexed } = opened;
        let (reader, left_out) = (Reader::new(path.clone()), HashSet::new());
        Self { connection, position, hash, keeps_hash, indexed, dir: dir.to_owned(), path, left_out, reader, projection: PhantomData }
    }

    /// Events that only move the checkpoint from now on, because an operator said so.
    pub fn leave_out(&mut self, events: impl IntoIterator<Item = EventId>) {
        self.left_out.extend(events);
    }

    /// The position of the last event that is in the tables.
    pub fn position(&self) -> Position {
        self.position
    }

    /// What the log hashed to at that position when the tables came to it; none where that is not known, as in a file of an earlier
    /// build. Tables whose hash is not the log's show another log.
    pub fn hash(&self) -> Option<Hash> {
        self.hash
    }

    /// Takes note of what the log hashes to at the position of the tables. Files of this version that an earlier build made get a
    /// place for it; those of other versions stay as they are.
    pub fn note_hash(&mut self, hash: Hash) -> Result<(), OpenError> {
        let noted = (|| -> rusqlite::Result<()> {
            if !self.keeps_hash && self.path == files::path::<P>(&self.dir, P::VERSION, Kind::Serving) {
                files::keep_hash(&self.connection)?;
                self.keeps_hash = true;
            }
            if self.keeps_hash {
                self.connection.execute("UPDATE checkpoint SET hash = ?1", [hash])?;
            }
            Ok(())
        })();
        noted.map_err(|source| OpenError::sqlite(&self.path, source))?;
        self.hash = Some(hash);
        Ok(())
    }

    /// Where the tables are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A handle for queries. Clones share their connections.
    pub fn reader(&self) -> Reader<P> {
        self.reader.clone()
    }

    /// Brings events into the tables, all in one transaction with the checkpoint, and says how far the tables are now.
    ///
    /// Events at or before the checkpoint are skipped, so that applying twice is applying once. Where one cannot be read or
    /// applied, everything before it is kept, and the error names it: nothing is skipped but what [`Self::leave_out`] names.
    pub fn apply(&mut self, events: &[Envelope]) -> Result<Position, ProjectionError> {
        self.apply_hashed(events, &|_| None)
    }

    /// The same, with what the log hashes to after so many of them, which becomes part of the checkpoint.
    pub fn apply_hashed(&mut self, events: &[Envelope], hash_after: &HashAfter<'_>) -> Result<Position, ProjectionError> {
        let news = events.get(self.seen(events)..).unwrap_or_default();
        let mut changes: Vec<Said<P>> = news.iter().map(said::<P>).collect();
        self.bring_in(news, &mut changes, hash_after)
    }

    /// The same for events that were read already. They are left to the caller, because giving back the memory of so many takes time.
    pub fn apply_batch(&mut self, batch: &mut Batch<P>) -> Result<Position, ProjectionError> {
        let seen = self.seen(&batch.events);
        let (last, end) = (batch.events.last().map(|last| last.position), batch.end);
        let hash_after = move |events: &[Envelope]| end.filter(|_| events.last().map(|last| last.position) == last);
        self.bring_in(batch.events.get(seen..).unwrap_or_default(), batch.changes.get_mut(seen..).unwrap_or_default(), &hash_after)
    }

    fn seen(&self, events: &[Envelope]) -> usize {
        events.partition_point(|envelope| envelope.position <= self.position)
    }

    fn bring_in(&mut self, news: &[Envelope], changes: &mut [Said<P>], hash_after: &HashAfter<'_>) -> Result<Position, ProjectionError> {
        match self.write(news, changes, hash_after) {
            Ok(()) => Ok(self.position),
            Err(Stop::Storage(source)) => Err(ProjectionError::Storage { projection: P::NAME, source }),
            Err(Stop::Event { index, stopped }) => {
                // A failing event may have written half of its rows, so the good part before it is written again without it.
                match self.write(news.get(..index).unwrap_or_default(), changes, hash_after) {
                    Ok(()) | Err(Stop::Event { .. }) => Err(*stopped),
                    Err(Stop::Storage(source)) => Err(ProjectionError::Storage { projection: P::NAME, source }),
                }
            }
        }
    }

    fn write(&mut self, events: &[Envelope], changes: &mut [Said<P>], hash_after: &HashAfter<'_>) -> Result<(), Stop> {
        let Some(last) = events.last() else { return Ok(()) };
        let tx = self.connection.transaction()?;
        let left_out = |envelope: &Envelope| !self.left_out.is_empty() && self.left_out.contains(&envelope.event.id);
        let mut index = 0;
        while let (Some(envelope), Some(said)) = (events.get(index), changes.get_mut(index)) {
            let stop = |source| match source {
                // What refuses every event alike is not this one's fault.
                ApplyError::Sqlite(refusal) if may_pass(&refusal) || is_damage(&refusal) => Stop::Storage(refusal),
                source @ (ApplyError::Codec(_) | ApplyError::Meta(_) | ApplyError::Data(_) | ApplyError::Sqlite(_)) => {
                    Stop::Event { index, stopped: Box::new(stopped::<P>(envelope, source)) }
                }
            };
            if said.is_none() || left_out(envelope) {
                index += 1;
                continue;
            }
            if let Some(failed) = said.take_if(|said| said.is_err()).and_then(Result::err) {
                return Err(stop(failed));
            }
            let (Some(Some(Ok(change))), next) = (changes.get(index), changes.get(index + 1)) else { continue };
            if let (Some(next), Some(Some(Ok(next_change)))) = (events.get(index + 1), next)
                && next.stream == envelope.stream
                && !left_out(next)
                && P::apply_both(&tx, (envelope, change), (next, next_change)).map_err(stop)?
            {
                index += 2;
                continue;
            }
            P::apply(&tx, envelope, change).map_err(stop)?;
            index += 1;
        }
        let (position, hash) = (last.position.to_backend().cast_signed(), hash_after(events));
        if self.keeps_hash {
            tx.prepare_cached("UPDATE checkpoint SET position = ?1, hash = ?2")?.execute((position, hash))?;
        } else {
            tx.prepare_cached("UPDATE checkpoint SET position = ?1")?.execute([position])?;
        }
        tx.commit()?;
        (self.position, self.hash) = (last.position, hash);
        Ok(())
    }

    /// Makes the indexes that a build had left for later. Takes its time where there are many rows.
    pub fn index(&mut self) -> Result<(), OpenError> {
        if !self.indexed {
            files::create_indexes::<P>(&mut self.connection).map_err(|source| OpenError::sqlite(&self.path, source))?;
            self.indexed = true;
        }
        Ok(())
    }

    /// Puts a model that was built beside into the place of the one that serves, whose tables are gone then.
    /// For when nothing serves from the folder; otherwise see [`Self::replace_with`].
    pub fn finish(self) -> Result<(), OpenError> {
        let serving = files::path::<P>(&self.dir, P::VERSION, Kind::Serving);
        let building = self.close()?;
        if building == serving { Ok(()) } else { files::put_in_place(&building, &serving) }
    }

    /// Serves from a model that was built beside, without a pause: queries that are under way finish on the old tables,
    /// later ones of all existing readers see the new. Where the swap fails, the error says so and the tables in place go on serving.
    /// An older version's file stays; see [`Self::remove_older_versions`].
    pub fn replace_with(&mut self, built: Self) -> Result<(), OpenError> {
        let serving = files::path::<P>(&self.dir, P::VERSION, Kind::Serving);
        let building = built.close()?;
        // SQLite deletes the write-ahead log by its name when the last writer closes, so the old writer closes before the swap.
        let memory = Connection::open_in_memory().map_err(|source| OpenError::sqlite(&self.path, source))?;
        drop(std::mem::replace(&mut self.connection, memory));
        let reader = self.reader.clone();
        // Whoever asks meanwhile waits for as long as a file is renamed and opened.
        let mut gate = reader.close_gate();
        let swapped = files::put_in_place(&building, &serving);
        let path = if swapped.is_ok() { serving } else { self.path.clone() };
        let opened = files::open::<P>(&path, Kind::Serving);
        // Whatever becomes of the writer, readers are answered from what is in place.
        self.path.clone_from(&path);
        gate.lead_to(path);
        let opened = opened?;
        (self.connection, self.position, self.indexed) = (opened.connection, opened.position, opened.indexed);
        (self.hash, self.keeps_hash) = (opened.hash, opened.keeps_hash);
        swapped
    }

    /// Every row of every table as text, in an order that does not depend on how the rows came: what "rebuilt equals live" compares.
    pub fn dump(&self) -> Result<Vec<String>, QueryError> {
        reader::dump(&self.connection)
    }

    /// Removes the files of this projection's other versions; for when this one serves. Says what was removed.
    pub fn remove_older_versions(dir: &Path) -> Result<Vec<PathBuf>, OpenError> {
        files::remove_other_versions::<P>(dir)
    }

    /// Leaves the file as one that serves is, and on the disk: a swap then has nothing to wait for.
    fn close(mut self) -> Result<PathBuf, OpenError> {
        self.index()?;
        let Self { path, connection, reader, .. } = self;
        reader.close_gate().lead_to(path.clone());
        files::leave_to_serve(connection).map_err(|source| OpenError::sqlite(&path, source))?;
        files::sync(&path)?;
        Ok(path)
    }
}

/// Why a transaction was not committed.
enum Stop {
    Event { index: usize, stopped: Box<ProjectionError> },
    Storage(rusqlite::Error),
}

impl From<rusqlite::Error> for Stop {
    fn from(source: rusqlite::Error) -> Self {
        Self::Storage(source)
    }
}

fn stopped<P: Projection>(envelope: &Envelope, source: ApplyError) -> ProjectionError {
    let event = &envelope.event;
    ProjectionError::Event {
        projection: P::NAME,
        position: envelope.position,
        event_id: event.id,
        event_name: Arc::clone(&event.name),
        recorded_at: event.recorded_at,
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests;
