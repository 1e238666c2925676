//! The reference itself.

use std::sync::Arc;

use async_trait::async_trait;
use gatebook::event_log::EventLog;
use gatebook::event_log::memory::MemoryLog;

use crate::place::{Found, Place};

crate::contract::contract!(place);

struct Memory;

async fn place() -> Found {
    Ok(Box::new(Memory))
}

#[async_trait]
impl Place for Memory {
    async fn open(&self) -> Arc<dyn EventLog> {
        Arc::new(MemoryLog::default())
    }

    fn keeps(&self) -> bool {
        false
    }
}
