//! `gatebook import FILE`: enters clients that were registered elsewhere, with the identifiers and secrets that they have, and
//! says of each that cannot come why.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use futures_util::stream::{FuturesOrdered, StreamExt};
use gatebook_events::client::ImportFormat;
use gatebook_events::identity::ResourceServerId;
use gatebook_events::resource_server::Admission;
use gatebook_events::secret::SecretHash;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Failed, checked};
use crate::app::{Store, open_log_read_only, places};
use crate::clock::Clock;
use crate::command::import::{Entrance, Import, Verdict};
use crate::command::register::DrawnHashes;
use crate::command::{CommandError, Commands};
use crate::config::{Config, Settings};
use crate::import::{self, Brought, Candidate, Entry};
use crate::log::EventLog;
use crate::secrets::{Cost, SecretHasher};

/// How many clients are entered side by side: their appends share a flush, and their secrets the processors.
const AT_ONCE: usize = 32;

/// Enter clients that were registered elsewhere; importing a file again enters nobody twice
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file with the clients
    pub file: PathBuf,

    /// How it was written: JSON Lines of RFC 7591 members, a realm export, a list of clients
    #[arg(long, value_parser = PossibleValuesParser::new(["rfc7591", "keycloak", "hydra"]).try_map(|name| ImportFormat::known(&name).ok_or("unknown")))]
    pub from: ImportFormat,

    /// Where they are registered; the default one or the only one there is, if absent
    #[arg(long)]
    pub resource_server: Option<ResourceServerId>,

    /// Say what would happen, and write nothing
    #[arg(long)]
    pub dry_run: bool,

    /// The same settings as the server's.
    #[command(flatten)]
    pub settings: Settings,
}

/// Holds the log's lock, so that no service decides beside it; a dry run only reads.
#[expect(clippy::print_stdout, reason = "this is a command for people")]
pub async fn run(args: ImportArgs) -> Result<(), Failed> {
    let config = checked(args.settings)?;
    let path = places::log(&config);
    if !path.exists() {
        return Err(Failed::new(format!("there is no event log at {}; the first start of the service makes one", path.display())));
    }
    let file = args.file.display();
    let clients = import::open(&args.file, args.from).map_err(|error| Failed::because(format!("failed to import {file}"), error))?;
    let done = if args.dry_run {
        let log = open_log_read_only(&config).map_err(|error| Failed::because("failed to open the event log", error))?;
        carry(Arc::new(log), &config, args.resource_server, clients, Mode::Dry).await?
    } else {
        let store = Store::open(&config)
            .await
            .map_err(|error| Failed::because("failed to open the event log; a service that runs has to be stopped first", error))?;
        let done = carry(store.log(), &config, args.resource_server, clients, Mode::Real).await;
        store.close().await;
        done?
    };
    println!("{}", done.summary(args.dry_run));
    if done.refused > 0 {
        return Err(Failed::new(format!("{} of {} clients were refused", done.refused, done.refused + done.taken + done.known)));
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Real,
    Dry,
}

#[derive(Default)]
struct Done {
    taken: u64,
    waiting: u64,
    known: u64,
    refused: u64,
}

impl Done {
    /// The line that the report has about a client, if there is anything to say.
    fn count(&mut self, Told { who, verdict }: Told, mode: Mode) -> Option<String> {
        let (verdict, notes) = match verdict {
            Ok(judged) => judged,
            Err(why) => {
                self.refused += 1;
                return Some(format!("{who}: refused, {why}"));
            }
        };
        match verdict {
            Verdict::AlreadyHere => {
                self.known += 1;
                return None;
            }
            Verdict::New(admission) | Verdict::Unfinished(admission) => {
                self.taken += 1;
                self.waiting += u64::from(admission == Admission::Review);
            }
        }
        let imported = if mode == Mode::Dry { "would be imported" } else { "imported" };
        (!notes.is_empty()).then(|| format!("{who}: {imported} {}", notes.join("; ")))
    }

    fn summary(&self, dry: bool) -> String {
        let Self { taken, waiting, known, refused } = self;
        let waiting = if *waiting > 0 { format!(" ({waiting} of them wait for an approval)") } else { String::new() };
        if dry {
            format!("{taken} would be imported{waiting}, {known} are here already, {refused} would be refused; nothing was written")
        } else {
            format!("{taken} imported{waiting}, {known} were here already, {refused} refused")
        }
    }
}

#[expect(clippy::print_stdout, reason = "this is a command for people")]
async fn carry(
    log: Arc<dyn EventLog>,
    config: &Config,
    server: Option<ResourceServerId>,
    mut clients: import::Clients,
    mode: Mode,
) -> Result<Done, Failed> {
    let unreadable = |error: CommandError| Failed::because("failed to read the event log", error);
    let commands = Commands::new(log, Clock::system());
    commands.complete_roster().await.map_err(unreadable)?;
    let server = server.or(config.default_resource_server).or(commands.roster().now().only());
    let server = server.ok_or_else(|| Failed::new("there are several resource servers; --resource-server says which one is meant"))?;
    let begun = commands.begin_import(server, config.max_clients_per_tenant).await;
    let mut import = begun.map_err(|error| Failed::because(format!("failed to import at the resource server {server}"), error))?;
    if let Some(warning) = clients.warning {
        println!("{warning}");
    }
    let (bar, hasher, entrance) = (bar(clients.count), SecretHasher::default(), import.entrance());
    let (mut done, mut under_way) = (Done::default(), FuturesOrdered::new());
    loop {
        while under_way.len() < AT_ONCE
            && let Some(entry) = clients.entries.next()
        {
            let Entry { place, id, read } = entry.map_err(|error| Failed::because("failed to read the file", error))?;
            let (candidate, verdict) = judged(&mut import, read).await?;
            let told = Told { who: id.map_or_else(|| place.clone(), |id| format!("{place}, \"{}\"", import::shown(&id))), verdict };
            under_way.push_back(entered(&entrance, &hasher, mode, told, candidate));
        }
        let Some(told) = under_way.next().await else { break };
        let told = told?;
        bar.inc(1);
        if let Some(line) = done.count(told, mode) {
            bar.suspend(|| println!("{line}"));
        }
    }
    bar.finish_and_clear();
    if mode == Mode::Real {
        import.finish().await;
    }
    Ok(done)
}

/// What there is to say of one client.
struct Told {
    who: String,
    verdict: Result<(Verdict, Vec<String>), String>,
}

/// A refusal is for the report, whatever else goes wrong ends the import.
async fn judged(
    import: &mut Import,
    read: Result<Candidate, import::Refused>,
) -> Result<(Option<Candidate>, Result<(Verdict, Vec<String>), String>), Failed> {
    let candidate = match read {
        Ok(candidate) => candidate,
        Err(refused) => return Ok((None, Err(refused.to_string()))),
    };
    match import.judge(&candidate.newcomer).await {
        Ok(verdict) => {
            let notes = candidate.notes.clone();
            Ok((Some(candidate), Ok((verdict, notes))))
        }
        Err(CommandError::Rejected(rejection)) => Ok((None, Err(import::shown(&rejection.to_string())))),
        Err(error) => Err(ended(error)),
    }
}

/// Enters a client that was let in.
async fn entered(entrance: &Entrance, hasher: &SecretHasher, mode: Mode, told: Told, candidate: Option<Candidate>) -> Result<Told, Failed> {
    let (Mode::Real, Some(Candidate { newcomer, secret, .. }), Ok((verdict, _))) = (mode, candidate, &told.verdict) else {
        return Ok(told);
    };
    let secret = match (verdict, secret) {
        (Verdict::New(_), Brought::Clear(secret)) => {
            let unhashed = |error| Failed::because("failed to hash a secret", error);
            let phc = hasher.hash(&secret, Cost::Chosen).await.map_err(unhashed)?;
            Some(SecretHash::try_new(&phc).map_err(|error| Failed::because("failed to hash a secret", error))?)
        }
        (Verdict::New(_), Brought::Hashed(hash)) => Some(hash),
        _ => None,
    };
    let kept = DrawnHashes { secret, registration_token: None };
    entrance.enter(newcomer, *verdict, kept).await.map_err(ended)?;
    Ok(told)
}

fn ended(error: CommandError) -> Failed {
    Failed::because("the import ended early; whoever is in already is not entered twice when it is run again", error)
}

/// A bar with rate and time left; nothing where nobody looks.
fn bar(clients: u64) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(clients), target);
    if let Ok(style) = ProgressStyle::with_template(" importing [{bar:40}] {pos}/{len} clients, {per_sec}, {eta} left") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
