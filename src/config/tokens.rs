//! The access tokens that clients get for themselves.

use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{ConfigError, Settings};

/// What access tokens are signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
pub enum SigningAlgorithm {
    /// RSA of 2048 bits: every resource server knows it (RFC 9068 §2.1).
    #[default]
    #[serde(rename = "RS256")]
    #[value(name = "RS256")]
    Rs256,
    /// P-256.
    #[serde(rename = "ES256")]
    #[value(name = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA", alias = "Ed25519")]
    #[value(name = "EdDSA", alias = "Ed25519")]
    EdDsa,
}

impl SigningAlgorithm {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    /// Its name (RFC 7518 §3.1, RFC 8037 §3.1).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Where the keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// PEM files. The first one signs; all are published.
    Files(Vec<PathBuf>),
    /// Drawn when they are needed and kept in the data folder.
    SelfMade {
        /// The file that keeps them.
        file: PathBuf,
        /// What the next one signs with.
        algorithm: SigningAlgorithm,
        /// After how long another one takes over; never, if none.
        every: Option<TimeDelta>,
    },
}

/// Between a minute, below which clocks matter, and a day, past which a revocation would hardly be one.
const SECONDS: std::ops::RangeInclusive<i64> = 60..=86_400;

pub(super) fn life(settings: &Settings) -> Result<TimeDelta, ConfigError> {
    let seconds = settings.token_seconds.unwrap_or(600);
    if !SECONDS.contains(&seconds) {
        return Err(ConfigError::invalid("token-seconds", format!("is {seconds}, not between {} and {}", SECONDS.start(), SECONDS.end())));
    }
    Ok(TimeDelta::seconds(seconds))
}

pub(super) fn keys(settings: &Settings, data: &Path) -> Result<KeySource, ConfigError> {
    let Some(files) = &settings.token_key_files else {
        let every = match settings.token_key_days.unwrap_or(90) {
            0 => None,
            days => Some(TimeDelta::days(days.into())),
        };
        let algorithm = settings.token_algorithm.unwrap_or_default();
        return Ok(KeySource::SelfMade { file: super::data_dir::token_keys(data), algorithm, every });
    };
    if files.iter().all(|file| file.trim().is_empty()) {
        return Err(ConfigError::invalid("token-key-files", "is empty"));
    }
    let exclusive = |second| Err(ConfigError::Exclusive { first: "token-key-files", second });
    if settings.token_algorithm.is_some() {
        return exclusive("token-algorithm");
    }
    if settings.token_key_days.is_some() {
        return exclusive("token-key-days");
    }
    Ok(KeySource::Files(files.iter().map(|file| PathBuf::from(file.trim())).collect()))
}
