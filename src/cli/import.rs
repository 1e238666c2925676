//! `gatebook import FILE`: enters clients that were registered elsewhere, with the identifiers and secrets that they have, and
//! says of each that cannot come why.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use futures_util::stream::{FuturesOrdered, StreamExt};
use gatebook_events::client::ImportFormat;
use gatebook_events::identity::{ClientId, ResourceServerId};
use gatebook_events::secret::SecretHash;

use super::{Failed, checked};
use crate::aggregates::{CommandError, Commands};
use crate::application::register::DrawnHashes;
use crate::application::register::import::{Entrance, Import, Verdict};
use crate::application::register::import_formats::{self, Brought, Candidate, Entry, NotImported};
use crate::bootstrap::{Store, open_log_read_only};
use crate::config::data_dir;
use crate::config::{Config, Settings};
use crate::credentials::secrets::{Cost, SecretHasher};
use crate::event_log::EventLog;
use crate::platform::clock::Clock;

mod report;

use report::{Counts, Outcome, Report, Told};

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

    /// Report as JSON: one object for each client of the file, and a last one with the counts
    #[arg(long)]
    pub json: bool,

    /// The same settings as the server's.
    #[command(flatten)]
    pub settings: Settings,
}

/// Holds the log's lock, so that no service decides beside it; a dry run only reads.
pub async fn run(args: ImportArgs) -> Result<(), Failed> {
    let config = checked(args.settings)?;
    let path = data_dir::log(&config);
    if !path.exists() {
        return Err(Failed::new(format!("there is no event log at {}; the first start of the service makes one", path.display())));
    }
    let file = args.file.display();
    let clients =
        import_formats::open(&args.file, args.from).map_err(|error| Failed::because(format!("failed to import {file}"), error))?;
    let report = Report::new(clients.count, args.dry_run, args.json);
    let counts = if args.dry_run {
        let log = open_log_read_only(&config).map_err(|error| Failed::because("failed to open the event log", error))?;
        carry(Arc::new(log), &config, args.resource_server, clients, report).await?
    } else {
        let store = Store::open(&config)
            .await
            .map_err(|error| Failed::because("failed to open the event log; a service that runs has to be stopped first", error))?;
        let counts = carry(store.log(), &config, args.resource_server, clients, report).await;
        store.close().await;
        counts?
    };
    if counts.refused > 0 {
        return Err(Failed::new(format!("{} of {} clients were refused", counts.refused, counts.all())));
    }
    Ok(())
}

async fn carry(
    log: Arc<dyn EventLog>,
    config: &Config,
    server: Option<ResourceServerId>,
    mut clients: import_formats::Clients,
    mut report: Report,
) -> Result<Counts, Failed> {
    let unreadable = |error: CommandError| Failed::because("failed to read the event log", error);
    let commands = Commands::new(log, Clock::system());
    commands.complete_roster().await.map_err(unreadable)?;
    let server = server.or(config.default_resource_server).or(commands.roster().now().only());
    let server = server.ok_or_else(|| Failed::new("there are several resource servers; --resource-server says which one is meant"))?;
    let begun = commands.begin_import(server, config.max_clients_per_tenant).await;
    let mut import = begun.map_err(|error| Failed::because(format!("failed to import at the resource server {server}"), error))?;
    if let Some(warning) = clients.warning {
        report.warn(warning);
    }
    let (hasher, entrance) = (SecretHasher::default(), import.entrance());
    let (mut under_way, mut places) = (FuturesOrdered::new(), HashMap::new());
    loop {
        while under_way.len() < AT_ONCE
            && let Some(entry) = clients.entries.next()
        {
            let entry = entry.map_err(|error| Failed::because("failed to read the file", error))?;
            let (client, candidate) = judged(&mut import, &mut places, entry).await?;
            under_way.push_back(entered(&entrance, &hasher, report.dry_run(), client, candidate));
        }
        let Some(client) = under_way.next().await else { break };
        report.tell(&client?);
    }
    if !report.dry_run() {
        import.finish().await;
    }
    Ok(report.end())
}

/// Where in the file each client stands first.
type Places = HashMap<ClientId, String>;

/// A refusal is for the report, anything else that goes wrong ends the import.
async fn judged(import: &mut Import, places: &mut Places, entry: Entry) -> Result<(Told, Option<Candidate>), Failed> {
    let Entry { place, id, read } = entry;
    let mut told = Told { place, id, client_id: None, outcome: Outcome::AlreadyHere, notes: Vec::new() };
    let mut candidate = match read {
        Ok(candidate) => candidate,
        Err(why) => {
            told.outcome = match why {
                NotImported::Skipped(why) => Outcome::Skipped(why),
                NotImported::Refused(why) => Outcome::Refused(why.to_string()),
            };
            return Ok((told, None));
        }
    };
    let client_id = candidate.newcomer.client_id.clone();
    told.client_id = Some(client_id.to_string());
    let verdict = loop {
        match import.judge(&candidate.newcomer).await {
            Ok(verdict) => break verdict,
            Err(CommandError::Rejected(rejection)) if candidate.do_without(&rejection) => {}
            Err(CommandError::Rejected(rejection)) => {
                told.outcome = Outcome::Refused(import_formats::shown(&rejection.to_string()));
                return Ok((told, None));
            }
            Err(error) => return Err(ended(error)),
        }
    };
    told.notes.clone_from(&candidate.notes);
    told.outcome = match (verdict, places.get(&client_id)) {
        (Verdict::AlreadyHere, Some(first)) => Outcome::Duplicate(first.clone()),
        (Verdict::AlreadyHere, None) => Outcome::AlreadyHere,
        (Verdict::New(admission) | Verdict::Unfinished(admission), _) => Outcome::Imported(verdict, admission),
    };
    places.entry(client_id).or_insert_with(|| told.place.clone());
    Ok((told, Some(candidate)))
}

/// Enters a client that was let in.
async fn entered(
    entrance: &Entrance,
    hasher: &SecretHasher,
    dry_run: bool,
    told: Told,
    candidate: Option<Candidate>,
) -> Result<Told, Failed> {
    let (false, Some(Candidate { newcomer, secret, .. }), Outcome::Imported(verdict, _)) = (dry_run, candidate, &told.outcome) else {
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
