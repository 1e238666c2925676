//! The settings that are one of a few words, or several.

use clap::ValueEnum;
use serde::{Deserialize, Deserializer};

/// How much of a caller's address goes into the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressDetail {
    /// The network: /24 of an IPv4 address, /48 of an IPv6 address.
    #[default]
    Network,
    /// All of it.
    Full,
}

/// What a client's document has to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ManifestProfile {
    /// An identifier, a name and redirect URIs.
    #[default]
    Mcp,
    /// An identifier, and redirect URIs for grants that redirect.
    Ietf,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A TOML array of texts, or one text with commas as on the command line.
pub(super) fn one_text_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(Some(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(text) => text.split(',').map(str::to_owned).collect(),
        OneOrMany::Many(texts) => texts,
    }))
}
