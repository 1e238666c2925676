//! The projection of `examples/projection`: what it counts in a log, and that it stays as short as it is said to be.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::answers;
use crate::copy;
use crate::events;
use crate::fixtures;
use crate::fixtures_folder;
use crate::house::DEFAULT;
use crate::projection;

#[tokio::test]
async fn the_example_counts_the_registrations_of_a_kept_log_per_day_and_host() {
    let (folder, own) = (copy(&fixtures_folder().join("log-1")), tempfile::tempdir().unwrap());
    let log = folder.path().join("data/log.db");
    let rows = projection::count(&log, own.path()).await.unwrap();
    let table: Vec<String> = rows.iter().map(|(day, host, number)| format!("{day} {number} {host}")).collect();
    let expected = [
        "2027-01-15 1 app.example",
        "2027-01-15 1 dash.example",
        "2027-01-15 1 keys.example",
        "2027-01-15 6 localhost",
        "2027-01-15 1 mail.example",
        "2027-01-15 1 notes.example",
        "2027-01-16 2 127.0.0.1",
        "2027-01-16 3 agent.example.org",
        "2027-01-16 3 localhost",
        "2027-01-16 1 vendor.example",
        "2027-01-17 3 app.example",
        "2027-01-19 8 app.example",
        "2027-01-19 6 localhost",
    ];
    assert_eq!(table, expected);
    assert_eq!(projection::count(&log, own.path()).await.unwrap(), rows, "what was counted is not counted again");
}

#[tokio::test]
async fn the_example_follows_a_running_service_and_agrees_with_the_events() {
    for fixture in fixtures() {
        let (house, own) = (answers::open(&fixture).await, tempfile::tempdir().unwrap());
        let data = house.folder.path().join("data");
        let before = projection::count(&data.join("log.db"), own.path()).await.unwrap();
        assert_eq!(before, counted(&data).await);
        let body = json!({ "redirect_uris": ["https://new.example/a", "https://new.example/b", "http://127.0.0.1/cb"] });
        house.anyone().post(&format!("/rs/{DEFAULT}/oauth/register"), body).await.is(201);
        let after = projection::count(&data.join("log.db"), own.path()).await.unwrap();
        assert_eq!(after, counted(&data).await);
        let news: Vec<_> = after.iter().filter(|(_, host, _)| host == "new.example").map(|(_, _, number)| *number).collect();
        assert_eq!(news, [1], "once, though with two redirect URIs");
    }
}

/// The same from the stored JSON.
async fn counted(data: &Path) -> Vec<(String, String, i64)> {
    let mut table: BTreeMap<(String, String), i64> = BTreeMap::new();
    for envelope in events(data).await.iter().filter(|envelope| &*envelope.event.name == "client.registered") {
        let event: Value = serde_json::from_str(&envelope.event.data).unwrap();
        let uris = event["metadata"]["redirect_uris"].as_array().unwrap();
        let mut hosts: Vec<String> =
            uris.iter().map(|uri| url::Url::parse(uri.as_str().unwrap()).unwrap().host_str().unwrap().to_owned()).collect();
        hosts.sort();
        hosts.dedup();
        for host in hosts {
            *table.entry((envelope.event.recorded_at.format("%Y-%m-%d").to_string(), host)).or_default() += 1;
        }
    }
    table.into_iter().map(|((day, host), number)| (day, host, number)).collect()
}

/// It is a workspace of its own, so nothing else would notice if the crates that it names were gone.
#[test]
fn the_example_is_short_and_a_package_of_its_own() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/projection");
    let lines = std::fs::read_to_string(folder.join("src/main.rs")).unwrap().lines().count();
    assert!(lines < 80, "it has {lines} lines");
    let mut cargo = Command::new(env!("CARGO"));
    let described = cargo.args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"]);
    let output = described.arg(folder.join("Cargo.toml")).output().unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let package = &metadata["packages"][0];
    let paths = package["dependencies"].as_array().unwrap().iter().filter_map(|dependency| dependency["path"].as_str());
    assert_eq!(paths.filter(|path| Path::new(path).join("Cargo.toml").exists()).count(), 3, "{package}");
}
