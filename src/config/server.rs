//! What the server bounds below everything that is served: connections, heads and pauses.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::{ConfigError, Settings};

/// A length that is shorter than this is too short for the heads that browsers send, and a longer one is a gift to a flood.
const HEAD_BYTES: std::ops::RangeInclusive<usize> = 8 * 1024..=1024 * 1024;
/// The longest of the times here, in seconds.
const LONGEST: u64 = 3600;

/// The bounds of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// How many connections there may be.
    pub connections: usize,
    /// How many of them from one source that is no trusted proxy; none: no bound.
    pub connections_per_source: Option<NonZeroUsize>,
    /// How long the head of a request may take to arrive.
    pub head: Duration,
    /// The longest head of a request, in bytes.
    pub head_bytes: usize,
    /// How long the body of a request may take to arrive.
    pub body: Duration,
    /// How long a connection is kept between two calls, and how long a caller may take nothing of its answer.
    pub idle: Duration,
    /// How many reads of lists one tenant may have under way.
    pub reads_per_tenant: usize,
    /// How many event streams there may be.
    pub streams: usize,
    /// How many of them for one subject.
    pub streams_per_subject: usize,
    /// Whether HTTP/2 is spoken without TLS.
    pub http2: bool,
}

pub(super) fn server(settings: &Settings) -> Result<ServerSettings, ConfigError> {
    let connections = at_least_one("max-connections", settings.max_connections.unwrap_or(4096))?;
    let head_bytes = settings.head_bytes.unwrap_or(64 * 1024);
    if !HEAD_BYTES.contains(&head_bytes) {
        let (least, most) = (HEAD_BYTES.start(), HEAD_BYTES.end());
        return Err(ConfigError::invalid("head-bytes", format!("is {head_bytes}, not {least} to {most} bytes")));
    }
    Ok(ServerSettings {
        connections,
        connections_per_source: NonZeroUsize::new(settings.max_connections_per_source.unwrap_or(512)),
        head: seconds("head-seconds", settings.head_seconds.unwrap_or(10))?,
        head_bytes,
        body: seconds("body-seconds", settings.body_seconds.unwrap_or(15))?,
        idle: seconds("idle-seconds", settings.idle_seconds.unwrap_or(60))?,
        reads_per_tenant: at_least_one("max-reads-per-tenant", settings.max_reads_per_tenant.unwrap_or(32))?,
        streams: at_least_one("max-streams", settings.max_streams.unwrap_or(512))?,
        streams_per_subject: at_least_one("max-streams-per-subject", settings.max_streams_per_subject.unwrap_or(16))?,
        http2: settings.http2.unwrap_or_default(),
    })
}

fn at_least_one(name: &'static str, number: usize) -> Result<usize, ConfigError> {
    if number == 0 { Err(ConfigError::invalid(name, "is 0, not at least 1")) } else { Ok(number) }
}

fn seconds(name: &'static str, seconds: u64) -> Result<Duration, ConfigError> {
    if (1..=LONGEST).contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    Err(ConfigError::invalid(name, format!("is {seconds}, not 1 to {LONGEST} seconds")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b4_each_bound_of_the_server_is_a_setting_and_has_a_default() {
        let found = server(&Settings::default()).unwrap();
        assert_eq!((found.connections, found.connections_per_source, found.http2), (4096, NonZeroUsize::new(512), false));
        assert_eq!((found.head.as_secs(), found.body.as_secs(), found.idle.as_secs(), found.head_bytes), (10, 15, 60, 65_536));
        assert_eq!((found.reads_per_tenant, found.streams, found.streams_per_subject), (32, 512, 16));
        let refusal = |settings: Settings| server(&settings).unwrap_err().to_string();
        let none = Settings { max_connections: Some(0), ..Settings::default() };
        assert_eq!(refusal(none), "setting `max-connections` is 0, not at least 1");
        let short = Settings { head_bytes: Some(100), ..Settings::default() };
        assert_eq!(refusal(short), "setting `head-bytes` is 100, not 8192 to 1048576 bytes");
        let long = Settings { idle_seconds: Some(0), ..Settings::default() };
        assert_eq!(refusal(long), "setting `idle-seconds` is 0, not 1 to 3600 seconds");
    }
}
