//! How long a page may be: so many rows, or so many bytes, whichever comes first. A page has one row at least, however long.

use std::io;

use serde::Serialize;

/// The most bytes of one page, by the texts in its rows.
pub const MOST_BYTES: usize = 1024 * 1024;
/// About what a row takes beside its texts, once it is rendered.
pub const EACH: usize = 512;

/// How much of a page is taken.
#[derive(Debug, Default)]
pub struct Room {
    rows: usize,
    bytes: usize,
}

impl Room {
    /// Takes room for one more row with so many bytes of text; false if the page is full.
    pub fn takes(&mut self, bytes: usize) -> bool {
        let bytes = self.bytes.saturating_add(bytes).saturating_add(EACH);
        if self.rows > 0 && bytes > MOST_BYTES {
            return false;
        }
        (self.rows, self.bytes) = (self.rows + 1, bytes);
        true
    }
}

/// How long a value is as JSON.
pub fn length(value: &impl Serialize) -> usize {
    let mut counted = Counted(0);
    // Nothing that is stored here fails to be written, and nothing is written.
    let _written = serde_json::to_writer(&mut counted, value);
    counted.0
}

struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b5_a_page_ends_at_so_many_bytes_and_has_one_row_at_least() {
        let mut room = Room::default();
        assert!(room.takes(10 * MOST_BYTES), "a row that is longer than a page is a page");
        assert!(!room.takes(0));
        let mut room = Room::default();
        let rows = (0..1000).take_while(|_| room.takes(63 * 1024)).count();
        assert_eq!(rows, 16);
        assert_eq!(length(&["a", "b"]), 9);
    }
}
