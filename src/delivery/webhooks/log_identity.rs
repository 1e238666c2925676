//! Whether the log is still the one that webhooks were told of. Where an older log was put back and went on differently, each webhook
//! goes back to the last position at which both were the same, and is told what there is from there on.

use gatebook_events::envelope::Position;

use super::Office;
use crate::aggregates::CommandError;
use crate::delivery::webhooks::state::{Change, LedgerError};
use crate::event_log::LogError;
use crate::platform::side_db::NotKept;

/// Why that cannot be found out now.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsure {
    #[error("the event log cannot be read")]
    Log(#[from] LogError),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Outbox(#[from] NotKept),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Looks before anything is sent. `alone` says that no other node wrote what is known, so that the log has to have all of it.
pub(super) async fn agree(office: &Office, alone: bool) -> Result<(), Unsure> {
    let (outbox, log) = (office.ledger.copy(), office.commands.log());
    let (marks, head) = (outbox.marks().await?, log.head().await?);
    let (mut agreed, mut differs) = (None, false);
    for (position, hash) in &marks {
        if *position > head {
            // Beside other nodes it may be that it has not come here yet.
            differs |= alone;
        } else if log.hash_at(*position).await?.as_bytes().as_slice() == hash {
            agreed = Some(*position);
            break;
        } else {
            differs = true;
        }
    }
    // An earlier build left no marks: then all that is known is that the log was longer.
    let unmarked = alone && marks.is_empty();
    let to = if unmarked { head } else { agreed.unwrap_or(Position::START) };
    if !differs && !unmarked {
        return Ok(());
    }
    for webhook in outbox.further_than(to).await? {
        tracing::error!(%webhook, %to, "the event log is not the one that a webhook was told of: it is told again from where they were the same");
        office.ledger.change(webhook, Change::GoBack(to), office.clock().now()).await?;
    }
    outbox.forget_marks(to).await?;
    Ok(())
}
