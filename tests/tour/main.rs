//! Every command of the README's tour runs and says what the README says that it says.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and one that was not run says so"
)]

#[path = "../instance/mod.rs"]
mod instance;
mod walk;

use std::path::Path;

use instance::{Instance, has};
use walk::{stops, walk};

/// The address that the README uses, which is the default one.
const ADDRESS: &str = "http://127.0.0.1:8080";

#[test]
fn the_readme_can_be_followed_word_by_word() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&readme).unwrap_or_else(|error| panic!("README.md cannot be read: {error}"));
    let stops = stops(&text);
    assert!(!stops.is_empty(), "README.md has no block that is fenced as ```sh tour");
    if programs_are_missing() {
        return;
    }
    let (folder, service) = fresh();
    walk(&stops, folder.path(), &[(ADDRESS, &service.url)]).unwrap_or_else(|missed| panic!("README.md, {missed}"));
    service.stop();
}

#[test]
fn a_tour_that_holds_is_walked_to_its_end() {
    if programs_are_missing() {
        return;
    }
    let (folder, service) = fresh();
    walk(&stops(TOUR), folder.path(), &[(ADDRESS, &service.url)]).unwrap();
    service.stop();
}

#[test]
fn a_tour_that_does_not_hold_names_the_command() {
    if programs_are_missing() {
        return;
    }
    let (folder, service) = fresh();
    for (tour, line, why) in [
        ("```sh tour\ntrue\ncurl --fail-with-body -s http://127.0.0.1:8080/nowhere\n```", 3, "failed"),
        ("```sh tour\necho one\n# → one\necho two\n# → three\n```", 4, "did not say"),
        ("```sh tour\nfalse | cat\n```", 2, "failed"),
        ("```sh tour\necho \"$NOT_SET\"\n```", 2, "failed"),
        ("```sh tour\necho fine\n```\n\n```sh tour\nfor n in 1 2; do\n  [ $n = 1 ]\ndone\n```", 6, "failed"),
    ] {
        let missed = walk(&stops(tour), folder.path(), &[(ADDRESS, &service.url)]).unwrap_err();
        assert!(missed.starts_with(&format!("line {line}: ")) && missed.contains(why), "{tour}\n{missed}");
    }
}

#[test]
fn commands_are_taken_whole_and_in_order() {
    if programs_are_missing() {
        return;
    }
    let found = stops(TOUR);
    let lines: Vec<usize> = found.iter().map(|stop| stop.line).collect();
    assert_eq!(lines, [6, 8, 15, 20, 26]);
    assert_eq!(
        found[1].command,
        "curl --fail-with-body -sS http://127.0.0.1:8080/oauth/register \\\n  -H 'content-type: application/json' \\\n  -d '{\"client_name\": \"Claude Code\", \"redirect_uris\": [\"http://localhost:33417/oauth/callback\"]}'"
    );
    assert_eq!(found[1].answers, ["\"client_name\":\"Claude Code\"", "registration_access_token"]);
    assert!(found[2].command.ends_with("\n}"), "a document within the command is a part of it: {}", found[2].command);
    assert_eq!(stops("```sh\ncargo run --release -- serve\n```\n```text\nlistening\n```"), []);
}

/// What the README's tour is written like.
const TOUR: &str = r#"# A tour

```sh tour
# A comment is no command.

TOKEN=$(gatebook token --role admin --tenant default)

curl --fail-with-body -sS http://127.0.0.1:8080/oauth/register \
  -H 'content-type: application/json' \
  -d '{"client_name": "Claude Code", "redirect_uris": ["http://localhost:33417/oauth/callback"]}'
# → "client_name":"Claude Code"
# → registration_access_token

# A function spans lines, and what is set here is there in the next block.
list() {
  curl --fail-with-body -sS -H "authorization: Bearer $TOKEN" \
    "http://127.0.0.1:8080/authsec/resource-servers/$1/clients"
}

SERVER=$(curl --fail-with-body -sS -H "authorization: Bearer $TOKEN" http://127.0.0.1:8080/authsec/resource-servers | jq -r '.resource_servers[0].id')
```

Then see who is there:

```sh tour
list "$SERVER" | jq -r '.clients[] | "\(.client_name) \(.status)"'
# → Claude Code approved
```

```sh
rm -rf / # not a part of the tour
```
"#;

fn fresh() -> (tempfile::TempDir, Instance) {
    let folder = tempfile::tempdir().unwrap();
    let service = Instance::start_with(&folder.path().join("data"), &[]);
    (folder, service)
}

fn programs_are_missing() -> bool {
    let missing: Vec<&str> = ["bash", "curl", "jq"].into_iter().filter(|program| !has(program)).collect();
    if !missing.is_empty() {
        println!("not run: the README's tour, which needs {}", missing.join(" and "));
    }
    !missing.is_empty()
}
