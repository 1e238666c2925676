//! What becomes of an append: whether it already stands, can never stand, or fits where its writer thinks it does.

use gatebook_events::envelope::{Revision, StreamName};
use rusqlite::{Connection, OptionalExtension};

use super::reader::LONGEST;
use super::row::{self, Names, select_events};
use super::writer::Answer;
use crate::event_log::{Append, AppendError, Appended, Expected, LogError};

/// The largest append, in bytes of events: far above any real one, far below what SQLite takes.
const LARGEST: usize = 16 << 20;

/// What is known of an append before anything is changed.
pub enum Judged {
    /// Nothing has to be written.
    Answered(Answer),
    /// It can be written, to this stream at this revision; none where it is the stream's first.
    Fits(Option<(i64, Revision)>),
}

/// Judges an append by what stands in the file now.
pub fn judge(connection: &Connection, names: &mut Names, append: &Append) -> rusqlite::Result<Judged> {
    let refused = |why: String| Ok(Judged::Answered(Err(AppendError::Refused(why))));
    let bytes = size(append);
    if bytes > LARGEST {
        return refused(format!("it has {bytes} bytes, and {LARGEST} is the most"));
    }
    if append.events.len() as u64 > LONGEST {
        return refused(format!("it has more than {LONGEST} events"));
    }
    if let Some(answer) = find_commit(connection, names, append)? {
        return Ok(Judged::Answered(answer));
    }
    let mut used = connection.prepare_cached("SELECT 1 FROM events WHERE id = ?1")?;
    for event in &append.events {
        if used.exists([event.id.0.as_bytes()])? {
            return refused(format!("the event id {} is in use", event.id.0));
        }
    }
    let known = find_stream(connection, &append.stream)?;
    let current = known.map(|(_, revision)| revision);
    if Expected::from(current) != append.expected {
        return Ok(Judged::Answered(Err(AppendError::Conflict { stream: append.stream.clone(), current })));
    }
    Ok(Judged::Fits(known))
}

/// How much an append has to say.
pub fn size(append: &Append) -> usize {
    append.events.iter().map(|event| event.meta.len() + event.data.len()).sum()
}

/// A stream's row and its revision.
pub fn find_stream(connection: &Connection, stream: &StreamName) -> rusqlite::Result<Option<(i64, Revision)>> {
    let mut query = connection.prepare_cached("SELECT id, revision FROM streams WHERE name = ?1")?;
    let found = query.query_row([stream.as_str()], |row| Ok((row.get(0)?, row::number(row, 1).unwrap_or(0))));
    Ok(found.optional()?.map(|(id, revision)| (id, Revision::from_backend(revision))))
}

/// The answer to an append whose commit already stands: that it does, or that another one bears its id.
fn find_commit(connection: &Connection, names: &mut Names, append: &Append) -> rusqlite::Result<Option<Answer>> {
    let mut query = connection.prepare_cached(select_events!(
        "FROM events e LEFT JOIN streams s ON s.id = e.stream WHERE e.commit_id = ?1 ORDER BY e.position"
    ))?;
    let mut rows = query.query([append.commit.0.as_bytes()])?;
    let mut stands = Vec::new();
    while let Some(row) = rows.next()? {
        match names.event(row) {
            Ok((envelope, _)) => stands.push(envelope),
            Err(LogError::Broken(broken)) => return Ok(Some(Err(AppendError::Unavailable(Box::new(broken))))),
            Err(LogError::Unavailable(error)) => return Ok(Some(Err(AppendError::Unavailable(error)))),
        }
    }
    let Some(last) = stands.last() else { return Ok(None) };
    let same = stands.iter().all(|one| one.stream == append.stream) && stands.iter().map(|one| &one.event).eq(append.events.iter());
    Ok(Some(if same {
        Ok(Appended { revision: last.revision, position: last.position, duplicate: true })
    } else {
        Err(AppendError::Refused(format!("its commit id {} stands for another append", append.commit.0)))
    }))
}
