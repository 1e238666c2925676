//! How many clients can register in a second, and what one registration costs: `cargo bench --bench http`.
//!
//! The release binary in a process of its own answers durable public registrations over keep-alive connections. Beside it
//! stands the least that could be asked of the same framework: a handler that reads the body as JSON and answers 201 with
//! JSON, and keeps nothing. Server and load share the machine, so the ratio of the two says more than either figure.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on is of no use")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONNECTIONS: [usize; 3] = [1, 32, 128];
/// Set for the process that is the bare handler.
const BARE: &str = "GATEBOOK_BENCH_BARE";
/// How long each load lasts, in seconds. At most [`MOST`] requests are made in that time.
const SECONDS: &str = "GATEBOOK_BENCH_SECONDS";
const MOST: usize = 200_000;

fn main() {
    let threads = |builder: &mut tokio::runtime::Builder| builder.enable_all().build().unwrap();
    if std::env::var_os(BARE).is_some() {
        return threads(&mut tokio::runtime::Builder::new_multi_thread()).block_on(bare());
    }
    // One thread makes the load, so that it takes as little from the server as it can.
    threads(&mut tokio::runtime::Builder::new_current_thread()).block_on(measure());
}

async fn measure() {
    let seconds = std::env::var(SECONDS).map_or(5, |text| text.parse().unwrap());
    let folder = std::env::var_os("GATEBOOK_BENCH_FOLDER").map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
    println!("registrations of a public client, server and load on {} cores", std::thread::available_parallelism().unwrap());
    println!(
        "{:>12} {:>12} {:>12} {:>10} {:>10} {:>16} {:>12}",
        "connections", "server", "requests/s", "p50", "p99", "CPU µs/request", "peak RSS MB"
    );
    for connections in CONNECTIONS {
        let gatebook = Server::gatebook(&folder.path().join(connections.to_string())).load(connections, seconds).await;
        let bare = Server::bare().load(connections, seconds).await;
        println!("{connections:>12} {:>12} {gatebook}", "gatebook");
        println!("{connections:>12} {:>12} {bare}", "bare handler");
        let (rate, cpu) = (gatebook.rate() / bare.rate(), gatebook.cpu_each() / bare.cpu_each());
        println!("{connections:>12} {:>12} {rate:>12.2} {:>10} {:>10} {cpu:>16.1}", "ratio", "", "");
    }
}

/// A server in a process of its own.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn gatebook(data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatebook"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--registrations-per-minute", "0", "--data"]).arg(data);
        Self::start(&mut command)
    }

    fn bare() -> Self {
        Self::start(Command::new(std::env::current_exe().unwrap()).env(BARE, "1"))
    }

    fn start(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().parse().unwrap();
        Self { process, address }
    }

    async fn load(self, connections: usize, seconds: u64) -> Measured {
        // Connections, caches and the first pages of every file are there before anything is counted.
        self.requests(connections, Duration::from_millis(500)).await;
        self.settled().await;
        let (cpu, started) = (self.cpu(), Instant::now());
        let mut waits = self.requests(connections, Duration::from_secs(seconds)).await;
        let took = started.elapsed();
        // What an answer leaves to be done afterwards, such as bringing the lists up to date, is part of its price.
        self.settled().await;
        waits.sort_unstable();
        Measured { took, waits, cpu: self.cpu().saturating_sub(cpu), peak: self.status("VmHWM:") }
    }

    async fn requests(&self, connections: usize, during: Duration) -> Vec<Duration> {
        let (address, end) = (self.address, Instant::now() + during);
        let left = AtomicUsize::new(MOST);
        let one = async || {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let request = request();
            let (mut waits, mut answer) = (Vec::new(), Vec::with_capacity(4096));
            while Instant::now() < end && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                let asked = Instant::now();
                stream.write_all(request.as_bytes()).await.unwrap();
                whole_answer(&mut stream, &mut answer).await;
                waits.push(asked.elapsed());
            }
            waits
        };
        futures_util::future::join_all((0..connections).map(|_| one())).await.concat()
    }

    /// Waits until the server has nothing more to do.
    async fn settled(&self) {
        let mut before = self.cpu();
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = self.cpu();
            if now.saturating_sub(before) <= Duration::from_millis(10) {
                return;
            }
            before = now;
        }
    }

    /// The processor time of all its threads, those that ended included.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
        // Linux counts in hundredths of a second here whatever its own clock does.
        Duration::from_millis(10 * ticks)
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Reads one answer; anything but 201 ends the measurement.
async fn whole_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) {
    answer.clear();
    loop {
        assert!(stream.read_buf(answer).await.unwrap() > 0, "the server hung up: {}", String::from_utf8_lossy(answer));
        let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(answer.get(..head).unwrap()).unwrap();
        assert!(text.starts_with("HTTP/1.1 201"), "{}", String::from_utf8_lossy(answer));
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if answer.len() >= head + 4 + length.parse::<usize>().unwrap() {
            return;
        }
    }
}

/// A registration as a client on somebody's machine sends it.
fn request() -> String {
    let body = json!({
        "client_name": "Claude Code",
        "client_uri": "https://claude.ai/code",
        "redirect_uris": ["http://localhost:33417/oauth/callback", "http://127.0.0.1:33417/oauth/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "software_id": "claude-code",
        "software_version": "2.0.14",
        "scope": "openid profile tools:read tools:write",
    })
    .to_string();
    let length = body.len();
    format!("POST /oauth/register HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// The bare handler: JSON in, the same members and a few more out.
async fn bare() {
    let register = async |axum::Json(mut body): axum::Json<Value>| {
        let client_id = uuid::Uuid::now_v7().to_string();
        let uri = format!("http://localhost/oauth/register/{client_id}");
        let members = body.as_object_mut().unwrap();
        members.insert("client_id".to_owned(), client_id.into());
        members.insert("client_id_issued_at".to_owned(), 1_700_000_000.into());
        members.insert("registration_access_token".to_owned(), "gbr_0123456789abcdef0123456789abcdef0123456789a".into());
        members.insert("registration_client_uri".to_owned(), uri.into());
        (axum::http::StatusCode::CREATED, axum::Json(body))
    };
    let router = axum::Router::new().route("/oauth/register", axum::routing::post(register));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("listening on http://{}", listener.local_addr().unwrap());
    axum::serve(axum::serve::ListenerExt::tap_io(listener, |stream| stream.set_nodelay(true).unwrap()), router).await.unwrap();
}

struct Measured {
    took: Duration,
    /// From the shortest to the longest.
    waits: Vec<Duration>,
    cpu: Duration,
    /// In kB.
    peak: u64,
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below the point where precision is lost")]
impl Measured {
    fn rate(&self) -> f64 {
        self.waits.len() as f64 / self.took.as_secs_f64()
    }

    fn cpu_each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.waits.len() as f64
    }
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |share: usize| self.waits.get(self.waits.len() * share / 100).copied().unwrap_or_default();
        let (rate, cpu, peak) = (self.rate(), self.cpu_each(), self.peak / 1024);
        write!(f, "{rate:>12.0} {:>10.2?} {:>10.2?} {cpu:>16.1} {peak:>12}", at(50), at(99))
    }
}
