//! The pages in a real browser, against the real binary: what administrators do, and what must never happen to them.
//!
//! `tests/run` installs Chromium and says where it is in `GATEBOOK_BROWSER`, and where playwright-core and axe-core are in
//! `GATEBOOK_BROWSER_NODE`. Each scene is a script beside this file.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops where it fails")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

#[allow(dead_code, reason = "the house of the API's own tests; not every part of it is needed here")]
#[path = "../api/answer.rs"]
mod answer;
#[allow(dead_code, reason = "the house of the API's own tests; not every part of it is needed here")]
#[path = "../api/house.rs"]
mod house;
#[path = "../instance/mod.rs"]
mod instance;
mod pictures;

use instance::{Instance, token};
use tempfile::TempDir;

#[test]
fn somebody_signs_in_and_out_and_is_offered_what_their_role_may_do() {
    play("sign_in", &[]);
}

#[test]
fn a_client_is_entered_and_its_secret_is_shown_once() {
    play("enter", &[]);
}

#[test]
fn what_waits_is_decided_by_keyboard_and_shows_in_a_second_tab() {
    play("approvals", &[]);
}

#[test]
fn many_clients_are_suspended_and_reinstated_together() {
    play("bulk", &[]);
}

#[test]
fn a_mode_is_switched_off_and_a_draft_of_rules_is_rehearsed() {
    play("settings", &[]);
}

#[test]
fn the_clients_tab_needs_no_mouse() {
    play("keyboard", &[]);
}

#[test]
fn five_thousand_clients_are_as_usable_as_five() {
    play("many", &[]);
}

#[test]
fn hostile_clients_break_nothing_and_hide_nowhere() {
    play("hostile", &[]);
}

#[test]
fn no_page_keeps_anybody_out() {
    play("accessible", &[]);
}

#[test]
fn the_list_and_the_history_fit_every_width() {
    play("widths", &[]);
}

#[test]
fn times_are_in_one_zone_and_what_takes_access_away_is_asked_about() {
    play("zones", &[]);
}

/// Plays a scene on an instance of its own, started with these flags.
fn play(scene: &str, flags: &[&str]) {
    let Some((browser, node)) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let service = Instance::start_with(&data, &[&["--registrations-per-minute", "0"], flags].concat());
    let scripts = scripts(&node);
    let mut command = Command::new("node");
    command.arg(scripts.path().join(format!("{scene}.mjs"))).arg(&service.url).env("GATEBOOK_BROWSER", browser).env("HOME", folder.path());
    for (name, role) in [("GATEBOOK_TOKEN", "admin"), ("GATEBOOK_VIEWER", "viewer"), ("GATEBOOK_DECIDER", "decider")] {
        command.env(name, token(&data, role, "default"));
    }
    let output = command.output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{said}\n{complained}", output.status);
    assert!(said.ends_with("all is well\n"), "the scene stopped early:\n{said}\n{complained}");
    let (_, errors) = service.stop();
    assert!(!errors.contains("panicked"), "{errors}");
}

/// The scenes beside the packages that they need: a module finds those beside itself.
fn scripts(node: &Path) -> TempDir {
    let scripts = tempfile::tempdir().unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    for entry in fs::read_dir(here).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "mjs") {
            fs::copy(&path, scripts.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    std::os::unix::fs::symlink(node.join("node_modules"), scripts.path().join("node_modules")).unwrap();
    scripts
}

/// The browser and the packages that drive it. If they are not there, that is said past the test harness, which keeps what a
/// passing test prints.
fn browser() -> Option<(PathBuf, PathBuf)> {
    let place = |name: &str| std::env::var_os(name).filter(|place| !place.is_empty()).map(PathBuf::from);
    let found = place("GATEBOOK_BROWSER").zip(place("GATEBOOK_BROWSER_NODE"));
    if found.is_none() {
        let line =
            "not run: the pages in a browser: GATEBOOK_BROWSER and GATEBOOK_BROWSER_NODE name no place for it; tests/run installs it\n";
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    found
}
