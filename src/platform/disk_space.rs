//! How much room there is on a disk, and below how much none is left for strangers.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Less than this is little for any service, in bytes.
pub const LEAST: u64 = 256 << 20;

/// The disk is asked no more often.
const FRESH: Duration = Duration::from_secs(2);

/// The disk that the log and the read models are on.
pub struct Room {
    folder: PathBuf,
    floor: u64,
    known: Mutex<Option<(Instant, Option<u64>)>>,
}

impl Room {
    /// The disk of a folder, and how many of its bytes stay free for administrators and the service itself.
    pub fn new(folder: &Path, floor: u64) -> Self {
        Self { folder: folder.to_owned(), floor, known: Mutex::default() }
    }

    /// The bytes that were free a moment ago; none where the system does not say.
    pub fn free(&self) -> Option<u64> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((_, free)) = known.filter(|(at, _)| now.duration_since(*at) < FRESH) {
            return free;
        }
        let was_low = known.is_some_and(|(_, free)| self.is_low(free));
        let free = free(&self.folder);
        *known = Some((now, free));
        match (was_low, self.is_low(free)) {
            (false, true) => tracing::warn!(free, floor = self.floor, "there is little room on the disk: nothing is taken of strangers"),
            (true, false) => tracing::info!(free, floor = self.floor, "there is room on the disk again"),
            _ => {}
        }
        free
    }

    /// Whether a stranger may have something kept. A disk that does not say how full it is has room.
    pub fn has_some_for_strangers(&self) -> bool {
        self.floor == 0 || !self.is_low(self.free())
    }

    fn is_low(&self, free: Option<u64>) -> bool {
        free.is_some_and(|free| free < self.floor)
    }
}

/// The bytes that are free for this user where a folder lies; none where the system does not say.
#[cfg(unix)]
pub fn free(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

/// The bytes that are free for this user where a folder lies; none where the system does not say.
#[cfg(not(unix))]
pub fn free(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_says_how_much_room_there_is() {
        assert!(free(Path::new(".")).is_some_and(|free| free > 0));
    }

    #[test]
    fn b3_below_the_floor_there_is_no_room_for_strangers() {
        for (floor, room) in [(0, true), (1, true), (u64::MAX, false)] {
            assert_eq!(Room::new(Path::new("."), floor).has_some_for_strangers(), room, "{floor}");
        }
    }
}
