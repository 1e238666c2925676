//! What operators decide about projections.

use gatebook_events::projection::{EventSkipped, ProjectionName, SkipTakenBack, Upkeep, UpkeepCommand};
use gatebook_events::stream::Stream;

use crate::aggregates::{Cause, CommandError, Commands, Done};

impl Commands {
    /// Has a projection go on without an event, for good. The projector reads of it when it is told to try again.
    pub async fn skip_event(&self, cause: &Cause, name: ProjectionName, skip: EventSkipped) -> Result<Done<Upkeep>, CommandError> {
        self.transact(Stream::Projection(name), cause, &UpkeepCommand::Skip(skip)).await
    }

    /// Has builds of a projection that begin from now on bring in an event that was left out.
    pub async fn take_skip_back(&self, cause: &Cause, name: ProjectionName, back: SkipTakenBack) -> Result<Done<Upkeep>, CommandError> {
        self.transact(Stream::Projection(name), cause, &UpkeepCommand::TakeBack(back)).await
    }
}
