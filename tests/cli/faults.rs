//! Faults of files and processes: each is found or harmless, mended without a write to the log, and whoever is killed, the tables
//! come to the same.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::time::{Duration, Instant};

use gatebook_projections::{Approvals, Directory, History, Projection, ReadModel};
use reqwest::Method;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};

use crate::doctor::{copied, cut, findings, stopped, tables};
use crate::flag;
use crate::instance::{Caller, Instance, PATIENCE, claude, run, said};

const NAMES: [&str; 3] = ["directory", "approvals", "history"];

/// Every row of every projection, once nobody has them open.
fn rows(data: &Path) -> BTreeMap<&'static str, Vec<String>> {
    fn of<P: Projection>(data: &Path) -> (&'static str, Vec<String>) {
        (P::NAME, ReadModel::<P>::open(&data.join("read-models")).unwrap().dump().unwrap())
    }
    BTreeMap::from([of::<Directory>(data), of::<Approvals>(data), of::<History>(data)])
}

/// Everything that stands in a log, if it can be read.
fn events(data: &Path) -> Vec<Vec<Value>> {
    let log = Connection::open_with_flags(data.join("log.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut all = log.prepare("SELECT e.*, s.name FROM events e JOIN streams s ON s.id = e.stream ORDER BY position").unwrap();
    let columns = all.column_count();
    all.query_map([], |row| (0..columns).map(|column| row.get(column)).collect()).unwrap().map(Result::unwrap).collect()
}

/// The number that says what a random run depended on.
fn seed(what: &str) -> u64 {
    let given = std::env::var("GATEBOOK_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| RandomState::new().hash_one(what));
    eprintln!("{what}: GATEBOOK_TEST_SEED={seed}");
    seed
}

/// Bytes spread over a file, some in each page, for the most part where there is something.
fn places(file: &[u8], seed: u64, count: usize) -> Vec<usize> {
    let (mut places, mut number) = (Vec::new(), seed | 1);
    while places.len() < count {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let place = usize::try_from(number >> 20).unwrap() % file.len();
        if file[place] != 0 || places.len().is_multiple_of(8) {
            places.push(place);
        }
    }
    places
}

/// Which rows differ; all of them would fill screens.
fn differing(one: &BTreeMap<&'static str, Vec<String>>, other: &BTreeMap<&'static str, Vec<String>>) -> Vec<String> {
    let mut found = Vec::new();
    for (of, not, mark) in [(one, other, '-'), (other, one, '+')] {
        for (name, rows) in of {
            found.extend(rows.iter().filter(|row| !not[name].contains(row)).map(|row| format!("{mark} {name} {row}")));
        }
    }
    found.truncate(8);
    found
}

fn flip(path: &Path, place: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[place] ^= 0x5a;
    fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_that_is_flipped_anywhere_in_the_log_is_found_or_changes_nothing_that_is_stored() {
    let (_folder, data) = stopped().await;
    let all = events(&data);
    let log = fs::read(data.join("log.db")).unwrap();
    let mut found = 0;
    for place in places(&log, seed("log"), 40) {
        let (_folder, data) = copied(&data);
        flip(&data.join("log.db"), place);
        let flipped = fs::read(data.join("log.db")).unwrap();
        let named = findings(&data);
        if named.is_empty() {
            assert!(events(&data) == all, "byte {place} changed what is stored and nobody noticed");
        } else {
            assert!(named.iter().any(|[check, ..]| check == "log"), "byte {place}: {named:#?}");
            found += 1;
        }
        // Neither who looks nor who would build from it writes to it.
        let _may_fail = run(&["rebuild", "--data", flag(&data)]);
        let _may_fail = run(&["backup", flag(&data.join("backup")), "--data", flag(&data)]);
        assert!(fs::read(data.join("log.db")).unwrap() == flipped, "byte {place}: the log was written to");
    }
    assert!(found > 15, "{found} of 40 flips were in what is stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_that_is_flipped_anywhere_in_a_projection_is_found_or_changes_no_row_and_a_rebuild_mends_it() {
    let (_folder, data) = stopped().await;
    let (log, all) = (fs::read(data.join("log.db")).unwrap(), rows(&data));
    for name in NAMES {
        let mut found = 0;
        for place in places(&fs::read(tables(&data, name)).unwrap(), seed(name), 16) {
            let (_folder, data) = copied(&data);
            flip(&tables(&data, name), place);
            let named = findings(&data);
            if named.is_empty() {
                assert_eq!(differing(&all, &rows(&data)), Vec::<String>::new(), "byte {place} of {name} changed a row and nobody noticed");
            } else {
                assert!(named.iter().all(|[check, ..]| check == name), "byte {place} of {name}: {named:#?}");
                found += 1;
                said(run(&["rebuild", name, "--data", flag(&data)]));
                assert_eq!(findings(&data), Vec::<[String; 3]>::new());
                assert_eq!(differing(&all, &rows(&data)), Vec::<String>::new(), "byte {place} of {name} is still felt");
            }
            assert!(fs::read(data.join("log.db")).unwrap() == log, "the log was written to");
        }
        assert!(found > 4, "{found} of 16 flips were in what is stored in {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_is_cut_short_empty_or_something_else_is_built_anew_at_the_start() {
    let (_folder, data) = stopped().await;
    let (log, all) = (fs::read(data.join("log.db")).unwrap(), rows(&data));
    let garbage = |path: &Path| fs::write(path, "x".repeat(20_000)).unwrap();
    let empty = |path: &Path| fs::write(path, "").unwrap();
    let gone = |path: &Path| fs::remove_file(path).unwrap();
    for spoil in [&cut as &dyn Fn(&Path), &garbage, &empty, &gone] {
        let (_folder, data) = copied(&data);
        for name in NAMES {
            spoil(&tables(&data, name));
        }
        let service = Instance::start(&data);
        Caller::admin(&service, &data).everything().await;
        let (_, complaints) = service.stop();
        assert_eq!(complaints, "");
        assert_eq!(differing(&all, &rows(&data)), Vec::<String>::new());
        assert!(fs::read(data.join("log.db")).unwrap() == log, "the log was written to");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_cut_short_is_not_served_from_as_if_nothing_were_missing() {
    let (_folder, data) = stopped().await;
    cut(&data.join("log.db"));
    let short = fs::read(data.join("log.db")).unwrap();
    assert!(findings(&data).iter().any(|[check, _, advice]| check == "log" && advice.contains("gatebook restore")));
    let output = run(&["serve", "--listen", "127.0.0.1:0", "--data", flag(&data)]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("failed to open the event log") && told.contains("malformed"), "{told}");
    assert!(fs::read(data.join("log.db")).unwrap() == short, "the log was written to");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_kill_left_in_the_write_ahead_log_is_not_dropped_without_a_word_when_a_byte_of_it_flips() {
    let (_folder, data) = crate::place();
    let service = Instance::start(&data);
    crate::populate(&Caller::anyone(&service), &Caller::admin(&service, &data)).await;
    service.kill();
    let ahead = data.join("log.db-wal");
    let middle = usize::try_from(fs::metadata(&ahead).unwrap().len() / 2).unwrap();
    flip(&ahead, middle);
    let before = (fs::read(data.join("log.db")).unwrap(), fs::read(&ahead).unwrap());
    for command in ["doctor", "verify", "rebuild", "serve"] {
        let output = run(&[command, "--data", flag(&data)]);
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(
            told.contains("log.db-wal is damaged at byte ") && told.contains(" commits behind that would be lost"),
            "{command}: {told}"
        );
        assert_eq!(output.status.code(), Some(1));
        assert!((fs::read(data.join("log.db")).unwrap(), fs::read(&ahead).unwrap()) == before, "{command} wrote to it");
    }
    // Mended, nothing was lost.
    flip(&ahead, middle);
    let service = Instance::start(&data);
    assert_eq!(Caller::admin(&service, &data).everything().await["clients"][0].as_array().unwrap().len(), 14);
    service.stop();
    assert_eq!(findings(&data), Vec::<[String; 3]>::new());
}

/// Moments at which a build is at its end.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// Its file was begun.
    Begun,
    /// A transaction of it is whole: there are few, and the last of them is soon followed by its being put in place.
    Written,
    /// Its file has its new name.
    Renamed,
}

/// Waits without giving the processor away: the moments are shorter than any sleep.
fn until(what: &str, there: &dyn Fn() -> bool) {
    let started = Instant::now();
    while !there() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::hint::spin_loop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_is_killed_while_tables_are_swapped_the_next_start_shows_the_same() {
    let (_folder, data) = stopped().await;
    let first = events(&data);
    let building = data.join("read-models").join(format!("directory@{}.building.db", Directory::VERSION));
    let journal = building.with_extension("db-journal");
    let mut answered = 13;
    for round in 0..24 {
        let moment = [Moment::Begun, Moment::Written, Moment::Renamed][round % 3];
        let service = Instance::start(&data);
        let (admin, anyone) = (Caller::admin(&service, &data), Caller::anyone(&service));
        // Clients come in all the while, so that what serves is written to while it is replaced.
        let writing = tokio::spawn(async move {
            let mut registered = 0;
            while let Ok((201, _)) = anyone.call(Method::POST, "/oauth/register", Some(&claude(44_000))).await {
                registered += 1;
            }
            registered
        });
        let rebuild = tokio::spawn(async move { drop(admin.call(Method::POST, "/authsec/projections/directory/rebuild", None).await) });
        let (building, journal) = (building.clone(), journal.clone());
        let kill = move || {
            until("no build was begun", &|| building.exists());
            match moment {
                Moment::Begun => {}
                Moment::Written => {
                    until("nothing was written", &|| journal.exists() || !building.exists());
                    until("nothing was ever written whole", &|| !journal.exists());
                }
                Moment::Renamed => until("it was never put in place", &|| !building.exists()),
            }
            // A little later in each round.
            let began = Instant::now();
            let later = Duration::from_micros(25 * (round as u64 / 3));
            until("time passes", &|| began.elapsed() >= later);
            service.kill();
        };
        tokio::task::spawn_blocking(kill).await.unwrap();
        rebuild.await.unwrap();
        answered += writing.await.unwrap();

        let service = Instance::start(&data);
        let admin = Caller::admin(&service, &data);
        let after = admin.everything().await;
        let listed = after["clients"][3][0]["by_type"]["dcr"].as_u64().unwrap();
        assert!(listed >= answered, "killed at {moment:?} in round {round}: {answered} were answered, {listed} are listed");
        answered = listed;
        crate::rebuild::anyone_waits_for(&admin, "live").await;
        assert!(admin.everything().await == after, "killed at {moment:?} in round {round}");
        let (_, complaints) = service.stop();
        assert_eq!(complaints, "");
        // Every row is what a build from the first event makes.
        assert_eq!(findings(&data), Vec::<[String; 3]>::new(), "killed at {moment:?} in round {round}");
    }
    assert!(events(&data)[..first.len()] == first, "the log was written to");
    let resumed = rows(&data);
    fs::remove_dir_all(data.join("read-models")).unwrap();
    said(run(&["rebuild", "--data", flag(&data)]));
    assert_eq!(differing(&resumed, &rows(&data)), Vec::<String>::new());
}
