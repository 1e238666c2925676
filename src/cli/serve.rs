//! `gatebook serve`: the service, until it is told to stop; what it accepted by then it finishes.

use std::io::{IsTerminal, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;

use super::Failed;
use crate::bootstrap::{self, App};
use crate::config::{AdminKeySource, Config, LogFormat, unknown_variables};
use crate::http;
use crate::platform::clock::Clock;
use crate::platform::counters::ConnectionCounters;
use crate::server::{self, Rules};

/// How long calls that are under way may take once the service is told to stop.
const PATIENCE: Duration = Duration::from_secs(8);
/// The most connections to the listener for metrics.
const SCRAPERS: usize = 64;

/// Serves until SIGTERM or SIGINT.
pub async fn run(config: Config) -> Result<(), Failed> {
    trace(&config);
    server::raise_descriptors();
    let listener =
        TcpListener::bind(config.listen).await.map_err(|error| Failed::because(format!("failed to listen on {}", config.listen), error))?;
    let address = listener.local_addr().map_err(|error| Failed::because("failed to read the listen address", error))?;
    let metrics = match config.metrics_listen {
        Some(wanted) => {
            let bound = TcpListener::bind(wanted).await.map_err(|error| Failed::because(format!("failed to listen on {wanted}"), error))?;
            Some((bound.local_addr().map_err(|error| Failed::because("failed to read the listen address", error))?, bound))
        }
        None => None,
    };
    let public_url = config.public_url.as_ref().map_or_else(|| reachable(address), |url| url.as_str().to_owned());
    if config.public_url.is_none() && !address.ip().is_loopback() {
        tracing::warn!(%public_url, "--public-url is not set: clients are told this URL, which leads nowhere from other machines");
    }
    for (name, like) in unknown_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())) {
        if let Some(like) = like {
            tracing::warn!("the environment variable {name} is no setting; the nearest is {like}");
        } else {
            tracing::warn!("the environment variable {name} is no setting");
        }
    }
    let (data, log) = (config.data.clone(), bootstrap::describe(&config));
    let made_key = matches!(config.admin.key, AdminKeySource::SelfMade { .. });
    let default_server = config.default_resource_server;
    let app = App::start(config, public_url.clone(), Clock::system()).await.map_err(|error| Failed::because("failed to start", error))?;
    if let Some(id) = default_server
        && !app.commands.resource_server(id).await.is_ok_and(|server| server.is_active())
    {
        tracing::warn!(%id, "--default-resource-server names no resource server that serves: clients that name none are refused");
    }
    let told_to_stop = told_to_stop().map_err(|error| Failed::because("failed to listen for signals", error))?;
    let metrics_address = metrics.as_ref().map(|(address, _)| *address);
    greet(address, &public_url, metrics_address, (&data, &log), made_key)
        .map_err(|error| Failed::because("failed to write to standard output", error))?;
    let rules = Rules::new(&app.config.server, &app.config.trusted_proxies);
    if rules.connections() < app.config.server.connections {
        let (wanted, possible) = (app.config.server.connections, rules.connections());
        tracing::warn!(wanted, possible, "there are descriptors for fewer connections than max-connections says");
    }
    if let Some((_, listener)) = metrics {
        let (router, rules) = (http::metrics_router(app.services().clone()), rules.clone().at_most(SCRAPERS));
        // Answers as long as the process does; nobody waits for a scrape that is under way when the service stops.
        tokio::spawn(server::serve(listener, router, rules, ConnectionCounters::default(), std::future::pending()));
    }

    let stopping = app.clone();
    let told = async move {
        told_to_stop.await;
        stopping.stop();
    };
    let patience = app.clone();
    tokio::select! {
        () = server::serve(listener, server::router(app.services().clone()), rules, app.metrics.connections.clone(), told) => {},
        () = async move { patience.stopping.wait().await; tokio::time::sleep(PATIENCE).await } => tracing::warn!("some calls did not end in time"),
    }
    app.close().await;
    Ok(())
}

/// A URL that leads to this address from this machine: nothing answers at the unspecified address.
fn reachable(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => format!("http://127.0.0.1:{}", address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => format!("http://[::1]:{}", address.port()),
        _ => format!("http://{address}"),
    }
}

/// What somebody who just started it wants to know. The first line is read by programs too.
fn greet(
    address: SocketAddr,
    public_url: &str,
    metrics: Option<SocketAddr>,
    (data, log): (&std::path::Path, &str),
    made_key: bool,
) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on http://{address}")?;
    writeln!(out, "  data folder  {}", data.display())?;
    writeln!(out, "  event log    {log}")?;
    writeln!(out, "  pages        {public_url}/ui")?;
    writeln!(out, "  register     POST {public_url}/oauth/register")?;
    if let Some(metrics) = metrics {
        writeln!(out, "  metrics      http://{metrics}/metrics")?;
    }
    if made_key {
        writeln!(out, "  admin token  gatebook token --data {} --role admin --tenant default", data.display())?;
    }
    out.flush()
}

/// Hears SIGTERM and SIGINT from now on, whenever the future is polled, so that neither ends a service that said it listens.
#[cfg(unix)]
fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {},
            _ = terminate.recv() => {},
        }
    })
}

/// Hears the console's interruption.
#[cfg(not(unix))]
fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}

/// Logs go to standard error, so that standard output says only what was promised.
fn trace(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log_level).unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    // A second subscriber in one process, as tests start several services, is no failure.
    let _already_set = match config.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
