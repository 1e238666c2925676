//! Why an administrator did something, in their own words: how long it may be, at every way in.

use serde::{Deserialize, Deserializer};

/// The longest reason, in characters.
pub const MOST: usize = 1024;

/// A reason is longer than [`MOST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("reason is {0} characters long; at most {MOST} are allowed")]
pub struct ReasonTooLong(pub usize);

/// A reason as it was given, if it is not too long. What is stored already is not asked.
pub fn given(text: Option<&str>) -> Result<Option<String>, ReasonTooLong> {
    let length = text.map_or(0, |text| text.chars().count());
    if length > MOST { Err(ReasonTooLong(length)) } else { Ok(text.map(str::to_owned)) }
}

/// Reads the member of a request: `#[serde(default, deserialize_with = "reason::read")]`.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    given(text.as_deref()).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r11_a_reason_is_bounded_by_its_characters_and_not_by_their_bytes() {
        let (longest, longer) = ("é".repeat(MOST), "é".repeat(MOST + 1));
        assert_eq!(given(Some(&longest)), Ok(Some(longest)));
        assert_eq!(given(Some(&longer)), Err(ReasonTooLong(1025)));
        assert_eq!(given(None), Ok(None));
    }
}
