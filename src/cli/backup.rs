//! `gatebook backup FILE`: the event log in one file, verified while it is copied, whoever is writing to it.

use std::path::PathBuf;

use clap::Args;

use super::{Failed, checked, progress};
use crate::application::access_tokens::KeySource;
use crate::bootstrap::back_up;
use crate::config::data_dir;
use crate::config::{AdminKeySource, AdminSettings, Config, Settings};
use crate::credentials::key_files;
use crate::credentials::secrets::InstanceKey;
use crate::platform::clock::Clock;

/// Copy the event log into one file, while the service runs or not
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The file to write; it must not exist
    pub file: PathBuf,

    /// Keep the keys of the data folder in it too; whoever has it can then act as an administrator
    #[arg(long)]
    pub with_keys: bool,

    /// The same settings as the server's.
    #[command(flatten)]
    pub settings: Settings,
}

/// Reads only what is in the data folder. The file has its name once it is whole and on the disk.
#[expect(clippy::print_stdout, reason = "this is a command for people")]
pub fn run(args: BackupArgs) -> Result<(), Failed> {
    let config = checked(args.settings)?;
    let path = data_dir::log(&config);
    if !path.exists() {
        return Err(Failed::new(format!("there is no event log at {}", path.display())));
    }
    let mut kept = Vec::new();
    let mut elsewhere = Vec::new();
    for KeyFile { name, .. } in key_files(&config) {
        let file = config.data.join(name);
        match key_files::read_private(&file).map_err(|error| Failed::because("failed to read a key", error))? {
            Some(content) if args.with_keys => kept.push((name.to_owned(), content.trim_end().to_owned())),
            Some(_) => elsewhere.push(file.display().to_string()),
            None => {}
        }
    }
    let bar = super::rebuild::bar("copying");
    let copied = back_up(&config, &args.file, (Clock::system().now(), &kept), progress(&bar));
    let summary = copied.map_err(|error| Failed::because(format!("failed to back up {}", path.display()), error))?;
    bar.finish_and_clear();
    println!("{}: {} events, up to position {}; the chain holds", args.file.display(), summary.events, summary.head);
    println!("head {}", summary.hash);
    for (name, _) in kept {
        println!("with {name}: keep the file as secret as the key");
    }
    if !elsewhere.is_empty() {
        println!("without {}: keep copies of those in another safe place, nothing can make them again", elsewhere.join(", "));
    }
    Ok(())
}

/// A file of keys that are in the data folder and nowhere else.
pub(super) struct KeyFile {
    pub name: &'static str,
    /// Whether every instance that was ever started has it.
    pub always: bool,
    /// Whether it holds one key, as `keys` writes it.
    pub plain: bool,
}

impl KeyFile {
    const INSTANCE: Self = Self { name: InstanceKey::FILE, always: true, plain: true };
    const ADMIN: Self = Self { name: AdminSettings::KEY_FILE, always: false, plain: true };
    const TOKENS: Self = Self { name: data_dir::TOKEN_KEYS, always: false, plain: false };

    /// Every one that any settings lead to.
    pub const ALL: [Self; 3] = [Self::INSTANCE, Self::ADMIN, Self::TOKENS];
}

/// Those that these settings lead to.
pub(super) fn key_files(config: &Config) -> Vec<KeyFile> {
    let admin = matches!(config.admin.key, AdminKeySource::SelfMade { .. }).then_some(KeyFile::ADMIN);
    let tokens = matches!(config.token_keys, KeySource::SelfMade { .. }).then_some(KeyFile::TOKENS);
    [KeyFile::INSTANCE].into_iter().chain(admin).chain(tokens).collect()
}
