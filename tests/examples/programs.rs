//! The examples in a folder of their own, and the programs that run there.

use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::instance::PATIENCE;

/// A copy of the examples beside the packages that they need.
pub struct Examples(TempDir);

impl Examples {
    /// None, and a word about it, where the packages are not installed.
    pub fn take(what: &str) -> Option<Self> {
        let Some(installed) = std::env::var_os("GATEBOOK_EXAMPLES_NODE").filter(|place| !place.is_empty()) else {
            not_run(what, "GATEBOOK_EXAMPLES_NODE names no place for its packages; tests/run installs them");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"), folder.path());
        // A module finds its packages beside itself.
        std::os::unix::fs::symlink(PathBuf::from(installed).join("node_modules"), folder.path().join("node_modules")).unwrap();
        Some(Self(folder))
    }

    /// A copy for those that need no packages.
    pub fn without_packages() -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"), folder.path());
        Self(folder)
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }
}

/// Every file that somebody wrote; what was installed or built there stays.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (kind, target) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_file() {
            fs::copy(entry.path(), target).unwrap();
        } else if kind.is_dir() && entry.file_name() != "node_modules" && entry.file_name() != "target" {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        }
    }
}

/// Says so past the test harness, which keeps what a passing test prints.
pub fn not_run(what: &str, why: &str) {
    std::io::stderr().write_all(format!("not run: {what}: {why}\n").as_bytes()).unwrap();
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A program that runs until it is dropped.
pub struct Program(Child);

impl Program {
    /// Starts it and waits until it listens on a port. What it says goes into a file, and is shown if it does not come up.
    pub fn start(command: &mut Command, log: &Path, port: u16) -> Self {
        let file = File::create(log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        let (mut program, started) = (Self(child), Instant::now());
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = program.0.try_wait().unwrap();
            let alive = ended.is_none() && started.elapsed() < PATIENCE;
            assert!(alive, "{command:?} does not listen: {ended:?}\n{}", fs::read_to_string(log).unwrap());
            std::thread::sleep(Duration::from_millis(10));
        }
        program
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // nginx takes its workers along when it is asked to end, not when it is killed.
        let _already_gone = Command::new("kill").arg(self.0.id().to_string()).status();
        let _already_waited_for = self.0.wait();
    }
}
