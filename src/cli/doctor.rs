//! `gatebook doctor`: looks at everything in the data folder, changes nothing, and says what to do about what it finds.

use clap::Args;
use gatebook_projections::approvals::Approvals;
use gatebook_projections::directory::Directory;
use gatebook_projections::history::History;
use serde_json::{Value, json};

use super::{Failed, checked};
use crate::bootstrap::log_in_use;
use crate::config::Settings;
use crate::config::data_dir;
use crate::platform::clock::Clock;

mod house;
mod log;
mod models;
mod sample;

/// Logs with no more events than this are compared whole.
const SMALL: u64 = 20_000;

/// Check the data folder, beside a service that runs or without one, and say what to do
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Compare every row of every read model, not only those of some clients
    #[arg(long)]
    pub full: bool,

    /// How many clients are looked at where the log is long and not all of it is compared
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    pub sample: usize,

    /// Print one JSON object instead of lines
    #[arg(long)]
    pub json: bool,

    /// The same settings as the server's.
    #[command(flatten)]
    pub settings: Settings,
}

/// What was looked at, and what is wrong with it.
#[derive(Default)]
struct Report {
    checks: Vec<Check>,
}

struct Check {
    name: &'static str,
    what: String,
    /// What to do about it, if something has to be done.
    advice: Option<String>,
}

impl Report {
    fn fine(&mut self, name: &'static str, what: impl Into<String>) {
        self.checks.push(Check { name, what: what.into(), advice: None });
    }

    fn finding(&mut self, name: &'static str, what: impl Into<String>, advice: impl Into<String>) {
        self.checks.push(Check { name, what: what.into(), advice: Some(advice.into()) });
    }

    fn findings(&self) -> usize {
        self.checks.iter().filter(|check| check.advice.is_some()).count()
    }

    fn as_json(&self) -> Value {
        let checks = self.checks.iter().map(|check| match &check.advice {
            None => json!({ "check": check.name, "ok": true, "what": check.what }),
            Some(advice) => json!({ "check": check.name, "ok": false, "what": check.what, "do": advice }),
        });
        json!({ "findings": self.findings(), "checks": checks.collect::<Vec<_>>() })
    }
}

/// Succeeds if there is nothing to do.
pub async fn run(args: DoctorArgs) -> Result<(), Failed> {
    let config = checked(args.settings)?;
    let path = data_dir::log(&config);
    if !path.exists() {
        return Err(Failed::new(format!("there is no event log at {}; `gatebook restore` makes one of a backup", path.display())));
    }
    let mut report = Report::default();
    house::versions(&mut report);
    report.fine("service", if log_in_use(&config) { "a gatebook has the log open" } else { "nobody has the log open" });
    house::permissions(&config, &mut report);
    house::keys(&config, &mut report);
    house::disk(&config, &mut report);
    house::leftovers(&config, &mut report);
    house::upstream(&config, &mut report).await;
    if let Some(examined) = log::examine(&config, args.sample, &mut report) {
        house::clock(&Clock::system(), examined.newest, &mut report);
        let full = args.full || examined.events <= SMALL;
        let left_out = models::all_left_out(&config).await;
        examined.report_unreadable(&left_out.unwrap_or_default(), &mut report);
        models::examine::<Directory>(&config, &examined, full, &mut report).await;
        models::examine::<Approvals>(&config, &examined, full, &mut report).await;
        models::examine::<History>(&config, &examined, full, &mut report).await;
    }
    print(&report, args.json);
    match report.findings() {
        0 => Ok(()),
        1 => Err(Failed::new("there is one thing to see to")),
        count => Err(Failed::new(format!("there are {count} things to see to"))),
    }
}

#[expect(clippy::print_stdout, reason = "this is a command for people")]
fn print(report: &Report, json: bool) {
    if json {
        println!("{:#}", report.as_json());
        return;
    }
    for Check { name, what, advice } in &report.checks {
        match advice {
            None => println!("  ok  {name:<12} {what}"),
            Some(advice) => println!("  !!  {name:<12} {what}\n      {:<12} → {advice}", ""),
        }
    }
}
