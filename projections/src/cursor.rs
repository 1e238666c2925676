//! Where a list goes on: an opaque text that holds the sort key of the last row shown.

use std::fmt;
use std::str::FromStr;

/// Where a list goes on. Given out with a page and taken back for the next one; means nothing to anybody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

/// A text that is not a cursor, or one of another list or order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is none that this list gave out")]
pub struct InvalidCursor;

impl Cursor {
    /// The parts, of which only the last may contain a bar.
    pub(crate) fn of_parts<const N: usize>(parts: [&str; N]) -> Self {
        Self(parts.join("|"))
    }

    pub(crate) fn parts<const N: usize>(&self) -> Result<[&str; N], InvalidCursor> {
        let parts: Vec<&str> = self.0.splitn(N, '|').collect();
        parts.try_into().map_err(|_| InvalidCursor)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.bytes().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        if text.is_empty() || !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidCursor);
        }
        let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let bytes = text.as_bytes().chunks_exact(2).map(byte).collect::<Option<Vec<u8>>>().ok_or(InvalidCursor)?;
        String::from_utf8(bytes).map(Self).map_err(|_| InvalidCursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_anything_else_is_refused() {
        let cursor = Cursor::of_parts(["name", "7", "a|ü"]);
        assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
        assert_eq!(cursor.parts(), Ok(["name", "7", "a|ü"]));
        assert_eq!(cursor.parts::<6>(), Err(InvalidCursor));
        for text in ["", "a", "zz", "+1", "ff", "ü", "6 "] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text}");
        }
    }
}
