//! A tour through a document: the blocks that are fenced as `sh tour` are one script, so that what one block sets the next one can
//! use. A line `# → some text` after a command means that the command's output has that text in it.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::instance::text;

/// What a line must begin with to say what the command before it answers.
const ANSWERS: &str = "# → ";

/// A command of a tour and what its output must have in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Stop {
    pub command: String,
    pub answers: Vec<String>,
    /// The command's line in the document, counted from 1.
    pub line: usize,
}

/// The commands of a document's tour. What bash would go on reading after is not a whole command yet.
pub fn stops(document: &str) -> Vec<Stop> {
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

/// Runs the tour as one script in a folder, with other addresses than the document names. What it leaves running ends with it. The error
/// says which line of the document did not hold, and why.
pub fn walk(stops: &[Stop], folder: &Path, addresses: &[(&str, &str)]) -> Result<(), String> {
    let answers = folder.join("answers");
    std::fs::create_dir_all(&answers).unwrap();
    let place = |stop: &Stop| answers.join(stop.line.to_string());
    let meant = |text: &str| addresses.iter().fold(text.to_owned(), |text, (written, meant)| text.replace(written, meant));
    let mut script = String::from("set -euo pipefail\ntrap 'kill $(jobs -p) 2> /dev/null || true; wait' EXIT\n");
    for stop in stops {
        // A group runs in the same shell, so that what it sets stays set; the name of the file says how far the tour came.
        let place = place(stop);
        let _from_before = std::fs::remove_file(&place);
        writeln!(script, "{{\n{}\n}} > {} 2>&1", meant(&stop.command), place.display()).unwrap();
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
        if let Some(missing) = stop.answers.iter().map(|answer| meant(answer)).find(|answer| !said.contains(answer)) {
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
