//! The server below the router: it accepts connections, and bounds how many there are, how long each may stand still and how
//! long the head of a request may be. What is served on them is the router's affair.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use hyper_util::rt::TokioExecutor;
use hyper_util::server::conn::auto;
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use crate::application::services::Services;
use crate::config::ServerSettings;
use crate::{http, ui};

mod connection;
mod connections;
mod descriptors;
mod timing;
mod traffic;
mod turned_away;

use crate::platform::counters::ConnectionCounters;
use connection::Connection;
use connections::{Admission, Connections};
pub use descriptors::{descriptors, raise_descriptors};
use timing::Patience;

/// Descriptors that connections leave to files, read models and calls to other hosts.
const FOR_OTHERS: u64 = 256;
/// After an accept that failed for want of something, such as descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// The head of a request on a connection from this machine that came in beyond every bound.
const BRIEF: Duration = Duration::from_secs(2);
/// The most calls at a time on one HTTP/2 connection.
const STREAMS: u32 = 32;

/// What a listener lets in.
#[derive(Clone)]
pub struct Rules {
    settings: ServerSettings,
    trusted: Vec<IpNet>,
}

impl Rules {
    /// By the settings, with as many connections as the process has descriptors for.
    pub fn new(settings: &ServerSettings, trusted: &[IpNet]) -> Self {
        let mut settings = settings.clone();
        if let Some(descriptors) = descriptors() {
            let room = descriptors.saturating_sub(FOR_OTHERS.min(descriptors / 4));
            settings.connections = settings.connections.min(usize::try_from(room).unwrap_or(usize::MAX)).max(1);
        }
        Self { settings, trusted: trusted.to_vec() }
    }

    /// At most so many connections, from wherever.
    pub fn at_most(mut self, connections: usize) -> Self {
        self.settings.connections = self.settings.connections.min(connections);
        self
    }

    /// The bound on connections.
    pub const fn connections(&self) -> usize {
        self.settings.connections
    }

    fn trusts(&self, peer: SocketAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&peer.ip().to_canonical()))
    }
}

/// Every endpoint and every page.
pub fn router(services: Services) -> Router {
    let pages = Router::new().nest("/ui", ui::router(&services)).route("/", get(ui::front_door)).route("/ui/", get(ui::front_door));
    http::router(services, pages)
}

/// Serves until `stop` resolves, and then until the calls that are under way have ended.
pub async fn serve(listener: TcpListener, router: Router, rules: Rules, figures: ConnectionCounters, stop: impl Future<Output = ()>) {
    let connections = Connections::new(rules.settings.connections, rules.settings.connections_per_source, figures);
    let builder = Arc::new(builder(&rules.settings));
    let usual = Patience { head: rules.settings.head, idle: rules.settings.idle };
    let turned_away = turned_away::Desk::default();
    let (stopping, told) = watch::channel(false);
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_the_connection(&error) => continue,
            Err(error) => {
                tracing::error!(%error, "a connection cannot be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (place, patience) = match connections.admit(peer.ip(), rules.trusts(peer)) {
            Admission::Admitted(place) => (place, usual),
            Admission::Brief(place) => (place, Patience { head: BRIEF.min(usual.head), ..usual }),
            Admission::Full(why) => {
                turned_away.tell(stream, why);
                continue;
            }
        };
        prepare(&stream);
        let connection = Connection { builder: builder.clone(), router: router.clone(), peer, place, patience, told: told.clone() };
        let alive = alive.clone();
        tokio::spawn(async move {
            connection.serve(stream).await;
            drop(alive);
        });
    }
    drop(listener);
    stopping.send_replace(true);
    drop(alive);
    // Nothing is ever sent: this resolves once the last connection is gone.
    let _none = all_gone.recv().await;
}

fn builder(settings: &ServerSettings) -> auto::Builder<TokioExecutor> {
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut builder = if settings.http2 { builder } else { builder.http1_only() };
    builder.http1().max_buf_size(settings.head_bytes).header_read_timeout(None);
    let list = u32::try_from(settings.head_bytes).unwrap_or(u32::MAX);
    builder.http2().max_concurrent_streams(STREAMS).max_header_list_size(list);
    builder
}

fn prepare(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
}

/// Whether it is that connection's own trouble.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}
