//! Which state of a client an answer was given from.

use std::fmt;
use std::str::FromStr;

use crate::identity::InvalidName;

/// Which state of a client an answer was given from: how many events the client and its registration had, and which version of
/// its document served. Every node counts the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerVersion {
    /// Events of the client.
    pub client: u32,
    /// Events of the registration.
    pub registration: u32,
    /// The number of the document's version; 0 for a client that hosts none.
    pub document: u32,
}

impl fmt::Display for AnswerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.client, self.registration, self.document)
    }
}

impl FromStr for AnswerVersion {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        const UNKNOWN: InvalidName = InvalidName("registration_version is none that was given in an answer");
        let number = |text: &str| text.parse().ok().filter(|number: &u32| number.to_string() == text).ok_or(UNKNOWN);
        let mut parts = text.split('.').map(number);
        let mut part = || parts.next().ok_or(UNKNOWN)?;
        let version = Self { client: part()?, registration: part()?, document: part()? };
        if parts.next().is_some() { Err(UNKNOWN) } else { Ok(version) }
    }
}
