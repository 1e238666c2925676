//! What was answered stands: the real binary under load, killed at random moments, ten times over the same data folder.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and what a random run depends on is printed"
)]

#[path = "../instance/mod.rs"]
mod instance;

mod chance;
mod kept;
mod load;
mod stop;

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use instance::{Caller, DEFAULT_SERVER, Instance, run, said};
use serde_json::Value;

use chance::Chance;
use kept::Kept;

const ROUNDS: u32 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_outlives_ten_kills() {
    let mut chance = Chance::printed("crash");
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut kept = Kept::default();
    let started = Instant::now();
    for round in 0..ROUNDS {
        let service = Instance::start(&data);
        let admin = Caller::admin(&service, &data);
        kept.check(&Caller::anyone(&service), &admin, &mut chance).await;
        verify(&data);
        let moment = Duration::from_millis(200 + chance.below(701));
        let under_load = load::Load::start(&service, &admin, &chance, round);
        tokio::time::sleep(moment).await;
        under_load.expect_the_end();
        service.kill();
        let done = under_load.finish().await;
        println!("round {round}: killed after {moment:?}; {done}");
        assert!(done.registered() > 0, "a round in which nothing was answered shows nothing");
        kept.add(done);
    }
    let service = Instance::start(&data);
    let admin = Caller::admin(&service, &data);
    kept.check(&Caller::anyone(&service), &admin, &mut chance).await;
    kept.check_everyone(&Caller::anyone(&service)).await;
    verify(&data);
    let (_, complaints) = service.stop();
    assert_eq!(complaints, "", "nothing was worth a warning");
    println!("{kept} in {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_back_as_they_were_when_the_read_models_are_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let service = Instance::start(&data);
    let admin = Caller::admin(&service, &data);
    let under_load = load::Load::start(&service, &admin, &Chance::printed("deleted"), 0);
    tokio::time::sleep(Duration::from_millis(300)).await;
    under_load.stop();
    let done = under_load.finish().await;
    assert!(done.registered() > 0);
    let before = admin.everything().await;
    service.stop();

    std::fs::remove_dir_all(data.join("read-models")).unwrap();
    let service = Instance::start(&data);
    let after = Caller::admin(&service, &data).everything().await;
    assert!(before == after, "the lists differ: {}", first_difference(&before, &after, ""));
    service.stop();
}

/// The chain holds. The command reads only, so that it may run beside the service.
fn verify(data: &Path) {
    let verdict = said(run(&["verify", "--data", data.to_str().unwrap()]));
    assert!(verdict.contains("the chain holds"), "{verdict}");
}

/// Clients by id, each of them once.
async fn listed(admin: &Caller) -> HashMap<String, Value> {
    let rows = admin.all(&format!("{DEFAULT_SERVER}/clients"), "clients").await;
    let count = rows.len();
    let by_id: HashMap<String, Value> = rows.into_iter().map(|row| (row["client_id"].as_str().unwrap().to_owned(), row)).collect();
    assert_eq!(by_id.len(), count, "a client is listed twice");
    by_id
}

/// Where two answers first differ; the whole of them would fill screens.
fn first_difference(left: &Value, right: &Value, at: &str) -> String {
    match (left, right) {
        (Value::Object(a), Value::Object(b)) if a.len() == b.len() => a
            .iter()
            .find(|(name, value)| b.get(*name) != Some(value))
            .map_or(at.to_owned(), |(name, value)| first_difference(value, b.get(name).unwrap_or(&Value::Null), &format!("{at}/{name}"))),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find(|(_, (x, y))| x != y)
            .map_or(at.to_owned(), |(index, (x, y))| first_difference(x, y, &format!("{at}/{index}"))),
        _ => format!("{at}: {left} and {right}"),
    }
}
