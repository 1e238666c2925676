//! `gatebook serve`: the service, until it is told to stop; what it accepted by then it finishes.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;

use super::Failed;
use crate::app::{self, App};
use crate::clock::Clock;
use crate::config::{AdminKeySource, Config, LogFormat};
use crate::http;
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
    let public_url = config.public_url.as_ref().map_or_else(|| format!("http://{address}"), |url| url.as_str().to_owned());
    let (data, log) = (config.data.clone(), app::describe(&config));
    let made_key = matches!(config.admin.key, AdminKeySource::SelfMade { .. });
    let app = App::start(config, public_url, Clock::system()).await.map_err(|error| Failed::because("failed to start", error))?;
    let told_to_stop = told_to_stop().map_err(|error| Failed::because("failed to listen for signals", error))?;
    let metrics_address = metrics.as_ref().map(|(address, _)| *address);
    greet(address, metrics_address, (&data, &log), made_key)
        .map_err(|error| Failed::because("failed to write to standard output", error))?;
    let rules = Rules::new(&app.config().server, &app.config().trusted_proxies);
    if rules.connections() < app.config().server.connections {
        let (wanted, possible) = (app.config().server.connections, rules.connections());
        tracing::warn!(wanted, possible, "there are descriptors for fewer connections than max-connections says");
    }
    if let Some((_, listener)) = metrics {
        let (router, rules) = (http::metrics_router(app.clone()), rules.clone().at_most(SCRAPERS));
        // Answers as long as the process does; nobody waits for a scrape that is under way when the service stops.
        tokio::spawn(server::serve(listener, router, rules, server::Figures::default(), std::future::pending()));
    }

    let stopping = app.clone();
    let told = async move {
        told_to_stop.await;
        stopping.stop();
    };
    let patience = app.clone();
    tokio::select! {
        () = server::serve(listener, http::router(app.clone()), rules, app.metrics().connections.clone(), told) => {},
        () = async move { patience.stopping().await; tokio::time::sleep(PATIENCE).await } => tracing::warn!("some calls did not end in time"),
    }
    app.close().await;
    Ok(())
}

/// What somebody who just started it wants to know. The first line is read by programs too.
fn greet(address: SocketAddr, metrics: Option<SocketAddr>, (data, log): (&std::path::Path, &str), made_key: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on http://{address}")?;
    writeln!(out, "  data folder  {}", data.display())?;
    writeln!(out, "  event log    {log}")?;
    writeln!(out, "  pages        http://{address}/ui")?;
    writeln!(out, "  register     POST http://{address}/oauth/register")?;
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
