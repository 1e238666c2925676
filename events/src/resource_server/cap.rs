//! How many clients there may be, and when an administrator hears that there soon are as many.

use std::num::NonZeroU32;

use crate::Rejection;
use crate::admission::{CapOf, Status};

/// A warning is due once so many percent of a cap are taken.
const NEAR: u64 = 80;
/// The next warning is due only after fewer than so many percent were taken, so that a count which swings does not repeat it.
const EASED: u64 = 70;

/// A cap, and how many of it are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Whose clients are counted.
    pub of: CapOf,
    /// The most that there may be.
    pub cap: NonZeroU32,
    /// How many there are.
    pub count: u64,
}

impl Fill {
    /// Whether one more may come.
    pub fn room(self) -> Result<(), Rejection> {
        if self.count < u64::from(self.cap.get()) { Ok(()) } else { Err(Rejection::Full(self.of)) }
    }

    pub(super) fn is_near(self) -> bool {
        self.count * 100 >= u64::from(self.cap.get()) * NEAR
    }

    pub(super) fn is_eased(self) -> bool {
        self.count * 100 < u64::from(self.cap.get()) * EASED
    }
}

/// Whether a registration takes up room: one that may act, or may again without anybody registering anew.
pub const fn takes_room(status: Status) -> bool {
    match status {
        Status::Pending | Status::Approved | Status::Dormant | Status::Returning | Status::Suspended => true,
        Status::None | Status::Denied | Status::Revoked => false,
    }
}
