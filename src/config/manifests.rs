//! How documents that clients host are fetched.

use std::num::NonZeroU32;
use std::time::Duration;

use gatebook_events::manifest::{ManifestUrl, Profile};

use super::{ConfigError, ManifestProfile, Settings};

/// The least and the most that a document may be allowed to have, in bytes.
const BYTES: std::ops::RangeInclusive<usize> = 1024..=64 * 1024;
/// The most fetches at a time: each may keep a socket and a thread.
const AT_ONCE: std::ops::RangeInclusive<usize> = 1..=256;

/// How often documents are read again, and for how long the last good one serves.
#[derive(Debug, Clone)]
pub struct Rhythm {
    /// A document is not read again sooner, whatever its host says.
    pub least: Duration,
    /// Nor later.
    pub most: Duration,
    /// Where its host says nothing.
    pub usual: Duration,
    /// For how long the last good document serves while its host cannot be reached.
    pub max_age: Duration,
    /// The most documents that are read at a time.
    pub at_once: usize,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self {
            least: Duration::from_secs(5 * 60),
            most: Duration::from_secs(24 * 3600),
            usual: Duration::from_secs(3600),
            max_age: Duration::from_secs(7 * 24 * 3600),
            at_once: 16,
        }
    }
}

/// What an operator decides about clients' documents.
#[derive(Debug, Clone)]
pub struct ManifestSettings {
    /// How much, how long and how often.
    pub limits: Limits,
    /// What a document has to have.
    pub profile: Profile,
    /// Whether documents on this very host are fetched, over `http` too. For development.
    pub allow_loopback: bool,
    /// The URLs, to the letter, whose hosts may have addresses that are not public.
    pub internal: Vec<ManifestUrl>,
    /// Whether the metadata say that clients with documents are welcome, where a resource server has nothing against it.
    pub announce: bool,
}

impl Default for ManifestSettings {
    fn default() -> Self {
        Self { limits: Limits::default(), profile: Profile::Mcp, allow_loopback: false, internal: Vec::new(), announce: true }
    }
}

/// How much, how long and how often.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The longest document, in bytes (CIMD §6.6).
    pub bytes: usize,
    /// All of a fetch: look-up, connection, TLS, answer, down to the last byte.
    pub time: Duration,
    /// The most fetches under way.
    pub at_once: usize,
    /// The most of them at one host, of which people who are not known have three quarters.
    pub at_once_per_host: usize,
    /// The most fetches of one host in a minute, of which people who are not known have three quarters; none: no bound.
    pub per_host_per_minute: Option<NonZeroU32>,
    /// The most fetches of documents in a minute at the wish of people who are not known, at the resource servers of one tenant,
    /// and as many of key sets; none: no bound.
    pub anonymous_per_minute: Option<NonZeroU32>,
    /// The most of each that one source may cause in a minute; none: no bound.
    pub per_source_per_minute: Option<NonZeroU32>,
    /// How long a URL that failed is left alone, the first time; then twice as long, and so on.
    pub first_pause: Duration,
    /// The longest such pause.
    pub longest_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 5 * 1024,
            time: Duration::from_secs(5),
            at_once: 32,
            at_once_per_host: 4,
            per_host_per_minute: NonZeroU32::new(60),
            anonymous_per_minute: NonZeroU32::new(600),
            per_source_per_minute: NonZeroU32::new(60),
            first_pause: Duration::from_secs(30),
            longest_pause: Duration::from_secs(3600),
        }
    }
}

pub(super) fn manifests(settings: &Settings) -> Result<ManifestSettings, ConfigError> {
    let allow_loopback = settings.allow_loopback_manifests.unwrap_or_default();
    let usual = Limits::default();
    let within = |name, value: Option<usize>, bounds: std::ops::RangeInclusive<usize>, usual: usize| match value {
        Some(value) if !bounds.contains(&value) => {
            Err(ConfigError::invalid(name, format!("is {value}, not between {} and {}", bounds.start(), bounds.end())))
        }
        value => Ok(value.unwrap_or(usual)),
    };
    Ok(ManifestSettings {
        limits: Limits {
            bytes: within("manifest-bytes", settings.manifest_bytes, BYTES, usual.bytes)?,
            at_once: within("manifests-at-once", settings.manifests_at_once, AT_ONCE, usual.at_once)?,
            per_host_per_minute: settings.manifests_per_host_per_minute.map_or(usual.per_host_per_minute, NonZeroU32::new),
            anonymous_per_minute: settings.fetches_per_tenant_per_minute.map_or(usual.anonymous_per_minute, NonZeroU32::new),
            per_source_per_minute: settings.fetches_per_source_per_minute.map_or(usual.per_source_per_minute, NonZeroU32::new),
            ..usual
        },
        profile: match settings.manifest_profile.unwrap_or_default() {
            ManifestProfile::Mcp => Profile::Mcp,
            ManifestProfile::Ietf => Profile::Ietf,
        },
        allow_loopback,
        announce: settings.announce_manifests.unwrap_or(true),
        internal: settings.internal_manifests.iter().flatten().map(|text| internal(text.trim())).collect::<Result<_, _>>()?,
    })
}

/// How often documents are read again. The usual pause, where a host says nothing, is an hour within the bounds.
pub(super) fn rhythm(settings: &Settings) -> Result<Rhythm, ConfigError> {
    const NAME: &str = "manifest-poll-seconds";
    let usual = Rhythm::default();
    let (least, most) = match settings.manifest_poll_seconds.as_deref() {
        None => (usual.least, usual.most),
        Some(text) => {
            let refuse = || ConfigError::invalid(NAME, format!("is {text:?}, not two whole numbers with a comma, the smaller first"));
            let (least, most) = text.split_once(',').ok_or_else(refuse)?;
            let seconds = |text: &str| text.trim().parse().map(Duration::from_secs).map_err(|_| refuse());
            let (least, most) = (seconds(least)?, seconds(most)?);
            if least.is_zero() || least > most {
                return Err(refuse());
            }
            (least, most)
        }
    };
    let at_once = settings.manifest_polls_at_once.unwrap_or(usual.at_once);
    if !AT_ONCE.contains(&at_once) {
        return Err(ConfigError::invalid("manifest-polls-at-once", format!("is {at_once}, not between 1 and 256")));
    }
    let max_age = settings.manifest_max_age.map_or(usual.max_age, Duration::from_secs);
    Ok(Rhythm { least, most, usual: usual.usual.clamp(least, most), max_age, at_once })
}

/// Whose address may be private is named like any other: `https`, a host name, to the letter.
fn internal(text: &str) -> Result<ManifestUrl, ConfigError> {
    ManifestUrl::parse(text).map_err(|problem| ConfigError::invalid("internal-manifests", format!("has {text:?}, which {problem}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(settings: &Settings) -> String {
        manifests(settings).unwrap_err().to_string()
    }

    #[test]
    fn nothing_set_means_the_documented_bounds() {
        let set = manifests(&Settings::default()).unwrap();
        assert_eq!((set.limits.bytes, set.limits.at_once, set.limits.time.as_secs()), (5120, 32, 5));
        assert_eq!((set.limits.per_host_per_minute, set.profile), (NonZeroU32::new(60), Profile::Mcp));
        assert!(!set.allow_loopback && set.internal.is_empty());
    }

    #[test]
    fn a_wrong_value_is_refused_by_name() {
        let text = |text: &str| Settings { internal_manifests: Some(vec![text.to_owned()]), ..Settings::default() };
        assert_eq!(
            refusal(&text("http://wiki.corp.example/client.json")),
            "setting `internal-manifests` has \"http://wiki.corp.example/client.json\", which does not start with https://"
        );
        assert_eq!(manifests(&text(" https://wiki.corp.example/client.json ")).unwrap().internal.len(), 1);
        let bytes = Settings { manifest_bytes: Some(100), ..Settings::default() };
        assert_eq!(refusal(&bytes), "setting `manifest-bytes` is 100, not between 1024 and 65536");
        let none = Settings { manifests_at_once: Some(0), ..Settings::default() };
        assert_eq!(refusal(&none), "setting `manifests-at-once` is 0, not between 1 and 256");
        let unbound = Settings { manifests_per_host_per_minute: Some(0), ..Settings::default() };
        assert_eq!(manifests(&unbound).unwrap().limits.per_host_per_minute, None);
    }
}
