//! One message to one webhook. Its URL is an administrator's, not the operator's: every address is judged, the one that is dialled
//! is the one that was judged, and nothing is followed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gatebook_events::manifest::Trouble;
use gatebook_events::webhook::WebhookUrl;
use hyper::client::conn::http1;
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::rustls::ClientConfig;

use crate::outbound::{FetchFailure, Resolve, SetUpError, SystemResolver, address, fetch, freshness, tls};

/// All of a delivery: look-up, connection, TLS, and the head of the answer.
const TIME: Duration = Duration::from_secs(15);
/// The most deliveries under way, to all webhooks together.
const AT_ONCE: usize = 64;

/// Sends messages. Cheap to clone.
#[derive(Clone)]
pub struct Post(Arc<Parts>);

struct Parts {
    resolver: Arc<dyn Resolve>,
    tls: Arc<ClientConfig>,
    networks: Vec<IpNet>,
    places: Semaphore,
}

/// What is sent.
pub struct Message<'a> {
    /// To whom.
    pub url: &'a WebhookUrl,
    /// `webhook-id`: the same at every attempt.
    pub id: &'a str,
    /// `webhook-timestamp`: seconds since 1970, of this attempt.
    pub timestamp: i64,
    /// `webhook-signature`: one or more, with spaces between them.
    pub signatures: &'a str,
    /// A CloudEvent in JSON.
    pub body: String,
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotTaken {
    /// What went wrong.
    pub trouble: Snag,
    /// For how long the receiver asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// What goes wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snag {
    /// There was no answer, and why.
    Unanswered(Trouble),
    /// The answer was this status.
    Status(u16),
}

impl fmt::Display for Snag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unanswered(trouble) => f.write_str(trouble.as_str()),
            Self::Status(status) => write!(f, "status_{status}"),
        }
    }
}

impl Post {
    /// Prepares; nothing is sent before somebody asks. Within `networks` addresses may be private and messages without TLS.
    pub fn try_new(networks: Vec<IpNet>, extra_ca_file: Option<&Path>) -> Result<Self, SetUpError> {
        if !networks.is_empty() {
            tracing::info!(?networks, "webhooks may be in these networks beside the public internet");
        }
        let (resolver, tls) = (Arc::new(SystemResolver::default()), Arc::new(tls(extra_ca_file)?));
        Ok(Self(Arc::new(Parts { resolver, tls, networks, places: Semaphore::new(AT_ONCE) })))
    }

    /// Sends a message. Only a success (2xx) within the time means that it was taken.
    pub async fn send(&self, message: Message<'_>) -> Result<(), NotTaken> {
        let unanswered = |trouble| NotTaken { trouble: Snag::Unanswered(trouble), retry_after: None };
        let _place = self.0.places.acquire().await.map_err(|_| unanswered(Trouble::Busy))?;
        let url = message.url;
        let (status, retry_after) = match tokio::time::timeout(TIME, self.exchange(message)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(failure)) => {
                tracing::info!(%url, trouble = failure.trouble.as_str(), detail = failure.detail(), "a webhook cannot be reached");
                return Err(unanswered(failure.trouble));
            }
            Err(_) => return Err(unanswered(Trouble::TimedOut)),
        };
        if (200..300).contains(&status) { Ok(()) } else { Err(NotTaken { trouble: Snag::Status(status), retry_after }) }
    }

    async fn exchange(&self, message: Message<'_>) -> Result<(u16, Option<Duration>), FetchFailure> {
        let url = message.url;
        let addresses = self.judged_addresses(url).await?;
        let stream = fetch::connect(&addresses, TIME / 4).await?;
        if url.is_https() { ask(fetch::secure(&self.0.tls, url.host(), stream).await?, message).await } else { ask(stream, message).await }
    }

    /// The only look-up of a delivery. One address that must not be dialled refuses them all.
    async fn judged_addresses(&self, url: &WebhookUrl) -> Result<Vec<SocketAddr>, FetchFailure> {
        let host = url.host();
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => self.0.resolver.addresses(host).await.map_err(|error| FetchFailure::new(Trouble::Dns, &error))?,
        };
        if let Some(refused) = addresses.iter().find(|address| !self.may_dial(url, **address)) {
            return Err(FetchFailure::new(Trouble::Address, &format_args!("{host} is at {refused}")));
        }
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, url.port())).collect())
    }

    /// Why messages to a URL would never be sent, as far as that can be said without a look-up. Completes "url …".
    pub fn never_dialled(&self, url: &WebhookUrl) -> Result<(), &'static str> {
        let host = url.host();
        let addresses: Vec<IpAddr> = match host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            // RFC 6761 §6.3
            Err(_) if host == "localhost" || host.ends_with(".localhost") => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            Err(_) => Vec::new(),
        };
        if !addresses.is_empty() && !addresses.iter().any(|address| self.may_dial(url, *address)) {
            return Err("names an address that is never dialled: it is neither public, with https, nor in one of --webhook-networks");
        }
        if !url.is_https() && self.0.networks.is_empty() {
            return Err("is http, which is dialled within --webhook-networks only, and there are none");
        }
        Ok(())
    }

    /// What is in nobody's network that the operator named has to be public, and is told nothing without TLS.
    fn may_dial(&self, url: &WebhookUrl, address: IpAddr) -> bool {
        let ours = self.0.networks.iter().any(|network| network.contains(&address));
        (ours && address::is_one_host(address)) || (url.is_https() && address::is_public(address))
    }
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    message: Message<'_>,
) -> Result<(u16, Option<Duration>), FetchFailure> {
    let cut_off = |error: hyper::Error| FetchFailure::new(Trouble::CutOff, &error);
    let mut client = http1::Builder::new();
    client.max_buf_size(fetch::LARGEST_HEAD).max_headers(100);
    let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await.map_err(cut_off)?;
    // Ends with this function, however it ends.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = Request::builder()
        .method(Method::POST)
        .uri(message.url.path_and_query())
        .header(header::HOST, message.url.authority())
        .header(header::CONTENT_TYPE, crate::delivery::cloud_event::MEDIA_TYPE)
        .header(header::USER_AGENT, "gatebook")
        .header(header::CONNECTION, "close")
        .header("webhook-id", message.id)
        .header("webhook-timestamp", message.timestamp)
        .header("webhook-signature", message.signatures)
        .body(message.body)
        .map_err(|error| FetchFailure::new(Trouble::CutOff, &error))?;
    let response = sender.send_request(request).await.map_err(cut_off)?;
    Ok((response.status().as_u16(), freshness::retry_after(response.headers())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w11_what_would_never_be_dialled_is_told_when_it_is_set() {
        let closed = Post::try_new(Vec::new(), None).unwrap();
        let open = Post::try_new(vec!["10.0.0.0/8".parse().unwrap()], None).unwrap();
        let here = Post::try_new(vec!["127.0.0.0/8".parse().unwrap()], None).unwrap();
        for (url, told) in [
            ("https://hooks.example/", [true, true, true]),
            ("https://93.184.215.14/", [true, true, true]),
            ("http://hooks.example/", [false, true, true]),
            ("https://10.1.2.3/", [false, true, false]),
            ("http://10.1.2.3/", [false, true, false]),
            ("https://127.0.0.1/", [false, false, true]),
            ("http://localhost:9/", [false, false, true]),
            ("https://a.localhost/", [false, false, true]),
            ("https://[::1]/", [false, false, false]),
            ("https://[::ffff:93.184.215.14]/", [false, false, false]),
            ("https://169.254.169.254/", [false, false, false]),
            ("http://93.184.215.14/", [false, false, false]),
        ] {
            let url = WebhookUrl::parse(url).unwrap();
            assert_eq!([&closed, &open, &here].map(|post| post.never_dialled(&url).is_ok()), told, "{}", url.as_str());
        }
    }

    #[test]
    fn only_public_addresses_and_the_operators_networks_are_dialled() {
        let closed = Post::try_new(Vec::new(), None).unwrap();
        let open = Post::try_new(vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()], None).unwrap();
        let (tls, plain) = (WebhookUrl::parse("https://a.example/").unwrap(), WebhookUrl::parse("http://a.example/").unwrap());
        for (address, https, http, https_there, http_there) in [
            ("93.184.215.14", true, false, true, false),
            ("2606:4700::1111", true, false, true, false),
            ("10.1.2.3", false, false, true, true),
            ("::1", false, false, true, true),
            ("127.0.0.1", false, false, false, false),
            ("169.254.169.254", false, false, false, false),
            ("::ffff:10.1.2.3", false, false, false, false),
            ("192.168.0.1", false, false, false, false),
        ] {
            let address: IpAddr = address.parse().unwrap();
            let told = [closed.may_dial(&tls, address), closed.may_dial(&plain, address), open.may_dial(&tls, address)];
            assert_eq!((told, open.may_dial(&plain, address)), ([https, http, https_there], http_there), "{address}");
        }
    }
}
