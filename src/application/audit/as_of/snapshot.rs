//! Tables that show one moment, kept in a folder of their own that goes when nobody looks at them any longer.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use chrono::{DateTime, Utc};
use gatebook_events::envelope::Position;
use gatebook_events::identity::TenantId;
use gatebook_projections::directory::Directory;
use gatebook_projections::read_model::{ReadModel, Reader};
use tokio::runtime::Handle;

use super::AsOf;

/// A tenant's resource servers and clients as they were.
pub struct Moment {
    pub(super) tenant: TenantId,
    pub(super) last: Last,
    /// When the event after the last one was recorded; none if there was none yet.
    pub(super) next: Option<DateTime<Utc>>,
    reader: Reader<Directory>,
    /// Gone once nobody may ask any more.
    rest: Option<Rest>,
}

/// What a moment rests on.
struct Rest {
    /// Nothing is written to it any more.
    _tables: Mutex<ReadModel<Directory>>,
    /// Dropped after the tables that lie in it.
    _folder: Folder,
}

/// Where a moment ends.
#[derive(Debug, Clone, Copy, Default)]
pub struct Last {
    /// The position of its last event.
    pub position: Position,
    /// When the latest of its events was recorded.
    pub recorded_at: DateTime<Utc>,
}

impl Moment {
    pub(super) fn new(tenant: TenantId, (last, next): (Last, Option<DateTime<Utc>>), tables: ReadModel<Directory>, folder: Folder) -> Self {
        let reader = tables.reader();
        Self { tenant, last, next, reader, rest: Some(Rest { _tables: Mutex::new(tables), _folder: folder }) }
    }

    /// What can be asked, as the live tables are. It shows nothing of other tenants. Ask only while the moment is held.
    pub fn reader(&self) -> &Reader<Directory> {
        &self.reader
    }

    /// Where it ends.
    pub fn last(&self) -> Last {
        self.last
    }

    /// Whether this is what is meant, where the log ends at `head`.
    pub(super) fn is(&self, tenant: &TenantId, as_of: AsOf, head: Position) -> bool {
        let over = |time| self.next.map_or(self.last.position == head, |next| time < next);
        self.tenant == *tenant
            && match as_of {
                AsOf::Position(position) => self.last.position == position,
                AsOf::Time(time) => self.last.recorded_at <= time && over(time),
            }
    }

    /// Whether another one shows the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.tenant, self.last.position) == (&other.tenant, other.last.position)
    }
}

impl Drop for Moment {
    fn drop(&mut self) {
        let rest = self.rest.take();
        aside(move || drop(rest));
    }
}

/// A folder that goes with what lies in it.
pub struct Folder(PathBuf);

impl Folder {
    /// Makes an empty one.
    pub fn make(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        // What cannot be removed now is removed at the next start.
        aside(move || drop(fs::remove_dir_all(path)));
    }
}

/// Closing tables and removing files blocks on the disk, and the last one to hold them may be about to serve the next request.
fn aside(work: impl FnOnce() + Send + 'static) {
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(work)),
        Err(_) => work(),
    }
}
