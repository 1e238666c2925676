//! What an import says of each client, for people or as JSON Lines, and what it counts.
#![expect(clippy::print_stdout, reason = "this is the output of a command")]

use std::io::IsTerminal;

use gatebook_events::admission::Admission;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::application::register::import::Verdict;
use crate::application::register::import_formats::shown;

/// What there is to say of one client.
pub(super) struct Told {
    /// Where in the file.
    pub place: String,
    /// What it is called there, if anything.
    pub id: Option<String>,
    /// Its identifier here, if it could have one.
    pub client_id: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// What it had and does not have here, and what it gets instead.
    pub notes: Vec<String>,
}

/// What became of a client of a file.
pub(super) enum Outcome {
    /// It is in, or would be.
    Imported(Verdict, Admission),
    /// It was imported before.
    AlreadyHere,
    /// It is the client that stands at this place of the same file.
    Duplicate(String),
    /// It is nothing to register.
    Skipped(String),
    /// It cannot be registered.
    Refused(String),
}

impl Outcome {
    fn as_str(&self, dry_run: bool) -> &'static str {
        match self {
            Self::Imported(..) if dry_run => "would_be_imported",
            Self::Imported(..) => "imported",
            Self::AlreadyHere => "already_here",
            Self::Duplicate(_) => "duplicate",
            Self::Skipped(_) => "skipped",
            Self::Refused(_) => "refused",
        }
    }
}

/// How many clients came to what.
#[derive(Default)]
pub(super) struct Counts {
    imported: u64,
    waiting: u64,
    already_here: u64,
    skipped: u64,
    /// Those that make the command fail.
    pub refused: u64,
}

impl Counts {
    /// All clients of the file.
    pub fn all(&self) -> u64 {
        self.imported + self.already_here + self.skipped + self.refused
    }
}

/// The report of an import under way.
pub(super) struct Report {
    counts: Counts,
    dry_run: bool,
    json: bool,
    bar: ProgressBar,
}

impl Report {
    /// About so many clients.
    pub fn new(clients: u64, dry_run: bool, json: bool) -> Self {
        Self { counts: Counts::default(), dry_run, json, bar: bar(clients) }
    }

    /// Whether nothing is written.
    pub fn dry_run(&self) -> bool {
        self.dry_run
    }

    /// Says what the whole file lacks.
    pub fn warn(&self, warning: &str) {
        let line = if self.json { json!({ "warning": warning }).to_string() } else { warning.to_owned() };
        self.line(&line);
    }

    /// Counts a client, and says what there is to say of it.
    pub fn tell(&mut self, client: &Told) {
        self.bar.inc(1);
        match &client.outcome {
            Outcome::Imported(_, admission) => {
                self.counts.imported += 1;
                self.counts.waiting += u64::from(*admission == Admission::Review);
            }
            Outcome::AlreadyHere | Outcome::Duplicate(_) => self.counts.already_here += 1,
            Outcome::Skipped(_) => self.counts.skipped += 1,
            Outcome::Refused(_) => self.counts.refused += 1,
        }
        let line = if self.json { Some(self.object(client)) } else { self.sentence(client) };
        if let Some(line) = line {
            self.line(&line);
        }
    }

    /// Says how many came to what.
    pub fn end(self) -> Counts {
        let summary = if self.json { self.json_summary() } else { self.summary() };
        self.bar.finish_and_clear();
        println!("{summary}");
        self.counts
    }

    fn line(&self, line: &str) {
        self.bar.suspend(|| println!("{line}"));
    }

    /// None where everything came as it was.
    fn sentence(&self, client: &Told) -> Option<String> {
        let name = client.id.as_ref().map(|id| format!(", \"{}\"", shown(id))).unwrap_or_default();
        let notes = client.notes.join("; ");
        let what = match &client.outcome {
            Outcome::Imported(..) if notes.is_empty() => return None,
            Outcome::Imported(..) if self.dry_run => format!("would be imported {notes}"),
            Outcome::Imported(..) => format!("imported {notes}"),
            Outcome::AlreadyHere => return None,
            Outcome::Duplicate(first) => format!("passed over, it is the client of {first}"),
            Outcome::Skipped(why) => format!("skipped, {why}"),
            Outcome::Refused(why) => format!("refused, {why}"),
        };
        Some(format!("{}{name}: {what}", client.place))
    }

    fn object(&self, client: &Told) -> String {
        let mut object = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                object.insert(name.to_owned(), value);
            }
        };
        put("place", Some(client.place.clone().into()));
        put("id", client.id.clone().map(Value::from));
        put("client_id", client.client_id.clone().map(Value::from));
        put("outcome", Some(client.outcome.as_str(self.dry_run).into()));
        match &client.outcome {
            Outcome::Imported(_, admission) => {
                put("status", Some(if *admission == Admission::Review { "pending" } else { "approved" }.into()));
            }
            Outcome::Skipped(why) | Outcome::Refused(why) => put("reason", Some(why.clone().into())),
            Outcome::Duplicate(first) => put("same_as", Some(first.clone().into())),
            Outcome::AlreadyHere => {}
        }
        if !client.notes.is_empty() {
            put("notes", Some(client.notes.clone().into()));
        }
        Value::from(object).to_string()
    }

    fn summary(&self) -> String {
        let Counts { imported, waiting, already_here, skipped, refused } = &self.counts;
        let waiting = if *waiting > 0 { format!(" ({waiting} of them wait for an approval)") } else { String::new() };
        if self.dry_run {
            let skipped = if *skipped > 0 { format!("{skipped} would be skipped, ") } else { String::new() };
            format!(
                "{imported} would be imported{waiting}, {already_here} are here already, {skipped}{refused} would be refused; nothing was written"
            )
        } else {
            let skipped = if *skipped > 0 { format!("{skipped} skipped, ") } else { String::new() };
            format!("{imported} imported{waiting}, {already_here} were here already, {skipped}{refused} refused")
        }
    }

    fn json_summary(&self) -> String {
        let Counts { imported, waiting, already_here, skipped, refused } = &self.counts;
        let imported_or_not = if self.dry_run { "would_be_imported" } else { "imported" };
        json!({ "summary": {
            imported_or_not: imported, "pending": waiting, "already_here": already_here, "skipped": skipped, "refused": refused,
        } })
        .to_string()
    }
}

/// A bar with rate and time left; nothing where standard error is no terminal.
fn bar(clients: u64) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(clients), target);
    if let Ok(style) = ProgressStyle::with_template(" importing [{bar:40}] {pos}/{len} clients, {per_sec}, {eta} left") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
