//! `gatebook restore FILE`: makes a data folder out of a backup, where there is none, and builds its read models.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::Args;

use super::backup::KeyFile;
use super::{Failed, backup, checked, progress, rebuild};
use crate::bootstrap::{inspect_backup, vacant_log};
use crate::config::data_dir;
use crate::config::{LogBackend, Settings};
use crate::credentials::key_files;

/// Make the event log and the read models of a data folder that has none out of a backup
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup; it is only read
    pub file: PathBuf,

    /// The same settings as the server's.
    #[command(flatten)]
    pub settings: Settings,
}

/// All of the backup is verified before anything is written, and the log gets its name last but for the read models: a crash
/// before that leaves no log, one after it read models for the next start to build.
#[expect(clippy::print_stdout, reason = "this is a command for people")]
pub async fn run(args: RestoreArgs) -> Result<(), Failed> {
    let config = checked(args.settings)?;
    let (file, data) = (&args.file, &config.data);
    if !matches!(config.log, LogBackend::Sqlite) {
        // What nodes share is written by appending alone; this node's mirror is read from there.
        return Err(Failed::new("a shared log is not restored from a file of one node; restore it as --log sqlite, and go on from there"));
    }
    if !file.exists() {
        return Err(Failed::new(format!("there is no backup at {}", file.display())));
    }
    let failed = || format!("failed to restore {}", file.display());
    if data_dir::log(&config).exists() {
        // Said before, and not after, a long backup was verified.
        vacant_log(&config).map_err(|error| Failed::because(failed(), error))?;
    }
    let bar = rebuild::bar("verifying");
    let backup = inspect_backup(file, progress(&bar)).map_err(|error| Failed::because(failed(), error))?;
    bar.finish_and_clear();
    if let Some((name, _)) = backup.files.iter().find(|(name, _)| !KeyFile::ALL.iter().any(|known| known.name == name)) {
        return Err(Failed::new(format!("{}: this build does not know what {name:?} in the backup is for", failed())));
    }
    key_files::create_data_folder(data).map_err(|error| Failed::because(failed(), error))?;
    let vacant = vacant_log(&config).map_err(|error| Failed::because(failed(), error))?;
    for (name, text) in &backup.files {
        key_files::may_put_back(&data.join(name), text).map_err(|error| Failed::because(failed(), error))?;
    }
    println!(
        "{}: {} events, taken {}; the chain holds",
        file.display(),
        backup.summary.events,
        backup.taken_at.format("%Y-%m-%d %H:%M:%S UTC")
    );
    println!("head {}", backup.summary.hash);
    let bar = rebuild::bar("copying");
    let restored = vacant.restore(file, progress(&bar)).map_err(|error| Failed::because(failed(), error))?;
    bar.finish_and_clear();
    for (name, text) in &backup.files {
        key_files::put_back(&data.join(name), text).map_err(|error| Failed::because(failed(), error))?;
        println!("{name} is as it was");
    }
    // They show another log.
    let read_models = data_dir::read_models(&config);
    match fs::remove_dir_all(&read_models) {
        Ok(()) => println!("removed {}, which showed another log", read_models.display()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failed::because(format!("{}: failed to remove {}", failed(), read_models.display()), error)),
    }
    restored.put_in_place().map_err(|error| Failed::because(failed(), error))?;
    println!("{} restored, up to position {}", data_dir::log(&config).display(), backup.summary.head);
    let missing: Vec<_> = backup::key_files(&config).into_iter().map(|file| file.name).filter(|name| !data.join(name).exists()).collect();
    if !missing.is_empty() {
        println!(
            "put {} back into {} before the first start, if you have it, or new keys are made there",
            missing.join(", "),
            data.display()
        );
    }
    let rebuilt = rebuild::all(&config).await;
    rebuilt.map_err(|error| Failed::because("the log is restored; the next start has to build the read models, because this failed", error))
}
