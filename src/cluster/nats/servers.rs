//! Looks at every server of the cluster: which version it is, and whether it flushes what it confirms.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::ServerInfo;
use reqwest::Url;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;

use super::{ANSWER, NatsError, NatsSettings};

/// The longest first line that is read of a server.
const LONGEST_GREETING: u64 = 1 << 16;
/// What to do about a server that does not flush.
const ADVICE: &str = "set `sync_interval: always` in its `jetstream` block; until then events that were answered for can be lost when \
                      machines lose power together";

/// What a server says of itself to whoever connects, before it asks who that is.
#[derive(Deserialize)]
struct Greeting {
    version: String,
}

/// `/varz`, as far as it is read.
#[derive(Deserialize)]
struct Varz {
    #[serde(default)]
    jetstream: VarzJetStream,
}

#[derive(Deserialize, Default)]
struct VarzJetStream {
    config: Option<VarzConfig>,
}

#[derive(Deserialize)]
struct VarzConfig {
    #[serde(default)]
    sync_always: bool,
}

/// Refuses the server that we are connected to, if it cannot keep a log.
pub fn must_be_fit(told: &ServerInfo) -> Result<(), NatsError> {
    must_be_new_enough(&format!("{}:{}", told.host, told.port), &told.version)?;
    if told.jetstream { Ok(()) } else { Err(NatsError::NoJetStream(format!("{}:{}", told.host, told.port))) }
}

/// Looks at the servers that are configured and those that the cluster names. One that cannot be asked is said and no more: in a
/// rolling upgrade it is down, and from here the cluster's own addresses may lead nowhere.
pub async fn look_at_all(settings: &NatsSettings, told: &ServerInfo) -> Result<(), NatsError> {
    let all: BTreeSet<&String> = settings.servers.iter().chain(&told.connect_urls).collect();
    for server in all {
        match greeting(server).await {
            Ok(greeting) => must_be_new_enough(server, &greeting.version)?,
            Err(error) => tracing::info!(%server, %error, "this NATS server could not be asked for its version"),
        }
    }
    if settings.monitoring.is_empty() {
        tracing::warn!(
            "whether the NATS servers flush what they confirm cannot be seen through their client port: name their monitoring \
             addresses with `--nats-monitoring` to have it looked at, or see to `sync_interval: always` yourself"
        );
    }
    for server in &settings.monitoring {
        match flushes(server).await {
            Ok(Some(true)) => {}
            Ok(Some(false)) => tracing::error!(%server, "this NATS server does not flush what it confirms: {ADVICE}"),
            Ok(None) => tracing::warn!(%server, "this NATS server keeps nothing, for it has no JetStream"),
            Err(error) => tracing::warn!(%server, %error, "whether this NATS server flushes what it confirms could not be asked"),
        }
    }
    Ok(())
}

fn must_be_new_enough(server: &str, version: &str) -> Result<(), NatsError> {
    let mut parts = version.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or_default());
    let major_minor = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if major_minor >= (2, 11) {
        return Ok(());
    }
    Err(NatsError::TooOld { server: server.to_owned(), version: version.to_owned() })
}

async fn greeting(server: &str) -> std::io::Result<Greeting> {
    let greeting = async {
        let mut line = Vec::new();
        BufReader::new(TcpStream::connect(server).await?).take(LONGEST_GREETING).read_until(b'\n', &mut line).await?;
        let json = line.strip_prefix(b"INFO ").ok_or(std::io::ErrorKind::InvalidData)?;
        serde_json::from_slice(json).map_err(std::io::Error::from)
    };
    tokio::time::timeout(ANSWER, greeting).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

/// Whether a server flushes each write before it confirms it; none if it keeps nothing.
async fn flushes(server: &Url) -> Result<Option<bool>, reqwest::Error> {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build()?;
    let mut url = server.clone();
    url.set_path("/varz");
    let varz: Varz = http.get(url).send().await?.error_for_status()?.json().await?;
    Ok(varz.jetstream.config.map(|config| config.sync_always))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_before_2_11_are_refused_with_the_reason() {
        for version in ["2.11.0", "2.11.0-RC.1", "2.15.1", "3.0.0"] {
            assert!(must_be_new_enough("a:4222", version).is_ok(), "{version}");
        }
        for version in ["2.9.10", "2.10.27", "1.4.1", "", "newest"] {
            let refusal = must_be_new_enough("a:4222", version).unwrap_err().to_string();
            assert!(refusal.contains("a:4222") && refusal.contains("2.11"), "{refusal}");
        }
    }

    #[test]
    fn what_a_server_says_of_its_flushes_is_read() {
        let flushed = |text: &str| {
            let varz: Varz = serde_json::from_str(text).unwrap();
            varz.jetstream.config.map(|config| config.sync_always)
        };
        assert_eq!(flushed(r#"{"jetstream":{"config":{"sync_interval":120000000000,"sync_always":true}}}"#), Some(true));
        assert_eq!(flushed(r#"{"jetstream":{"config":{"sync_interval":120000000000}}}"#), Some(false));
        assert_eq!(flushed(r#"{"jetstream":{}}"#), None);
    }
}
