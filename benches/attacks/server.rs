//! The instance that is attacked, and the plainest of callers: one request, one connection, from an address of one's own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a caller waits for an answer.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// A running instance in a folder of its own; both go when it is dropped.
pub struct Server {
    process: Child,
    binary: PathBuf,
    folder: tempfile::TempDir,
    /// Where it listens.
    pub address: SocketAddr,
}

/// An answer: its status, and the body if it came whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status; none where there was no answer.
    pub status: Option<u16>,
    /// Head and body as they came.
    pub text: String,
    /// How long it took.
    pub took: Duration,
}

impl Server {
    /// Starts with these flags, as far as the binary knows them, and with a soft limit of open descriptors.
    pub fn start(binary: &Path, flags: &[(&str, &str)], descriptors: Option<u32>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let help = Command::new(binary).args(["serve", "--help"]).output().unwrap();
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        let mut command = match descriptors {
            Some(most) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -S -n {most}; exec \"$0\" \"$@\"")]).arg(binary);
                shell
            }
            None => Command::new(binary),
        };
        command.args(["serve", "--listen", "127.0.0.1:0", "--log-level", "error", "--data"]).arg(folder.path().join("data"));
        for (flag, value) in flags.iter().filter(|(flag, _)| [' ', '['].iter().any(|end| help.contains(&format!("--{flag}{end}")))) {
            command.arg(format!("--{flag}={value}"));
        }
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().parse().unwrap();
        Self { process, binary: binary.to_owned(), folder, address }
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A token for the tenant `default`.
    pub fn token(&self, role: &str, subject: &str) -> String {
        let mut command = Command::new(&self.binary);
        command.args(["token", "--role", role, "--tenant", "default", "--subject", subject, "--data"]).arg(self.data());
        String::from_utf8(command.output().unwrap().stdout).unwrap().trim_end().to_owned()
    }

    /// The memory that it has in use, in MB.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:") / 1024
    }

    /// The most memory that it had in use, in MB.
    pub fn peak(&self) -> u64 {
        self.status("VmHWM:") / 1024
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap().count()
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// A connection from an address of this machine, which is a source of its own.
    pub fn connect(&self, from: u8) -> std::io::Result<TcpStream> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, from), 0)))?;
            tokio::time::timeout(PATIENCE, socket.connect(self.address)).await.map_err(|_| std::io::ErrorKind::TimedOut)?
        })?;
        let stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// One request over a connection of its own.
    pub fn call(&self, from: u8, request: &str) -> Answer {
        let asked = Instant::now();
        let mut text = Vec::new();
        if let Ok(mut stream) = self.connect(from)
            && stream.write_all(request.as_bytes()).is_ok()
        {
            let _what_came_counts = stream.read_to_end(&mut text);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let status = text.get(9..12).and_then(|status| status.parse().ok());
        Answer { status, text, took: asked.elapsed() }
    }

    /// What a bystander at an address of its own feels: so many calls of `/health`, each over a new connection.
    pub fn bystander(&self, from: u8, calls: usize) -> Felt {
        let answers: Vec<Answer> = (0..calls).map(|_| self.call(from, &get("/health", ""))).collect();
        Felt::of(&answers)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _already_gone = self.process.kill();
        let _already_waited_for = self.process.wait();
    }
}

/// A request without a body, with more header lines.
pub fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n")
}

/// A request with a JSON body, with more header lines.
pub fn post(path: &str, headers: &str, body: &serde_json::Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
}

/// What a caller felt.
pub struct Felt {
    answered: usize,
    of: usize,
    p50: Duration,
    most: Duration,
}

impl Felt {
    /// Of these answers.
    pub fn of(answers: &[Answer]) -> Self {
        let mut took: Vec<Duration> = answers.iter().map(|answer| answer.took).collect();
        took.sort_unstable();
        let answered = answers.iter().filter(|answer| answer.status.is_some_and(|status| status < 500)).count();
        let at = |index: usize| took.get(index).copied().unwrap_or_default();
        Self { answered, of: answers.len(), p50: at(took.len() / 2), most: at(took.len().saturating_sub(1)) }
    }
}

impl std::fmt::Display for Felt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} answered, p50 {:.1?}, longest {:.1?}", self.answered, self.of, self.p50, self.most)
    }
}
