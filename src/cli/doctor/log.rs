//! The event log: its pages and indexes, its chain, and whether this build reads every event.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use gatebook_events::codec;
use gatebook_events::envelope::{EventId, Position};
use gatebook_events::stored::CodecError;

use super::Report;
use super::sample::Sample;
use crate::bootstrap::open_log_read_only;
use crate::cli::{chain, progress, rebuild};
use crate::config::Config;
use crate::event_log::{EventLog, LogError};

/// How many events that cannot be read are named, and how many are remembered at all.
const MOST: usize = 8;
const REMEMBERED: usize = 4096;
const NAME: &str = "log";
const RESTORE: &str = "keep copies of log.db and what is beside it, move them away, and `gatebook restore` the newest backup";

/// What one walk through a log that is whole has shown.
pub(super) struct Examined {
    pub events: u64,
    pub sample: Sample,
    /// The latest time that any event bears.
    pub newest: Option<DateTime<Utc>>,
    /// Events that no build like this one reads.
    pub unreadable: Vec<Unreadable>,
}

pub(super) struct Unreadable {
    pub id: EventId,
    what: String,
    needs_version: Option<u16>,
}

/// None where there is nothing to hold the read models against.
pub(super) fn examine(config: &Config, sample: usize, report: &mut Report) -> Option<Examined> {
    let log = match open_log_read_only(config) {
        Ok(log) => log,
        Err(error) => {
            report.finding(NAME, chain(&error), RESTORE);
            return None;
        }
    };
    let pages = log.damage();
    let mut examined = Examined { events: 0, sample: Sample::new(sample), newest: None, unreadable: Vec::new() };
    let bar = rebuild::bar("log");
    let walked = log.verify_and_look(progress(&bar), |events| {
        for envelope in events {
            examined.sample.look(envelope);
            examined.newest = examined.newest.max(Some(envelope.event.recorded_at));
            if let Err(error) = codec::decode(envelope)
                && examined.unreadable.len() < REMEMBERED
            {
                let needs_version = match &error {
                    CodecError::Newer { version, .. } => Some(*version),
                    _ => None,
                };
                let what =
                    format!("event {}, {} at position {}: {}", envelope.event.id.0, envelope.event.name, envelope.position, chain(&error));
                examined.unreadable.push(Unreadable { id: envelope.event.id, what, needs_version });
            }
        }
    });
    bar.finish_and_clear();
    match walked {
        Ok(summary) => {
            examined.events = summary.events;
            report.fine(NAME, format!("{} events, the chain holds; head {}", summary.events, summary.hash));
            match pages.map_err(|error| chain(&error)) {
                Ok(damage) if damage.is_empty() => report.fine(NAME, "its pages and indexes are in order"),
                Ok(damage) => damaged_indexes(&damage.join("; "), report),
                Err(cause) => damaged_indexes(&cause, report),
            }
            Some(examined)
        }
        Err(LogError::Broken(broken)) => {
            let advice = format!("{RESTORE}; the events before position {} are good", broken.position);
            report.finding(NAME, broken.to_string(), advice);
            None
        }
        Err(error) => {
            report.finding(NAME, chain(&error), RESTORE);
            None
        }
    }
}

fn damaged_indexes(what: &str, report: &mut Report) {
    let advice = "stop the service, `gatebook backup` and `gatebook restore` the log: a backup takes the events and makes all else anew";
    report.finding(NAME, format!("every event is as it was written, but the file is damaged: {what}"), advice);
}

impl Examined {
    /// Events that stop projections, but for those that every one of them leaves out.
    pub fn report_unreadable(&self, left_out: &[HashSet<EventId>], report: &mut Report) {
        let skipped = |id: &EventId| left_out.iter().all(|of_one| of_one.contains(id));
        let (skipped, standing): (Vec<_>, Vec<_>) = self.unreadable.iter().partition(|event| skipped(&event.id));
        if !skipped.is_empty() {
            report.fine("events", format!("{} that cannot be read are left out, as was decided", skipped.len()));
        }
        for Unreadable { what, needs_version, .. } in standing.iter().take(MOST) {
            let advice = match needs_version {
                Some(version) => format!("run a gatebook that knows version {version} of this event"),
                None => "projections stop there: run the gatebook that wrote it, or have them go on without it \
                    (`POST /authsec/projections/{name}/skip` with event_id and reason)"
                    .to_owned(),
            };
            report.finding("events", what.clone(), advice);
        }
        if standing.len() > MOST {
            report.finding("events", format!("and {} more that cannot be read", standing.len() - MOST), "as above");
        }
        if self.unreadable.is_empty() {
            report.fine("events", "this build reads every event");
        }
    }
}

/// Where the log ends now.
pub(super) async fn head(config: &Config) -> Result<Position, String> {
    let log = open_log_read_only(config).map_err(|error| chain(&error))?;
    log.head().await.map_err(|error| chain(&error))
}
