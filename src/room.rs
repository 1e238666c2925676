//! How much room there is on a disk.

use std::path::Path;

/// Less than this is little for any service, in bytes.
pub const LEAST: u64 = 256 << 20;

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
}
