//! What surrounds log and read models: versions, permissions, keys, room on the disk, the clock, and what was left over.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use gatebook_projections::approvals::Approvals;
use gatebook_projections::directory::Directory;
use gatebook_projections::history::History;
use gatebook_projections::read_model::Projection;

use super::Report;
use crate::application::authorization_server::{AuthorizationServer, NoMetadata};
use crate::bootstrap::{LOG_FORMAT, log_in_use};
use crate::cli::backup::{self, KeyFile};
use crate::cli::chain;
use crate::config::Config;
use crate::config::data_dir;
use crate::credentials::key_files::{self, KeyError};
use crate::platform::atomic_file;
use crate::platform::clock::Clock;
use crate::platform::disk_space;
use crate::platform::side_db;

/// Nobody's clock is exact.
const SLACK: TimeDelta = TimeDelta::seconds(5);

/// What this build is and knows.
pub(super) fn versions(report: &mut Report) {
    let models = [(Directory::NAME, Directory::VERSION), (Approvals::NAME, Approvals::VERSION), (History::NAME, History::VERSION)];
    let models: Vec<String> = models.iter().map(|(name, version)| format!("{name}@{version}")).collect();
    report.fine("versions", format!("gatebook {}, log format {LOG_FORMAT}, {}", env!("CARGO_PKG_VERSION"), models.join(", ")));
}

/// Folder and files are for one user.
pub(super) fn permissions(config: &Config, report: &mut Report) {
    let before = report.findings();
    let data = &config.data;
    match fs::metadata(data) {
        Ok(folder) => {
            exposed(data, &folder, "700", report);
            for (path, file) in files(config) {
                exposed(&path, &file, "600", report);
                if owner(&file) != owner(&folder) {
                    let advice = format!("`chown --reference={} {}`", data.display(), path.display());
                    report.finding("permissions", format!("{} belongs to another user than its folder", path.display()), advice);
                }
            }
        }
        Err(error) => report.finding("permissions", format!("{}: {error}", data.display()), "run this as the user of the service"),
    }
    if report.findings() == before {
        report.fine("permissions", format!("{} and all in it are for one user", data.display()));
    }
}

fn exposed(path: &Path, metadata: &Metadata, wanted: &str, report: &mut Report) {
    let mode = key_files::permission_bits(metadata);
    if mode & 0o077 != 0 {
        let what = format!("{} is open to others than its owner (mode {mode:04o})", path.display());
        report.finding("permissions", what, format!("`chmod {wanted} {}`", path.display()));
    }
}

/// Every file in the data folder and in that of the read models.
fn files(config: &Config) -> Vec<(PathBuf, Metadata)> {
    let folders = [config.data.clone(), data_dir::read_models(config)];
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut files: Vec<_> =
        entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?))).filter(|(_, file)| file.is_file()).collect();
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    files
}

#[cfg(unix)]
fn owner(metadata: &Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::uid(metadata)
}

#[cfg(not(unix))]
fn owner(_: &Metadata) -> u32 {
    0
}

/// The keys that are here and nowhere else.
pub(super) fn keys(config: &Config, report: &mut Report) {
    for KeyFile { name, always, plain } in backup::key_files(config) {
        let file = config.data.join(name);
        let found =
            if plain { key_files::read(&file).map(|key| key.is_some()) } else { key_files::read_private(&file).map(|keys| keys.is_some()) };
        match found {
            Ok(true) => report.fine("keys", format!("{name} is there")),
            Ok(false) if !always => report.fine("keys", format!("{name} is made when it is needed")),
            Ok(false) => {
                let advice = "put its copy back before the next start, which makes another one";
                report.finding("keys", format!("{name} is missing"), advice);
            }
            // Who may read it was said already.
            Err(KeyError::Exposed { .. }) => {}
            Err(error) => report.finding("keys", chain(&error), "put its copy back; with another one, what was made with it stops working"),
        }
    }
}

/// A rebuild writes beside what serves.
pub(super) fn disk(config: &Config, report: &mut Report) {
    let of_models = files(config).into_iter().filter(|(path, _)| path.starts_with(data_dir::read_models(config)));
    let needed = of_models.map(|(_, file)| file.len()).sum::<u64>().max(disk_space::LEAST);
    match disk_space::free(&config.data) {
        Some(free) => room_for(needed, free, report),
        None => report.fine("disk", "how much room there is cannot be told here"),
    }
}

fn room_for(needed: u64, free: u64, report: &mut Report) {
    let megabytes = |bytes: u64| format!("{} MB", bytes / 1_000_000);
    if free < needed {
        let what = format!("{} are free, and building the read models anew may take {}", megabytes(free), megabytes(needed));
        report.finding("disk", what, "make room, or move the data folder");
    } else {
        report.fine("disk", format!("{} are free", megabytes(free)));
    }
}

/// Clients find their way by its metadata.
pub(super) async fn upstream(config: &Config, report: &mut Report) {
    let public_url = config.public_url.as_ref().map(ToString::to_string).unwrap_or_default();
    let server = AuthorizationServer::try_new(config.upstream.as_ref(), &public_url, config.extra_ca_file.as_deref());
    let found = match &server {
        Ok(server) => server.metadata().await.map(drop).map_err(|reason| (reason, server.trouble())),
        Err(error) => return report.finding("upstream", chain(error), "see to the file of certificate authorities"),
    };
    match found {
        Ok(()) => report.fine("upstream", "the authorization server's metadata can be fetched, or are not needed"),
        Err((NoMetadata::NotConfigured, _)) => report.fine("upstream", "no authorization server is configured"),
        Err((NoMetadata::Unavailable, trouble)) => {
            let what = format!("the authorization server's metadata cannot be fetched: {}", trouble.unwrap_or_default());
            report.finding("upstream", what, "start it, or see to --upstream-issuer; until then clients cannot find their way");
        }
    }
}

/// Nothing was decided in the future.
pub(super) fn clock(clock: &Clock, newest: Option<DateTime<Utc>>, report: &mut Report) {
    let now = clock.now();
    match newest.filter(|newest| *newest > now + SLACK) {
        Some(newest) => {
            let what = format!("it is {}, and an event is dated {}", now.format("%Y-%m-%dT%H:%M:%SZ"), newest.format("%Y-%m-%dT%H:%M:%SZ"));
            report.finding("clock", what, "set the clock (NTP): it is behind now, or was ahead then, and tokens and secrets expire by it");
        }
        None => report.fine("clock", format!("{}, no event is dated later", now.format("%Y-%m-%dT%H:%M:%SZ"))),
    }
}

/// What a crash or another build has left, and what may be thrown away.
pub(super) fn leftovers(config: &Config, report: &mut Report) {
    let before = report.findings();
    let current: Vec<String> =
        [(Directory::NAME, Directory::VERSION), (Approvals::NAME, Approvals::VERSION), (History::NAME, History::VERSION)]
            .iter()
            .map(|(name, version)| format!("{name}@{version}.building.db"))
            .collect();
    for (path, _) in files(config) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let draft = name.ends_with(atomic_file::ENDING) || (name.starts_with('.') && name.ends_with(key_files::DRAFT_ENDING));
        let building = name.contains('@') && name.ends_with(".building.db") && !current.iter().any(|current| current == name);
        if draft && !log_in_use(config) {
            report.finding("leftovers", format!("{} was never finished", path.display()), format!("`rm {}`", path.display()));
        }
        if building {
            let what = format!("{} was begun by a gatebook with another version of it", path.display());
            report.finding("leftovers", what, format!("`rm {}*`, unless that one is to run again", path.display()));
        }
    }
    if report.findings() == before {
        report.fine("leftovers", "nothing was left half done");
    }
    let side_tables = [
        (data_dir::schedule(&config.data), "it is made anew, and clients' documents are read once more"),
        (data_dir::usage(&config.data), "it is made anew, and nobody becomes dormant before it is old enough"),
    ];
    for (path, loss) in side_tables {
        if let Some(damage) = side_db::damage(&path) {
            let advice = format!("stop the service and remove {}: {loss}", path.display());
            report.finding("side tables", format!("{} is damaged: {damage}", path.display()), advice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_short_where_a_rebuild_would_not_fit() {
        let mut report = Report::default();
        room_for(300_000_000, 300_000_000, &mut report);
        assert_eq!(report.findings(), 0);
        room_for(300_000_001, 300_000_000, &mut report);
        assert_eq!(report.findings(), 1);
    }

    #[test]
    fn an_event_from_the_future_is_a_matter_of_the_clock() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let clock = Clock::standing_at(now);
        let mut report = Report::default();
        self::clock(&clock, None, &mut report);
        self::clock(&clock, Some(now + SLACK), &mut report);
        assert_eq!(report.findings(), 0);
        self::clock(&clock, Some(now + TimeDelta::hours(2)), &mut report);
        let said = report.checks.last().unwrap();
        assert!(said.what.contains("2027-01-15T08:00:00Z") && said.what.contains("2027-01-15T10:00:00Z"), "{}", said.what);
        assert!(said.advice.is_some());
    }
}
