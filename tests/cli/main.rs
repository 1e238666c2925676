//! The command line, as a user meets it: the real binary, its output, its refusals and the files it leaves.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

#[path = "../instance/mod.rs"]
mod instance;

mod backup;
mod connections;
mod demo;
mod doctor;
mod faults;
mod import;
mod poll;
mod rebuild;
mod recovery;
mod settings;
mod token;
mod verify;

use std::path::{Path, PathBuf};

use reqwest::Method;
use tempfile::TempDir;

use instance::{Caller, DEFAULT_SERVER, claude};

/// A data folder that is not there yet, in a folder that goes when the test ends.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    (folder, data)
}

/// A path as a flag's value.
fn flag(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Registers some clients, one of which waits with a change and one of which is suspended.
async fn populate(anyone: &Caller, admin: &Caller) {
    for port in 0..12 {
        anyone.post("/oauth/register", &claude(42_000 + port)).await;
    }
    let held = anyone.post("/oauth/register", &claude(43_000)).await;
    let client_id = held["client_id"].as_str().unwrap();
    let mut wider = claude(43_000);
    wider["client_id"] = client_id.into();
    wider["redirect_uris"] = serde_json::json!(["http://localhost:43000/callback", "https://elsewhere.example.com/cb"]);
    let holder = anyone.with(held["registration_access_token"].as_str().unwrap());
    let (status, body) = holder.call(Method::PUT, &format!("/oauth/register/{client_id}"), Some(&wider)).await.unwrap();
    assert_eq!(status, 200, "{body}");
    let entered = admin.post(&format!("{DEFAULT_SERVER}/clients"), &serde_json::json!({ "client_name": "nightly" })).await;
    let suspend = format!("{DEFAULT_SERVER}/clients/{}/suspend", entered["client_id"].as_str().unwrap());
    admin.post(&suspend, &serde_json::json!({ "reason": "for the test" })).await;
}
