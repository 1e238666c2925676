//! The access tokens that clients get for themselves.

use std::path::{Path, PathBuf};

use chrono::TimeDelta;

use super::{ConfigError, Settings};
use crate::application::access_tokens::KeySource;
use crate::bootstrap::places;

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
        return Ok(KeySource::SelfMade { file: places::token_keys(data), algorithm, every });
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
