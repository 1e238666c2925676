//! The commands of `gatebook`.

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use gatebook_events::envelope::Position;
use indicatif::ProgressBar;

use crate::config::{Config, Settings};

mod backup;
pub mod demo;
mod doctor;
mod health;
mod help;
mod import;
mod migrate_log;
mod poll;
mod rebuild;
mod restore;
mod running;
mod serve;
pub mod token;
mod verify;

/// The register of the OAuth clients that may call your MCP servers and APIs
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    Serve(Box<Settings>),
    /// Print a token for an administrator, made with the key of the data folder or the configured secret
    Token(Box<token::TokenArgs>),
    /// Build read models anew from the event log and put them in place
    Rebuild(Box<rebuild::RebuildArgs>),
    /// Walk the event log's hash chain and say whether it holds
    Verify(Box<Settings>),
    /// Copy the event log into one file, while the service runs or not
    Backup(Box<backup::BackupArgs>),
    /// Make the event log and the read models of a data folder that has none out of a backup
    Restore(Box<restore::RestoreArgs>),
    /// Check the data folder, beside a service that runs or without one, and say what to do
    Doctor(Box<doctor::DoctorArgs>),
    /// Copy the event log from one backend to another, as --log names them
    MigrateLog(Box<migrate_log::MigrateLogArgs>),
    /// Ask a running instance whether it is well, as a container's health check does
    Health(health::HealthArgs),
    /// Have a running instance read its clients' documents again now
    Poll(Box<poll::PollArgs>),
    /// Enter clients that were registered elsewhere, from a file
    Import(Box<import::ImportArgs>),
    /// Fill a running, fresh instance with what a real deployment looks like
    Demo(Box<demo::DemoArgs>),
}

/// Why a command came to nothing.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Failed {
    what: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Failed {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), source: None }
    }

    fn because(what: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { what: what.into(), source: Some(source.into()) }
    }
}

/// Runs the command that the process was started with.
pub async fn run() -> Result<(), Failed> {
    let matches = help::arrange(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match cli.command {
        Command::Serve(settings) => serve::run(checked(*settings)?).await,
        Command::Token(args) => token::run(*args).map_err(|error| Failed::because("failed to make a token", error)),
        Command::Rebuild(args) => rebuild::run(*args).await,
        Command::Verify(settings) => verify::run(&checked(*settings)?),
        Command::Backup(args) => backup::run(*args),
        Command::Restore(args) => restore::run(*args).await,
        Command::Doctor(args) => doctor::run(*args).await,
        Command::Health(args) => health::run(args).await,
        Command::MigrateLog(args) => migrate_log::run(*args).await,
        Command::Poll(args) => poll::run(*args).await,
        Command::Import(args) => import::run(*args).await,
        Command::Demo(args) => demo::run(*args).await,
    }
}

fn checked(settings: Settings) -> Result<Config, Failed> {
    Config::load(settings).map_err(|error| Failed::because("failed to accept the settings", error))
}

/// Shows on a bar how far something has come with the log, and how far there is to go.
fn progress(bar: &ProgressBar) -> impl Fn(Position, Position) {
    let bar = bar.clone();
    move |done, all| {
        bar.set_length(all.to_backend());
        bar.set_position(done.to_backend());
    }
}

/// An error with what it came from, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", chain(source)))
}
