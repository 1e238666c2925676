//! A projection, as operators handle it: which events one of its versions may leave out, and why.
//!
//! What a projection cannot read stops it. An operator who knows what the event is may let it go on without that event; that
//! is a fact like any other, so that a rebuild leaves out the same.

use std::collections::BTreeSet;
use std::fmt;

use crate::envelope::EventId;
use crate::identity::InvalidName;
use crate::{Aggregate, Rejection};

mod event;

pub use event::{EventSkipped, ProjectionEvent, SkipTakenBack};

/// What a projection is called: 1 to 32 lower-case letters, digits and `_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProjectionName {
    /// Padded with spaces, which are no part of a name.
    padded: [u8; ProjectionName::MAX_LENGTH],
}

impl ProjectionName {
    /// The longest name, in bytes.
    pub const MAX_LENGTH: usize = 32;

    /// The projection of this name.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if text.is_empty() || text.len() > Self::MAX_LENGTH || !text.bytes().all(known) {
            return Err(InvalidName("a projection's name is 1 to 32 lower-case letters, digits and _"));
        }
        let mut padded = [b' '; Self::MAX_LENGTH];
        padded.iter_mut().zip(text.bytes()).for_each(|(place, byte)| *place = byte);
        Ok(Self { padded })
    }
}

impl fmt::Display for ProjectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.padded).unwrap_or_default().trim_end())
    }
}

/// What operators decided about a projection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Upkeep {
    skipped: BTreeSet<(u32, EventId)>,
}

impl Upkeep {
    /// The events that a version of the projection leaves out. Another version looks for itself.
    pub fn left_out(&self, version: u32) -> impl Iterator<Item = EventId> {
        self.skipped.iter().filter(move |(of, _)| *of == version).map(|(_, event_id)| *event_id)
    }
}

/// What can be asked of a projection's upkeep.
#[derive(Debug, Clone)]
pub enum UpkeepCommand {
    /// Go on without an event. Whether the projection stands still at it is for whoever asks to know.
    Skip(EventSkipped),
    /// Leave the event out no longer.
    TakeBack(SkipTakenBack),
}

impl Aggregate for Upkeep {
    type Command = UpkeepCommand;
    type Event = ProjectionEvent;

    fn decide(&self, command: &UpkeepCommand) -> Result<Vec<ProjectionEvent>, Rejection> {
        match command {
            UpkeepCommand::Skip(skip) if skip.reason.trim().is_empty() => Err(Rejection::NoReason),
            UpkeepCommand::Skip(skip) if self.skipped.contains(&(skip.projection_version, skip.event_id)) => Ok(vec![]),
            UpkeepCommand::Skip(skip) => Ok(vec![ProjectionEvent::EventSkipped(skip.clone())]),
            UpkeepCommand::TakeBack(back) if back.reason.trim().is_empty() => Err(Rejection::NoReason),
            UpkeepCommand::TakeBack(back) if !self.skipped.contains(&(back.projection_version, back.event_id)) => Ok(vec![]),
            UpkeepCommand::TakeBack(back) => Ok(vec![ProjectionEvent::SkipTakenBack(back.clone())]),
        }
    }

    fn evolve(mut self, event: &ProjectionEvent) -> Self {
        match event {
            ProjectionEvent::EventSkipped(skip) => {
                self.skipped.insert((skip.projection_version, skip.event_id));
            }
            ProjectionEvent::SkipTakenBack(back) => {
                self.skipped.remove(&(back.projection_version, back.event_id));
            }
        }
        self
    }
}

#[cfg(test)]
mod tests;
