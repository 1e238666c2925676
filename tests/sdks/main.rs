//! The SDKs that MCP clients are built with register at the real binary, and have to understand what it answers.
//!
//! `tests/run` installs them and says where in `GATEBOOK_SDKS_NODE` and `GATEBOOK_SDKS_PYTHON`; the clients that they play are
//! in `clients.json`. They find the registration endpoint by the service's own metadata.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

#[test]
fn the_typescript_sdks_understand_every_answer() {
    let Some(installed) = place("GATEBOOK_SDKS_NODE", "the TypeScript SDK") else { return };
    let service = Service::start();
    // A module finds its packages beside itself.
    let script = service.folder.path().join("register.mjs");
    fs::copy(here("typescript/register.mjs"), &script).unwrap();
    std::os::unix::fs::symlink(installed.join("node_modules"), service.folder.path().join("node_modules")).unwrap();
    service.play(Command::new("node").arg(script));
}

#[test]
fn the_python_sdk_understands_every_answer() {
    let Some(installed) = place("GATEBOOK_SDKS_PYTHON", "the Python SDK") else { return };
    let service = Service::start();
    service.play(Command::new(installed.join("venv/bin/python")).arg(here("python/register.py")));
}

/// Where something is installed. If it is not, that is said past the test harness, which keeps what a passing test prints.
fn place(variable: &str, what: &str) -> Option<PathBuf> {
    let place = std::env::var_os(variable).filter(|place| !place.is_empty()).map(PathBuf::from);
    if place.is_none() {
        let line = format!("not run: {what}: {variable} names no place for it; tests/run installs it\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    place
}

fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdks").join(file)
}

/// The binary, serving from a folder of its own until it is dropped.
struct Service {
    process: Child,
    /// Kept open: there may be more to say after the first line.
    _stdout: BufReader<ChildStdout>,
    base: String,
    folder: TempDir,
}

impl Service {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("stderr");
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatebook"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--registrations-per-minute", "0", "--data"]).arg(folder.path().join("data"));
        command.args(["--changes-per-minute", "0"]);
        command.args(["--upstream-authorization-endpoint", "https://as.example/authorize"]);
        command.args(["--upstream-token-endpoint", "https://as.example/token"]);
        let mut process = command.stdout(Stdio::piped()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let base = stdout.by_ref().lines().map_while(Result::ok).find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
        let Some(base) = base else { panic!("it does not listen: {}", fs::read_to_string(log).unwrap()) };
        Self { process, _stdout: stdout, base, folder }
    }

    /// Runs a script that plays the clients, and shows what it printed if it fails.
    fn play(&self, script: &mut Command) {
        let output = script.arg(&self.base).arg(here("clients.json")).output().unwrap();
        let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let log = fs::read_to_string(self.folder.path().join("stderr")).unwrap();
        assert!(output.status.success(), "{}\n{said}\n{complained}\nthe service said:\n{log}", output.status);
        assert!(said.ends_with("all is well\n"), "the script stopped early:\n{said}\n{complained}");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
