//! How fast read models are built from a long history, and in how much memory: `cargo bench --bench rebuild`.
//!
//! The history has 10,000,000 events, or as many as `GATEBOOK_BENCH_EVENTS` says, in a folder of its own in
//! `GATEBOOK_BENCH_FOLDER`, which takes about 15 GB. Each build is measured in a process that does nothing else, first with a
//! tenth of the history and then with all of it, so that what would grow with the history shows.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on is of no use")]

mod history;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use gatebook::event_log::sqlite::SqliteLog;
use gatebook::event_log::{EventLog, Followed};
use gatebook::read_models::build::{self, Begin};
use gatebook_events::envelope::Position;
use gatebook_projections::{Approvals, Directory, History, Projection};

use history::{cpu, cpu_since, generate, line, peak};

/// How many events are generated, unless this variable says otherwise.
const EVENTS: &str = "GATEBOOK_BENCH_EVENTS";
const DEFAULT_EVENTS: u64 = 10_000_000;
/// What is measured, in this order.
const PARTS: [&str; 4] = ["read", Directory::NAME, History::NAME, Approvals::NAME];
/// What the process that measures a part is told it by.
const PART: &str = "GATEBOOK_BENCH_PART";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Ok(part) = std::env::var(PART) {
        return measure(&part, Path::new(arguments.last().unwrap()));
    }
    // For a profiler: a history that stays, which a process with a part to measure is then shown.
    if let Some(folder) = std::env::var_os("GATEBOOK_BENCH_KEEP") {
        std::fs::create_dir(&folder).unwrap();
        generate(&Path::new(&folder).join("log.db"), DEFAULT_EVENTS / 10);
        return;
    }
    let count = std::env::var(EVENTS).map_or(DEFAULT_EVENTS, |text| text.parse().unwrap());
    let only = std::env::var("GATEBOOK_BENCH_ONLY").ok();
    let parent = std::env::var_os("GATEBOOK_BENCH_FOLDER").map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
    for count in [count / 10, count] {
        let folder = tempfile::tempdir_in(parent.path()).unwrap();
        generate(&folder.path().join("log.db"), count);
        println!("{:<52} {:>12} {:>14}", "into a rebuild", "events/s", "CPU µs/event");
        for part in PARTS.iter().filter(|part| only.as_deref().is_none_or(|only| only == **part)) {
            let itself = std::env::current_exe().unwrap();
            assert!(Command::new(itself).arg(folder.path()).env(PART, part).status().unwrap().success());
        }
    }
}

fn measure(part: &str, folder: &Path) {
    let log = Arc::new(SqliteLog::open(&folder.join("log.db")).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match part {
            Directory::NAME => into::<Directory>(log, folder).await,
            History::NAME => into::<History>(log, folder).await,
            Approvals::NAME => into::<Approvals>(log, folder).await,
            _ => read(log).await,
        }
    });
}

/// No tables at all: what reading and verifying costs.
async fn read(log: Arc<SqliteLog>) {
    let (started, cpu) = (Instant::now(), cpu());
    let (mut following, mut count) = (log.follow(Position::START), 0);
    while let Followed::Events(events) = following.next().await.unwrap().unwrap() {
        count += events.len() as u64;
    }
    line(&format!("read and verified, {} MB at most", peak()), count, started.elapsed(), cpu_since(cpu));
}

/// Into the tables of a projection that begins anew, as a rebuild does it.
async fn into<P: Projection>(log: Arc<SqliteLog>, folder: &Path) {
    let (started, cpu) = (Instant::now(), cpu());
    let log: Arc<dyn EventLog> = log;
    let Ok(built) = build::build::<P>(&log, folder, Begin::Anew, |_| {}).await else { unreachable!("it can be built") };
    line(&format!("{}, {} MB at most", P::NAME, peak()), built.position().to_backend(), started.elapsed(), cpu_since(cpu));
    let files = built.path().to_owned();
    drop(built);
    std::fs::remove_file(files).unwrap();
}
