//! Every command of the README's tour runs and says what the README says that it says.
//!
//! The blocks that are fenced as `sh tour` are one script, so that what one block sets the next one can use. A line
//! `# → some text` after a command means that the command's output has that text in it.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and one that was not run says so"
)]

#[path = "instance/mod.rs"]
mod instance;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use instance::{Instance, has, text};

/// The address that the README uses, which is the default one.
const ADDRESS: &str = "http://127.0.0.1:8080";

/// What a line must begin with to say what the command before it answers.
const ANSWERS: &str = "# → ";

/// A command of a tour and what its output must have in it.
#[derive(Debug, PartialEq, Eq)]
struct Stop {
    command: String,
    answers: Vec<String>,
    /// The command's line in the document, counted from 1.
    line: usize,
}

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
    walk(&stops, folder.path(), &service.url).unwrap_or_else(|missed| panic!("README.md, {missed}"));
    service.stop();
}

#[test]
fn a_tour_that_holds_is_walked_to_its_end() {
    if programs_are_missing() {
        return;
    }
    let (folder, service) = fresh();
    walk(&stops(TOUR), folder.path(), &service.url).unwrap();
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
        let missed = walk(&stops(tour), folder.path(), &service.url).unwrap_err();
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

/// The commands of a document's tour. What bash would go on reading after is not a whole command yet.
fn stops(document: &str) -> Vec<Stop> {
    let mut stops: Vec<Stop> = Vec::new();
    let mut in_tour = false;
    let mut begun: Option<Stop> = None;
    for (number, line) in (1..).zip(document.lines()) {
        if line.trim_start().starts_with("```") {
            assert!(begun.is_none(), "line {number}: a command is cut off: {begun:?}");
            in_tour = line.trim() == "```sh tour";
        } else if !in_tour {
        } else if let Some(mut stop) = begun.take() {
            stop.command = format!("{}\n{line}", stop.command);
            begun = finish(stop, &mut stops);
        } else if let Some(answer) = line.strip_prefix(ANSWERS) {
            let stop = stops.last_mut().unwrap_or_else(|| panic!("line {number}: an answer to no command"));
            stop.answers.push(answer.trim_end().to_owned());
        } else if line.trim_start().starts_with('#') {
            let meant = line.trim_start_matches(['#', ' ']).starts_with('→');
            assert!(!meant, "line {number}: an answer begins with `{ANSWERS}`, or it is a comment: {line}");
        } else if !line.trim().is_empty() {
            begun = finish(Stop { command: line.to_owned(), answers: Vec::new(), line: number }, &mut stops);
        }
    }
    stops
}

/// Keeps a command if it is whole; hands it back if it goes on in the next line.
fn finish(stop: Stop, stops: &mut Vec<Stop>) -> Option<Stop> {
    let goes_on = stop.command.ends_with('\\') || !parses(&stop.command);
    if goes_on {
        return Some(stop);
    }
    stops.push(stop);
    None
}

fn parses(command: &str) -> bool {
    let checked = Command::new("bash").args(["-n", "-c", command]).stderr(Stdio::piped()).output();
    // An open here-document is only a warning to bash. Where there is no bash, nothing will be run either.
    checked.map_or(true, |checked| checked.status.success() && checked.stderr.is_empty())
}

/// Runs the tour as one script against an instance. The error says which line of the document did not hold, and why.
fn walk(stops: &[Stop], folder: &Path, url: &str) -> Result<(), String> {
    let answers = folder.join("answers");
    std::fs::create_dir_all(&answers).unwrap();
    let place = |stop: &Stop| answers.join(stop.line.to_string());
    let mut script = String::from("set -euo pipefail\n");
    for stop in stops {
        // A group runs in the same shell, so that what it sets stays set; the name of the file says how far the tour came.
        let place = place(stop);
        let _from_before = std::fs::remove_file(&place);
        writeln!(script, "{{\n{}\n}} > {} 2>&1", stop.command.replace(ADDRESS, url), place.display()).unwrap();
    }
    let mut path = vec![shim(folder)];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let status = Command::new("bash")
        .args(["-c", &script])
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("GATEBOOK_DATA", folder.join("data"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let reached: Vec<&Stop> = stops.iter().filter(|stop| place(stop).exists()).collect();
    for stop in &reached {
        let said = text(std::fs::read(place(stop)).unwrap());
        let last = reached.last() == Some(stop);
        if last && !status.status.success() {
            return Err(format!("line {}: `{}` failed: {said}{}", stop.line, stop.command, String::from_utf8_lossy(&status.stderr)));
        }
        if let Some(missing) = stop.answers.iter().find(|answer| !said.contains(*answer)) {
            return Err(format!("line {}: `{}` did not say {missing}, but: {said}", stop.line, stop.command));
        }
    }
    assert_eq!(reached.len(), stops.len(), "the script ended early: {}", String::from_utf8_lossy(&status.stderr));
    Ok(())
}

/// A folder in which the binary is called `gatebook`, as it is once it is installed.
fn shim(folder: &Path) -> PathBuf {
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    // An earlier walk in the same folder has left it.
    let _there_already = std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_gatebook"), bin.join("gatebook"));
    bin
}

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
