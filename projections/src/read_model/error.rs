//! What can go wrong between events, files and queries.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use gatebook_events::envelope::{EventId, Position};
use gatebook_events::stored::CodecError;

use rusqlite::ErrorCode;

use crate::cursor::InvalidCursor;

/// Why a read model's file cannot be opened, replaced or removed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system said no.
    #[error("failed to use the read model file {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the file system says.
        #[source]
        source: io::Error,
    },
    /// `SQLite` said no.
    #[error("failed to open the read model {path}")]
    Sqlite {
        /// Which file.
        path: PathBuf,
        /// What `SQLite` says.
        #[source]
        source: rusqlite::Error,
    },
}

impl OpenError {
    /// Whether the surroundings refused and may give in: it is worth another attempt, and nothing that is stored is at fault.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::File { .. } => true,
            Self::Sqlite { source, .. } => may_pass(source),
        }
    }

    pub(super) fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    pub(super) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        Self::Sqlite { path: path.to_owned(), source }
    }
}

/// Why one event could not be brought into the tables.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The event is of a shape that this build does not read.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// What surrounds the event is not of the shape that is stored.
    #[error("the event's meta is not of the stored shape")]
    Meta(#[source] serde_json::Error),
    /// The event's data is not JSON.
    #[error("the event's data is not of the stored shape")]
    Data(#[source] serde_json::Error),
    /// The rows could not be read or written.
    #[error("the tables could not be changed")]
    Sqlite(#[from] rusqlite::Error),
}

/// Why a projection stands still.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// At an event that it cannot read or apply. Everything before that event is in the tables.
    #[error("the projection {projection} stopped before {event_name} at position {position}")]
    Event {
        /// Which projection.
        projection: &'static str,
        /// Where the event stands.
        position: Position,
        /// Which event.
        event_id: EventId,
        /// Its stored name.
        event_name: Arc<str>,
        /// Since when it waits.
        recorded_at: DateTime<Utc>,
        /// Why.
        #[source]
        source: Box<ApplyError>,
    },
    /// Because its file cannot be written. The tables are as they were.
    #[error("the projection {projection} could not write its tables")]
    Storage {
        /// Which projection.
        projection: &'static str,
        /// What `SQLite` says.
        #[source]
        source: rusqlite::Error,
    },
}

impl ProjectionError {
    /// Whether the surroundings refused and may give in: then no event is at fault.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Event { .. } => false,
            Self::Storage { source, .. } => may_pass(source),
        }
    }

    /// Whether the tables' own file is damaged, so that only tables that are built anew help.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Event { .. } => false,
            Self::Storage { source, .. } => is_damage(source),
        }
    }

    /// Which projection stands still.
    pub fn projection(&self) -> &'static str {
        match self {
            Self::Event { projection, .. } | Self::Storage { projection, .. } => projection,
        }
    }
}

/// Whether this is a refusal of the surroundings (a full disk, a lock that another process holds, a device that fails, a folder that
/// cannot be written to) rather than of what was asked for: it may pass by itself.
pub fn may_pass(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code().is_some_and(|code| {
        matches!(
            code,
            ErrorCode::DiskFull
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::OutOfMemory
                | ErrorCode::OperationInterrupted
        )
    })
}

/// Whether the file does not hold what was written to it.
pub fn is_damage(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code().is_some_and(|code| matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The cursor is none that this query gave out.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// The tables could not be read.
    #[error("the read model could not be read")]
    Sqlite(#[from] rusqlite::Error),
}

impl QueryError {
    /// Whether the surroundings refused and may give in.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Cursor(_) => false,
            Self::Sqlite(source) => may_pass(source),
        }
    }
}
