//! Read-your-writes across nodes: a call waits until this node shows what another node's answer named.

use gatebook_events::envelope::Position;

use super::services::Services;
use crate::event_log::LogError;

/// Waits until what is asked of this node shows an event that stands at this position, whichever node wrote it. False if that takes
/// longer than a read may wait.
pub async fn reached(services: &Services, position: Position) -> Result<bool, LogError> {
    let bound = services.config.read_wait;
    if !services.log.reached(position, bound).await? {
        return Ok(false);
    }
    if !services.node.shares_its_log {
        return Ok(true);
    }
    let mut heard = services.node.heard.subscribe();
    Ok(tokio::time::timeout(bound, heard.wait_for(|heard| *heard >= position)).await.is_ok())
}
