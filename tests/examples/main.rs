//! The examples as a stranger runs them: word by word, and behind the proxies that they show. With the real SDK of MCP clients, a
//! real authorization server, nginx and Caddy.
//!
//! `tests/run` installs what they need and says where in `GATEBOOK_EXAMPLES_NODE`.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

#[path = "../instance/mod.rs"]
mod instance;
mod programs;
mod proxies;
#[allow(dead_code, reason = "the tour's own tests look at its parts")]
#[path = "../tour/walk.rs"]
mod walk;

use std::process::Command;

use instance::{has, text};
use programs::{Examples, free_port, not_run};

#[test]
fn the_examples_can_be_followed_word_by_word() {
    let Some(examples) = Examples::take("the examples' README") else { return };
    let missing: Vec<&str> = ["bash", "curl", "jq", "openssl"].into_iter().filter(|program| !has(program)).collect();
    if !missing.is_empty() {
        return not_run("the examples' README", &format!("there is no {}", missing.join(" and no ")));
    }
    let document = std::fs::read_to_string(examples.file("README.md")).unwrap();
    let stops = walk::stops(&document);
    assert!(!stops.is_empty(), "the README has no block that is fenced as ```sh tour");
    let places: Vec<(&str, String)> = ["127.0.0.1:8080", "127.0.0.1:3000", "127.0.0.1:3001", "localhost:3443"]
        .into_iter()
        .map(|written| (written, format!("{}:{}", written.split_once(':').unwrap().0, free_port())))
        .collect();
    let places: Vec<(&str, &str)> = places.iter().map(|(written, meant)| (*written, meant.as_str())).collect();
    walk::walk(&stops, examples.folder(), &places).unwrap_or_else(|missed| {
        let log = |name: &str| std::fs::read_to_string(examples.file(name)).unwrap_or_default();
        panic!("examples/README.md, {missed}\n{}\n{}", log("oidc-provider.log"), log("gatebook.log"))
    });
}

#[test]
fn the_client_store_matches_redirect_uris_as_the_register_does() {
    let Some(examples) = Examples::take("the example's matcher of redirect URIs") else { return };
    let script = examples.file("redirects.mjs");
    std::fs::write(&script, include_str!("redirects.mjs")).unwrap();
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/events/tests/redirect_vectors.json");
    let output = Command::new("node").arg(script).arg(vectors).output().unwrap();
    assert!(output.status.success(), "{}\n{}", text(output.stdout), text(output.stderr));
}
