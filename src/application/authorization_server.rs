//! The authorization server that clients get their tokens from: its metadata, into which the register's own part is merged.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde_json::{Map, Value};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::config::Upstream;
use crate::outbound::trusted_json::{Source, SourceError};
use crate::platform::backoff::Pauses;

/// After this the metadata is fetched again.
const FRESH: Duration = Duration::from_secs(300);
/// Between the end of a fetch that failed and the next one, which whoever asks meanwhile waits for.
const PAUSE: Duration = Duration::from_secs(1);
/// While nobody asks and it cannot be reached: the first and the longest pause between two looks whether it is back.
const LOOKS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// The configured authorization server.
pub struct AuthorizationServer {
    kind: Kind,
    /// Why its metadata could not be had when they were last asked for; none while they could, and before.
    trouble: watch::Sender<Option<Arc<str>>>,
}

enum Kind {
    None,
    /// Only its endpoints are known.
    Stated(Map<String, Value>),
    /// It publishes its metadata (RFC 8414 §3, or OpenID Connect Discovery §4).
    Published {
        issuer: String,
        places: Vec<Source>,
        held: Mutex<Held>,
    },
}

#[derive(Default)]
struct Held {
    document: Option<Map<String, Value>>,
    tried: Option<Instant>,
    failed: bool,
}

/// Why there is no metadata to merge into. The sentences may be shown to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoMetadata {
    /// An operator has to say which authorization server it is.
    #[error(
        "no authorization server is configured; set --upstream-issuer, or --upstream-authorization-endpoint with --upstream-token-endpoint"
    )]
    NotConfigured,
    /// It was never reached.
    #[error("the authorization server's metadata cannot be fetched now")]
    Unavailable,
}

impl AuthorizationServer {
    /// Prepares; nothing is fetched before somebody asks. Where a proxy gives both one issuer, which is then `public_url`, RFC 8414's
    /// place leads back to this service, and the authorization server has the other one.
    pub fn try_new(upstream: Option<&Upstream>, public_url: &str, extra_ca_file: Option<&Path>) -> Result<Self, SourceError> {
        let kind = match upstream {
            None => Kind::None,
            Some(Upstream::Endpoints { authorization, token }) => {
                let mut stated = Map::new();
                stated.insert("authorization_endpoint".to_owned(), authorization.as_str().into());
                stated.insert("token_endpoint".to_owned(), token.as_str().into());
                Kind::Stated(stated)
            }
            Some(Upstream::Issuer(issuer)) => {
                let first = Source::try_new(well_known(issuer), extra_ca_file)?;
                let second = first.at(openid_configuration(issuer));
                let issuer = issuer.as_str().trim_end_matches('/').to_owned();
                let places = if issuer == public_url { vec![second] } else { vec![first, second] };
                Kind::Published { issuer, places, held: Mutex::default() }
            }
        };
        Ok(Self { kind, trouble: watch::Sender::new(None) })
    }

    /// Its metadata; an old one rather than none while it cannot be reached.
    pub async fn metadata(&self) -> Result<Map<String, Value>, NoMetadata> {
        let (issuer, places, held) = match &self.kind {
            Kind::None => return Err(NoMetadata::NotConfigured),
            Kind::Stated(stated) => return Ok(stated.clone()),
            Kind::Published { issuer, places, held } => (issuer, places, held),
        };
        let arrived = Instant::now();
        let mut held = held.lock().await;
        let pause = if held.failed { PAUSE } else { FRESH };
        let due = match held.tried {
            None => true,
            // Whoever waited for an attempt takes what it found.
            Some(tried) if tried >= arrived => false,
            Some(tried) if held.document.is_none() => {
                // It may be back: the next attempt is waited for, by all who come meanwhile.
                tokio::time::sleep_until(tried + PAUSE).await;
                true
            }
            Some(tried) => tried.elapsed() >= pause,
        };
        if due {
            let fetched = fetch(issuer, places).await;
            held.tried = Some(Instant::now());
            held.failed = fetched.is_err();
            match fetched {
                Ok(document) => {
                    held.document = Some(document);
                    if self.trouble.send_replace(None).is_some() {
                        tracing::info!(issuer, "the authorization server's metadata can be fetched again");
                    }
                }
                Err(trouble) => {
                    let trouble: Arc<str> = trouble.into();
                    // Said once, and not each time that somebody asks.
                    if self.trouble.send_replace(Some(trouble.clone())).is_none_or(|known| known != trouble) {
                        tracing::warn!(issuer, cause = &*trouble, "the authorization server's metadata cannot be fetched");
                    }
                }
            }
        }
        held.document.clone().ok_or(NoMetadata::Unavailable)
    }
}

impl AuthorizationServer {
    /// Why its metadata cannot be had; none while they can, and where none are published.
    pub fn trouble(&self) -> Option<Arc<str>> {
        self.trouble.borrow().clone()
    }

    /// Asks once at the start, so that an operator hears of what is wrong before any client does, and looks again while it cannot be
    /// reached, until the task is aborted.
    pub async fn look_after(&self) {
        if !matches!(self.kind, Kind::Published { .. }) {
            return;
        }
        let ([first, longest], mut told) = (LOOKS, self.trouble.subscribe());
        let mut pauses = Pauses::new(first, longest);
        loop {
            if self.metadata().await.is_ok() && self.trouble().is_none() {
                pauses.reset();
            }
            // The sender is this server's own, so there is nothing else to wait for.
            let _told = told.wait_for(Option::is_some).await.map(drop);
            tokio::time::sleep(pauses.next()).await;
        }
    }
}

/// The metadata, or why they cannot be had.
async fn fetch(issuer: &str, places: &[Source]) -> Result<Map<String, Value>, String> {
    let mut trouble = Vec::new();
    for place in places {
        match place.get::<Map<String, Value>>().await {
            // RFC 8414 §3.3: what names another issuer was written for somebody else.
            Ok(document) if document.get("issuer").and_then(Value::as_str).is_some_and(|named| named.trim_end_matches('/') == issuer) => {
                return Ok(document);
            }
            Ok(_) => trouble.push(format!("{} names another issuer", place.url)),
            Err(error) => {
                let mut cause: &(dyn std::error::Error + 'static) = &error;
                while let Some(source) = cause.source() {
                    cause = source;
                }
                let why = if std::error::Error::source(&error).is_some() { format!("{error}: {cause}") } else { error.to_string() };
                trouble.push(format!("{}: {why}", place.url));
            }
        }
    }
    Err(trouble.join("; "))
}

/// RFC 8414 §3.1: the well-known part stands between host and path.
fn well_known(issuer: &Url) -> Url {
    let mut url = issuer.clone();
    url.set_path(&format!("/.well-known/oauth-authorization-server{}", issuer.path().trim_end_matches('/')));
    url
}

/// OpenID Connect Discovery §4: it stands behind the path.
fn openid_configuration(issuer: &Url) -> Url {
    let mut url = issuer.clone();
    url.set_path(&format!("{}/.well-known/openid-configuration", issuer.path().trim_end_matches('/')));
    url
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::routing::get;
    use axum::{Json, Router};
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn the_place_that_leads_back_here_is_not_asked() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let (document, asked) = (json!({ "issuer": issuer }), Arc::new(AtomicUsize::new(0)));
        let (first, second, count) = (document.clone(), document.clone(), asked.clone());
        let pages = Router::new()
            .route(
                "/.well-known/oauth-authorization-server",
                get(move || {
                    count.fetch_add(1, Ordering::Relaxed);
                    std::future::ready(Json(first.clone()))
                }),
            )
            .route("/.well-known/openid-configuration", get(move || std::future::ready(Json(second.clone()))));
        tokio::spawn(async move { axum::serve(listener, pages).await.unwrap() });
        let upstream = Upstream::Issuer(Url::parse(&issuer).unwrap());
        for (public_url, times) in [(issuer.as_str(), 0), ("https://gate.example", 1)] {
            let server = AuthorizationServer::try_new(Some(&upstream), public_url, None).unwrap();
            assert_eq!(Value::Object(server.metadata().await.unwrap()), document);
            assert_eq!(asked.load(Ordering::Relaxed), times, "as {public_url}");
        }
    }

    #[test]
    fn the_well_known_part_stands_where_each_specification_puts_it() {
        let plain = Url::parse("https://as.example").unwrap();
        let with_path = Url::parse("https://as.example/realms/acme").unwrap();
        assert_eq!(well_known(&plain).as_str(), "https://as.example/.well-known/oauth-authorization-server");
        assert_eq!(well_known(&with_path).as_str(), "https://as.example/.well-known/oauth-authorization-server/realms/acme");
        assert_eq!(openid_configuration(&with_path).as_str(), "https://as.example/realms/acme/.well-known/openid-configuration");
    }
}
