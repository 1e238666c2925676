//! `gatebook migrate-log --from … --to …`: copies the event log from one backend to another and sees that both hold the same.

use std::path::PathBuf;

use clap::Args;

use super::{Failed, checked, progress, rebuild};
use crate::bootstrap::migrate::{End, migrate};
use crate::config::data_dir;
use crate::config::{Config, LogBackend, Settings};

/// Copy the event log from one backend to another, as --log names them
#[derive(Debug, Args)]
pub struct MigrateLogArgs {
    /// Where the events are: sqlite (that of the data folder), sqlite:FILE, or a nats://, esdb:// or kurrentdb:// URI
    #[arg(long, env = "GATEBOOK_MIGRATE_FROM", value_name = "LOG", hide_env_values = true)]
    pub from: String,

    /// Where they go; what is there already has to be the beginning of the same log
    #[arg(long, env = "GATEBOOK_MIGRATE_TO", value_name = "LOG", hide_env_values = true)]
    pub to: String,

    /// The same settings as the server's.
    #[command(flatten)]
    pub settings: Settings,
}

/// Copies what the target lacks. Cut off, it goes on where it was when it is run again.
#[expect(clippy::print_stdout, reason = "this is a command for people")]
pub async fn run(args: MigrateLogArgs) -> Result<(), Failed> {
    let end = |name, text: &str| end(name, text, &args.settings);
    let (from, to) = (end("from", &args.from)?, end("to", &args.to)?);
    // Which log the server uses makes no difference here.
    let config = checked(Settings { log: None, feed: None, ..args.settings.clone() }.without_nats())?;
    let (from, to) = (placed(from, &config), placed(to, &config));
    let bar = rebuild::bar("copying");
    let migrated =
        migrate(&config, &from, &to, progress(&bar)).await.map_err(|error| Failed::because("failed to migrate the event log", error))?;
    bar.finish_and_clear();
    let (summary, found) = (migrated.summary, migrated.found.to_backend());
    println!("{} events, {} of them copied now; both hold the same", summary.events, summary.events - found);
    println!("  chain  {}", summary.hash);
    println!("  root   {} (RFC 6962)", summary.root);
    println!("take the keys of the data folder along, and start every node with the new --log");
    Ok(())
}

enum Named {
    File(Option<PathBuf>),
    Shared(LogBackend),
}

fn end(name: &'static str, text: &str, settings: &Settings) -> Result<Named, Failed> {
    if let Some(path) = text.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
        return Ok(Named::File(Some(path.into())));
    }
    let backend =
        LogBackend::end_of_migration(name, text, settings).map_err(|error| Failed::because("failed to accept the settings", error))?;
    Ok(if backend == LogBackend::Sqlite { Named::File(None) } else { Named::Shared(backend) })
}

fn placed(named: Named, config: &Config) -> End {
    match named {
        Named::File(path) => End::File(path.unwrap_or_else(|| data_dir::log(config))),
        Named::Shared(backend) => End::Shared(backend),
    }
}
